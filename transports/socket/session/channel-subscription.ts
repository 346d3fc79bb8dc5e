import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Timer } from '../../../src/core/time/clock.ts'
import { watchTimer } from '../../../src/core/time/clock.ts'
import type { Connection } from '../link/connection.ts'
import { unwritable } from '../link/loss.ts'
import type { Acceptance, WireCursor } from '../wire-adapter.ts'
import type { ChannelMember } from './channel-member.ts'
import type { Awaiting, SocketSession } from './session.ts'

/** How long a server that may not answer subscriptions is waited for; ms. */
const politeMs = 250
/** A process that was busy for so long may have kept the server waiting, not the other way round; ms. */
const lateMs = 50

/** What a subscription is made of. */
export interface SubscriptionOptions {
  /** What the session knows it by. */
  readonly key: string
  readonly topic: string
  readonly payload: unknown
  /** How long it outlives its last reader; ms. */
  readonly lingerMs: number
}

/**
 * One subscription on one socket, shared by all who read the channel: the first one makes it, the last one who leaves
 * ends it after a grace.
 */
export class ChannelSubscription implements Awaiting {
  readonly awaits = 'subscription'
  readonly key: string
  readonly topic: string
  readonly payload: unknown
  readonly #session: SocketSession
  readonly #connection: Connection
  readonly #lingerMs: number
  /** Replaced, never changed: members may leave while they are being told of something. */
  members: readonly ChannelMember[] = []
  /** The `ref` that the server knows it by: the newest `subscribe` frame's. */
  ref = 0
  /** Of the frames before that one, since what they asked for may still come. */
  readonly #olderRefs: number[] = []
  /** Where the earliest replay begins that one who joined later has asked for. */
  #replayedSince: WireCursor | undefined
  isAccepted = false
  #isOver?: boolean
  /** What the first `subscribe` asked for. */
  #since: WireCursor | undefined
  /** The place of the message that came last. */
  at: WireCursor | undefined
  /** Who waits for the answer to a `subscribe` of their own, in the order in which they asked. */
  #late: Map<ChannelMember, Awaiting> | undefined
  #timer: Timer | undefined

  constructor(options: SubscriptionOptions, session: SocketSession, connection: Connection) {
    const { key, topic, payload, lingerMs } = options
    this.key = key
    this.topic = topic
    this.payload = payload
    this.#lingerMs = lingerMs
    this.#session = session
    this.#connection = connection
  }

