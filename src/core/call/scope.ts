import type { FailedAttempt } from '../errors/error.ts'
import type { Phase, Sent } from '../errors/failure.ts'
import { notify } from '../guard.ts'
import type { RetryLimits } from '../retry/limits.ts'
import type { StreamState } from '../stream/state.ts'
import type { Clock } from '../time/clock.ts'
import type { Armed, DeadlineList } from '../time/deadline-list.ts'
import type { OperationInfo } from './operation.ts'
import type { Telemetry } from './telemetry.ts'

/** What all calls of one client share. */
export interface Services {
  readonly clock: Clock
  readonly deadlines: DeadlineList
  /** Budgets and waits, by origin and operation. */
  readonly limits: RetryLimits
  readonly telemetry: Telemetry | undefined
  /** The calls that are not over. */
  readonly live?: LiveScopes
  /** What calls that are over still do, and the client's `close()` waits for. */
  readonly lastWork?: Set<Promise<unknown>>
}

const inspect = Symbol.for('nodejs.util.inspect.custom')

/**
 * The mutable half of a call, shared by all its copies: how it is ended and what has happened so far.
 *
 * `abort` settles the caller at once; `end` is called by the facade, once, whatever ended the call. Work that must
 * happen at the end is registered with `onEnd`; every transport closes its wire on `onAbort`.
 */
export class Scope {
  readonly services: Services
  readonly root: Scope
  /** Whose call it is, for what a client says when it ends it (root only). */
  readonly operation: OperationInfo | undefined
  /** Sends of this call so far, replays after a token refresh included (root only). */
  sends = 0
  /** Attempts of this call or opening so far (root only). */
  attempts = 0
  /** Times a stream was opened again (root only). */
  reopens = 0
  /** Failed attempts before the current one (root only). */
  failures: FailedAttempt[] = []
  /** The key of this call, for its reply (root only). */
  idempotencyKey: string | undefined
  /** Where the attempt in flight is (root only). */
  phase: Phase = 'resolve'
  /** Whether any attempt can have reached the server (root only). */
  sent: Sent = 'no'
  /** What a stream failed with, where that was no abort (root only). */
  failure: unknown
  /** How the stream of this call stands (root only); told to {@link onStreamState}. */
  streamState: StreamState = 'idle'
  /** Who wants to know: the stream's handle (root only). */
  onStreamState: ((state: StreamState) => void) | undefined
  /** Where it stands among the calls of its client that are not over; -1 where it does not (root only). */
  liveIndex = -1
  #state: 'live' | 'aborted' | 'ended' = 'live'
  #isEnded = false
  /** Listeners are being told; one of them may end the call, which must not keep it from the others. */
  #isAborting = false
  #reason: unknown
  #onAbort: Listeners | undefined
  #onEnd: Listeners | undefined
  #armed: Armed | undefined
  #controller: AbortController | undefined

  constructor(services: Services, parent?: Scope, operation?: OperationInfo) {
    this.services = services
    this.operation = operation
    this.root = parent ? parent.root : this
    if (!parent) return
    const offAbort = parent.onAbort((reason) => this.abort(reason))
    const offEnd = parent.onEnd(() => this.end())
    this.onEnd(() => {
      offAbort()
      offEnd()
    })
  }

  /** Aborted or ended: nothing may be started for this call, and what arrives is closed. */
  get isOver(): boolean {
    return this.#state !== 'live'
  }

  get isAborted(): boolean {
    return this.#state === 'aborted'
  }

  /** What it was aborted with. */
  get reason(): unknown {
    return this.#reason
  }

  /** The same as an AbortSignal, made when first asked for: one a call would cost more than the whole chain. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#state === 'aborted') this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Notes how far the attempt in flight has come. */
  mark(phase: Phase, sent: Sent): void {
    const root = this.root
    root.phase = phase
    if (root.sent === 'no' || sent === 'yes') root.sent = sent
  }

  /** Publishes how the stream stands. */
  setStreamState(state: StreamState): void {
    const root = this.root
    if (root.streamState === state || root.streamState === 'closed') return
    root.streamState = state
    root.onStreamState?.(state)
  }

