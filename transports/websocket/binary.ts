/** Bytes before the header: its length, big-endian. */
const prefix = 4

/**
 * A frame whose `data` is bytes, as one binary message: 4 bytes with the length of the header (big-endian), the header
 * (the same frame without `data`, as JSON in UTF-8), then the bytes.
 */
export function encodeBinary(header: object, data: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(header))
  const frame = new Uint8Array(prefix + text.length + data.length)
  new DataView(frame.buffer).setUint32(0, text.length)
  frame.set(text, prefix)
  frame.set(data, prefix + text.length)
  return frame
}

/** @throws {TypeError} where the bytes are no such frame. */
export function decodeBinary(frame: Uint8Array): object {
  const length = frame.length < prefix ? -1 : new DataView(frame.buffer, frame.byteOffset).getUint32(0)
  if (length < 0 || prefix + length > frame.length)
    throw new TypeError('a binary frame begins with the length of its header')
  const header: unknown = JSON.parse(new TextDecoder().decode(frame.subarray(prefix, prefix + length)))
  if (typeof header !== 'object' || header === null)
    throw new TypeError('the header of a binary frame is a JSON object')
  // A copy: what the socket hands out is a view into its read buffer.
  return { ...header, data: Uint8Array.from(frame.subarray(prefix + length)) }
}
