import type { Progress } from '../../../src/core/call/call-options.ts'
import { over } from '../../http/bytes.ts'

/** How far something has come, for any number of readers, each of whom gets the latest and no queue. */
export class LatestProgress implements AsyncIterable<Progress> {
  #latest: Progress | undefined
  #version = 0
  #isOver = false
  #waiting: (() => void)[] = []

  tell(progress: Progress): void {
    this.#latest = progress
    this.#version++
    this.#wake()
  }

  end(): void {
    this.#isOver = true
    this.#wake()
  }

  /** No generator: one that waits for news could not be left before they come. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Progress, undefined> {
    let seen = 0
    let hasLeft = false
    const reader: AsyncIterableIterator<Progress, undefined> = {
      [Symbol.asyncIterator]: () => reader,
      next: async () => {
        while (!hasLeft && seen === this.#version && !this.#isOver)
          await new Promise<void>((resolve) => this.#waiting.push(resolve))
        if (hasLeft || seen === this.#version) return over
        seen = this.#version
        return { done: false, value: this.#latest as Progress }
      },
      return: async () => {
        hasLeft = true
        this.#wake()
        return over
      },
    }
    return reader
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
