import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Violation } from '../../src/core/errors/failure.ts'
import { decodeUtf8 } from '../http/collect.ts'
import type { DescMessage, MessageShape } from './peer-protobuf.ts'
import { protobuf } from './peers.ts'

/** google.rpc's own details, as they are decoded without generated code; what a server leaves out is not there. */
export interface StandardDetails {
  'google.rpc.ErrorInfo': {
    readonly reason?: string
    readonly domain?: string
    readonly metadata?: Readonly<Record<string, string>>
  }
  /** ms. */
  'google.rpc.RetryInfo': { readonly retryDelayMs?: number }
  'google.rpc.DebugInfo': { readonly stackEntries?: readonly string[]; readonly detail?: string }
  'google.rpc.QuotaFailure': {
    readonly violations?: readonly {
      readonly subject?: string
      readonly description?: string
      readonly apiService?: string
      readonly quotaMetric?: string
      readonly quotaId?: string
    }[]
  }
  'google.rpc.PreconditionFailure': {
    readonly violations?: readonly {
      readonly type?: string
      readonly subject?: string
      readonly description?: string
    }[]
  }
  'google.rpc.BadRequest': {
    readonly fieldViolations?: readonly {
      readonly field?: string
      readonly description?: string
      readonly reason?: string
    }[]
  }
  'google.rpc.RequestInfo': { readonly requestId?: string; readonly servingData?: string }
  'google.rpc.ResourceInfo': {
    readonly resourceType?: string
    readonly resourceName?: string
    readonly owner?: string
    readonly description?: string
  }
  'google.rpc.Help': { readonly links?: readonly { readonly description?: string; readonly url?: string }[] }
  'google.rpc.LocalizedMessage': { readonly locale?: string; readonly message?: string }
}

/** What is used of a registry of protobuf-es: `createRegistry(file_acme_errors)`. */
export interface GrpcRegistry {
  getMessage(typeName: string): any
}

/** One detail of an error. `value` is there for google.rpc's own types, and for those of a registry; `bytes` for all. */
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
 * The fields of each message in the order of their numbers: text, where nothing else is said; `:32` and `:64`, whole
 * numbers of so many bits; `:bytes`; `:ms`, a duration; `:texts`, several; `:details`, several google.protobuf.Any; else the
 * fields of a repeated message, such as the entries of the one map that there is, `metadata`.
 *
 * Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
 */
const shapes: Readonly<Record<string, string>> = {
  ErrorInfo: 'reason domain metadata:key,value',
  RetryInfo: 'retryDelayMs:ms',
  DebugInfo: 'stackEntries:texts detail',
  QuotaFailure: 'violations:subject,description,apiService,quotaMetric,quotaId',
  PreconditionFailure: 'violations:type,subject,description',
  BadRequest: 'fieldViolations:field,description,reason',
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
  const status = decode(['code:32', 'message', 'details:details'], bytes)
  return status && { code: 0, message: '', details: [], ...status }
}

/**
 * The details that a server attached to an error; none for any other error. A type that the registry does not know
 * keeps its bytes, and so does one whose bytes are none of it.
 *
 * @param registry - of protobuf-es: what its messages decode stands in `value`, google.rpc's own included.
 * @example
 * const registry = createRegistry(file_acme_shop_errors)
 * for (const { type, value } of grpcDetails(error, registry)) console.log(type, value)
 */
export function grpcDetails(error: unknown, registry?: GrpcRegistry): readonly GrpcDetail[] {
  const details = isAnyCallError(error) && error.protocol === 'grpc-web' ? error.details : undefined
  if (!Array.isArray(details)) return []
  if (!registry) return details
  return details.map((detail: GrpcDetail) => {
    const schema = registry.getMessage(detail.type)
    const value = schema && decodeBy(schema, detail.bytes)
    return value ? { ...detail, value } : detail
  })
}

/**
 * The first detail of one type, by google.rpc's own name or by the schema that protobuf-es has generated; undefined where
 * the server attached none, or none that can be read.
 *
 * @throws {CallError} `failed_precondition` when it is given a schema before any call was made.
 * @example
 * const fields = grpcDetail(error, 'google.rpc.BadRequest')?.fieldViolations ?? []
 * const stock = grpcDetail(error, OutOfStockSchema)?.left
 */
