import type { Call } from '../../src/core/call/call.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import {
  type ConnectAttempt,
  type ConnectStream,
  type ConnectUnary,
  methodOf,
  undecodable,
  unencodable,
} from './attempt.ts'
import { grpcCode } from './errors.ts'
import { GrpcWebExchange } from './exchange.ts'
import { ConnectFetch, type ConnectResponse } from './fetch.ts'
import { connectWeb } from './peers.ts'
import { addQuery, type GrpcWebWire, grpcWebHeaders } from './request.ts'

/** What connect-web gives to a fetch. */
interface FetchInit {
  readonly headers: Iterable<[string, string]>
  readonly body: Uint8Array
}

/** One attempt by connect-web with our engine as its fetch. */
export class ConnectWebAttempt implements ConnectAttempt {
  readonly #call: Call
  readonly #wire: GrpcWebWire
  readonly #scope: Scope
  readonly #exchange: GrpcWebExchange
  readonly #response: ConnectFetch
  #isSent = false

  constructor(call: Call, wire: GrpcWebWire) {
    const isStream = call.operation.kind === 'server_stream'
    this.#call = call
    this.#wire = wire
    // A stream is closed on its own, also before its head has come.
    this.#scope = isStream ? call.scope.fork() : call.scope
    this.#response = new ConnectFetch(() => this.#exchange)
    const { format, maxMessageBytes, isCrossOrigin } = wire
    const options = { scope: this.#scope, isStream, format, maxMessageBytes, isCrossOrigin }
    this.#exchange = new GrpcWebExchange(options, this.#response)
  }

  async unary(message: unknown): Promise<ConnectUnary> {
    const transport = await this.#transport()
    const response = await transport.unary(
      methodOf(this.#call) as never,
      undefined,
      undefined,
      this.#headers(),
      message as never,
    )
    const { status, headers, trailers } = this.#exchange
    return { message: response.message, status, headers, trailers }
  }

  async stream(messages: AsyncIterable<unknown>): Promise<ConnectStream> {
    const transport = await this.#transport()
    const method = methodOf(this.#call) as never
    const response = await transport.stream(method, undefined, undefined, this.#headers(), messages as never)
    const { status, headers } = this.#exchange
    const nextSize = () => this.#response.nextSize()
    return { messages: response.message, nextSize, status, headers, trailers: () => this.#exchange.trailers }
  }

  toError(error: unknown): unknown {
    if (this.#scope.isAborted) return this.#scope.reason
    if (isAnyCallError(error)) return error
    if (!this.#isSent) return this.#unsent(error)
    const { failure } = this.#exchange
    this.#exchange.cancel()
    if (!failure) return undecodable(this.#call, this.#exchange, error)
    return new CallError({ cause: error, ...failure }, this.#call)
  }

  close(reason: unknown): void {
    this.#scope.abort(reason)
    this.#response.close()
  }

  end(): void {
    if (this.#scope !== this.#call.scope) this.#scope.end()
  }

  async #transport() {
    const { createGrpcWebTransport } = await connectWeb.get(this.#call)
    const { baseUrl, connectOptions, format } = this.#wire
    const fetch = (url: string, init: FetchInit) => this.#fetch(url, init)
    return createGrpcWebTransport({
      ...connectOptions,
      baseUrl,
      useBinaryFormat: format === 'proto',
      fetch: fetch as never,
    })
  }

  #headers(): Record<string, string> {
    return grpcWebHeaders(this.#call, this.#wire)
  }

  #fetch(url: string, { headers, body }: FetchInit): Promise<ConnectResponse> {
    const { credential } = this.#call
    const { fetchOptions } = this.#wire
    this.#isSent = true
    const request = {
      method: 'POST',
      url: addQuery(url, credential?.query),
      headers: Object.fromEntries(headers),
      credentialHeaders: credential?.headers && Object.keys(credential.headers),
      body,
      fetchOptions,
    }
    this.#wire.engine.send(request, this.#exchange, this.#scope)
    return this.#response.response
  }

  #unsent(error: unknown): CallError {
    if (!this.#wire.connectOptions.interceptors) return unencodable(this.#call, error)
    const code = grpcCode(Number((error as { readonly code?: unknown }).code))
    const message = 'an interceptor of Connect refused the call: see cause; nothing was sent'
    return new CallError({ code, message, phase: 'resolve', sent: 'no', cause: error }, this.#call)
  }
}
