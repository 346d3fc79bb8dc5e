import { isThenable } from '../../src/core/guard.ts'
import {
  bodyKind,
  type Enter,
  isOnce,
  isUsed,
  iteratorOf,
  leavable,
  over,
  type StreamableBlob,
  toBytes,
  toReadable,
} from './bytes.ts'
import type { BodyStream, HttpFault } from './contract.ts'
import { addStream } from './engine/fetch/send-stream.ts'
import { faultAt } from './fault.ts'
import type { Progress } from './progress.ts'

type Step = IteratorResult<Uint8Array, undefined>
const encoder = /* @__PURE__ */ new TextEncoder()
/** An `over` here would look like the body's regular end, and the server would take a part for the whole. */
const stopped = /* @__PURE__ */ new Error('the exchange is over')
/** Whole bodies are cut into such pieces where progress is asked for. */
const sliceBytes = 65_536

/** Why a body is not sent, or not to its end. */
class BodyError extends Error {
  override readonly name = 'BodyError'
  readonly facts: Pick<HttpFault, 'code' | 'reason'>

  constructor(message: string, facts: BodyError['facts'], cause?: unknown) {
    super(message, { cause })
    this.facts = facts
  }
}

const invalid = { code: 'invalid_argument' } as const
const notReplayable = { code: 'invalid_argument', reason: 'body_not_replayable' } as const

/**
 * A body that is read anew for each send, of what `make` gives: a stream of any platform, an async iterable of texts and
 * bytes, a Blob, a text, bytes, or a promise of one of these.
 *
 * A stream of which something was read before is refused, and so is one that was sent already: a part of a body, or an
 * empty one, must not pass for the whole.
 */
export function bodyStream(make: () => unknown): BodyStream {
  const sent = { bytes: 0 }
  return () => {
    const made = call(make)
    // What can be refused at once is refused before anything is written.
    if (!isPending(made)) checkMade(made)
    return leavable((enter) => chunksOf(made, sent, enter))
  }
}

function call(make: () => unknown): unknown {
  const fail = (cause: unknown): never => {
    throw new BodyError('the function that makes the body threw: see cause', { code: 'internal' }, cause)
  }
  try {
    const made = make()
    if (!isPending(made)) return made
    const named = Promise.resolve(made).catch(fail)
    // It may fail before anybody asks for the first chunk.
    named.catch(() => undefined)
    return named
  } catch (cause) {
    return fail(cause)
  }
}

/** A promise of a body, of whatever realm; what is both that and a stream is a stream. */
function isPending(made: unknown): made is PromiseLike<unknown> {
  return isThenable(made) && bodyKind(made) === undefined
}

/** Streams of which a send has begun to read. */
const begun = new WeakSet<object>()

/** @throws {BodyError} for what is no body, and for a stream of which a part was read. */
export function checkMade(made: unknown): void {
  const kind = bodyKind(made)
  if (kind === 'text' || kind === 'bytes' || kind === 'blob') return
  if (kind !== 'stream') throw new BodyError('the function of the body gave no body', invalid)
  if (begun.has(made as object))
    throw new BodyError('the body is a stream that was sent already: pass a function that makes it anew', notReplayable)
  if (isUsed(made as object))
    throw new BodyError('the body is a stream that was read in part, or that another reader holds', invalid)
}

/** @param sent - how much the longest send has written: a later one that ends before that is cut. */
async function* chunksOf(pending: unknown, sent: { bytes: number }, enter: Enter): AsyncGenerator<Uint8Array, void> {
  const made = await pending
  checkMade(made)
  const kind = bodyKind(made)
  const stream = (kind === 'blob' ? (made as StreamableBlob).stream() : made) as AsyncIterable<unknown>
  if (kind === 'stream' && isOnce(stream)) begun.add(stream)
  const isWhole = kind === 'text' || kind === 'bytes'
  let size = 0
  for await (const each of isWhole ? [made] : enter(stream)) {
    const chunk = toChunk(each)
    size += chunk.byteLength
    sent.bytes = Math.max(sent.bytes, size)
    yield chunk
  }
  if (size < sent.bytes)
    throw new BodyError('the body is shorter than before: the function must make all of it anew', notReplayable)
}

