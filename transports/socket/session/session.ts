import type { Call } from '../../../src/core/call/call.ts'
import type { StreamReply, UnaryReply } from '../../../src/core/call/reply.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Clock } from '../../../src/core/time/clock.ts'
import type { Connection } from '../link/connection.ts'
import { type LinkOptions, SocketLink } from '../link/link.ts'
import type { LinkUser } from '../link/loss.ts'
import type { Awaiting } from '../wire.ts'
import type { Acceptance, Incoming, WireAdapter } from '../wire-adapter.ts'
import { ChannelMember, type MemberHost } from './channel-member.ts'
import type { StreamSpec } from './channel-spec.ts'
import { ChannelSubscription, type SubscriptionOwner } from './channel-subscription.ts'
import { type Reader, SocketPressure } from './pressure.ts'
import { type RequestHost, type RequestSpec, SocketRequest } from './request.ts'

/** What a session is made with. */
export interface SessionOptions extends Omit<LinkOptions, 'nextRef' | 'onIncoming' | 'onDown'> {
  /** How long a channel that nobody reads stays subscribed; ms. */
  readonly lingerMs: number
  /** Told of what concerns no call: an error about the connection as a whole. */
  readonly onWarning: (failure: Failure) => void
}

/** Channels and requests of one principal over one socket: who speaks, who waits for which answer. */
export class SocketSession implements MemberHost, RequestHost, SubscriptionOwner {
  readonly adapter: WireAdapter
  readonly clock: Clock
  readonly #options: SessionOptions
  readonly #link: SocketLink
  readonly #pressure: SocketPressure
  /** By topic, on the socket that is open. */
  readonly #subscriptions = new Map<string, ChannelSubscription>()
  readonly #awaiting = new Map<number, Awaiting>()
  #lastRef = 0
  #isSubscribedSure: boolean | undefined
  #hasAcks: boolean

