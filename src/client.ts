import { CallRunner } from './call-runner.ts'
import { bindContract, bindOperation } from './contract.ts'
import type { Auth } from './core/call/auth.ts'
import type { CallOptions } from './core/call/call-options.ts'
import { registerHost } from './core/call/face-host.ts'
import { checkInterceptors, chosenInterceptors, type DefaultChain, type Interceptor } from './core/call/interceptor.ts'
import {
  type AnyOutbox,
  type Bound,
  type Contract,
  type Missing,
  type Need,
  type Operation,
  type OperationInfo,
  operationInfo,
} from './core/call/operation.ts'
import type { ValidateMode } from './core/call/plan.ts'
import { guardTelemetry, type Telemetry } from './core/call/telemetry.ts'
import type { Transport } from './core/call/transport.ts'
import { refusal } from './core/errors/refusal.ts'
import type { FailoverOptions } from './core/failover/options.ts'
import {
  anything,
  callable,
  checkOptions,
  credentialSource,
  either,
  has,
  list,
  notNegative,
  object,
  oneOf,
  type RulesOf,
  takes,
} from './core/options.ts'
import { optInRules, type PolicyOptions } from './core/policies/options.ts'
import type { RateLimit } from './core/policies/rate-limits.ts'
import { type RetryOptions, retryOption } from './core/retry/options.ts'
import type { Shared } from './core/shared/sharing.ts'
import { isObject } from './core/tag.ts'
import type { Clock } from './core/time/clock.ts'

/** What a client is made of. */
export interface ClientOptions<
  T extends { readonly [via: string]: Transport },
  O extends AnyOutbox | false = AnyOutbox | false,
> extends PolicyOptions {
  /** Their keys are the names that operations refer to. */
  readonly transports: T
  /** Who calls; a transport may have its own. */
  readonly auth?: Auth | undefined
  /** How failed calls are sent again, or not at all. @defaultValue three attempts, see RetryOptions */
  readonly retry?: RetryOptions | false | undefined
  /** Bounds every unary call wholly and every opening of a stream; ms. @defaultValue 30_000 */
  readonly timeoutMs?: number | undefined
  /** `[mine]` stands outside the default chain; `(defaults) => […]` decides all. Array order is the order, first is outermost. */
  readonly interceptors?:
    | readonly Interceptor[]
    | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
    | undefined
  /** Hears of calls, attempts, and what happens between them. */
  readonly telemetry?: Telemetry | undefined
  /** What a message that does not fit its schema does. @defaultValue 'error' */
  readonly validate?: ValidateMode | undefined
  /** How operations made by `failover()` choose their route. */
  readonly failover?: FailoverOptions | undefined
  /**
   * Where calls of operations made by `durable()` are written down before they are sent: what `outbox()` of
   * `polywire/outbox` makes. `false`: nowhere, they are called like plain ones. @defaultValue none: durable operations
   * do not compile
   */
  readonly outbox?: O | undefined
  /** With whom budget, waits, refreshes and breakers are shared: `tabs()` or `processes()`. @defaultValue nobody */
  readonly shared?: Shared | undefined
  /** Time and chance; a virtual clock in tests. */
  readonly clock?: Clock | undefined
}

/** A client: binds contracts and calls operations. */
export interface Client<Via extends string> {
  /**
   * Makes callable what a contract declares.
   *
   * @throws {CallError} `failed_precondition` when a transport is missing or speaks another protocol.
   */
  bind<C extends Contract>(contract: C & Missing<C, Via>): Bound<C>
  /** The same without a tree. `NoInfer`: the operation alone decides the arguments. */
  call<V extends string, A extends unknown[], R>(
    operation: Operation<V, (...args: A) => R> & Need<V, Via>,
    ...args: NoInfer<A>
  ): R
  /**
   * What `rateLimiter()` knows of the limits of an operation, as the server told them last; empty where it tells none, or
   * there is no rate limiter.
   *
   * @param options - whose limits: what `auth.identity` looks at.
   */
  rateLimits(operation: object, options?: CallOptions): readonly RateLimit[]
  /**
   * Ends what is running with `canceled` and closes the transports; later calls fail at once.
   *
   * @throws {CallError} `unavailable` where the place of a stream was to be kept in a store, and could not.
   */
  close(): Promise<void>
}

/** Makes a client of its options and the default chain. */
export function makeClient<T extends { readonly [via: string]: Transport }>(
  options: ClientOptions<T>,
  defaultChain: DefaultChain,
): Client<any> {
  checkClientOptions(options)
  const { interceptors } = options
  const telemetry = options.telemetry && guardTelemetry(options.telemetry)
  const chainOf = (auth: Auth | undefined, transport: Transport) =>
    chosenInterceptors(interceptors, defaultChain({ ...options, auth, telemetry, transport }))
  const runner = new CallRunner({ ...options, telemetry, chainOf })
  const bound = new WeakMap<object, (...args: unknown[]) => unknown>()
  const client: Client<any> = {
    bind: (contract) => bindContract(contract, runner) as never,
    call(operation, ...args) {
      const info = operationInfo(operation)
      if (!info) throw refusal('client.call() takes an operation: make it with a builder such as get()', undefined)
      let run = bound.get(operation)
      if (!run) bound.set(operation, (run = bindOperation(info, runner) as never))
      return (run as (...args: unknown[]) => unknown)(...args) as never
    },
    rateLimits: (operation, options) => runner.rateLimits(operationInfo(operation) as OperationInfo, options),
    close: () => runner.close(),
  }
  registerHost(client, runner)
  return client
}

const rules: RulesOf<ClientOptions<never>> = {
  transports: anything,
  auth: credentialSource,
  retry: retryOption,
  ...optInRules,
  timeoutMs: /* @__PURE__ */ notNegative,
  interceptors: /* @__PURE__ */ either(list, callable),
  telemetry: /* @__PURE__ */ object('an object such as { event: (event) => … }', {
    call: callable,
    attempt: callable,
    event: callable,
    around: anything,
  }),
  validate: /* @__PURE__ */ oneOf('error', 'warn', false),
  // What stands in it is looked at where there is a failover.
  failover: anything,
  // Who has a durable operation looks at it.
  outbox: anything,
  shared: /* @__PURE__ */ takes('tabs() or processes()', /* @__PURE__ */ has('~join')),
  clock: /* @__PURE__ */ takes('a Clock such as virtualClock()', has('setTimer')),
}

function checkClientOptions(options: ClientOptions<{ readonly [via: string]: Transport }>): void {
  if (!isObject(options?.transports))
    throw refusal('createClient takes { transports: { rest: restTransport({ … }) } }', undefined)
  checkOptions('createClient()', options, rules)
  for (const [via, transport] of Object.entries(options.transports)) {
    if (typeof transport?.send !== 'function')
      throw refusal(`transports.${via} is no transport: make it with a factory such as restTransport()`, undefined)
    checkInterceptors(`transports.${via}.interceptors`, transport.interceptors ?? [])
  }
}
