import type { OpeningOptions } from '../resume/options.ts'
import type { Auth } from './auth.ts'
import type { Call } from './call.ts'
import type { Interceptor } from './interceptor.ts'
import type { Reply } from './reply.ts'
import type { Services } from './scope.ts'

/**
 * Turns a Call into a Reply over one protocol. Nothing else does I/O.
 *
 * `send` rejects with a CallError, resolves a stream when it is open, closes its wire on `call.scope.onAbort`, and
 * notes with `call.scope.mark` how far it came. `close` ends all that is idle; the client has ended the calls before.
 */
export interface Transport<Protocol extends string = string> {
  readonly protocol: Protocol
  send(call: Call): Promise<Reply>
  close(): Promise<void>
  /** Its own, instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** How its streams are opened for the first time, where neither call nor operation says it. */
  readonly opening?: OpeningOptions | undefined
  /** Scheme, host and port that it talks to: budgets and waits are kept by origin. */
  readonly origin?: string | undefined
  /** The same with the path that stands before those of operations, for telemetry, which leaves out a query. */
  readonly url?: string | undefined
  /** Interceptors that only this transport needs, right before it. */
  readonly interceptors?: readonly Interceptor[] | undefined
  /** Told once, when a client takes it up. */
  attach?(services: Services, via: string): void
}
