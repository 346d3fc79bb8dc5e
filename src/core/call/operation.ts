import type { ErrorOrigin } from '../errors/error.ts'
import type { OpeningOptions } from '../resume/options.ts'
import type { RetryOptions } from '../retry/options.ts'
import type { SendQueueOptions } from '../send-queue/send-queue.ts'
import { isObject } from '../tag.ts'
import type { CallOptions } from './call-options.ts'
import type { Channel, Paged, PageOptions, ServerStream, Unary, UnaryResult } from './call-types.ts'
import type { HeaderMap } from './header-map.ts'
import type { IdempotencyOption } from './idempotency.ts'
import type { Schema } from './schema.ts'

/** How many messages go which way. */
export type Kind = 'unary' | 'server_stream' | 'client_stream' | 'bidi_stream'

/** Validates by a schema, in the mode that operation and client agreed on. */
export type Check = (schema: Schema<any, any>, value: unknown) => unknown | Promise<unknown>

/** How a stream without cursors of its own is opened again. */
export interface ResumeSpec<Message = any, In = any> {
  /** The cursor in a message. */
  readonly cursor: (message: Message) => string | number | undefined
  /** The input that continues after a cursor. */
  readonly apply: (input: In, cursor: string) => In
  /** For cursors that come after their data: made by `hold()`. @defaultValue messages are given as they come */
  readonly hold?: AnyHold | undefined
}

/** What `hold()` makes; only `resume` knows what it is. */
export interface AnyHold extends Declaration {
  readonly start: unknown
}

/** What a builder is given beside plain options, such as what `continueWith()` makes: it changes the operation that declares it. */
export interface Declaration {
  declare(info: OperationInfo): OperationInfo
}

/** What an operation that streams brings along; only the facade and `resume` know what it is: `Streaming`. */
export interface StreamMachinery {
  readonly handle: unknown
  readonly resume: unknown
}

/** What an operation with several routes brings along; only `retry` knows what it is: `Failover`. */
export interface RouteMachinery {
  readonly begin: unknown
  /** A client takes it up. @throws {CallError} where a route cannot be called by it. */
  attach(services: object): void
}

/** What stands for the beginning of a connection of a stream, and for its failure, to who reads it. */
export interface StreamMarks {
  opened(): unknown
  dropped(): unknown
}

/** What a durable operation brings along; only its outbox knows what it is: `Durable`. */
export interface DurableMachinery {
  /** Names its entries; outlives releases. */
  readonly name: string
  /** How its calls are carried out: through the outbox of the client. */
  planOf(plan: object, services: object): unknown
  /** A client takes it up. @throws {CallError} where the client has no outbox, or one that does not know it. */
  attach(services: object): void
}

/** What `outbox()` of `polywire/outbox` makes; only durable operations know what else it is. */
export interface AnyOutbox {
  /** For the client that takes it up; returns what ends that, when the client is closed. */
  readonly '~join': (services: object, timeoutMs: number | undefined) => () => void
}

