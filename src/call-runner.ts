import type { Auth } from './core/call/auth.ts'
import { Call } from './core/call/call.ts'
import type { CallOptions } from './core/call/call-options.ts'
import type { UnaryResult } from './core/call/call-types.ts'
import { checkOptions } from './core/call/check-options.ts'
import { makeChecker, type ValidateMode } from './core/call/checker.ts'
import { compose } from './core/call/compose.ts'
import { Context } from './core/call/context.ts'
import { badInput, badOutput, chain, guarded } from './core/call/conversion.ts'
import { readHeaders } from './core/call/headers-init.ts'
import { intakeWithin } from './core/call/intake-within.ts'
import type { Interceptor } from './core/call/interceptor.ts'
import type { OperationInfo } from './core/call/operation.ts'
import type { Plan } from './core/call/plan.ts'
import type { UnaryReply } from './core/call/reply.ts'
import type { Route } from './core/call/route.ts'
import { runUnary } from './core/call/run-unary.ts'
import { Scope } from './core/call/scope.ts'
import type { Services } from './core/call/services.ts'
import type { Telemetry } from './core/call/telemetry.ts'
import type { Transport } from './core/call/transport.ts'
import { CallError, isAnyCallError } from './core/errors/error.ts'
import type { Outbox } from './core/outbox/outbox.ts'
import { RetryLimits } from './core/retry/limits.ts'
import type { StreamHandle } from './core/stream/handle.ts'
import { type Clock, systemClock } from './core/time/clock.ts'
import { DeadlineList } from './core/time/deadline-list.ts'

/** What a runner is made of. */
export interface RunnerOptions {
  readonly transports: { readonly [via: string]: Transport }
  readonly auth: Auth | undefined
  readonly clock: Clock | undefined
  readonly telemetry: Telemetry | undefined
  readonly validate: ValidateMode | undefined
  /** Bounds a call whose caller says nothing; ms. */
  readonly timeoutMs: number | undefined
  /** The interceptors in front of one transport. */
  readonly chainOf: (auth: Auth | undefined, transport: Transport) => readonly Interceptor[]
}

const noOptions: CallOptions = Object.freeze({})

/** Runs the calls of one client: routes them, starts their scopes, ends them. */
export class CallRunner {
  readonly #services: Services
  readonly #validate: ValidateMode
  readonly #timeoutMs: number | undefined
  readonly #routes = new Map<string, Route>()
  readonly #plans = new WeakMap<OperationInfo, Plan>()
  readonly #live = new Map<Scope, OperationInfo>()
  #closing: Promise<void> | undefined

  constructor(options: RunnerOptions) {
    const { transports, auth, clock = systemClock, telemetry, validate = 'error', timeoutMs, chainOf } = options
    this.#validate = validate
    this.#timeoutMs = timeoutMs
    this.#services = {
      clock,
      deadlines: new DeadlineList(clock),
      limits: new RetryLimits(clock),
      telemetry,
      lastWork: new Set(),
    }
    for (const [via, transport] of Object.entries(transports)) {
      const own = transport.auth === false ? undefined : (transport.auth ?? auth)
      const chain = compose([...chainOf(own, transport), ...(transport.interceptors ?? [])], (call) => {
        call.scope.root.sends++
        return transport.send(call)
      })
      this.#routes.set(via, { transport, chain, auth: own })
      this.#services.limits.origins.set(via, originOf(via, transport))
      transport.attach?.(this.#services, via)
    }
  }

  /** The transport of an operation. */
  route(info: OperationInfo, place = info.name): Route {
    const route = this.#routes.get(info.via)
    if (!route) throw misfit(info, `createClient({ transports }) has no '${info.via}', which '${place}' needs`)
    if (route.transport.protocol === info.protocol) return route
    const speaks = `but the transport '${info.via}' speaks ${route.transport.protocol}`
    throw misfit(info, `'${place}' speaks ${info.protocol}, ${speaks}`)
  }

  /** Resolves with the message alone. */
  message(info: OperationInfo, input: unknown, options?: CallOptions): Promise<unknown> {
    return this.#unary(info, input, options, converted)
  }

