import type { Clock } from './clock.ts'

/**
 * Until when servers asked not to be called: recorded from every failure that carries a wait, retried or not, so that
 * later calls wait too instead of running into the same refusal.
 */
export class NotBefore {
  readonly #clock: Clock
  readonly #until = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isEmpty(): boolean {
    return this.#until.size === 0
  }

  record(key: string, waitMs: number): void {
    if (waitMs <= 0) return
    const until = this.#clock.now() + waitMs
    if (until > (this.#until.get(key) ?? 0)) this.#until.set(key, until)
    if (this.#until.size > 1000) this.#sweep()
  }

  /** What is left of the wait, in ms; 0 when the server may be called. */
  remainingMs(key: string): number {
    const until = this.#until.get(key)
    if (until === undefined) return 0
    const left = until - this.#clock.now()
    if (left > 0) return left
    this.#until.delete(key)
    return 0
  }

  #sweep(): void {
    const now = this.#clock.now()
    for (const [key, until] of this.#until) if (until <= now) this.#until.delete(key)
  }
}
