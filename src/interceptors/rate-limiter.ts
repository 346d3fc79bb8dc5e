import type { Call } from '../core/call/call.ts'
import { type Interceptor, type Next, trusted } from '../core/call/interceptor.ts'
import { identityOf } from '../core/call/plan.ts'
import type { Reply } from '../core/call/reply.ts'
import type { Scope, Services } from '../core/call/scope.ts'
import { tokenRuns } from '../core/call/token-run.ts'
import { CallError, isAnyCallError } from '../core/errors/error.ts'
import { aboveZero, checkOptions, count, notNegative, object, oneOf, type RulesOf } from '../core/options.ts'
import { perClient } from '../core/policies/per-client.ts'
import { type RateLimit, type RateLimitSource, readCost, readRateLimits } from '../core/policies/rate-limits.ts'
import { reasonOf } from '../core/time/bounded.ts'
import type { Clock } from '../core/time/clock.ts'

/** A limit that the client keeps by itself, whatever the server says. */
export interface OwnRateLimit {
  /** Attempts within `windowMs`, of each origin and identity. */
  readonly requests: number
  /** From the first attempt on; ms. */
  readonly windowMs: number
}

/** What happens to a call that would break a limit. */
export interface RateLimiterOptions {
  /** It waits until it may go, or is refused at once. @defaultValue 'wait' */
  readonly whenExceeded?: 'wait' | 'refuse' | undefined
  /** A longer wait is refused, as is one that does not fit the deadline; ms. @defaultValue 60_000 */
  readonly maxWaitMs?: number | undefined
  /** Kept beside those of the server, and where it tells none. @defaultValue none */
  readonly own?: OwnRateLimit | undefined
}

const rules: RulesOf<RateLimiterOptions> = {
  whenExceeded: /* @__PURE__ */ oneOf('wait', 'refuse'),
  maxWaitMs: notNegative,
  own: /* @__PURE__ */ object('an object such as { requests: 10, windowMs: 1000 }', {
    requests: count,
    windowMs: aboveZero,
  }),
}
/** Spread over this, behind the reset: those who waited for one moment must not come in it; ms. */
const maxJitterMs = 1000
/** Where nobody knows when a limit resets, it is looked at after this; ms. */
const pollMs = 1000
/** Beyond this many limits those that are over are looked for. */
const manyLimits = 1000

/**
 * Keeps to the limits that servers tell (`RateLimit`, `RateLimit-Policy`, `X-RateLimit-*`, the cost of Shopify's GraphQL) before they
 * are broken: an attempt that none is left for waits for the reset, or is refused: `resource_exhausted`, unsent.
 *
 * Limits are kept by origin, identity, and the name that the server gives them; attempts under way count. What is known
 * is read by `client.rateLimits(operation)`.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @example
 * createClient({ transports, limiter: rateLimiter({ maxWaitMs: 5_000 }) })
 */
export function rateLimiter(options: RateLimiterOptions = {}): Interceptor {
  checkOptions('rateLimiter()', options, rules)
  const limitsOf = perClient(({ clock }) => new Limits(clock, options.own))
  const limiter = trusted(function rateLimiter(next) {
    return (call) => attempt(call, next, limitsOf(call.scope.services), options)
  })
  const source: RateLimitSource = {
    rateLimits(services, operation, route, options) {
      return limitsOf(services).of(...keysOf(services, operation, identityOf(route, options, operation)))
    },
  }
  return Object.assign(limiter, source)
}

function keysOf(
  services: Services,
  operation: Call['operation'],
  identity: string,
): readonly [operation: string, origin: string] {
  const payers = services.limits.payersOf({ operation })
  return [`${payers.operation}\n${identity}`, `${payers.origin}\n${identity}`]
}

