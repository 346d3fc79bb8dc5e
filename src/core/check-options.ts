import type { CallOptions } from './call-options.ts'
import { CallError, type ErrorOrigin } from './error.ts'

/**
 * Refuses what only a caller without types can pass, before anything begins.
 *
 * @throws {CallError} `invalid_argument` naming the option, never its value.
 */
export function checkOptions(options: CallOptions, origin: ErrorOrigin): void {
  if (typeof options !== 'object' || options === null)
    throw refused('the options of a call are an object such as { timeoutMs: 5_000 }', origin)
  const { signal, context, idempotencyKey, headers, deadline } = options
  if (signal && typeof signal.addEventListener !== 'function') throw refused('signal is no AbortSignal', origin)
  if (context !== undefined && typeof context?.get !== 'function')
    throw refused('context is no Context: make one with createContextKey().with(value)', origin)
  if (idempotencyKey !== undefined && !isKey(idempotencyKey))
    throw refused('idempotencyKey is a text of visible ASCII characters', origin)
  if (headers !== undefined && (typeof headers !== 'object' || headers === null))
    throw refused('headers is no object, Map, Headers or list of pairs', origin)
  if (deadline !== undefined && typeof deadline !== 'number' && typeof deadline?.getTime !== 'function')
    throw refused('deadline is a Date, or ms since 1970', origin)
}

function isKey(key: unknown): boolean {
  return typeof key === 'string' && /^[\x20-\x7e]+$/.test(key)
}

function refused(what: string, origin: ErrorOrigin): CallError {
  return new CallError(
    { code: 'invalid_argument', message: `${what}; nothing was sent`, phase: 'resolve', sent: 'no' },
    origin,
  )
}
