import type { Auth } from '../../src/core/call/auth.ts'
import type { CallOptions } from '../../src/core/call/call-options.ts'
import type { HeadersInit } from '../../src/core/call/header-map.ts'
import type { Interceptor } from '../../src/core/call/interceptor.ts'
import type { Telemetry } from '../../src/core/call/telemetry.ts'
import type { CallError } from '../../src/core/errors/error.ts'
import type { PolicyOptions } from '../../src/core/policies/options.ts'
import type { Continuation, Stop } from '../../src/core/resume/continuation.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Clock } from '../../src/core/time/clock.ts'
import type { HttpOptions } from '../http/contract.ts'

// The platform's own types where there are some, so that what is declared here fits them; else as much as is needed.
/** An event of the platform. */
export type PlatformEvent = typeof globalThis extends { Event: { prototype: infer E } } ? E : { readonly type: string }
/** An EventTarget of the platform. */
export type PlatformEventTarget = typeof globalThis extends { EventTarget: { prototype: infer T } }
  ? T
  : { dispatchEvent(event: PlatformEvent): boolean }
/** A MessageEvent of the platform. */
export type PlatformMessageEvent = typeof globalThis extends { MessageEvent: { prototype: infer E } }
  ? E
  : PlatformEvent & { readonly data: any; readonly origin: string; readonly lastEventId: string }

/** What an `error` event says beside being one. */
export interface EventSourceErrorEvent {
  readonly type: string
  /** What went wrong. `readyState` says whether the stream comes back (`CONNECTING`) or not (`CLOSED`). */
  readonly error: CallError
  /** The HTTP status, where the server answered with one that is no event stream. */
  readonly code: number | undefined
  /** That of the error. */
  readonly message: string
}

/** What a stream was asked for by, as `continueWith()` and `stopWith()` are told. */
export interface EventSourceInput {
  readonly url: string
  readonly body?: unknown
}

/** An event, as `continueWith()` and `stopWith()` are told, and as an operation gives it that continues the stream. */
export interface EventSourceMessage {
  readonly type: string
  /** A text; what another operation gives may be anything, and becomes a text as JSON. */
  readonly data: any
  readonly id?: string | undefined
  readonly lastEventId?: string | undefined
}

/** What may be said of one stream, beyond its URL. */
export interface EventSourceInit extends Pick<HttpOptions, 'http' | 'dispatcher'> {
  /** Cookies go to other origins, too. @defaultValue false */
  readonly withCredentials?: boolean | undefined
  /** Sent with each request. */
  readonly headers?: HeadersInit | undefined
  /** How the stream is asked for. @defaultValue 'GET' */
  readonly method?: 'GET' | 'POST' | undefined
  /** Of a POST: a text is sent as it is, anything else as JSON. */
  readonly body?: unknown
  /** Where the stream begins: behind this event of an earlier run. */
  readonly lastEventId?: string | undefined
  /** Credentials for each connection, refreshed and sent again after a 401; for the origin of the URL alone. */
  readonly auth?: Auth | false | undefined
  /** Where `auth` may go, `'self'` being the page's own: a URL of another origin is opened without. @defaultValue the origin of the URL */
  readonly origin?: string | readonly string[] | undefined
  /** How the first opening is tried again, instead of {@link opening}. @defaultValue as `opening` says */
  readonly retry?: RetryOptions | false | undefined
  /** Bounds each opening; ms. @defaultValue 30_000 */
  readonly timeoutMs?: number | undefined
  /** How it is opened for the first time. @defaultValue { maxAttempts: Infinity }: as it is opened again */
  readonly opening?: OpeningOptions | undefined
  /** Silence after which an open connection is taken for dead; ms, Infinity for never. @defaultValue 45_000 once the server has sent a comment, else never */
  readonly idleTimeoutMs?: number | undefined
  /** A larger event ends the stream with `resource_exhausted`; UTF-16 units. @defaultValue 16_777_216 (16 MiB) */
  readonly maxEventBytes?: number | undefined
  /**
   * Whether a broken stream is opened again: by the same request with `Last-Event-ID`, by a GET with it (`'get'`), or by
   * another operation of the client that the class is made over (`continueWith()`).
   *
   * @defaultValue true for GET, false for POST, which could start again what it has started
   */
  readonly resume?: boolean | 'get' | Continuation<string, EventSourceInput, EventSourceMessage> | undefined
  /** How the server is told that the reader has had enough, by `source.stop()`: made by `stopWith()`, over a client. */
  readonly stop?: Stop<string, EventSourceInput, EventSourceMessage> | undefined
}

