import type { ErrorOrigin } from '../../src/core/error.ts'
import { bodyKind, type StreamableBlob, toBytes } from './body-kind.ts'
import { refusal } from './refusal.ts'

const utf8 = new TextEncoder()

/**
 * The bytes of what a body can be made of: a stream of any platform, an async iterable of texts and bytes, a Blob, a
 * text, bytes, a promise of one of these, or a function that gives one. The function is called when reading begins.
 */
export async function* byteChunks(source: unknown, origin: ErrorOrigin): AsyncGenerator<Uint8Array> {
  const given: unknown = await (typeof source === 'function' ? source() : source)
  switch (bodyKind(given)) {
    case 'text':
    case 'bytes':
      yield toChunk(given, origin)
      return
    case 'blob':
      yield* (given as StreamableBlob).stream()
      return
    case 'stream':
      for await (const chunk of iterable(given as object)) yield toChunk(chunk, origin)
      return
    default:
      throw refusal('the function of the body gave no stream, text, bytes or Blob', origin)
  }
}

function toChunk(chunk: unknown, origin: ErrorOrigin): Uint8Array {
  if (typeof chunk === 'string') return utf8.encode(chunk)
  if (bodyKind(chunk) === 'bytes') return toBytes(chunk as ArrayBuffer)
  throw refusal('a chunk of the body is no bytes and no text', origin)
}

/** Safari's streams do not iterate. */
function iterable(stream: object): AsyncIterable<unknown> {
  return Symbol.asyncIterator in stream ? (stream as AsyncIterable<unknown>) : read(stream as ReadableStream<unknown>)
}

async function* read(stream: ReadableStream<unknown>): AsyncGenerator<unknown> {
  const reader = stream.getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel()
  }
}
