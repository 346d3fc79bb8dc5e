import type { Auth } from '../../src/core/call/auth.ts'
import type { Channel, NoInput, PathNames, PathValue, Unary } from '../../src/core/call/call-types.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Operation } from '../../src/core/call/operation.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import type {
  AnyContinuation,
  AnyStop,
  Continuable,
  OtherVia,
  PathInput,
  PlaceCheck,
  StoppableChannel,
} from '../../src/core/resume/continuation.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { SendQueueOptions } from '../../src/core/send-queue/send-queue.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { OverflowPolicy } from '../../src/core/stream/overflow.ts'
import type { SocketOptions } from '../socket/session/sessions.ts'
import type { WireAdapterOption } from '../socket/wire-adapter.ts'

/** Where the socket is and how it lives. */
export interface WebSocketTransportOptions extends SocketOptions {
  /** `wss:` or `ws:`; `https:` and `http:` are taken for them. In browsers it may be relative to the page. */
  readonly url: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** How streams are opened for the first time, instead of `retry`. @defaultValue three attempts */
  readonly opening?: OpeningOptions | undefined
  /** The protocol on the socket; one with state is a function, called for each connection. @defaultValue plainJson() */
  readonly adapter?: WireAdapterOption | undefined
  /** How servers of this transport take idempotency keys of requests. @defaultValue none is known to be honoured */
  readonly idempotency?: IdempotencyOption | undefined
}

/** A WebSocket transport, as `createClient` takes it. */
export interface WebSocketTransport extends Transport<'websocket'> {
  readonly origin: string
}

/** Where a message has its cursor. */
export interface CursorIn {
  readonly cursor: (message: any) => string | number | undefined
}

/** What may be said of one channel. */
export interface ChannelSpec {
  /** The key of its transport. @defaultValue 'websocket' */
  readonly via?: string | undefined
  /** What is sent along with the subscription, beside the names in the channel's name. */
  readonly input?: Schema<any, any>
  /** A message that is sent. Without it nothing can be. */
  readonly send?: Schema<any, any>
  /** A message that is received. */
  readonly receive?: Schema<any, any>
  /** Lost messages: an item that `isGap` recognises, or the end of the stream. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** How the server is told that the caller has had enough: made by `stopWith()`; the channel then has `stop()`. @defaultValue it is not */
  readonly stop?: AnyStop
  /** Whether the server's ids are used to continue after a drop. @defaultValue true */
  readonly recover?: boolean
  /**
   * The cursor in a message, where it is not the server's id of it: what the channel continues after, and what `failover`
   * compares with the cursors of other routes; or the operation that it goes on by after a drop, made by `continueWith()`.
   *
   * @defaultValue the server's ids, and the channel itself
   */
  readonly resume?: CursorIn | AnyContinuation
  /**
   * What ids are: consecutive numbers, which tell repeats and gaps at any time, or opaque.
   *
   * @defaultValue numbers are offsets, strings are opaque
   */
  readonly cursors?: 'offset' | 'opaque'
  /**
   * What a message does that finds the receive queue full, where the wire cannot be paused (or has been paused for a
   * second, with others waiting on it). Dropped messages are a gap: an item with `gaps: 'yield'`. @defaultValue 'error'
   */
  readonly overflow?: OverflowPolicy | undefined
  /** Messages that may wait for the reader. @defaultValue 4_096 */
  readonly maxQueued?: number | undefined
  /** Bounds of what waits to be sent, and what one message more does. @defaultValue 1_000 messages, 1 MiB, 30 s, 'reject' */
  readonly sendQueue?: Pick<SendQueueOptions, 'maxMessages' | 'maxBytes' | 'overflow' | 'maxAgeMs'> | undefined
  /**
   * Channels of one scope share what their servers remember of the keys of messages: `failover` may send a message
   * again by the other one. @defaultValue none
   */
  readonly idempotencyScope?: string | undefined
  /** Overrides the client's, or switches retries off. @defaultValue the client's */
  readonly retry?: RetryOptions | false | undefined
  /** How it is opened for the first time, instead of `retry`. @defaultValue the transport's */
  readonly opening?: OpeningOptions | undefined
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false | undefined
  /** What a message that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

/** What may be said of one request. */
export interface RequestSpec {
  /** The key of its transport. @defaultValue 'websocket' */
  readonly via?: string | undefined
  /** The message that is sent. @defaultValue nothing beside the names in the request's name */
  readonly input?: Schema<any, any>
  /** The message that comes back. @defaultValue unknown */
  readonly output?: Schema<any, any>
  /** Sending it twice does what sending it once does. @defaultValue false */
  readonly idempotent?: boolean | undefined
  /** How the server takes idempotency keys for this request. @defaultValue the transport's */
  readonly idempotency?: IdempotencyOption | undefined
  /**
   * Operations of one scope, on whatever transport, share what their servers remember of idempotency keys: `failover` may
   * send a call under its key to one after the other.
   *
   * @defaultValue none: what another route may have carried out is not sent again
   */
  readonly idempotencyScope?: string | undefined
  /** Overrides the client's, or switches retries off. @defaultValue the client's */
  readonly retry?: RetryOptions | false | undefined
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false | undefined
  /** What a message that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

type ViaOf<S> = S extends { readonly via: infer V extends string } ? V : 'websocket'
type Flat<T> = T extends unknown ? { [K in keyof T]: T[K] } : never
type OrNoInput<T> = [keyof T] extends [never] ? NoInput : T
type Slot<S> = S extends { readonly input: Schema<infer I, any> } ? I : {}
/** Without names in the template the input is what `input` says, which may be no object at all. */
type FlatIn<P extends string, S> = [PathNames<P>] extends [never]
  ? S extends { readonly input: Schema<infer I, any> }
    ? I
    : NoInput
  : OrNoInput<Flat<{ [K in Exclude<PathNames<P>, keyof Slot<S>>]: PathValue } & Slot<S>>>
type SendOf<S> = S extends { readonly send: Schema<infer I, any> } ? I : never
type ReceiveOf<S> = S extends { readonly receive: Schema<any, infer O> } ? O : unknown
type ItemOf<S> = S extends { readonly gaps: 'yield' } ? ReceiveOf<S> | Gap : ReceiveOf<S>
type OutputOf<S> = S extends { readonly output: Schema<any, infer O> } ? O : unknown

type ChannelOf<In, S> = S extends { readonly stop: AnyStop }
  ? StoppableChannel<In, SendOf<S>, ItemOf<S>>
  : Channel<In, SendOf<S>, ItemOf<S>>

/** Declares a channel; see `channel`. */
export type ChannelBuilder = <const P extends string, const S extends ChannelSpec = {}>(
  name: P,
  spec?: S & Continuable<PathInput<P>, ReceiveOf<S>, CursorIn> & PlaceCheck<FlatIn<P, S>, S>,
) => Operation<ViaOf<S> | OtherVia<S>, ChannelOf<FlatIn<P, S>, S>>

/** Declares a request; see `request`. */
export type RequestBuilder = <const P extends string, const S extends RequestSpec = {}>(
  name: P,
  spec?: S,
) => Operation<ViaOf<S>, Unary<FlatIn<P, S>, OutputOf<S>>>
