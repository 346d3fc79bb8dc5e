import { retryLoop } from '#platform'
import type { Call } from '../core/call/call.ts'
import { type Interceptor, type Next, trusted } from '../core/call/interceptor.ts'
import { discardReply, type Reply } from '../core/call/reply.ts'
import { tokenRuns } from '../core/call/token-run.ts'
import {
  CallError,
  failureOf,
  isAnyCallError,
  type NotRetried,
  toFailedAttempt,
  withHistory,
} from '../core/errors/error.ts'
import type { Failure } from '../core/errors/failure.ts'
import type { Hop, Hops } from '../core/failover/hops.ts'
import type { Failover } from '../core/failover/machinery.ts'
import { decide } from '../core/guard.ts'
import { checkOptions } from '../core/options.ts'
import { type RetryOptions, retryRules } from '../core/retry/options.ts'
import { jittered, retryWait } from '../core/retry/wait.ts'
import { bounded, sleep } from '../core/time/bounded.ts'

const isBrowser = typeof (globalThis as { document?: unknown }).document !== 'undefined'
/** What an option is where nobody says it. */
const defaults = { maxRetryAfterMs: 3_600_000, budget: {} as NonNullable<RetryOptions['budget']> }
type Settings = RetryOptions & typeof defaults

/**
 * Sends a failed call again, where that is safe and may help: full jitter, Retry-After as a floor, a budget that keeps
 * a dead server from being buried, one opening of a stream treated like a call.
 *
 * Safe is what is idempotent, provably not executed, or keyed with a key that the server is known to honour. The last
 * error is thrown, with the earlier ones in `failures` and `notRetried` saying why it ended there. Budgets and waits
 * belong to the origin in a client, whatever transport a call takes.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @param options - `false`: only calls and operations with an option of their own are sent again.
 * @example
 * retry({ maxAttempts: 4 })
 */
export function retry(options: RetryOptions | false = {}): Interceptor {
  if (options !== false) checkOptions('retry()', options, retryRules)
  // A call that succeeds while nobody fails costs one closure, for its failure.
  return trusted(function retry(next) {
    const begin = (call: Call, hops?: Hops, paid = 0): Promise<Reply> => {
      const failover = call.operation.failover as Failover | undefined
      if (failover) return failover.begin(call, (routed, of) => begin(routed, of, paid))
      const send = hops?.send ?? next
      const own = call.options.retry ?? call.operation.retry
      if (call.isReopen || (options === false && !own)) return send(call)
      const { limits } = call.scope.services
      const isIdle = limits.isIdle
      // Nothing holds what must not be sent again, and what a token source asks for.
      if (!isIdle && own !== false && !tokenRuns.runOf?.(call.context)) {
        const heldMs = Math.ceil(limits.heldMs(limits.keysOf(call)))
        if (heldMs > 0)
          return waitFor(call, heldMs, settingsOf(call, options)).then((price) =>
            begin(hops?.entry ?? call, undefined, paid + price),
          )
      }
      call.scope.root.attempts = 1
      const timeoutMs = own ? settingsOf(call, options).attemptTimeoutMs : (options as RetryOptions).attemptTimeoutMs
      const reply = timeoutMs === undefined ? send(call) : timed(call, send, timeoutMs)
      const onFailure = (error: unknown) =>
        new Retrying(call, send, settingsOf(call, options), hops, paid).onFirstFailure(error)
      return reply.then(isIdle ? undefined : (succeeded) => refunded(call, succeeded, paid), onFailure)
    }
    return begin
  }, 'retry')
}

/** An earlier failure said when to come back: waits, each call with its own jitter; gives what that costs. */
async function waitFor(call: Call, retryAfterMs: number, { budget }: Settings): Promise<number> {
  const { scope } = call
  const { clock, limits } = scope.services
  const waitMs = jittered(retryAfterMs, clock.random())
  const isTooLong = !fits(call, waitMs)
  const price = isTooLong ? undefined : budget && limits.payToWait(call, budget)
  if (price !== undefined) return paidSleep(waitMs, call, price || 0)
  const message = 'the server asked to wait; nothing was sent'
  const error = new CallError({ code: 'unavailable', message, isRetryable: true, retryAfterMs }, call)
  throw withHistory(error, scope.root.failures, isTooLong ? 'wait_exceeds_deadline' : 'budget_exhausted')
}

