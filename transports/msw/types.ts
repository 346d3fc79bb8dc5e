import type { Duplex, PathValue } from '../../src/core/call/call-types.ts'
import type { Operation } from '../../src/core/call/operation.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { HttpHandler, WebSocketHandler } from './peer-msw.ts'

/** A handler as `setupServer` and `setupWorker` of msw take it. */
export type MockHandler = HttpHandler | WebSocketHandler

/** What can be mocked: an operation of a contract, or the function that a client has made of it. */
export type Mockable = Operation<any, any> | ((...args: any[]) => unknown)

/** What a handler may say of itself. */
export interface MockOptions {
  /**
   * Only what is asked for behind this URL is answered: that of the transport. Without an origin (`/v1`) any origin is
   * answered.
   *
   * @defaultValue any URL that ends with the operation's path; any socket
   */
  readonly baseUrl?: string | undefined
  /** It answers once, and leaves the next one to the handlers behind it. @defaultValue false */
  readonly once?: boolean | undefined
}

/** The head and the end of an answer, as far as its protocol has them. */
export interface MockReply {
  /** HTTP status of an answer that is none of an error. @defaultValue 200, or 204 where there is no message */
  status: number
  readonly headers: Headers
  /** Of gRPC-Web. */
  readonly trailers: Headers
}

/** What a handler is given beside the input. */
export interface MockContext<In, Sent = In> extends MockParts<Sent> {
  /**
   * What the call was made with, as it has arrived. What came by path or query is text, as at any server: a number among it
   * is one by its type only where JSON or protobuf carried it.
   */
  readonly input: In
  /** The request as msw gives it: its headers, its URL. */
  readonly request: Request
  /** Aborted once the caller has left. */
  readonly signal: AbortSignal
  readonly reply: MockReply
}

/** The parts of a request over HTTP; of other protocols they are empty. */
export interface MockParts<In> {
  /** The names of the path. */
  readonly params: ParamsOf<In>
  /** The query as text. */
  readonly query: Readonly<Record<string, unknown>>
  /** The body, read by its content type. */
  readonly body: BodyOf<In>
}

/** What a handler of a stream is given. */
export interface MockStreamContext<In, Sent = In> extends MockContext<In, Sent> {
  /** After what the client goes on: its `Last-Event-ID`. Undefined where it opens the stream for the first time. */
  readonly lastEventId: string | undefined
}

/** One subscription of a channel, from the server's side. */
export interface MockChannel<In, Send, Receive> {
  /** What the channel was opened with: the names in its name, and what was sent along. */
  readonly input: In
  /** After which message the client goes on, where it comes back. */
  readonly since: string | number | undefined
  /** What the client sends; ends where it leaves. */
  readonly messages: AsyncIterable<Send>
  /** Sends a message; with an `id` it can be continued behind it. */
  send(message: Receive, at?: { readonly id?: string | number; readonly epoch?: string }): void
  /** There will be no more messages: the client's stream ends. */
  close(): void
  /** Closes the socket under it, which the client opens again where the code allows it. @defaultValue 1001 */
  drop(code?: number, reason?: string): void
  /** Aborted once the client has left, or the socket is closed. */
  readonly signal: AbortSignal
}

// The types of handlers, read from those of operations.

type CallOf<O> = O extends Operation<any, infer C> ? C : O
type ViaOf<O> = O extends Operation<infer V, any> ? V : string
/** What `.$typeName` tells: a message of protobuf. */
interface Proto {
  readonly $typeName: string
}
type IsPath<T> = [PathValue] extends [T] ? ([T] extends [PathValue | undefined] ? true : false) : false

type ParamsOf<In> = In extends { readonly params: infer P }
  ? { readonly [K in keyof P]: string }
  : { readonly [K in keyof In as IsPath<In[K]> extends true ? K : never]: string }

/** What stands in a body: what is no name of the path; of the nested form its body. */
type BodyOf<In> = In extends { readonly body?: infer B }
  ? In extends { readonly params?: unknown; readonly query?: unknown; readonly headers?: unknown; readonly body?: B }
    ? B
    : never
  : { readonly [K in keyof In as IsPath<In[K]> extends true ? never : K]: In[K] }

