import type { ServerStream } from '../../src/core/call/call-types.ts'
import { defineOperation, type Operation, type OperationInfo, type ResumeSpec } from '../../src/core/call/operation.ts'
import { checking, type Schema } from '../../src/core/call/schema.ts'
import { aboveZero, callable, either, type OptionRules, oneOf, text } from '../../src/core/options.ts'
import type {
  AnyContinuation,
  AnyStop,
  Continuable,
  OtherVia,
  PlaceCheck,
  StoppableServerStream,
} from '../../src/core/resume/continuation.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import { receiving } from '../../src/core/stream/streaming.ts'
import { declared } from '../http/declared-resume.ts'
import { isReplayableBody } from '../http/encode-body.ts'
import { headersOf, inputReader, type RequestParts } from '../http/input.ts'
import type { InputCheck, RequestSpec, RestIn, ViaOf } from '../http/input-types.ts'
import { PathTemplate } from '../http/path.ts'
import { checkSpec, inputRules } from '../http/spec.ts'
import { declare, idempotencyRule, isSchema, pick, resumeRule, schemaWords, stopRule } from '../shared/option-rules.ts'
import { openJsonLines } from './json-lines-exchange.ts'
import { mayBeDone } from './may-be-done.ts'
import type { RestBinding } from './operation.ts'

/** What may be said of one stream of lines. */
export interface JsonLinesSpec extends Omit<RequestSpec, 'accept'> {
  /** How the stream is asked for. @defaultValue 'GET' */
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | undefined
  /**
   * Which message is the last one: it is given, and an end before it is a drop.
   *
   * @defaultValue none: the end of the body is the end, and a cut is a drop
   */
  readonly until?: (message: any) => boolean
  /** How a broken stream is opened again: after a cursor in its messages, or by another operation. @defaultValue it is not */
  readonly resume?: false | ResumeSpec | AnyContinuation
  /** How the server is told that the caller has had enough: made by `stopWith()`; the stream then has `stop()`. @defaultValue it is not */
  readonly stop?: AnyStop
  /** What cursors are: opaque, or consecutive numbers, by which repeats and gaps are told. @defaultValue 'opaque' */
  readonly cursors?: 'opaque' | 'offset'
  /** Lost messages: an item that `isGap` recognises, or the end of the stream with `data_loss`. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** How it is opened for the first time, instead of `retry`. @defaultValue as calls are retried */
  readonly opening?: OpeningOptions | undefined
  /** A larger line fails the stream with `resource_exhausted`; bytes. @defaultValue 16_777_216 (16 MiB) */
  readonly maxLineBytes?: number | undefined
  /** Silence after which an open connection is taken for dead; ms. @defaultValue Infinity: never */
  readonly idleTimeoutMs?: number | undefined
}

type JsonLinesItem<Message, S> = Message | (S extends { readonly gaps: 'yield' } ? Gap : never)

/** Written out beside `S`, so that the parameters of the functions need no annotation. */
type Functions<P extends string, Message, S> = { readonly until?: (message: Message) => boolean } & Continuable<
  RestIn<P, S>,
  Message,
  false | ResumeSpec<Message>
>
type LineStream<P extends string, Message, S> = S extends { readonly stop: AnyStop }
  ? StoppableServerStream<RestIn<P, S>, JsonLinesItem<Message, S>>
  : ServerStream<RestIn<P, S>, JsonLinesItem<Message, S>>

/** Declares one stream of lines; see `jsonLines`. */
export type JsonLinesBuilder = <const P extends string, Message, const S extends JsonLinesSpec = {}>(
  path: P,
  message: Schema<any, Message>,
  spec?: S & Functions<P, Message, S> & InputCheck<P, S> & PlaceCheck<RestIn<P, S>, S>,
) => Operation<ViaOf<S, 'rest'> | OtherVia<S>, LineStream<P, Message, S>>

const keyed: readonly string[] = ['POST', 'PATCH']

/**
 * Declares a stream of JSON texts: JSON Lines, NDJSON, or by its content type `application/json-seq` (RFC 7464).
 *
 * A message is given as soon as its line is whole. A line that was cut is a drop, never a message, nor an error of the
 * parser. The end of the body is the end of the stream, unless `until` says which message is the last one.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const chat = jsonLines('/api/chat', type<Chunk>(), { method: 'POST', body: type<Prompt>(), until: ({ done }) => done })
 * for await (const { message } of client.call(chat, { model: 'm', messages })) process.stdout.write(message.content)
 */
export const jsonLines: JsonLinesBuilder = (path, message, spec) => defineJsonLines(path, message, spec)

/** Makes the operation of the arguments of `jsonLines`. */
function defineJsonLines<O extends Operation<any, any>>(
  path: string,
  message: Schema<any, any>,
  spec: JsonLinesSpec = {},
): O {
  const template = new PathTemplate(path)
  checkJsonLines(path, message, spec)
  const { method = 'GET', via = 'rest', resume, until, maxLineBytes = 1 << 24 } = spec
  const { idleTimeoutMs = Number.POSITIVE_INFINITY } = spec
  const name = `${method} ${path}`
  const isIdempotent = spec.idempotent ?? !keyed.includes(method)
  const encodeInput = inputReader(method, template.names, spec, { operation: { name, protocol: 'rest', via } })
  const settings = { until, maxLineBytes, idleTimeoutMs }
  const binding: RestBinding = {
    method,
    template,
    reads: 'declared',
    isContentNeeded: false,
    bodySchema: spec.body,
    contentType: spec.contentType,
    defaultAccept: 'application/jsonl, application/x-ndjson, application/json-seq, */*;q=0.5',
    judge: mayBeDone,
    open: (engine, request, call) => openJsonLines(engine, request, call, settings),
  }
  const info: OperationInfo = {
    name,
    protocol: 'rest',
    via,
    kind: 'server_stream',
    isIdempotent,
    isKeyedByDefault: !isIdempotent && keyed.includes(method),
    binding,
    isReplayable: (input: RequestParts) => isReplayableBody(input.body),
    ...(resume && 'apply' in resume ? declared(resume as ResumeSpec, encodeInput) : { encodeInput }),
    streaming: receiving,
    decodeOutput: checking(message),
    ...(spec.shape === 'nested' && { headersOf }),
    ...pick(spec, ['cursors', 'gaps', 'retry', 'opening', 'auth', 'idempotency', 'validate']),
  }
  return defineOperation<O>(declare(info, spec))
}

/** A function: what is spread into an object stays in every bundle. */
const rules = (): OptionRules => ({
  ...inputRules,
  contentType: text,
  idempotency: idempotencyRule,
  method: oneOf('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
  until: callable,
  resume: either(resumeRule, oneOf(false)),
  stop: stopRule,
  cursors: oneOf('opaque', 'offset'),
  gaps: oneOf('fail', 'yield'),
  opening: openingOption,
  maxLineBytes: aboveZero,
  idleTimeoutMs: aboveZero,
})

/** @throws {TypeError} naming the path and the member to change. */
function checkJsonLines(path: string, message: unknown, spec: JsonLinesSpec): void {
  if (!isSchema(message)) throw new TypeError(`jsonLines('${path}', …): the second argument is ${schemaWords}`)
  checkSpec('jsonLines', path, spec?.method ?? 'GET', spec, rules())
}
