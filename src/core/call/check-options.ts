import type { ErrorOrigin } from '../errors/error.ts'
import { refusal } from '../errors/refusal.ts'
import type { CallOptions } from './call-options.ts'

/**
 * Refuses what only a caller without types can pass, before anything begins.
 *
 * @throws {CallError} `invalid_argument` naming the option, never its value.
 */
export function checkOptions(options: CallOptions, origin: ErrorOrigin): void {
  if (typeof options !== 'object' || options === null)
    throw refusal('the options of a call are an object such as { timeoutMs: 5_000 }', origin)
  const { signal, context, idempotencyKey, headers, deadline, cursor, resync } = options
  if (signal && typeof signal.addEventListener !== 'function') throw refusal('signal is no AbortSignal', origin)
  if (context !== undefined && typeof context?.get !== 'function')
    throw refusal('context is no Context: make one with createContextKey().with(value)', origin)
  if (idempotencyKey !== undefined && !isKey(idempotencyKey))
    throw refusal('idempotencyKey is a text of visible ASCII characters', origin)
  if (cursor !== undefined && typeof cursor !== 'string' && typeof cursor?.open !== 'function')
    throw refusal('cursor is a text, of an earlier stream, or made by storedCursor()', origin)
  if (resync !== undefined && typeof resync !== 'function') throw refusal('resync is a function', origin)
  if (headers !== undefined && (typeof headers !== 'object' || headers === null))
    throw refusal('headers is no object, Map, Headers or list of pairs', origin)
  if (deadline !== undefined && typeof deadline !== 'number' && typeof deadline?.getTime !== 'function')
    throw refusal('deadline is a Date, or ms since 1970', origin)
}

function isKey(key: unknown): boolean {
  return typeof key === 'string' && /^[\x20-\x7e]+$/.test(key)
}