/** The run-time half of an operation: everything but its types. */
export interface OperationInfo {
  /** The template that errors and logs show: `GET /users/{id}`. */
  readonly name: string
  readonly protocol: string
  /** The key of its transport in `createClient({ transports })`. */
  readonly via: string
  /** How errors name its transport, where the key says nothing to a reader. @defaultValue the key */
  readonly transportName?: string
  readonly kind: Kind
  /** Where it is sent, if not every operation of its transport goes to one origin: budgets and waits are kept by it. */
  readonly origin?: string
  /** Sending it twice does what sending it once does. */
  readonly isIdempotent: boolean
  /** Equal calls of it that are under way may share one answer: it only reads. @defaultValue by its name: GET, HEAD, QUERY, OPTIONS, query */
  readonly isShareable?: boolean | undefined
  /** Its reply holds a body that may last: `timeoutMs` bounds the call up to the head, an absolute deadline the whole. */
  readonly isOpenEnded?: true
  /** What the transport needs to know; only the transport of `protocol` reads it. */
  readonly binding: unknown
  /** A key is generated even if no profile says that the server honours it (POST, PATCH). */
  readonly isKeyedByDefault?: boolean
  readonly idempotency?: IdempotencyOption | undefined
  /** The headers among the input, where the operation takes some there. */
  readonly headersOf?: ((input: any) => Readonly<Record<string, unknown>> | undefined) | undefined
  /** It carries no credential, but one that a call brings itself. */
  readonly auth?: false | undefined
  readonly retry?: RetryOptions | false | undefined
  /** How a stream is opened for the first time, instead of `retry`. */
  readonly opening?: OpeningOptions | undefined
  /** Brings the caller's input into the transport's shape, validated. Throws plain Violations through `check`. */
  readonly encodeInput?: (input: unknown, check: Check) => unknown | Promise<unknown>
  /** Validates what is sent on a duplex or client stream, message by message. */
  readonly encodeMessage?: OperationInfo['decodeOutput']
  /** Validates what came back, message by message. */
  readonly decodeOutput?: ((message: unknown, check: Check) => unknown | Promise<unknown>) | undefined
  /** From `adapt`: the outermost conversion of input and of each message. */
  readonly adapted?: { readonly input?: (input: any) => unknown; readonly output?: (message: any) => unknown }
  readonly validate?: 'warn' | false | undefined
  /** Whether what it sends can be sent once more, byte for byte. @defaultValue true */
  readonly isReplayable?: (input: any) => boolean
  readonly errors?: { readonly [statusOrReason: string]: Schema<any, any> } | undefined
  readonly paginate?: AnyPager | undefined
  /** Set by `defineStream`: what a stream needs of the core. */
  readonly streaming?: StreamMachinery
  /** Bounds of what waits to be sent on a duplex. */
  readonly sendQueue?: SendQueueOptions | undefined
  /** Put among the messages where a connection opens and where it breaks, behind all that it has brought. */
  readonly marks?: StreamMarks
  /** A stream may be opened again after a drop. */
  readonly isResumable?: boolean
  readonly resume?: ResumeSpec
  /** Operations that its calls call: a transport that one of them lacks is told where the operation is bound. */
  readonly others?: readonly OperationInfo[]
  /** What stands in the place of an attempt: several routes (`Failover`), or a call for many items (`Batching`). */
  readonly failover?: RouteMachinery | undefined
  /** Its calls are written down before they are sent; set by `durable`. */
  readonly durable?: DurableMachinery | undefined
  /** What users call, where that is several calls: an upload. Made for each binding, of what the client's calls share. */
  readonly makeCallable?: (services: any) => (...args: any[]) => unknown
  /** Operations of one scope share what they remember of idempotency keys, wherever they are: `failover` may go from one to the other. */
  readonly idempotencyScope?: string | undefined
  /** What cursors are: opaque, or consecutive numbers (behind an optional `epoch:`), which tell repeats and gaps at any time. @defaultValue 'opaque' */
  readonly cursors?: 'opaque' | 'offset'
  /** Lost messages: an item in the iterator, or the end of the stream. @defaultValue 'fail' */
  readonly gaps?: 'fail' | 'yield' | undefined
}

declare const call: unique symbol
/** What can be called: a value made by a builder. `Via` is the transport key it needs, `C` what `bind` turns it into. */
export interface Operation<Via extends string = string, C = unknown> {
  readonly via: Via
  readonly [call]: C
}

const infos = Symbol.for('polywire.operation')

/** Makes an operation of its run-time half; the builder says the types. One that streams is made by `defineStream`. */
export function defineOperation<O extends Operation<any, any>>(info: OperationInfo): O {
  return Object.freeze({ via: info.via, [infos]: info }) as unknown as O
}

/** The run-time half of an operation, or of a bound call; undefined for anything else. */
export function operationInfo(value: unknown): OperationInfo | undefined {
  const holds = isObject(value) || typeof value === 'function'
  return holds ? (value as { [infos]?: OperationInfo })[infos] : undefined
}

/** Lets a bound call be recognised as its operation. */
export function labelOperation<T extends object>(bound: T, info: OperationInfo): T {
  return Object.defineProperty(bound, infos, { value: info, enumerable: false })
}

/** A tree of operations, any protocol in any place. */
export interface Contract {
  readonly [name: string]: Operation | Contract
}

/** What `bind` makes of a contract. One look-up per operation; homomorphic, so that doc comments reach the contract. */
export type Bound<C> = { readonly [K in keyof C]: C[K] extends Operation ? C[K][typeof call] : Bound<C[K]> }

/** The type of a bound contract, for publishers: `Api<typeof contract>`. */
export type Api<C> = Bound<C>
type CallOf<O> = O extends { readonly [call]: infer C } ? C : never
/** The input of an operation. */
export type InputOf<O> = CallOf<O> extends (...args: infer A) => unknown ? Exclude<A[0], undefined> : never
/** What an operation gives: its message, or one message of its stream. */
export type OutputOf<O> =
  CallOf<O> extends (...args: any[]) => infer R
    ? R extends Promise<infer Out>
      ? Out
      : R extends AsyncIterable<infer Message>
        ? Message
        : never
    : never

