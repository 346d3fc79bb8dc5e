import { SocketPressure } from '#platform'
import type { Call } from '../../../src/core/call/call.ts'
import { credentialOf } from '../../../src/core/call/credential.ts'
import type { Telemetry } from '../../../src/core/call/telemetry.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import { notify } from '../../../src/core/guard.ts'
import type { Clock } from '../../../src/core/time/clock.ts'
import type { Connection } from '../link/connection.ts'
import { type LinkOptions, type LinkReceiver, SocketLink } from '../link/link.ts'
import type { LinkUser, Loss } from '../link/loss.ts'
import type { Schedule } from '../link/schedule.ts'
import type { Acceptance, Incoming, WireTraits } from '../wire-adapter.ts'
import type { SocketPressure as Pressure, Reader, StreamSpec } from './channel-queue.ts'
import type { ChannelSubscription, SubscriptionOptions } from './channel-subscription.ts'

/** What a session is made with. */
export interface SessionOptions extends Omit<LinkOptions, 'receiver'> {
  /** How long a channel that nobody reads stays subscribed; ms. */
  readonly lingerMs: number
  /** The transport's key, for telemetry. */
  readonly via: string
  readonly telemetry: Telemetry | undefined
}

/** Who waits for the answer to a `ref`. */
export interface Awaiting {
  /** A request's answer is its reply; a subscription's is never a message of its channel. @defaultValue a message that was sent */
  readonly awaits?: 'reply' | 'subscription'
  onAck(ack: Extract<Incoming, { kind: 'ack' }>): void
  onError(failure: Failure): void
}

/** Channels and requests of one principal over one socket: who speaks, who waits for which answer. */
export class SocketSession implements LinkReceiver {
  readonly clock: Clock
  readonly #options: SessionOptions
  readonly #link: SocketLink
  /** None where no socket can be paused. */
  readonly #pressure: Pressure | undefined
  /** By topic, on the socket that is open. */
  readonly #subscriptions = new Map<string, ChannelSubscription>()
  /** The same by each `ref` that they were made with. */
  readonly #subscriptionsByRef = new Map<number, ChannelSubscription>()
  readonly #awaiting = new Map<number, Awaiting>()
  #traits: WireTraits | undefined
  /** Numbers that are never used twice: each message takes the next one. */
  lastRef = 0
  /** Whether subscriptions are answered: known from the protocol, or learnt from this server. */
  isSubscribedSure: boolean | undefined
  /** Whether messages are acknowledged. */
  hasAcks = false

  constructor(options: SessionOptions) {
    this.#options = options
    this.clock = options.clock
    this.#link = new SocketLink({ ...options, receiver: this })
    this.#pressure = SocketPressure && new SocketPressure(options.clock, this.#link)
  }

  get isForgettable(): boolean {
    return this.#link.isForgettable
  }

  /** When its link may dial next. */
  get schedule(): Schedule {
    return this.#link.schedule
  }

  /** The socket was refused for the credential of a call: it is not asked again with the same. */
  isRefused(call: Call): boolean {
    return this.#link.isRefused(credentialOf(call))
  }

  close(): void {
    this.onDown()
    this.#link.close()
  }

  nextRef(): number {
    return ++this.lastRef
  }

  join(user: LinkUser): void {
    this.#link.join(user)
    this.#pressure?.review()
  }

  leave(user: LinkUser): void {
    this.#link.leave(user)
    this.#pressure?.review()
  }

  /** `awaiting` is told of the answer to `ref`, once. */
  expect(ref: number, awaiting: Awaiting): void {
    this.#awaiting.set(ref, awaiting)
    this.#pressure?.review()
  }

  forget(ref: number): void {
    this.#awaiting.delete(ref)
  }

  /** What the server says about itself while it accepts a subscription; undefined: it said nothing in time. */
  learn(acceptance: Acceptance | undefined): void {
    const { subscribed, acks } = this.#traits ?? {}
    if (subscribed === 'auto') this.isSubscribedSure = acceptance !== undefined
    if (acks === 'auto' && acceptance?.acks !== undefined) this.hasAcks = acceptance.acks
  }

  /** The channel's subscription on this socket, made where there is none; undefined where it cannot be shared. */
  subscription(
    spec: StreamSpec,
    make: (options: SubscriptionOptions) => ChannelSubscription,
  ): ChannelSubscription | undefined {
    const own = `${this.lastRef + 1}`
    const { topic = own, payload } = spec
    // What is not shared is known by its `ref`.
    const key = this.#traits?.isShared ? topic : own
    const shared = this.#subscriptions.get(key)
    if (shared) {
      if (isSamePayload(shared.payload, payload)) return shared
      if (shared.members.length > 0) return undefined
      // Only its grace keeps it: who wants another one need not wait for that.
      shared.unsubscribe()
    }
    const { lingerMs } = this.#options
    const made = make({ key, topic, payload, lingerMs })
    this.#subscriptions.set(key, made)
    return made
  }

  /** What comes for `ref` is for this subscription. */
  hold(ref: number, subscription: ChannelSubscription): void {
    this.#subscriptionsByRef.set(ref, subscription)
  }

