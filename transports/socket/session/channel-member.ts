import type { Call } from '../../../src/core/call/call.ts'
import { credentialOf } from '../../../src/core/call/credential.ts'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { StreamReply } from '../../../src/core/call/reply.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { type Bound, makeBound, type OverflowOptions } from '../../../src/core/stream/overflow.ts'
import { Source, type SourceOptions } from '../../../src/core/stream/source.ts'
import type { Continuity, StreamState } from '../../../src/core/stream/state.ts'
import type { Connection } from '../link/connection.ts'
import { type LinkUser, type Loss, lossFailure } from '../link/loss.ts'
import type { Acceptance, WireCursor } from '../wire-adapter.ts'
import { ChannelHistory } from './channel-history.ts'
import type { StreamSpec } from './channel-queue.ts'
import { ChannelSender } from './channel-sender.ts'
import { ChannelSubscription } from './channel-subscription.ts'
import type { SocketSession } from './session.ts'

/** What one read of a socket may bring after it was told to stop: so many small messages, or a large one. */
const readAhead = 8192
/** A reader that was overrun. */
const tooSlow: Failure = {
  code: 'resource_exhausted',
  message: 'the reader is too slow: read faster, raise maxQueued, or declare what `overflow` does',
  phase: 'stream',
  sent: 'yes',
}

/**
 * One call's part in a channel: its receive queue, paused where the socket can be and bounded by its overflow policy in any
 * case, its place in the channel's history, its sending half. Its own reply, and what its queue asks, since there may be
 * thousands.
 *
 *     joining ──socket ready──▶ subscribing ──accepted──▶ open ──▶ over
 */
export class ChannelMember implements LinkUser, SourceOptions, OverflowOptions, StreamReply {
  readonly spec: StreamSpec
  readonly isPatient: boolean
  readonly call: Call
  readonly #session: SocketSession
  readonly #source: Source
  readonly highWaterMark: number
  readonly highWaterBytes = 1 << 24
  /** More where the socket can be paused, which shows when there is one. */
  maxMessages: number
  maxBytes = 1 << 24
  /** None where an overrun is an error: {@link receive} looks at the bounds itself, message by message. */
  readonly overflow: Bound | undefined
  /** Taken by `resume` without its reply. */
  readonly sifted: ChannelHistory
  #subscription: ChannelSubscription | undefined
  #sender: ChannelSender | undefined
  #state: 'joining' | 'subscribing' | 'open' | 'over' = 'joining'
  #isTold?: boolean
  #resolve: (reply: StreamReply) => void = noop
  #reject: (error: unknown) => void = noop
  #offAbort: () => void = noop

  constructor(call: Call, spec: StreamSpec, session: SocketSession) {
    this.call = call
    this.spec = spec
    this.#session = session
    this.isPatient = call.isReopen
    this.highWaterMark = this.maxMessages = spec.maxQueued ?? 4096
    this.overflow = this.policy === 'error' ? undefined : makeBound(this)
    this.#source = new Source(this)
    this.sifted = new ChannelHistory(
      spec.isRecoverable === false ? undefined : call.cursor,
      spec.ids ?? 'auto',
      call.scope.root,
    )
  }

  get kind() {
    return 'stream' as const
  }

  get messages(): Source {
    return this.#source
  }

  get status(): number {
    return 200
  }

  get headers(): HeaderMap {
    return HeaderMap.empty
  }

  get trailers(): Promise<HeaderMap> {
    return noTrailers
  }

  get policy(): OverflowOptions['policy'] {
    return this.spec.overflow ?? 'error'
  }

  get gaps(): OverflowOptions['gaps'] {
    return this.call.operation.gaps
  }

  continuity(): Continuity {
    return this.spec.isRecoverable === false ? 'unknown' : this.sifted.continuity
  }

  get credential() {
    return credentialOf(this.call)
  }

  get since(): WireCursor | undefined {
    return this.sifted.since
  }

  /** Answers are due that cannot come while nothing is read. */
  get isAwaitingAcks(): boolean {
    return this.#sender?.isAwaitingAcks ?? false
  }

