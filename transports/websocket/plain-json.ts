import type { Credential } from '../../src/core/call/auth.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { isObject } from '../../src/core/tag.ts'
import { stringifyJson } from '../shared/json.ts'
import { classifyClose } from '../socket/close-codes.ts'
import type { Incoming, WireAdapter, WireCursor, WireFrame } from '../socket/wire-adapter.ts'
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
    hello: ({ ref, credential }) => credential && authFrame(ref, credential),
    reauthenticate: ({ ref, credential }) => authFrame(ref, credential ?? {}),
    subscribe: ({ topic, ref, payload, since }) =>
      // The channel without a name is the socket itself: nothing to subscribe to.
      topic === '' && payload === undefined && since === undefined
        ? undefined
        : write({ type: 'subscribe', channel: topic, ref, data: payload, since: since?.id, epoch: since?.epoch }),
    unsubscribe: ({ topic }) => (topic === '' ? undefined : JSON.stringify({ type: 'unsubscribe', channel: topic })),
    publish({ topic, ref, key, message, isAcked }) {
      const header = { type: 'message', channel: topic || undefined, ref: isAcked ? ref : undefined, key }
      if (message instanceof Uint8Array || message instanceof ArrayBuffer) return encodeBinary(header, message)
      return write({ ...header, data: message })
    },
    request({ name, ref, payload, key, timeoutMs, headers: all }) {
      const headers = isEmpty(all) ? undefined : all
      const header = { type: 'message', channel: name, ref, key, timeoutMs, headers }
      if (payload instanceof Uint8Array || payload instanceof ArrayBuffer) return encodeBinary(header, payload)
      return write({ ...header, data: payload })
    },
    cancel: (ref) => JSON.stringify({ type: 'cancel', ref }),
    ping: () => '{"type":"ping"}',
    pong: (payload) => JSON.stringify({ type: 'pong', data: payload }),
    decode,
    classifyClose,
  }
}

/** A frame that holds what the user sends: what JSON would lose is refused, and so is what it would leave out. */
function write(frame: { readonly data?: unknown; readonly [name: string]: unknown }): string {
  const { data } = frame
  if (typeof data === 'function' || typeof data === 'symbol') stringifyJson(data, 'the message', undefined)
  return stringifyJson(frame, 'the frame', undefined)
}

/** How a message with an offset begins where `JSON.stringify` has written it. */
const usual = '{"type":"data","channel":"'

/**
 * Such a message, its data last, by its characters: only the data is left to JSON.parse, a quarter less work for what
 * there may be millions of.
 */
function decodeUsual(text: string): Incoming | undefined {
  const quote = text.indexOf('"', usual.length)
  const first = quote + 7
  let end = first
  let id = 0
  for (let digit: number; (digit = text.charCodeAt(end) - 48) >= 0 && digit < 10; end++) id = id * 10 + digit
  const isOffset = text.startsWith('","id":', quote) && end > first && end < first + 16 && text[first] !== '0'
  const topic = text.slice(usual.length, quote)
  if (!isOffset || !text.startsWith(',"data":', end) || topic.includes('\\')) return undefined
  try {
    return { kind: 'data', topic, message: JSON.parse(text.slice(end + 8, -1)), at: { id }, ref: undefined }
  } catch {
    // More members, or no JSON: read as a whole.
    return undefined
  }
}

function decode(frame: WireFrame): Incoming | undefined {
  const isUsual = typeof frame === 'string' && frame.startsWith(usual) && frame.endsWith('}')
  const message = isUsual && decodeUsual(frame)
  if (message) return message
  const parsed: Frame = typeof frame === 'string' ? JSON.parse(frame) : decodeBinary(frame)
  if (!isObject(parsed)) throw new TypeError('a frame is a JSON object')
  switch (parsed.type) {
    case 'data':
    case 'message': {
      // The usual frame, read here, since there may be millions.
      const { channel, data, id, epoch, ref } = parsed
      const topic = typeof channel === 'string' ? channel : ''
      const at = typeof id !== 'number' || (epoch !== undefined && epoch !== null) ? cursorOf(parsed) : { id }
      return { kind: 'data', topic, message: data, at, ref: ref === undefined ? ref : refOf(parsed) }
    }
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
function authFrame(ref: number, { secret, headers }: Credential): string {
  return JSON.stringify({ type: 'auth', ref, token: secret, headers: secret === undefined ? headers : undefined })
}

/** Bytes before the header: its length, big-endian. */
const prefix = 4

/**
 * A frame whose `data` is bytes, as one binary message: 4 bytes with the length of the header (big-endian), the header
 * (the same frame without `data`, as JSON in UTF-8), then the bytes.
 */
export function encodeBinary(header: object, data: Uint8Array | ArrayBuffer): Uint8Array {
  const bytes = new Uint8Array(data as ArrayBuffer)
  const text = new TextEncoder().encode(JSON.stringify(header))
  const frame = new Uint8Array(prefix + text.length + bytes.length)
  new DataView(frame.buffer).setUint32(0, text.length)
  frame.set(text, prefix)
  frame.set(bytes, prefix + text.length)
  return frame
}

/** @throws {TypeError} where the bytes are no such frame. */
export function decodeBinary(frame: Uint8Array): object {
  const length = frame.length < prefix ? -1 : new DataView(frame.buffer, frame.byteOffset).getUint32(0)
  if (length < 0 || prefix + length > frame.length)
    throw new TypeError('a binary frame begins with the length of its header')
  const header: unknown = JSON.parse(new TextDecoder().decode(frame.subarray(prefix, prefix + length)))
  if (!isObject(header)) throw new TypeError('the header of a binary frame is a JSON object')
  // A copy: what the socket hands out is a view into its read buffer.
  return { ...header, data: Uint8Array.from(frame.subarray(prefix + length)) }
}
