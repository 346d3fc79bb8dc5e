import type { Auth } from './core/call/auth.ts'
import { Call } from './core/call/call.ts'
import type { CallOptions } from './core/call/call-options.ts'
import { Context } from './core/call/context.ts'
import type { FaceHost } from './core/call/face-host.ts'
import { noHeaders, readHeaders } from './core/call/header-map.ts'
import {
  chosenInterceptors,
  compose,
  type Interceptor,
  type InterceptorsOption,
  type Next,
} from './core/call/interceptor.ts'
import type { OperationInfo } from './core/call/operation.ts'
import { identityOf } from './core/call/plan.ts'
import { discardReply, type Reply, type UnaryReply } from './core/call/reply.ts'
import { sendBy, toKnownError } from './core/call/run-unary.ts'
import { cancelAll, Scope, type Services } from './core/call/scope.ts'
import { guardTelemetry, type Telemetry } from './core/call/telemetry.ts'
import { tokenRuns } from './core/call/token-run.ts'
import type { Transport } from './core/call/transport.ts'
import { addCaller, CallError } from './core/errors/error.ts'
import type { PolicyOptions } from './core/policies/options.ts'
import { RetryLimits } from './core/retry/limits.ts'
import type { RetryOptions } from './core/retry/options.ts'
import { bounded } from './core/time/bounded.ts'
import { type Clock, DeadlineList, systemClock } from './core/time/clock.ts'
import { defaultInterceptors } from './interceptors/defaults.ts'

/** The policies of a face that has no client. */
export interface FaceClientOptions extends PolicyOptions {
  readonly retry?: RetryOptions | false | undefined
  readonly timeoutMs?: number | undefined
  readonly interceptors?: InterceptorsOption | undefined
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
    const { interceptors } = this.#options
    const { telemetry } = this.#services
    const defaults = defaultInterceptors({ ...this.#options, auth: transport.auth || undefined, telemetry, transport })
    this.#transport = transport
    this.#chain = compose([...outermost, ...chosenInterceptors(interceptors, defaults)], sendBy(transport), false)
  }

  removeFace(): Promise<void> {
    return this.close()
  }

  authOf(): undefined {
    return undefined
  }

  async run(operation: OperationInfo, input: unknown, options: CallOptions): Promise<unknown> {
    const scope = new Scope(this.#services, undefined, operation)
    let call: Call | undefined
    try {
      call = this.#begin(operation, input, options, scope)
      const replied = bounded<Reply, Call>(scope, this.#chain as Next, discarding, call)
      const { finished, message } = (await replied) as UnaryReply
      // A body that is still to be read holds the call: deadline and abort reach it.
      if (finished)
        finished.then(
          () => scope.end(),
          () => scope.end(),
        )
      else scope.end()
      return message
    } catch (error) {
      const known = call ? toKnownError(error, call) : error
      scope.end()
      throw addCaller(known)
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const { live, deadlines } = this.#services
    cancelAll(live)
    deadlines.close()
    await this.#transport?.close()
  }

  #begin(operation: OperationInfo, input: unknown, options: CallOptions, scope: Scope): Call {
    const { context = Context.empty } = options
    const origin = { operation }
    if (this.#isClosed)
      throw new CallError({ code: 'failed_precondition', message: 'the client is closed: make another one' }, origin)
    scope.begin(this.#services.live, options.signal)
    return new Call({
      operation,
      options,
      input,
      scope,
      headers: options.headers ? readHeaders(options.headers, origin) : noHeaders,
      sendQueue: undefined,
      context: tokenRuns.contextOf ? tokenRuns.contextOf(context) : context,
      identity: identityOf(this.#transport as { readonly auth: Auth }, options, operation),
    })
  }
}
