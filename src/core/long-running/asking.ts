import type { OperationInfo } from '../call/operation.ts'
import type { Scope, Services } from '../call/scope.ts'
import { CallError, isAnyCallError } from '../errors/error.ts'
import { guard, notify } from '../guard.ts'
import type { Timer } from '../time/clock.ts'
import { copyOf } from './errors.ts'
import type { Callbacks, Watch } from './feeds.ts'
import type { PollPace, RunCallOptions, RunDriver, RunFacts, RunState } from './types.ts'

/** What the runs of one operation have in common, within one client. */
export interface RunParts {
  readonly info: OperationInfo
  readonly services: Services
  readonly driver: RunDriver
  /** `false`: never polled unless something says that there is news. */
  readonly pace: PollPace | false
  readonly watch: Watch | undefined
  readonly callbacks: Callbacks | undefined
}

/** Who waits for news of a run. */
interface Waiter {
  /** Until when; monotonic ms. */
  readonly at: number
  /** Something has changed, or nobody can ask any more. */
  wake(error?: CallError): void
}

/** Never two polls within this, whatever a server says; ms. */
const spacingMs = 100
/** A longer wait is nobody's meaning; ms. */
const maxHintMs = 3_600_000
/** How long the server is still asked for a reader of progress who is busy with the last news; ms. */
const lingerMs = 5000

/** What is open while somebody waits. */
interface Round {
  readonly controller: AbortController
  readonly leaves: (() => void)[]
  /** Documents that come by themselves are read in their order. */
  reading: Promise<void>
  timer?: Timer | undefined
  linger?: Timer | undefined
  isPolling?: boolean
  isWatching?: boolean
  hasWarned?: boolean
}

/**
 * Asks how a run stands while anybody waits for it, once for all of them: by polls, a stream, callbacks, or all three.
 * The first word of its end is the last that counts.
 */
export class Asking {
  state: RunState
  progress: unknown
  /** How often its progress has changed. */
  changes = 0
  /** Readers of its progress who have not left; one who is busy with the last news will be back. */
  readers = 0
  readonly parts: RunParts
  readonly #options: RunCallOptions
  readonly #waiters = new Set<Waiter>()
  #round: Round | undefined
  #dueAt: number
  /** The wait that the server asked for. */
  #hintMs: number | undefined
  #polledAt = Number.NEGATIVE_INFINITY
  #polls = 0
  #failures = 0
  /** How often somebody has said that there is news, and how many of these a poll has answered. */
  #nudges = 0
  #answered = 0
  readonly #told = new WeakSet<CallError>()

  /** @param isNew - the server has just answered; else it is asked at once. */
  constructor(parts: RunParts, options: RunCallOptions, state: RunState, isNew: boolean) {
    this.parts = parts
    this.#options = options
    this.state = { ...state, status: 'running' }
    this.#dueAt = parts.services.clock.now()
    if (isNew || state.status !== 'running') this.take(state)
  }

  get isOver(): boolean {
    return this.state.status !== 'running'
  }

