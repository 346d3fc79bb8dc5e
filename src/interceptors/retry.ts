import type { Call } from '../core/call/call.ts'
import { ours } from '../core/call/compose.ts'
import type { Interceptor, Next } from '../core/call/interceptor.ts'
import type { Reply } from '../core/call/reply.ts'
import {
  CallError,
  failureOf,
  isAnyCallError,
  type NotRetried,
  toFailedAttempt,
  withHistory,
} from '../core/errors/error.ts'
import { attempt } from '../core/retry/attempt.ts'
import { type Receipt, RetryBudget } from '../core/retry/budget.ts'
import type { RetryOptions } from '../core/retry/options.ts'
import { NotBefore } from '../core/time/not-before.ts'
import { sleep } from '../core/time/sleep.ts'
import { retryLoop } from './retry-loop.ts'

const isBrowser = typeof (globalThis as { document?: unknown }).document !== 'undefined'
/** How much of a server's wait may be added as jitter; ms. */
const maxAddedJitterMs = 10_000

type Settings = Required<Omit<RetryOptions, 'attemptTimeoutMs' | 'isRetryable' | 'budget'>> &
  Pick<RetryOptions, 'attemptTimeoutMs' | 'isRetryable'>

/**
 * Sends a failed call again, where that is safe and may help: full jitter, Retry-After as a floor, a budget that keeps
 * a dead server from being buried, one opening of a stream treated like a call.
 *
 * Safe is what is idempotent, provably not executed, or keyed with a key that the server is known to honour. The last
 * error is thrown, with the earlier ones in `failures` and `notRetried` saying why it ended there.
 *
 * @param defaults - `false`: only calls and operations with an option of their own are sent again.
 * @param origin - whose budget it draws on; scheme, host and port.
 * @example
 * retry({ maxAttempts: 4 })
 */
export function retry(defaults: RetryOptions | false = {}, origin = ''): Interceptor {
  const options = defaults || {}
  const budget = options.budget === false ? undefined : new RetryBudget(options.budget)
  let shared: Shared | undefined
  return ours(function retry(call, next) {
    if (call.isReopen || (defaults === false && !(call.options.retry ?? call.operation.retry))) return next(call)
    shared ??= { origin, budget, notBefore: new NotBefore(call.scope.services.clock) }
    return new Retrying(call, next, settingsOf(options, call), shared).run()
  })
}

function settingsOf(options: RetryOptions, { options: own, operation }: Call): Settings {
  const override = own.retry ?? operation.retry
  const merged = override ? { ...options, ...override } : options
  return {
    maxAttempts: override === false ? 1 : (merged.maxAttempts ?? 3),
    baseDelayMs: merged.baseDelayMs ?? (isBrowser ? 500 : 50),
    throttleDelayMs: merged.throttleDelayMs ?? 1000,
    maxDelayMs: merged.maxDelayMs ?? 20_000,
    scope: merged.scope ?? 'operation',
    attemptTimeoutMs: merged.attemptTimeoutMs,
    isRetryable: merged.isRetryable,
  } as Settings
}

/** What the calls of one transport share. */
interface Shared {
  readonly origin: string
  readonly budget: RetryBudget | undefined
  readonly notBefore: NotBefore
}

/** One call, or one opening, and its attempts. */
class Retrying {
  readonly #call: Call
  readonly #next: Next
  readonly #settings: Settings
  readonly #shared: Shared
  #attempt = 1
  #waitMs = 0
  #receipt: Receipt | undefined

  constructor(call: Call, next: Next, settings: Settings, shared: Shared) {
    this.#call = call
    this.#next = next
    this.#settings = settings
    this.#shared = shared
  }

  run(): Promise<Reply> {
    if (this.#shared.notBefore.isEmpty) return this.#first()
    const heldMs = this.#shared.notBefore.remainingMs(this.#holdKey())
    return heldMs > 0 ? this.#held(heldMs) : this.#first()
  }

  #first(): Promise<Reply> {
    this.#call.scope.root.attempts = 1
    return attempt(this.#call, this.#next, this.#settings.attemptTimeoutMs).then(
      (reply) => this.#succeed(reply),
      (error: unknown) => this.#again(error),
    )
  }