  release(ref: number): void {
    this.#subscriptionsByRef.delete(ref)
    this.#awaiting.delete(ref)
  }

  dropped(subscription: ChannelSubscription): void {
    const { key } = subscription
    if (this.#subscriptions.get(key) === subscription) this.#subscriptions.delete(key)
  }

  /** A reader is behind; `isFull` no more. */
  setFull(reader: Reader, isFull: boolean): void {
    this.#pressure?.setFull(reader, isFull)
  }

  /** The credential of the live socket was refused; says whether an open stream should be opened again with another. */
  refuseCredential(wasOpen: boolean): boolean {
    return this.#link.refuse(wasOpen)
  }

  onUp({ adapter }: Connection): void {
    const { subscribed, acks } = adapter.traits
    this.#traits = adapter.traits
    if (subscribed !== 'auto') this.isSubscribedSure = subscribed
    // What another server has said before holds for that one.
    this.hasAcks = acks === true
  }

  onIncoming(connection: Connection, incoming: Incoming, size: number): void {
    if (incoming.kind === 'data') {
      if (!connection.hasProgressed) this.#link.progressed(connection)
      const { ref, topic, message, at } = incoming
      if (ref !== undefined && this.#isReply(ref, message)) return
      // One that nobody knows was left a moment ago.
      const named = ref === undefined ? undefined : this.#subscriptionsByRef.get(ref)
      const subscription = named ?? this.#subscriptions.get(topic as string)
      if (!subscription || !(subscription.isAccepted || subscription.acceptEarly())) return
      // An epoch that is not repeated is still the same.
      const epoch = at && subscription.at?.epoch
      if (at) subscription.at = at.epoch === undefined && epoch !== undefined ? { id: at.id, epoch } : at
      for (const member of subscription.members) member.receive(message, at, size)
    } else if (incoming.kind === 'ack') this.#acknowledged(connection, incoming)
    else if (incoming.kind === 'subscribed') this.#subscriptions.get(incoming.topic)?.onAck(incoming)
    else if (incoming.kind === 'end') this.#ended(incoming)
    else if (incoming.kind === 'error') this.#failed(connection, incoming)
  }

  onDown(): void {
    for (const subscription of this.#subscriptions.values()) subscription.stop()
    this.#subscriptions.clear()
    this.#awaiting.clear()
    this.#pressure?.release()
  }

  onWait(waitMs: number, { verdict }: Loss): void {
    const { via, telemetry } = this.#options
    telemetry?.event?.({ type: 'reconnect', via, waitMs: Math.round(waitMs), error: new CallError(verdict.failure) })
  }

  onFault(what: string, cause: unknown): void {
    notify(what, () => Promise.reject(cause), this.#options.telemetry)
  }

  #ended({ ref, topic }: Extract<Incoming, { kind: 'end' }>): void {
    const awaiting = this.#awaiting.get(ref as number)
    if (awaiting?.awaits !== 'reply') this.#subscriptionOf(ref, topic)?.end(undefined)
    else awaiting.onError({ code: 'internal', message: 'the server ended it without a reply' })
  }

  #subscriptionOf(ref: number | undefined, topic: string | undefined): ChannelSubscription | undefined {
    return this.#subscriptionsByRef.get(ref as number) ?? this.#subscriptions.get(topic as string)
  }

  #acknowledged(connection: Connection, ack: Extract<Incoming, { kind: 'ack' }>): void {
    const awaiting = this.#awaiting.get(ack.ref)
    if (!awaiting) return
    this.#awaiting.delete(ack.ref)
    if (awaiting.awaits === 'reply' && !connection.hasProgressed) this.#link.progressed(connection)
    awaiting.onAck(ack)
  }

  /** The reply to a request; a channel's message that repeats the `ref` of what it echoes is also its acknowledgement. */
  #isReply(ref: number, message: unknown): boolean {
    const awaiting = this.#awaiting.get(ref)
    if (!awaiting || awaiting.awaits === 'subscription') return false
    this.#awaiting.delete(ref)
    awaiting.onAck({ kind: 'ack', ref, message })
    return awaiting.awaits === 'reply'
  }

  #failed(connection: Connection, { ref, topic, failure }: Extract<Incoming, { kind: 'error' }>): void {
    const awaiting = this.#awaiting.get(ref as number)
    if (awaiting) {
      this.#awaiting.delete(ref as number)
      awaiting.onError(failure)
      return
    }
    const subscription = this.#subscriptionOf(ref, topic)
    if (subscription) subscription.end(failure)
    // About one who has left meanwhile, it is about nobody else.
    else if ((ref ?? topic) === undefined && failure.code === 'unauthenticated')
      connection.drop({ action: 'refresh-auth', failure })
    else this.#warn(failure)
  }

  /** An error about the connection as a whole. */
  #warn({ code, reason }: Failure): void {
    const message = `the server reported an error about no call: ${reason ?? code}`
    this.#options.telemetry?.event?.({ type: 'warning', call: undefined, message })
  }
}

function isSamePayload(one: unknown, other: unknown): boolean {
  try {
    return one === other || JSON.stringify(one) === JSON.stringify(other)
  } catch {
    return false
  }
}
