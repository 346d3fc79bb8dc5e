import type { Call } from '../../src/core/call/call.ts'
import type { ServerStream } from '../../src/core/call/call-types.ts'
import { defineOperation, type Operation } from '../../src/core/call/operation.ts'
import type { StreamReply } from '../../src/core/call/reply.ts'
import { aboveZero } from '../../src/core/options.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import { receiving } from '../../src/core/stream/streaming.ts'
import { openStream } from '../http/event-stream/stream-exchange.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import { bodyOf, namedRequest } from './feature.ts'
import { IncrementalExchange } from './incremental-exchange.ts'
import { streamedBySocket } from './incremental-socket.ts'
import { type GraphQLBinding, graphqlOperation, type Subscribing } from './operation.ts'
import type {
  ErrorPolicy,
  GraphQLSpec,
  OutputOf,
  PartialResult,
  TypedDocument,
  TypesOfText,
  VariablesOf,
  ViaOf,
} from './types.ts'

/** What a query with `@defer` or `@stream` may say beside its document. */
export interface IncrementalSpec extends GraphQLSpec {
  /** How it is opened, instead of `retry`. @defaultValue as calls are retried */
  readonly opening?: OpeningOptions | undefined
  /** Silence between two parts after which the connection is taken for dead; ms. @defaultValue Infinity: never */
  readonly idleTimeoutMs?: number | undefined
}
/** The same for a document that is a plain string: what is deferred is optional in `output`. */
export interface IncrementalTextSpec extends IncrementalSpec, TypesOfText {}

/** What `errorPolicy: 'all'` gives of a result that grows. */
export interface GrowingPartialResult<R> extends PartialResult<R> {
  /** Whether more is to come. */
  readonly hasNext: boolean
}

interface GrowingByPolicy<R> {
  none: R
  all: GrowingPartialResult<R>
  ignore: R | null
}
type Growing<R, S> = GrowingByPolicy<R>[S extends { readonly errorPolicy: infer E extends ErrorPolicy } ? E : 'none']

/** Makes a stream of a query whose result comes in parts. */
export interface IncrementalBuilder {
  <R, V, const S extends IncrementalSpec = {}>(
    document: TypedDocument<R, V>,
    spec?: S,
  ): Operation<ViaOf<S>, ServerStream<V, Growing<R, S>>>
  <const S extends IncrementalTextSpec>(
    document: string,
    spec: S,
  ): Operation<ViaOf<S>, ServerStream<VariablesOf<S>, Growing<OutputOf<S>, S>>>
}

/** In the order of what says most: ids since 2023, paths of 2022, events, one whole. */
const accept =
  'multipart/mixed;incrementalSpec=v0.2, multipart/mixed;deferSpec=20220824, text/event-stream;q=0.9, application/graphql-response+json;q=0.9, application/json;q=0.8'

const growing: Subscribing = {
  define: ({ isResumable: _none, ...info }, { paginate }) => {
    if (paginate) throw new TypeError("incremental(): 'paginate' is for query()")
    return defineOperation({ ...info, streaming: receiving })
  },
  open: openIncremental,
  rules: { idleTimeoutMs: aboveZero },
}

/**
 * Declares a query with `@defer` or `@stream`, whose result comes in parts: each message is all that has come, and the
 * last one the whole. What is deferred is not there before it comes; what was given is never changed. Read as
 * `multipart/mixed` or as events, in the forms of 2020, 2022 and since 2023; a server that defers nothing gives one message.
 *
 * What breaks off fails: it is not asked for again. A mutation is not asked for in parts.
 *
 * @throws {TypeError} where the document holds no query, or several and no `operationName`.
 * @example
 * const page = incremental(ProductPageDocument) // query { product { name ... @defer { reviews { text } } } }
 * for await (const { product } of client.call(page)) render(product)
 */
export const incremental: IncrementalBuilder = (document: unknown, spec?: object) =>
  graphqlOperation('query', document, spec, growing)

async function openIncremental(call: Call, http: HttpGraphQLTransport): Promise<StreamReply> {
  const { idleTimeoutMs = Number.POSITIVE_INFINITY } = call.operation.binding as GraphQLBinding & IncrementalSpec
  const asked = await namedRequest(call, http)
  const streamed = streamedBySocket(asked, http)
  if (streamed) return streamed
  const request = http.requestOf(call, { headers: { ...http.makeHeaders(call), accept }, body: bodyOf(asked) })
  return openStream(http.engine, request, new IncrementalExchange(asked, http.maxBodyBytes, idleTimeoutMs))
}
