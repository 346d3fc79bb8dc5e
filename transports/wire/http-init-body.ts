import type { HttpBody } from './http.ts'

/**
 * The `body` of a fetch's init as an engine takes it; at once for text and bytes.
 *
 * Kinds that name their own content type (FormData, Blob, URLSearchParams) set it where `headers` has none.
 */
export function readInitBody(body: unknown, headers: Record<string, string>): HttpBody | undefined | Promise<HttpBody> {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') {
    headers['content-type'] ??= 'text/plain;charset=UTF-8'
    return body
  }
  if (body instanceof Uint8Array) return body
  if (body instanceof ArrayBuffer) return new Uint8Array(body)
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
  if (Symbol.asyncIterator in (body as object)) return () => body as AsyncIterable<Uint8Array>
  return serialise(body as BodyInit, headers)
}

/** What the platform knows to write, it writes. */
async function serialise(body: BodyInit, headers: Record<string, string>): Promise<Uint8Array> {
  const response = new Response(body)
  const type = response.headers.get('content-type')
  if (type !== null) headers['content-type'] ??= type
  return new Uint8Array(await response.arrayBuffer())
}
