import type { Call } from '../../src/core/call/call.ts'
import type { CallError } from '../../src/core/errors/error.ts'
import type { FetchInput } from './request.ts'

const rememberedMs = 60_000
const maxCalls = 1_000

interface Exhausted {
  readonly at: number
  readonly error: CallError
  /** The caller's own. */
  readonly idempotencyKey: string | undefined
}

/**
 * Calls that have failed after all their attempts, for a minute: a client with retries of its own that sends one again,
 * and says so, is told the same at once. Otherwise its attempts and ours would multiply.
 */
export class ExhaustedCalls {
  readonly #calls = new Map<string, Exhausted>()

  note(call: Call, error: CallError): void {
    if (error.notRetried !== 'attempts_exhausted') return
    const key = keyOf(call)
    this.#calls.delete(key)
    this.#calls.set(key, { at: nowOf(call), error, idempotencyKey: call.headers['idempotency-key'] })
    for (const oldest of this.#calls.keys()) {
      if (this.#calls.size <= maxCalls) break
      this.#calls.delete(oldest)
    }
  }

  /** What a call has failed with that this one says it repeats. */
  find(call: Call): CallError | undefined {
    if (this.#calls.size === 0) return undefined
    const key = keyOf(call)
    const found = this.#calls.get(key)
    if (!found) return undefined
    if (nowOf(call) - found.at > rememberedMs) this.#calls.delete(key)
    else if (isRepeat(call.headers, found.idempotencyKey)) return found.error
    return undefined
  }
}

/** Whether a request says that it is sent again: the SDKs of Stainless, of AWS, of Supabase, or by the same key. */
function isRepeat(headers: Call['headers'], idempotencyKey: string | undefined): boolean {
  return (
    Number(headers['x-stainless-retry-count']) > 0 ||
    Number(headers['x-retry-count']) > 0 ||
    Number(/\battempt=(\d+)/.exec(headers['amz-sdk-request'] ?? '')?.[1]) > 1 ||
    (idempotencyKey !== undefined && headers['idempotency-key'] === idempotencyKey)
  )
}

function keyOf({ input, identity }: Call): string {
  const { method, url } = input as FetchInput
  return `${method} ${url}\n${identity}`
}

function nowOf({ scope }: Call): number {
  return scope.services.clock.now()
}
