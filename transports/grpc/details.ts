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
  readonly retryAfterMs: number | undefined
  readonly reason: string | undefined
  readonly requestId: string | undefined
  readonly violations: readonly Violation[] | undefined
}

/**
 * The fields of each message in the order of their numbers: text, where nothing else is said; `:ms`, a duration; `:map`,
 * an entry of text to text; `:texts`, several; else the fields of a repeated message.
 *
 * Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
 */
const shapes: Readonly<Record<string, string>> = {
  ErrorInfo: 'reason domain metadata:map',
  RetryInfo: 'retryDelayMs:ms',
  DebugInfo: 'stackEntries:texts detail',
  QuotaFailure: 'violations:subject,description',
  PreconditionFailure: 'violations:type,subject,description',
  BadRequest: 'fieldViolations:field,description',
  RequestInfo: 'requestId servingData',
  ResourceInfo: 'resourceType resourceName owner description',
  Help: 'links:description,url',
  LocalizedMessage: 'locale message',
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
  const value = shape && decodeShape(shape.split(' '), bytes)
  return { type, bytes, ...(value && { value }) }
}

/** Reads wait, reason, request id and violations out of the standard details. */
export function factsOf(details: readonly GrpcDetail[]): DetailFacts {
  const standard = (type: string) => details.find((detail) => detail.type === `google.rpc.${type}`)?.value
  const violations = details.flatMap(violationsOf)
  const retryAfterMs = standard('RetryInfo')?.retryDelayMs as number | undefined
  return {
    retryAfterMs: retryAfterMs && Math.max(0, retryAfterMs),
    reason: (standard('ErrorInfo')?.reason || undefined) as string | undefined,
    requestId: (standard('RequestInfo')?.requestId || undefined) as string | undefined,
    violations: violations.length > 0 ? violations : undefined,
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

function decodeShape(shape: readonly string[], bytes: Uint8Array): Record<string, unknown> | undefined {
  const fields = readFields(bytes)
  if (!fields) return undefined
  const message: Record<string, unknown> = {}
  for (const { number, value } of fields) {
    const [name, kind] = shape[number - 1]?.split(':') ?? []
    if (!name) continue
    if (!kind) message[name] = text(value)
    else if (!(value instanceof Uint8Array)) continue
    else if (kind === 'ms') message[name] = durationMs(value)
    else if (kind === 'map') message[name] = { ...(message[name] as object), ...pair(value) }
    else {
      const list = (message[name] ??= []) as unknown[]
      list.push(kind === 'texts' ? text(value) : (decodeShape(kind.split(','), value) ?? {}))
    }
  }
  return message
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
  let at = 0
  const varint = (): bigint | undefined => {
    let result = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) return undefined
      result |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return result
    }
    return undefined
  }
  while (at < bytes.length) {
    const tag = varint() ?? 0n
    const type = Number(tag & 7n)
    if (tag < 8n || ![0, 1, 2, 5].includes(type)) return undefined
    const length = type === 2 ? Number(varint() ?? Number.NaN) : type === 1 ? 8 : 4
    // Also where the length is none.
    if (type !== 0 && !(at + length <= bytes.length)) return undefined
    const value = type === 0 ? varint() : bytes.subarray(at, (at += length))
    if (value === undefined) return undefined
    fields.push({ number: Number(tag >> 3n), value })
  }
  return fields
}

/** A string field; empty for any other. */
function text(value: Field['value'] | undefined): string {
  return value instanceof Uint8Array ? new TextDecoder().decode(value) : ''
}
