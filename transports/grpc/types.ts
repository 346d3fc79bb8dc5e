import type { Channel, ClientStream, NoInput, PagedUnary, ServerStream, Unary } from '../../src/core/call/call-types.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { AnyPager, Operation, OperationInfo, ResumeSpec } from '../../src/core/call/operation.ts'
import type { AnyStop, Continuation, Stop, StoppableServerStream } from '../../src/core/resume/continuation.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { ItemOf, Pager, PagerCheck } from '../shared/pages.ts'
import type { DescMessage, DescMethod, DescService, MessageInitShape, MessageShape } from './peer-protobuf.ts'

/** What may be said of any method beside its descriptor. */
export interface MethodSpec {
  /** The key of its transport. @defaultValue 'grpc-web' */
  readonly via?: string | undefined
  /** Sending it twice does what sending it once does. @defaultValue the method's `idempotency_level` is declared */
  readonly idempotent?: boolean | undefined
  /** How the server takes idempotency keys for this method. @defaultValue the transport's */
  readonly idempotency?: IdempotencyOption | undefined
  /**
   * Operations of one scope, on whatever transport, share what their servers remember of idempotency keys: `failover` may
   * send a call under its key to one after the other.
   *
   * @defaultValue none: what another route may have carried out is not sent again
   */
  readonly idempotencyScope?: string | undefined
  /** Overrides the client's, or switches retries off. */
  readonly retry?: RetryOptions | false | undefined
  /** `false`: it carries no credential, but one that a call brings as a header of its own. @defaultValue the transport's */
  readonly auth?: false | undefined
}

/** What may be said of a unary method. */
export interface UnarySpec extends MethodSpec {
  /** How its pages follow each other: `cursorPages({ items: 'users', next: 'nextPageToken' })`. */
  readonly paginate?: AnyPager
}

/** What may be said of a server stream. */
export interface ServerStreamSpec<In, Message> extends MethodSpec {
  /** How it continues after a drop; without, a dropped stream fails. */
  readonly resume?: ResumeSpec<Message, In> | Continuation<string, In, Message>
  /** How the server is told that the caller has had enough: made by `stopWith()`; the stream then has `stop()`. @defaultValue it is not */
  readonly stop?: Stop<string, In, Message>
  /** What cursors are: opaque, or consecutive numbers, which tell repeats and gaps. @defaultValue 'opaque' */
  readonly cursors?: 'opaque' | 'offset'
  /** Lost messages: an item in the iterator, or the end of the stream. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /** How it is opened for the first time, instead of `retry`. @defaultValue the transport's */
  readonly opening?: OpeningOptions | undefined
}

/** What may be said of a bidi stream. */
export interface BidiStreamSpec extends MethodSpec {
  /** Bounds of what waits to be sent. */
  readonly sendQueue?: NonNullable<OperationInfo['sendQueue']> | undefined
  /** How it is opened for the first time, instead of `retry`. @defaultValue the transport's */
  readonly opening?: OpeningOptions | undefined
}

interface Specs<In, Message> {
  unary: UnarySpec
  server_streaming: ServerStreamSpec<In, Message>
  client_streaming: MethodSpec
  bidi_streaming: BidiStreamSpec
}
/** What may be said of a method, by its kind. */
export type RpcSpec<M extends DescMethod> = Specs<
  MessageInitShape<M['input']>,
  MessageShape<M['output']>
>[M['methodKind']]

interface Calls<I extends DescMessage, O extends DescMessage> {
  unary: Unary<MessageInitShape<I>, MessageShape<O>>
  server_streaming: ServerStream<MessageInitShape<I>, MessageShape<O>>
  client_streaming: ClientStream<MessageInitShape<I>, MessageShape<O>>
  bidi_streaming: Channel<NoInput, MessageInitShape<I>, MessageShape<O>>
}
/** The call interface of a method. */
export type RpcCall<M extends DescMethod> = Calls<M['input'], M['output']>[M['methodKind']]

/** The transport key that a spec names. */
export type ViaOf<S> = S extends { readonly via: infer V extends string } ? V : 'grpc-web'

/** The call interface with pages and gaps where they are declared. */
export type SpecifiedCall<M extends DescMethod, S> = S extends { readonly paginate: Pager<infer I> }
  ? PagedUnary<MessageInitShape<M['input']>, MessageShape<M['output']>, ItemOf<MessageShape<M['output']>, I>>
  : S extends { readonly stop: AnyStop }
    ? StoppableServerStream<MessageInitShape<M['input']>, Streamed<M, S>>
    : S extends { readonly gaps: 'yield' }
      ? ServerStream<MessageInitShape<M['input']>, Streamed<M, S>>
      : RpcCall<M>
type Streamed<M extends DescMethod, S> = S extends { readonly gaps: 'yield' }
  ? MessageShape<M['output']> | Gap
  : MessageShape<M['output']>

/** What is wrong with a spec, in the slot to change; `unknown` where nothing is. */
export type RpcCheck<M extends DescMethod, S> = S extends { readonly paginate: Pager<infer I> }
  ? PagerCheck<MessageShape<M['output']>, I> extends infer Message extends string
    ? { readonly paginate: Message }
    : unknown
  : unknown

/** Every method of a service as an operation. */
export type ServiceOperations<D extends DescService, S> = {
  readonly [K in keyof D['method']]: Operation<ViaOf<S>, RpcCall<D['method'][K]>>
}
