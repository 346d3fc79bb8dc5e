import type { Credential } from '../../src/core/call/auth.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import type { HttpOptions, HttpScope } from './contract.ts'
import type { Redirected } from './progress.ts'

/** A request as a `fetch` was given it: the body in any of its forms, and what only a platform's fetch understands. */
export interface OpenRequest {
  readonly method: string
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Whose headers, among those above, are never sent to another origin; and what signs the request. */
  readonly credential?: Credential | undefined
  readonly body: unknown
  /** What else the caller has said: `redirect`, `credentials`, `cache` …, and what platforms add to that. */
  readonly init: Readonly<Record<string, unknown>>
  /** What reading the body fails with, made of a CallError or the reason of an abort. */
  readonly toBodyError: (error: unknown) => unknown
  /** The caller's own: it reaches the body of a response that nobody else watches. */
  readonly signal: AbortSignal | undefined
}

/** A response whose body is not read yet. */
export interface Answer {
  /** Mocks often have less than the half of one. */
  readonly response: Response
  readonly status: number
  readonly headers: HeaderMap
  readonly redirected?: Redirected | undefined
  /** Settles when the body is over, in whatever way; undefined where the platform alone knows. */
  readonly finished?: Promise<unknown> | undefined
  /** Nobody will read the body: a short rest is read away, which keeps the connection; else that is closed. */
  discard(): void
  /** Ends the body with a reason. */
  abort(reason: unknown): void
}

/** One way to get a platform's Response. `respond` rejects with an HttpFaultError, or the reason of the scope's abort. */
export interface Responder {
  respond(request: OpenRequest, scope: HttpScope, origin: ErrorOrigin): Promise<Answer>
  close(): Promise<void>
}

/** Which way; see `#platform`. */
export type CreateResponder = (options: Pick<HttpOptions, 'http' | 'dispatcher'>) => Responder

/** Ends what a body holds that was collected unread. */
export const unread = /* @__PURE__ */ new FinalizationRegistry<() => unknown>((leave) => leave())

/** A body of at most this is read to its end where nobody wants it, which keeps the connection; bytes. */
export const drainedBytes = 65_536

type Facts = Pick<Response, 'url' | 'redirected' | 'type'>

/** A Response of what a server gave: its constructor takes no status of 600 and more, and no words of other scripts. */
export function makeResponse(
  body: ReadableStream | null,
  headers: Headers,
  { status, statusText, url, redirected, type }: Facts & Pick<Response, 'status' | 'statusText'>,
): Response {
  const facts = { status, statusText, url, redirected, type }
  return describeResponse(new Response(body, { headers, status: Math.min(status, 599) }), facts)
}

/** What a Response that was made says of where it came from; its clones say the same. */
export function describeResponse(response: Response, facts: Facts): Response {
  const clone = () => describeResponse(Response.prototype.clone.call(response), facts)
  for (const [name, value] of Object.entries({ ...facts, clone }))
    Object.defineProperty(response, name, { value, configurable: true })
  return response
}
