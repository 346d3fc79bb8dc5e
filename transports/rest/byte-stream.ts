import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import { aboveZero, checkOptions } from '../../src/core/options.ts'
import { type OpenResponse, openBody } from '../http/body.ts'
import { type ByteStream, over, toReadable } from '../http/bytes.ts'
import { announcedLength } from '../http/collect.ts'
import { toCallError } from '../http/fault.ts'
import type { ByteStreamResponse } from '../http/input-types.ts'
import { reportProgress } from '../http/progress.ts'
import type { OpenReply } from './operation.ts'
import { isReply, responseError, silence, withoutCredential } from './response.ts'

/** How a reply is handed over as it comes: {@link byteStreamWith}. */
export interface ByteStreamOptions {
  /** A body that gives no byte for so long, while somebody waits for one, fails; ms. @defaultValue none: `timeoutMs` alone bounds it */
  readonly idleTimeoutMs?: number | undefined
}

/** Opens a reply whose message is the body itself, which holds the call until it ends. */
async function open(
  [engine, request, call, { maxBodyBytes }]: Parameters<OpenReply>,
  idleTimeoutMs?: number,
): ReturnType<OpenReply> {
  try {
    const response = await openBody(engine, request, call.scope)
    const { status, headers, body } = response
    const url = withoutCredential(response.url || request.url, call)
    if (!isReply(status, request)) {
      const read = await body.errorBody(maxBodyBytes)
      return await responseError(call, { ...response, ...read, trailers: HeaderMap.empty })
    }
    const message = new RestStream(call, response, idleTimeoutMs)
    const finished = body.finished.then(() => undefined)
    // A reply that comes too late is discarded, and nobody looks at this.
    finished.catch(() => undefined)
    const discard = () => body.cancel()
    return { kind: 'unary', message, status, headers, trailers: HeaderMap.empty, url, finished, discard }
  } catch (error) {
    throw toCallError(error, call)
  }
}

const readBy = (idleTimeoutMs?: number): ByteStreamResponse => {
  const opened: OpenReply = (...args) => open(args, idleTimeoutMs)
  return { kind: 'byte stream', open: opened } as ByteStreamResponse
}

/**
 * `response: byteStream`: the reply is handed over as it comes, of any type and length; leaving it closes the connection.
 *
 * @example
 * const download = get('/files/{name}', { response: byteStream })
 * for await (const chunk of await client.call(download, { name: 'a.bin' })) size += chunk.byteLength
 */
export const byteStream: ByteStreamResponse = /* @__PURE__ */ readBy()

/**
 * `response: byteStreamWith({ idleTimeoutMs: 15_000 })`: as {@link byteStream}, and a body that falls silent is an error
 * long before `timeoutMs` ends, which may then be large.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong. What reads a body that is silent for too long gets
 *   `unavailable`, phase `body`.
 * @example
 * const video = get('/videos/{id}', { response: byteStreamWith({ idleTimeoutMs: 15_000 }) })
 * const stream = await client.call(video, { id: 7 }, { timeoutMs: 3_600_000 })
 */
export function byteStreamWith(options: ByteStreamOptions): ByteStreamResponse {
  checkOptions('byteStreamWith()', options, { idleTimeoutMs: aboveZero })
  return readBy(options.idleTimeoutMs)
}

/** The body of a reply as the user reads it: faults of the wire become CallErrors, progress is told. */
class RestStream implements ByteStream, AsyncIterator<Uint8Array, undefined> {
  readonly #call: Call
  readonly #body: OpenResponse['body']
  readonly #totalBytes: number | undefined
  readonly #idleMs: number | undefined
  #transferredBytes = 0

  constructor(call: Call, { body, headers }: OpenResponse, idleMs: number | undefined) {
    this.#call = call
    this.#body = body
    this.#totalBytes = announcedLength(headers)
    this.#idleMs = idleMs
  }

  /** As for HeaderMap. */
  get [Symbol.toStringTag](): string {
    return 'ByteStream'
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const disarm = this.#arm()
    try {
      const step = await this.#body.next()
      if (!step.done && this.#call.options.onDownloadProgress) {
        this.#transferredBytes += step.value.byteLength
        reportProgress(this.#call, 'onDownloadProgress', this.#transferredBytes, this.#totalBytes)
      }
      return step
    } catch (error) {
      throw toCallError(error, this.#call)
    } finally {
      disarm?.()
    }
  }

  /** Silence counts while somebody waits for a byte, and not while nobody reads. */
  #arm(): (() => void) | undefined {
    const idleMs = this.#idleMs
    if (idleMs === undefined) return undefined
    const { clock, deadlines } = this.#call.scope.services
    const armed = deadlines.add(clock.now() + idleMs, () => this.#body.abort(silence(idleMs, this.#call)))
    return () => deadlines.remove(armed)
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#body.cancel()
    return over
  }

  async cancel(): Promise<void> {
    this.#body.cancel()
  }

  toReadable(): ReadableStream<Uint8Array> {
    return toReadable(this, () => this.#body.cancel())
  }
}
