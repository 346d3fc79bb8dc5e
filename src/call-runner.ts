import type { Auth } from './core/call/auth.ts'
import { Call } from './core/call/call.ts'
import { type CallOptions, checkCallOptions } from './core/call/call-options.ts'
import type { UnaryResult } from './core/call/call-types.ts'
import { Context } from './core/call/context.ts'
import type { FaceHost } from './core/call/face-host.ts'
import { noHeaders, readHeaders } from './core/call/header-map.ts'
import { compose, type Interceptor } from './core/call/interceptor.ts'
import type { AnyOutbox, OperationInfo, PagerInfo } from './core/call/operation.ts'
import {
  identityOf,
  inputOf,
  makePlan,
  ownPlan,
  type Plan,
  type PlansItself,
  type Route,
  type ValidateMode,
} from './core/call/plan.ts'
import { inputWithin, runUnary, sendBy } from './core/call/run-unary.ts'
import type { Services } from './core/call/scope.ts'
import { cancelAll, Scope } from './core/call/scope.ts'
import { snapshot } from './core/call/snapshot.ts'
import type { Telemetry } from './core/call/telemetry.ts'
import { tokenRuns } from './core/call/token-run.ts'
import type { Transport } from './core/call/transport.ts'
import { CallError } from './core/errors/error.ts'
import type { FailoverOptions } from './core/failover/options.ts'
import type { RateLimit, RateLimitSource } from './core/policies/rate-limits.ts'
import { RetryLimits } from './core/retry/limits.ts'
import type { SendQueue } from './core/send-queue/send-queue.ts'
import type { Shared } from './core/shared/sharing.ts'
import type { StreamHandle } from './core/stream/handle.ts'
import type { Streaming } from './core/stream/streaming.ts'
import { type Clock, DeadlineList, systemClock } from './core/time/clock.ts'

/** What a runner is made of. */
export interface RunnerOptions {
  readonly transports: { readonly [via: string]: Transport }
  readonly auth?: Auth | undefined
  readonly clock?: Clock | undefined
  readonly telemetry?: Telemetry | undefined
  readonly validate?: ValidateMode | undefined
  readonly failover?: FailoverOptions | undefined
  readonly outbox?: AnyOutbox | false | undefined
  readonly shared?: Shared | undefined
  /** Bounds a call whose caller says nothing; ms. */
  readonly timeoutMs?: number | undefined
  /** The interceptors in front of one transport. */
  readonly chainOf: (auth: Auth | undefined, transport: Transport) => readonly Interceptor[]
}

type AnyFunction = (...args: any[]) => unknown
const noOptions: CallOptions = Object.freeze({})

/** Runs the calls of one client: routes them, starts their scopes, ends them. */
export class CallRunner implements FaceHost {
  readonly #services: Services & { readonly live: Scope[] }
  readonly #options: RunnerOptions
  readonly #routes = new Map<string, { readonly unary: Route; readonly stream: Route }>()
  readonly #plans = new WeakMap<OperationInfo, Plan>()
  #closing: Promise<void> | undefined
  /** What ends that this client shares or writes down. */
  readonly #leaves: ((() => unknown) | undefined)[]

  constructor(options: RunnerOptions) {
    const { transports, auth, clock = systemClock, telemetry } = options
    this.#options = options
    this.#services = {
      clock,
      deadlines: new DeadlineList(clock),
      limits: new RetryLimits(clock),
      telemetry,
      failover: options.failover,
      outbox: options.outbox,
      live: [],
      lastWork: new Set(),
      planOf: (info) => this.#plans.get(info) ?? this.#plan(info),
      callable: (info) => this.callable(info),
    }
    for (const [via, transport] of Object.entries(transports)) {
      const own = transport.auth === false ? undefined : (transport.auth ?? auth)
      this.#addRoute(via, transport, own)
      this.#services.limits.origins.set(via, originOf(via, transport))
    }
    // A client that could not be made holds nothing.
    for (const [via, transport] of Object.entries(transports))
      if (take(transport)) transport.attach?.(this.#services, via)
    // What is no outbox is told where a durable operation is bound.
    this.#leaves = [options.shared, options.outbox as AnyOutbox | undefined].map((each) =>
      each?.['~join']?.(this.#services, options.timeoutMs),
    )
  }

