import type { Clock } from './clock.ts'

/** What `work` gives, unless it takes too long. What it throws at once rejects, too. */
export function within<T>(clock: Clock, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
    new Promise<T>((settle) => settle(work())).then(resolve, reject).finally(() => timer.clear())
  })
}
