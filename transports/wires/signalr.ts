import type { Failure } from '../../src/core/errors/failure.ts'
import { callable, checkOptions, flag, type RulesOf } from '../../src/core/options.ts'
import { stringifyJson } from '../shared/json.ts'
import { classifyClose } from '../socket/close-codes.ts'
import type { SocketEnd } from '../socket/driver/driver.ts'
import type {
  CloseVerdict,
  Handshake,
  Incoming,
  Publish,
  Request,
  Subscribe,
  Unsubscribe,
  Wire,
  WireAdapter,
  WireFrame,
  WireFrames,
} from '../socket/wire-adapter.ts'
import { closed, failureOf, lostState } from './signalr/failures.ts'
import { Memory, Received, type Running } from './signalr/memory.ts'
import { type HubMessage, isCounted, kinds, parseMessages, separator } from './signalr/messages.ts'
import { type NegotiateFetch, negotiate } from './signalr/negotiate.ts'

export type { NegotiateFetch } from './signalr/negotiate.ts'

/** What is sent on a channel: a call of a hub's method that nobody waits for. */
export interface SignalRCall<Method extends string = string, Args extends readonly unknown[] = readonly any[]> {
  readonly method: Method
  readonly args: Args
}

/** How a SignalR server is spoken to. */
export interface SignalROptions {
  /** `false` opens the socket at once: one request less, no Azure SignalR, no stateful reconnect. @defaultValue true */
  readonly negotiate?: boolean | undefined
  /** Goes on with the same connection after a drop, where the server has `AllowStatefulReconnects`. @defaultValue true */
  readonly stateful?: boolean | undefined
  /** Used to negotiate. @defaultValue the platform's */
  readonly fetch?: NegotiateFetch | undefined
}

/**
 * SignalR of ASP.NET Core: the JSON hub protocol over a WebSocket. A channel is a target that the server calls, and its
 * messages are the arguments; `channel('stream Counter')` is a stream that the hub's method gives; a request is a method
 * and its result.
 *
 * With stateful reconnect a drop costs nothing, and where the server has given the connection up meanwhile, that is a
 * gap. Without it nobody knows what a drop has cost, and `continuity` is `unknown`.
 *
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * const client = createClient({
 *   transports: { websocket: websocketTransport({ url: 'https://api.example.com/hubs/chat', adapter: signalR() }) },
 *   auth: bearerAuth(() => session.token),
 * })
 * const messages = channel('ReceiveMessage', { receive: type<[user: string, text: string]>() })
 * for await (const [user, text] of client.call(messages)) console.log(user, text)
 */
export function signalR(options: SignalROptions = {}): (wire: Wire) => WireAdapter {
  checkOptions('signalR()', options, rules)
  return (wire) => new SignalRConnection(options, wire)
}

const rules: RulesOf<SignalROptions> = { negotiate: flag, stateful: flag, fetch: callable }

/** What each session remembers. */
const memories = /* @__PURE__ */ new WeakMap<object, Memory>()

/** A subscription on this connection. */
interface Subscription {
  readonly target: string
  /** What comes before it is accepted. */
  waiting: Incoming[] | undefined
}

class SignalRConnection implements WireAdapter {
  readonly name = 'signalr'
  readonly traits = {
    subscribed: true,
    acks: false,
    isHelloAwaited: true,
    isShared: false,
    keepAliveMs: 15_000,
  } as const
  readonly #options: SignalROptions
  readonly #wire: Wire
  readonly #memory: Memory
  readonly #subscriptions = new Map<number, Subscription>()
  /** Their refs by target: a message must not look at thousands of others. */
  readonly #refs = new Map<string, Set<number>>()
  #isResuming = false
  #isReady = false

