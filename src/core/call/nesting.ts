import type { AsyncContext } from './token-run.ts'

/**
 * Whether a call is made inside an attempt of another one, by a `fetch` of the user's that is itself made of Polywire:
 * it makes one attempt, and the outer call decides about more. Nothing until there is such a fetch.
 */
export const nesting: {
  /** For a call that begins now. */
  isInside?: () => boolean
} = {}
/** Makes what follows a piece of work; none where the platform has none. */
export type CreateContext = (<T>() => AsyncContext<T>) | undefined

let isRunning = false
let ambient: AsyncContext<true> | undefined

/**
 * A user's function, whose calls are told from others from now on: by async context where the platform has one, else
 * where they begin before the function returns.
 */
export function asAttempt<A extends unknown[], R>(run: (...args: A) => R, create: CreateContext): (...args: A) => R {
  ambient ??= create?.<true>()
  nesting.isInside = () => isRunning || ambient?.getStore() === true
  return (...args) => {
    const before = isRunning
    isRunning = true
    try {
      return ambient ? ambient.run(true, run, ...args) : run(...args)
    } finally {
      isRunning = before
    }
  }
}
