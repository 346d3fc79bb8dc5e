import { uuid } from '../../core/call/uuid.ts'
import { CallError } from '../../core/errors/error.ts'
import type { Store } from '../../core/store/store.ts'
import { within } from '../../core/time/bounded.ts'
import type { Clock } from '../../core/time/clock.ts'
import type { OAuthTokens } from './session.ts'

/** Where tokens are kept beside memory: only where the user has named a store. */
export interface KeepTokens {
  /** Whoever can read it can use them. */
  readonly store: Store
  /** Of one login; who shares it shares the tokens and renews them in turn. */
  readonly key: string
}

/** How much longer than one request to the server a renewal may hold the others, who look again every `retryMs`; ms. */
const marginMs = 5000
const retryMs = 50
/** How long the store is waited for; ms. */
const storeMs = 5000

/** The tokens of one session in a store. */
export class TokenKeeper {
  readonly #store: Store
  readonly #key: string
  readonly #clock: Clock
  readonly #leaseMs: number
  /** What stood there when it was looked at last, or was written last. */
  #seen: string | undefined

  /** @param timeoutMs - of one request to the server; who renews has the others wait for longer than that. */
  constructor({ store, key }: KeepTokens, clock: Clock, timeoutMs: number) {
    this.#store = store
    this.#key = key
    this.#clock = clock
    this.#leaseMs = timeoutMs + marginMs
  }

  /**
   * What stands there.
   *
   * @param own - what is held here: given where nobody has changed the store since it was looked at, or written, last. It is
   * newer where it could not be written, and what stands there may be used up.
   */
  async load(own?: OAuthTokens): Promise<OAuthTokens | undefined> {
    const seen = this.#seen
    const kept = await this.#ask((store) => store.get(this.#key))
    // Clients of Redis may give bytes.
    this.#seen = kept ? String(kept) : undefined
    return own && this.#seen === seen ? own : tokensOf(this.#seen)
  }

  /** @param seen - saves them only where this stands there; false where it does not. */
  async save(tokens: OAuthTokens, seen?: string): Promise<boolean> {
    const text = JSON.stringify(tokens)
    const isSaved = await this.#ask(async (store) => {
      if (seen !== undefined) return store.compareAndSet(this.#key, seen, text)
      await store.set(this.#key, text)
      return true
    })
    if (isSaved) this.#seen = text
    return isSaved
  }

  /**
   * Saves them in the place of those that were seen last; false where somebody else has changed or removed those. Once more
   * where the store fails: whoever finds the old ones there brings a refresh token that is used up.
   */
  replace(tokens: OAuthTokens): Promise<boolean> {
    const save = () => this.save(tokens, this.#seen)
    return save().catch(save)
  }

  async clear(): Promise<void> {
    await this.#ask((store) => store.delete(this.#key))
    this.#seen = undefined
  }

  /**
   * One at a time among all who share the store; who waited long enough is told to come back.
   *
   * @param run - says `hold` before it uses what can be used once: that its turn is not over, and lasts on.
   */
  async exclusively<T>(run: (hold: () => Promise<void>) => Promise<T>): Promise<T> {
    const lease = `${this.#key} lease`
    const me = uuid()
    const ttlMs = this.#leaseMs
    const until = this.#clock.now() + ttlMs
    const busy = 'another tab or process is renewing the token, and has not come to an end'
    while (!(await this.#ask((store) => store.add(lease, me, { ttlMs })))) {
      if (this.#clock.now() >= until) throw unavailable(busy)
      await new Promise<void>((resolve) => this.#clock.setTimer(resolve, retryMs))
    }
    try {
      return await run(async () => {
        if (!(await this.#ask((store) => store.compareAndSet(lease, me, me, { ttlMs })))) throw unavailable(busy)
      })
    } finally {
      // A lease that cannot be given back ends by itself.
      await this.#ask((store) => store.delete(lease, { ifValue: me })).catch(() => undefined)
    }
  }

  /** The store, which is not ours: what it fails with, and its silence, may pass by themselves. */
  async #ask<T>(work: (store: Store) => T | Promise<T>): Promise<T> {
    try {
      return await within(this.#clock, storeMs, async () => work(this.#store))
    } catch (cause) {
      throw unavailable('the store of the tokens failed, or did not answer: see cause', cause)
    }
  }
}

function unavailable(message: string, cause?: unknown): CallError {
  return new CallError({ code: 'unavailable', message, isRetryable: true, cause })
}

/** What stands in a store may be of any shape: nobody's tokens are as if there were none. */
function tokensOf(kept: string | undefined): OAuthTokens | undefined {
  try {
    const { accessToken, refreshToken, expiresAt, ...more } = JSON.parse(kept as string) as Partial<OAuthTokens>
    if (typeof accessToken !== 'string') return undefined
    return {
      ...more,
      accessToken,
      ...(typeof refreshToken === 'string' && { refreshToken }),
      ...(typeof expiresAt === 'number' && { expiresAt }),
    }
  } catch {
    return undefined
  }
}
