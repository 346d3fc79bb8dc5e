import type { Call } from '../../src/core/call/call.ts'
import type { OpenResponse } from '../http/body.ts'
import { toReadable } from '../http/byte-streams.ts'
import type { ByteStream } from '../http/byte-types.ts'
import { announcedLength } from '../http/collect.ts'
import { toCallError } from '../http/fault.ts'
import { type ProgressReport, progressReport } from './progress.ts'

/** The body of a reply as the user reads it: faults of the wire become CallErrors, progress is told. */
export class RestStream implements ByteStream, AsyncIterator<Uint8Array, undefined> {
  readonly #call: Call
  readonly #body: OpenResponse['body']
  readonly #totalBytes: number | undefined
  readonly #report: ProgressReport | undefined
  #transferredBytes = 0

  constructor(call: Call, { body, headers }: OpenResponse) {
    this.#call = call
    this.#body = body
    this.#totalBytes = announcedLength(headers)
    this.#report = progressReport(call, 'onDownloadProgress')
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const step = await this.#body.next()
      if (!step.done) this.#report?.((this.#transferredBytes += step.value.byteLength), this.#totalBytes)
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
