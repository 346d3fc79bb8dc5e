import type { Call } from '../core/call/call.ts'
import { type Interceptor, type Next, trusted } from '../core/call/interceptor.ts'
import type { Reply } from '../core/call/reply.ts'
import { CallError, failureOf, isAnyCallError } from '../core/errors/error.ts'
import { decide, notify } from '../core/guard.ts'
import { callable, checkOptions, oneOf, type RulesOf } from '../core/options.ts'
import { Breaker, type BreakerOptions, type BreakerState, breakerRules } from '../core/policies/breaker.ts'
import { perClient } from '../core/policies/per-client.ts'

/** A change of a breaker. */
export interface BreakerEvent {
  readonly state: BreakerState
  /** Scheme, host and port of the server. */
  readonly origin: string
  /** The operation's template; undefined for a breaker of a whole origin. */
  readonly operation: string | undefined
  /** While it is open: what is left until a probe is let through; ms. */
  readonly openMs: number
}

/** When a circuit breaker opens. */
export interface CircuitBreakerOptions extends BreakerOptions {
  /** The share of all attempts within `withinMs` that must have failed, from 0 to 1. @defaultValue 0.5 */
  readonly ratio?: number | undefined
  /** What has a breaker of its own. @defaultValue 'operation' */
  readonly scope?: 'operation' | 'origin' | undefined
  /** Whether an error says that the server is ill; answers at once. @defaultValue 5xx, a broken connection, no answer in time; no 4xx, no throttling, no abort */
  readonly isFailure?: ((error: CallError) => boolean) | undefined
  /** Hears of each change; so does `telemetry.event`. */
  readonly onEvent?: ((event: BreakerEvent) => void) | undefined
}

/** A function: what is spread into an object stays in every bundle. */
const rules = (): RulesOf<CircuitBreakerOptions> => ({
  ...breakerRules,
  scope: /* @__PURE__ */ oneOf('operation', 'origin'),
  isFailure: callable,
  onEvent: callable,
})

/**
 * Keeps attempts from a server that fails: for `openMs` they are refused unsent, then one probe finds out.
 *
 * It counts what says that the server is ill, in a rolling window, by origin and operation; of a stream its openings. What
 * it refuses is an error `unavailable` with `retryAfterMs`, which costs no retry budget.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * createClient({ transports, breaker: circuitBreaker({ failures: 10, withinMs: 30_000 }) })
 */
export function circuitBreaker(options: CircuitBreakerOptions = {}): Interceptor {
  checkOptions('circuitBreaker()', options, rules())
  const breakers = perClient(() => new Map<string, Breaker>())
  return trusted(function circuitBreaker(next) {
    return (call) => {
      const known = breakers(call.scope.services)
      const name = nameOf(call, options)
      let breaker = known.get(name)
      if (!breaker) known.set(name, (breaker = makeBreaker(call, options, name)))
      if (breaker.isClosed) return attempt(breaker, call, next, options)
      return Promise.resolve(breaker.enter()).then((isLet) => {
        // Of those who asked at the same time the first one is the probe by now.
        if (isLet && breaker.isReady) return attempt(breaker, call, next, options)
        throw refused(call, breaker)
      })
    }
  })
}

function nameOf({ operation, scope: { services } }: Call, { scope }: CircuitBreakerOptions): string {
  const payers = services.limits.payersOf({ operation })
  return scope === 'origin' ? payers.origin : `${payers.origin}\n${operation.name}`
}

function makeBreaker(call: Call, options: CircuitBreakerOptions, name: string): Breaker {
  const { clock, telemetry, breakers } = call.scope.services
  const { ratio = 0.5, scope, onEvent } = options
  const operation = scope === 'origin' ? undefined : call.operation.name
  const origin = name.replace(/\n.*$/s, '').replace(/^origin /, '')
  const breaker: Breaker = new Breaker({
    clock,
    options: { ...options, ratio },
    ...(breakers && { peers: (made) => breakers.join(name, made) }),
    changed: (state) => {
      const openMs = state === 'open' ? Math.round(breaker.dueAt - clock.now()) : 0
      const event = { state, origin, operation, openMs }
      telemetry?.event?.({ type: 'breaker', ...event })
      if (onEvent) notify('circuitBreaker.onEvent()', onEvent, telemetry, event)
    },
  })
  return breaker
}

async function attempt(breaker: Breaker, call: Call, next: Next, options: CircuitBreakerOptions): Promise<Reply> {
  const { scope } = call
  const tell = breaker.begin()
  const sends = scope.root.sends
  const failed = (error: unknown): void => {
    // Before anything was handed to the transport, time and abort are our own affair.
    const isSent = scope.root.sends > sends
    let verdict: ReturnType<typeof verdictOf> = 'unknown'
    try {
      if (isSent && isAnyCallError(error)) verdict = verdictOf(error, call, options)
    } finally {
      // A probe of which nothing is told would be the last one.
      tell(verdict)
    }
  }
  // Whoever leaves, or the deadline, while nothing has come yet.
  const forget = scope.onEnd(() => failed(scope.reason))
  try {
    const reply = await next(call)
    tell('none')
    return reply
  } catch (error) {
    failed(error)
    throw error
  } finally {
    forget()
  }
}

function verdictOf(error: CallError, call: Call, { isFailure = isIll }: CircuitBreakerOptions) {
  if (failureOf(error).isLocal || error.code === 'canceled') return 'unknown'
  return decide('circuitBreaker.isFailure()', () => isFailure(error), call, {
    sent: error.sent,
    status: error.status,
    cause: error,
  })
    ? 'down'
    : 'none'
}

/** The server is ill; one that limits us, or refuses a call, is well. */
function isIll({ code, status = 0, isRetryable }: CallError): boolean {
  if (status >= 400 && status < 500) return false
  if (status >= 500 && status < 600) return code !== 'unimplemented' && code !== 'permission_denied'
  return code === 'unavailable' || code === 'deadline_exceeded' || (isRetryable && code !== 'resource_exhausted')
}

function refused(call: Call, breaker: Breaker): CallError {
  const leftMs = Math.max(1, Math.ceil(breaker.dueAt - call.scope.services.clock.now()))
  const message = `the circuit is open, since this server has failed lately; nothing was sent: call again after ${leftMs} ms`
  return new CallError(
    {
      code: 'unavailable',
      message,
      phase: 'resolve',
      sent: 'no',
      isRetryable: true,
      isLocal: true,
      retryAfterMs: leftMs,
    },
    call,
  )
}
