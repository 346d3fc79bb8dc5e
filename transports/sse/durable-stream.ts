import type { Call } from '../../src/core/call/call.ts'
import type { PathNames, PathValue, ServerStream } from '../../src/core/call/call-types.ts'
import type { Next } from '../../src/core/call/interceptor.ts'
import { defineOperation, type Operation, type OperationInfo } from '../../src/core/call/operation.ts'
import { checking, type Schema } from '../../src/core/call/schema.ts'
import type { Services } from '../../src/core/call/scope.ts'
import { type OptionRules, oneOf } from '../../src/core/options.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import { receiving, type Streaming } from '../../src/core/stream/streaming.ts'
import { inputReader, RequestInput } from '../http/input.ts'
import type { ViaOf } from '../http/input-types.ts'
import { PathTemplate } from '../http/path.ts'
import { checkSpec, inputRules } from '../http/spec.ts'
import { isSchema, pick, schemaWords } from '../shared/option-rules.ts'
import { durableReader, openBatch } from './durable-batch.ts'
import { type DurableInput, type DurableLive, openDurable } from './durable-session.ts'
import { LiveWay } from './live-way.ts'
import type { SseBinding } from './operation.ts'

/** What may be said of one durable stream. */
export interface DurableStreamSpec {
  /** The key of its transport. @defaultValue 'sse' */
  readonly via?: string | undefined
  /**
   * How it is followed once all that was there has been read: by server-sent events, or long polls where those do not get
   * through (they are not offered, a proxy holds them back or cuts them); by long polls alone; or not at all: then it ends
   * there. @defaultValue 'sse'
   */
  readonly live?: DurableLive | undefined
  /** Further parameters of every request. */
  readonly query?: Schema<any, any>
  /** Lost messages: an item that `isGap` recognises, or the end of the stream with `data_loss`. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** Overrides the client's, or switches retries off. @defaultValue the client's */
  readonly retry?: RetryOptions | false | undefined
  /** How it is opened for the first time, instead of `retry`. @defaultValue the transport's */
  readonly opening?: OpeningOptions | undefined
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false | undefined
  /** What a message that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

type Query<S> = S extends { readonly query: Schema<infer Q, any> } ? Q : unknown

/** The input of a durable stream: the names of its path, and where it begins. */
export type DurableIn<P extends string, S> = {
  readonly [K in PathNames<P>]: PathValue
} & {
  /** Behind it the stream begins: one of an earlier run (`stream.cursor`), or `'now'`. @defaultValue the beginning */
  readonly offset?: string | undefined
} & Query<S>

/** Declares one durable stream; see `durableStream`. */
export type DurableStreamBuilder = <const P extends string, Message, const S extends DurableStreamSpec = {}>(
  path: P,
  message: Schema<any, Message>,
  spec?: S,
) => Operation<
  ViaOf<S, 'sse'>,
  ServerStream<DurableIn<P, S>, Message | (S extends { readonly gaps: 'yield' } ? Gap : never)>
>

/**
 * Declares a stream of the Durable Streams protocol (of `application/json`): what is there is caught up with, then it is
 * followed live. Its messages are given one by one, each once its offset is known; `stream.cursor` is the offset behind
 * the last one. A broken stream goes on there; it ends when the server says that the stream is closed.
 *
 * @throws {TypeError} where the declaration itself is wrong.
 * @example
 * const watch = durableStream('/streams/{id}', type<Change>())
 * for await (const change of client.call(watch, { id: 'orders', offset: saved })) apply(change)
 */
export const durableStream: DurableStreamBuilder = (path, message, spec = {} as never) => {
  const template = new PathTemplate(path)
  checkDurable(path, message, spec)
  const { via = 'sse', live = 'sse' }: DurableStreamSpec = spec
  const name = `GET ${path}`
  const operation = { name, protocol: 'sse', via }
  const read = inputReader('GET', template.names, spec, { operation })
  const binding: SseBinding = {
    method: 'GET',
    reopenMethod: 'GET',
    template,
    reader: durableReader,
    open: (engine, request, call) =>
      (call.input as DurableInput).mode === 'sse' ? undefined : openBatch(engine, request, call),
  }
  const request: OperationInfo = {
    ...operation,
    kind: 'server_stream',
    isIdempotent: true,
    binding,
    streaming: receiving,
    ...pick(spec as DurableStreamSpec, ['gaps', 'retry', 'opening', 'auth', 'validate']),
  }
  const ways = new WeakMap<Services, LiveWay>()
  const attempt = (call: Call, next: Next, timeoutMs = 30_000) => {
    const { services } = call.scope
    let way = ways.get(services)
    if (!way) ways.set(services, (way = new LiveWay(live)))
    return openDurable(call, next, { live, way, operation: request, timeoutMs: call.options.timeoutMs ?? timeoutMs })
  }
  const streaming: Streaming = {
    ...receiving,
    attempt,
    resume: (call, next, options) => receiving.resume(call, (each) => attempt(each, next, options.timeoutMs), options),
  }
  return defineOperation({
    ...request,
    isResumable: true,
    streaming,
    encodeInput(input, check) {
      const { offset, ...rest } = (input ?? {}) as { readonly offset?: string }
      const parts = read(rest, check)
      return parts instanceof Promise ? parts.then((done) => at(done, offset)) : at(parts, offset)
    },
    decodeOutput: checking(message),
  })
}

function at({ params, query, headers }: RequestInput, offset: string | undefined): RequestInput {
  return new RequestInput(params, { ...query, offset }, headers, undefined)
}

const rules = (): OptionRules => ({
  ...pick(inputRules, ['via', 'retry', 'auth', 'validate', 'query']),
  live: oneOf('sse', 'long-poll', false),
  gaps: oneOf('fail', 'yield'),
  opening: openingOption,
})

/** @throws {TypeError} naming the path and the member to change. */
function checkDurable(path: string, message: unknown, spec: DurableStreamSpec): void {
  if (!isSchema(message)) throw new TypeError(`durableStream('${path}', …): the second argument is ${schemaWords}`)
  checkSpec('durableStream', path, 'GET', spec, rules())
}
