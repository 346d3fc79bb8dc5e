import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'

/** What is said where a library of `polywire/graphql` cannot be loaded: nearly always it is not installed. */
export function missingPeer(name: string, cause: unknown, origin: ErrorOrigin): CallError {
  const message = `polywire/graphql could not load '${name}': run npm install graphql-request graphql@16; nothing was sent`
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no', cause }, origin)
}
