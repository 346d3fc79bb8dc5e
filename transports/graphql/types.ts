import type { NoInput, PagedUnary, ServerStream, Unary } from '../../src/core/call/call-types.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { AnyPager, Operation, ResumeSpec } from '../../src/core/call/operation.ts'
import type { Schema } from '../../src/core/call/schema.ts'
import type {
  AnyContinuation,
  AnyStop,
  Continuation,
  OtherVia,
  Stop,
  StoppableServerStream,
} from '../../src/core/resume/continuation.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import type { RetryOptions } from '../../src/core/retry/options.ts'
import type { Gap } from '../../src/core/stream/gap.ts'
import type { OverflowPolicy } from '../../src/core/stream/overflow.ts'
import type { GraphQLFeature } from './feature.ts'
import type { RelayCheck, RelayItem, RelayPager } from './pages.ts'

/** A document that knows its types: TypedDocumentNode and TypedDocumentString both carry this phantom. */
export interface TypedDocument<Result, Variables> {
  __apiType?: (variables: Variables) => Result
}

/** One error of a GraphQL response. */
export interface GraphQLFailure {
  readonly message: string
  /** The field, from the root. */
  readonly path?: readonly (string | number)[]
  readonly extensions?: Readonly<Record<string, unknown>>
}

/** What `errorPolicy: 'all'` gives: data may be missing in part, errors say where. */
export interface PartialResult<R> {
  readonly data: R | null
  readonly errors: readonly GraphQLFailure[]
  /** What the server says beside them. */
  readonly extensions?: Readonly<Record<string, unknown>>
}

/**
 * How errors in a response come back: thrown (`none`), beside the data (`all`), or not at all (`ignore`).
 *
 * A refused credential and what may pass by itself (throttling, an unavailable service) are thrown by each policy where
 * no data came, so that refresh and retry see them.
 */
export type ErrorPolicy = 'none' | 'all' | 'ignore'

interface ByPolicy<R> {
  none: R
  all: PartialResult<R>
  ignore: R | null
}
type Data<R, S> = ByPolicy<R>[S extends { readonly errorPolicy: infer E extends ErrorPolicy } ? E : 'none']

/** What an operation may say beside its document. */
export interface GraphQLSpec {
  /** The key of its transport. @defaultValue 'graphql' */
  readonly via?: string | undefined
  /** What errors beside data do: fail the call (`none`), come with the data (`all`), or nothing (`ignore`). @defaultValue 'none' */
  readonly errorPolicy?: ErrorPolicy
  /** Says which, where the document holds several operations. */
  readonly operationName?: string | undefined
  /** Sent as `extensions` of the request. */
  readonly extensions?: Readonly<Record<string, unknown>> | undefined
  /** What its requests can beside plain ones, instead of the transport's: `[]` for none. */
  readonly features?: readonly GraphQLFeature[] | undefined
  /** Whether executing it twice does what executing it once does. @defaultValue true for queries, false for mutations */
  readonly idempotent?: boolean | undefined
  /** How the server takes idempotency keys of this mutation; wins over the transport's. */
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
  /** What a message that does not fit its schema does. @defaultValue the client's */
  readonly validate?: 'warn' | false | undefined
}

/** What a query may say beside its document. */
export interface QuerySpec extends GraphQLSpec {
  /** How the pages of a Relay connection follow each other: `relayPages({ path: 'viewer.repositories' })`. */
  readonly paginate?: AnyPager
}

/** What types a plain string, which says nothing of them itself. */
export interface TypesOfText {
  /** A type, or a schema that validates them. @defaultValue none are taken */
  readonly variables?: Schema<any, any>
  /** What `data` is: a type, or a schema that validates it. */
  readonly output: Schema<any, any>
}
/** The same for a document that is a plain string. */
export interface TextSpec extends GraphQLSpec, TypesOfText {}
/** The same for a plain string. */
export interface QueryTextSpec extends QuerySpec, TypesOfText {}

/** What a subscription may say beside its document. */
export interface SubscriptionSpec extends GraphQLSpec {
  /** How it is opened for the first time, instead of `retry`. @defaultValue the transport's */
  readonly opening?: OpeningOptions | undefined
  /** Lost messages: an item in the iterator, or the end of the stream. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
  /**
   * What a message does that finds the receive queue full, where the socket cannot be paused (or has been paused for a
   * second, with others waiting on it). Dropped messages are a gap: an item with `gaps: 'yield'`. @defaultValue 'error'
   */
  readonly overflow?: OverflowPolicy | undefined
  /** Messages that may wait for the reader. @defaultValue 4_096 */
  readonly maxQueued?: number | undefined
  /** How it continues after a drop; without, messages may be lost and `continuity` is `unknown`. */
  readonly resume?: ResumeSpec<any, any> | AnyContinuation
  /** How the server is told that the caller has had enough: made by `stopWith()`; the stream then has `stop()`. @defaultValue it is not */
  readonly stop?: AnyStop
}
/** The same for a plain string. */
export interface SubscriptionTextSpec extends SubscriptionSpec, TextSpec {}
/** Gives the functions of `resume` and `stop` their parameters (`never`: those of another policy are annotated); the policy `E` is inferred before they are looked at. */
interface Resumed<R, V, E extends ErrorPolicy = 'none'> {
  readonly errorPolicy?: E
  readonly resume?: ResumeSpec<ByPolicy<R>[E], V> | Continuation<string, V, R> | Continuation<string, V, never>
  readonly stop?: Stop<string, V, R> | Stop<string, V, never>
}

