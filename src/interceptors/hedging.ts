import type { Call } from '../core/call/call.ts'
import { type Interceptor, type Next, trusted } from '../core/call/interceptor.ts'
import { discardReply, type Reply } from '../core/call/reply.ts'
import type { Scope } from '../core/call/scope.ts'
import { CallError, failureOf, isAnyCallError, toFailedAttempt } from '../core/errors/error.ts'
import { checkOptions, count, either, notNegative, object, oneOf, orFalse, type RulesOf } from '../core/options.ts'
import { perClient } from '../core/policies/per-client.ts'
import type { RetryBudgetOptions } from '../core/retry/options.ts'
import { bounded } from '../core/time/bounded.ts'
import type { Timer } from '../core/time/clock.ts'

/** When a second attempt is sent beside the first. */
export interface HedgingOptions {
  /** After so long without an answer; `'p95'`: after what 95 of the last 100 calls of the operation took, once there were 20; ms. @defaultValue 'p95' */
  readonly delayMs?: number | 'p95' | undefined
  /** The shortest wait with `'p95'`; ms. @defaultValue 10 */
  readonly minDelayMs?: number | undefined
  /** Attempts at once, the first included. @defaultValue 2 */
  readonly maxAttempts?: number | undefined
  /** The tokens that a hedge costs, of those of retries; `false`: none. @defaultValue as a retry: 14 of 500 an origin and 280 an operation */
  readonly budget?: RetryBudgetOptions | false | undefined
}

const rules: RulesOf<HedgingOptions> = {
  delayMs: /* @__PURE__ */ either(notNegative, /* @__PURE__ */ oneOf('p95')),
  minDelayMs: notNegative,
  maxAttempts: count,
  budget: /* @__PURE__ */ orFalse(/* @__PURE__ */ object('an object such as { retryCost: 14 }')),
}

/**
 * Sends an idempotent unary call once more where its answer takes long; the first answer counts, and the other attempt
 * is cancelled, its connection closed.
 *
 * Each hedge costs as much of the retry budget as a retry and is not refunded, so that a server which is slow for
 * everybody gets few of them. None is sent where the call or its operation says `retry: false`, nor while the
 * server asks for a wait. Streams, keyed calls and bodies that cannot be sent twice are never hedged.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * createClient({ transports, hedge: hedging({ delayMs: 100 }) })
 */
export function hedging(options: HedgingOptions = {}): Interceptor {
  checkOptions('hedging()', options, rules)
  const { delayMs = 'p95', minDelayMs = 10 } = options
  const latencies = perClient(() => new Map<string, Latencies>())
  return trusted(function hedging(next) {
    return (call) => {
      if (!isHedged(call)) return next(call)
      const { limits } = call.scope.services
      const known = latencies(call.scope.services)
      const { operation } = limits.payersOf(call)
      let measured = known.get(operation)
      if (!measured) known.set(operation, (measured = new Latencies()))
      const waitMs = delayMs === 'p95' ? Math.max(measured.p95, minDelayMs) : delayMs
      return new Hedged(call, next, options, measured).run(waitMs)
    }
  })
}

/** Sending it twice does no harm, and nobody has said that it must not be. */
function isHedged({ operation, options, input, scope }: Call): boolean {
  const { kind, isIdempotent, retry, isReplayable } = operation
  return (
    kind === 'unary' &&
    isIdempotent &&
    (options.retry ?? retry) !== false &&
    !scope.root.isNested &&
    (!isReplayable || isReplayable(input))
  )
}

/** One attempt of `retry`, made of several. */
class Hedged {
  readonly #call: Call
  readonly #next: Next
  readonly #options: HedgingOptions
  readonly #latencies: Latencies
  readonly #legs = new Set<Scope>()
  readonly #beganAt: number
  #timer: Timer | undefined
  #waitMs = 0
  #sent = 0
  #settle!: { resolve(reply: Reply): void; reject(error: unknown): void }

  constructor(call: Call, next: Next, options: HedgingOptions, latencies: Latencies) {
    this.#call = call
    this.#next = next
    this.#options = options
    this.#latencies = latencies
    this.#beganAt = call.scope.services.clock.now()
  }

  run(waitMs: number): Promise<Reply> {
    this.#waitMs = waitMs
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.#send(this.#call.attempt)
      if (waitMs < Number.POSITIVE_INFINITY) this.#arm(waitMs)
    })
  }

  #send(attempt: number): void {
    const leg = this.#call.scope.fork()
    this.#legs.add(leg)
    this.#sent++
    bounded(leg, () => this.#next(this.#call.with({ scope: leg, attempt })), { discard: discardReply }).then(
      (reply) => this.#answered(leg, reply),
      (error: unknown) => this.#failed(leg, error),
    )
  }

  #arm(waitMs: number): void {
    this.#timer?.clear()
    this.#timer = undefined
    if (this.#sent >= (this.#options.maxAttempts ?? 2)) return
    this.#timer = this.#call.scope.services.clock.setTimer(() => this.#hedge(), waitMs)
  }

  #hedge(): void {
    const { scope } = this.#call
    const { limits, telemetry } = scope.services
    const { budget = {} } = this.#options
    if (!limits.isIdle && limits.heldMs(limits.keysOf(this.#call)) > 0) return
    if (budget && limits.pay(limits.payersOf(this.#call), false, undefined, budget) === undefined) return
    telemetry?.event?.({ type: 'hedge', call: this.#call, waitMs: Math.round(this.#waitMs) })
    scope.root.attempts = Math.max(scope.root.attempts, this.#call.attempt) + 1
    this.#send(scope.root.attempts)
    this.#arm(this.#waitMs)
  }

  #answered(leg: Scope, reply: Reply): void {
    this.#legs.delete(leg)
    this.#latencies.add(this.#call.scope.services.clock.now() - this.#beganAt)
    // A body that is still read lives on in this scope; it ends with the call.
    if (reply.kind === 'unary' && !reply.finished) leg.end()
    this.#end()
    this.#settle.resolve(reply)
  }

  #failed(leg: Scope, error: unknown): void {
    if (!this.#legs.delete(leg)) return
    leg.end()
    // Another attempt may still answer.
    if (this.#legs.size > 0 && !this.#call.scope.isOver && isAnyCallError(error)) {
      const { isLocal, isRetryForbidden } = failureOf(error)
      if (error.isRetryable || isRetryForbidden) {
        this.#call.scope.root.failures.push(toFailedAttempt(error))
        // The server says when, or whether, it wants to hear of us.
        if (isRetryForbidden) this.#timer?.clear()
        else if (error.retryAfterMs !== undefined && !isLocal) this.#arm(error.retryAfterMs)
        return
      }
    }
    this.#end()
    this.#settle.reject(error)
  }

  /** Whoever is late is cancelled: its wire closes. */
  #end(): void {
    this.#timer?.clear()
    const late = [...this.#legs]
    this.#legs.clear()
    for (const leg of late)
      leg.abort(new CallError({ code: 'canceled', message: 'another attempt was first' }, this.#call))
  }
}

const fewest = 20
const most = 100

/** How long the last calls of one operation took. */
class Latencies {
  readonly #last: number[] = []
  #at = 0
  #p95 = Number.POSITIVE_INFINITY

  /** Infinity until there are enough. */
  get p95(): number {
    return this.#p95
  }

  add(ms: number): void {
    this.#last[this.#at++ % most] = ms
    const { length } = this.#last
    // Sorted now and then.
    if (length >= fewest && this.#at % 10 === 0)
      this.#p95 = this.#last.toSorted((one, other) => one - other)[Math.ceil(length * 0.95) - 1] as number
  }
}