/** Waits before a send that costs `price`, which comes back where the caller leaves first; gives the price. */
function paidSleep(waitMs: number, call: Call, price: number): Promise<number> {
  return sleep(waitMs, call.scope).then(
    () => price,
    (reason: unknown) => {
      throw price ? refunded(call, reason, price) : reason
    },
  )
}

function refunded<T>(call: Call, outcome: T, paid: number): T {
  const { limits } = call.scope.services
  limits.refund(limits.payersOf(call), paid)
  return outcome
}

/** One attempt in a scope of its own, so that only the attempt ends. */
function timed(call: Call, next: Next, timeoutMs: number): Promise<Reply> {
  const { services, root } = call.scope
  const scope = call.scope.fork()
  return bounded(scope, () => next(call.with({ scope })), {
    at: services.clock.now() + timeoutMs,
    expired: () => {
      const message = `no answer within attemptTimeoutMs (${timeoutMs} ms), in phase '${root.phase}'`
      return new CallError({ code: 'deadline_exceeded', message, isRetryable: true }, call)
    },
    discard: discardReply,
  }).then(
    (reply) => {
      // A stream, or a body that is still read, lives on in this scope; it ends with the call.
      if (reply.kind === 'unary' && !reply.finished) scope.end()
      return reply
    },
    (error: unknown) => {
      scope.end()
      throw error
    },
  )
}

/** One call, or one opening, whose first attempt has failed. */
class Retrying {
  #call: Call
  readonly #next: Next
  readonly #settings: Settings
  readonly #hops: Hops | undefined
  /** To another route, where the next attempt goes there. */
  #hop: Hop | undefined
  #attempt = 1
  #waitMs = 0
  /** Of the next attempt. What a shared connection costs is paid for the others, too, and does not come back. */
  #price = 0
  #paid: number

  constructor(call: Call, next: Next, settings: Settings, hops: Hops | undefined, paid: number) {
    this.#call = call
    this.#next = next
    this.#settings = settings
    this.#hops = hops
    this.#paid = paid
  }

