import type { HeaderMap } from '../call/header-map.ts'
import type { Code } from './code.ts'

/** Where in its life a call failed. */
export type Phase = 'resolve' | 'connect' | 'send' | 'headers' | 'body' | 'stream'

/** Whether the server can have acted on the call: surely not, perhaps, surely. */
export type Sent = 'no' | 'maybe' | 'yes'

/** One field that the server or a schema refused. */
export interface Violation {
  /** Path of the field, members joined by dots; empty for the message as a whole. */
  readonly field: string
  readonly message: string
}

/**
 * What a wire's mapping function says of one failed attempt: plain data, from which a CallError is made.
 *
 * `message` says what happened and what to do; it never holds a filled URL, a header, a variable, a body or server text.
 * The error says by itself where `violations` or `serverMessage` are to be read.
 */
export interface Failure {
  readonly code: Code
  readonly message: string
  readonly phase?: Phase
  readonly sent?: Sent
  readonly status?: number | undefined
  /** The failure is transient by the protocol's mapping table: the same call may succeed later. */
  readonly isRetryable?: boolean
  /** The server asks for less load: costs less budget, waits longer. */
  readonly isThrottled?: boolean
  /**
   * The server says that it did not run the call (429, 503 with Retry-After …): safe to send again, whatever the method.
   * Only the first answer of an exchange can say so, never one after a redirect.
   */
  readonly isUnexecuted?: boolean
  /** The hop that answered was sent no credential of ours (another origin): its 401 is no verdict on the credential. */
  readonly isForeignRefusal?: boolean
  /** An earlier hop answered the request by 301–303 and made a GET of it: it was carried out, and is never sent again. */
  readonly isMoved?: boolean
  /** Part of the request was carried out, though the answer is an error: data, or fields beneath it, say so. */
  readonly hasRun?: boolean
  /** The protocol is not spoken here (no upgrade, behind a proxy that strips it): no repetition helps, another route may. */
  readonly isNoRoute?: boolean
  /** A policy of this client refused it, and no server has said anything: it is not paid for, nor does it hold others. */
  readonly isLocal?: boolean
  /** The server forbids another attempt (`x-should-retry: false`, a negative pushback). */
  readonly isRetryForbidden?: boolean
  /** A wait that the server asked for, in ms, already corrected for clock skew. */
  readonly retryAfterMs?: number | undefined
  /** The shared connection event that failed this call; several calls may carry the same one. */
  readonly connection?: object | undefined
  readonly requestId?: string | undefined
  /** The server's own code, e.g. `VALIDATION_ERROR`. */
  readonly reason?: string | undefined
  readonly serverMessage?: string | undefined
  readonly violations?: readonly Violation[] | undefined
  readonly details?: unknown
  readonly problem?: Readonly<Record<string, unknown>> | undefined
  readonly headers?: HeaderMap | undefined
  readonly trailers?: HeaderMap | undefined
  /** The decoded error body. */
  readonly body?: unknown
  readonly cause?: unknown
}
