import type { Call } from '../../../src/core/call/call.ts'
import { absoluteDeadline } from '../../../src/core/call/call-options.ts'
import { CallError, isAnyCallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { Backoff } from '../../../src/core/time/backoff.ts'
import { bounded, sleep } from '../../../src/core/time/bounded.ts'
import type { OpenResponse } from '../../http/body.ts'
import { over, type PlatformBlob, toReadable } from '../../http/bytes.ts'
import { join } from '../../http/collect.ts'
import { toCallError } from '../../http/fault.ts'
import { IdleWatch } from '../../http/idle-watch.ts'
import { reportProgress } from '../../http/progress.ts'
import { silence } from '../response.ts'
import { type DigestAlgorithm, digestsOf, readDigest } from './digest.ts'
import { DigestCheck } from './digest-check.ts'
import type { Reopen } from './download.ts'
import { isPassing, misuse, partForWhole, whyFinal } from './errors.ts'
import { type Representation, representationOf, unfitOf } from './representation.ts'
import type { Download, DownloadOptions } from './types.ts'

type Step = IteratorResult<Uint8Array, undefined>
const maxRestarts = 3
/** The reason of an error that says that the file is another one by now. */
export const changed = 'representation_changed'

/** What a download begins with. */
export interface DownloadStart {
  readonly response: OpenResponse
  readonly representation: Representation
  readonly reopen: Reopen
  /** A page may not see all headers. */
  readonly isFetch: boolean
}

/** A download under way: bytes in order, each once, whatever answers they come from. */
export class ResumableDownload implements Download, AsyncIterator<Uint8Array, undefined> {
  start: number
  offset: number
  resumes = 0
  /** Resolves when all is over; the call lasts until then. */
  readonly finished: Promise<void>
  readonly #call: Call
  readonly #options: DownloadOptions
  readonly #reopen: Reopen
  readonly #isFetch: boolean
  readonly #watch: IdleWatch
  readonly #digest: DigestCheck
  #finish!: () => void
  #response: OpenResponse
  #representation: Representation
  #backoff: Backoff
  #restarts = 0
  /** Bytes before the first that the digest has seen. */
  #earlier = 0
  /** Bytes of the answer under way that were given before. */
  #skip = 0
  #isOver = false
  #failure: { readonly error: unknown } | undefined
  /** One step at a time, in the order of the calls. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(call: Call, options: DownloadOptions, { response, representation, reopen, isFetch }: DownloadStart) {
    this.#call = call
    this.#options = options
    this.#reopen = reopen
    this.#isFetch = isFetch
    this.#response = response
    this.#digest = new DigestCheck(options.digest)
    this.#backoff = newBackoff(this.#call, this.#options)
    this.finished = new Promise((resolve) => (this.#finish = resolve))
    const { idleTimeoutMs = 60_000 } = options
    const onIdle = () => this.#response.body.abort(silence(idleTimeoutMs, call))
    this.#watch = new IdleWatch(call.scope.services, { onIdle })
    call.scope.onEnd(() => this.#watch.stop())
    this.#representation = representation
    this.start = this.offset = representation.first
    // What stands in it is no part of the file.
    if (response.status === 416) response.body.cancel()
    if (!this.#digest.begin(representation.digests, response.headers.get('trailer'))) {
      response.body.cancel()
      throw this.#error('failed_precondition', 'the server names no digest that can be checked here')
    }
    this.#watch.start(idleTimeoutMs)
    this.#watch.pause(true)
  }

  get totalBytes(): number | undefined {
    return this.#representation.totalBytes
  }

  get resumeHeaders(): Readonly<Record<string, string>> | undefined {
    const { validator } = this.#representation
    return this.#mayResume && validator !== undefined ? this.#headersAt(validator) : undefined
  }

  get [Symbol.toStringTag](): string {
    return 'Download'
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Step> {
    return this.#inTurn(() => this.#next())
  }

  return(): Promise<Step> {
    return this.cancel().then(() => over)
  }

  async cancel(): Promise<void> {
    this.#settle()
    this.#response.body.cancel()
    this.#call.scope.abort(over)
  }

  toReadable(): ReadableStream<Uint8Array> {
    return toReadable(this, () => this.cancel())
  }

  expectDigest(algorithm: DigestAlgorithm, text: string): this {
    if (this.offset > this.start) throw misuse('expectDigest() is said before anything is read', this.#call)
    const value = readDigest(algorithm, text)
    if (value === undefined || !this.#digest.expect({ algorithm, value, by: 'the caller' })) {
      const takes = "expectDigest() takes 'sha-256', or 'sha-512' where the platform knows it, and base64 or hex of it"
      throw misuse(takes, this.#call)
    }
    return this
  }

  addEarlier(bytes: Uint8Array): void {
    this.#digest.update(bytes)
    this.#earlier += bytes.byteLength
  }

  restart(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isOver) throw misuse('the download is over: make the call again', this.#call)
      this.#response.body.cancel()
      try {
        this.#take(await this.#reopen(undefined), undefined)
      } catch (error) {
        throw this.#failed(error)
      }
      this.resumes++
    })
  }

  #inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(step)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async bytes(): Promise<Uint8Array> {
    return join(await this.#collect(), this.offset - this.start)
  }

  async blob(): Promise<PlatformBlob> {
    const chunks = (await this.#collect()) as Uint8Array<ArrayBuffer>[]
    return new Blob(chunks, { type: this.#response.headers.last('content-type') ?? '' })
  }

  /** All of one file. */
  async #collect(): Promise<Uint8Array[]> {
    for (;;) {
      try {
        const chunks: Uint8Array[] = []
        for await (const chunk of this) chunks.push(chunk)
        return chunks
      } catch (error) {
        const isChanged = isAnyCallError(error) && error.reason === changed
        if (!isChanged || this.#options.onChange === 'fail' || this.#restarts >= maxRestarts) throw error
        this.#restarts++
        await this.restart()
      }
    }
  }

  async #next(): Promise<Step> {
    if (this.#failure) throw this.#failure.error
    if (this.#isOver) return over
    try {
      for (;;) {
        const chunk = await this.#read()
        if (chunk) return { done: false, value: chunk }
        if (this.#isWhole && !this.#isOver) await this.#complete()
        // What was given up ends here, too.
        if (this.#isOver) return over
        await this.#goOn(undefined)
      }
    } catch (error) {
      if (this.#isOver) return over
      throw this.#failed(error)
    }
  }

  #failed(error: unknown): unknown {
    const { scope } = this.#call
    const known = scope.isAborted ? scope.reason : error
    this.#failure = { error: known }
    this.#response.body.cancel()
    // A file that has changed may be begun anew: then the call is not over.
    if (!isAnyCallError(known) || known.reason !== changed) this.#settle()
    return known
  }

  /** What comes next of the answer under way; undefined at its end. */
  async #read(): Promise<Uint8Array | undefined> {
    for (;;) {
      let step: Step
      this.#watch.pause(false)
      try {
        step = await this.#response.body.next()
      } catch (error) {
        await this.#goOn(toCallError(error, this.#call))
        continue
      } finally {
        this.#watch.pause(true)
      }
      if (step.done) return undefined
      this.#watch.alive()
      const skipped = Math.min(this.#skip, step.value.byteLength)
      this.#skip -= skipped
      if (skipped === step.value.byteLength) continue
      const chunk = skipped > 0 ? step.value.subarray(skipped) : step.value
      this.#given(chunk)
      return chunk
    }
  }

  #given(chunk: Uint8Array): void {
    const { totalBytes = Number.POSITIVE_INFINITY } = this.#representation
    this.offset += chunk.byteLength
    if (this.offset > totalBytes)
      throw this.#error('data_loss', `the server gave more than the ${totalBytes} bytes that it had named`)
    this.#backoff = newBackoff(this.#call, this.#options)
    this.#digest.update(chunk)
    if (this.#call.options.onDownloadProgress)
      reportProgress(this.#call, 'onDownloadProgress', this.offset, this.totalBytes)
  }

  /** The body has ended well: a server may give less of a range than was asked for. */
  get #isWhole(): boolean {
    const { totalBytes } = this.#representation
    return totalBytes === undefined || this.offset >= totalBytes || this.#representation.isEncoded
  }

  /** Only what is asked for without harm, and whose bytes are those of the file, can go on at an offset. */
  get #mayResume(): boolean {
    const { isEncoded } = this.#representation
    return this.#call.operation.isIdempotent && !isEncoded && this.#response.headers.last('accept-ranges') !== 'none'
  }

  #headersAt(validator: string | undefined): Readonly<Record<string, string>> {
    const range = `bytes=${this.offset}-`
    return validator === undefined ? { range } : { range, 'if-range': validator }
  }

  /** Opens the rest. @param cause - what broke it; undefined where the answer was just not the whole. @throws what ends it. */
  async #goOn(cause: unknown): Promise<void> {
    const { scope, options } = this.#call
    let failure = cause
    for (;;) {
      if (scope.isAborted) throw scope.reason
      if (failure !== undefined && !isPassing(failure)) throw failure
      const { validator } = this.#representation
      const isAtStart = this.offset === 0
      // Without a validator the parts might be of two files: only a digest of the whole would tell.
      const isTold = validator !== undefined || this.#digest.isTelling
      if (!isAtStart && (!this.#mayResume || !isTold)) throw this.#final(failure)
      if (isAtStart && !this.#call.operation.isIdempotent) throw failure
      if (this.#backoff.isExhausted)
        throw failure ?? this.#error('data_loss', 'each answer ends before the file does, and brings nothing more')
      const waitMs = this.#backoff.next(isAnyCallError(failure) ? failure.retryAfterMs : undefined)
      // Whoever waits is told at once that it would be in vain.
      if (failure && scope.services.clock.now() + waitMs > absoluteDeadline(options, scope.services.clock))
        throw failure
      if (failure) await sleep(waitMs, scope)
      try {
        const headers = isAtStart ? undefined : this.#headersAt(validator)
        const response = await bounded(scope, () => this.#reopen(headers), { discard: (late) => late.body.cancel() })
        this.resumes++
        this.#take(response, isAtStart ? undefined : this.#representation)
        return
      } catch (error) {
        failure = error
      }
    }
  }

  /** Goes on with another answer. @param before - of what was given; undefined where nothing was, or it is begun anew. */
  #take(response: OpenResponse, before: Representation | undefined): void {
    const read = representationOf(response, this.#isFetch ? (before ? this.offset : 0) : undefined)
    const fail = (error: CallError): CallError => {
      response.body.cancel()
      return error
    }
    if (typeof read === 'string') throw fail(this.#error('internal', `the server answered with ${read}`))
    if (!before) {
      if (read.first > 0) throw fail(this.#error('internal', partForWhole))
      this.#response = response
      this.#representation = read
      this.start = this.offset = read.first
      this.#skip = this.#earlier = 0
      this.#failure = undefined
      this.#digest.begin(read.digests, response.headers.get('trailer'))
      return
    }
    const unfit = unfitOf(before, read, response.status, this.offset)
    const other = `the file changed at the server after ${this.offset} bytes of it had come: begin anew`
    if (unfit === 'changed') throw fail(this.#error('aborted', other, changed))
    if (unfit) throw fail(this.#error('internal', `the server answered with ${unfit}`))
    if (response.status === 416) response.body.cancel()
    this.#skip = response.status === 200 ? this.offset : 0
    this.#response = response
    this.#representation = { ...before, totalBytes: before.totalBytes ?? read.totalBytes }
  }

  /** It has come whole. @throws {CallError} `data_loss` where the bytes are not those that a digest was made of. */
  async #complete(): Promise<void> {
    const trailing = async () => digestsOf(await this.#response.body.finished, 'repr-digest')
    const fault = await this.#digest.faultOf(this.start === this.#earlier, trailing)
    if (fault) throw this.#error(fault.code, fault.message, fault.reason)
    this.#settle()
  }

  #settle(): void {
    this.#isOver = true
    this.#watch.stop()
    this.#finish()
  }

  #final(cause: unknown): CallError {
    const why = whyFinal(this.#representation, this.#mayResume)
    const message = `the download broke after ${this.offset} bytes, and cannot go on: ${why}`
    return this.#error('data_loss', message, undefined, cause)
  }

  #error(code: Failure['code'], message: string, reason?: string, cause?: unknown): CallError {
    const { status, headers } = this.#response
    return new CallError({ code, message, phase: 'body', sent: 'yes', status, headers, reason, cause }, this.#call)
  }
}

function newBackoff({ scope }: Call, { resume }: DownloadOptions): Backoff {
  return new Backoff(scope.services.clock, { maxAttempts: 10, ...resume })
}
