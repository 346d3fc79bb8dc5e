import { absoluteDeadline, type CallOptions, checkCallOptions } from '../call/call-options.ts'
import { Scope } from '../call/scope.ts'
import { addCaller, CallError } from '../errors/error.ts'
import { bounded } from '../time/bounded.ts'
import { Asking, type RunParts } from './asking.ts'
import type { Run, RunCallOptions, RunState, RunStatus, RunToken, WaitOptions } from './types.ts'

/** One run, as its caller holds it. */
export class RunHandle implements Run<unknown, unknown> {
  readonly progress: AsyncIterable<unknown>
  readonly #parts: RunParts
  readonly #options: RunCallOptions
  readonly #asking: Asking
  readonly #result = new OneCall()
  readonly #cancellation = new OneCall()

  constructor(parts: RunParts, options: RunCallOptions, state: RunState, isNew: boolean) {
    this.#parts = parts
    this.#options = options
    const asking = new Asking(parts, options, state, isNew)
    this.#asking = asking
    this.progress = { [Symbol.asyncIterator]: () => new ProgressReader(asking) }
  }

  /** As for HeaderMap. */
  get [Symbol.toStringTag](): string {
    return 'Run'
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

  result(options: WaitOptions = {}): Promise<unknown> {
    const { services, driver } = this.#parts
    const { clock } = services
    return forCaller(this.#asking, options, (scope) => {
      // The server has taken the run, whatever ends the waiting.
      scope.mark('body', 'yes')
      const { timeoutMs = Number.POSITIVE_INFINITY } = options
      const at = Math.min(clock.now() + timeoutMs, absoluteDeadline(options, clock))
      return bounded(scope, () => this.#wait(scope, at, options), {
        at,
        expired: () => this.#asking.late(),
        // One that comes when nobody waits any more may be a stream: it is closed.
        ...(!driver.isResultShared && {
          discard: (late) => void (late as { cancel?(): unknown } | undefined)?.cancel?.(),
        }),
      })
    })
  }

  async poll(options: CallOptions = {}): Promise<RunStatus> {
    const asking = this.#asking
    if (!asking.isOver) asking.take(await this.#parts.driver.poll(asking.state, { ...this.#options, ...options }))
    return this.status
  }

  /** One call, however often it is asked for; one that failed may be asked for again. */
  async cancel(options: CallOptions = {}): Promise<void> {
    const asking = this.#asking
    if (asking.isOver) return
    const call = (signal: AbortSignal) =>
      this.#parts.driver.cancel(asking.state, { ...this.#options, ...options, signal })
    await forCaller(asking, options, (scope) => {
      scope.mark('send', 'maybe')
      return bounded(scope, () => this.#cancellation.join(scope, call)).catch(asking.rethrow)
    })
    asking.nudge()
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

  async #wait(scope: Scope, at: number, options: WaitOptions): Promise<unknown> {
    const asking = this.#asking
    if (!asking.isOver) await asking.until(scope, at, () => asking.isOver)
    const { failure, status } = asking.state
    if (failure) throw Object.assign(new CallError(failure, { operation: this.#parts.info }), { runStatus: status })
    return await this.#fetch(scope, options)
  }

  /** The result is fetched once for all who want it, and kept; a stream of bytes is anew for each. */
  #fetch(scope: Scope, { signal, deadline }: WaitOptions): Promise<unknown> {
    const { driver } = this.#parts
    const { state } = this.#asking
    if (!driver.isResultShared) return driver.result(state, { ...this.#options, signal, deadline })
    const call = (shared: AbortSignal) => driver.result(state, { ...this.#options, signal: shared })
    return this.#result.join(scope, call).catch(this.#asking.rethrow)
  }
}

/** One call for all who want what it gives: made once, kept, and ended when nobody waits for it any more. */
class OneCall {
  #work: Promise<unknown> | undefined
  #controller: AbortController | undefined
  #waiting = 0

  /** @param scope - of who waits: its end is the end of the waiting. One that failed may be made again. */
  join(scope: Scope, call: (signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
    const controller = (this.#controller ??= new AbortController())
    const work = (this.#work ??= call(controller.signal).catch((error: unknown) => {
      this.#forget(controller)
      throw error
    }))
    this.#waiting++
    let isDone = false
    const done = (): void => {
      isDone = true
    }
    work.then(done, done)
    scope.onEnd(() => {
      this.#waiting--
      if (this.#waiting > 0 || isDone || this.#controller !== controller) return
      this.#forget(controller)
      controller.abort()
    })
    return work
  }

  #forget(controller: AbortController): void {
    if (this.#controller === controller) this.#work = this.#controller = undefined
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
    try {
      await forCaller(asking, {}, (scope) => {
        this.#scope = scope
        scope.mark('body', 'yes')
        const isNews = () => asking.isOver || asking.changes > this.#seen
        return bounded(scope, () => asking.until(scope, Number.POSITIVE_INFINITY, isNews))
      })
    } catch (error) {
      const hadLeft = this.#hasLeft
      this.#leave()
      if (!hadLeft) throw error
    } finally {
      this.#scope = undefined
    }
  }

  #leave(): void {
    if (this.#hasLeft) return
    this.#hasLeft = true
    this.#scope?.abort(undefined)
    if (this.#hasBegun) this.#asking.parted()
  }
}

/** Work for one who waits, and may leave: what it fails with tells of the caller's line. */
async function forCaller<T>(asking: Asking, options: CallOptions, work: (scope: Scope) => Promise<T>): Promise<T> {
  const { services, info } = asking.parts
  const scope = new Scope(services, undefined, info)
  try {
    checkCallOptions(options, { operation: info })
    scope.begin(services.live ?? [], options.signal)
    return await work(scope)
  } catch (error) {
    throw addCaller(error)
  } finally {
    scope.end()
  }
}
