import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { UnaryReply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { type BufferedResponse, requestBuffered } from '../http/collect.ts'
import type { FetchOptions, HttpEngine } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { graphqlFailure } from './errors.ts'
import { execute } from './executor.ts'
import { type GraphQLHeaderOptions, GraphQLHeaders } from './headers.ts'
import { type GraphQLBinding, messageOf } from './operation.ts'
import { type DocumentText, textOf } from './print.ts'
import { requestRest } from './request.ts'
import { readGraphQL } from './response.ts'

/** What the HTTP half of the transport is made of. */
export interface GraphQLHttpOptions {
  readonly engine: HttpEngine
  /** Absolute. */
  readonly url: string
  readonly headers: GraphQLHeaderOptions
  readonly maxBodyBytes: number
  readonly fetchOptions: FetchOptions | undefined
  /** The transport's profile; an operation's own wins. */
  readonly idempotency: IdempotencyOption | undefined
}

/** Queries and mutations, each by one POST. */
export class GraphQLHttp {
  readonly #options: GraphQLHttpOptions
  readonly #headers: GraphQLHeaders
  /** Mutations that may have run before their credential was refused: a replay must not run them twice. */
  readonly #spent = new WeakMap<Scope, CallError>()

  constructor(options: GraphQLHttpOptions) {
    this.#options = options
    this.#headers = new GraphQLHeaders(options.headers)
  }

  /** @throws {CallError} by the body, else by the HTTP status. */
  send(call: Call): Promise<UnaryReply> {
    const spent = call.operation.isIdempotent ? undefined : this.#spent.get(call.scope.root)
    if (spent) return Promise.reject(spent)
    const text = textOf((call.operation.binding as GraphQLBinding).document, call)
    return text instanceof Promise ? text.then((printed) => this.#send(call, printed)) : this.#send(call, text)
  }

  async #send(call: Call, document: DocumentText): Promise<UnaryReply> {
    const { document: prepared, policy } = call.operation.binding as GraphQLBinding
    const wallNow = () => call.scope.services.clock.wallNow()
    let response: BufferedResponse | undefined
    const result = await execute({
      url: this.#options.url,
      document,
      origin: call,
      rest: () => requestRest(call, this.#options.idempotency),
      post: async (url, body) => (response = await this.#post(call, url, body)).text(),
      read: (text) => readGraphQL({ ...headOf(response), text }, call.idempotencyKey !== undefined, wallNow(), call),
    })
    const { status, headers } = headOf(response)
    const failure =
      result.errors && graphqlFailure({ result, document: prepared, policy, status, headers, wallNow: wallNow() })
    if (failure) throw this.#fail(failure, call)
    return { kind: 'unary', message: messageOf(result, policy), status, headers, trailers: HeaderMap.empty }
  }

  #fail(failure: Failure, call: Call): CallError {
    const error = new CallError(failure, call)
    if (failure.code === 'unauthenticated' && failure.isRetryForbidden) this.#spent.set(call.scope.root, error)
    return error
  }

  #post(call: Call, url: string, body: string): Promise<BufferedResponse> {
    const { engine, maxBodyBytes, fetchOptions } = this.#options
    const { credential } = call
    const request = {
      method: 'POST',
      url: credential?.query ? withQuery(url, credential.query) : url,
      headers: this.#headers.make(call),
      credentialHeaders: credential?.headers && Object.keys(credential.headers),
      body,
      fetchOptions,
    }
    const sent = requestBuffered(engine, request, call.scope, { maxBodyBytes })
    return sent.catch((error: unknown) => {
      throw toCallError(error, call)
    })
  }
}

function headOf(response: BufferedResponse | undefined): Pick<BufferedResponse, 'status' | 'headers'> {
  return response ?? { status: 200, headers: HeaderMap.empty }
}

function withQuery(url: string, query: Readonly<Record<string, string>>): string {
  const target = new URL(url)
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value)
  return target.href
}
