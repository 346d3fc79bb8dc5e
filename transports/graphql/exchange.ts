import { answerReader } from '#graphql-reader'
import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Reply, UnaryReply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { checkOptions } from '../../src/core/options.ts'
import type { OpeningOptions } from '../../src/core/resume/options.ts'
import { fetchOptionsOf, selectEngine } from '../http/choose.ts'
import { type BufferedResponse, requestBuffered } from '../http/collect.ts'
import type { FetchOptions, HttpEngine, HttpRequest } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { behindRedirects } from '../http/progress.ts'
import { addQuery, readUrl } from '../shared/base-url.ts'
import { type DocumentText, textOf } from './document.ts'
import { graphqlFailure } from './errors.ts'
import type { Answer, AskingFeature, Closable } from './feature.ts'
import { type GraphQLBinding, messageOf } from './operation.ts'
import { headersMaker, requestRest } from './request.ts'
import { readGraphQL, sentOnce } from './response.ts'
import { type GraphQLTransport, type GraphQLTransportOptions, transportRules } from './transport.ts'

/** Queries and mutations, each by one POST where no feature does otherwise; what else there is by its parts. */
export class HttpGraphQLTransport implements GraphQLTransport {
  readonly protocol = 'graphql'
  // Declared only: the constructor assigns each.
  declare readonly auth: Auth | false | undefined
  declare readonly opening: OpeningOptions | undefined
  declare readonly idempotency: IdempotencyOption | undefined
  declare readonly origin: string
  /** Absolute. */
  declare readonly url: string
  declare readonly engine: HttpEngine
  declare readonly maxBodyBytes: number
  /** The headers of one attempt. */
  declare readonly makeHeaders: (call: Call) => Record<string, string>
  // Private, since a console shows what is not; headers may hold secrets.
  readonly #options: GraphQLTransportOptions
  declare readonly fetchOptions: FetchOptions | undefined
  readonly #parts = new Map<unknown, Closable>()
  /** Mutations that may have run before their credential was refused: a replay must not run them twice. */
  readonly #spent = new WeakMap<Scope, CallError>()

  constructor(options: GraphQLTransportOptions) {
    checkOptions('graphqlTransport()', options ?? {}, transportRules)
    const url = readUrl(options?.url, 'graphqlTransport({ url })')
    url.hash = ''
    this.#options = options
    const { auth, opening, idempotency, maxBodyBytes = 1 << 26 } = options
    Object.assign(this, { auth, opening, idempotency, maxBodyBytes })
    this.origin = url.origin
    this.url = url.href
    this.engine = selectEngine(options)
    this.makeHeaders = headersMaker(options, url.origin)
    this.fetchOptions = fetchOptionsOf(options)
  }

  get options(): GraphQLTransportOptions {
    return this.#options
  }

  /** What one feature keeps for the whole transport, such as its sockets: made once, and closed with it. */
  part<T extends Closable>(key: unknown, make: () => T): T {
    const part = this.#parts.get(key) ?? make()
    this.#parts.set(key, part)
    return part as T
  }

  close(): Promise<void> {
    for (const part of this.#parts.values()) part.close()
    return this.engine.close()
  }

  send(call: Call): Promise<Reply> {
    const { open } = call.operation.binding as GraphQLBinding
    return open ? open(call, this) : this.#send(call)
  }

  /** @throws {CallError} by the body, else by the HTTP status. */
  async #send(call: Call): Promise<UnaryReply> {
    const spent = call.operation.isIdempotent ? undefined : this.#spent.get(call.scope.root)
    if (spent) throw spent
    const { document, policy } = call.operation.binding as GraphQLBinding
    const text = await textOf(document, call)
    const read = await answerReader(call)
    const response = await this.#ask(call, text)
    const result = await read(response, text.text, (body) => readGraphQL(response, body, text.text, call))
    const { status, headers, redirected } = response
    const wallNow = call.scope.services.clock.wallNow()
    const failure = graphqlFailure({ result, document, policy, status, headers, wallNow })
    if (failure) {
      const error = new CallError(sentOnce(behindRedirects(failure, redirected), call), call)
      if (failure.code === 'unauthenticated' && failure.isRetryForbidden) this.#spent.set(call.scope.root, error)
      throw error
    }
    const message = messageOf(result, policy)
    return { kind: 'unary', message, status, headers, trailers: HeaderMap.empty, extensions: result.extensions }
  }

  #ask(call: Call, document: DocumentText): Promise<Answer> {
    const { features: [first] = this.#options.features ?? [] } = call.operation.binding as GraphQLBinding
    return first
      ? (first as AskingFeature).ask(call, document, this)
      : this.request(call, { body: `${document.head}${requestRest(call, this.idempotency)}}` })
  }

  /** Sends a request of a call, and collects the answer. @throws {CallError} where there is none. */
  request(call: Call, part: Partial<HttpRequest>): Promise<BufferedResponse> {
    const { maxBodyBytes } = this
    return requestBuffered(this.engine, this.requestOf(call, part), call.scope, { maxBodyBytes }).catch(
      (error: unknown) => {
        throw toCallError(error, call)
      },
    )
  }

  /** @param part - what differs from the POST of a JSON. */
  requestOf(call: Call, part: Partial<HttpRequest>): HttpRequest {
    const { credential } = call
    return {
      method: 'POST',
      headers: part.headers ?? this.makeHeaders(call),
      credential,
      fetchOptions: this.fetchOptions,
      ...part,
      url: addQuery(part.url ?? this.url, credential?.query),
    }
  }
}