  constructor(options: SessionOptions) {
    this.#options = options
    this.adapter = options.adapter
    this.clock = options.clock
    const { subscribed, acks } = options.adapter.traits
    this.#isSubscribedSure = subscribed === 'auto' ? undefined : subscribed
    this.#hasAcks = acks === true
    this.#link = new SocketLink({
      ...options,
      nextRef: () => this.nextRef(),
      onIncoming: (connection, incoming, size) => this.#received(connection, incoming, size),
      onDown: () => this.#down(),
    })
    this.#pressure = new SocketPressure(options.clock, () => this.#link.users)
  }

  get isForgettable(): boolean {
    return this.#link.isForgettable
  }

  get isSubscribedSure(): boolean | undefined {
    return this.#isSubscribedSure
  }

  get hasAcks(): boolean {
    return this.#hasAcks
  }

  /** Opens a stream: resolves when the server has accepted the subscription. */
  stream(call: Call, spec: StreamSpec): Promise<StreamReply> {
    if (call.isReopen && this.#link.isRefused(call.credential)) return Promise.reject(refusedBefore(call))
    return new ChannelMember(call, spec, this).open((member) => this.#join(member))
  }

  /** Sends one message and resolves with the reply that carries its `ref`. */
  request(call: Call, spec: RequestSpec): Promise<UnaryReply> {
    return new SocketRequest(call, spec, this).run((request) => this.#join(request))
  }

  close(): void {
    this.#down()
    this.#link.close()
  }

  nextRef(): number {
    return ++this.#lastRef
  }

  expect(ref: number, awaiting: Awaiting): void {
    this.#awaiting.set(ref, awaiting)
    this.#pressure.review(this.#link.connection)
  }

  forget(ref: number): void {
    this.#awaiting.delete(ref)
  }

  learn(acceptance: Acceptance | undefined): void {
    const { subscribed, acks } = this.adapter.traits
    if (subscribed === 'auto') this.#isSubscribedSure = acceptance !== undefined
    if (acks === 'auto' && acceptance?.acks !== undefined) this.#hasAcks = acceptance.acks
  }

  leave(user: LinkUser): void {
    this.#link.leave(user)
    this.#pressure.review(this.#link.connection)
  }

  subscription(spec: StreamSpec, connection: Connection): ChannelSubscription | undefined {
    const { topic = `${this.#lastRef + 1}`, payload } = spec
    const shared = this.#subscriptions.get(topic)
    if (shared) return isSamePayload(shared.payload, payload) ? shared : undefined
    const { lingerMs } = this.#options
    const made = new ChannelSubscription({ topic, payload, lingerMs, owner: this }, connection)
    this.#subscriptions.set(topic, made)
    return made
  }

  dropped(subscription: ChannelSubscription): void {
    const { topic } = subscription
    if (this.#subscriptions.get(topic) === subscription) this.#subscriptions.delete(topic)
  }

  setFull(reader: Reader, isFull: boolean): void {
    this.#pressure.setFull(reader, isFull, this.#link.connection)
  }

  refuseCredential(wasOpen: boolean): boolean {
    return this.#link.refuse(wasOpen)
  }

  #join(user: LinkUser): void {
    this.#link.join(user)
    this.#pressure.review(this.#link.connection)
  }

  #received(connection: Connection, incoming: Incoming, size: number): void {
    if (incoming.kind === 'data') {
      if (!connection.hasProgressed) this.#link.progressed(connection)
      const { ref, topic, message, at } = incoming
      if (ref !== undefined && this.#isReply(ref, message)) return
      // A topic that nobody knows was left a moment ago.
      this.#subscriptions.get(topic)?.receive(message, at, size)
    } else if (incoming.kind === 'ack') this.#acknowledged(connection, incoming)
    else if (incoming.kind === 'subscribed') this.#subscriptions.get(incoming.topic)?.onAck(incoming)
    else if (incoming.kind === 'end') this.#subscriptions.get(incoming.topic)?.end(undefined)
    else if (incoming.kind === 'error') this.#failed(connection, incoming)
  }

  #acknowledged(connection: Connection, ack: Extract<Incoming, { kind: 'ack' }>): void {
    const awaiting = this.#awaiting.get(ack.ref)
    if (!awaiting) return
    this.#awaiting.delete(ack.ref)
    if (awaiting instanceof SocketRequest && !connection.hasProgressed) this.#link.progressed(connection)
    awaiting.onAck(ack)
  }

  /** The reply to a request; a channel's message that repeats the `ref` of what it echoes is also its acknowledgement. */
  #isReply(ref: number, message: unknown): boolean {
    const awaiting = this.#awaiting.get(ref)
    if (!awaiting) return false
    this.#awaiting.delete(ref)
    awaiting.onAck({ kind: 'ack', ref, message })
    return awaiting instanceof SocketRequest
  }

  #failed(connection: Connection, { ref, topic, failure }: Extract<Incoming, { kind: 'error' }>): void {
    const awaiting = ref === undefined ? undefined : this.#awaiting.get(ref)
    if (ref !== undefined) this.#awaiting.delete(ref)
    const subscription = ref === undefined && topic !== undefined ? this.#subscriptions.get(topic) : undefined
    if (awaiting) awaiting.onError(failure)
    else if (subscription) subscription.end(failure)
    else if (failure.code === 'unauthenticated') connection.drop({ action: 'refresh-auth', failure })
    else this.#options.onWarning(failure)
  }

  #down(): void {
    for (const subscription of this.#subscriptions.values()) subscription.stop()
    this.#subscriptions.clear()
    this.#awaiting.clear()
    this.#pressure.release()
  }
}

function isSamePayload(one: unknown, other: unknown): boolean {
  try {
    return one === other || JSON.stringify(one) === JSON.stringify(other)
  } catch {
    return false
  }
}

function refusedBefore(call: Call): CallError {
  const message = 'the socket was refused for this credential: another one is needed'
  return new CallError({ code: 'unauthenticated', message, phase: 'connect', sent: 'no' }, call)
}
