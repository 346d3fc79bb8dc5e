import type { BlobLike } from './byte-types.ts'

/** What is sent as it is, rather than written by a codec. */
export type BodyKind = 'text' | 'bytes' | 'blob' | 'form' | 'params' | 'stream' | 'factory'

/** A Blob that can be streamed. */
export interface StreamableBlob extends BlobLike {
  stream(): AsyncIterable<Uint8Array>
}

const byTag: Readonly<Record<string, BodyKind>> = {
  '[object ArrayBuffer]': 'bytes',
  '[object SharedArrayBuffer]': 'bytes',
  '[object Blob]': 'blob',
  '[object File]': 'blob',
  '[object FormData]': 'form',
  '[object URLSearchParams]': 'params',
}

/** How a body is sent, told by its shape: the classes of jsdom, undici and Node differ. Undefined: by a codec. */
export function bodyKind(value: unknown): BodyKind | undefined {
  if (typeof value === 'string') return 'text'
  if (typeof value === 'function') return 'factory'
  if (typeof value !== 'object' || value === null) return undefined
  if (Symbol.asyncIterator in value || typeof (value as { getReader?: unknown }).getReader === 'function')
    return 'stream'
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null || Array.isArray(value)) return undefined
  if (ArrayBuffer.isView(value)) return 'bytes'
  return byTag[Object.prototype.toString.call(value)]
}

/** Bytes as a Uint8Array over the same memory. */
export function toBytes(value: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (value instanceof Uint8Array) return value
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value)
}