/** A value that may have come as text. */
type Texts<T> = IsPath<T> extends true ? string | Extract<T, undefined> : Text<T>
type Text<T> = T extends number | boolean
  ? T | `${T}`
  : T extends bigint | Date
    ? string
    : T extends readonly (infer E)[]
      ? E extends object
        ? T
        : readonly Texts<E>[] | Texts<E>
      : T
/** Only the names in a name have come as text. */
type NamesOf<T> = { readonly [K in keyof T]: IsPath<T[K]> extends true ? Texts<T[K]> : T[K] }
type TextsOf<T> = { readonly [K in keyof T]: Texts<T[K]> }
/** Members of the nested form keep their names. */
type Nested<In> = {
  readonly [K in keyof In]: K extends 'params' | 'query' | 'headers' ? TextsOf<In[K]> : In[K]
}
type OverHttp<In> = keyof In extends 'params' | 'query' | 'headers' | 'body'
  ? [keyof In] extends [never]
    ? In
    : Nested<In>
  : TextsOf<In>

type Given<C> = C extends (...args: infer A) => unknown ? Exclude<A[0], undefined> : never
type Arrived<In, Via> = [Extract<In, Proto>] extends [never]
  ? Via extends 'graphql' | 'grpc-web'
    ? In
    : In extends object
      ? Via extends 'websocket'
        ? NamesOf<In>
        : OverHttp<In>
      : In
  : Extract<In, Proto>

/** The input that a mock is given, by its operation. */
export type MockInput<O> = Arrived<Given<CallOf<O>>, Exclude<ViaOf<O>, 'outbox'>>

/** A message as it may be written: of protobuf's, fields may be left out. */
type Written<T> = T extends Proto
  ? T | { readonly [K in keyof T as K extends '$typeName' | '$unknown' ? never : K]?: Field<T[K]> }
  : T
type Field<T> = T extends Uint8Array
  ? T
  : T extends Proto
    ? Written<T>
    : T extends readonly (infer E)[]
      ? readonly Field<E>[]
      : T extends { readonly case: infer N; readonly value?: infer V }
        ? { readonly case: N; readonly value?: Field<V> }
        : T extends object
          ? { readonly [K in keyof T]: Field<T[K]> }
          : T

type ResultOf<C> = C extends (...args: any[]) => infer R ? R : never
/** The message that a mock of a unary operation gives. */
export type MockOutput<O> =
  ResultOf<CallOf<O>> extends Promise<infer Out> ? (unknown extends Out ? unknown : Written<Out>) : never

/** An event may say when the client comes back, too. */
type Yielded<T> = T extends { readonly type: string; readonly data: unknown }
  ? T & { readonly retry?: number }
  : Written<T>
/** What a mock of a stream yields: messages, events, or results. */
export type MockMessage<O> =
  ResultOf<CallOf<O>> extends AsyncIterable<infer Message> ? Yielded<Exclude<Message, Gap>> : never

type SendOf<O> = ResultOf<CallOf<O>> extends Duplex<infer Send, any> ? Send : never
type ReceiveOf<O> = ResultOf<CallOf<O>> extends Duplex<any, infer Receive> ? Exclude<Receive, Gap> : never

/** Answers the calls of a unary operation; what it throws is the answer, too. */
export type MockResolver<O> = (
  context: MockContext<MockInput<O>, Given<CallOf<O>>>,
) => MockOutput<O> | Response | Promise<MockOutput<O> | Response>

type StreamOf<T> = AsyncIterable<T> | Iterable<T> | Response

/** Answers the openings of a stream; what it throws is the answer, too. */
export type MockStreamResolver<O> = [MockMessage<O>] extends [never]
  ? never
  : (
      context: MockStreamContext<MockInput<O>, Given<CallOf<O>>>,
    ) => StreamOf<MockMessage<O>> | Promise<StreamOf<MockMessage<O>>>

/** Answers the subscriptions of a channel; what it throws ends that with an error. */
export type MockChannelResolver<O> = (
  channel: MockChannel<MockInput<O>, SendOf<O>, ReceiveOf<O>>,
  // biome-ignore lint/suspicious/noConfusingVoidType: of a function that sends, nothing is wanted back
) => AsyncIterable<ReceiveOf<O>> | Promise<unknown> | void