  /** Ends the call with `reason`: closes wire, sleeps and waits, and settles the caller. The first reason stands. */
  abort(reason: unknown): void {
    if (this.#state !== 'live') return
    this.#state = 'aborted'
    this.#reason = reason
    const listeners = this.#onAbort
    this.#onAbort = undefined
    this.#isAborting = true
    listeners?.tell('an onAbort listener', this.services, reason)
    this.#controller?.abort(reason)
    this.#isAborting = false
    this.end()
  }

  /** Calls `listener` on abort, at once if that has happened; returns what removes it. What it throws harms nobody. */
  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.#state === 'aborted') notify('an onAbort listener', listener, this.services.telemetry, this.#reason)
    if (this.#state !== 'live') return noop
    return (this.#onAbort ??= new Listeners()).add(listener)
  }

  /** Calls `listener` once when the call is over, at once if it is; returns what removes it. What it throws harms nobody. */
  onEnd(listener: () => void): () => void {
    if (!this.#isEnded) return (this.#onEnd ??= new Listeners()).add(listener)
    notify('an onEnd listener', listener, this.services.telemetry)
    return noop
  }

  /** Aborts the call at a moment of the monotonic clock with what `expired` makes; its end takes that off the list. */
  abortAt(at: number, expired: () => unknown): Armed {
    const armed = this.services.deadlines.add(at, () => this.abort(expired()))
    if (!this.#armed) this.#armed = armed
    else this.onEnd(() => this.services.deadlines.remove(armed))
    return armed
  }

  /** Takes a moment of {@link abortAt} back. */
  disarm(armed: Armed): void {
    this.services.deadlines.remove(armed)
    if (this.#armed === armed) this.#armed = undefined
  }

  /** The call is over; after an abort, by itself. Only the facade calls this, and who forked a scope. */
  end(): void {
    if (this.#isEnded || this.#isAborting) return
    this.#isEnded = true
    if (this.#state === 'live') this.#state = 'ended'
    this.#onAbort = undefined
    const { deadlines, live } = this.services
    if (this.#armed) deadlines.remove(this.#armed)
    if (this.liveIndex >= 0) live?.remove(this)
    const listeners = this.#onEnd
    this.#onEnd = undefined
    listeners?.tell('an onEnd listener', this.services, undefined)
  }

  /** The safe half, for logs. */
  toJSON(): Record<string, unknown> {
    const { phase, sent, attempts, sends, reopens } = this.root
    return { phase, sent, attempts, sends, reopens, isOver: this.isOver }
  }

  [inspect](): string {
    return `Scope ${JSON.stringify(this)}`
  }

  /** A child for one hedge leg, one timed attempt or one re-open: ends with its parent, not the other way round. */
  fork(): Scope {
    const child = new Scope(this.services, this)
    if (this.#isEnded) child.end()
    return child
  }
}

/** The calls of a client that are not over: an array with swap-remove, since the tables of a Map outlive its entries. */
export class LiveScopes {
  readonly #scopes: Scope[] = []

  add(scope: Scope): void {
    scope.liveIndex = this.#scopes.push(scope) - 1
  }

  remove(scope: Scope): void {
    const last = this.#scopes.pop() as Scope
    if (last !== scope) {
      this.#scopes[scope.liveIndex] = last
      last.liveIndex = scope.liveIndex
    }
    scope.liveIndex = -1
  }

  /** A copy, since who goes through them ends them. */
  all(): Scope[] {
    return [...this.#scopes]
  }
}

interface Listener {
  readonly run: (argument: unknown) => void
  before: Listener | undefined
  after: Listener | undefined
  isGone: boolean
}

/** Listeners in the order they came; one that leaves leaves nothing behind, wherever it stood. */
class Listeners {
  #first: Listener | undefined
  #last: Listener | undefined
  #isTelling = false

  add(run: (argument: unknown) => void): () => void {
    const listener: Listener = { run, before: this.#last, after: undefined, isGone: false }
    if (this.#last) this.#last.after = listener
    else this.#first = listener
    this.#last = listener
    return () => this.#remove(listener)
  }

  /** Tells each, once; one that throws keeps the word from nobody. */
  tell(what: string, services: Services, argument: unknown): void {
    this.#isTelling = true
    for (let listener = this.#first; listener; listener = listener.after)
      if (!listener.isGone) notify(what, listener.run, services.telemetry, argument)
  }

  #remove(listener: Listener): void {
    if (listener.isGone) return
    listener.isGone = true
    // Who goes along the list finds the way; it is dropped as a whole then.
    if (this.#isTelling) return
    const { before, after } = listener
    if (before) before.after = after
    else this.#first = after
    if (after) after.before = before
    else this.#last = before
    listener.before = listener.after = undefined
  }
}

function noop(): void {}
