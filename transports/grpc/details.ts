import { isAnyCallError } from '../../src/core/errors/error.ts'
import type { Violation } from '../../src/core/errors/failure.ts'

/** One detail of an error. `value` is there for google.rpc's own types; others are decoded by `fromBinary(Schema, bytes)`. */
export interface GrpcDetail {
  /** Full name of the message: `google.rpc.BadRequest`. */
  readonly type: string
  readonly value?: Readonly<Record<string, unknown>>
  readonly bytes: Uint8Array
}

/** What `grpc-status-details-bin` says: google.rpc.Status. */
export interface GrpcStatusDetails {
  readonly code: number
  readonly message: string
  readonly details: readonly GrpcDetail[]
}

/** What the policies and the error read out of the details. */
export interface DetailFacts {
  readonly retryAfterMs?: number
  readonly reason?: string
  readonly requestId?: string
  readonly violations?: readonly Violation[]
}

type Kind = 'text' | 'texts' | 'pairs' | 'duration' | Shape
/** Field number → its name and kind; another shape stands for a repeated message. */
interface Shape {
  readonly [number: number]: readonly [name: string, kind: Kind]
}

/** https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto */
const shapes: Readonly<Record<string, Shape>> = {
  ErrorInfo: { 1: ['reason', 'text'], 2: ['domain', 'text'], 3: ['metadata', 'pairs'] },
  RetryInfo: { 1: ['retryDelayMs', 'duration'] },
  DebugInfo: { 1: ['stackEntries', 'texts'], 2: ['detail', 'text'] },
  QuotaFailure: { 1: ['violations', { 1: ['subject', 'text'], 2: ['description', 'text'] }] },
  PreconditionFailure: {
    1: ['violations', { 1: ['type', 'text'], 2: ['subject', 'text'], 3: ['description', 'text'] }],
  },
  BadRequest: { 1: ['fieldViolations', { 1: ['field', 'text'], 2: ['description', 'text'] }] },
  RequestInfo: { 1: ['requestId', 'text'], 2: ['servingData', 'text'] },
  ResourceInfo: {
    1: ['resourceType', 'text'],
    2: ['resourceName', 'text'],
    3: ['owner', 'text'],
    4: ['description', 'text'],
  },
  Help: { 1: ['links', { 1: ['description', 'text'], 2: ['url', 'text'] }] },
  LocalizedMessage: { 1: ['locale', 'text'], 2: ['message', 'text'] },
}

/**
 * Decodes google.rpc.Status by hand: a few bytes that would else ask for generated code and the whole codec.
 * Undefined where the bytes are no such message.
 */
export function decodeStatusDetails(bytes: Uint8Array): GrpcStatusDetails | undefined {
  const fields = readFields(bytes)
  if (!fields) return undefined
  let code = 0
  let message = ''
  const details: GrpcDetail[] = []
  for (const { number, value } of fields) {
    if (number === 1 && typeof value === 'bigint') code = Number(BigInt.asIntN(32, value))
    else if (number === 2) message = text(value)
    else if (number === 3 && value instanceof Uint8Array) details.push(decodeAny(value))
  }
  return { code, message, details }
}

/**
 * The details that a server attached to an error; none for any other error.
 *
 * @example
 * const stock = grpcDetails(error).find((detail) => detail.type === OutOfStockSchema.typeName)
 * if (stock) console.log(fromBinary(OutOfStockSchema, stock.bytes))
 */
export function grpcDetails(error: unknown): readonly GrpcDetail[] {
  const details = isAnyCallError(error) && error.protocol === 'grpc-web' ? error.details : undefined
  return Array.isArray(details) ? details : []
}

/** One detail of a known or unknown type. */
export function toDetail(type: string, bytes: Uint8Array): GrpcDetail {
  const shape = type.startsWith('google.rpc.') ? shapes[type.slice('google.rpc.'.length)] : undefined
  const value = shape && decodeShape(shape, bytes)
  return { type, bytes, ...(value && { value }) }
}

