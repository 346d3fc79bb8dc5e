import { type CallOptions, checkCallOptions } from '../call/call-options.ts'
import { Scope } from '../call/scope.ts'
import { addCaller, CallError } from '../errors/error.ts'
import { bounded } from '../time/bounded.ts'
import { Asking, type RunParts, type Waiter } from './asking.ts'
import type { Run, RunCallOptions, RunState, RunStatus, RunToken, WaitOptions } from './types.ts'

/** One run, as its caller holds it. */
export class RunHandle implements Run<unknown, unknown> {
  readonly progress: AsyncIterable<unknown>
  readonly #parts: RunParts
  readonly #options: RunCallOptions
  readonly #asking: Asking
  #fetched: Promise<unknown> | undefined
  /** Ends the call that fetches the result when nobody waits for it any more. */
  #fetching: AbortController | undefined
  #fetchers = 0
  #canceling: Promise<void> | undefined

  constructor(parts: RunParts, options: RunCallOptions, state: RunState, isNew: boolean) {
    this.#parts = parts
    this.#options = options
    const asking = new Asking(parts, options, state, isNew)
    this.#asking = asking
    this.progress = { [Symbol.asyncIterator]: () => new ProgressReader(asking) }
  }

  get id(): string {
    return this.#asking.state.id
  }

  get status(): RunStatus {
    return this.#asking.state.status
  }

  get lastProgress(): unknown {
    return this.#asking.progress
  }

