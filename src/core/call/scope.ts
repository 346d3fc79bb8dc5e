import { CallError, type FailedAttempt } from '../errors/error.ts'
import type { Phase, Sent } from '../errors/failure.ts'
import type { FailoverOptions } from '../failover/options.ts'
import { notify } from '../guard.ts'
import type { SharedBreakers } from '../policies/breaker.ts'
import type { RetryLimits } from '../retry/limits.ts'
import type { RefreshSharing } from '../shared/sharing.ts'
import type { StreamState } from '../stream/state.ts'
import { inspect } from '../tag.ts'
import type { Armed, Clock, DeadlineList } from '../time/clock.ts'
import type { CallOptions } from './call-options.ts'
import { nesting } from './nesting.ts'
import type { AnyOutbox, OperationInfo } from './operation.ts'
import type { Signal } from './signal.ts'
import type { Telemetry } from './telemetry.ts'

/** What all calls of one client share. */
export interface Services {
  readonly clock: Clock
  readonly deadlines: DeadlineList
  /** Budgets and waits, by origin and operation. */
  readonly limits: RetryLimits
  readonly telemetry: Telemetry | undefined
  /** The calls that are not over: an array with swap-remove, since the tables of a Map or Set outlive their entries. */
  readonly live?: Scope[]
  /** One renewal of a token among all who share; see `createClient({ shared })`. */
  readonly refreshes?: RefreshSharing | undefined
  /** How calls with several routes choose theirs. */
  readonly failover?: FailoverOptions | undefined
  /** Where durable operations are written down; `false`: nowhere, they are as plain ones. */
  readonly outbox?: AnyOutbox | false | undefined
  /** How the client calls an operation: its `Plan`. @throws {CallError} `failed_precondition` where it lacks the transport. */
  planOf?(info: OperationInfo): object
  /** What users call of an operation: the whole chain, from inside of another call. */
  callable?(info: OperationInfo): (input: unknown, options?: CallOptions) => unknown
  /** Breakers of the same names in other tabs or processes. */
  readonly breakers?: SharedBreakers | undefined
  /** What calls that are over still do, and the client's `close()` waits for. */
  readonly lastWork?: Set<Promise<unknown>>
}

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
  /** The call is made inside an attempt of another one, which decides about more attempts (root only). */
  isNested = false
  /** The input of a stream as the caller wrote it (root only). */
  input: unknown
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
  /** When the attempt under way began to connect, of the monotonic clock (root only). */
  connectingAt = 0
  /** Who wants to know: the stream's handle (root only). */
  onStreamState: ((state: StreamState, reason: CallError | undefined) => void) | undefined
  /** Where it stands among the calls of its client that are not over; -1 where it does not (root only). */
  liveIndex = -1
  /** Aborted or ended: nothing may be started for this call, and what arrives is closed. Set by `abort` and `end`. */
  isOver = false
  #isAborted = false
  #isEnded = false
  /** Listeners are being told; one of them may end the call, which must not keep it from the others. */
  #isAborting = false
  #reason: unknown
  #first: Listener | undefined
  #last: Listener | undefined
  #isTelling = false
  /** The earliest of its deadlines. */
  #armed: Armed | undefined
  readonly #parent: Scope | undefined
  #controller: AbortController | undefined

  constructor(services: Services, parent?: Scope, operation?: OperationInfo) {
    this.services = services
    this.operation = operation
    this.root = parent ? parent.root : this
    this.#parent = parent
    if (!parent) return
    this.onEnd(parent.onAbort((reason) => this.abort(reason)))
    this.onEnd(parent.onEnd(() => this.end()))
  }

  /** Ties it to the life of its client, and to its caller's signal. @throws the reason of a signal that is aborted. */
  begin(live: Scope[], signal: Signal | undefined): void {
    if (signal?.aborted) throw signal.reason
    if (nesting.isInside) this.isNested = nesting.isInside()
    this.liveIndex = live.push(this) - 1
    if (!signal) return
    const onAbort = () => this.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    this.onEnd(() => signal.removeEventListener('abort', onAbort))
  }

  get isAborted(): boolean {
    return this.#isAborted
  }

  /** What it was aborted with. */
  get reason(): unknown {
    return this.#reason
  }

  /** The same as an AbortSignal, made when first asked for: one a call would cost more than the whole chain. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#isAborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Notes how far the attempt in flight has come. */
  mark(phase: Phase, sent: Sent): void {
    const root = this.root
    root.phase = phase
    if (root.sent === 'no' || sent === 'yes') root.sent = sent
  }

  /** Publishes how the stream stands, and why it waits. */
  setStreamState(state: StreamState, reason?: CallError): void {
    const root = this.root
    if (root.streamState === state || root.streamState === 'closed') return
    root.streamState = state
    if (state === 'connecting') root.connectingAt = this.services.clock.now()
    root.onStreamState?.(state, reason)
  }

  /** Ends the call with `reason`: closes wire, sleeps and waits, and settles the caller. The first reason stands. */
  abort(reason: unknown): void {
    if (this.isOver) return
    this.isOver = true
    this.#isAborted = true
    this.#reason = reason
    this.#isAborting = true
    this.#tell(false, reason)
    this.#controller?.abort(reason)
    this.#isAborting = false
    this.end()
  }

  /** Calls `listener` on abort, at once if that has happened; returns what removes it. What it throws harms nobody. */
  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.#isAborted) notify(what(false), listener, this.services.telemetry, this.#reason)
    if (this.isOver) return noop
    const added = this.addListener(listener, false)
    return () => this.removeListener(added)
  }

  /** Calls `listener` once when the call is over, at once if it is; returns what removes it. What it throws harms nobody. */
  onEnd(listener: () => void): () => void {
    if (this.#isEnded) {
      notify(what(true), listener, this.services.telemetry)
      return noop
    }
    const added = this.addListener(listener, true)
    return () => this.removeListener(added)
  }

  /** {@link onAbort} or {@link onEnd} without a closure, for a scope that is not over. */
  addListener(run: (argument: unknown) => void, isForEnd: boolean): Listener {
    const before = this.#last
    const listener: Listener = { run, isForEnd, isGone: false, before, after: undefined }
    if (before) before.after = listener
    else this.#first = listener
    this.#last = listener
    return listener
  }

  /** It leaves nothing behind, wherever it stood: a stream's thousandth reconnect finds the list short. */
  removeListener(listener: Listener): void {
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

  /** In the order they came, each once; one that throws keeps the word from nobody. */
  #tell(isForEnd: boolean, argument: unknown): void {
    this.#isTelling = true
    for (let listener = this.#first; listener; listener = listener.after)
      if (listener.isForEnd === isForEnd && !listener.isGone)
        notify(what(isForEnd), listener.run, this.services.telemetry, argument)
  }

  /** Aborts the call at a moment of the monotonic clock with what `expired` makes; its end takes that off the list. */
  abortAt(at: number, expired: () => unknown): Armed {
    const armed = this.services.deadlines.add(at, () => this.abort(expired()))
    const other = this.#armed
    if (!other) this.#armed = armed
    else {
      // The earliest one stands here.
      const later = armed.at < other.at ? other : armed
      if (later === other) this.#armed = armed
      this.onEnd(() => this.services.deadlines.remove(later))
    }
    return armed
  }

  /**
   * Ends the call where its deadline has passed, whether or not a timer has told it; whether it is over.
   *
   * To be asked before something is written that had to wait. A process that was stopped, or busy, hears of a connection
   * before its deadlines are judged: it would send hours later what nobody waits for, and what others have sent since.
   */
  endIfLate(): boolean {
    const now = this.services.clock.now()
    for (let scope: Scope | undefined = this; scope && !this.isOver; scope = scope.#parent) {
      const armed = scope.#armed
      if (!armed || armed.at > now || armed.index < 0) continue
      this.services.deadlines.remove(armed)
      armed.expire()
    }
    return this.isOver
  }

  /** Takes a moment of {@link abortAt} back. */
  disarm(armed: Armed): void {
    this.services.deadlines.remove(armed)
    if (this.#armed === armed) this.#armed = undefined
  }

  /** The call is over; after an abort, by itself. Only the facade calls this, and who forked a scope. */
  end(): void {
    if (this.#isEnded || this.#isAborting) return
    this.#isEnded = this.isOver = true
    const { deadlines, live } = this.services
    if (this.#armed) deadlines.remove(this.#armed)
    if (live && this.liveIndex >= 0) {
      const last = live.pop() as Scope
      if (last !== this) {
        live[this.liveIndex] = last
        last.liveIndex = this.liveIndex
      }
      this.liveIndex = -1
    }
    if (this.#first) this.#tell(true, undefined)
    this.#first = this.#last = undefined
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

/** Who is told of the abort or of the end; kept in the order they came. */
export interface Listener {
  readonly run: (argument: unknown) => void
  readonly isForEnd: boolean
  isGone: boolean
  before: Listener | undefined
  after: Listener | undefined
}

/** For the warning. */
function what(isForEnd: boolean): string {
  return isForEnd ? 'an onEnd listener' : 'an onAbort listener'
}

function noop(): void {}

/** Ends all calls of a client that is closed. */
export function cancelAll(live: readonly Scope[]): void {
  for (const scope of [...live]) {
    const { operation } = scope
    const message = 'the client was closed during the call'
    scope.abort(new CallError({ code: 'canceled', message }, operation && { operation, scope }))
  }
}
