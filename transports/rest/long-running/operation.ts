import type { Unary } from '../../../src/core/call/call-types.ts'
import {
  type Check,
  defineOperation,
  type Operation,
  type OperationInfo,
  operationInfo,
} from '../../../src/core/call/operation.ts'
import type { Schema, SchemaOutput } from '../../../src/core/call/schema.ts'
import { validating } from '../../../src/core/call/schema.ts'
import { bindRuns, paceRule } from '../../../src/core/long-running/bind.ts'
import type { Callbacks, Cancel, Watch } from '../../../src/core/long-running/feeds.ts'
import type { LongRunning, PollPace } from '../../../src/core/long-running/types.ts'
import { has, object, type RulesOf, takes, text, wrongOption } from '../../../src/core/options.ts'
import { isSchema, pick, schemaRule } from '../../shared/option-rules.ts'
import { defineRest, type RestBinding } from '../operation.ts'
import { Answer, openAnswer } from './answer.ts'
import type { LroDialect } from './dialect.ts'
import { type LroParts, RestRuns } from './driver.ts'
import { statusLro } from './status-lro.ts'

/** What may be said of a long-running operation. */
export interface LongRunningSpec {
  /**
   * What a run results in: a type or a schema, or an operation that is called with the URL of the result, where that is
   * no JSON. @defaultValue unknown
   */
  readonly result?: Schema<any, any> | Operation<any, Unary<any, any>>
  /** What the server says of its progress: a type, or a schema that validates it. @defaultValue unknown */
  readonly progress?: Schema<any, any>
  /** How the server tells of its runs. @defaultValue statusLro() */
  readonly dialect?: LroDialect | undefined
  /** How often it is asked; `false`: only where a stream or a callback says that there is news. @defaultValue from 1 s to 30 s, or as Retry-After says */
  readonly poll?: PollPace | false | undefined
  /** How a run is given up, made by `cancelWith()`. @defaultValue as the dialect says: a POST to `cancel_url` */
  readonly cancel?: Cancel | undefined
  /** A stream that tells of a run, made by `watchWith()`. @defaultValue none */
  readonly watch?: Watch | undefined
  /** Where the server calls back, made by `runCallbacks()` of `polywire/webhooks`. @defaultValue nowhere */
  readonly callbacks?: Callbacks | undefined
  /** The name under which the server is told the URL of the callback, in the body. @defaultValue 'callback_url' */
  readonly callbackParam?: string | undefined
}

type ResultOf<S> = S extends { readonly result: infer R }
  ? R extends Operation<any, Unary<any, infer Out>>
    ? Out
    : SchemaOutput<R>
  : unknown
type ProgressOf<S> = S extends { readonly progress: infer P } ? SchemaOutput<P> : unknown
/** The transports that a spec needs beside the operation's own. */
type FeedVia<S> =
  | (S extends { readonly result: Operation<infer V extends string, any> } ? V : never)
  | (S extends { readonly cancel: Cancel<infer V> } ? V : never)
  | (S extends { readonly watch: Watch<infer V> } ? V : never)

const rules: RulesOf<LongRunningSpec> = {
  result: /* @__PURE__ */ takes(
    'type<T>(), a Standard Schema, or an operation',
    (value) => isSchema(value) || operationInfo(value)?.kind === 'unary',
  ),
  progress: schemaRule,
  dialect: /* @__PURE__ */ takes('what statusLro() or its like makes', /* @__PURE__ */ has('read')),
  poll: paceRule,
  cancel: /* @__PURE__ */ object('what cancelWith() makes'),
  watch: /* @__PURE__ */ object('what watchWith() makes'),
  callbacks: /* @__PURE__ */ takes('what runCallbacks() makes', /* @__PURE__ */ has('subscribe')),
  callbackParam: text,
}

