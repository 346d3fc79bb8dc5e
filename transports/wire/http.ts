import type { HeaderMap } from '../../src/core/header-map.ts'
import type { Scope } from '../../src/core/scope.ts'

/** Makes the body anew for each attempt; called once a send. */
export type BodyStream = () => AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>

/** What is sent: whole, or as a stream that is made anew for each send. */
export type HttpBody = string | Uint8Array | BodyStream

/** One HTTP request, as plain data. */
export interface HttpRequest {
  readonly method: string
  /** Absolute. */
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Names of the headers above that carry a credential: never sent to another origin. */
  readonly credentialHeaders?: readonly string[]
  readonly body?: HttpBody | undefined
  readonly fetchOptions?: FetchOptions | undefined
  readonly onUploadProgress?: ((transferredBytes: number) => void) | undefined
}

/** Options that go to a platform's fetch as they are. */
export interface FetchOptions {
  readonly credentials?: 'omit' | 'same-origin' | 'include'
  readonly mode?: 'cors' | 'no-cors' | 'same-origin'
  readonly cache?: 'default' | 'no-store' | 'reload' | 'no-cache' | 'force-cache' | 'only-if-cached'
  readonly redirect?: 'follow' | 'error' | 'manual'
  readonly priority?: 'high' | 'low' | 'auto'
  readonly keepalive?: boolean
}

/** Status and headers of a response, before its body. */
export interface HttpHead {
  readonly status: number
  readonly headers: HeaderMap
  /** Where the response came from, after redirects. */
  readonly url: string
}

/** Steers the body of a response. */
export interface HttpControl {
  pause(): void
  resume(): void
  /** Closes the exchange; nothing is reported afterwards. */
  cancel(): void
}

/** Where an engine reports to; every exchange ends with exactly one `onEnd` or `onError`, or by `cancel`. */
export interface HttpSink {
  onHead(head: HttpHead, control: HttpControl): void
  onData(bytes: Uint8Array): void
  onEnd(trailers: HeaderMap): void
  /** A Failure-shaped CallError input is made by `transports/wire/http-failure.ts`; this is the raw cause and how far it came. */
  onError(fault: HttpFault): void
}

/** How an exchange broke. */
export interface HttpFault {
  readonly phase: 'resolve' | 'connect' | 'send' | 'headers' | 'body'
  readonly sent: 'no' | 'maybe' | 'yes'
  /** What happened, for the message: `connection refused`, `connection reset` … */
  readonly what: string
  /** Set where the request itself is at fault and must not be sent again. */
  readonly code?: 'invalid_argument' | 'failed_precondition' | 'resource_exhausted'
  readonly cause: unknown
}

/** One way of doing HTTP. `send` never throws; the scope's abort closes the exchange without a report. */
export interface HttpEngine {
  readonly name: string
  send(request: HttpRequest, sink: HttpSink, scope: Scope): void
  close(): Promise<void>
}

/** A fetch as users pass one. */
export type FetchLike = (url: string, init: Record<string, unknown>) => Promise<unknown>

/** Which engine a transport uses; see `docs/transports.md`. */
export interface HttpOptions extends FetchOptions {
  /** @defaultValue 'auto': a replaced `fetch` is used, else the platform's best engine. */
  readonly http?: 'auto' | 'undici' | 'fetch' | FetchLike
  /** An undici Dispatcher of your own (a Pool, a ProxyAgent, a MockAgent); always wins. Node only. */
  readonly dispatcher?: object
}
