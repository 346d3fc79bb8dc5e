import type { OperationInfo } from './operation.ts'
import type { Route } from './route.ts'

/** What a client works out once for an operation, so that a call does not. */
export interface Plan {
  readonly info: OperationInfo
  readonly route: Route
  /** From the caller's input to the transport's, validated; undefined where nothing is to be done. */
  readonly intake: ((input: unknown) => unknown | Promise<unknown>) | undefined
  /** Validates one message that is sent on a stream. */
  readonly outgoing: ((message: unknown) => unknown | Promise<unknown>) | undefined
  /** From a wire message to what the user gets. */
  readonly convert: ((message: unknown) => unknown | Promise<unknown>) | undefined
}
