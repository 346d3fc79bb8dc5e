import type { RetryBudgetOptions } from './options.ts'

/** What a call has paid for its retries so far; given back when it succeeds. */
export interface Receipt {
  readonly keys: readonly [origin: string, operation: string]
  paid: number
}

/**
 * Token buckets that keep retries from burying a server: each retry draws on its origin's and its operation's.
 *
 * Source of the shape: AWS SDKs' standard mode of 2026 (500 tokens, 14 a retry, 5 when throttled, one back for a clean
 * success); the operation's share keeps one dead operation from starving the others. One bucket exists only while it
 * is not full, so a healthy client holds none.
 */
export class RetryBudget {
  readonly #options: Required<RetryBudgetOptions>
  readonly #buckets = new Map<string, number>()
  readonly #paidConnections = new WeakSet<object>()

  constructor(options: RetryBudgetOptions = {}) {
    this.#options = { originTokens: 500, operationTokens: 280, retryCost: 14, throttleCost: 5, ...options }
  }

  /** Pays for one retry; false when there is not enough. A shared connection's failure is paid once for all its calls. */
  pay(receipt: Receipt, isThrottled: boolean, connection: object | undefined): boolean {
    if (connection && this.#paidConnections.has(connection)) return true
    const cost = isThrottled ? this.#options.throttleCost : this.#options.retryCost
    const [origin, operation] = receipt.keys
    const originLeft = this.#tokens(origin, this.#options.originTokens)
    const operationLeft = this.#tokens(operation, this.#options.operationTokens)
    if (originLeft < cost || operationLeft < cost) return false
    if (connection) this.#paidConnections.add(connection)
    this.#buckets.set(origin, originLeft - cost)
    this.#buckets.set(operation, operationLeft - cost)
    receipt.paid += cost
    return true
  }

  /** A call succeeded: what it paid comes back, or one token after a clean success. */
  succeeded(keys: Receipt['keys'], paid: number): void {
    if (this.#buckets.size === 0) return
    const amount = paid || 1
    this.#give(keys[0], amount, this.#options.originTokens)
    this.#give(keys[1], amount, this.#options.operationTokens)
  }

  get isFull(): boolean {
    return this.#buckets.size === 0
  }

  #tokens(key: string, full: number): number {
    return this.#buckets.get(key) ?? full
  }

  #give(key: string, amount: number, full: number): void {
    const left = this.#buckets.get(key)
    if (left === undefined) return
    if (left + amount >= full) this.#buckets.delete(key)
    else this.#buckets.set(key, left + amount)
  }
}