  /** An earlier failure said when to come back: wait, each call with its own jitter. */
  async #held(heldMs: number): Promise<Reply> {
    const waitMs = heldMs + this.#addedJitter(heldMs)
    if (!this.#fits(waitMs)) {
      const message = 'the server asked for a longer wait than this call may last: try again after retryAfterMs'
      const retryAfterMs = Math.ceil(heldMs)
      throw new CallError({ code: 'unavailable', message, isRetryable: true, retryAfterMs }, this.#call)
    }
    await sleep(waitMs, this.#call.scope)
    return this.#first()
  }

  /** Entered only after a first failure, so that a call that succeeds pays nothing for the loop. */
  #again(error: unknown): Promise<Reply> {
    if (!this.#decide(error)) return Promise.reject(error)
    const { scope } = this.#call
    return retryLoop(
      async () => {
        await sleep(this.#waitMs, scope)
        scope.root.attempts = ++this.#attempt
        return this.#succeed(
          await attempt(this.#call.with({ attempt: this.#attempt }), this.#next, this.#settings.attemptTimeoutMs),
        )
      },
      (failed) => this.#decide(failed),
    )
  }

  #succeed(reply: Reply): Reply {
    const { budget } = this.#shared
    if (budget && !budget.isFull) budget.succeeded(this.#receipt?.keys ?? this.#keys(), this.#receipt?.paid ?? 0)
    return reply
  }

  /** Whether to go on; notes the wait, or on the error why it ends here. */
  #decide(error: unknown): boolean {
    const { scope } = this.#call
    if (!isAnyCallError(error) || scope.isOver) return false
    if (error.retryAfterMs !== undefined) this.#shared.notBefore.record(this.#holdKey(), error.retryAfterMs)
    const isTransient = this.#settings.isRetryable?.(error) ?? error.isRetryable
    const forbidden = failureOf(error).isRetryForbidden ? 'forbidden_by_server' : undefined
    const stop = isTransient ? this.#obstacle(error) : forbidden
    if (!isTransient || stop) {
      withHistory(error, scope.root.failures, stop)
      return false
    }
    scope.root.failures.push(toFailedAttempt(error))
    scope.services.telemetry?.event?.({ type: 'retry', call: this.#call, waitMs: Math.round(this.#waitMs), error })
    return true
  }

  #obstacle(error: CallError): NotRetried | undefined {
    const { operation, input, isKeyHonoured } = this.#call
    const failure = failureOf(error)
    if (this.#settings.maxAttempts <= 1) return 'disabled'
    const isSafe = operation.isIdempotent || isKeyHonoured || error.sent === 'no' || failure.isUnexecuted
    if (!isSafe) return 'not_idempotent'
    if (operation.isReplayable && !operation.isReplayable(input)) return 'body_not_replayable'
    if (this.#attempt >= this.#settings.maxAttempts) return 'attempts_exhausted'
    this.#waitMs = this.#wait(error, failure.isThrottled === true)
    if (!this.#fits(this.#waitMs)) return 'wait_exceeds_deadline'
    this.#receipt ??= { keys: this.#keys(), paid: 0 }
    const { budget } = this.#shared
    if (budget && !budget.pay(this.#receipt, failure.isThrottled === true, failure.connection))
      return 'budget_exhausted'
    return undefined
  }

  #wait(error: CallError, isThrottled: boolean): number {
    const { baseDelayMs, throttleDelayMs, maxDelayMs } = this.#settings
    if (error.retryAfterMs !== undefined) return error.retryAfterMs + this.#addedJitter(error.retryAfterMs)
    const ceiling = Math.min(maxDelayMs, (isThrottled ? throttleDelayMs : baseDelayMs) * 2 ** (this.#attempt - 1))
    return this.#call.scope.services.clock.random() * ceiling
  }

  /** Added on top of a server's wait, never subtracted: clients told one date must not come back together. */
  #addedJitter(waitMs: number): number {
    return this.#call.scope.services.clock.random() * Math.min(waitMs / 2, maxAddedJitterMs)
  }

  #fits(waitMs: number): boolean {
    return this.#call.scope.services.clock.now() + waitMs < this.#call.deadline
  }

  #keys(): Receipt['keys'] {
    return [this.#shared.origin, this.#name()]
  }

  #holdKey(): string {
    return `${this.#settings.scope === 'origin' ? this.#shared.origin : this.#name()}\n${this.#call.identity}`
  }

  #name(): string {
    const { via, name } = this.#call.operation
    return `${via} ${name}`
  }
}