async function attempt(call: Call, next: Next, limits: Limits, options: RateLimiterOptions): Promise<Reply> {
  const { scope, operation, identity, context } = call
  const { clock } = scope.services
  const [key, origin] = keysOf(scope.services, operation, identity)
  const isExempt = tokenRuns.runOf?.(context) !== undefined
  for (let hold = limits.holdOf(key, origin); hold && !isExempt; hold = limits.holdOf(key, origin)) {
    const { whenExceeded, maxWaitMs = 60_000 } = options
    const { waitMs, limit } = hold
    const jitterMs = clock.random() * Math.min(waitMs / 2, maxJitterMs)
    const isTooLong = waitMs > maxWaitMs || clock.now() + waitMs + jitterMs >= call.deadline
    if (whenExceeded === 'refuse' || isTooLong) throw refused(call, waitMs)
    await limit.wait(waitMs + jitterMs, scope)
  }
  const settled = limits.begin(key, origin)
  const forget = scope.onEnd(() => settled([]))
  try {
    const reply = await next(call)
    const { headers } = reply
    const isUnary = reply.kind === 'unary'
    const told = readRateLimits(headers, clock.wallNow())
    const inTrailers = isUnary && told.length === 0 ? readRateLimits(reply.trailers, clock.wallNow()) : []
    const cost = isUnary ? readCost(reply.extensions) : undefined
    settled([...told, ...inTrailers, ...(cost ? [cost.limit] : [])], cost?.cost)
    return reply
  } catch (error) {
    const { headers, trailers, sent } = isAnyCallError(error) ? error : ({} as Partial<CallError>)
    const told = [headers, trailers].flatMap((each) => (each ? readRateLimits(each, clock.wallNow()) : []))
    settled(told, sent === 'no' ? 0 : undefined)
    throw error
  } finally {
    forget()
  }
}

function refused(call: Call, waitMs: number): CallError {
  const retryAfterMs = Math.ceil(waitMs)
  const message = `the rate limit of this server is used up for ${retryAfterMs} ms; nothing was sent: call again after that, or raise maxWaitMs and timeoutMs`
  const flags = { isRetryable: true, isThrottled: true, isLocal: true } as const
  return new CallError(
    { code: 'resource_exhausted', message, phase: 'resolve', sent: 'no', retryAfterMs, ...flags },
    call,
  )
}

/** One limit, as it was told last. */
class Limit {
  name: string | undefined
  limit: number | undefined
  windowMs: number | undefined
  /** By the last word of the server. */
  remaining = Number.POSITIVE_INFINITY
  resetAt = Number.POSITIVE_INFINITY
  /** When that came. */
  toldAt = Number.NEGATIVE_INFINITY
  /** What attempts that are under way will cost. */
  underWay = 0
  /** Who waits for it, in the order in which they came. */
  readonly #waiting = new Set<() => void>()

  /** What is left for another attempt. */
  leftAt(now: number): number {
    if (now >= this.resetAt) {
      // A limit of 0 is asked about, too: what is never sent would never hear of another one.
      this.remaining = this.limit || Number.POSITIVE_INFINITY
      this.resetAt = now + (this.windowMs ?? Number.POSITIVE_INFINITY)
      this.toldAt = now
    }
    return this.remaining - this.underWay
  }

  /** Answers come in any order: of those that were asked before the last word, the least counts. */
  tell(told: RateLimit, startedAt: number, now: number): void {
    const isNew = startedAt >= this.toldAt || now >= this.resetAt
    this.remaining = isNew ? told.remaining : Math.min(this.remaining, told.remaining)
    this.name = told.name
    this.limit = told.limit ?? this.limit
    this.windowMs = told.windowMs ?? this.windowMs
    this.resetAt = now + told.resetMs
    this.toldAt = now
  }

