import { FetchEngine } from '../fetch-engine.ts'
import type { EngineOptions, HttpEngine } from '../http.ts'

/** `#platform` everywhere but in Node: no library but what the platform brings. */
export const name = 'web'

/** The platform's own `fetch`. */
export function createHttpEngine(_options: EngineOptions = {}): HttpEngine {
  return new FetchEngine()
}
