import { type Check, defineOperation, type Operation, type OperationInfo } from '../../src/core/call/operation.ts'
import { type Schema, validating } from '../../src/core/call/schema.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { defineStream } from '../../src/core/stream/streaming.ts'
import type { StreamSpec } from '../socket/session/channel-spec.ts'
import { NameTemplate } from './name.ts'
import type { ChannelSpec, RequestSpec } from './types.ts'

/** What the transport needs to know of an operation. */
export type WebSocketBinding =
  | { readonly kind: 'channel'; readonly stream: Omit<StreamSpec, 'topic' | 'payload'> }
  | { readonly kind: 'request' }

/** A call's input in the transport's shape. */
export interface NamedInput {
  readonly name: string
  readonly payload: unknown
}

/** Makes the operation of the arguments of `channel`. */
export function defineChannel<O extends Operation<any, any>>(name: string, spec: ChannelSpec = {}): O {
  const {
    via = 'websocket',
    recover,
    cursors,
    overflow,
    maxQueued,
    outbox,
    send,
    receive,
    gaps,
    retry,
    validate,
  } = spec
  const label = `channel ${name}`
  const stream = { isRecoverable: recover, ids: cursors, overflow, maxQueued }
  const sendSchema = validating(send)
  const receiveSchema = validating(receive)
  return defineStream<O>({
    name: label,
    protocol: 'websocket',
    via,
    kind: 'bidi_stream',
    isIdempotent: true,
    isResumable: true,
    binding: { kind: 'channel', stream } satisfies WebSocketBinding,
    intake: intakeOf(name, spec.input, { operation: { name: label, protocol: 'websocket', via } }),
    outbox: { maxAgeMs: 30_000, ...outbox, measure: sizeOf },
    ...(sendSchema && { outgoing: (message, check) => check(sendSchema, message) }),
    ...(receiveSchema && { outlet: (message, check) => check(receiveSchema, message) }),
    ...optional({ gaps, retry, validate }),
  })
}

/** Makes the operation of the arguments of `request`. */
export function defineRequest<O extends Operation<any, any>>(name: string, spec: RequestSpec = {}): O {
  const { via = 'websocket', idempotent = false, output, idempotency, retry, validate } = spec
  const label = `request ${name}`
  const outputSchema = validating(output)
  return defineOperation<O>({
    name: label,
    protocol: 'websocket',
    via,
    kind: 'unary',
    isIdempotent: idempotent,
    binding: { kind: 'request' } satisfies WebSocketBinding,
    intake: intakeOf(name, spec.input, { operation: { name: label, protocol: 'websocket', via } }),
    ...(outputSchema && { outlet: (message, check) => check(outputSchema, message) }),
    ...optional({ idempotency, retry, validate }),
  })
}

/** Names in the template go into the name, the rest is the payload. */
function intakeOf(
  name: string,
  schema: Schema<any, any> | undefined,
  origin: ErrorOrigin,
): NonNullable<OperationInfo['intake']> {
  const template = new NameTemplate(name)
  const { names } = template
  const inputSchema = validating(schema)
  const split = (value: unknown, raw: unknown): NamedInput => {
    if (names.length === 0) return { name: template.fill({}, origin), payload: value }
    const given = { ...asRecord(raw), ...asRecord(value) }
    const filled = template.fill(given, origin)
    for (const each of names) delete given[each]
    return { name: filled, payload: Object.keys(given).length > 0 ? given : undefined }
  }
  return (input: unknown, check: Check) => {
    if (!inputSchema) return split(input, undefined)
    const checked = check(inputSchema, input)
    return checked instanceof Promise ? checked.then((value) => split(value, input)) : split(checked, input)
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** About what a message weighs; written down twice it would cost more than it protects. */
function sizeOf(message: unknown): number {
  if (typeof message === 'string') return message.length
  if (message instanceof Uint8Array || message instanceof ArrayBuffer) return message.byteLength
  return JSON.stringify(message)?.length ?? 0
}

function optional<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
}
