import type { ManualClock } from './manual-clock.ts'

/**
 * Waits for a promise over real sockets while a clock of the test's own is at work: whenever nothing but a wait shorter
 * than a call's deadline is left, time goes on to its end.
 */
export async function drive<T>(clock: ManualClock, work: Promise<T>, longestMs = 20_000): Promise<T> {
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