/** What all streams of one class have in common; what is said of a stream wins. */
export interface EventSourceDefaults
  extends Omit<EventSourceInit, 'auth' | 'origin' | 'lastEventId' | 'body' | 'method'> {}

/** Who calls, and where: credentials never go to another origin. */
export type EventSourceAuth =
  | { readonly auth?: undefined; readonly origin?: undefined }
  | {
      readonly auth: Auth
      /** Where its credentials go: `'https://api.example.com'`, several, or in browsers `'self'` for that of the page. */
      readonly origin: string | readonly string[]
    }

/** What a class with a client of its own takes. */
export type EventSourceOptions = EventSourceDefaults &
  EventSourceAuth &
  PolicyOptions & {
    /** `[mine]` stands outside the default chain; `(defaults) => […]` decides all. */
    readonly interceptors?:
      | readonly Interceptor[]
      | ((defaults: readonly Interceptor[]) => readonly Interceptor[])
      | undefined
    readonly telemetry?: Telemetry | undefined
    /** Time and chance; a virtual clock in tests. */
    readonly clock?: Clock | undefined
  }

type Handler<E> = ((event: E) => unknown) | null
type Listener<E> = ((event: E) => unknown) | { handleEvent(event: E): unknown } | null
type ListenerOptions =
  | boolean
  | {
      readonly capture?: boolean
      readonly once?: boolean
      readonly passive?: boolean
      readonly signal?: AbortSignal
    }

/** An event stream with the face of the platform's EventSource. */
export interface EventSource extends PlatformEventTarget {
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSED: 2
  /** As it was resolved. */
  readonly url: string
  readonly withCredentials: boolean
  /** `CONNECTING` while it opens or comes back, `OPEN`, or `CLOSED` for good. */
  readonly readyState: 0 | 1 | 2
  /** Of the last event; behind it the stream goes on. Empty where the server gives no ids. */
  readonly lastEventId: string
  onopen: Handler<PlatformEvent>
  onmessage: Handler<PlatformMessageEvent>
  /** Read, it takes any event, so that the class fits where the platform's stands, whose events say less. */
  get onerror(): Handler<any>
  set onerror(handler: Handler<PlatformEvent & EventSourceErrorEvent>)
  addEventListener(type: 'open', listener: Listener<PlatformEvent>, options?: ListenerOptions): void
  addEventListener(
    type: 'error',
    listener: Listener<PlatformEvent & EventSourceErrorEvent>,
    options?: ListenerOptions,
  ): void
  addEventListener(type: string, listener: Listener<PlatformMessageEvent>, options?: ListenerOptions): void
  addEventListener(type: string, listener: Listener<any>, options?: ListenerOptions): void
  removeEventListener(type: string, listener: Listener<any>, options?: ListenerOptions): void
  /** Ends it: no event is dispatched any more. The server is told nothing. */
  close(): void
  /**
   * Tells the server to stop, as `init.stop` says: one call, however often this is called. The stream reads on to the
   * server's last events, for 5 s at most, and is `CLOSED` then, without an error.
   *
   * @throws {CallError} what that call failed with; the stream goes on. `failed_precondition` where `init.stop` is missing.
   */
  stop(options?: CallOptions): Promise<void>
}

/** A class of event streams. */
export interface EventSourceConstructor {
  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSED: 2
  readonly prototype: EventSource
  /**
   * Opens the stream.
   *
   * @throws {DOMException} `SyntaxError` where the URL is none; one relative to the page is taken in browsers.
   * @throws {CallError} `invalid_argument` where an option is wrong.
   */
  new (url: string | { readonly href: string }, init?: EventSourceInit): EventSource
}
