import type { Auth } from './core/auth.ts'
import { Call } from './core/call.ts'
import type { CallOptions } from './core/call-options.ts'
import type { UnaryResult } from './core/call-types.ts'
import { makeChecker, type ValidateMode } from './core/checker.ts'
import { type Clock, systemClock } from './core/clock.ts'
import { compose } from './core/compose.ts'
import { Context } from './core/context.ts'
import { DeadlineList } from './core/deadline-list.ts'
import { CallError } from './core/error.ts'
import { readHeaders } from './core/headers-init.ts'
import type { Interceptor } from './core/interceptor.ts'
import type { OperationInfo } from './core/operation.ts'
import { Outbox } from './core/outbox.ts'
import { outboxErrors } from './core/outbox-errors.ts'
import type { Route } from './core/route.ts'
import { runUnary } from './core/run-unary.ts'
import { Scope } from './core/scope.ts'
import type { Services } from './core/services.ts'
import { StreamHandle } from './core/stream-handle.ts'
import type { Telemetry } from './core/telemetry.ts'
import type { Transport } from './core/transport.ts'

/** What a runner is made of. */
export interface RunnerOptions {
  readonly transports: { readonly [via: string]: Transport }
  readonly auth: Auth | undefined
  readonly clock: Clock | undefined
  readonly telemetry: Telemetry | undefined
  readonly validate: ValidateMode | undefined
  /** The interceptors in front of one transport. */
  readonly chainOf: (auth: Auth | undefined, transport: Transport) => readonly Interceptor[]
}

/** How long a closing duplex may still flush; ms. */
const lingerMs = 1000

/** Runs the calls of one client: routes them, starts their scopes, ends them. */
export class CallRunner {
  readonly #validate: ValidateMode
  readonly #services: Services
  readonly #routes = new Map<string, Route>()
  readonly #live = new Set<Scope>()
  #closing: Promise<void> | undefined

  constructor({ transports, auth, clock = systemClock, telemetry, validate = 'error', chainOf }: RunnerOptions) {
    this.#validate = validate
    this.#services = { clock, deadlines: new DeadlineList(clock), telemetry }
    for (const [via, transport] of Object.entries(transports)) {
      const own = transport.auth === false ? undefined : (transport.auth ?? auth)
      const chain = compose([...chainOf(own, transport), ...(transport.interceptors ?? [])], (call) => {
        call.scope.root.sends++
        return transport.send(call)
      })
      this.#routes.set(via, { transport, chain, auth: own })
      transport.attach?.(this.#services, via)
    }
  }

  /** The transport of an operation. */
  route(info: OperationInfo, place = info.name): Route {
    const route = this.#routes.get(info.via)
    if (!route) throw this.#misfit(info, `createClient({ transports }) has no '${info.via}', which '${place}' needs`)
    if (route.transport.protocol !== info.protocol) {
      throw this.#misfit(
        info,
        `'${place}' speaks ${info.protocol}, but the transport '${info.via}' speaks ${route.transport.protocol}`,
      )
    }
    return route
  }

  async unary(info: OperationInfo, input: unknown, options: CallOptions = {}): Promise<UnaryResult<unknown>> {
    const scope = this.#begin(info, options)
    let call: Call
    let route: Route
    try {
      route = this.route(info)
      call = this.#call(info, await this.#intake(info, input), options, scope, undefined, route)
    } catch (error) {
      scope.end()
      throw error
    }
    const reply = await runUnary(call, route.chain)
    const convert = this.#converter(info)
    const message = convert ? await convert(reply.message) : reply.message
    const { status, headers, trailers } = reply
    const key = scope.idempotencyKey
    return {
      message,
      status,
      headers,
      trailers,
      attempts: Math.max(1, scope.attempts),
      ...(key !== undefined && { idempotencyKey: key }),
    }
  }

  stream(info: OperationInfo, input: unknown, options: CallOptions = {}): StreamHandle<unknown> {
    const scope = new Scope(this.#services)
    const outbox = info.kind === 'bidi_stream' ? new Outbox(outboxErrors({ operation: info }), info.outbox) : undefined
    const check = info.outgoing && makeChecker('input', this.#mode(info), this.#services, { operation: info })
    return new StreamHandle({
      scope,
      outbox,
      lingerMs,
      chain: (call) => this.route(info).chain(call),
      prepare: async () => {
        this.#follow(scope, info, options)
        return this.#call(info, await this.#intake(info, input), options, scope, outbox, this.route(info))
      },
      convert: this.#converter(info),
      outgoing: check && ((message) => info.outgoing?.(message, check)),
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    for (const scope of [...this.#live])
      scope.abort(
        new CallError({
          code: 'canceled',
          message: 'the client was closed during the call',
          phase: scope.phase,
          sent: scope.sent,
        }),
      )
    this.#services.deadlines.close()
    await Promise.all([...this.#routes.values()].map(({ transport }) => transport.close()))
  }

  #begin(info: OperationInfo, options: CallOptions): Scope {
    const scope = new Scope(this.#services)
    this.#follow(scope, info, options)
    return scope
  }

  /** Ties a scope to the client's life and the caller's signal, with one listener that leaves with the call. */
  #follow(scope: Scope, info: OperationInfo, { signal }: CallOptions): void {
    if (this.#closing) throw this.#misfit(info, 'the client is closed: make another one')
    if (signal?.aborted) {
      scope.end()
      throw signal.reason
    }
    this.#live.add(scope)
    scope.onEnd(() => this.#live.delete(scope))
    if (!signal) return
    const onAbort = () => scope.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    scope.onEnd(() => signal.removeEventListener('abort', onAbort))
  }

  #call(
    info: OperationInfo,
    input: unknown,
    options: CallOptions,
    scope: Scope,
    outbox: Outbox | undefined,
    { auth }: Route,
  ): Call {
    const headers = readHeaders(options.headers, { operation: info })
    const context = options.context ?? Context.empty
    const identity = auth?.identity?.({ context, options }) ?? ''
    return Call.start({ operation: info, options, input, scope, headers, outbox, context, identity })
  }

  #intake(info: OperationInfo, input: unknown): unknown | Promise<unknown> {
    const adapted = info.adapted?.input ? info.adapted.input(input) : input
    if (!info.intake) return adapted
    return info.intake(adapted, makeChecker('input', this.#mode(info), this.#services, { operation: info }))
  }

  #converter(info: OperationInfo): ((message: unknown) => unknown | Promise<unknown>) | undefined {
    const { outlet, adapted } = info
    const adapt = adapted?.output
    if (!outlet) return adapt
    const check = makeChecker('output', this.#mode(info), this.#services, { operation: info })
    return adapt ? async (message) => adapt(await outlet(message, check)) : (message) => outlet(message, check)
  }

  #mode(info: OperationInfo): ValidateMode {
    return info.validate ?? this.#validate
  }

  #misfit(info: OperationInfo, message: string): CallError {
    return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, { operation: info })
  }
}