  join(member: ChannelMember): void {
    // The grace after the last one left; while somebody is there, the timer is theirs.
    const wasEmpty = this.members.length === 0
    if (wasEmpty) this.#setTimer(undefined)
    this.members = [...this.members, member]
    if (this.#replayedSince) member.replayedSince(this.#replayedSince)
    const { since } = member
    const isFirst = this.ref === 0
    if (isFirst) this.#since = since
    if (isFirst || (since && !isSamePlace(since, this.isAccepted ? this.at : this.#since))) {
      this.#subscribe(member, since)
    } else if (this.isAccepted) {
      member.joinedAt(this.at)
      member.accepted(undefined)
      // The patience with a server that may not answer has ended with the one who left.
    } else if (wasEmpty && !this.#session.isSubscribedSure) this.#bePatient(true)
  }

  leave(member: ChannelMember): void {
    this.members = this.members.filter((each) => each !== member)
    this.#late?.delete(member)
    if (this.members.length > 0 || this.#isOver) return
    this.#setTimer(() => this.unsubscribe(), this.#lingerMs)
    this.#timer?.hold(false)
  }

  /** The server answered: by its `ref`, or by the topic's name, and then in the order in which it was asked. */
  onAck(acceptance: Acceptance): void {
    const [late] = this.isAccepted && this.#late ? this.#late.values() : []
    if (late) {
      late.onAck({ kind: 'ack', ref: this.ref, ...acceptance })
      return
    }
    this.#session.learn(acceptance)
    this.#answered(acceptance, this.#since, this.#prompt)
    // One who says so again replays nothing.
    this.#since = undefined
  }

  /** One who asked for another place may still be welcome. */
  onError(failure: Failure): void {
    if (this.#late?.size) for (const member of this.#prompt) member.refused(failure)
    else this.end(failure)
  }

  /** A message has come first: false where it belongs to an older subscription, since the server is sure to answer. */
  acceptEarly(): boolean {
    if (!this.#session.isSubscribedSure) this.#acceptAll()
    return this.isAccepted
  }

  /** The server has ended it, or refused it. */
  end(failure: Failure | undefined): void {
    if (!failure && !this.isAccepted) return
    this.stop()
    this.#session.dropped(this)
    for (const member of this.members) failure ? member.refused(failure) : member.ended()
  }

  /** It is over, or its socket is gone: its members are told by others. */
  stop(): void {
    this.#isOver = true
    this.#setTimer(undefined)
    this.#session.release(this.ref)
    for (const ref of this.#olderRefs) this.#session.release(ref)
  }

  /** Makes it; or, for one who joins later with another cursor, makes it anew, since a replay is asked for that way. */
  #subscribe(member: ChannelMember, since: WireCursor | undefined): void {
    const { topic, payload } = this
    const isFirst = this.ref === 0
    if (!isFirst) this.#olderRefs.push(this.ref)
    if (!isFirst && since) this.#replay(since)
    this.ref = this.#session.nextRef()
    let isSure: boolean | undefined = false
    try {
      const frame = this.#connection.adapter.subscribe({ ref: this.ref, topic, payload, since })
      this.#connection.write(frame)
      if (frame !== undefined) isSure = this.#session.isSubscribedSure
    } catch (cause) {
      const failure = unwritable('the subscription', cause)
      if (isFirst) this.end(failure)
      else member.refused(failure)
      return
    }
    member.written(isSure !== true)
    this.#session.hold(this.ref, this)
    this.#session.expect(this.ref, isFirst ? this : this.#lateJoin(member))
    if (isSure === undefined) this.#bePatient(true)
    else if (!isSure) this.#acceptAll()
  }

  /** The others get it, too. */
  #replay(since: WireCursor): void {
    const known = this.#replayedSince
    if (!known || since.id < known.id) this.#replayedSince = since
    for (const member of this.members) if (member.since !== since) member.replayedSince(since)
  }

  #lateJoin(member: ChannelMember): Awaiting {
    const { since } = member
    const awaiting: Awaiting = {
      onAck: (ack) => {
        this.#late?.delete(member)
        this.#session.learn(ack)
        this.#answered(ack, since, [member])
      },
      onError: (failure) => member.refused(failure),
    }
    ;(this.#late ??= new Map()).set(member, awaiting)
    return awaiting
  }

  /** Those who wait for no answer of their own. */
  get #prompt(): readonly ChannelMember[] {
    const late = this.#late
    return late?.size ? this.members.filter((member) => !late.has(member)) : this.members
  }

  /** Only those who asked for it take part in the replay; the others have seen what it brings, or wait for their own. */
  #answered(acceptance: Acceptance, since: WireCursor | undefined, members: readonly ChannelMember[]): void {
    const { recovered } = acceptance
    const others = recovered && since ? this.#prompt.filter((each) => !members.includes(each)) : []
    this.#accept(acceptance, members)
    if (!recovered || !since) return
    for (const member of members) if (!member.since || !isSamePlace(member.since, since)) member.skipReplay(since)
    for (const other of others) other.skipReplay(since)
  }

  #acceptAll(): void {
    this.#late = undefined
    this.#accept(undefined, this.members)
  }

  #bePatient(hasSecondChance: boolean): void {
    const { clock } = this.#session
    const dueAt = clock.now() + politeMs
    const judge = () => (hasSecondChance && clock.now() - dueAt > lateMs ? this.#bePatient(false) : this.#goOn())
    this.#timer = watchTimer(clock, judge, politeMs)
  }

  /** No answer: a server that gives none, or is slow. */
  #goOn(): void {
    this.#timer = undefined
    this.#session.learn(undefined)
    this.#acceptAll()
  }

  #accept(acceptance: Acceptance | undefined, members: readonly ChannelMember[]): void {
    this.isAccepted = true
    // Nobody is waited for any more, unless it is the grace of the last one who left.
    if (this.members.length > 0) this.#setTimer(undefined)
    if (acceptance?.at && !this.at) this.at = acceptance.at
    for (const member of members) member.accepted(acceptance)
  }

  /** Its grace is over. */
  unsubscribe(): void {
    this.stop()
    const { topic, ref: subscription } = this
    this.#connection.say('unsubscribe', (adapter) => adapter.unsubscribe({ topic, subscription }))
    this.#session.dropped(this)
  }

  #setTimer(run: (() => void) | undefined, delayMs = 0): void {
    this.#timer?.clear()
    this.#timer = run && this.#session.clock.setTimer(run, delayMs)
  }
}

function isSamePlace(one: WireCursor, other: WireCursor | undefined): boolean {
  return one.id === other?.id && one.epoch === other.epoch
}
