import type { Failure } from '../../src/core/errors/failure.ts'
import { classifyClose } from '../socket/errors.ts'
import type { Incoming, WireAdapter, WireCursor, WireFrame } from '../socket/wire-adapter.ts'
import { decodeBinary, encodeBinary } from './binary.ts'
import { readFrameError } from './errors.ts'

/** What the server of the plain protocol can do. */
export interface PlainJsonOptions {
  /**
   * Whether it answers `auth`, `subscribe` and `message`: `true` waits for that, `false` never does. `auto` waits a
   * moment for `subscribed` and takes messages for acknowledged once the server says that it does so.
   *
   * @defaultValue 'auto'
   */
  readonly acks?: boolean | 'auto' | undefined
}

/** A received frame, as far as it is one; every member may be missing. */
interface Frame {
  readonly type?: unknown
  readonly channel?: unknown
  readonly data?: unknown
  readonly id?: unknown
  readonly epoch?: unknown
  readonly ref?: unknown
  readonly recovered?: unknown
  readonly acks?: unknown
}

/**
 * The plain JSON protocol: `subscribe`, `unsubscribe`, `message`, `ping`, `pong`, `data` and `error`, with optional
 * `id`, `epoch`, `since`, `ref` and `recovered`. Written down in `docs/protocol.md`.
 *
 * @example
 * websocketTransport({ url: 'wss://rt.example.com/ws', adapter: plainJson({ acks: true }) })
 */
export function plainJson({ acks = 'auto' }: PlainJsonOptions = {}): WireAdapter {
  return {
    name: 'plain-json',
    traits: { subscribed: acks, acks, isHelloAwaited: acks === true, isShared: true },
    hello: ({ ref, credential }) =>
      credential && JSON.stringify({ type: 'auth', ref, token: credential.secret, headers: withoutSecret(credential) }),
    reauthenticate: ({ ref, credential }) =>
      JSON.stringify({
        type: 'auth',
        ref,
        token: credential?.secret,
        headers: credential && withoutSecret(credential),
      }),
    subscribe: ({ topic, ref, payload, since }) =>
      // The channel without a name is the socket itself: nothing to subscribe to.
      topic === '' && payload === undefined && since === undefined
        ? undefined
        : JSON.stringify({
            type: 'subscribe',
            channel: topic,
            ref,
            data: payload,
            since: since?.id,
            epoch: since?.epoch,
          }),
    unsubscribe: ({ topic }) => (topic === '' ? undefined : JSON.stringify({ type: 'unsubscribe', channel: topic })),
    publish: ({ topic, ref, key, message, isAcked }) =>
      encode({ type: 'message', channel: topic || undefined, ref: isAcked ? ref : undefined, key }, message),
    request: ({ name, ref, payload, key, timeoutMs, headers }) =>
      encode(
        { type: 'message', channel: name, ref, key, timeoutMs, headers: isEmpty(headers) ? undefined : headers },
        payload,
      ),
    cancel: (ref) => JSON.stringify({ type: 'cancel', ref }),
    ping: () => '{"type":"ping"}',
    pong: (payload) => JSON.stringify({ type: 'pong', data: payload }),
    decode,
    classifyClose,
  }
}

function encode(header: object, data: unknown): WireFrame {
  if (data instanceof Uint8Array) return encodeBinary(header, data)
  if (data instanceof ArrayBuffer) return encodeBinary(header, new Uint8Array(data))
  return JSON.stringify({ ...header, data })
}

function decode(frame: WireFrame): Incoming | undefined {
  const parsed: Frame = typeof frame === 'string' ? JSON.parse(frame) : decodeBinary(frame)
  if (typeof parsed !== 'object' || parsed === null) throw new TypeError('a frame is a JSON object')
  switch (parsed.type) {
    case 'data':
    case 'message':
      return data(parsed)
    case 'ack':
    case 'subscribed':
      return accepted(parsed)
    case 'error':
      return { kind: 'error', ref: refOf(parsed), topic: topicOf(parsed), failure: readFrameError(parsed) as Failure }
    case 'unsubscribed':
    case 'end':
      return parsed.ref === undefined ? { kind: 'end', topic: topicOf(parsed) ?? '' } : undefined
    case 'ping':
      return { kind: 'ping', payload: parsed.data }
    case 'pong':
      return { kind: 'pong' }
    default:
      // A newer server's frame: not for us.
      return undefined
  }
}

function data(frame: Frame): Incoming {
  const { channel, data } = frame
  const topic = typeof channel === 'string' ? channel : ''
  return { kind: 'data', topic, message: data, at: cursorOf(frame), ref: refOf(frame) }
}

function accepted(frame: Frame): Incoming {
  const { recovered, acks, data } = frame
  const acceptance = {
    at: cursorOf(frame),
    recovered: typeof recovered === 'boolean' ? recovered : undefined,
    acks: typeof acks === 'boolean' ? acks : undefined,
  }
  const ref = refOf(frame)
  if (ref !== undefined) return { kind: 'ack', ref, message: data, ...acceptance }
  return { kind: 'subscribed', topic: topicOf(frame) ?? '', ...acceptance }
}

function cursorOf({ id, epoch }: Frame): WireCursor | undefined {
  if (typeof id !== 'number' && typeof id !== 'string') return undefined
  return epoch === undefined || epoch === null ? { id } : { id, epoch: String(epoch) }
}

function refOf({ ref }: Frame): number | undefined {
  return ref === undefined || ref === null ? undefined : Number(ref)
}

function topicOf({ channel }: Frame): string | undefined {
  return typeof channel === 'string' ? channel : undefined
}

function isEmpty(headers: object): boolean {
  for (const _ in headers) return false
  return true
}

/** Credentials that are headers only (Basic, cookies, several keys) travel as such. */
function withoutSecret({
  secret,
  headers,
}: {
  readonly secret?: string
  readonly headers?: object
}): object | undefined {
  return secret === undefined ? headers : undefined
}