/** What a subscription gives: lost messages too, where it declares to yield them. */
type Streamed<R, S> = S extends { readonly gaps: 'yield' } ? Data<R, S> | Gap : Data<R, S>
type Subscribed<V, Message, S> = S extends { readonly stop: AnyStop }
  ? StoppableServerStream<V, Message>
  : ServerStream<V, Message>
/** The variables that a text declares. */
export type VariablesOf<S> = S extends { readonly variables: Schema<infer V, any> } ? V : NoInput
/** The data that a text declares. */
export type OutputOf<S> = S extends { readonly output: Schema<any, infer O> } ? O : unknown
/** The transport key that a spec names. */
export type ViaOf<S> = S extends { readonly via: infer V extends string } ? V : 'graphql'

declare const untyped: unique symbol
interface Untyped {
  readonly [untyped]: never
}
/** A text whose types are written as type arguments; `NoInfer` keeps them from being guessed from the context. */
type TypedText<R> = [R] extends [Untyped]
  ? 'a string says nothing of its types: add { variables, output }, or type arguments'
  : string
/** With type arguments nothing else can be inferred, so that nothing else may change a type. */
type Plain<S> = Omit<S, 'via' | 'errorPolicy' | 'gaps' | 'resume' | 'stop'> & {
  readonly via?: 'graphql'
  readonly errorPolicy?: 'none'
}

type Called<R, V, S> = S extends { readonly paginate: RelayPager<infer P, infer I, any, any> }
  ? PagedUnary<V, Data<R, S>, RelayItem<R, P, I>>
  : Unary<V, Data<R, S>>
/** What is wrong with the pager, in the slot to change. */
type PagesCheck<R, V, S> = S extends {
  readonly paginate: RelayPager<infer P, infer I, infer D extends 'forward' | 'backward', infer K extends string>
}
  ? RelayCheck<R, V, P, I, D, K> extends infer Message extends string
    ? { readonly paginate: Message }
    : unknown
  : unknown

/** Makes a query of a document. */
export interface QueryBuilder {
  <R, V, const S extends QuerySpec = {}>(
    document: TypedDocument<R, V>,
    spec?: S & PagesCheck<R, V, S>,
  ): Operation<ViaOf<S>, Called<R, V, S>>
  <const S extends QueryTextSpec>(
    document: string,
    spec: S & PagesCheck<OutputOf<S>, VariablesOf<S>, S>,
  ): Operation<ViaOf<S>, Called<OutputOf<S>, VariablesOf<S>, S>>
  <R = Untyped, V = NoInput>(
    document: TypedText<R>,
    spec?: Plain<GraphQLSpec>,
  ): Operation<'graphql', Unary<NoInfer<V>, NoInfer<R>>>
}

/** Makes a mutation of a document. */
export interface GraphQLBuilder {
  <R, V, const S extends GraphQLSpec = {}>(
    document: TypedDocument<R, V>,
    spec?: S,
  ): Operation<ViaOf<S>, Unary<V, Data<R, S>>>
  <const S extends TextSpec>(
    document: string,
    spec: S,
  ): Operation<ViaOf<S>, Unary<VariablesOf<S>, Data<OutputOf<S>, S>>>
  <R = Untyped, V = NoInput>(
    document: TypedText<R>,
    spec?: Plain<GraphQLSpec>,
  ): Operation<'graphql', Unary<NoInfer<V>, NoInfer<R>>>
}

/** Makes a server stream of a document. */
export interface SubscriptionBuilder {
  <R, V, const S extends SubscriptionSpec = {}, E extends ErrorPolicy = 'none'>(
    document: TypedDocument<R, V>,
    spec?: S & Resumed<R, V, E>,
  ): Operation<ViaOf<S> | OtherVia<S>, Subscribed<V, Streamed<R, S>, S>>
  <const S extends SubscriptionTextSpec, E extends ErrorPolicy = 'none'>(
    document: string,
    spec: S & Resumed<OutputOf<S>, VariablesOf<S>, E>,
  ): Operation<ViaOf<S> | OtherVia<S>, Subscribed<VariablesOf<S>, Streamed<OutputOf<S>, S>, S>>
  <R = Untyped, V = NoInput>(
    document: TypedText<R>,
    spec?: Plain<SubscriptionSpec> & { readonly resume?: ResumeSpec<R, V> },
  ): Operation<'graphql', ServerStream<NoInfer<V>, NoInfer<R>>>
}
