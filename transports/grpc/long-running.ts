import type { CallOptions } from '../../src/core/call/call-options.ts'
import type { Unary, UnaryResult } from '../../src/core/call/call-types.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import { defineOperation, type Operation, type OperationInfo, operationInfo } from '../../src/core/call/operation.ts'
import type { Services } from '../../src/core/call/scope.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import { bindRuns, paceRule } from '../../src/core/long-running/bind.ts'
import type { Cancel, Watch } from '../../src/core/long-running/feeds.ts'
import type { LongRunning, PollPace, RunDriver, RunState } from '../../src/core/long-running/types.ts'
import { object, type RulesOf, takes, wrongOption } from '../../src/core/options.ts'
import { toDetail } from './details.ts'
import { statusFailure } from './errors.ts'
import { withOwnBytes } from './messages.ts'
import { type RpcBinding, rpcOperation } from './operation.ts'
import type { DescMessage, DescService, MessageShape } from './peer-protobuf.ts'
import { protobuf } from './peers.ts'

/** What may be said of a long-running operation over gRPC. */
export interface LongRunningRpcSpec {
  /** The generated service `google.longrunning.Operations`, which the server offers beside its own. */
  readonly operations: DescService
  /** The message that a run results in. @defaultValue the `google.protobuf.Any` itself */
  readonly result?: DescMessage
  /** The message that says how far a run is. @defaultValue the `google.protobuf.Any` itself */
  readonly progress?: DescMessage
  /** How often the server is asked; `false`: only where a stream says that there is news. @defaultValue from 1 s to 30 s */
  readonly poll?: PollPace | false | undefined
  /** How a run is given up, made by `cancelWith()`. @defaultValue `CancelOperation` */
  readonly cancel?: Cancel | undefined
  /** A stream whose messages hold the operation, made by `watchWith()`. @defaultValue none */
  readonly watch?: Watch | undefined
}

/** `google.protobuf.Any`, as protobuf-es gives it. */
export interface AnyMessage {
  readonly $typeName: 'google.protobuf.Any'
  readonly typeUrl: string
  readonly value: Uint8Array
}

/** `google.longrunning.Operation`, as protobuf-es gives it. */
interface OperationMessage {
  readonly $typeName: 'google.longrunning.Operation'
  readonly name: string
  readonly metadata?: AnyMessage
  readonly done: boolean
  readonly result:
    | { readonly case: 'error'; readonly value: StatusMessage }
    | { readonly case: 'response'; readonly value: AnyMessage }
    | { readonly case: undefined }
}

/** `google.rpc.Status`, as protobuf-es gives it. */
interface StatusMessage {
  readonly code: number
  readonly message: string
  readonly details: readonly AnyMessage[]
}

type MessageOf<S, Key extends 'result' | 'progress'> = S extends { readonly [K in Key]: infer M extends DescMessage }
  ? MessageShape<M>
  : AnyMessage
/** The transports that a spec needs beside the operation's own. */
type FeedVia<S> =
  | (S extends { readonly cancel: Cancel<infer V> } ? V : never)
  | (S extends { readonly watch: Watch<infer V> } ? V : never)

const messageRule = /* @__PURE__ */ takes(
  'a generated schema, such as ReportSchema',
  (value) => (value as { kind?: unknown } | null)?.kind === 'message',
)
const rules: RulesOf<LongRunningRpcSpec> = {
  operations: /* @__PURE__ */ takes(
    'the generated service Operations of google.longrunning',
    (value) => (value as { typeName?: unknown } | null)?.typeName === 'google.longrunning.Operations',
  ),
  result: messageRule,
  progress: messageRule,
  poll: paceRule,
  cancel: /* @__PURE__ */ object('what cancelWith() makes'),
  watch: /* @__PURE__ */ object('what watchWith() makes'),
}

