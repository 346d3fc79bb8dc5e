import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import type { Scope } from '../call/scope.ts'
import type { Outbox } from '../outbox/outbox.ts'

/** What a stream needs of the facade. */
export interface StreamStart {
  readonly scope: Scope
  readonly chain: Next
  readonly outbox: Outbox | undefined
  /** Validates the input and builds the call; runs once, when the stream is first used, and is let go then. */
  prepare: (() => Call | Promise<Call>) | undefined
  /** From a wire message to what the user gets; undefined where nothing is to be done. */
  readonly convert: ((message: unknown) => unknown | Promise<unknown>) | undefined
  /** Validates a message that is sent. */
  readonly outgoing: ((message: unknown) => unknown | Promise<unknown>) | undefined
  /** How long a closing duplex may still flush; ms. */
  readonly lingerMs: number
}
