import type { HeaderMap } from '../../src/core/call/header-map.ts'

/**
 * Decodes `grpc-message`: percent-encoded UTF-8. Never throws: a sequence that is none stays as it stands.
 *
 * Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md ("must not error when decoding invalid values")
 */
export function decodeGrpcMessage(text: string): string {
  return text.replace(/(?:%[\da-f]{2})+/gi, (encoded) => {
    const pairs = encoded.slice(1).split('%')
    return new TextDecoder().decode(Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16)))
  })
}

/** The last value of a key, also where several were joined by commas: a proxy may have added one of its own. */
export function lastValue(metadata: HeaderMap, name: string): string | undefined {
  const value = metadata.last(name)
  return value?.slice(value.lastIndexOf(',') + 1).trim()
}

/**
 * Writes the value of a binary header (its name ends in `-bin`): base64 without padding, as gRPC sends it.
 *
 * @example
 * await api.orders.place(order, { headers: { 'trace-bin': encodeBinaryHeader(bytes) } })
 */
export function encodeBinaryHeader(bytes: Uint8Array): string {
  return toBase64(bytes).replace(/=+$/, '')
}

/** Bytes as base64, padded; in blocks, since a call takes only so many arguments. */
export function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 8192)
    text += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192) as never)
  return btoa(text)
}

/**
 * Reads every value of a binary header, padded or not; what is no base64 is left out.
 *
 * @example
 * const { trailers } = await api.orders.place.reply(order)
 * const [receipt] = decodeBinaryHeader(trailers, 'receipt-bin')
 */
export function decodeBinaryHeader(headers: HeaderMap, name: string): Uint8Array[] {
  const values = headers.get(name)?.split(',') ?? []
  return values.map(fromBase64).filter((bytes) => bytes !== undefined)
}

/** Bytes of base64, padded or not; undefined where it is none. */
export function fromBase64(text: string): Uint8Array | undefined {
  try {
    const chars = atob(text.trim())
    const bytes = new Uint8Array(chars.length)
    // A loop by hand: whole messages come as text, and an iterator takes fifteen times as long.
    for (let at = 0; at < bytes.length; at++) bytes[at] = chars.charCodeAt(at)
    return bytes
  } catch {
    return undefined
  }
}