  /** Settles when the subscription was accepted, or what it needs has failed. */
  open(): Promise<StreamReply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.call.scope.mark('connect', 'no')
      this.#offAbort = this.call.scope.onAbort((reason) => this.#over(reason))
      if (this.#state === 'joining') this.#session.join(this)
    })
  }

  onReady(connection: Connection): void {
    const { sendQueue, scope } = this.call
    if (scope.endIfLate()) return
    this.#state = 'subscribing'
    if (connection.isPausable) {
      this.maxMessages += readAhead
      this.maxBytes *= 2
    }
    this.#subscription = this.#session.subscription(
      this.spec,
      (options) => new ChannelSubscription(options, this.#session, connection),
    )
    if (!this.#subscription) {
      this.#fail(otherwiseJoined)
      return
    }
    if (sendQueue) this.#sender = new ChannelSender(this.call, sendQueue, this.#session, connection, this.#subscription)
    this.#subscription.join(this)
  }

  onState(state: StreamState): void {
    if (state === 'connecting' || state === 'waiting' || state === 'suspended') this.call.scope.setStreamState(state)
  }

  onLoss(loss: Loss): void {
    const isOpen = this.#state === 'open'
    this.#fail(lossFailure(loss, isOpen ? 'stream' : 'connect', isOpen ? 'yes' : 'no', isOpen || this.isPatient))
  }

  /** The subscription is on its way; `mayStart`: nobody waits for its answer, so messages may follow. */
  written(mayStart: boolean): void {
    this.call.scope.mark('headers', 'maybe')
    if (mayStart) this.#sender?.start()
  }

  /** Joined a subscription that others have. */
  joinedAt(at: WireCursor | undefined): void {
    this.#isTold = true
    if (this.spec.isRecoverable === false) return
    this.sifted.joinedAt(at)
    this.#noteCursor()
  }

  accepted(acceptance: Acceptance | undefined): void {
    if (acceptance && !this.#isTold) this.#learn(acceptance)
    if (this.#state !== 'subscribing') return
    this.#state = 'open'
    this.call.scope.mark('stream', 'yes')
    this.#sender?.start()
    const resolve = this.#resolve
    this.#settled()
    resolve(this)
  }

  receive(message: unknown, at: WireCursor | undefined, size: number): void {
    if (this.#state !== 'open') return
    const source = this.#source
    const history = this.sifted
    const isRecoverable = this.spec.isRecoverable !== false
    if (isRecoverable && !history.admit(at, message)) return
    const { overflow, maxMessages, maxBytes } = this
    const { length } = source.items
    // A message that is larger than the whole bound is let into an empty queue.
    if (!overflow && length > 0 && (length >= maxMessages || source.bytes + size > maxBytes)) {
      this.#fail(tooSlow)
      return
    }
    if (!isRecoverable) source.push({ message, size })
    else {
      if (history.gap) source.lose(history.gap)
      source.push({ message, cursor: history.cursor, size })
    }
  }

  /** The reader is behind. */
  onPause(): void {
    this.#session.setFull(this, true)
  }

  /** It has caught up. */
  onResume(): void {
    this.#session.setFull(this, false)
  }

  /** It has left, or was overrun. */
  onClose(reason: unknown): void {
    this.#leave(reason)
  }

  toError(cause?: unknown): CallError {
    return new CallError({ ...tooSlow, cause }, this.call)
  }

  replayedSince(since: WireCursor): void {
    this.sifted.replayedSince(since)
  }

  skipReplay(since: WireCursor): void {
    this.sifted.skipReplay(since)
  }

  /** The server refused the subscription, or ended it with an error. */
  refused(failure: Failure): void {
    const isOpen = this.#state === 'open'
    const told: Failure = { phase: isOpen ? 'stream' : 'headers', sent: 'yes', ...failure }
    if (failure.code !== 'unauthenticated') this.#fail(told)
    else this.#fail({ ...told, isRetryable: this.#session.refuseCredential(isOpen) })
  }

  ended(): void {
    this.#leave(undefined)
    this.#source.finish()
  }

  #learn(acceptance: Acceptance): void {
    this.#isTold = true
    if (this.spec.isRecoverable === false) return
    const gap = this.sifted.accepted(acceptance)
    if (gap) this.#source.lose(gap)
    this.#noteCursor()
  }

  /** Known before the first message: what a drop costs from here on is asked for. */
  #noteCursor(): void {
    if (this.sifted.cursor !== undefined) this.#source.advance(this.sifted.cursor)
  }

  #fail(failure: Failure): void {
    this.#over(new CallError(failure, this.call))
  }

  #over(reason: unknown): void {
    const wasOpen = this.#state === 'open'
    this.#leave(reason)
    if (wasOpen) this.#source.fail(reason)
    else this.#reject(reason)
    this.#settled()
  }

  /** Lets go of the promise: a channel lives long. */
  #settled(): void {
    this.#resolve = noop
    this.#reject = noop
  }

  #leave(reason: unknown): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#offAbort()
    this.#sender?.stop(reason)
    this.#subscription?.leave(this)
    this.#session.setFull(this, false)
    this.#session.leave(this)
  }
}

const noTrailers = /* @__PURE__ */ Promise.resolve(HeaderMap.empty)
const otherwiseJoined: Failure = {
  code: 'failed_precondition',
  message: 'the channel is open with another input: channels of one name share one subscription',
  phase: 'resolve',
  sent: 'no',
}

function noop(): void {}

/** Opens a stream: resolves when the server has accepted the subscription. */
export function openChannel(call: Call, spec: StreamSpec, session: SocketSession): Promise<StreamReply> {
  if (call.isReopen && session.isRefused(call)) return Promise.reject(refusedBefore(call))
  return new ChannelMember(call, spec, session).open()
}

function refusedBefore(call: Call): CallError {
  const message = 'the socket was refused for this credential: another one is needed'
  return new CallError({ code: 'unauthenticated', message, phase: 'connect', sent: 'no' }, call)
}
