/** Longer than any server takes beside its other headers, which often have 8 KiB in all; bytes. */
const maxBytes = 4096
const sendable = /^[\t\x20-\x7e\x80-\xff]+$/

/**
 * A cursor as the value of `Last-Event-ID`: its UTF-8 bytes, one character each (WHATWG HTML §9.2.3), since that is how
 * HTTP clients write a header. Undefined where no header can hold it.
 */
export function lastEventId(cursor: string): string | undefined {
  const bytes = /^[\x20-\x7e]*$/.test(cursor) ? cursor : utf8Characters(cursor)
  return bytes.length <= maxBytes && sendable.test(bytes) ? bytes : undefined
}

function utf8Characters(text: string): string {
  let characters = ''
  for (const byte of new TextEncoder().encode(text)) characters += String.fromCharCode(byte)
  return characters
}
