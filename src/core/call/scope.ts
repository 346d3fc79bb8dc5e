import type { FailedAttempt } from '../errors/error.ts'
import type { Phase, Sent } from '../errors/failure.ts'
import type { StreamState } from '../stream/state.ts'
import type { Services } from './services.ts'

type OnAbort = (reason: unknown) => void

/**
 * The mutable half of a call, shared by all its copies: how it is ended and what has happened so far.
 *
 * `abort` settles the caller at once; `end` is called by the facade, once, whatever ended the call. Work that must
 * happen at the end is registered with `onEnd`; every transport closes its wire on `onAbort`.
 */
export class Scope {
  readonly services: Services
  readonly root: Scope
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
  #state: 'live' | 'aborted' | 'ended' = 'live'
  #isEnded = false
  /** Listeners are being told; one of them may end the call, which must not keep it from the others. */
  #isAborting = false
  #reason: unknown
  #onAbort: (OnAbort | undefined)[] | undefined
  #onEnd: ((() => void) | undefined)[] | undefined
  #controller: AbortController | undefined

  constructor(services: Services, parent?: Scope) {
    this.services = services
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
    if (listeners) for (const listener of listeners) listener?.(reason)
    this.#controller?.abort(reason)
    this.#isAborting = false
    this.end()
  }

  /** Calls `listener` on abort, at once if that has happened; returns what removes it. */
  onAbort(listener: OnAbort): () => void {
    if (this.#state === 'aborted') listener(this.#reason)
    if (this.#state !== 'live') return noop
    this.#onAbort ??= []
    return register(this.#onAbort, listener)
  }

  /** Calls `listener` once when the call is over, at once if it is; returns what removes it. */
  onEnd(listener: () => void): () => void {
    if (this.#isEnded) {
      listener()
      return noop
    }
    this.#onEnd ??= []
    return register(this.#onEnd, listener)
  }

  /** The call is over; after an abort, by itself. Only the facade calls this, and who forked a scope. */
  end(): void {
    if (this.#isEnded || this.#isAborting) return
    this.#isEnded = true
    if (this.#state === 'live') this.#state = 'ended'
    this.#onAbort = undefined
    const listeners = this.#onEnd
    this.#onEnd = undefined
    if (listeners) for (const listener of listeners) listener?.()
  }

  /** A child for one hedge leg, one timed attempt or one re-open: ends with its parent, not the other way round. */
  fork(): Scope {
    const child = new Scope(this.services, this)
    if (this.#isEnded) child.end()
    return child
  }
}

/** Adds to a list whose tail is trimmed as listeners leave, so that a stream's thousandth reconnect finds it short. */
function register<L>(list: (L | undefined)[], listener: L): () => void {
  const slot = list.push(listener) - 1
  return () => {
    if (list[slot] !== listener) return
    list[slot] = undefined
    while (list.length > 0 && list[list.length - 1] === undefined) list.pop()
  }
}

function noop(): void {}