  async result(options: WaitOptions = {}): Promise<unknown> {
    const { services, info } = this.#parts
    const asking = this.#asking
    const scope = new Scope(services, undefined, info)
    try {
      checkCallOptions(options, { operation: info })
      scope.begin(services.live ?? [], options.signal)
      const at = momentOf(options, services.clock)
      const expired = () => (asking.isOver ? lateResult(this.#parts) : asking.late())
      return await bounded(scope, () => this.#wait(scope, at, options), { at, expired })
    } catch (error) {
      throw addCaller(error)
    } finally {
      scope.end()
    }
  }

  async poll(options: CallOptions = {}): Promise<RunStatus> {
    const asking = this.#asking
    if (!asking.isOver) asking.take(await this.#parts.driver.poll(asking.state, { ...this.#options, ...options }))
    return this.status
  }

  /** One call, however often it is asked for; one that failed may be asked for again. */
  cancel(options: CallOptions = {}): Promise<void> {
    this.#canceling ??= this.#cancel(options).catch((error: unknown) => {
      this.#canceling = undefined
      throw error
    })
    return this.#canceling
  }

  async update(document?: unknown): Promise<void> {
    const asking = this.#asking
    if (document === undefined) asking.nudge()
    else asking.take(await this.#parts.driver.read(document, asking.state))
  }

  toJSON(): RunToken {
    const { id, place } = this.#asking.state
    return { v: 1, operation: this.#parts.info.name, id, place }
  }

  async #cancel(options: CallOptions): Promise<void> {
    const asking = this.#asking
    if (asking.isOver) return
    await this.#parts.driver.cancel(asking.state, { ...this.#options, ...options })
    asking.nudge()
  }

  async #wait(scope: Scope, at: number, options: WaitOptions): Promise<unknown> {
    const asking = this.#asking
    if (!asking.isOver)
      await new Promise<void>((resolve, reject) => {
        const waiter: Waiter = {
          at,
          wake(error) {
            if (!error && !asking.isOver) return
            asking.leave(waiter)
            error ? reject(error) : resolve()
          },
        }
        scope.onEnd(() => asking.leave(waiter))
        asking.join(waiter)
      })
    const { failure, status } = asking.state
    if (failure) throw Object.assign(new CallError(failure, { operation: this.#parts.info }), { runStatus: status })
    return await this.#fetch(scope, options)
  }

  /** The result is fetched once for all who want it, and kept; a stream of bytes is anew for each. */
  #fetch(scope: Scope, { signal, deadline }: WaitOptions): Promise<unknown> {
    const { driver } = this.#parts
    const { state } = this.#asking
    if (!driver.isResultShared) return driver.result(state, { ...this.#options, signal, deadline })
    this.#fetching ??= new AbortController()
    const fetching = this.#fetching
    this.#fetched ??= driver.result(state, { ...this.#options, signal: fetching.signal }).catch((error: unknown) => {
      if (this.#fetching === fetching) this.#forget()
      throw error
    })
    this.#fetchers++
    let isDone = false
    const done = (): void => {
      isDone = true
    }
    this.#fetched.then(done, done)
    scope.onEnd(() => {
      this.#fetchers--
      if (this.#fetchers > 0 || isDone || this.#fetching !== fetching) return
      this.#forget()
      fetching.abort()
    })
    return this.#fetched.catch((error: CallError) => {
      throw this.#asking.own(error)
    })
  }

  #forget(): void {
    this.#fetched = this.#fetching = undefined
  }
}

/** What is said of progress, the latest first, until the run is over. It asks only while it is read. */
class ProgressReader implements AsyncIterableIterator<unknown, undefined> {
  readonly #asking: Asking
  #seen = 0
  #hasBegun = false
  #hasLeft = false
  #turn: Promise<unknown> = Promise.resolve()
  #scope: Scope | undefined

  constructor(asking: Asking) {
    this.#asking = asking
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const step = this.#turn.then(() => this.#next())
    this.#turn = step.catch(() => undefined)
    return step
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#leave()
    return { done: true, value: undefined }
  }

  async #next(): Promise<IteratorResult<unknown, undefined>> {
    const asking = this.#asking
    if (!this.#hasBegun) {
      this.#hasBegun = true
      if (!this.#hasLeft) asking.readers++
    }
    if (!this.#hasLeft && asking.changes <= this.#seen && !asking.isOver) await this.#news()
    if (!this.#hasLeft && asking.changes > this.#seen) {
      this.#seen = asking.changes
      return { done: false, value: asking.progress }
    }
    return this.return()
  }

  /** Until there is something to give, or nothing follows. */
  async #news(): Promise<void> {
    const asking = this.#asking
    const { services, info } = asking.parts
    const scope = new Scope(services, undefined, info)
    this.#scope = scope
    try {
      scope.begin(services.live ?? [], undefined)
      await bounded(
        scope,
        () =>
          new Promise<void>((resolve, reject) => {
            const waiter: Waiter = {
              at: Number.POSITIVE_INFINITY,
              wake: (error) => {
                if (!error && !asking.isOver && asking.changes <= this.#seen) return
                asking.leave(waiter)
                error ? reject(error) : resolve()
              },
            }
            scope.onEnd(() => asking.leave(waiter))
            asking.join(waiter)
          }),
      )
    } catch (error) {
      const hadLeft = this.#hasLeft
      this.#leave()
      if (!hadLeft) throw addCaller(error)
    } finally {
      this.#scope = undefined
      scope.end()
    }
  }

  #leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#scope?.abort(undefined)
    if (this.#hasBegun) this.#asking.parted()
  }
}

/** When the waiting ends; monotonic ms. */
function momentOf(
  { timeoutMs = Number.POSITIVE_INFINITY, deadline = Number.POSITIVE_INFINITY }: WaitOptions,
  clock: { now(): number; wallNow(): number },
): number {
  const absolute = (typeof deadline === 'number' ? deadline : deadline.getTime()) - clock.wallNow()
  return clock.now() + Math.min(timeoutMs, absolute)
}

function lateResult({ info }: RunParts): CallError {
  const message = 'the run has succeeded, and its result did not come in time: call result() again'
  const error = new CallError({ code: 'deadline_exceeded', message, phase: 'body', sent: 'yes' }, { operation: info })
  return Object.assign(error, { runStatus: 'succeeded' })
}
