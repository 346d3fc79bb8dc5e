import type { Progress } from '../../../src/core/call/call-options.ts'

type Step = IteratorResult<Progress, undefined>
const over: Step = { done: true, value: undefined }

/** How far something has come, for any number of readers, each of whom gets the latest and no queue. */
export class LatestProgress implements AsyncIterable<Progress> {
  latest: Progress | undefined
  version = 0
  isOver = false
  readonly waiting = new Set<() => void>()

  tell(progress: Progress): void {
    this.latest = progress
    this.version++
    this.#wake()
  }

  end(): void {
    this.isOver = true
    this.#wake()
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Progress, undefined> {
    return new Reader(this)
  }

  #wake(): void {
    for (const wake of [...this.waiting]) wake()
  }
}

/** No generator: one that waits for news could not be left before they come. */
class Reader implements AsyncIterableIterator<Progress, undefined> {
  readonly #of: LatestProgress
  #seen = 0
  #hasLeft = false
  readonly #steps = new Set<() => void>()

  constructor(of: LatestProgress) {
    this.#of = of
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Step> {
    return new Promise((resolve) => {
      const { waiting } = this.#of
      const look = (): void => {
        const { latest, version, isOver } = this.#of
        const isNew = !this.#hasLeft && this.#seen < version
        if (!isNew && !isOver && !this.#hasLeft) return
        waiting.delete(look)
        this.#steps.delete(look)
        this.#seen = version
        resolve(isNew ? { done: false, value: latest as Progress } : over)
      }
      waiting.add(look)
      this.#steps.add(look)
      look()
    })
  }

  async return(): Promise<Step> {
    this.#hasLeft = true
    for (const look of [...this.#steps]) look()
    return over
  }
}
