import type { Credential } from '../../src/core/call/auth.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { decide, guard } from '../../src/core/guard.ts'
import { callable, checkOptions, flag, type RulesOf } from '../../src/core/options.ts'
import { isObject } from '../../src/core/tag.ts'
import { systemClock } from '../../src/core/time/clock.ts'
import { classifyClose } from '../socket/close-codes.ts'
import type {
  Handshake,
  Incoming,
  Publish,
  Request,
  Subscribe,
  Wire,
  WireAdapter,
  WireFrame,
  WireFrames,
} from '../socket/wire-adapter.ts'
import { Namespace } from './socket-io/namespace.ts'
import { isRecoveryOffset } from './socket-io/offset.ts'
import { encodePacket, type PartialPacket, parsePacket, restoreBytes } from './socket-io/packet.ts'

/** What is received: an event with its arguments; and what is sent. */
export interface SocketIoEvent<Name extends string = string, Args extends readonly unknown[] = readonly any[]> {
  readonly event: Name
  readonly args: Args
  /** The server waits for an acknowledgement: send `{ ack: id, args: [...] }`. */
  readonly id?: number
}

/** The acknowledgement of an event that came with an `id`. */
export interface SocketIoAck<Args extends readonly unknown[] = readonly any[]> {
  readonly ack: number
  readonly args: Args
}

/** What a server refused a namespace with. */
export interface SocketIoRefusal {
  readonly message: string
  readonly data?: unknown
}

/** How a Socket.IO server is spoken to. */
export interface SocketIoOptions {
  /** The `auth` of the handshake, in which a middleware of the server looks. @defaultValue `{ token }`, the credential's secret */
  readonly auth?: ((credential: Credential | undefined, namespace: string) => object | undefined) | undefined
  /** Every handler of the server acknowledges what is sent on a channel: `send()` waits for that. @defaultValue false */
  readonly acks?: boolean | undefined
  /**
   * Whether the last argument of an event is the place that a server with connection state recovery adds, and no
   * argument of the event.
   *
   * @defaultValue a text that the server's own adapters write, and that holds a time within 30 days of now
   */
  readonly isOffset?: ((last: string) => boolean) | undefined
  /** What a refused namespace means. @defaultValue by its words: `unauthenticated`, `not_found`, else `permission_denied` */
  readonly refusal?: ((refusal: SocketIoRefusal) => Failure['code']) | undefined
}

/**
 * Socket.IO (protocol 5 over Engine.IO 4, WebSocket only), for servers from version 3 on. A channel is a namespace, its
 * messages are events; a request is an event with an acknowledgement: `request('order:create')`, or
 * `request('/admin order:create')` in another namespace than `/`.
 *
 * Where the server recovers connections (`connectionStateRecovery`, from 4.6 on), a drop costs nothing, and what could
 * not be recovered is a gap. Elsewhere nobody knows what a drop has cost, and `continuity` is `unknown`.
 *
 * @throws {CallError} `invalid_argument` where an option is none.
 * @example
 * const client = createClient({
 *   transports: { websocket: websocketTransport({ url: 'wss://chat.example.com', adapter: socketIo() }) },
 * })
 * const lobby = channel('/', { receive: type<SocketIoEvent<'said', [text: string]>>() })
 * for await (const { event, args } of client.call(lobby)) console.log(event, args)
 */
export function socketIo(options: SocketIoOptions = {}): (wire: Wire) => WireAdapter {
  checkOptions('socketIo()', options, rules)
  return (wire) => new SocketIoConnection(options, wire)
}

const rules: RulesOf<SocketIoOptions> = { auth: callable, acks: flag, isOffset: callable, refusal: callable }

/** One Engine.IO connection, with the namespaces that are joined on it. */
class SocketIoConnection implements WireAdapter {
  readonly name = 'socket.io'
  readonly traits
  readonly classifyClose = classifyClose
  readonly #options: SocketIoOptions
  readonly #wire: Wire
  readonly #namespaces = new Map<string, Namespace>()
  #credential: Credential | undefined
  /** A packet whose bytes are still to come, and those that have. */
  #partial: { readonly packet: PartialPacket; readonly attachments: Uint8Array[] } | undefined

