import { isObject, isRecord } from '../../../src/core/tag.ts'
import { stringifyJson } from '../../shared/json.ts'
import type { WireFrame } from '../../socket/wire-adapter.ts'

/** The kinds of a packet, as the wire numbers them; binary ones are told as what they carry. */
export type PacketKind = 'connect' | 'disconnect' | 'event' | 'ack' | 'refused'

/** One packet of Socket.IO's protocol 5. */
export interface Packet {
  readonly kind: PacketKind
  readonly namespace: string
  readonly id: number | undefined
  readonly data: unknown
}

/** A packet whose bytes have not all come. */
export interface PartialPacket extends Packet {
  readonly attachments: number
}

const kinds: readonly PacketKind[] = ['connect', 'disconnect', 'event', 'ack', 'refused', 'event', 'ack']
const isBinaryKind = (digit: number): boolean => digit > 4
/** So many pieces of bytes may belong to one packet. */
const maxAttachments = 1024
/** Kind, number of attachments, namespace, id; what follows is JSON. */
const head = /^([0-6])(?:(\d+)-)?(?:(\/[^,]*),?)?(\d+)?/

/**
 * Reads the text of a packet, without the Engine.IO digit before it.
 *
 * @throws {TypeError} where it is none.
 */
export function parsePacket(text: string): PartialPacket {
  const [whole = '', digit, count, namespace = '/', id] = head.exec(text) ?? []
  if (digit === undefined) throw new TypeError('a packet of Socket.IO begins with its kind, a digit from 0 to 6')
  const isBinary = isBinaryKind(Number(digit))
  const attachments = Number(count ?? 0)
  if (isBinary !== (count !== undefined) || attachments > maxAttachments || (isBinary && attachments === 0))
    throw new TypeError('a packet of Socket.IO names a wrong number of attachments')
  const json = text.slice(whole.length)
  const data: unknown = json === '' ? undefined : JSON.parse(json)
  const kind = kinds[Number(digit)] as PacketKind
  if (!isFit(kind, data)) throw new TypeError(`a packet of Socket.IO of the kind '${kind}' carries other data`)
  return { kind, namespace, id: id === undefined ? undefined : Number(id), data, attachments }
}

function isFit(kind: PacketKind, data: unknown): boolean {
  if (kind === 'disconnect') return data === undefined
  if (kind === 'ack') return Array.isArray(data)
  if (kind === 'event') return Array.isArray(data) && (typeof data[0] === 'string' || typeof data[0] === 'number')
  if (kind === 'refused' && typeof data === 'string') return true
  return isRecord(data)
}

interface Placeholder {
  readonly _placeholder: true
  readonly num: number
}

/** What is nested deeper than this is handed on as it came: another client may have sent anything. */
const maxRestored = 500

/** Puts the bytes where their placeholders stand; what only looks like one, since another client may send anything, stays. */
export function restoreBytes(value: unknown, attachments: readonly Uint8Array[], depth = 0): unknown {
  if (!isObject(value) || depth > maxRestored) return value
  const bytes = (value as Partial<Placeholder>)._placeholder === true && attachments[(value as Placeholder).num]
  if (bytes instanceof Uint8Array) return bytes
  if (Array.isArray(value)) return value.map((each) => restoreBytes(each, attachments, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, restoreBytes(each, attachments, depth + 1)]),
  )
}

/** Takes the bytes out of a value, in the order in which they go behind the text. */
function extractBytes(value: unknown, into: Uint8Array[]): unknown {
  if (!isObject(value)) return value
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    into.push(
      ArrayBuffer.isView(value)
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : new Uint8Array(value),
    )
    return { _placeholder: true, num: into.length - 1 } satisfies Placeholder
  }
  if (Array.isArray(value)) return value.map((each) => extractBytes(each, into))
  const isPlain = Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null
  if (!isPlain) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, extractBytes(each, into)]))
}

/** The text of a packet in an Engine.IO message, and the bytes that belong to it. */
export function encodePacket(kind: PacketKind, namespace: string, id: number | undefined, data?: unknown): WireFrame[] {
  const bytes: Uint8Array[] = []
  // A circle is found by the writer of JSON, which names its place.
  const bare = holdsBytes(data, 0) ? extractBytes(data, bytes) : data
  const digit = kinds.indexOf(kind) + (bytes.length > 0 ? 3 : 0)
  const json = data === undefined ? '' : stringifyJson(bare, 'the message', undefined)
  const place = namespace === '/' ? '' : `${namespace},`
  return [`4${digit}${bytes.length > 0 ? `${bytes.length}-` : ''}${place}${id ?? ''}${json}`, ...bytes]
}

/** Deeper than this nobody hides bytes; and a circle has no end. */
const maxDepth = 32

function holdsBytes(value: unknown, depth: number): boolean {
  if (!isObject(value) || depth > maxDepth) return false
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return true
  for (const each of Array.isArray(value) ? value : Object.values(value)) if (holdsBytes(each, depth + 1)) return true
  return false
}
