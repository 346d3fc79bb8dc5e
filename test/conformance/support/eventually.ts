import type { VirtualClock } from 'polywire/testing'

/** Resolves once `condition` holds; looks whenever the event loop has turned. Vitest's own limit ends what never comes true. */
export async function eventually(condition: () => boolean, what = condition.toString()): Promise<void> {
  const start = performance.now()
  while (!condition()) {
    if (performance.now() - start > 4000) throw new Error(`never came true: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

/** Lets everything happen that is about to. */
export async function turns(count = 5): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets a virtual clock run until `outcome` settles. */
export async function playUntil<T>(outcome: Promise<T>, clock: VirtualClock, stepMs = 20): Promise<T> {
  let isOver = false
  const over = () => {
    isOver = true
  }
  outcome.then(over, over)
  while (!isOver) {
    await turns(2)
    if (!isOver) await clock.advance(stepMs)
  }
  return outcome
}

/** Reads to the end. */
export async function collect<T>(messages: AsyncIterable<T> | undefined): Promise<T[]> {
  const collected: T[] = []
  for await (const message of messages ?? []) collected.push(message)
  return collected
}
