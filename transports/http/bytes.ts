import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { isObject, tagOf } from '../../src/core/tag.ts'
import type { EncodedBody } from './encode-body.ts'

/** The part of a Blob or File that is used, so that the published types need no DOM. */
export interface BlobLike {
  readonly size: number
  readonly type: string
  arrayBuffer(): Promise<ArrayBuffer>
}

/** A Blob that can be streamed. */
export interface StreamableBlob extends BlobLike {
  stream(): AsyncIterable<Uint8Array>
}

/** The platform's ReadableStream, where its types are known. */
export type PlatformStream = typeof globalThis extends { ReadableStream: { prototype: infer Stream } }
  ? Stream
  : unknown

/** The platform's Blob, where its types are known. */
export type PlatformBlob = typeof globalThis extends { Blob: { prototype: infer B } } ? B : BlobLike

/** A body as it arrives, chunk by chunk; read it to its end or leave it (`break`, `cancel`), which closes the wire. */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  /** Reads no further. */
  cancel(): Promise<void>
  /** The same bytes as a WHATWG stream, for `new Response(…)` or `pipeThrough(…)`. */
  toReadable(): PlatformStream
}

/** What is sent as it is, rather than written by a codec. */
export type BodyKind = 'text' | 'bytes' | 'blob' | 'form' | 'params' | 'stream' | 'factory'

/** Where a stream or its function has what encodes it: set by `streamBody()`. */
export const streamed: unique symbol = /* @__PURE__ */ Symbol.for('polywire.stream-body')

/**
 * Encodes a stream, or a function that makes one.
 *
 * @param byPlatform - what the platform encodes those with that bring nothing: for the parts of a form.
 */
export type EncodeStream = (
  source: object,
  contentType: string | undefined,
  origin: ErrorOrigin,
  byPlatform?: EncodeStream,
) => EncodedBody

/** A stream, or a function that makes one, that may bring what encodes it. */
export interface Streamed {
  readonly [streamed]?: EncodeStream
}

const byTag: Readonly<Record<string, BodyKind>> = {
  ArrayBuffer: 'bytes',
  SharedArrayBuffer: 'bytes',
  Blob: 'blob',
  File: 'blob',
  FormData: 'form',
  URLSearchParams: 'params',
}

/** How a body is sent, told by its shape: the classes of jsdom, undici and Node differ. Undefined: by a codec. */
export function bodyKind(value: unknown): BodyKind | undefined {
  if (typeof value === 'string') return 'text'
  if (typeof value === 'function') return 'factory'
  if (!isObject(value)) return undefined
  if (Symbol.asyncIterator in value || isWebStream(value)) return 'stream'
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null || Array.isArray(value)) return undefined
  if (ArrayBuffer.isView(value)) return 'bytes'
  return byTag[tagOf(value)]
}

/** Bytes as a Uint8Array over the same memory. */
export function toBytes(value: ArrayBufferView | ArrayBuffer): Uint8Array {
  if (value instanceof Uint8Array) return value
  return ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : new Uint8Array(value)
}

/** Bytes of a body that is whole; a text counts as UTF-8. Of a form nobody knows. */
export function byteLength(body: unknown): number | undefined {
  const whole = typeof body === 'string' ? new TextEncoder().encode(body) : body
  return (whole as Uint8Array | undefined)?.byteLength ?? (whole as Blob | undefined)?.size
}

/** Node keeps it there for both kinds of streams. */
const disturbed: unique symbol = /* @__PURE__ */ Symbol.for('nodejs.stream.disturbed')

/** Whether something was read of a stream already, or somebody else reads it: what is left of it is not the whole. */
export function isUsed(stream: object): boolean {
  const { locked, readableDidRead, readableAborted, destroyed } = stream as Record<string, unknown>
  if (locked === true || readableDidRead === true || readableAborted === true || destroyed === true) return true
  if (!isWebStream(stream)) return false
  const known = (stream as { readonly [disturbed]?: unknown })[disturbed]
  if (typeof known === 'boolean') return known
  try {
    new Response(stream as ReadableStream)
    return false
  } catch {
    return true
  }
}

/** Whether a stream gives its bytes only once; what is merely iterable begins anew each time. */
export function isOnce(stream: object): boolean {
  const { next, pipe } = stream as Record<string, unknown>
  return isWebStream(stream) || typeof next === 'function' || typeof pipe === 'function'
}

function isWebStream(value: object): value is ReadableStream {
  return typeof (value as { getReader?: unknown }).getReader === 'function'
}

/**
 * Pulls from any platform's stream: Safari's ReadableStream does not iterate, and the iterator of others is left only when
 * the next chunk has come.
 */
export function iteratorOf<T>(stream: AsyncIterable<T> | ReadableStream<T>): AsyncIterator<T> {
  if (!isWebStream(stream)) return stream[Symbol.asyncIterator]()
  const reader = stream.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<T>>,
    return: () => reader.cancel().then(() => over),
  }
}

/** What an iterator gives at its end. */
export const over = { done: true, value: undefined } as const

/** For {@link leavable}: the chunks of the stream that is read now. */
export type Enter = <C>(stream: AsyncIterable<C> | ReadableStream<C>) => AsyncIterable<C>

/**
 * What a generator makes of a stream. Leaving it leaves the stream at once, whatever that is waiting for: a generator alone
 * is told only when its next chunk has come, which may be never.
 */
export function leavable<T>(make: (enter: Enter) => AsyncGenerator<T, void>): AsyncIterableIterator<T, undefined> {
  let leave: (() => Promise<unknown>) | undefined
  const chunks = make((stream) => {
    const iterator = iteratorOf(stream)
    let left: Promise<typeof over> | undefined
    const step = async (): Promise<typeof over> => {
      // Node's own iterator would wait for the chunk, too.
      const { pipe, destroy } = stream as { pipe?: unknown; destroy?(): unknown }
      if (typeof pipe === 'function') destroy?.call(stream)
      await iterator.return?.()
      return over
    }
    const leaving = () => (left ??= step())
    leave = leaving
    // What comes of a stream that was left is nobody's.
    const next = async (): Promise<IteratorResult<never>> => {
      try {
        return (await iterator.next()) as IteratorResult<never>
      } finally {
        if (left) await new Promise(() => {})
      }
    }
    return { [Symbol.asyncIterator]: () => ({ next, return: leaving }) }
  })
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: () => chunks.next() as Promise<IteratorResult<T, undefined>>,
    async return() {
      leave?.().catch(() => undefined)
      chunks.return().catch(() => undefined)
      return over
    },
  }
}

/** An iterator as a WHATWG stream that reads nothing ahead. */
export function toReadable(
  source: AsyncIterator<Uint8Array, undefined>,
  cancel: () => unknown,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const step = await source.next()
        if (step.done) controller.close()
        else controller.enqueue(step.value)
      },
      cancel: async () => {
        await cancel()
      },
    },
    { highWaterMark: 0 },
  )
}
