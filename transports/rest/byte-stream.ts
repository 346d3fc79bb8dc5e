import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import { type OpenResponse, openBody } from '../http/body.ts'
import { type ByteStream, toReadable } from '../http/bytes.ts'
import { announcedLength } from '../http/collect.ts'
import { toCallError } from '../http/fault.ts'
import type { ByteStreamResponse } from '../http/input-types.ts'
import { reportProgress } from '../http/progress.ts'
import type { OpenReply } from './operation.ts'
import { isReply, responseError, withoutCredential } from './response.ts'

/** Opens a reply whose message is the body itself, which holds the call until it ends. */
const open: OpenReply = async (engine, request, call, { maxBodyBytes }) => {
  try {
    const response = await openBody(engine, request, call.scope)
    const { status, headers, body } = response
    const url = withoutCredential(response.url || request.url, call)
    if (!isReply(status, request)) {
      const read = await body.errorBody(maxBodyBytes)
      return await responseError(call, { ...response, ...read, trailers: HeaderMap.empty })
    }
    const message = new RestStream(call, response)
    const finished = body.finished.then(() => undefined)
    // A reply that comes too late is discarded, and nobody looks at this.
    finished.catch(() => undefined)
    const discard = () => body.cancel()
    return { kind: 'unary', message, status, headers, trailers: HeaderMap.empty, url, finished, discard }
  } catch (error) {
    throw toCallError(error, call)
  }
}

const value: ByteStreamResponse & { readonly open: OpenReply } = { kind: 'byte stream', open }

/**
 * `response: byteStream`: the reply is handed over as it comes, of any type and length; leaving it closes the connection.
 *
 * @example
 * const download = get('/files/{name}', { response: byteStream })
 * for await (const chunk of await client.call(download, { name: 'a.bin' })) size += chunk.byteLength
 */
export const byteStream: ByteStreamResponse = value

/** The body of a reply as the user reads it: faults of the wire become CallErrors, progress is told. */
class RestStream implements ByteStream, AsyncIterator<Uint8Array, undefined> {
  readonly #call: Call
  readonly #body: OpenResponse['body']
  readonly #totalBytes: number | undefined
  #transferredBytes = 0

  constructor(call: Call, { body, headers }: OpenResponse) {
    this.#call = call
    this.#body = body
    this.#totalBytes = announcedLength(headers)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const step = await this.#body.next()
      if (!step.done && this.#call.options.onDownloadProgress) {
        this.#transferredBytes += step.value.byteLength
        reportProgress(this.#call, 'onDownloadProgress', this.#transferredBytes, this.#totalBytes)
      }
      return step
    } catch (error) {
      throw toCallError(error, this.#call)
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#body.cancel()
    return { done: true, value: undefined }
  }

  async cancel(): Promise<void> {
    this.#body.cancel()
  }

  toReadable(): ReadableStream<Uint8Array> {
    return toReadable(this, () => this.#body.cancel())
  }
}
