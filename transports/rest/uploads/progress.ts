import type { Progress } from '../../../src/core/call/call-options.ts'

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

  async *[Symbol.asyncIterator](): AsyncGenerator<Progress, undefined> {
    let seen = 0
    for (;;) {
      if (seen < this.#version) {
        seen = this.#version
        yield this.#latest as Progress
      } else if (this.#isOver) return
      else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }
}
