import type { ManualClock } from './manual-clock.ts'

/**
 * Waits for a promise over real sockets while a clock of the test's own is at work: whenever nothing but a wait shorter
 * than the deadlines of calls is left, time goes on to its end. The client's `timeoutMs` is to be longer than the whole test.
 */
export async function drive<T>(clock: ManualClock, work: Promise<T>, longestMs = 100_000): Promise<T> {
  let isSettled = false
  const settle = (): void => {
    isSettled = true
  }
  work.then(settle, settle)
  for (;;) {
    await new Promise<void>((resolve) => setImmediate(resolve))
    if (isSettled) return await work
    const { nextMs } = clock
    if (nextMs !== undefined && nextMs <= longestMs) await clock.advance(nextMs)
  }
}
