import type { Scope } from '../call/scope.ts'

/** Waits `delayMs`; the scope's abort wakes it at once. Holds the process, since a caller waits for it. */
export function sleep(delayMs: number, scope: Scope): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = scope.services.clock.setTimer(() => {
      offAbort()
      resolve()
    }, delayMs)
    const offAbort = scope.onAbort((reason) => {
      timer.clear()
      reject(reason)
    })
  })
}