/**
 * Makes a long-running operation of a method that gives a `google.longrunning.Operation` (AIP-151): its caller waits for
 * the result, or holds the run (`start()`), or writes it down for another process (`revive()`).
 *
 * Polls are calls of `GetOperation`, over the same transport and retried as such; the server's status of a run that failed
 * is a CallError with its details.
 *
 * @throws {TypeError} where the method gives anything else, or an option is not what it takes.
 * @example
 * const report = longRunning(rpc(ReportService.method.makeReport), {
 *   operations: Operations,
 *   result: ReportSchema,
 *   progress: ReportProgressSchema,
 * })
 * const run = await client.bind({ report }).report.start({ month: '2026-11' })
 * for await (const { percent } of run.progress) show(percent)
 * const done = await run.result()
 */
export function longRunning<V extends string, In, const S extends LongRunningRpcSpec>(
  start: Operation<V, Unary<In, { readonly $typeName: 'google.longrunning.Operation' }>>,
  spec: S,
): Operation<V | FeedVia<S>, LongRunning<In, MessageOf<S, 'result'>, MessageOf<S, 'progress'>>>
export function longRunning(operation: unknown, spec: LongRunningRpcSpec): never {
  const info = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`longRunning(${info ? info.name : 'operation'}, …): ${what}`)
  }
  const { output } = (info?.binding as RpcBinding | undefined)?.method ?? {}
  if (info?.protocol !== 'grpc-web' || info.kind !== 'unary' || output?.typeName !== 'google.longrunning.Operation')
    return refuse('it takes rpc() of a method that gives a google.longrunning.Operation')
  if (info.makeCallable || info.durable || info.failover || info.paginate || info.adapted)
    return refuse('it takes a plain operation: neither durable, adapted, with several routes, nor with pages')
  const wrong = wrongOption(spec, rules) ?? (spec?.operations ? undefined : 'operations is missing')
  if (wrong) return refuse(wrong)
  const { poll: pace = {}, watch } = spec
  const parts = partsOf(info, spec)
  const made: OperationInfo = {
    ...info,
    others: [parts.get, parts.giveUp, ...(watch ? [watch.operation] : [])],
    makeCallable: bindRuns(info, (services) => ({
      driver: new GrpcRuns(services, parts),
      pace,
      watch,
      callbacks: undefined,
    })),
  }
  return defineOperation<Operation<never>>(made) as never
}

/** The operations that a long-running one is made of. */
interface Parts {
  readonly info: OperationInfo
  readonly get: OperationInfo
  readonly giveUp: OperationInfo
  readonly spec: LongRunningRpcSpec
}

function partsOf(info: OperationInfo, spec: LongRunningRpcSpec): Parts {
  const { via, auth, retry } = info
  const { getOperation, cancelOperation } = (spec.operations as { method: Record<string, any> }).method
  // Asking twice, or giving up twice, does what doing it once does.
  const own = { via, idempotent: true, ...(auth === false && { auth }), ...(retry !== undefined && { retry }) }
  const step = (method: any) => operationInfo(rpcOperation(method, own)) as OperationInfo
  return { info, spec, get: step(getOperation), giveUp: spec.cancel?.operation ?? step(cancelOperation) }
}

const answered = { phase: 'body', sent: 'yes' } as const

/** Runs over gRPC: each step is a call of its own, through the whole chain. */
class GrpcRuns implements RunDriver {
  readonly isResultShared = true
  readonly #services: Services
  readonly #parts: Parts

  constructor(services: Services, parts: Parts) {
    this.#services = services
    this.#parts = parts
  }

  async start(input: unknown, options: CallOptions): Promise<RunState> {
    return await this.#asked(this.#parts.info, input, options, '')
  }

  async poll({ id }: RunState, options: CallOptions): Promise<RunState> {
    return await this.#asked(this.#parts.get, { name: id }, options, id)
  }

