import type { Services } from '../call/scope.ts'

/** What something remembers for one client: the same value may stand in the chains of several, which share nothing. */
export function perClient<T>(make: (services: Services) => T): (services: Services) => T {
  const states = new WeakMap<Services, T>()
  return (services) => {
    let state = states.get(services)
    if (state === undefined) states.set(services, (state = make(services)))
    return state
  }
}