  async onFirstFailure(error: unknown): Promise<Reply> {
    if (!(await this.#isWorthAnother(error))) throw error
    const { scope } = this.#call
    return retryLoop(
      async () => {
        if (this.#hop) this.#call = await this.#hop.go()
        else await paidSleep(this.#waitMs, this.#call, this.#price)
        this.#attempt++
        // Hedges are attempts, too.
        const call = this.#call.with({ attempt: ++scope.root.attempts })
        const timeoutMs = this.#settings.attemptTimeoutMs
        const reply = timeoutMs === undefined ? this.#next(call) : timed(call, this.#next, timeoutMs)
        return refunded(call, await reply, this.#paid)
      },
      (failed) => this.#isWorthAnother(failed),
    )
  }

  /** Whether to go on; notes the wait, or on the error why it ends here. */
  async #isWorthAnother(error: unknown): Promise<boolean> {
    const { scope } = this.#call
    if (!isAnyCallError(error) || scope.isOver) return false
    const failure = failureOf(error)
    if (!failure.isLocal) this.#hold(error, failure)
    const { isRetryable } = this.#settings
    const isTransient = isRetryable
      ? decide('retry.isRetryable()', () => isRetryable(error), this.#call, {
          sent: error.sent,
          status: error.status,
          cause: error,
        })
      : error.isRetryable
    const hop = (this.#hop = this.#hops?.next(error, this.#attempt, this.#settings))
    if (hop) {
      this.#waitMs = 0
      this.#paid = hop.price
    }
    const obstacle = hop ? hop.obstacle : isTransient ? await this.#obstacle(error, failure) : undefined
    const notRetried = obstacle ?? (failure.isRetryForbidden ? 'forbidden_by_server' : undefined)
    if (!(hop || isTransient) || notRetried) {
      withHistory(error, scope.root.failures, notRetried)
      return false
    }
    scope.root.failures.push(toFailedAttempt(error))
    scope.services.telemetry?.event?.({ type: 'retry', call: this.#call, waitMs: Math.round(this.#waitMs), error })
    return true
  }

  /** What keeps a transient failure from being sent again; notes the wait where nothing does. */
  async #obstacle(error: CallError, failure: Failure): Promise<NotRetried | undefined> {
    const call = this.#call
    const { operation, input, isKeyHonoured, keyExpiresAt } = call
    const { clock, limits } = call.scope.services
    const { maxAttempts = 3, maxRetryAfterMs, budget } = this.#settings
    if (failure.isLocal) return 'refused_here'
    if (maxAttempts <= 1) return 'disabled'
    if (call.scope.root.isNested) return 'nested'
    if (failure.isMoved) return 'redirected'
    const isSafe = operation.isIdempotent || error.sent === 'no' || failure.isUnexecuted
    if (!isSafe && !isKeyHonoured) return 'not_idempotent'
    if (operation.isReplayable && !operation.isReplayable(input)) return 'body_not_replayable'
    if (this.#attempt >= maxAttempts) return 'attempts_exhausted'
    const { retryAfterMs = 0 } = error
    const { isThrottled } = failure
    const isSlow = isBrowser || operation.streaming !== undefined
    const failed = { attempt: this.#attempt, hintMs: retryAfterMs, isThrottled, isSlow }
    this.#waitMs = retryWait(failed, this.#settings, clock.random())
    if (!fits(call, this.#waitMs)) return 'wait_exceeds_deadline'
    // A server that has forgotten the key would do it twice.
    if (!isSafe && clock.now() + this.#waitMs >= keyExpiresAt) return 'key_expired'
    if (retryAfterMs > maxRetryAfterMs) return 'wait_too_long'
    this.#price = 0
    if (budget === false) return undefined
    const price = await limits.pay(limits.payersOf(call), isThrottled, failure.connection, budget, call)
    if (price === undefined) return 'budget_exhausted'
    this.#price = failure.connection ? 0 : price
    this.#paid += price
    return undefined
  }

  /** Later calls are held by what a throttled server asked for; by a key in flight, only those with the same key. */
  #hold(error: CallError, failure: Failure): void {
    const { code, retryAfterMs } = error
    const { maxRetryAfterMs, scope } = this.#settings
    if (retryAfterMs === undefined || retryAfterMs > maxRetryAfterMs) return
    const { limits } = this.#call.scope.services
    const [operation, origin, key] = limits.keysOf(this.#call)
    if (isThrottling(error, failure))
      limits.hold(scope === 'origin' ? origin : operation, retryAfterMs, failure.isThrottled)
    else if (code === 'aborted' && error.isRetryable && key !== undefined) limits.hold(key, retryAfterMs, true)
  }
}

/** The call's own options over its operation's, and those over the client's, one by one; `undefined` says nothing. */
function settingsOf({ options, operation }: Call, general: RetryOptions | false): Settings {
  const own = options.retry
  const declared = operation.retry
  const settings: Record<string, unknown> = (own ?? declared) === false ? { maxAttempts: 1 } : {}
  for (const said of [own, declared, general, defaults] as Record<string, unknown>[])
    for (const name in said) settings[name] ??= said[name]
  return settings as unknown as Settings
}

/** The server is too busy for more calls, not only for this one: HTTP 429 and 503, and what other protocols call so. */
function isThrottling({ code, status }: CallError, { isThrottled }: Failure): boolean {
  // A message that was too large says nothing of others.
  const isBusy = code === 'unavailable' || (code === 'resource_exhausted' && isThrottled !== false)
  return isBusy && (status === 429 || status === 503 || !(status && status >= 400 && status < 600))
}

function fits({ scope, deadline }: Call, waitMs: number): boolean {
  return scope.services.clock.now() + waitMs < deadline
}
