import { CallRunner } from './call-runner.ts'
import { bindContract, bindOperation } from './contract.ts'
import type { Auth } from './core/call/auth.ts'
import type { DefaultChain } from './core/call/chain-parts.ts'
import type { ValidateMode } from './core/call/checker.ts'
import type { Interceptor } from './core/call/interceptor.ts'
import {
  type Bound,
  type Contract,
  type Missing,
  type Need,
  type Operation,
  operationInfo,
} from './core/call/operation.ts'
import { harmless, type Telemetry } from './core/call/telemetry.ts'
import type { Transport } from './core/call/transport.ts'
import { refusal } from './core/errors/refusal.ts'
import type { RetryOptions } from './core/retry/options.ts'
import type { Clock } from './core/time/clock.ts'

/** What a client is made of. */
export interface ClientOptions<T extends { readonly [via: string]: Transport }> {
  /** Their keys are the names that operations refer to. */
  readonly transports: T
  /** Who calls; a transport may have its own. */
  readonly auth?: Auth | undefined
  readonly retry?: RetryOptions | false
  /** Bounds every unary call wholly and every opening of a stream; ms. @defaultValue 30_000 */
  readonly timeoutMs?: number
  /** `[mine]` stands outside the default chain; `(defaults) => […]` decides all. Array order is the order, first is outermost. */
  readonly interceptors?: readonly Interceptor[] | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
  readonly telemetry?: Telemetry
  /** What a message that does not fit its schema does. @defaultValue 'error' */
  readonly validate?: ValidateMode
  /** Time and chance; a virtual clock in tests. */
  readonly clock?: Clock
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
): Client<keyof T & string> {
  checkOptions(options)
  const { transports, retry, timeoutMs, interceptors, clock, validate } = options
  const telemetry = options.telemetry && harmless(options.telemetry)
  const chainOf = (auth: Auth | undefined, transport: Transport) => {
    const defaults = defaultChain({ auth, retry, timeoutMs, telemetry, transport })
    return typeof interceptors === 'function' ? interceptors(defaults) : [...(interceptors ?? []), ...defaults]
  }
  const runner = new CallRunner({ transports, auth: options.auth, clock, telemetry, validate, timeoutMs, chainOf })
  const bound = new WeakMap<object, (...args: unknown[]) => unknown>()
  return {
    bind: (contract) => bindContract(contract, runner) as never,
    call(operation, ...args) {
      const info = operationInfo(operation)
      if (!info)
        throw refusal('client.call(operation, …) takes an operation made by a builder such as get()', undefined)
      let run = bound.get(operation)
      if (!run) bound.set(operation, (run = bindOperation(info, runner) as never))
      return (run as (...args: unknown[]) => unknown)(...args) as never
    },
    close: () => runner.close(),
  }
}

function checkOptions(options: ClientOptions<{ readonly [via: string]: Transport }>): void {
  const refuse = (message: string): never => {
    throw refusal(message, undefined)
  }
  if (typeof options?.transports !== 'object' || options.transports === null)
    refuse('createClient takes { transports: { rest: restTransport({ … }), … } }')
  for (const [via, transport] of Object.entries(options.transports)) {
    if (typeof transport?.send !== 'function')
      refuse(`transports.${via} is no transport: make it with a factory such as restTransport({ … })`)
  }
}