  async read(document: unknown, { id }: RunState): Promise<RunState> {
    if ((document as Partial<OperationMessage> | null)?.$typeName !== 'google.longrunning.Operation')
      throw this.#unfit('what came is no google.longrunning.Operation')
    return await this.#stateOf(document as OperationMessage, id)
  }

  async result({ document }: RunState): Promise<unknown> {
    const { result } = document as OperationMessage
    const { spec } = this.#parts
    if (result.case !== 'response')
      throw this.#unfit('the operation is done, and holds neither a response nor an error')
    if (!spec.result) return result.value
    const type = typeOf(result.value)
    if (type !== spec.result.typeName)
      throw this.#unfit(`the run resulted in a message of type '${type}', not ${spec.result.typeName}`)
    return await this.#decode(spec.result, result.value).catch((cause: unknown) => {
      throw this.#unfit(`the result does not decode as ${type}: do both sides use the same .proto?`, cause)
    })
  }

  async cancel({ id, document }: RunState, options: CallOptions): Promise<void> {
    const { info, spec, giveUp } = this.#parts
    const { cancel } = spec
    const input = cancel ? cancel.input({ id, url: '', document }, info) : { name: id }
    await this.#call(giveUp, input, options)
  }

  /** The server is asked by its name again, also for one that was over. */
  revive(id: string, place: unknown): RunState | undefined {
    return place === null && id !== '' ? { status: 'running', id, place } : undefined
  }

  #call(info: OperationInfo, input: unknown, options: CallOptions): Promise<UnaryResult<unknown>> {
    const callable = this.#services.callable?.(info) as unknown as Unary<any, unknown>
    return callable.reply(input, options)
  }

  async #asked(info: OperationInfo, input: unknown, options: CallOptions, id: string): Promise<RunState> {
    const { message, headers } = await this.#call(info, input, options)
    const state = await this.#stateOf(message as OperationMessage, id)
    return { ...state, retryAfterMs: parseRetryAfter(headers, this.#services.clock.wallNow()) }
  }

  async #stateOf(operation: OperationMessage, before: string): Promise<RunState> {
    const { name, done, metadata, result } = operation
    const id = name || before
    if (!done && id === '') throw this.#unfit('the operation goes on, and has no name to ask for it by')
    const said = { id, place: null, document: operation, progress: await this.#progress(metadata) }
    if (!done) return { ...said, status: 'running' }
    if (result.case !== 'error') return { ...said, status: 'succeeded' }
    const { code, message, details } = result.value
    const status = code === 1 ? 'canceled' : 'failed'
    const decoded = details.map((each) => toDetail(typeOf(each), each.value))
    const place = { phase: 'body', headers: HeaderMap.empty, wallNow: this.#services.clock.wallNow() } as const
    const failure = statusFailure({ status: code, message, details: decoded }, place)
    const words =
      status === 'canceled' ? 'the run was canceled' : `the run has failed at the server: ${failure.message}`
    // The run was carried out, whatever its status would say of a call.
    const ended = { message: words, isRetryable: false, isThrottled: false, isUnexecuted: false }
    return { ...said, status, failure: { ...failure, ...ended } }
  }

  /** Progress that is none is left out: a run does not fail of it. */
  async #progress(metadata: AnyMessage | undefined): Promise<unknown> {
    const { progress } = this.#parts.spec
    if (!progress || !metadata) return metadata
    if (typeOf(metadata) !== progress.typeName) return undefined
    return await this.#decode(progress, metadata).catch(() => undefined)
  }

  async #decode(schema: DescMessage, { value }: AnyMessage): Promise<unknown> {
    const { fromBinary } = await protobuf.get({ operation: this.#parts.info })
    return withOwnBytes(schema, fromBinary(schema, value))
  }

  #unfit(message: string, cause?: unknown): CallError {
    return new CallError({ code: 'internal', message, ...answered, cause }, { operation: this.#parts.info })
  }
}

function typeOf({ typeUrl }: AnyMessage): string {
  return typeUrl.slice(typeUrl.lastIndexOf('/') + 1)
}
