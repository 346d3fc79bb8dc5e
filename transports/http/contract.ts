import type { Credential, CredentialWire } from '../../src/core/call/auth.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Services } from '../../src/core/call/scope.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import type { Phase, Sent } from '../../src/core/errors/failure.ts'
import type { HttpCache } from './cache.ts'
import type { Redirected } from './progress.ts'
import type { Answer, OpenRequest, Responder } from './responder.ts'
import type { OpenUpload } from './upload.ts'

/** Names of the platform, where its types are known: what users get compiles without DOM. */
type Of<Name extends string> = typeof globalThis extends { readonly [name in Name]: { prototype: infer Made } }
  ? Made
  : never

/** Makes the body anew; called once a send, and once more where a redirect replays it. */
export type BodyStream = () => AsyncIterable<Uint8Array> | Of<'ReadableStream'>

/** What is sent: whole, or as a stream that is made anew for each send. */
export type HttpBody = string | Uint8Array | BodyStream

/** One HTTP request, as plain data. */
export interface HttpRequest {
  readonly method: string
  /** Absolute; where the engine is fetch, also relative to the page. */
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Whose headers, among those above, are never sent to another origin; and what signs the request. */
  readonly credential?: Credential | undefined
  readonly body?: HttpBody | undefined
  /** Instead of `body`: a fetch sends it with its length, which browsers need on HTTP/1.1; a form goes to fetch alone. */
  readonly blob?: Of<'Blob'> | Of<'FormData'> | undefined
  /** Opens a `body` that is a stream. */
  readonly open?: OpenUpload | undefined
  /** False where the stream of `body` can be made only once: a 307 or 308 is then a fault. @defaultValue true */
  readonly isBodyReplayable?: boolean | undefined
  readonly fetchOptions?: FetchOptions | undefined
  /** Whose answers it may be given from a cache, and whose its answer is; the undici engine alone knows it. */
  readonly cache?: KeptAnswers | undefined
  readonly onUploadProgress?: ((transferredBytes: number) => void) | undefined
}

/** Options that go to a platform's fetch as they are; the undici engine knows `redirect` alone. */
export interface FetchOptions {
  /** Whether a browser sends its cookies. @defaultValue the platform's: 'same-origin' */
  readonly credentials?: 'omit' | 'same-origin' | 'include'
  /** Whether a browser may call another origin. @defaultValue the platform's: 'cors' */
  readonly mode?: 'cors' | 'no-cors' | 'same-origin'
  /** What a browser does with its HTTP cache. @defaultValue the platform's: 'default' */
  readonly cache?: 'default' | 'no-store' | 'reload' | 'no-cache' | 'force-cache' | 'only-if-cached'
  /** Redirects: followed, refused, or given as the reply. @defaultValue 'follow' */
  readonly redirect?: 'follow' | 'error' | 'manual'
  /** How urgent a browser takes the request for. @defaultValue the platform's: 'auto' */
  readonly priority?: 'high' | 'low' | 'auto'
  /** The request outlives the page; browsers allow 64 KiB of body. @defaultValue false */
  readonly keepalive?: boolean
}

/** Status and headers of a response, before its body. */
export interface HttpHead {
  readonly status: number
  /** The server's own words for it, where the engine knows them. */
  readonly statusText?: string | undefined
  readonly headers: HeaderMap
  /** Where the response came from, after redirects. */
  readonly url: string
  /** What is known of the redirects before it; undefined where there was none. */
  readonly redirected?: Redirected | undefined
}

/** Whose kept answers a request may be given; the client hears of a store that fails. */
export interface KeptAnswers {
  readonly of: HttpCache
  readonly identity: string
  readonly services: Pick<Services, 'clock' | 'telemetry'>
}

/** Steers the body of a response. */
export interface HttpControl {
  pause(): void
  resume(): void
  /** Closes the exchange; nothing is reported afterwards. */
  cancel(): void
}

/** Where an engine reports to; every exchange ends with exactly one `onEnd`, `onError` or `onAbort`, or by `cancel`. */
export interface HttpSink {
  /** An interim response (1xx) before the head: undici shows it, fetch does not. */
  onInfo?(status: number, headers: HeaderMap): void
  onHead(head: HttpHead, control: HttpControl): void
  /** The bytes are the sink's to keep. */
  onData(bytes: Uint8Array): void
  onEnd(trailers: HeaderMap): void
  /** The raw cause and how far it came; `faultToFailure` makes the words of an error of it. */
  onError(fault: HttpFault): void
  /** The scope was aborted and the exchange is closed: saves a sink that must settle a listener of its own. */
  onAbort?(reason: unknown): void
}

/** How an exchange broke. */
export interface HttpFault {
  readonly phase: Phase
  readonly sent: Sent
  /** What happened, for the message: `connection refused`, `connection reset` … */
  readonly what: string
  /** What to do about it, for the message. */
  readonly hint?: string | undefined
  /** Set where sending the same again cannot help: the request, or the limit that it hit, has to change. */
  readonly code?: 'invalid_argument' | 'failed_precondition' | 'resource_exhausted' | 'internal' | undefined
  /** The machine's own word for it, where the caller may want to tell it from others. */
  readonly reason?: 'body_not_replayable' | undefined
  readonly redirected?: Redirected | undefined
  readonly cause?: unknown
}

/** The part of a call's Scope that an engine uses. */
export interface HttpScope {
  readonly isOver: boolean
  /** Calls back on abort, at once if that has happened; returns what removes it. */
  onAbort(listener: (reason: unknown) => void): () => void
  mark(phase: Phase, sent: Sent): void
  /** Ends it where its deadline has passed; whether it is over. To be asked before what had to wait is written. */
  endIfLate(): boolean
}

/** One way of doing HTTP. `send` never throws; the scope's abort closes the exchange without an `onError`. */
export interface HttpEngine {
  readonly name: string
  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void
  /** Closes what is idle and what is not; later sends fail. */
  close(): Promise<void>
}

/** A `credential.wire` as the wire asks it: it signs, sends, follows redirects, and sends once more where it must. */
export interface HttpWire extends CredentialWire {
  send(engine: HttpEngine, request: HttpRequest, sink: HttpSink, scope: HttpScope): void
  /** The same for what gives a Response. */
  respond(responder: Responder, request: OpenRequest, scope: HttpScope, origin: ErrorOrigin): Promise<Answer>
}

/** A fetch as users pass one. */
export type FetchLike = (url: string, init: Record<string, unknown>) => Promise<unknown>

/** Which engine a transport uses; see `docs/proxies-and-tls.md`. */
export interface HttpOptions extends FetchOptions {
  /** Who does HTTP: an engine by name, or a `fetch` of your own. @defaultValue 'auto': a replaced `fetch` is used, else the platform's best engine. */
  readonly http?: 'auto' | 'undici' | 'fetch' | FetchLike | undefined
  /** An undici Dispatcher of your own (a Pool, a ProxyAgent, a MockAgent); always wins. Node only. */
  readonly dispatcher?: object | undefined
}

/** What the engine of a platform is made of; `#platform` exports a `createHttpEngine` that takes it. */
export interface EngineOptions {
  readonly dispatcher?: object | undefined
}