function toChunk(chunk: unknown): Uint8Array {
  if (typeof chunk === 'string') return encoder.encode(chunk)
  if (bodyKind(chunk) === 'bytes') return toBytes(chunk as ArrayBuffer)
  throw new BodyError('a chunk of the body is no bytes and no text', invalid)
}

/**
 * A request body on its way to the wire: made anew from its factory, counted, and stopped when the exchange is over,
 * even while the source never gives its next chunk.
 */
export class Upload implements AsyncIterableIterator<Uint8Array, undefined> {
  /** What the source failed with: the caller's fault, not the wire's. */
  failure: { readonly error: unknown } | undefined
  readonly #source: AsyncIterator<Uint8Array> | undefined
  readonly #onProgress: ((transferredBytes: number) => void) | undefined
  #transferred = 0
  /** Everything has been handed over. */
  isFinished = false
  #isStopped?: boolean
  #stopWaiting: ((reason: unknown) => void) | undefined

  constructor(body: BodyStream, onProgress?: (transferredBytes: number) => void) {
    this.#onProgress = onProgress
    try {
      this.#source = iteratorOf(body())
    } catch (error) {
      this.failure = { error }
    }
  }

  /** @throws what the factory has thrown, before anything is written. */
  begin(): this {
    if (this.failure) throw this.failure.error
    return this
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Step> {
    if (this.isFinished) return Promise.resolve(over)
    const source = this.#source
    if (this.#isStopped || !source) return Promise.reject(stopped)
    return new Promise((resolve, reject) => {
      this.#stopWaiting = reject
      const fail = (error: unknown): void => {
        if (!this.#isStopped) this.failure = { error }
        // For undici nothing has failed without an error: it would wait for the rest.
        reject(error || stopped)
      }
      try {
        source.next().then((step) => this.#settle(resolve, step), fail)
      } catch (error) {
        fail(error)
      }
    })
  }

  /** The wire is done with it: the source is told, whatever it is waiting for. */
  stop(): void {
    if (this.isFinished || this.#isStopped) return
    this.#isStopped = true
    this.#stopWaiting?.(stopped)
    this.#source?.return?.().then(undefined, () => undefined)
  }

  return(): Promise<Step> {
    this.stop()
    return Promise.resolve(over)
  }

  /** Becomes the body of what fetch is called with. */
  addTo(init: Record<string, unknown>): Promise<void> {
    const stream = toReadable(this.begin(), () => this.stop())
    return addStream(init, stream)
  }

  /** The fault of an exchange whose body could not be read to its end; undefined where that is not what happened. */
  faultOf(progress: Progress): HttpFault | undefined {
    if (!this.failure) return undefined
    const { error } = this.failure
    const { phase, sent } = progress
    if (error instanceof BodyError)
      return faultAt(progress, { phase, sent, what: error.message, ...error.facts, cause: error.cause ?? error })
    const what = 'the stream of the request body failed'
    return faultAt(progress, { phase, sent, what, ...invalid, cause: error })
  }

  #settle(resolve: (step: Step) => void, step: IteratorResult<Uint8Array>): void {
    if (this.#isStopped) return
    this.#stopWaiting = undefined
    if (step.done) {
      this.isFinished = true
      resolve(over)
      return
    }
    this.#transferred += step.value.byteLength
    resolve(step as Step)
    this.#onProgress?.(this.#transferred)
  }
}

/** How an engine opens a body that is a stream: what encodes the body brings it along. */
export type OpenUpload = (body: BodyStream, onProgress?: (transferredBytes: number) => void) => Upload

/** Makes an {@link Upload}. */
export const openUpload: OpenUpload = (body, onProgress) => new Upload(body, onProgress)

/** A whole body in pieces, so that its progress can be seen. */
export async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes)
}
