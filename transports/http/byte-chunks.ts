import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { bodyKind, type StreamableBlob, toBytes } from './body-kind.ts'
import { iteratorOf } from './byte-streams.ts'

const utf8 = new TextEncoder()

/**
 * The bytes of what a body can be made of: a stream of any platform, an async iterable of texts and bytes, a Blob, a
 * text, bytes, a promise of one of these, or a function that gives one. The function is called when reading begins.
 */
export async function* byteChunks(source: unknown, origin: ErrorOrigin): AsyncGenerator<Uint8Array> {
  const given: unknown = await (typeof source === 'function' ? source() : source)
  const kind = bodyKind(given)
  if (kind === 'text' || kind === 'bytes') yield toChunk(given, origin)
  else if (kind === 'blob' || kind === 'stream') {
    const stream = kind === 'blob' ? (given as StreamableBlob).stream() : (given as AsyncIterable<unknown>)
    for await (const chunk of { [Symbol.asyncIterator]: () => iteratorOf<unknown>(stream) })
      yield toChunk(chunk, origin)
  } else throw refusal('the function of the body gave no stream, text, bytes or Blob', origin)
}

function toChunk(chunk: unknown, origin: ErrorOrigin): Uint8Array {
  if (typeof chunk === 'string') return utf8.encode(chunk)
  if (bodyKind(chunk) === 'bytes') return toBytes(chunk as ArrayBuffer)
  throw refusal('a chunk of the body is no bytes and no text', origin)
}