  #addRoute(via: string, transport: Transport, auth: Auth | undefined, ...outermost: readonly Interceptor[]): void {
    const interceptors = [...outermost, ...this.#options.chainOf(auth, transport), ...(transport.interceptors ?? [])]
    const send = sendBy(transport)
    const routeOf = (isStream: boolean): Route => ({
      transport,
      chain: compose(interceptors, send, isStream),
      interceptors,
      send,
      auth,
    })
    this.#routes.set(via, { unary: routeOf(false), stream: routeOf(true) })
  }

  addFace(via: string, transport: Transport, ...outermost: readonly Interceptor[]): void {
    if (this.#routes.has(via)) return
    this.#addRoute(via, transport, transport.auth || undefined, ...outermost)
    if (take(transport)) transport.attach?.(this.#services, via)
  }

  async removeFace(via: string): Promise<void> {
    const route = this.#routes.get(via)
    this.#routes.delete(via)
    if (route) await letGo(route.unary.transport)
  }

  authOf(origin: string): Auth | undefined {
    const { origins } = this.#services.limits
    for (const [via, { unary }] of this.#routes) if (unary.auth && origins.get(via) === origin) return unary.auth
    return undefined
  }

  run(info: OperationInfo, input: unknown, options: CallOptions): Promise<unknown> {
    return this.#unary(info, input, options, false)
  }

  /** The transport of an operation. */
  route(info: OperationInfo, place = info.name): Route {
    const routes = this.#routes.get(info.via)
    if (!routes) throw misfit(info, this.#noRoute(info, place))
    const route = info.streaming ? routes.stream : routes.unary
    if (route.transport.protocol === info.protocol) {
      if (info.others) for (const other of info.others) this.route(other)
      ;(info.durable ?? info.failover)?.attach(this.#services)
      return route
    }
    const speaks = `but the transport '${info.via}' speaks ${route.transport.protocol}`
    throw misfit(info, `'${place}' speaks ${info.protocol}, ${speaks}`)
  }

  /** A transport of the same protocol under another key is what was meant, most likely. */
  #noRoute({ via, protocol }: OperationInfo, place: string): string {
    const keys = [...this.#routes].flatMap(([key, { unary }]) =>
      unary.transport.protocol === protocol ? [`'${key}'`] : [],
    )
    const how = keys.length > 0 ? `; it has ${keys.join(', ')}: declare it with { via: ${keys[0]} }` : ''
    return `createClient({ transports }) has no '${via}', which '${place}' needs${how}`
  }

  /** What users call: an operation bound to this client. */
  callable(info: OperationInfo): AnyFunction {
    if (info.makeCallable) return info.makeCallable(this.#services)
    if (info.kind === 'server_stream' || info.kind === 'bidi_stream')
      return (input, options) => this.#stream(info, input, options)
    const message = (input: unknown, options?: CallOptions) => this.#unary(info, input, options, false)
    const reply = (input: unknown, options?: CallOptions) =>
      this.#unary(info, input, options, true) as Promise<UnaryResult<unknown>>
    const pager = info.paginate as PagerInfo | undefined
    return Object.assign(message, { reply }, pager?.callables(pager, info, reply))
  }

  /** Opens when it is first used; what keeps it from opening rejects there. */
  #stream(info: OperationInfo, input: unknown, options: CallOptions = noOptions): StreamHandle<unknown> {
    const made = this.#plans.get(info) ?? this.#plan(info)
    const plan = (input as PlansItself | undefined)?.[ownPlan]?.(made) ?? made
    const scope = new Scope(this.#services, undefined, info)
    const streaming = info.streaming as Streaming | undefined
    if (!streaming) throw misfit(info, 'an operation that streams is made by defineStream')
    const kept = snapshot(input)
    scope.input = kept
    return streaming.handle(plan, scope, async (sendQueue) => {
      const call = this.#begin(plan, kept, options, scope, sendQueue)
      return call.input instanceof Promise ? inputWithin(call, call.input, this.#options.timeoutMs) : call
    })
  }

  /** What the interceptors in front of an operation know of its limits. */
  rateLimits(info: OperationInfo, options = noOptions): readonly RateLimit[] {
    const route = this.route(info)
    return route.interceptors.flatMap(
      (each) => (each as RateLimitSource).rateLimits?.(this.#services, info, route, options) ?? [],
    )
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { live, deadlines, lastWork } = this.#services
    const left = this.#leaves.map((leave) => leave?.())
    cancelAll(live)
    deadlines.close()
    await Promise.all([...this.#routes.values()].map(({ unary }) => letGo(unary.transport)))
    await Promise.all(left)
    await Promise.all(lastWork ?? [])
  }

  #unary(info: OperationInfo, input: unknown, options = noOptions, isWhole: boolean): Promise<unknown> {
    const scope = new Scope(this.#services, undefined, info)
    try {
      const made = this.#plans.get(info) ?? this.#plan(info)
      const plan = (input as PlansItself | undefined)?.[ownPlan]?.(made) ?? made
      const call = this.#begin(plan, input, options, scope, undefined)
      return runUnary({ plan, call, timeoutMs: this.#options.timeoutMs, isWhole })
    } catch (error) {
      scope.end()
      return Promise.reject(error)
    }
  }

  /** A call that is tied to the client's life and the caller's signal; its input may still be a promise. */
  #begin(plan: Plan, input: unknown, options: CallOptions, scope: Scope, sendQueue: SendQueue | undefined): Call {
    const { info, route } = plan
    if (options !== noOptions) checkCallOptions(options, { operation: info })
    if (this.#closing) throw misfit(info, 'the client is closed: make another one')
    if (holders.get(route.transport) === 0)
      throw misfit(info, `the transport '${info.via}' was closed with its last client: make another one`)
    scope.begin(this.#services.live, options.signal)
    const origin = { operation: info }
    const context = options.context ?? Context.empty
    return new Call({
      operation: info,
      options,
      input: inputOf(plan, input),
      scope,
      headers: options.headers ? readHeaders(options.headers, origin) : noHeaders,
      sendQueue,
      context: tokenRuns.contextOf ? tokenRuns.contextOf(context) : context,
      identity: route.auth?.identity ? identityOf(route, options, info) : '',
      // An empty one is none, as that of a server which takes its ids back.
      cursor: (options.cursor as string | undefined)?.length ? (options.cursor as string) : undefined,
    })
  }

  #plan(info: OperationInfo): Plan {
    const made = makePlan(info, this.route(info), info.validate ?? this.#options.validate ?? 'error', this.#services)
    const plan = info.durable ? (info.durable.planOf(made, this.#services) as Plan) : made
    this.#plans.set(info, plan)
    return plan
  }
}

/** Two transports to one server share its budget, over sockets too: `wss` is `https` by another name. */
function originOf(via: string, { origin }: Transport): string {
  return origin === undefined ? `via ${via}` : origin.replace(/^ws/, 'http')
}

function misfit(info: OperationInfo, message: string): CallError {
  return new CallError({ code: 'failed_precondition', message }, { operation: info })
}

/** How many clients that are not closed hold each transport; one that is shared is closed with its last client, at 0. */
const holders = new WeakMap<Transport, number>()

/** Whether a client may attach the transport. */
function take(transport: Transport): boolean {
  const before = holders.get(transport)
  if (before !== 0) holders.set(transport, (before ?? 0) + 1)
  return before !== 0
}

async function letGo(transport: Transport): Promise<void> {
  const left = (holders.get(transport) ?? 0) - 1
  // It was closed before.
  if (left < 0) return
  holders.set(transport, left)
  if (left === 0) await transport.close()
}