export function grpcDetail<N extends keyof StandardDetails>(error: unknown, type: N): StandardDetails[N] | undefined
export function grpcDetail<M extends DescMessage>(error: unknown, type: M): MessageShape<M> | undefined
export function grpcDetail(error: unknown, type: string | DescMessage): unknown {
  const name = typeof type === 'string' ? type : type.typeName
  const detail = grpcDetails(error).find((each) => each.type === name)
  return detail && (typeof type === 'string' ? detail.value : decodeBy(type, detail.bytes))
}

/** Undefined where the bytes are no such message. */
function decodeBy(schema: DescMessage, bytes: Uint8Array): Record<string, unknown> | undefined {
  if (!protobuf.loaded) {
    const message = 'details are decoded by @bufbuild/protobuf, which the first call loads: none was made yet'
    throw new CallError({ code: 'failed_precondition', message })
  }
  try {
    return protobuf.loaded.fromBinary(schema, bytes)
  } catch {
    return undefined
  }
}

/** One detail of a known or unknown type. */
export function toDetail(type: string, bytes: Uint8Array): GrpcDetail {
  const shape = type.startsWith('google.rpc.') ? shapes[type.slice('google.rpc.'.length)] : undefined
  // What every object has (`constructor`) is no text.
  const value = shape?.split && decode(shape.split(' '), bytes)
  return { type, bytes, ...(value && { value }) }
}

/** Reads wait, reason, request id and violations out of the standard details: each name stands in one type of them. */
export function factsOf(details: readonly GrpcDetail[]): DetailFacts {
  const first = (name: string): any => details.find(({ value }) => value?.[name] !== undefined)?.value?.[name]
  const violations = details.flatMap(violationsOf)
  const retryAfterMs: number | undefined = first('retryDelayMs')
  return {
    retryAfterMs: retryAfterMs && Math.max(0, retryAfterMs),
    reason: first('reason') || undefined,
    requestId: first('requestId') || undefined,
    violations: violations.length > 0 ? violations : undefined,
  }
}

function violationsOf({ value }: GrpcDetail): Violation[] {
  const list = (value?.fieldViolations ?? value?.violations ?? []) as readonly Record<string, string>[]
  return list.map((entry) => ({ field: entry.field ?? entry.subject ?? '', message: entry.description ?? '' }))
}

/** Reads one message; undefined where the bytes are none. A field of another kind than its shape says is left out. */
function decode(shape: readonly string[], bytes: Uint8Array): Record<string, any> | undefined {
  const fields = readFields(bytes)
  if (!fields) return undefined
  const message: Record<string, any> = {}
  for (const { number, value } of fields) {
    const [name, kind] = shape[number - 1]?.split(':') ?? []
    if (!name) continue
    const bits = Number(kind)
    if (!kind) message[name] = text(value)
    else if (typeof value === 'bigint') {
      if (bits) message[name] = Number(BigInt.asIntN(bits, value))
    } else if (kind === 'bytes') message[name] = value.slice()
    else if (kind === 'ms') message[name] = durationMs(value)
    else if (!bits) {
      const list = (message[name] ??= []) as unknown[]
      list.push(
        kind === 'texts' ? text(value) : kind === 'details' ? detailOf(value) : (decode(kind.split(','), value) ?? {}),
      )
    }
  }
  // Once, behind the last one: there may be thousands. `__proto__` is a key like any other.
  const { metadata } = message
  if (metadata) message.metadata = Object.fromEntries(metadata.map(({ key = '', value = '' }) => [key, value]))
  return message
}

/** google.protobuf.Any as a detail. */
function detailOf(bytes: Uint8Array): GrpcDetail {
  const { url = '', content = new Uint8Array(0) } = decode(['url', 'content:bytes'], bytes) ?? {}
  return toDetail(url.slice(url.lastIndexOf('/') + 1), content)
}

/** google.protobuf.Duration in ms. */
function durationMs(bytes: Uint8Array): number {
  const { seconds = 0, nanos = 0 } = decode(['seconds:64', 'nanos:32'], bytes) ?? {}
  return seconds * 1000 + nanos / 1e6
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
    const length = type === 2 ? Number(varint()) : type === 1 ? 8 : 4
    // Also where the length is none.
    if (type !== 0 && !(at + length <= bytes.length)) return undefined
    const value = type === 0 ? varint() : bytes.subarray(at, (at += length))
    if (value === undefined) return undefined
    fields.push({ number: Number(tag >> 3n), value })
  }
  return fields
}

/** A string field; empty for any other. */
function text(value: Field['value']): string {
  return value instanceof Uint8Array ? decodeUtf8(value) : ''
}
