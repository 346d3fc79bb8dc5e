import type { Clock } from '../core/time/clock.ts'

/** A function of the user's that has not answered within this is asked anew by whoever comes next; ms. */
export const silentMs = 30_000

/** What a function of the user's gives, once for all who ask: what fails, or is silent for too long, is asked for anew. */
export class KeptAnswer<T> {
  readonly #clock: Clock
  #answer: Promise<T> | undefined
  /** When what has not answered yet is given up. */
  #silentAt = Number.POSITIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What was asked for last, and not forgotten. */
  get answer(): Promise<T> | undefined {
    return this.#answer
  }

  get(ask: () => Promise<T>): Promise<T> {
    const now = this.#clock.now()
    if (this.#answer && now < this.#silentAt) return this.#answer
    const answer = ask()
    this.#answer = answer
    this.#silentAt = now + silentMs
    answer.then(
      () => {
        if (this.#answer === answer) this.#silentAt = Number.POSITIVE_INFINITY
      },
      () => this.forget(answer),
    )
    return answer
  }

  /** Whoever comes next asks anew. */
  forget(answer: Promise<T> | undefined): void {
    if (this.#answer === answer) this.#answer = undefined
  }
}
