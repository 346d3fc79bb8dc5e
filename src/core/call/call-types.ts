/// <reference lib="esnext.disposable" preserve="true" />

import type { CallError } from '../errors/error.ts'
import type { Gap } from '../stream/gap.ts'
import type { Continuity, StreamState } from '../stream/state.ts'
import type { CallOptions, QueryContext } from './call-options.ts'
import type { HeaderMap } from './header-map.ts'

/** What `.reply()` gives: the message and what came with it. */
export interface UnaryResult<Out> {
  readonly message: Out
  /** HTTP status; 200 where the protocol has none. */
  readonly status: number
  readonly headers: HeaderMap
  readonly trailers: HeaderMap
  /** Where a reply of REST came from, after redirects: what relative links in it are relative to. */
  readonly url?: string | undefined
  /** Attempts made, the first included. */
  readonly attempts: number
  readonly idempotencyKey?: string
  /** What stands beside the data of a GraphQL response: `cost`, `tracing`. */
  readonly extensions?: Readonly<Record<string, unknown>>
  /** The operation that answered, where `failover` gave the call several routes. */
  readonly operation?: string
}

declare const noInput: unique symbol
/** Nothing to pass. A weak type, so that `{ typo: 1 }` is still an error. */
export interface NoInput {
  readonly [noInput]?: never
}

/** The input may be left out when every name in it is optional. */
export type Args<In> = {} extends In
  ? [input?: In | undefined, options?: CallOptions | QueryContext | undefined]
  : [input: In, options?: CallOptions | QueryContext | undefined]

/** A call with one message each way. */
export interface Unary<In, Out> {
  /** @throws {CallError} whatever went wrong; the caller's own abort rejects with the signal's reason. */
  (...args: Args<In>): Promise<Out>
  /** The same with status, headers, trailers and attempts. */
  reply(...args: Args<In>): Promise<UnaryResult<Out>>
}

/** What a caller may say of `pages()` and `items()`, beside the options of each page's call. */
export interface PageOptions extends CallOptions {
  /** Ends after so many pages, or items. @defaultValue all */
  readonly limit?: number | undefined
  /** How many pages are asked for before they are wanted. @defaultValue 0 */
  readonly prefetch?: number | undefined
  /** Goes on where an earlier run was: its `token`. The input must be the same. @defaultValue from the first */
  readonly from?: string | undefined
}

/** The arguments of `pages()` and `items()`. */
export type PageArgs<In> = {} extends In
  ? [input?: In | undefined, options?: PageOptions | undefined]
  : [input: In, options?: PageOptions | undefined]

/**
 * Pages, or what they hold, one after the other. Calls of `next()` take turns; `return()`, as by `break`, ends the call
 * that is under way.
 */
export interface Paged<T> extends AsyncIterableIterator<T, undefined>, AsyncDisposable {
  /** The place behind what was given last, for `from` of another run; undefined before the first, and behind the last. */
  readonly token: string | undefined
  return(): Promise<IteratorResult<T, undefined>>
  [Symbol.asyncIterator](): this
}

/** A unary call whose replies are pages. */
export interface PagedUnary<In, Out, Item> extends Unary<In, Out> {
  /** Page after page, each a call of its own. */
  pages(...args: PageArgs<In>): Paged<Out>
  /** What the pages hold, one by one. */
  items(...args: PageArgs<In>): Paged<Item>
}

/** How a stream is consumed beside `for await`. Returns what unsubscribes. */
export interface Observer<Message> {
  next?(message: Message): void
  /** The stream failed; nothing follows. */
  error?(error: unknown): void
  /** The stream ended; nothing follows. */
  end?(): void
  gap?(gap: Gap): void
  /** @param reason - what has interrupted the stream, where it is `waiting` or `suspended`. */
  state?(state: StreamState, reason?: CallError): void
}

/** What a stream answered when it opened. */
export interface StreamHead {
  /** HTTP status; 200 where the protocol has none. */
  readonly status: number
  /** Empty where the protocol has none. */
  readonly headers: HeaderMap
  /** What comes with the end, of the last connection; resolves when the stream is over. Empty where the protocol has none. */
  readonly trailers: Promise<HeaderMap>
  /** The operation that was answered, where a stream has several routes. */
  readonly operation?: string | undefined
}

