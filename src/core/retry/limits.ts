import type { Clock } from '../time/clock.ts'
import type { RetryBudgetOptions } from './options.ts'

/** Who pays for a retry: an origin, and one operation of it. */
export interface Payers {
  readonly origin: string
  readonly operation: string
}

/** What is asked of a call: a `Call` fits. */
export interface Payable {
  readonly operation: { readonly via: string; readonly name: string; readonly origin?: string | undefined }
  readonly identity: string
  readonly idempotencyKey: string | undefined
}

interface Hold {
  readonly until: number
  readonly isThrottled: boolean | undefined
}

/** Waits beyond this many are looked through for those that are over. */
const manyWaits = 1000

/**
 * What one client knows of the servers that it calls, whatever transport or face a call takes: what retries have cost
 * each origin and each operation, and until when servers asked not to be called.
 *
 * Source of the budget's shape: AWS SDKs' standard mode of 2026 (500 tokens, 14 a retry, 5 when throttled, one back for
 * a clean success); the operation's share keeps one dead operation from starving the others. Only what has been spent
 * is kept, so that a healthy client holds nothing.
 */
export class RetryLimits {
  /** Nothing is spent and nobody is held: a call need not look any further. */
  isIdle = true
  /** The origin of each transport, by the name that operations call it. */
  readonly origins = new Map<string, string>()
  readonly #clock: Clock
  readonly #spent = new Map<string, number>()
  readonly #paidConnections = new WeakSet<object>()
  readonly #held = new Map<string, Hold>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /**
   * Pays for one retry; gives the price, or undefined when there is not enough. The failure of a shared connection is
   * paid once for all the calls that it carried.
   */
  pay(
    by: Payers,
    isThrottled: boolean | undefined,
    connection: object | undefined,
    budget: RetryBudgetOptions,
  ): number | undefined
  /** @param call - it waits where the budget is shared, and others are asked. */
  pay(
    by: Payers,
    isThrottled: boolean | undefined,
    connection: object | undefined,
    budget: RetryBudgetOptions,
    call: Payable,
  ): number | undefined | Promise<number | undefined>
  pay(
    by: Payers,
    isThrottled: boolean | undefined,
    connection: object | undefined,
    budget: RetryBudgetOptions,
  ): number | undefined | Promise<number | undefined> {
    if (connection && this.#paidConnections.has(connection)) return 0
    const { originTokens = 500, operationTokens = 280, retryCost = 14, throttleCost = 5 } = budget
    const price = isThrottled ? throttleCost : retryCost
    const origin = price + (this.#spent.get(by.origin) ?? 0)
    const operation = price + (this.#spent.get(by.operation) ?? 0)
    if (origin > originTokens || operation > operationTokens) return undefined
    if (connection) this.#paidConnections.add(connection)
    this.#spent.set(by.origin, origin).set(by.operation, operation)
    this.isIdle = false
    return price
  }

  /** A call succeeded: what it paid comes back, or one token after a clean success. */
  refund(to: Payers, paid: number): void {
    for (const payer of [to.origin, to.operation]) {
      const left = (this.#spent.get(payer) ?? 0) - (paid || 1)
      if (left > 0) this.#spent.set(payer, left)
      else this.#spent.delete(payer)
    }
    this.#rest()
  }

  /**
   * A server asked not to be called for `waitMs`.
   *
   * @param isThrottled - what the retries cost of those who wait.
   */
  hold(key: string, waitMs: number, isThrottled?: boolean): void {
    if (waitMs <= 0) return
    const until = this.#clock.now() + waitMs
    if (until > (this.#held.get(key)?.until ?? 0)) this.#held.set(key, { until, isThrottled })
    this.isIdle = false
    if (this.#held.size > manyWaits) this.#sweep()
  }

  /**
   * Pays for a call that waits because of what another one was told: waiting is retrying, and whoever waits comes when
   * the server is back, which must not be buried by all who have waited.
   */
  payToWait(call: Payable, budget: RetryBudgetOptions): number | undefined {
    const isThrottled = this.keysOf(call).some((key) => this.#held.get(key)?.isThrottled)
    return this.pay(this.payersOf(call), isThrottled, undefined, budget)
  }

  /** What is left of the longest wait of these keys, in ms; 0 when the server may be called. */
  heldMs(keys: readonly string[]): number {
    const now = this.#clock.now()
    let longest = 0
    for (const key of keys) {
      const left = (this.#held.get(key)?.until ?? now) - now
      if (left > longest) longest = left
      else if (left <= 0) this.#held.delete(key)
    }
    this.#rest()
    return longest
  }

  /** Who pays for the retries of a call. */
  payersOf({ operation: { via, name, origin } }: Pick<Payable, 'operation'>): Payers {
    const operation = `${via} ${name}`
    return {
      origin: `origin ${origin ?? this.origins.get(via) ?? via}`,
      operation: origin === undefined ? operation : `${operation} ${origin}`,
    }
  }

  /** What a call may be held by. */
  keysOf(call: Payable): readonly [operation: string, origin: string, ...keys: string[]] {
    const { identity, idempotencyKey } = call
    const { origin, operation } = this.payersOf(call)
    const held = [`${operation}\n${identity}`, `${origin}\n${identity}`] as const
    return idempotencyKey === undefined ? held : [...held, `key ${origin}\n${identity}\n${idempotencyKey}`]
  }

  #sweep(): void {
    const now = this.#clock.now()
    for (const [key, { until }] of this.#held) if (until <= now) this.#held.delete(key)
  }

  #rest(): void {
    this.isIdle = this.#spent.size === 0 && this.#held.size === 0
  }
}