/**
 * Makes a long-running operation of the one that starts it: the server answers 202 and goes on, and its caller waits for
 * the result, or holds the run (`start()`), or writes it down for another process (`revive()`).
 *
 * Polls are calls of their own, retried as such; no URL of the server leads to another origin, but to listed `origins`,
 * and then without credentials.
 *
 * @throws {TypeError} where the operation is no REST call with one message each way, or an option is not what it takes.
 * @example
 * const report = longRunning(post('/reports', { body: type<{ month: string }>() }), { result: type<Report>() })
 * const run = await client.bind({ report }).report.start({ month: '2026-11' })
 * for await (const progress of run.progress) show(progress)
 * const done = await run.result()
 */
export function longRunning<V extends string, In, const S extends LongRunningSpec = {}>(
  start: Operation<V, Unary<In, any>>,
  spec?: S,
): Operation<V | FeedVia<S>, LongRunning<In, ResultOf<S>, ProgressOf<S>>>
export function longRunning(operation: unknown, spec: LongRunningSpec = {}): never {
  const info = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`longRunning(${info ? info.name : 'operation'}, …): ${what}`)
  }
  if (info?.protocol !== 'rest' || info.kind !== 'unary' || info.makeCallable)
    return refuse('it takes a REST operation with one message each way, such as post() makes')
  if (info.durable || info.failover || info.paginate)
    return refuse('it takes a plain operation: neither durable, nor with several routes, nor with pages')
  const wrong = wrongOption(spec, rules)
  if (wrong) return refuse(wrong)
  const parts = partsOf(info, spec)
  const { watch, callbacks, poll: pace = {} } = spec
  const others = [parts.result, spec.cancel?.operation, watch?.operation].filter((each) => each !== undefined)
  const made: OperationInfo = {
    ...info,
    others: [...(info.others ?? []), ...others],
    makeCallable: bindRuns(info, (services) => ({ driver: new RestRuns(services, parts), pace, watch, callbacks })),
  }
  return defineOperation<Operation<never>>(made) as never
}

function partsOf(info: OperationInfo, spec: LongRunningSpec): LroParts {
  const own: object = pick(info, ['via', 'auth', 'retry'])
  const step = (method: 'GET' | 'POST', what: string, more: object = {}): OperationInfo => {
    const made = operationInfo(defineRest(method.toLowerCase(), method, '', { ...own, ...more })) as OperationInfo
    return { ...made, name: `${what} of ${info.name}` }
  }
  const { result, cancel, callbacks, callbackParam = 'callback_url', dialect = statusLro(), progress } = spec
  const output = isSchema(result) ? (result as Schema) : undefined
  return {
    info,
    start: answering(info),
    status: answering(step('GET', 'status')),
    result: operationInfo(result) ?? step('GET', 'result', { ...(output && { output }), ...pick(info, ['validate']) }),
    giveUp: step('POST', 'cancellation'),
    dialect,
    progress: validating(progress),
    cancel,
    callbacks,
    callbackParam,
    isUrlNeeded: spec.poll !== false,
  }
}

/** The same operation, whose reply is the whole answer. */
function answering(info: OperationInfo): OperationInfo {
  const { decodeOutput, adapted, ...rest } = info
  const binding: RestBinding = { ...(info.binding as RestBinding), isContentNeeded: false, open: openAnswer }
  const input = adapted?.input
  return {
    ...rest,
    binding,
    ...(input && { adapted: { input } }),
    ...(decodeOutput && { decodeOutput: (answer: unknown, check: Check) => decoded(answer, check, decodeOutput) }),
  }
}

/** A declared output holds for what the first answer says. */
function decoded(answer: unknown, check: Check, decode: NonNullable<OperationInfo['decodeOutput']>): unknown {
  if (!(answer instanceof Answer)) return decode(answer, check)
  const put = (body: unknown): Answer => new Answer({ ...answer, body })
  const body = decode(answer.body, check)
  return body instanceof Promise ? body.then(put) : put(body)
}
