import { createAsyncContext, createAutoEngine, createHttpEngine, explainFault, followRedirect } from '#platform'
import { asAttempt } from '../../src/core/call/nesting.ts'
import type { FetchOptions, HttpEngine, HttpOptions } from './contract.ts'
import { FetchEngine } from './engine/fetch/engine.ts'

/**
 * The engine that the options of a transport ask for.
 *
 * A `dispatcher` wins over everything; a function is used as fetch; 'auto' takes a fetch that was replaced (by msw, a
 * spy …) at the time of each call, else the platform's best: undici in Node, fetch everywhere else.
 *
 * @throws {CallError} failed_precondition when undici is asked for and the platform is not Node; invalid_argument for
 * a `dispatcher` that is none. Each transport has checked `http` by its rules.
 */
export function selectEngine({ http = 'auto', dispatcher }: Pick<HttpOptions, 'http' | 'dispatcher'>): HttpEngine {
  if (dispatcher !== undefined || http === 'undici') return createHttpEngine({ dispatcher })
  if (typeof http === 'function')
    return new FetchEngine(asAttempt(http, createAsyncContext), explainFault, followRedirect)
  if (http === 'fetch') return new FetchEngine(undefined, explainFault, followRedirect)
  return createAutoEngine()
}

const names = ['credentials', 'mode', 'cache', 'redirect', 'priority', 'keepalive'] as const

/** Fetch's own among the options of a transport; undefined where there is none. */
export function fetchOptionsOf(options: FetchOptions): FetchOptions | undefined {
  const named = names.filter((name) => options[name] !== undefined)
  return named.length === 0 ? undefined : Object.fromEntries(named.map((name) => [name, options[name]]))
}