  constructor(options: SocketIoOptions, wire: Wire) {
    this.#options = options
    this.#wire = wire
    const { acks = false } = options
    this.traits = { subscribed: true, acks, isHelloAwaited: true, isShared: true, authIn: 'message' } as const
  }

  handshake({ url, ...rest }: Handshake): Handshake {
    const whole = new URL(url)
    if (whole.pathname === '/') whole.pathname = '/socket.io/'
    whole.searchParams.set('EIO', '4')
    whole.searchParams.set('transport', 'websocket')
    return { ...rest, url: whole.href }
  }

  /** The server speaks first. */
  hello({ credential }: { readonly credential: Credential | undefined }): WireFrames {
    this.#credential = credential
    return []
  }

  /** For namespaces that are joined from now on: one that was refused is asked for again. */
  reauthenticate({ credential }: { readonly credential: Credential | undefined }): WireFrames {
    this.#credential = credential
    return []
  }

  subscribe({ ref, topic, since }: Subscribe): WireFrames {
    const namespace = this.#namespaceOf(topic)
    return namespace.subscribe(ref, since, () => this.#connect(namespace))
  }

  unsubscribe({ topic }: { readonly topic: string }): WireFrames | undefined {
    const namespace = this.#namespaces.get(topic)
    if (!namespace?.unsubscribe()) return undefined
    this.#namespaces.delete(topic)
    return encodePacket('disconnect', topic, undefined)
  }

  publish({ topic, ref, message, isAcked }: Publish): WireFrames {
    const { event, ack, args = [] } = (message ?? {}) as Partial<SocketIoEvent & SocketIoAck>
    if (isId(ack)) return encodePacket('ack', topic, ack, args)
    if (typeof event !== 'string' || !Array.isArray(args))
      throw new TypeError('a message is { event, args } or { ack, args }')
    return encodePacket('event', topic, isAcked ? ref : undefined, [sendable(event), ...args])
  }

  request({ ref, name, payload }: Request): WireFrames {
    const space = name.startsWith('/') ? name.indexOf(' ') : -1
    const namespace = this.#namespaceOf(space < 0 ? '/' : name.slice(0, space))
    const args = payload === undefined ? [] : Array.isArray(payload) ? payload : [payload]
    const frames = encodePacket('event', namespace.name, ref, [sendable(name.slice(space + 1)), ...args])
    return namespace.request(ref, frames, () => this.#connect(namespace))
  }

  cancel(ref: number): undefined {
    for (const namespace of this.#namespaces.values()) namespace.forget(ref)
  }

  /** Only the server may ask. */
  ping(): undefined {}

  pong(): WireFrame {
    return '3'
  }

  decode(frame: WireFrame): Incoming | readonly Incoming[] | undefined {
    if (typeof frame !== 'string') return this.#addBytes(frame)
    switch (frame[0]) {
      case '0':
        return readOpen(frame.slice(1))
      case '1':
        return { kind: 'goodbye', verdict: classifyClose({ code: 1001, reason: '', wasClean: true, phase: 'open' }) }
      case '2':
        return { kind: 'ping' }
      case '3':
      case '6':
        return undefined
      case '4':
        return this.#begin(parsePacket(frame.slice(1)))
      default:
        throw new TypeError('a frame of Engine.IO begins with its kind, a digit from 0 to 6')
    }
  }

  #namespaceOf(name: string): Namespace {
    let namespace = this.#namespaces.get(name)
    if (!namespace) {
      if (!/^\/[^,]*$/.test(name))
        throw refusal("the name of a Socket.IO channel is its namespace: '/', or '/chat', without a comma", undefined)
      const { isOffset } = this.#options
      namespace = new Namespace(name, this.#wire, (last) =>
        isOffset
          ? decide('isOffset of socketIo()', () => isOffset(last))
          : isRecoveryOffset(last, systemClock.wallNow()),
      )
      this.#namespaces.set(name, namespace)
    }
    return namespace
  }

  /** Each namespace has middlewares of its own, and so the credential goes to each. */
  #connect(namespace: Namespace): WireFrames {
    const { auth } = this.#options
    const secret = this.#credential?.secret
    const ask = () => auth?.(this.#credential, namespace.name)
    const token = secret === undefined ? undefined : { token: secret }
    const given = auth ? guard('auth of socketIo()', ask) : token
    const place = namespace.asked && { pid: namespace.asked.epoch, offset: namespace.asked.id }
    return encodePacket('connect', namespace.name, undefined, given || place ? { ...given, ...place } : undefined)
  }

  #begin(packet: PartialPacket): Incoming | readonly Incoming[] | undefined {
    if (this.#partial) throw new TypeError('a packet came where the bytes of another were expected')
    if (packet.attachments === 0) return this.#receive(packet)
    this.#partial = { packet, attachments: [] }
    return undefined
  }

  #addBytes(bytes: Uint8Array): Incoming | readonly Incoming[] | undefined {
    if (!this.#partial) throw new TypeError('bytes came that no packet has announced')
    const { packet, attachments } = this.#partial
    // A copy: what the socket hands out is a view into its read buffer.
    attachments.push(Uint8Array.from(bytes))
    if (attachments.length < packet.attachments) return undefined
    this.#partial = undefined
    return this.#receive({ ...packet, data: restoreBytes(packet.data, attachments) })
  }

  #receive({ kind, namespace: name, id, data }: PartialPacket | Omit<PartialPacket, 'attachments'>) {
    const namespace = this.#namespaces.get(name)
    // One that was left a moment ago.
    if (!namespace) return undefined
    if (kind === 'event') return namespace.event(data as [string, ...unknown[]], id)
    if (kind === 'ack') return id === undefined ? undefined : namespace.ack(id, data as unknown[])
    if (kind === 'connect') {
      const said = namespace.connected(data as { pid?: unknown })
      if (!namespace.isUnneeded) return said
      // All have left meanwhile.
      this.#namespaces.delete(name)
      return [{ kind: 'answer', frames: encodePacket('disconnect', name, undefined) } as const]
    }
    this.#namespaces.delete(name)
    return kind === 'refused' ? namespace.refused(this.#failureOf(data)) : namespace.disconnected()
  }

  #failureOf(data: unknown): Failure {
    const { message, data: details } = (typeof data === 'object' ? data : { message: data }) as Partial<SocketIoRefusal>
    const refusal = { message: String(message), data: details }
    const { refusal: meaning = meaningOf } = this.#options
    const code = guard('refusal of socketIo()', () => meaning(refusal))
    const what = code === 'not_found' ? 'the server has no such namespace' : 'the server refused the namespace'
    return { code, message: what, serverMessage: refusal.message, details }
  }
}

/** Names that servers keep for themselves: they hang up on who sends one, and with him on all others of the socket. */
const reserved: readonly string[] = [
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
]

function sendable(event: string): string {
  if (reserved.includes(event))
    throw refusal('the name of this event is one that Socket.IO keeps for itself', undefined)
  return event
}

const isId = (ack: unknown): ack is number => Number.isSafeInteger(ack) && (ack as number) >= 0

/** The first words of the server. */
function readOpen(text: string): Incoming {
  const { pingInterval, pingTimeout } = JSON.parse(text)
  const silenceMs = Number(pingInterval) + Number(pingTimeout)
  if (!(silenceMs > 0)) throw new TypeError('the first frame of Engine.IO names pingInterval and pingTimeout')
  return { kind: 'ready', silenceMs }
}

function meaningOf({ message, data }: SocketIoRefusal): Failure['code'] {
  const { code, status = code } = (isObject(data) ? data : {}) as Record<string, unknown>
  if (message === 'Invalid namespace') return 'not_found'
  const isOfCredential = status === 401 || /\b(auth|unauth|token|jwt|credential|expired|401)/i.test(message)
  return isOfCredential ? 'unauthenticated' : 'permission_denied'
}