/** Reads wait, reason, request id and violations out of the standard details. */
export function factsOf(details: readonly GrpcDetail[]): DetailFacts {
  const standard = (type: string) => details.find((detail) => detail.type === `google.rpc.${type}`)?.value
  const violations = details.flatMap(violationsOf)
  const retryAfterMs = standard('RetryInfo')?.retryDelayMs as number | undefined
  const reason = standard('ErrorInfo')?.reason as string | undefined
  const requestId = standard('RequestInfo')?.requestId as string | undefined
  return {
    ...(retryAfterMs !== undefined && { retryAfterMs: Math.max(0, retryAfterMs) }),
    ...(reason && { reason }),
    ...(requestId && { requestId }),
    ...(violations.length > 0 && { violations }),
  }
}

function violationsOf({ type, value }: GrpcDetail): Violation[] {
  if (!/^google\.rpc\.(BadRequest|QuotaFailure|PreconditionFailure)$/.test(type)) return []
  const list = (value?.fieldViolations ?? value?.violations ?? []) as readonly Record<string, string>[]
  return list.map((entry) => ({ field: entry.field ?? entry.subject ?? '', message: entry.description ?? '' }))
}

function decodeAny(bytes: Uint8Array): GrpcDetail {
  let url = ''
  let content = new Uint8Array(0)
  for (const { number, value } of readFields(bytes) ?? []) {
    if (number === 1) url = text(value)
    else if (number === 2 && value instanceof Uint8Array) content = value.slice()
  }
  return toDetail(url.slice(url.lastIndexOf('/') + 1), content)
}

function decodeShape(shape: Shape, bytes: Uint8Array): Record<string, unknown> | undefined {
  const fields = readFields(bytes)
  if (!fields) return undefined
  const message: Record<string, unknown> = {}
  for (const field of fields) {
    const known = shape[field.number]
    if (known) assign(message, known[0], known[1], field)
  }
  return message
}

function assign(message: Record<string, unknown>, name: string, kind: Kind, { value }: Field): void {
  if (kind === 'text') message[name] = text(value)
  else if (!(value instanceof Uint8Array)) return
  else if (kind === 'duration') message[name] = durationMs(value)
  else if (kind === 'pairs') message[name] = { ...(message[name] as object), ...pair(value) }
  else {
    const list = (message[name] ??= []) as unknown[]
    list.push(kind === 'texts' ? text(value) : (decodeShape(kind, value) ?? {}))
  }
}

/** google.protobuf.Duration in ms. */
function durationMs(bytes: Uint8Array): number {
  let ms = 0
  for (const { number, value } of readFields(bytes) ?? []) {
    if (typeof value !== 'bigint') continue
    if (number === 1) ms += Number(BigInt.asIntN(64, value)) * 1000
    else if (number === 2) ms += Number(BigInt.asIntN(32, value)) / 1e6
  }
  return ms
}

/** One entry of a map; `__proto__` is a key like any other. */
function pair(bytes: Uint8Array): Record<string, string> {
  const fields = readFields(bytes) ?? []
  const part = (number: number) => text(fields.find((field) => field.number === number)?.value)
  return Object.fromEntries([[part(1), part(2)]])
}

/** One field as it stands on the wire: a number, or bytes where it is a string, bytes or a message. */
interface Field {
  readonly number: number
  readonly value: bigint | Uint8Array
}

/** Reads the fields of one protobuf message; undefined where the bytes are none. Enough for google.rpc.Status. */
function readFields(bytes: Uint8Array): Field[] | undefined {
  const fields: Field[] = []
  const reader = new Reader(bytes)
  while (reader.isOpen) {
    const tag = reader.varint()
    if (tag === undefined) return undefined
    const value = reader.value(Number(tag & 7n))
    if (value === undefined || tag < 8n) return undefined
    fields.push({ number: Number(tag >> 3n), value })
  }
  return fields
}

/** A string field; empty for any other. */
function text(value: Field['value'] | undefined): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : ''
}

class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isOpen(): boolean {
    return this.#at < this.#bytes.length
  }

  varint(): bigint | undefined {
    let result = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return undefined
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    return undefined
  }

  value(wireType: number): bigint | Uint8Array | undefined {
    if (wireType === 0) return this.varint()
    if (wireType === 1) return this.#take(8)
    if (wireType === 5) return this.#take(4)
    if (wireType !== 2) return undefined
    const length = this.varint()
    return length === undefined || length > BigInt(this.#bytes.length) ? undefined : this.#take(Number(length))
  }

  #take(length: number): Uint8Array | undefined {
    const end = this.#at + length
    if (end > this.#bytes.length) return undefined
    const taken = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return taken
  }
}
