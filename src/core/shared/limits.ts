import { type Payable, type Payers, RetryLimits } from '../retry/limits.ts'
import type { RetryBudgetOptions } from '../retry/options.ts'
import { SharedBudget } from './budget.ts'
import type { Ground } from './ground.ts'
import { SharedWaits } from './waits.ts'

/** The limits of a client that shares them: what it knows itself, and what it hears of others. */
export class SharedLimits extends RetryLimits {
  readonly #budget: SharedBudget | undefined
  readonly #waits: SharedWaits | undefined

  constructor(ground: Ground, hasBudget: boolean, hasWaits: boolean) {
    const { clock, limits } = ground.services
    super(clock)
    for (const [via, origin] of limits.origins) this.origins.set(via, origin)
    if (hasBudget) this.#budget = new SharedBudget(ground)
    if (hasWaits) this.#waits = new SharedWaits(ground, () => this.#wake())
  }

  override pay(
    by: Payers,
    isThrottled: boolean,
    connection: object | undefined,
    budget: RetryBudgetOptions,
    call?: Payable,
  ): any {
    if (call) this.#waits?.look(this.keysOf(call)[0])
    // Who must know at once pays alone.
    if (!call || !this.#budget) return super.pay(by, isThrottled, connection, budget)
    const { retryCost = 14, throttleCost = 5 } = budget
    const paid = this.#budget.pay(by, isThrottled ? throttleCost : retryCost, connection, budget)
    this.#wake()
    return paid
  }

  override refund(to: Payers, paid: number): void {
    this.#budget?.refund(to, paid)
    super.refund(to, paid)
    this.#wake()
  }

  override hold(key: string, waitMs: number, isThrottled?: boolean): void {
    if (waitMs > 0) this.#waits?.tell(key, waitMs)
    super.hold(key, waitMs, isThrottled)
  }

  override payToWait(call: Payable, budget: RetryBudgetOptions): number | undefined {
    // What was heard of others is what they were told by a server that is too busy.
    const isHeard = this.keysOf(call).some((key) => (this.#waits?.leftMs(key) ?? 0) > 0)
    return isHeard ? this.pay(this.payersOf(call), true, undefined, budget) : super.payToWait(call, budget)
  }

  override heldMs(keys: readonly string[]): number {
    let longest = super.heldMs(keys)
    if (this.#waits) for (const key of keys) longest = Math.max(longest, this.#waits.leftMs(key))
    this.#wake()
    return longest
  }

  /** While something is known of others, calls look. */
  #wake(): void {
    if (this.#budget?.isIdle === false || this.#waits?.isIdle === false) this.isIdle = false
  }
}