/** The compiler's word for a transport, or an outbox, that is not there. */
export type MissingTransport<Via extends string> = Via extends 'outbox'
  ? 'createClient({ outbox }) is missing, which this durable operation needs'
  : `createClient({ transports }) has no '${Via}', which this operation needs`
/** `unknown` where the transport is there. */
export type Need<V extends string, Via extends string> = [V] extends [Via] ? unknown : MissingTransport<Exclude<V, Via>>
/** A contract's shape with a message wherever a transport is missing. */
export type Missing<C, Via extends string> = {
  readonly [K in keyof C]: C[K] extends Operation<infer V> ? Need<V, Via> : Missing<C[K], Via>
}

/** How the pages of a list follow each other; made by `cursorPages` and its like. */
export interface AnyPager {
  /** Where the next page stands. It says nothing of the list: what is wrong with that must not be inferred from here. */
  nextCursor(page: unknown, facts: PageFacts, origin?: ErrorOrigin): unknown
}

/** What a bound operation that has pages can do beside being called. */
export interface PageCallables {
  pages(input?: unknown, options?: PageOptions): Paged<unknown>
  items(input?: unknown, options?: PageOptions): Paged<unknown>
}

/** What is known where the next page is looked for. */
export interface PageFacts {
  /** What this page was asked with. */
  readonly input: unknown
  /** Where this page stands; undefined for the first one. */
  readonly at: unknown
  readonly headers: HeaderMap
  /** Where the page came from, where that is known. */
  readonly url?: string | undefined
}

/** What a pager does at run time: it brings the loop over pages along, so that a program without pages is without it. */
export interface PagerInfo extends AnyPager {
  /** The list in a page. @throws {CallError} `internal` where there is none. */
  itemsOf(page: unknown, origin?: ErrorOrigin): readonly unknown[]
  /** Where the next page stands: anything that JSON holds; undefined after the last. @throws {CallError} `internal` where the page does not tell. */
  nextCursor(page: unknown, facts: PageFacts, origin?: ErrorOrigin): unknown
  /** The input that asks for the page that stands there. */
  inputAt(input: unknown, cursor: unknown): unknown
  /** The same where the cursor goes to one part of a nested input. */
  nested(part: string): PagerInfo
  callables(
    pager: PagerInfo,
    info: OperationInfo,
    fetchPage: (input: unknown, options?: CallOptions) => Promise<UnaryResult<unknown>>,
  ): PageCallables
}

/**
 * Gives an operation another input or output: what makes a change of protocol invisible at the call sites
 * (int64, `data` envelopes, event envelopes, names).
 *
 * @example
 * adapt(events('/users/{id}/events', { user: type<User>() }), { output: (event) => event.data })
 */
export function adapt<V extends string, I, O, I2 = I, O2 = O>(
  operation: Operation<V, Unary<I, O>>,
  by: { readonly input?: (input: I2) => I; readonly output?: (output: O) => O2 },
): Operation<V, Unary<I2, O2>>
export function adapt<V extends string, I, O, I2 = I, O2 = O>(
  operation: Operation<V, ServerStream<I, O>>,
  by: { readonly input?: (input: I2) => I; readonly output?: (message: O) => O2 },
): Operation<V, ServerStream<I2, O2>>
export function adapt<V extends string, I, S, O, I2 = I, O2 = O>(
  operation: Operation<V, Channel<I, S, O>>,
  by: { readonly input?: (input: I2) => I; readonly output?: (message: O) => O2 },
): Operation<V, Channel<I2, S, O2>>
export function adapt(
  operation: unknown,
  by: { readonly input?: (input: any) => unknown; readonly output?: (message: any) => unknown },
): never {
  const info = operationInfo(operation)
  if (!info) throw new TypeError('adapt(operation, …) takes an operation made by a builder such as get() or rpc()')
  const inner = info.adapted
  const adapted = { ...chain('input', by.input, inner?.input), ...chain('output', inner?.output, by.output) }
  return defineOperation<Operation<never>>({ ...info, adapted }) as never
}

type Convert = ((value: any) => unknown) | undefined
function chain<K extends string>(key: K, first: Convert, then: Convert): { [k in K]?: (value: any) => unknown } {
  const convert = first && then ? (value: unknown) => then(first(value)) : (first ?? then)
  return (convert ? { [key]: convert } : {}) as never
}
