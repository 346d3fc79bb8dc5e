import type { EngineOptions, HttpEngine } from '../http.ts'
import { UndiciEngine } from '../undici-engine.ts'

/** `#platform` in Node. */
export const name = 'node'

/** undici's `dispatch`. @throws {CallError} invalid_argument when `dispatcher` is none. */
export function createHttpEngine(options: EngineOptions = {}): HttpEngine {
  return new UndiciEngine(options)
}
