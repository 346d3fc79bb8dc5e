import type { Scope } from './scope.ts'

/** Rejects with the reason when the scope is aborted; never settles otherwise. */
export function aborted(scope: Scope): Promise<never> {
  return new Promise((_resolve, reject) => scope.onAbort(reject))
}
