import { CallError, isAnyCallError } from '../errors/error.ts'
import { refusal } from '../errors/refusal.ts'
import { guard } from '../guard.ts'
import type { PolicyOptions } from '../policies/options.ts'
import type { RetryOptions } from '../retry/options.ts'
import type { Auth } from './auth.ts'
import type { Call } from './call.ts'
import type { IdempotencyOption } from './idempotency.ts'
import type { Reply } from './reply.ts'
import type { Telemetry } from './telemetry.ts'
import type { Transport } from './transport.ts'

/** The rest of the chain. It may be called again (that is how retries work), and rejects as the call does. */
export type Next = (call: Call) => Promise<Reply>

/**
 * Wraps the chain, unary calls and streams alike.
 *
 * For a stream it resolves when the stream is open; work for its end belongs into `call.scope.onEnd`, and messages are
 * seen by `reply.messages.tap`.
 *
 * @example
 * const logger: Interceptor = async function logger(call, next) {
 *   console.log('→', call.operation.name)
 *   return next(call)
 * }
 */
export type Interceptor = (call: Call, next: Next) => Promise<Reply>

/** What the default chain is built from, for one transport. */
export interface ChainParts extends PolicyOptions {
  readonly auth: Auth | undefined
  readonly retry?: RetryOptions | false | undefined
  readonly timeoutMs?: number | undefined
  readonly telemetry: Telemetry | undefined
  readonly transport: Transport & { readonly idempotency?: IdempotencyOption | undefined }
}

/** Builds the default chain; a value, so that this file knows no interceptor. */
export type DefaultChain = (parts: ChainParts) => readonly Interceptor[]

/** `[mine]` stands outside the default chain; `(defaults) => […]` decides all. */
export type InterceptorsOption =
  | readonly Interceptor[]
  | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
  | undefined

/** The chain of one transport. @throws {CallError} where something in it is no interceptor. */
export function chosenInterceptors(own: InterceptorsOption, defaults: readonly Interceptor[]): readonly Interceptor[] {
  const isChoice = typeof own === 'function'
  const what = isChoice ? 'interceptors(defaults)' : 'interceptors'
  const chosen = isChoice ? guard(what, () => own(defaults)) : [...(own ?? []), ...defaults]
  checkInterceptors(what, chosen)
  return chosen
}

/** @throws {CallError} `invalid_argument` where something among them is no function. */
export function checkInterceptors(what: string, interceptors: readonly Interceptor[]): void {
  const wrong = Array.isArray(interceptors) ? interceptors.findIndex((each) => typeof each !== 'function') : 'no array'
  if (wrong === -1) return
  const words = typeof wrong === 'number' ? `${what}[${wrong}] is no interceptor` : `${what} gives ${wrong}`
  throw refusal(`${words}: it takes functions such as retry()`, undefined)
}

type Wrap = (next: Next) => Next

/** Our own interceptors: how they wrap the rest of the chain, and what part they play. */
const known = new WeakMap<Interceptor, { readonly wrap: Wrap; readonly role: Role | undefined }>()

/** What others look for in a chain: who acts on streams alone, who makes keys, and inside of whom each attempt runs. */
type Role = 'resume' | 'key' | 'retry'

/**
 * Makes one of our own interceptors, with the name of `wrap`: its failures are CallErrors already, so it needs no guard,
 * and it knows the rest of the chain from the beginning, so nothing stands between it and the next one.
 */
export function trusted(wrap: Wrap, role?: Role): Interceptor {
  const interceptor: Interceptor = (call, next) => wrap(next)(call)
  Object.defineProperty(interceptor, 'name', { value: wrap.name, configurable: true })
  known.set(interceptor, { wrap, role })
  return interceptor
}

/** Composes a chain once: array order is the order, first is outermost. A unary call passes none that is for streams. */
export function compose(interceptors: readonly Interceptor[], send: Next, isStream: boolean): Next {
  return interceptors.reduceRight<Next>((next, interceptor, index) => {
    const own = known.get(interceptor)
    if (!own) return guarded(interceptor, next, interceptor.name || `interceptors[${index}]`)
    return own.role === 'resume' && !isStream ? next : own.wrap(next)
  }, send)
}

/** Where the interceptor of a role stands in a chain; -1 where there is none. */
export function placeOf(role: Role, interceptors: readonly Interceptor[]): number {
  return interceptors.findIndex((each) => known.get(each)?.role === role)
}

/** A user's interceptor: what it throws, and a missing Reply, becomes an error that names it. */
function guarded(interceptor: Interceptor, next: Next, name: string): Next {
  return async (call) => {
    let reply: Reply
    try {
      reply = await interceptor(call, next)
    } catch (error) {
      throw explain(error, call, name)
    }
    if (reply?.kind === 'unary' || reply?.kind === 'stream') return reply
    throw fault(call, name, 'returned no Reply: return what next(call) gives')
  }
}

function explain(error: unknown, call: Call, name: string): unknown {
  const isKnown = isAnyCallError(error) || (call.scope.isAborted && error === call.scope.reason)
  return isKnown ? error : fault(call, name, 'threw: see cause', error)
}

function fault(call: Call, name: string, what: string, cause?: unknown): CallError {
  return new CallError({ code: 'internal', message: `the interceptor '${name}' ${what}`, cause }, call)
}