  constructor(options: SignalROptions, wire: Wire) {
    this.#options = options
    this.#wire = wire
    this.#memory = memories.get(wire.session) ?? new Memory()
    memories.set(wire.session, this.#memory)
  }

  async handshake(handshake: Handshake): Promise<Handshake> {
    const {
      negotiate: isNegotiated = true,
      stateful = true,
      fetch = globalThis.fetch as NegotiateFetch,
    } = this.#options
    const { resumable } = this.#memory
    this.#isResuming = resumable !== undefined
    if (resumable) {
      this.#memory.attempts++
      return place({ ...handshake, url: resumable.url })
    }
    if (!isNegotiated) {
      this.#memory.begin(undefined)
      return place(handshake)
    }
    const { connectionId, isStateful, ...made } = await negotiate(handshake, fetch, stateful)
    this.#memory.begin(isStateful && stateful ? { url: made.url, id: connectionId } : undefined)
    return place({ ...handshake, ...made })
  }

  hello(): WireFrames {
    if (this.#isResuming) return this.#memory.resume()
    return write({ protocol: 'json', version: this.#memory.connection ? 2 : 1 })
  }

  subscribe({ ref, topic, payload, since }: Subscribe): WireFrames {
    const isStream = topic.startsWith('stream ')
    const subscription: Subscription = { target: topic, waiting: [] }
    this.#subscriptions.set(ref, subscription)
    this.#refs.set(topic, (this.#refs.get(topic) ?? new Set()).add(ref))
    this.#memory.wanted.add(topic)
    const known = isStream ? this.#runningLike(topic, payload, since) : this.#memory.targets.get(topic)
    const received = known && 'received' in known ? known.received : known
    const { id, epoch } = since ?? {}
    const isSame = epoch !== undefined && epoch === this.#memory.connection?.id
    const missed = isSame ? received?.after(Number(id)) : undefined
    if (isStream && known) (known as Running).ref = ref
    // After the messages that the session may still have in hand.
    queueMicrotask(() => this.#accept(ref, subscription, missed, received, since))
    if (!isStream) {
      if (!received) this.#memory.targets.set(topic, new Received(this.#memory.received))
      return []
    }
    return known ? [] : this.#start(ref, topic, payload)
  }

  unsubscribe({ subscription, topic }: Unsubscribe): WireFrames | undefined {
    this.#forget(subscription)
    const invocationId = topic.startsWith('stream ') ? this.#memory.stop(subscription) : undefined
    return invocationId === undefined ? undefined : this.#send({ type: kinds.cancel, invocationId })
  }

  #forget(ref: number): void {
    const { target = '' } = this.#subscriptions.get(ref) ?? {}
    this.#subscriptions.delete(ref)
    const refs = this.#refs.get(target)
    if (!refs?.delete(ref) || refs.size > 0) return
    this.#refs.delete(target)
    this.#memory.wanted.delete(target)
  }

  publish({ message }: Publish): WireFrames {
    const { method, args } = (message ?? {}) as Partial<SignalRCall>
    if (typeof method !== 'string' || !Array.isArray(args)) throw new TypeError('a message is { method, args }')
    return this.#send({ type: kinds.invocation, target: method, arguments: args }, true)
  }

  request({ ref, name, payload }: Request): WireFrames {
    const message = { type: kinds.invocation, invocationId: `${ref}`, target: name, arguments: listOf(payload) }
    return this.#send(message, true)
  }

  unsent(frame: WireFrame): void {
    this.#memory.unsent(frame)
  }

  cancel(): undefined {}

  ping(): WireFrames {
    const ack = this.#memory.ack(true)
    const ping = write({ type: kinds.ping })
    return ack === undefined ? ping : [ack, ping]
  }

  pong(): undefined {}

  decode(frame: WireFrame): Incoming[] {
    const incoming: Incoming[] = []
    for (const message of parseMessages(frame)) {
      if (!this.#isReady) incoming.push(...this.#greeted(message))
      else if (!isCounted(message)) this.#control(message, incoming)
      else {
        const sequence = this.#memory.count(frame.length)
        if (sequence !== undefined) this.#receive(message, sequence, incoming)
      }
    }
    const ack = this.#memory.ack(false)
    if (ack !== undefined) incoming.push({ kind: 'answer', frames: ack })
    return incoming
  }

  classifyClose(end: SocketEnd): CloseVerdict {
    // A status is the server's own word that it does not know the connection any more.
    if (!this.#isResuming || this.#isReady || end.status === undefined) return classifyClose(end)
    this.#memory.connection = undefined
    return lostState
  }

  /** The answer to the first words, or to where this side goes on. */
  #greeted({ type, error, sequenceId = 0 }: HubMessage): Incoming[] {
    if (this.#isResuming && type === kinds.close) {
      this.#memory.connection = undefined
      return [{ kind: 'goodbye', verdict: lostState }]
    }
    if (this.#isResuming && type !== kinds.sequence) return []
    if (!this.#isResuming && type !== undefined)
      throw new TypeError('a message of the hub came where the answer to the handshake was expected')
    this.#isReady = true
    if (this.#isResuming && !this.#memory.resumed(sequenceId)) {
      this.#memory.connection = undefined
      return [{ kind: 'goodbye', verdict: lostState }]
    }
    if (!error) return [{ kind: 'ready' }]
    const message = 'the hub refused the handshake'
    const failure: Failure = { code: 'failed_precondition', message, serverMessage: error }
    return [{ kind: 'goodbye', verdict: { action: 'fatal', failure } }]
  }

  #control(message: HubMessage, into: Incoming[]): void {
    if (message.type === kinds.ack) this.#memory.acked(message)
    if (message.type !== kinds.close) return
    this.#memory.connection = undefined
    into.push({ kind: 'goodbye', verdict: closed(message) })
  }

  #receive({ type, invocationId = '', target = '', ...message }: HubMessage, sequence: number, into: Incoming[]): void {
    if (type === kinds.invocation) {
      const args = message.arguments ?? []
      this.#memory.targets.get(target)?.add(sequence, args)
      for (const ref of this.#refs.get(target) ?? []) this.#hand(ref, args, sequence, into)
      if (invocationId === '') return
      const error = "Client didn't provide a result."
      into.push({ kind: 'answer', frames: this.#send({ type: kinds.completion, invocationId, error }) })
      return
    }
    const running = this.#memory.running.get(invocationId)
    if (type === kinds.item && running) {
      running.received.add(sequence, message.item)
      if (running.ref !== undefined) this.#hand(running.ref, message.item, sequence, into)
      // Nobody has come back for it.
      else if (running.received.isOverrun && this.#memory.running.delete(invocationId))
        into.push({ kind: 'answer', frames: this.#send({ type: kinds.cancel, invocationId }) })
    } else if (type === kinds.completion) this.#completed(invocationId, message, running, into)
  }

  #completed(invocationId: string, message: Partial<HubMessage>, running: Running | undefined, into: Incoming[]): void {
    const { error, result } = message
    const failure = typeof error === 'string' ? failureOf(error) : undefined
    if (!running) {
      const ref = Number(invocationId)
      into.push(failure ? { kind: 'error', ref, failure } : { kind: 'ack', ref, message: result })
      return
    }
    const end = (ref: number): Incoming => (failure ? { kind: 'error', ref, failure } : { kind: 'end', ref })
    running.received.ended(end)
    if (running.ref === undefined) return
    this.#memory.running.delete(invocationId)
    const waiting = this.#subscriptions.get(running.ref)?.waiting
    ;(waiting ?? into).push(end(running.ref))
    if (!waiting) this.#forget(running.ref)
  }

  #hand(ref: number, message: unknown, sequence: number, into: Incoming[]): void {
    const waiting = this.#subscriptions.get(ref)?.waiting
    ;(waiting ?? into).push({ kind: 'data', ref, message, at: this.#memory.place(sequence) })
  }

  #accept(
    ref: number,
    subscription: Subscription,
    missed: ReturnType<Received['after']>,
    received: Received | undefined,
    since: Subscribe['since'],
  ): void {
    const { waiting = [] } = subscription
    subscription.waiting = undefined
    if (this.#subscriptions.get(ref) !== subscription) return
    const at = missed ? since : this.#memory.place(this.#memory.received)
    this.#wire.receive({ kind: 'ack', ref, at, recovered: since && missed !== undefined })
    for (const { sequence, message } of missed ?? [])
      this.#wire.receive({ kind: 'data', ref, message, at: this.#memory.place(sequence) })
    const ends = missed && waiting.length === 0 ? (received?.endFor(ref) ?? []) : []
    const last = [...waiting, ...ends]
    for (const each of last) this.#wire.receive(each)
    if (last.length > 0 && last.at(-1)?.kind !== 'data') this.#forget(ref)
    if (ends.length > 0) this.#memory.stop(ref)
  }

  /** A stream that the server is still at, from the place that is asked for. */
  #runningLike(topic: string, payload: unknown, since: Subscribe['since']): Running | undefined {
    if (since?.epoch === undefined || since.epoch !== this.#memory.connection?.id) return undefined
    const json = JSON.stringify(listOf(payload))
    for (const each of this.#memory.running.values()) {
      const isFree = each.ref === undefined && each.topic === topic && each.payload === json
      if (isFree && each.received.after(Number(since.id))) return each
    }
    return undefined
  }

  #start(ref: number, topic: string, payload: unknown): WireFrames {
    const args = listOf(payload)
    const frame = this.#send({
      type: kinds.streamInvocation,
      invocationId: `${ref}`,
      target: topic.slice('stream '.length),
      arguments: args,
    })
    const received = new Received(this.#memory.received)
    this.#memory.running.set(`${ref}`, { topic, payload: JSON.stringify(args), received, ref })
    return frame
  }

  #send(message: HubMessage, isAnothers = false): string {
    return this.#memory.send(write(message), isAnothers)
  }
}

/** Where no header can be sent, servers look into the query. */
function place(handshake: Handshake): Handshake {
  const { credential, takesHeaders } = handshake
  if (takesHeaders || credential?.secret === undefined) return handshake
  return { ...handshake, credential: { query: { ...credential.query, access_token: credential.secret } } }
}

const listOf = (payload: unknown): readonly unknown[] =>
  payload === undefined ? [] : Array.isArray(payload) ? payload : [payload]

function write(message: object): string {
  return stringifyJson(message, 'the message', undefined) + separator
}
