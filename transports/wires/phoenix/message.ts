import { stringifyJson } from '../../shared/json.ts'
import type { WireFrame } from '../../socket/wire-adapter.ts'

/** One message of version 2 of the serializer. */
export interface PhoenixMessage {
  readonly join: string | null
  readonly ref: string | null
  readonly topic: string
  readonly event: string
  readonly payload: any
}

/** Writes a message; a payload of bytes as a binary frame. @throws where it cannot be written. */
export function encodeMessage({ join, ref, topic, event, payload }: PhoenixMessage): WireFrame {
  if (!(payload instanceof ArrayBuffer || ArrayBuffer.isView(payload)))
    return stringifyJson([join, ref, topic, event, payload ?? {}], 'the message', undefined)
  const bytes = ArrayBuffer.isView(payload)
    ? new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength)
    : new Uint8Array(payload)
  const parts = [join ?? '', ref ?? '', topic, event].map((part) => new TextEncoder().encode(part))
  if (parts.some(({ length }) => length > 255))
    throw new TypeError('a binary message of Phoenix has topics and events of up to 255 bytes')
  const head = [0, ...parts.map(({ length }) => length)]
  const frame = new Uint8Array(head.length + parts.reduce((sum, { length }) => sum + length, bytes.length))
  frame.set(head)
  let at = head.length
  for (const part of [...parts, bytes]) {
    frame.set(part, at)
    at += part.length
  }
  return frame
}

/** Reads a message. @throws {TypeError} or {SyntaxError} where it is none. */
export function decodeMessage(frame: WireFrame): PhoenixMessage {
  if (typeof frame !== 'string') return decodeBytes(frame)
  const parts: unknown = JSON.parse(frame)
  if (!Array.isArray(parts) || parts.length !== 5)
    throw new TypeError('a message of Phoenix is an array of five: check that the URL asks for version 2')
  const [join, ref, topic, event, payload] = parts
  if (typeof topic !== 'string' || typeof event !== 'string')
    throw new TypeError('a message of Phoenix names its topic and event')
  if (event === 'phx_reply' && textOf(ref) !== null && typeof payload?.status !== 'string')
    throw new TypeError('a reply of Phoenix has a status')
  return { join: textOf(join), ref: textOf(ref), topic, event, payload }
}

const textOf = (value: unknown): string | null => (value === null || value === undefined ? null : String(value))

/** Which parts stand before the payload, by kind of the frame; each with its length in the head. */
const layouts: readonly (readonly (keyof PhoenixMessage)[])[] = [
  ['join', 'topic', 'event'],
  ['join', 'ref', 'topic', 'event'],
  ['topic', 'event'],
]

function decodeBytes(frame: Uint8Array): PhoenixMessage {
  const layout = layouts[frame[0] as number]
  if (!layout) throw new TypeError('a binary message of Phoenix begins with its kind, from 0 to 2')
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const read: Record<string, string> = {}
  let at = 1 + layout.length
  for (const [index, name] of layout.entries()) {
    const end = at + (frame[1 + index] ?? Number.NaN)
    if (!(end <= frame.length)) throw new TypeError('a binary message of Phoenix is cut off')
    read[name] = decoder.decode(frame.subarray(at, end))
    at = end
  }
  // A copy: what the socket hands out is a view into its read buffer.
  const bytes = Uint8Array.from(frame.subarray(at))
  const { join = null, ref = null, topic = '', event = '' } = read
  if (frame[0] !== 1) return { join, ref, topic, event, payload: bytes }
  return { join, ref, topic, event: 'phx_reply', payload: { status: event, response: bytes } }
}
