import { absoluteDeadline, checkCallOptions, type Progress } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import { withoutRemoved } from '../../../src/core/call/header-map.ts'
import type { OperationInfo } from '../../../src/core/call/operation.ts'
import type { Plan } from '../../../src/core/call/plan.ts'
import { Scope } from '../../../src/core/call/scope.ts'
import { addCaller, CallError, failureOf, isAnyCallError } from '../../../src/core/errors/error.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import { guard, notify } from '../../../src/core/guard.ts'
import { copyOf } from '../../../src/core/long-running/errors.ts'
import { isObject } from '../../../src/core/tag.ts'
import { Backoff } from '../../../src/core/time/backoff.ts'
import { bounded, sleep } from '../../../src/core/time/bounded.ts'
import { LatestProgress } from './progress.ts'
import { RemoteUpload, type UploadPlan } from './remote.ts'
import { openSource, type Source } from './source.ts'
import type { Upload, Uploaded, UploadInput, UploadOptions, UploadSource, UploadState } from './types.ts'

/** An upload begins anew, or goes on with what another process has written down. */
export type UploadStart = { readonly options: UploadOptions | undefined } & (
  | { readonly input: UploadInput }
  | { readonly state: UploadState; readonly source: UploadSource }
)

type Reply = UnaryResult<unknown>
const maxRestarts = 3
/** Why a step ended that `pause()` has stopped. */
const paused = Symbol('paused')
/** Of a locked upload, of offsets that do not fit, and of a part that was damaged: the next look at the upload helps. */
const passing = [409, 423, 460]

/** One upload under way: what comes next, and what becomes of it when something breaks. */
export class UploadRun implements Upload<unknown> {
  state: Upload['state'] = 'running'
  readonly progress = new LatestProgress()
  readonly #plan: UploadPlan
  readonly #options: UploadOptions
  readonly #scope: Scope
  readonly #remote: RemoteUpload
  readonly #result: Promise<unknown>
  #source: Source | undefined
  #fingerprint: string | undefined
  #backoff: Backoff
  /** What the server had when an attempt last brought it further. */
  #confirmed = 0
  #restarts = 0
  /** Of the whole, by the monotonic clock. */
  #deadline!: number
  /** What is under way: one request, or a wait. */
  #step: Scope | undefined
  #wake: (() => void) | undefined

  constructor(plan: UploadPlan, start: UploadStart) {
    this.#plan = plan
    this.#options = start.options ?? {}
    this.#scope = new Scope(plan.services, undefined, plan.info)
    this.#backoff = this.#newBackoff()
    this.#remote = new RemoteUpload(plan, this.#options, this.#scope, (transferred) => this.#tell(transferred))
    this.#result = this.#run(start)
    // Whoever asks for the result is told; nobody need.
    this.#result.catch(() => undefined)
  }

  /** As for HeaderMap. */
  get [Symbol.toStringTag](): string {
    return 'Upload'
  }

  get url(): string | undefined {
    return this.#remote.url
  }

  get offset(): number {
    return this.#remote.offset
  }

  async result(): Promise<unknown> {
    try {
      return await this.#result
    } catch (error) {
      throw addCaller(error)
    }
  }

  pause(): void {
    if (this.state !== 'running' && this.state !== 'waiting') return
    this.state = 'paused'
    this.#step?.abort(paused)
  }

  resume(): void {
    if (this.state !== 'paused') return
    this.state = 'running'
    this.#wake?.()
  }

