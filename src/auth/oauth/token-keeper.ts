import { uuid } from '../../core/call/uuid.ts'
import { CallError } from '../../core/errors/error.ts'
import type { Store } from '../../core/store/store.ts'
import { type Clock, systemClock } from '../../core/time/clock.ts'
import type { OAuthTokens } from './session.ts'

/** Where tokens are kept beside memory: only where the user has named a store. */
export interface KeepTokens {
  /** Whoever can read it can use them. */
  readonly store: Store
  /** Of one login; who shares it shares the tokens and renews them in turn. */
  readonly key: string
}

/** How long one renewal may hold the others, who look again every `retryMs`; ms. */
const leaseMs = 15_000
const retryMs = 50

/** The tokens of one session in a store. */
export class TokenKeeper {
  readonly #store: Store
  readonly #key: string
  readonly #clock: Clock

  constructor({ store, key }: KeepTokens, clock: Clock = systemClock) {
    this.#store = store
    this.#key = key
    this.#clock = clock
  }

  async load(): Promise<OAuthTokens | undefined> {
    const text = await this.#store.get(this.#key)
    if (text === undefined || text === null) return undefined
    try {
      const tokens = JSON.parse(text) as Partial<OAuthTokens> | null
      if (typeof tokens?.accessToken === 'string') return tokens as OAuthTokens
    } catch {
      // Nobody's tokens: as if there were none.
    }
    return undefined
  }

  async save(tokens: OAuthTokens): Promise<void> {
    await this.#store.set(this.#key, JSON.stringify(tokens))
  }

  async clear(): Promise<void> {
    await this.#store.delete(this.#key)
  }

  /** One at a time among all who share the store; who waited long enough is told to come back. */
  async exclusively<T>(run: () => Promise<T>): Promise<T> {
    const lease = `${this.#key} lease`
    const me = uuid()
    const until = this.#clock.now() + leaseMs
    while (!(await this.#store.add(lease, me, { ttlMs: leaseMs }))) {
      if (this.#clock.now() >= until) {
        const message = 'another tab or process is renewing the token, and has not come to an end'
        throw new CallError({ code: 'unavailable', message, isRetryable: true })
      }
      await new Promise<void>((resolve) => this.#clock.setTimer(resolve, retryMs))
    }
    try {
      return await run()
    } finally {
      await this.#store.delete(lease, { ifValue: me })
    }
  }
}