/**
 * An open-ended series of messages; it opens on the first `next()`, `send()`, `subscribe()` or `await opened`.
 *
 * It is read by one loop, or by any number of observers. A loop may go on where an earlier one stopped; one beside
 * another, or beside observers, is refused with `failed_precondition`, since each would get a part of the messages:
 * call the operation again for a stream of its own (calls of one channel share one subscription).
 */
export interface Stream<Message> extends AsyncIterable<Message>, AsyncDisposable {
  /** Resolves when the stream is open, with what the server answered the first time; opens it. */
  readonly opened: Promise<StreamHead>
  readonly state: StreamState
  /** The cursor of the last message that was consumed: where another run may resume. */
  readonly cursor: string | undefined
  readonly continuity: Continuity
  /** @throws {CallError} `unavailable` where its place was to be kept in a store, and could not. */
  close(): Promise<void>
  /**
   * Opens the stream and calls back: every observer is told everything from when it joined. Returns what makes this one
   * leave; the last one to leave closes the stream. An observer without `next` and `gap` may watch a loop.
   *
   * @throws {CallError} `failed_precondition` where a loop reads the stream.
   */
  subscribe(observer: Observer<Message>): () => void
}

/** Many messages from the server. */
export interface ServerStream<In, Message> {
  (...args: Args<In>): Stream<Message>
}

/** Many messages to the server, one back. */
export interface ClientStream<In, Out> {
  (messages: AsyncIterable<In> | Iterable<In>, options?: CallOptions | undefined): Promise<Out>
  reply(messages: AsyncIterable<In> | Iterable<In>, options?: CallOptions | undefined): Promise<UnaryResult<Out>>
}

/** What one `send` may say. */
export interface SendOptions {
  /** Makes it safe to send again after a drop: the server drops what it has seen. */
  readonly key?: string | undefined
  /** Takes the message back while it waits; the send rejects with the signal's reason. */
  readonly signal?: CallOptions['signal']
}

/** Both ways at once: a WebSocket channel and a bidi stream are used alike, which lets one replace the other. */
export interface Duplex<Send, Receive> extends Stream<Receive> {
  /** Resolves when the message was written, or acknowledged where the server acknowledges. */
  send(message: Send, options?: SendOptions): Promise<void>
  /** No more messages from here; what the server still sends can be read. */
  end(): Promise<void>
}

/** Opens a duplex. */
export interface Channel<In, Send, Receive> {
  (...args: Args<In>): Duplex<Send, Receive>
}

declare const fails: unique symbol
/** Declared error bodies by status or reason; joined to the call interface only where there are some. */
export interface Fails<Bodies> {
  readonly [fails]: Bodies
}
type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9
type Numbers<T> = T extends `${infer N extends number}` ? N : never
type ClientErrors = Numbers<`4${Digit}${Digit}`>
type ServerErrors = Numbers<`5${Digit}${Digit}`>
/** The statuses of an entry: ranges (`4XX`) and `default` of a description stand for all that no other entry names. */
type StatusOf<S, Named> = S extends number
  ? S
  : S extends '4XX'
    ? Exclude<ClientErrors, Named>
    : S extends '5XX'
      ? Exclude<ServerErrors, Named>
      : Exclude<('4XX' extends Named ? never : ClientErrors) | ('5XX' extends Named ? never : ServerErrors), Named>
type ErrorOf<Bodies> = {
  [S in keyof Bodies]: CallError &
    (S extends number | '4XX' | '5XX' | 'default'
      ? { readonly status: StatusOf<S, keyof Bodies>; readonly body: Bodies[S] }
      : { readonly reason: S; readonly body: Bodies[S] })
}[keyof Bodies]
/** The errors that an operation declares. */
export type DeclaredError<Bodies> = ErrorOf<Bodies>

/** What may stand in a path: written as text, percent-encoded. */
export type PathValue = string | number | bigint

/** The names in a template: `'id'` of `/users/{id}`, `'path'` of `/files/{+path}`. */
export type PathNames<P extends string> = string extends P
  ? string
  : P extends `${string}{${infer Name}}${infer Rest}`
    ? (Name extends `+${infer Path}` ? Path : Name) | PathNames<Rest>
    : never
