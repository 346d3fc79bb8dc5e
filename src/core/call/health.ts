import { type CallError, failureOf, isAnyCallError } from '../errors/error.ts'
import type { CallOptions } from './call-options.ts'
import type { Args, NoInput } from './call-types.ts'
import type { Services } from './scope.ts'

/**
 * How a server is. `pass` and `warn`: it serves. `fail`: it says that it does not. `unknown`: it answered, and not to this
 * question. `unreachable`: no answer came in time.
 */
export type HealthStatus = 'pass' | 'warn' | 'fail' | 'unknown' | 'unreachable'

/** What a probe found, whatever the protocol. */
export interface Health {
  /** It serves. */
  readonly isHealthy: boolean
  readonly status: HealthStatus
  /** From the question to the answer, or to the end of waiting; ms. */
  readonly latencyMs: number
  /** After so long the server wants to be asked again; ms. */
  readonly retryAfterMs?: number
  /** What the server said beside that: the document of `application/health+json`, for one. */
  readonly details?: unknown
  /** Why it is `unknown` or `unreachable`. */
  readonly error?: CallError
}

/** A probe, called like any operation. */
export interface HealthCheck<In = NoInput> {
  /**
   * Resolves whatever the server says or does not say.
   *
   * @throws {CallError} only where nothing could be asked: wrong input, no transport, a closed client; the caller's own
   * abort rejects with the signal's reason.
   */
  (...args: Args<In>): Promise<Health>
}

/** What an answer says. */
export interface HealthAnswer extends Omit<Health, 'isHealthy' | 'latencyMs' | 'status'> {
  readonly status: Exclude<HealthStatus, 'unreachable'>
}

/** A probe that takes longer says enough; ms. */
export const defaultProbeMs = 2000

/**
 * Makes of a protocol's question the probe that users call: it measures, and makes an answer of failures, too.
 *
 * @param ask - one call, without retries.
 */
export function bindHealth(
  timeoutMs: number,
  ask: (services: Services) => (input: unknown, options: CallOptions) => Promise<HealthAnswer>,
) {
  return (services: Services) => {
    const asking = ask(services)
    return async (input?: unknown, options: CallOptions = {}): Promise<Health> => {
      const begin = services.clock.now()
      const latency = (): number => services.clock.now() - begin
      try {
        const said = await asking(input, { ...options, timeoutMs: options.timeoutMs ?? timeoutMs })
        return { ...said, isHealthy: said.status === 'pass' || said.status === 'warn', latencyMs: latency() }
      } catch (error) {
        if (!isAnyCallError(error) || isMisuse(error)) throw error
        const { retryAfterMs } = error
        return {
          isHealthy: false,
          status: isSilence(error) ? 'unreachable' : 'unknown',
          latencyMs: latency(),
          ...(retryAfterMs !== undefined && { retryAfterMs }),
          error,
        }
      }
    }
  }
}

/** Nothing could be asked: a mistake of the caller's, or the end of the client. */
function isMisuse(error: CallError): boolean {
  const { code, sent, status } = error
  // A server may say that it has canceled the probe: an answer like any other.
  return (
    (code === 'canceled' && status === undefined) ||
    (sent === 'no' && (code === 'invalid_argument' || code === 'failed_precondition'))
  )
}

/** No answer came, by no doing of ours. */
function isSilence(error: CallError): boolean {
  const isDown = error.code === 'unavailable' || error.code === 'deadline_exceeded'
  return isDown && error.status === undefined && !failureOf(error).isLocal
}