  async cancel(): Promise<void> {
    await this.#leave('the upload was canceled')
    if (this.url === undefined || this.state === 'done') return
    try {
      await this.#remote.discard()
    } catch (error) {
      // It is gone already.
      if (!isAnyCallError(error) || !this.#plan.spec.by.gone.includes(error.status ?? 0)) throw addCaller(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#leave('the upload was left; what the server has stays there')
  }

  toJSON(): UploadState {
    const { url, offset, input, metadata, totalBytes, expiresAt } = this.#remote
    const protocol = this.#plan.spec.by.name
    const fingerprint = this.#fingerprint
    const state = { version: 1, protocol, url, offset, input, metadata, totalBytes, fingerprint, expiresAt }
    return withoutRemoved<unknown>(state) as unknown as UploadState
  }

  async #leave(message: string): Promise<void> {
    const { phase, sent } = this.#scope
    this.#scope.abort(new CallError({ code: 'canceled', message, phase, sent }, this.#origin))
    await this.#result.catch(() => undefined)
  }

  get #origin() {
    return { operation: this.#plan.info }
  }

  async #run(start: UploadStart): Promise<unknown> {
    const scope = this.#scope
    try {
      this.#begin(start)
      this.#prepare(start)
      const mark = await bounded(scope, () =>
        guard('reading the source of the upload', () => this.#source?.fingerprint(), this.#origin),
      )
      if (this.#fingerprint !== undefined && mark !== undefined && mark !== this.#fingerprint) {
        const message = 'the source is another one than the upload was begun with; nothing was sent'
        throw this.#remote.error('failed_precondition', message, 'no')
      }
      this.#fingerprint = mark ?? this.#fingerprint
      const value = await this.#drive()
      this.state = 'done'
      return value
    } catch (error) {
      this.state = 'failed'
      throw scope.isAborted ? scope.reason : ofWhole(error, scope, this.#plan.info)
    } finally {
      this.#source?.close()
      this.progress.end()
      scope.end()
    }
  }

  /** Ties it to the client's life, the caller's signal and the deadline of the whole. */
  #begin({ options }: UploadStart): void {
    const scope = this.#scope
    const { clock, live = [] } = scope.services
    if (options) checkCallOptions(options, this.#origin)
    scope.begin(live, this.#options.signal)
    this.#deadline = absoluteDeadline(this.#options, clock)
    if (this.#deadline === Number.POSITIVE_INFINITY) return
    const message = 'the deadline of the upload passed; what the server has stays there'
    scope.abortAt(this.#deadline, () => this.#remote.error('deadline_exceeded', message, scope.sent))
  }

  #prepare(start: UploadStart): void {
    const remote = this.#remote
    const isRevived = 'state' in start
    if (isRevived) this.#takeUp(start.state)
    const { source, totalBytes } = isRevived
      ? { source: start.source, totalBytes: start.state.totalBytes }
      : this.#read(start.input)
    const isChunked = remote.chunkBytes !== Number.POSITIVE_INFINITY
    this.#source = openSource(source, { totalBytes, isChunked, origin: this.#origin })
    remote.totalBytes = this.#source.totalBytes
    if (!isRevived) remote.metadata = { ...this.#source.metadata, ...remote.metadata }
    if (this.#plan.spec.by.digest && !globalThis.crypto?.subtle)
      throw refusal('a digest of each part needs Web Crypto, which a page has over https only', this.#origin)
  }

  #takeUp(state: UploadState): void {
    const { name } = this.#plan.spec.by
    if (!isState(state))
      throw refusal('revive() takes what JSON.parse makes of an upload that was written down', this.#origin)
    if (state.protocol !== name)
      throw refusal(`the upload was begun by another protocol than ${name}, and goes on by that`, this.#origin)
    this.#fingerprint = state.fingerprint
    this.#remote.takeUp(state)
  }

  #read(given: UploadInput): Pick<UploadInput, 'source'> & { readonly totalBytes: number | undefined } {
    const { encodeInput, checkInput } = this.#clientPlan
    const input = (encodeInput ? encodeInput(given, checkInput) : given) as UploadInput
    if (!isObject(input)) throw refusal('the input of an upload is an object with a source', this.#origin)
    const { source, totalBytes, metadata = {}, ...rest } = input
    if (!isTexts(metadata)) throw refusal('metadata is an object of texts', this.#origin)
    this.#remote.input = rest
    this.#remote.metadata = metadata
    return { source, totalBytes }
  }

  get #clientPlan(): Plan {
    return this.#plan.services.planOf?.(this.#plan.info) as Plan
  }

  /** Step by step, until the server has all. */
  async #drive(): Promise<unknown> {
    const remote = this.#remote
    for (;;) {
      while (this.state === 'paused')
        await bounded(this.#scope, () => new Promise<void>((resolve) => (this.#wake = resolve)))
      const step = (this.#step = this.#scope.fork())
      try {
        const reply = await this.#next(step)
        if (remote.isComplete) return this.#finish(reply ?? (await this.#askAgain(step)))
      } catch (error) {
        await this.#recover(error)
      } finally {
        step.end()
      }
    }
  }

  #next(step: Scope): Promise<Reply | undefined> {
    const remote = this.#remote
    const source = this.#source as Source
    if (remote.url === undefined) return remote.create(step, source)
    return remote.isSure ? remote.append(step, source) : remote.ask(step)
  }

  /** Its last answer was lost: where something is to be read in it, a server may give it once more. */
  async #askAgain(step: Scope): Promise<Reply | undefined> {
    if (!this.#plan.spec.output || !this.#plan.spec.by.repeatsAnswers) return undefined
    try {
      return await this.#remote.again(step)
    } catch (error) {
      if (!isAnyCallError(error) || this.#scope.isOver) throw error
      return undefined
    }
  }

  #tell(transferredBytes: number): void {
    const { totalBytes, offset } = this.#remote
    // What the server has not had before ends a row of failures.
    if (offset > this.#confirmed) this.#backoff = this.#newBackoff()
    this.#confirmed = Math.max(offset, this.#confirmed)
    const progress: Progress = totalBytes === undefined ? { transferredBytes } : { transferredBytes, totalBytes }
    this.progress.tell(progress)
    const { onUploadProgress } = this.#options
    if (onUploadProgress) notify('onUploadProgress', onUploadProgress, this.#scope.services.telemetry, progress)
  }

  #newBackoff(): Backoff {
    return new Backoff(this.#plan.services.clock, { maxAttempts: 10, ...this.#plan.spec.resume })
  }

  /** Decides what a failure means for the upload, and waits where it goes on. @throws what ends it. */
  async #recover(error: unknown): Promise<void> {
    const remote = this.#remote
    if (this.#scope.isOver) throw error
    if (error === paused) return
    if (this.#source?.failure) throw this.#source.failure
    if (!isAnyCallError(error)) throw error
    const { by } = this.#plan.spec
    const { status = 0, headers } = error
    // The whole was taken, and what came of it is the server's last word.
    if (headers && by.read(headers, 0).isComplete) throw error
    if (remote.url !== undefined && by.gone.includes(status)) return this.#restart(error)
    if (status === 413 && remote.fitsSmaller(error)) return
    // With content it may be complete, and nothing tells where it is: it is not made twice.
    const isLost = remote.url === undefined && by.isOptimistic && error.sent !== 'no' && !failureOf(error).isUnexecuted
    if (isLost) throw error
    const isPassing = error.isRetryable || passing.includes(status) || error.code === 'deadline_exceeded'
    if (!isPassing || this.#backoff.isExhausted) throw error
    const waitMs = this.#backoff.next(error.retryAfterMs)
    // Whoever waits is told at once that it would be in vain.
    if (this.#scope.services.clock.now() + waitMs > this.#deadline) throw error
    await this.#wait(waitMs)
  }

  async #wait(waitMs: number): Promise<void> {
    const step = (this.#step = this.#scope.fork())
    this.state = 'waiting'
    try {
      await sleep(waitMs, step)
    } catch (reason) {
      if (reason !== paused) throw reason
    } finally {
      step.end()
      if (this.state === 'waiting') this.state = 'running'
      this.#backoff.attempted()
    }
  }

  /** The server has lost it. @throws {CallError} `data_loss` where it cannot begin anew. */
  #restart(cause: CallError): void {
    const mayRestart = this.#plan.spec.lost !== 'fail' && this.#restarts < maxRestarts
    if (mayRestart && this.#source?.isReplayable) {
      this.#restarts++
      this.#remote.forget()
      return
    }
    const how = mayRestart ? 'its source can be read only once: nothing of it is left' : 'begin it anew'
    const { status, headers } = cause
    const message = `the server does not know the upload any more (status ${status}); ${how}`
    throw new CallError(
      { code: 'data_loss', message, phase: 'headers', sent: 'yes', status, headers, cause },
      this.#origin,
    )
  }

  #finish(reply: Reply | undefined): unknown {
    const { convert = (value: unknown) => value } = this.#clientPlan
    const { url = '', offset, totalBytes = offset } = this.#remote
    const uploaded: Uploaded = { url, totalBytes }
    if (!this.#plan.spec.output) return convert(uploaded)
    if (reply?.message !== undefined) return convert(reply.message)
    const why = reply ? 'its answer is empty where output is declared' : 'its last answer was lost on the way'
    throw this.#remote.error('internal', `the upload is complete, and ${why}`)
  }
}

/** What a step has failed with, unsent, as an error of the whole, whose other requests were sent. */
function ofWhole(error: unknown, { sent }: Scope, info: OperationInfo): unknown {
  if (!isAnyCallError(error) || error.sent !== 'no' || sent === 'no') return error
  return copyOf(error, info, { sent })
}

function isTexts(metadata: unknown): metadata is Readonly<Record<string, string>> {
  return isObject(metadata) && Object.values(metadata).every((value) => typeof value === 'string')
}

/** It comes from a store, and may be anything. */
function isState(state: Partial<UploadState> | null | undefined): state is UploadState {
  const { version, url, input, metadata = {} } = Object(state) as Partial<UploadState>
  return (
    version === 1 &&
    (url === undefined || (typeof url === 'string' && url !== '')) &&
    isObject(input) &&
    isTexts(metadata)
  )
}