  /** Waits for news until `isDone`, or until the scope ends. @param at - until when; monotonic ms. */
  until(scope: Scope, at: number, isDone: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        at,
        wake: (error) => {
          if (!error && !isDone()) return
          this.#leave(waiter)
          error ? reject(error) : resolve()
        },
      }
      scope.onEnd(() => this.#leave(waiter))
      this.#join(waiter)
    })
  }

  #join(waiter: Waiter): void {
    this.#waiters.add(waiter)
    if (this.#round) {
      this.#round.linger?.clear()
      this.#round.linger = undefined
      this.#round.timer?.hold(true)
    } else this.#begin()
    this.#turnAway()
  }

  #leave(waiter: Waiter): void {
    const round = this.#round
    if (!this.#waiters.delete(waiter) || this.#waiters.size > 0 || !round) return
    if (this.readers === 0) {
      this.#end()
      return
    }
    round.timer?.hold(false)
    round.linger ??= this.parts.services.clock.setTimer(() => this.#end(), lingerMs)
    round.linger.hold(false)
  }

  /** A reader has left for good. */
  parted(): void {
    this.readers--
    if (this.readers === 0 && this.#waiters.size === 0) this.#end()
  }

  /** Takes what came of it; behind its end nothing counts. */
  take(news: RunState): void {
    if (this.isOver) return
    const { progress } = news
    this.state = news
    this.#failures = 0
    if (progress !== undefined && !isSame(progress, this.progress)) {
      this.progress = progress
      this.changes++
    }
    this.#planNext(news.retryAfterMs)
    if (this.isOver) this.#end()
    else if (this.#round && !this.#round.isPolling) this.#schedule(this.#round)
    for (const waiter of [...this.#waiters]) waiter.wake()
    this.#turnAway()
  }

  /** Something says that there is news: asks at once, if anybody waits. */
  nudge(): void {
    this.#nudges++
    this.#hintMs = undefined
    this.#dueAt = Math.max(this.parts.services.clock.now(), this.#polledAt + spacingMs)
    if (this.#round && !this.#round.isPolling) this.#schedule(this.#round)
  }

  facts(): RunFacts {
    const { id, url = '', document } = this.state
    return { id, url, document }
  }

  #begin(): void {
    if (this.isOver) return
    const round: Round = { controller: new AbortController(), leaves: [], reading: Promise.resolve() }
    this.#round = round
    const { callbacks, watch } = this.parts
    if (watch) this.#feed(round, 'watchWith()', () => this.#watch(round, watch))
    if (callbacks) this.#feed(round, 'callbacks', () => this.#subscribe(round, callbacks))
    if (this.#round === round) this.#schedule(round)
  }

  #end(): void {
    const round = this.#round
    this.#round = undefined
    if (!round) return
    round.timer?.clear()
    round.linger?.clear()
    round.controller.abort()
    for (const leave of round.leaves) this.#left(leave)
  }

  #schedule(round: Round): void {
    round.timer?.clear()
    round.timer = undefined
    if (this.parts.pace === false && this.#nudges === this.#answered) return
    const { clock } = this.parts.services
    round.timer = clock.setTimer(() => void this.#poll(round), Math.max(0, this.#dueAt - clock.now()))
    if (this.#waiters.size === 0) round.timer.hold(false)
  }

  async #poll(round: Round): Promise<void> {
    const { driver, services } = this.parts
    const { signal } = round.controller
    round.isPolling = true
    const nudges = this.#nudges
    this.#polledAt = services.clock.now()
    this.#polls++
    try {
      // Before its answer is read: who cannot wait for as long as that asks is told at once.
      const news = await driver.poll(this.state, { ...this.#options, signal }).finally(() => {
        round.isPolling = false
      })
      if (!signal.aborted) {
        this.#answered = nudges
        this.take(news)
      }
    } catch (error) {
      if (!signal.aborted) this.#failed(error as CallError)
    }
    if (this.#round === round && !this.isOver) this.#schedule(round)
  }

  /** A server that is away for a while has not lost the run. */
  #failed(error: CallError): void {
    const { maxFailures = 10 } = this.parts.pace || {}
    const isTransient =
      isAnyCallError(error) &&
      (error.isRetryable || error.code === 'deadline_exceeded') &&
      (error.retryAfterMs ?? 0) <= maxHintMs
    if (isTransient && ++this.#failures < maxFailures) {
      this.#planNext(error.retryAfterMs)
      this.#turnAway()
      return
    }
    this.#failures = 0
    this.#planNext(undefined)
    if (isAnyCallError(error)) Object.assign(error, { runStatus: 'running' })
    for (const waiter of [...this.#waiters]) waiter.wake(this.#own(error))
  }

  /** When it is asked next: a server's wait is a floor with the jitter on top. */
  #planNext(hintMs: number | undefined): void {
    const { clock } = this.parts.services
    const { pace, callbacks } = this.parts
    const { minMs = 1000, maxMs = 30_000 } = pace || {}
    const isTold = callbacks !== undefined || this.#round?.isWatching
    const own = isTold ? maxMs : Math.min(maxMs, minMs * 1.5 ** Math.min(this.#polls, 64))
    const jitter = clock.random()
    this.#hintMs = hintMs !== undefined && hintMs <= maxHintMs ? hintMs : undefined
    const floor = this.#hintMs === undefined ? own * 0.75 : Math.max(this.#hintMs, isTold ? maxMs : 0)
    const spread = this.#hintMs === undefined ? own / 2 : Math.min(1000, floor / 10)
    const now = clock.now()
    this.#dueAt = Math.max(now + floor + jitter * spread, this.#polledAt + spacingMs, now)
  }

  /** Who cannot wait for as long as the server asks is told at once. */
  #turnAway(): void {
    const round = this.#round
    const hintMs = this.#hintMs
    if (!round || hintMs === undefined || round.isPolling || round.isWatching || this.parts.callbacks) return
    for (const waiter of [...this.#waiters]) if (waiter.at < this.#dueAt) waiter.wake(this.late(hintMs))
  }

  /** The error as one of whoever is told of it: a stack is one caller's alone. */
  #own(error: CallError): CallError {
    if (isAnyCallError(error) && this.#told.has(error)) return copyOf(error, this.parts.info)
    if (isAnyCallError(error)) this.#told.add(error)
    return error
  }

  /** Throws it as one of whoever is told of it. */
  readonly rethrow = (error: CallError): never => {
    throw this.#own(error)
  }

  /** What those are told who wait no longer. */
  late(retryAfterMs?: number): CallError {
    const why = retryAfterMs === undefined ? 'the time to wait is over' : 'the server asks for a longer wait'
    const message = this.isOver
      ? 'the run has succeeded, and its result is late: call result() again'
      : `${why}, and the run goes on at the server: call result() again, or keep JSON.stringify(run)`
    const failure = { code: 'deadline_exceeded', message, phase: 'body', sent: 'yes', retryAfterMs } as const
    const error = new CallError(failure, { operation: this.parts.info })
    return Object.assign(error, { runStatus: this.state.status })
  }

  /** Opens what tells of the run beside the polls, which go on where it cannot be opened. */
  #feed(round: Round, what: string, open: () => (() => void) | undefined): void {
    try {
      const leave = open()
      if (!leave) return
      if (this.#round === round) round.leaves.push(leave)
      else this.#left(leave)
    } catch (error) {
      this.#warn(round, what, error)
    }
  }

  #left(leave: () => void): void {
    notify('what callbacks.subscribe() gave', leave, this.parts.services.telemetry)
  }

  #subscribe(round: Round, callbacks: Callbacks): () => void {
    const listener = (document: unknown): void => {
      if (this.#round !== round) return
      if (document === undefined) this.nudge()
      else this.#came(round, 'a callback', () => document)
    }
    return guard('callbacks.subscribe()', () => callbacks.subscribe(this.state.id, listener))
  }

  #watch(round: Round, watch: Watch): (() => void) | undefined {
    const leave = watch.open({
      run: this.facts(),
      parts: this.parts,
      options: { ...this.#options, signal: round.controller.signal },
      onMessage: (read) => this.#came(round, 'watchWith()', read),
      onTurn: (isWatching) => {
        round.isWatching = isWatching
        if (this.#round === round) this.nudge()
      },
    })
    round.isWatching = leave !== undefined
    return leave
  }

  /** A document of a stream or a callback: one that cannot be read harms nobody, since polls tell as well. */
  #came(round: Round, what: string, read: () => unknown): void {
    round.reading = round.reading.then(async () => {
      try {
        const document = await guard(what, read, { operation: this.parts.info })
        if (document === undefined) return
        const news = await this.parts.driver.read(document, this.state)
        if (this.#round === round) this.take(news)
      } catch (error) {
        this.#warn(round, what, error)
      }
    })
  }

  #warn(round: Round, what: string, error: unknown): void {
    if (round.hasWarned) return
    round.hasWarned = true
    const { info, services } = this.parts
    const why = isAnyCallError(error) ? error.message : 'it threw'
    const message = `${info.name}: what ${what} says of a run cannot be used, polls go on: ${why}`
    services.telemetry?.event?.({ type: 'warning', call: undefined, message })
  }
}

/** Whether two states of progress say the same; what JSON cannot hold is always news, but for the int64 of protobuf. */
function isSame(one: unknown, other: unknown): boolean {
  const textOf = (value: unknown) =>
    JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? `${each}n` : each))
  try {
    return one === other || textOf(one) === textOf(other)
  } catch {
    return false
  }
}
