import type { Auth } from './core/call/auth.ts'
import { Call } from './core/call/call.ts'
import type { CallOptions } from './core/call/call-options.ts'
import { Context } from './core/call/context.ts'
import type { FaceHost } from './core/call/face-host.ts'
import { noHeaders, readHeaders } from './core/call/header-map.ts'
import { compose, type Interceptor, type Next } from './core/call/interceptor.ts'
import { nesting } from './core/call/nesting.ts'
import type { OperationInfo } from './core/call/operation.ts'
import { discardReply, type Reply, type UnaryReply } from './core/call/reply.ts'
import { Scope, type Services } from './core/call/scope.ts'
import { guardTelemetry, type Telemetry } from './core/call/telemetry.ts'
import { tokenRuns } from './core/call/token-run.ts'
import type { Transport } from './core/call/transport.ts'
import { addCaller, CallError, isAnyCallError } from './core/errors/error.ts'
import type { PolicyOptions } from './core/policies/options.ts'
import { RetryLimits } from './core/retry/limits.ts'
import type { RetryOptions } from './core/retry/options.ts'
import { bounded, reasonOf } from './core/time/bounded.ts'
import { type Clock, DeadlineList, systemClock } from './core/time/clock.ts'
import { defaultInterceptors } from './interceptors/defaults.ts'

/** The policies of a face that has no client. */
export interface FaceClientOptions extends PolicyOptions {
  readonly retry?: RetryOptions | false | undefined
  readonly timeoutMs?: number | undefined
  readonly interceptors?:
    | readonly Interceptor[]
    | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
    | undefined
  readonly telemetry?: Telemetry | undefined
  readonly clock?: Clock | undefined
}

const discarding = { discard: discardReply }

/**
 * What a face has where no client is given: the same chain over one transport. It calls no operation that has a schema,
 * a conversion or a stream, so that a page with a `fetch` and nothing else does not load what a client is made of.
 */
export class FaceClient implements FaceHost {
  readonly #options: FaceClientOptions
  readonly #services: Services & { readonly live: Scope[] }
  #transport: Transport | undefined
  #chain: Next | undefined
  #isClosed = false

  constructor(options: FaceClientOptions) {
    const { clock = systemClock, telemetry } = options
    this.#options = options
    this.#services = {
      clock,
      deadlines: new DeadlineList(clock),
      limits: new RetryLimits(clock),
      telemetry: telemetry && guardTelemetry(telemetry),
      live: [],
    }
  }

  addFace(_via: string, transport: Transport, ...outermost: readonly Interceptor[]): void {
    const { interceptors = [] } = this.#options
    const { telemetry } = this.#services
    const defaults = defaultInterceptors({ ...this.#options, auth: transport.auth || undefined, telemetry, transport })
    const chosen = typeof interceptors === 'function' ? interceptors(defaults) : [...interceptors, ...defaults]
    this.#transport = transport
    this.#chain = compose([...outermost, ...chosen], sendBy(transport), false)
  }

  removeFace(): Promise<void> {
    return this.close()
  }

  authOf(): undefined {
    return undefined
  }

  async run(operation: OperationInfo, input: unknown, options: CallOptions): Promise<unknown> {
    const scope = new Scope(this.#services, undefined, operation)
    try {
      const call = this.#begin(operation, input, options, scope)
      const { finished, message } = await this.#replyTo(call)
      // A body that is still to be read holds the call: deadline and abort reach it.
      if (finished)
        finished.then(
          () => scope.end(),
          () => scope.end(),
        )
      else scope.end()
      return message
    } catch (error) {
      scope.end()
      throw addCaller(error)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const { live, deadlines } = this.#services
    for (const scope of [...live])
      scope.abort(new CallError({ ...closed, ...scope.toJSON() }, scope.operation && { operation: scope.operation }))
    deadlines.close()
    await this.#transport?.close()
  }

  #begin(operation: OperationInfo, input: unknown, options: CallOptions, scope: Scope): Call {
    const { signal, context = Context.empty } = options
    const origin = { operation }
    if (this.#isClosed) throw new CallError({ ...closed, code: 'failed_precondition' }, origin)
    if (signal?.aborted) throw signal.reason
    if (nesting.isInside) scope.isNested = nesting.isInside()
    scope.liveIndex = this.#services.live.push(scope) - 1
    if (signal) {
      const onAbort = (): void => scope.abort(signal.reason)
      signal.addEventListener('abort', onAbort)
      scope.onEnd(() => signal.removeEventListener('abort', onAbort))
    }
    return new Call({
      operation,
      options,
      input,
      scope,
      headers: options.headers ? readHeaders(options.headers, origin) : noHeaders,
      sendQueue: undefined,
      context: tokenRuns.contextOf ? tokenRuns.contextOf(context) : context,
      identity:
        (this.#transport as { readonly auth?: Auth }).auth?.identity?.({ context, options, operation } as never) ?? '',
    })
  }

  async #replyTo(call: Call): Promise<UnaryReply> {
    const { scope } = call
    try {
      return (await bounded<Reply, Call>(scope, this.#chain as Next, discarding, call)) as UnaryReply
    } catch (cause) {
      if (isAnyCallError(cause) || scope.isAborted) throw cause
      const message = 'an unexpected failure: see cause, and report it'
      throw new CallError({ ...scope.toJSON(), code: 'unknown', message, cause }, call)
    }
  }
}

const closed = { code: 'canceled', message: 'the client was closed' } as const

/** The end of the chain. Nothing is sent for a call that was over before its turn came. */
function sendBy(transport: Transport): Next {
  return (call) => {
    const { scope } = call
    if (scope.isOver) return Promise.reject(reasonOf(scope))
    scope.root.sends++
    return transport.send(call)
  }
}
