import type { Timer } from '../../src/core/clock.ts'
import type { Failure } from '../../src/core/failure.ts'
import type { ChannelMember } from './channel-member.ts'
import type { Awaiting, Line, SessionWire } from './socket-wire.ts'
import type { Acceptance, WireCursor, WireFrame } from './wire-adapter.ts'

/** How long a server that may not answer subscriptions is waited for; ms. */
const politeMs = 250
/** A timer that comes this late was held up by a busy process, and the answer may lie unread; ms. */
const lateMs = 50

/** What a subscription is made of. */
export interface SubscriptionOptions {
  readonly topic: string
  readonly payload: unknown
  /** How long it outlives its last reader; ms. */
  readonly lingerMs: number
  readonly owner: SubscriptionOwner
}

/** Who keeps the subscriptions of a socket. */
export interface SubscriptionOwner extends SessionWire {
  /** It is no subscription any more. */
  dropped(subscription: ChannelSubscription): void
}

/**
 * One subscription on one socket, shared by all who read the channel: the first one makes it, the last one who leaves
 * ends it after a grace.
 */
export class ChannelSubscription implements Awaiting {
  readonly topic: string
  readonly payload: unknown
  readonly #owner: SubscriptionOwner
  readonly #line: Line
  readonly #lingerMs: number
  /** Replaced, never changed: members may leave while they are being told of something. */
  #members: readonly ChannelMember[] = []
  /** The newest `subscribe` frame's. */
  #ref = 0
  #isAccepted = false
  #isOver = false
  /** The place of the message that came last. */
  #at: WireCursor | undefined
  #timer: Timer | undefined

  constructor({ topic, payload, lingerMs, owner }: SubscriptionOptions, line: Line) {
    this.topic = topic
    this.payload = payload
    this.#lingerMs = lingerMs
    this.#owner = owner
    this.#line = line
  }

  /** The `ref` that the server knows it by. */
  get ref(): number {
    return this.#ref
  }

  join(member: ChannelMember): void {
    this.#setTimer(undefined)
    this.#members = [...this.#members, member]
    const { since } = member
    if (this.#ref === 0 || (since && !isSamePlace(since, this.#at))) this.#subscribe(member, since)
    else {
      member.joinedAt(this.#at)
      if (this.#isAccepted) member.accepted(undefined)
    }
  }

  leave(member: ChannelMember): void {
    this.#members = this.#members.filter((each) => each !== member)
    if (this.#members.length > 0 || this.#isOver) return
    this.#setTimer(() => this.#unsubscribe(), this.#lingerMs)
    this.#timer?.hold(false)
  }

  /** The server answered: by its `ref`, or by the topic's name. */
  onAck(acceptance: Acceptance): void {
    this.#owner.learn(acceptance)
    this.#accept(acceptance, this.#members)
  }

  onError(failure: Failure): void {
    this.end(failure)
  }

  receive(message: unknown, at: WireCursor | undefined, size: number): void {
    if (!this.#isAccepted) {
      // What comes before the answer belongs to an older subscription, where the server is sure to answer.
      if (this.#owner.isSubscribedSure) return
      this.#accept(undefined, this.#members)
    }
    if (at) this.#at = at.epoch === undefined && this.#at?.epoch !== undefined ? { ...at, epoch: this.#at.epoch } : at
    for (const member of this.#members) member.receive(message, at, size)
  }

  /** The server has ended it, or refused it. */
  end(failure: Failure | undefined): void {
    if (!failure && !this.#isAccepted) return
    this.stop()
    this.#owner.dropped(this)
    for (const member of this.#members) failure ? member.refused(failure) : member.ended()
  }

  /** It is over, or its socket is gone: its members are told by others. */
  stop(): void {
    this.#isOver = true
    this.#setTimer(undefined)
    this.#owner.forget(this.#ref)
  }

  /** Makes it; or, for one who joins later with another cursor, makes it anew, since a replay is asked for that way. */
  #subscribe(member: ChannelMember, since: WireCursor | undefined): void {
    const isFirst = this.#ref === 0
    this.#ref = this.#owner.nextRef()
    const frame = this.#encode(since)
    if (frame instanceof Unwritable) {
      if (isFirst) this.end(frame.failure)
      else member.refused(frame.failure)
      return
    }
    this.#line.write(frame)
    const isSure = frame === undefined ? false : this.#owner.isSubscribedSure
    member.written(isSure !== true)
    this.#owner.expect(this.#ref, isFirst ? this : this.#lateJoin(member))
    if (isSure === undefined) this.#bePatient(true)
    else if (!isSure) this.#accept(undefined, this.#members)
  }

  #encode(since: WireCursor | undefined): WireFrame | undefined | Unwritable {
    try {
      return this.#owner.adapter.subscribe({ ref: this.#ref, topic: this.topic, payload: this.payload, since })
    } catch (cause) {
      return new Unwritable(cause)
    }
  }

  /** Only the one who asked takes part in the replay; the others have seen what it brings. */
  #lateJoin(member: ChannelMember): Awaiting {
    return {
      onAck: (ack) => {
        this.#owner.learn(ack)
        if (ack.recovered) for (const other of this.#members) if (other !== member) other.skipReplay()
        this.#accept(ack, [member])
      },
      onError: (failure) => member.refused(failure),
    }
  }

  #bePatient(hasSecondChance: boolean): void {
    const dueAt = this.#owner.clock.now() + politeMs
    this.#setTimer(() => {
      const isLate = this.#owner.clock.now() - dueAt > lateMs
      if (isLate && hasSecondChance) this.#bePatient(false)
      else this.#goOn()
    }, politeMs)
  }

  /** No answer: a server that gives none, or is slow. */
  #goOn(): void {
    this.#timer = undefined
    this.#owner.learn(undefined)
    this.#accept(undefined, this.#members)
  }

  #accept(acceptance: Acceptance | undefined, members: readonly ChannelMember[]): void {
    this.#isAccepted = true
    // Nobody is waited for any more, unless it is the grace of the last one who left.
    if (this.#members.length > 0) this.#setTimer(undefined)
    if (acceptance?.at && !this.#at) this.#at = acceptance.at
    for (const member of members) member.accepted(acceptance)
  }

  #unsubscribe(): void {
    this.stop()
    this.#line.write(this.#owner.adapter.unsubscribe({ topic: this.topic, subscription: this.#ref }))
    this.#owner.dropped(this)
  }

  #setTimer(run: (() => void) | undefined, delayMs = 0): void {
    this.#timer?.clear()
    this.#timer = run && this.#owner.clock.setTimer(run, delayMs)
  }
}

/** What came of a payload that no frame can hold. */
class Unwritable {
  readonly failure: Failure

  constructor(cause: unknown) {
    const message = 'the subscription cannot be written down as a frame: see cause; nothing was sent'
    this.failure = { code: 'invalid_argument', message, phase: 'send', sent: 'no', cause }
  }
}

function isSamePlace(one: WireCursor, other: WireCursor | undefined): boolean {
  return one.id === other?.id && one.epoch === other.epoch
}