  /** Resolves with the message and what came with it. */
  reply(info: OperationInfo, input: unknown, options?: CallOptions): Promise<UnaryResult<unknown>> {
    return this.#unary(info, input, options, async (reply, plan, scope) => {
      const message = await converted(reply, plan, scope)
      const { status, headers, trailers } = reply
      const key = scope.idempotencyKey
      const attempts = Math.max(1, scope.attempts)
      return { message, status, headers, trailers, attempts, ...(key !== undefined && { idempotencyKey: key }) }
    })
  }

  stream(info: OperationInfo, input: unknown, options: CallOptions = noOptions): StreamHandle<unknown> {
    const plan = this.#plan(info)
    const scope = new Scope(this.#services)
    if (!info.streaming) throw misfit(info, 'an operation that streams is made by defineStream')
    return info.streaming.handle(plan, scope, async (outbox) => {
      this.#follow(scope, info, options)
      const taken = plan.intake ? plan.intake(input) : input
      const call = this.#call(plan, taken, options, scope, outbox)
      return taken instanceof Promise ? intakeWithin(call, taken, this.#timeoutMs) : call
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const [scope, operation] of [...this.#live]) {
      const { phase, sent } = scope
      const message = 'the client was closed during the call'
      scope.abort(new CallError({ code: 'canceled', message, phase, sent }, { operation }))
    }
    this.#services.deadlines.close()
    await Promise.all([...this.#routes.values()].map(({ transport }) => transport.close()))
    await Promise.all(this.#services.lastWork ?? [])
  }

  #unary<T>(
    info: OperationInfo,
    input: unknown,
    options: CallOptions = noOptions,
    finish: (reply: UnaryReply, plan: Plan, scope: Scope) => T | PromiseLike<T>,
  ): Promise<T> {
    const scope = new Scope(this.#services)
    try {
      this.#follow(scope, info, options)
      const plan = this.#plan(info)
      const taken = plan.intake ? plan.intake(input) : input
      const call = this.#call(plan, taken, options, scope, undefined)
      const run = (ready: Call): Promise<T> => runUnary(ready, plan.route.chain, (reply) => finish(reply, plan, scope))
      if (!(taken instanceof Promise)) return run(call)
      return intakeWithin(call, taken, this.#timeoutMs)
        .then(run)
        .catch((error: unknown) => {
          scope.end()
          throw error
        })
    } catch (error) {
      scope.end()
      return Promise.reject(error)
    }
  }

  /** Ties a scope to the client's life and the caller's signal, with one listener that leaves with the call. */
  #follow(scope: Scope, info: OperationInfo, options: CallOptions): void {
    if (options !== noOptions) checkOptions(options, { operation: info })
    const { signal } = options
    if (this.#closing) throw misfit(info, 'the client is closed: make another one')
    if (signal?.aborted) throw signal.reason
    this.#live.set(scope, info)
    if (!signal) {
      scope.onEnd(() => this.#live.delete(scope))
      return
    }
    const onAbort = () => scope.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    scope.onEnd(() => {
      this.#live.delete(scope)
      signal.removeEventListener('abort', onAbort)
    })
  }

  #call({ info, route }: Plan, input: unknown, options: CallOptions, scope: Scope, outbox: Outbox | undefined): Call {
    const headers = readHeaders(options.headers, { operation: info })
    const context = options.context ?? Context.empty
    const identity = identityOf(info, route, context, options)
    const cursor = typeof options.cursor === 'string' ? options.cursor : undefined
    return new Call({ operation: info, options, input, scope, headers, outbox, context, identity, cursor })
  }

  #plan(info: OperationInfo): Plan {
    let plan = this.#plans.get(info)
    if (!plan) {
      plan = makePlan(info, this.route(info), info.validate ?? this.#validate, this.#services)
      this.#plans.set(info, plan)
    }
    return plan
  }
}

/** A 304 says that the caller's own copy still holds: there is no message to check or to convert. */
function converted(reply: UnaryReply, { convert, info }: Plan, scope: Scope): unknown {
  if (!convert || reply.status === 304) return reply.message
  const explain = (error: unknown): never => {
    // What another call has failed with, and a conversion throws, tells of that call.
    const isOurs = isAnyCallError(error) && error.attempt === 0 && error.operation === info.name
    throw isOurs ? Object.assign(error, whence(reply, scope)) : error
  }
  try {
    const message = convert(reply.message)
    return message instanceof Promise ? message.catch(explain) : message
  } catch (error) {
    return explain(error)
  }
}

/** What an error says of the reply that did not fit. */
function whence({ status }: UnaryReply, { attempts, failures }: Scope): object {
  return { status, attempt: Math.max(1, attempts), failures: [...failures] }
}

function makePlan(info: OperationInfo, route: Route, mode: ValidateMode, services: Services): Plan {
  const origin = { operation: info }
  const input = makeChecker('input', mode, services, origin)
  const output = makeChecker('output', mode, services, origin)
  const { intake, outlet, outgoing } = info
  const taken = chain(info.adapted?.input, intake && ((value) => intake(value, input)))
  const given = chain(outlet && ((message) => outlet(message, output)), info.adapted?.output)
  return {
    info,
    route,
    intake: guarded(taken, badInput, origin),
    outgoing: guarded(outgoing && ((message) => outgoing(message, input)), badInput, origin),
    convert: guarded(given, badOutput, origin),
  }
}

function identityOf(info: OperationInfo, { auth }: Route, context: Context, options: CallOptions): string {
  if (!auth?.identity) return ''
  try {
    return auth.identity({ context, options })
  } catch (cause) {
    const message = 'auth.identity() threw: see cause; nothing was sent'
    throw new CallError({ code: 'internal', message, phase: 'resolve', sent: 'no', cause }, { operation: info })
  }
}

/** Two transports to one server share its budget, over sockets too: `wss` is `https` by another name. */
function originOf(via: string, { origin }: Transport): string {
  return origin === undefined ? `via ${via}` : origin.replace(/^ws/, 'http')
}

function misfit(info: OperationInfo, message: string): CallError {
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, { operation: info })
}
