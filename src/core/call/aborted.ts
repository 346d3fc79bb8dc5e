import type { Scope } from './scope.ts'

/** What `work` gives, unless the scope is aborted before: then the reason. Leaves nothing on the scope. */
export function unlessAborted<T>(scope: Scope, work: T | Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const off = scope.onAbort(reject)
    Promise.resolve(work).then(
      (value) => {
        off()
        resolve(value)
      },
      (error: unknown) => {
        off()
        reject(error)
      },
    )
  })
}
