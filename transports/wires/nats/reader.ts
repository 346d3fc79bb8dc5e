import { isObject } from '../../../src/core/tag.ts'
/** A message, with what stands before its payload. */
export interface NatsMessage {
  readonly kind: 'message'
  readonly subject: string
  readonly subscription: string
  readonly reply: string | undefined
  /** By their names in lower case; none where the message has no block of them. */
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Of the first line of the headers: 503 where nobody answers. */
  readonly status: number | undefined
  readonly payload: Uint8Array
}

/** What a server says. */
export type NatsFrame =
  | NatsMessage
  | { readonly kind: 'ping' | 'pong' | 'ok' }
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'info'; readonly info: Readonly<Record<string, unknown>> }

/** Longer lines, and larger messages, no server of NATS sends; bytes. */
const limits = { line: 1 << 20, payload: 1 << 26 }
const [cr, lf] = [13, 10]
const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** The stream of bytes of one connection, cut into what the server says: a message may span frames. */
export class NatsReader {
  /** The beginning of what is not whole; as large as that will be, where it has said so. */
  #rest = new Uint8Array()
  #filled = 0

  /** @throws {TypeError} or {SyntaxError} where the bytes are not NATS. */
  read(frame: string | Uint8Array): NatsFrame[] {
    const bytes = typeof frame === 'string' ? encoder.encode(frame) : frame
    const filled = this.#filled + bytes.length
    if (filled < this.#rest.length) {
      this.#rest.set(bytes, this.#filled)
      this.#filled = filled
      return []
    }
    const whole = this.#filled === 0 ? bytes : concat(this.#rest.subarray(0, this.#filled), bytes)
    const frames: NatsFrame[] = []
    let [at, wanted] = [0, 0]
    for (;;) {
      const end = whole.indexOf(lf, at)
      if ((end < 0 ? whole.length : end) - at > limits.line) throw new TypeError('a line of NATS has no end')
      if (end < 0) break
      if (whole[end - 1] !== cr) throw new TypeError('a line of NATS ends with CR and LF')
      const line = decoder.decode(whole.subarray(at, end - 1))
      const sizes = /^H?MSG\s/i.test(line) ? sizesOf(line) : undefined
      const next = end + 1 + (sizes ? sizes.total + 2 : 0)
      if (next > whole.length) {
        wanted = next - at
        break
      }
      frames.push(sizes ? messageOf(sizes, whole.subarray(end + 1, next)) : controlOf(line))
      at = next
    }
    // A copy: what the socket hands out is a view into its read buffer.
    this.#filled = whole.length - at
    this.#rest = new Uint8Array(Math.max(wanted, this.#filled))
    this.#rest.set(whole.subarray(at))
    return frames
  }
}

interface Sizes {
  readonly subject: string
  readonly subscription: string
  readonly reply: string | undefined
  readonly headers: number
  readonly total: number
}

function sizesOf(line: string): Sizes {
  const [verb = '', subject = '', subscription = '', ...more] = line.trim().split(/\s+/)
  const numbers = verb.length === 4 ? 2 : 1
  const [headers = 0, total = 0] = (numbers === 2 ? more.slice(-2) : ['0', ...more.slice(-1)]).map(sizeOf)
  if (more.length < numbers || more.length > numbers + 1 || headers > total || total > limits.payload)
    throw new TypeError('the head of a message of NATS has other parts')
  return { subject, subscription, reply: more.length > numbers ? more[0] : undefined, headers, total }
}

function sizeOf(text: string): number {
  if (!/^\d+$/.test(text)) throw new TypeError('the head of a message of NATS has no size')
  return Number(text)
}

function messageOf({ subject, subscription, reply, headers: size, total }: Sizes, bytes: Uint8Array): NatsMessage {
  if (bytes[total] !== cr || bytes[total + 1] !== lf) throw new TypeError('a message of NATS is longer than it says')
  const head = size === 0 ? undefined : readHeaders(decoder.decode(bytes.subarray(0, size)))
  const payload = Uint8Array.from(bytes.subarray(size, total))
  return { kind: 'message', subject, subscription, reply, headers: head?.headers, status: head?.status, payload }
}

function readHeaders(text: string): { readonly headers: Record<string, string>; readonly status: number | undefined } {
  const [first = '', ...lines] = text.split('\r\n')
  const [, status] = /^NATS\/1\.0(?:\s+(\d{3}))?/.exec(first) ?? []
  if (!first.startsWith('NATS/1.0')) throw new TypeError('the headers of a message of NATS begin with their version')
  const headers: Record<string, string> = {}
  for (const line of lines) {
    if (line === '') continue
    const colon = line.indexOf(':')
    if (colon < 1) throw new TypeError('a header of a message of NATS has no name')
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = line.slice(colon + 1).trim()
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined
    Object.defineProperty(headers, name, {
      value: before === undefined ? value : `${before}, ${value}`,
      enumerable: true,
      configurable: true,
      writable: true,
    })
  }
  return { headers, status: status === undefined ? undefined : Number(status) }
}

function controlOf(line: string): NatsFrame {
  const verb = line.split(/\s/, 1)[0]?.toUpperCase()
  if (verb === 'PING') return { kind: 'ping' }
  if (verb === 'PONG') return { kind: 'pong' }
  if (verb === '+OK') return { kind: 'ok' }
  if (verb === '-ERR') return { kind: 'error', message: line.slice(4).trim().replace(/^'|'$/g, '') }
  if (verb !== 'INFO') throw new TypeError('a line of NATS begins with a verb that no server says')
  const info: unknown = JSON.parse(line.slice(4))
  if (!isObject(info)) throw new TypeError('the INFO of NATS is no object')
  return { kind: 'info', info: info as Record<string, unknown> }
}

/** One after the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
