import type { Call } from '../../src/core/call/call.ts'
import { type Check, defineOperation, type Operation, type OperationInfo } from '../../src/core/call/operation.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { checking, type Schema, validating } from '../../src/core/call/schema.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import {
  aboveZero,
  callable,
  either,
  flag,
  has,
  notNegative,
  type OptionRules,
  object,
  oneOf,
  type RulesOf,
  takes,
  text,
  wrongOption,
} from '../../src/core/options.ts'
import { openingOption } from '../../src/core/resume/options.ts'
import { duplexing } from '../../src/core/stream/duplex.ts'
import { isObject } from '../../src/core/tag.ts'
import { partOf } from '../http/path.ts'
import {
  declare,
  idempotencyRule,
  isDeclaration,
  operationRules,
  pick,
  schemaRule,
  stopRule,
} from '../shared/option-rules.ts'
import { openChannel } from '../socket/session/channel-member.ts'
import { sendRequest } from '../socket/session/request.ts'
import type { SocketSession } from '../socket/session/session.ts'
import type { ChannelSpec, CursorIn, RequestSpec } from './types.ts'

/** What the transport needs to know of an operation. */
export interface WebSocketBinding {
  /** Brought along, so that a program without channels, or without requests, carries nothing of them. */
  send(call: Call, input: NamedInput, session: SocketSession): Promise<Reply>
}

/** A call's input in the transport's shape. */
export interface NamedInput {
  readonly name: string
  readonly payload: unknown
}

const channelRules: RulesOf<ChannelSpec> = {
  ...operationRules,
  input: schemaRule,
  send: schemaRule,
  receive: schemaRule,
  gaps: /* @__PURE__ */ oneOf('fail', 'yield'),
  opening: openingOption,
  stop: stopRule,
  recover: flag,
  resume: /* @__PURE__ */ object('{ cursor }, or what continueWith() makes', { cursor: callable, declare: callable }),
  cursors: /* @__PURE__ */ oneOf('offset', 'opaque'),
  overflow: /* @__PURE__ */ either(
    /* @__PURE__ */ oneOf('error', 'drop-oldest', 'drop-newest'),
    /* @__PURE__ */ takes('what conflate(key) makes', /* @__PURE__ */ has('bound')),
  ),
  maxQueued: aboveZero,
  sendQueue: /* @__PURE__ */ object('an object', {
    maxMessages: aboveZero,
    maxBytes: aboveZero,
    overflow: /* @__PURE__ */ oneOf('reject', 'block'),
    maxAgeMs: notNegative,
  }),
  idempotencyScope: text,
}

const requestRules: RulesOf<RequestSpec> = {
  ...operationRules,
  input: schemaRule,
  output: schemaRule,
  idempotent: flag,
  idempotency: idempotencyRule,
  idempotencyScope: text,
}

/** @throws {TypeError} naming the builder, the operation and the option. */
function checkSpec(builder: string, name: string, spec: object, rules: OptionRules): void {
  const wrong = wrongOption(spec, rules)
  if (wrong) throw new TypeError(`${builder}('${name}', …): ${wrong}`)
}

/** Makes the operation of the arguments of `channel`. */
export function defineChannel<O extends Operation<any, any>>(name: string, spec: ChannelSpec = {}): O {
  checkSpec('channel', name, spec, channelRules)
  const { via = 'websocket', recover, resume, cursors, overflow, maxQueued, sendQueue, send, receive } = spec
  const label = `channel ${name}`
  const stream = { isRecoverable: recover, ids: cursors, overflow, maxQueued }
  const info: OperationInfo = {
    name: label,
    protocol: 'websocket',
    via,
    kind: 'bidi_stream',
    isIdempotent: true,
    isResumable: true,
    binding: {
      send: (call, { name, payload }, session) => openChannel(call, { ...stream, topic: name, payload }, session),
    } satisfies WebSocketBinding,
    encodeInput: encoderOf(name, spec.input, { operation: { name: label, protocol: 'websocket', via } }),
    sendQueue: { maxAgeMs: 30_000, ...sendQueue, measure: sizeOf },
    ...(resume && !isDeclaration(resume) && { resume: { ...(resume as CursorIn), apply: same } }),
    encodeMessage: checking(send),
    decodeOutput: checking(receive),
    streaming: duplexing,
    ...pick(spec, ['gaps', 'retry', 'opening', 'auth', 'validate', 'idempotencyScope']),
  }
  return defineOperation<O>(declare(info, spec))
}

/** The cursor of a channel travels beside its input. */
const same = (input: unknown): unknown => input

/** Makes the operation of the arguments of `request`. */
export function defineRequest<O extends Operation<any, any>>(name: string, spec: RequestSpec = {}): O {
  checkSpec('request', name, spec, requestRules)
  const { via = 'websocket', idempotent = false, output } = spec
  const label = `request ${name}`
  return defineOperation<O>({
    name: label,
    protocol: 'websocket',
    via,
    kind: 'unary',
    isIdempotent: idempotent,
    binding: { send: sendRequest } satisfies WebSocketBinding,
    encodeInput: encoderOf(name, spec.input, { operation: { name: label, protocol: 'websocket', via } }),
    decodeOutput: checking(output),
    ...pick(spec, ['idempotency', 'idempotencyScope', 'retry', 'auth', 'validate']),
  })
}

/**
 * Names in the template go into the name, the rest is the payload.
 *
 * Values stand in the name as they are, since servers compare names as texts: what a caller may join is the server's to
 * decide, by the whole name.
 *
 * @throws {TypeError} where the template is none.
 */
function encoderOf(
  template: string,
  schema: Schema<any, any> | undefined,
  origin: ErrorOrigin,
): NonNullable<OperationInfo['encodeInput']> {
  if (typeof template !== 'string') throw new TypeError("a name is a string such as 'chat:{room}'")
  // Literals at the even places, names between them.
  const parts = template.split(/\{([^{}]+)\}/)
  if (parts.some((part, index) => index % 2 === 0 && /[{}]/.test(part)))
    throw new TypeError(`the name '${template}' holds a stray brace`)
  const inputSchema = validating(schema)
  const split = (value: unknown, raw: unknown): NamedInput => {
    if (parts.length === 1) return { name: template, payload: value }
    const given = { ...asRecord(raw), ...asRecord(value) }
    const fill = (part: string, index: number) =>
      index % 2 === 0 ? part : partOf(given[part], `'${part}' of the name`, origin)
    const name = parts.map(fill).join('')
    for (const [index, part] of parts.entries()) if (index % 2 === 1) delete given[part]
    return { name, payload: Object.keys(given).length > 0 ? given : undefined }
  }
  return (input: unknown, check: Check) => {
    if (!inputSchema) return split(input, undefined)
    const checked = check(inputSchema, input)
    return checked instanceof Promise ? checked.then((value) => split(value, input)) : split(checked, input)
  }
}

function asRecord(value: unknown): Record<string, unknown> {
  return isObject(value) ? (value as Record<string, unknown>) : {}
}

/**
 * About what a message weighs; written down twice it would cost more than it protects. What cannot be written down
 * weighs nothing: it is refused when it is its turn.
 */
function sizeOf(message: unknown): number {
  if (typeof message === 'string') return message.length
  if (message instanceof Uint8Array || message instanceof ArrayBuffer) return message.byteLength
  try {
    return JSON.stringify(message)?.length ?? 0
  } catch {
    return 0
  }
}