  /** Ends after `waitMs`, or when there is something left before. */
  wait(waitMs: number, scope: Scope): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        timer.clear()
        forget()
        this.#waiting.delete(go)
        resolve()
      }
      const timer = scope.services.clock.setTimer(go, waitMs)
      const forget = scope.onEnd(() => {
        timer.clear()
        this.#waiting.delete(go)
        reject(reasonOf(scope))
      })
      this.#waiting.add(go)
    })
  }

  /** As many go on as there is left for. */
  wake(now: number): void {
    if (this.#waiting.size === 0) return
    let left = this.leftAt(now)
    for (const go of [...this.#waiting]) {
      if (left-- < 1) return
      go()
    }
  }
}

/** The limits of an operation, and what an attempt costs them. */
interface Known {
  readonly limits: readonly Limit[]
  readonly cost: number
}

/** What one client knows. */
class Limits {
  readonly #clock: Clock
  readonly #own: OwnRateLimit | undefined
  readonly #limits = new Map<string, Limit>()
  /** The limits that an operation was told of last, and what it costs them. */
  readonly #known = new Map<string, Known>()

  constructor(clock: Clock, own: OwnRateLimit | undefined) {
    this.#clock = clock
    this.#own = own
  }

  /** What an attempt has to wait for, and how long; undefined where it may go. */
  holdOf(operation: string, origin: string): { readonly limit: Limit; readonly waitMs: number } | undefined {
    const now = this.#clock.now()
    const { limits, cost } = this.#of(operation, origin)
    let longest: { readonly limit: Limit; readonly waitMs: number } | undefined
    for (const limit of limits) {
      // More than a full window would never come.
      if (limit.leftAt(now) >= Math.min(cost, limit.limit || cost)) continue
      const isUnknown = limit.resetAt === Number.POSITIVE_INFINITY
      // Where nobody knows the reset, the server is asked by one at a time: what is under way may bring word at any time.
      if (isUnknown && limit.underWay === 0) continue
      const waitMs = isUnknown ? pollMs : Math.max(1, limit.resetAt - now)
      if (waitMs > (longest?.waitMs ?? 0)) longest = { limit, waitMs }
    }
    return longest
  }

  #of(operation: string, origin: string): Known {
    const { limits = [], cost = 1 } = this.#known.get(operation) ?? {}
    const own = this.#ownOf(origin)
    return own ? { limits: [...limits, own], cost } : { limits, cost }
  }

  /** An attempt begins; what is returned tells once what came of it. */
  begin(operation: string, origin: string): (told: readonly RateLimit[], cost?: number) => void {
    const startedAt = this.#clock.now()
    const { limits = [], cost = 1 } = this.#known.get(operation) ?? {}
    const own = this.#ownOf(origin)
    if (own) {
      own.remaining--
      if (own.resetAt === Number.POSITIVE_INFINITY) own.resetAt = startedAt + (own.windowMs ?? 0)
    }
    for (const limit of limits) limit.underWay += cost
    let isSettled = false
    return (told, actualCost = told.length > 0 ? 1 : cost) => {
      if (isSettled) return
      isSettled = true
      const now = this.#clock.now()
      for (const limit of limits) limit.underWay -= cost
      // Without a word it may have been counted.
      if (told.length === 0) for (const limit of limits) limit.remaining -= actualCost
      else this.#told(operation, origin, told, Math.max(1, actualCost), startedAt, now)
      for (const limit of limits) limit.wake(now)
    }
  }

  of(operation: string, origin: string): RateLimit[] {
    const now = this.#clock.now()
    return this.#of(operation, origin).limits.flatMap((each) => {
      const left = each.leftAt(now)
      if (left === Number.POSITIVE_INFINITY) return []
      const { name, limit, windowMs, resetAt } = each
      const resetMs = resetAt === Number.POSITIVE_INFINITY ? 0 : Math.round(resetAt - now)
      return [{ name, limit, windowMs, resetMs, remaining: Math.max(0, left) }]
    })
  }

  #told(
    operation: string,
    origin: string,
    told: readonly RateLimit[],
    cost: number,
    startedAt: number,
    now: number,
  ): void {
    const limits = told.map((each) => {
      // Without a name, what is counted together has the same size.
      const limit = this.#limitOf(`${origin}\n${each.name ?? `${each.limit} in ${each.windowMs}`}`)
      limit.tell(each, startedAt, now)
      return limit
    })
    this.#known.set(operation, { limits, cost })
    if (this.#limits.size > manyLimits || this.#known.size > manyLimits) this.#sweep(now)
  }

  #ownOf(origin: string): Limit | undefined {
    if (!this.#own) return undefined
    const own = this.#limitOf(`${origin}\n\nown`)
    own.limit ??= this.#own.requests
    own.windowMs = this.#own.windowMs
    own.name = 'own'
    if (own.remaining === Number.POSITIVE_INFINITY) own.remaining = own.limit
    return own
  }

  #limitOf(key: string): Limit {
    let limit = this.#limits.get(key)
    if (!limit) this.#limits.set(key, (limit = new Limit()))
    return limit
  }

  #sweep(now: number): void {
    const isOver = (each: Limit): boolean => each.underWay === 0 && now >= each.resetAt
    for (const [key, limit] of this.#limits) if (isOver(limit)) this.#limits.delete(key)
    for (const [key, { limits }] of this.#known) if (limits.every(isOver)) this.#known.delete(key)
  }
}
