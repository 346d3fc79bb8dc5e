import type { Payers } from '../retry/limits.ts'
import type { RetryBudgetOptions } from '../retry/options.ts'
import type { Store } from '../store/store.ts'
import { type Ground, parse } from './ground.ts'

/** So much is taken from what all share at once: five retries. */
const chunk = 70
/** So often another one may come first before the store counts as too busy. */
const maxTries = 3
/** Who was told that there is nothing left does not ask again for this; ms. */
const noneMs = 1000
/** What was taken goes back at most this often, and is full again this long after the last one took of it; ms. */
const giveBackMs = 1000
const fullAgainMs = 60_000

/**
 * The tokens behind retries, shared: each client takes a few at a time, and pays from these. A call that succeeds asks
 * nobody; where the store does not answer, a small allowance of one's own is what is left.
 */
export class SharedBudget {
  readonly #ground: Ground
  readonly #purses = new Map<string, Purse>()
  readonly #paidConnections = new WeakMap<object, Promise<number | undefined>>()

  constructor(ground: Ground) {
    this.#ground = ground
  }

  get isIdle(): boolean {
    return this.#purses.size === 0
  }

  /** What one retry costs, or undefined where there is not enough. The failure of a shared connection is paid once. */
  pay(
    by: Payers,
    price: number,
    connection: object | undefined,
    budget: RetryBudgetOptions,
  ): number | undefined | Promise<number | undefined> {
    const { originTokens = 500, operationTokens = 280 } = budget
    const purses = [this.#purse(by.origin, originTokens), this.#purse(by.operation, operationTokens)]
    if (!connection) return payFrom(purses, price) ?? fetchFor(purses, price)
    const known = this.#paidConnections.get(connection)
    if (known) return known.then((paid) => (paid === undefined ? undefined : 0))
    const paid = Promise.resolve(payFrom(purses, price) ?? fetchFor(purses, price))
    this.#paidConnections.set(connection, paid)
    return paid
  }

  /** A call succeeded: what it paid comes back, or one token after a clean success. */
  refund(to: Payers, paid: number): void {
    for (const payer of [to.origin, to.operation]) {
      const purse = this.#purses.get(payer)
      purse?.put(paid || 1, () => {
        if (this.#purses.get(payer) === purse) this.#purses.delete(payer)
      })
    }
  }

  #purse(payer: string, capacity: number): Purse {
    let purse = this.#purses.get(payer)
    if (!purse) this.#purses.set(payer, (purse = new Purse(this.#ground, this.#ground.key('b', payer))))
    purse.capacity = capacity
    return purse
  }
}

function payFrom(purses: readonly Purse[], price: number): number | undefined {
  if (!purses.every(({ tokens }) => tokens >= price)) return undefined
  for (const purse of purses) purse.tokens -= price
  return price
}

async function fetchFor(purses: readonly Purse[], price: number): Promise<number | undefined> {
  for (;;) {
    const filled = await Promise.all(purses.map((purse) => purse.fill(price)))
    if (filled.includes(false)) return undefined
    // Others who waited for the same chunk may have used it up.
    const paid = payFrom(purses, price)
    if (paid !== undefined) return paid
  }
}

/** What one payer has here. */
class Purse {
  readonly #ground: Ground
  readonly #key: string
  /** Of all, in the store. */
  capacity = 0
  tokens = 0
  /** For a store that is away. */
  #allowance = chunk
  #allowanceAt = 0
  #noneUntil = 0
  #taking: Promise<'taken' | 'none' | 'away'> | undefined
  #givenBackAt: number
  #isGiving = false
  /** There is something of all here. */
  #isDrawn = false

  constructor(ground: Ground, key: string) {
    this.#ground = ground
    this.#key = key
    this.#givenBackAt = ground.services.clock.now()
  }

  /** Whether there are tokens for one retry now. */
  async fill(price: number): Promise<boolean> {
    const { clock } = this.#ground.services
    while (this.tokens < price) {
      if (price > this.capacity || clock.now() < this.#noneUntil) return false
      this.#taking ??= this.#take(price).finally(() => {
        this.#taking = undefined
      })
      const how = await this.#taking
      if (how === 'none') this.#noneUntil = clock.now() + noneMs
      if (how === 'away') return this.#allow(price)
    }
    return true
  }

  /** A call has brought tokens; after a while they go back to where they came from. @param empty - nothing is here any more */
  put(tokens: number, empty: () => void): void {
    this.tokens = Math.min(this.tokens + tokens, this.capacity)
    const { clock } = this.#ground.services
    if (this.#isGiving || clock.now() - this.#givenBackAt < giveBackMs) return
    this.#isGiving = true
    this.#givenBackAt = clock.now()
    const given = this.tokens
    this.tokens = 0
    this.#isDrawn = false
    const late = (): void => {
      this.tokens = Math.max(0, this.tokens - given)
    }
    void this.#change((there) => Math.min(there + given, this.capacity), late).then((how) => {
      this.#isGiving = false
      if (how === 'away') this.tokens = Math.min(this.tokens + given, this.capacity)
      // What calls have brought meanwhile is no reason to go on.
      else if (!this.#isDrawn && !this.#taking) empty()
    })
  }

  async #take(price: number): Promise<'taken' | 'none' | 'away'> {
    let taken = 0
    const take = (there: number): number | undefined => {
      const [all, own] = [Math.min(there + this.tokens, this.capacity), this.tokens]
      const amount = Math.min(Math.max(chunk, price), all)
      if (amount < price) return undefined
      taken = amount - own
      return all - amount
    }
    const got = (): void => {
      this.tokens += taken
      this.#isDrawn = true
    }
    const how = await this.#change(take, got)
    if (how === 'taken') got()
    return how
  }

  /** Changes what stands in the store by one comparison. @param late - it was done after nobody waited any more */
  async #change(next: (there: number) => number | undefined, late?: () => void): Promise<'taken' | 'none' | 'away'> {
    const work = async (store: Store): Promise<'taken' | 'none' | 'away'> => {
      for (let tries = 0; tries < maxTries; tries++) {
        const text = (await store.get(this.#key)) ?? undefined
        const { tokens = this.capacity } = parse<{ tokens: number }>(text) ?? {}
        const left = next(Number.isFinite(tokens) ? tokens : this.capacity)
        if (left === undefined) return 'none'
        const value = JSON.stringify({ tokens: left })
        const write = { ttlMs: fullAgainMs }
        const isDone =
          text === undefined
            ? await store.add(this.#key, value, write)
            : await store.compareAndSet(this.#key, text, value, write)
        if (isDone) return 'taken'
      }
      return 'away'
    }
    const answer = await this.#ground.ask(work, undefined, (how) => how === 'taken' && late?.())
    return answer?.value ?? 'away'
  }

  /** Nobody says what is left: a few retries of one's own, and no more of them for a while. */
  #allow(price: number): boolean {
    const now = this.#ground.services.clock.now()
    if (now - this.#allowanceAt >= fullAgainMs) this.#allowance = chunk
    if (this.#allowance < price) return false
    this.#allowance -= price
    this.#allowanceAt = now
    this.tokens += price
    return true
  }
}
