import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { UnaryReply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { type BufferedResponse, requestBuffered } from '../http/collect.ts'
import type { FetchOptions, HttpEngine } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { behindRedirects } from '../http/progress.ts'
import { type DocumentText, textOf } from './document.ts'
import { graphqlFailure } from './errors.ts'
import { type GraphQLBinding, messageOf } from './operation.ts'
import { type GraphQLRequest, graphqlRequest } from './peers.ts'
import { requestRest } from './request.ts'
import { type GraphQLResult, readGraphQL } from './response.ts'

/** What the HTTP half of the transport is made of. */
export interface GraphQLHttpOptions {
  readonly engine: HttpEngine
  /** Absolute. */
  readonly url: string
  readonly makeHeaders: (call: Call) => Record<string, string>
  readonly maxBodyBytes: number
  readonly fetchOptions: FetchOptions | undefined
  /** The transport's profile; an operation's own wins. */
  readonly idempotency: IdempotencyOption | undefined
}

interface Executed {
  readonly result: GraphQLResult
  readonly response: BufferedResponse
}

/** Queries and mutations, each by one POST. */
export class GraphQLHttp {
  readonly #options: GraphQLHttpOptions
  /** Mutations that may have run before their credential was refused: a replay must not run them twice. */
  readonly #spent = new WeakMap<Scope, CallError>()

  constructor(options: GraphQLHttpOptions) {
    this.#options = options
  }

  /** @throws {CallError} by the body, else by the HTTP status. */
  async send(call: Call): Promise<UnaryReply> {
    const spent = call.operation.isIdempotent ? undefined : this.#spent.get(call.scope.root)
    if (spent) throw spent
    const { document: prepared, policy } = call.operation.binding as GraphQLBinding
    const found = textOf(prepared, call)
    const document = found instanceof Promise ? await found : found
    const loaded = graphqlRequest.get(call)
    const library = loaded instanceof Promise ? await loaded : loaded
    const { result, response } = await this.#execute(library, document, call)
    const { status, headers, redirected } = response
    const failure =
      result.errors &&
      graphqlFailure({
        result,
        document: prepared,
        policy,
        status,
        headers,
        wallNow: call.scope.services.clock.wallNow(),
      })
    if (failure) throw this.#fail(behindRedirects(failure, redirected), call)
    return {
      kind: 'unary',
      message: messageOf(result, policy),
      status,
      headers,
      trailers: HeaderMap.empty,
      extensions: result.extensions,
    }
  }

  #fail(failure: Failure, call: Call): CallError {
    const error = new CallError(failure, call)
    if (failure.code === 'unauthenticated' && failure.isRetryForbidden) this.#spent.set(call.scope.root, error)
    return error
  }

  /**
   * Executes a request with graphql-request: prepared text, POST only, errors beside data, all I/O by {@link #post}.
   *
   * Its own ways are shut where they are wrong: it parses nothing (`excludeOperationName`), its body is not sent (ours
   * is), it sees only responses that are GraphQL, and so never builds the error that quotes variables and response.
   */
  async #execute(
    { GraphQLClient }: GraphQLRequest,
    { head, text: query }: DocumentText,
    call: Call,
  ): Promise<Executed> {
    let response!: BufferedResponse
    let failed: { readonly error: unknown } | undefined
    const fetch = async () => {
      try {
        response = await this.#post(call, head)
      } catch (error) {
        failed = { error }
        throw error
      }
      const text = response.text()
      return { ok: true, status: 200, headers: graphqlHeaders, text: () => text }
    }
    const client = new GraphQLClient(this.#options.url, {
      errorPolicy: 'all',
      excludeOperationName: true,
      fetch: fetch as never,
      jsonSerializer: { stringify: () => '', parse: (text: string) => readGraphQL(response, text, query, call) },
    })
    try {
      return { result: (await client.rawRequest({ query })) as GraphQLResult, response }
    } catch (error) {
      if (failed) throw failed.error
      if (isAnyCallError(error)) throw error
      // Its own errors quote what was sent and received: their text goes nowhere.
      const message = 'graphql-request could not read the response'
      throw new CallError({ code: 'internal', message, phase: 'body', sent: 'maybe' }, call)
    }
  }

  #post(call: Call, head: string): Promise<BufferedResponse> {
    const { engine, idempotency, url, makeHeaders, maxBodyBytes, fetchOptions } = this.#options
    const { credential } = call
    const request = {
      method: 'POST',
      url: credential?.query ? withQuery(url, credential.query) : url,
      headers: makeHeaders(call),
      credential,
      body: `${head}${requestRest(call, idempotency)}}`,
      fetchOptions,
    }
    const sent = requestBuffered(engine, request, call.scope, { maxBodyBytes })
    return sent.catch((error: unknown) => {
      throw toCallError(error, call)
    })
  }
}

function withQuery(url: string, query: Readonly<Record<string, string>>): string {
  const target = new URL(url)
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value)
  return target.href
}

/** What graphql-request asks of a response that it is to read as GraphQL; `read` judges the HTTP status. */
const graphqlHeaders = { get: () => 'application/json' }
