import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import { grpcTimeoutMs } from '../shared/grpc-timeout.ts'
import { type ConnectAttempt, type ConnectStream, type ConnectUnary, methodOf } from './attempt.ts'
import { connectFailure } from './connect-errors.ts'
import { attemptHeader } from './request.ts'

/** Any Transport of @connectrpc/connect, by its shape: Polywire's types need no copy of the library. */
export interface ConnectTransportLike {
  unary(method: any, signal: any, timeoutMs: number | undefined, header: any, input: any): Promise<ConnectResponseLike>
  stream(method: any, signal: any, timeoutMs: number | undefined, header: any, input: any): Promise<ConnectResponseLike>
}

/** What such a transport gives: one message, or a stream of them. */
export interface ConnectResponseLike {
  readonly header: Iterable<[string, string]>
  readonly message: any
  readonly trailer: Iterable<[string, string]>
}

/** One attempt over a Connect transport of the user's. */
export class ConnectTransportAttempt implements ConnectAttempt {
  readonly #call: Call
  readonly #transport: ConnectTransportLike
  readonly #headers: Readonly<Record<string, string>>
  readonly #scope: Scope

  constructor(call: Call, transport: ConnectTransportLike, headers: Readonly<Record<string, string>>) {
    this.#call = call
    this.#transport = transport
    this.#headers = headers
    // The signal of an attempt that has ended must not be the one of the next.
    this.#scope = call.scope.fork()
  }

  async unary(message: unknown): Promise<ConnectUnary> {
    const { header, message: reply, trailer } = await this.#start('unary', message)
    return { message: reply, status: 200, headers: HeaderMap.from(header), trailers: HeaderMap.from(trailer) }
  }

  async stream(messages: AsyncIterable<unknown>): Promise<ConnectStream> {
    const { header, message, trailer } = await this.#start('stream', messages)
    return { messages: message, status: 200, headers: HeaderMap.from(header), trailers: () => HeaderMap.from(trailer) }
  }

  toError(error: unknown): unknown {
    if (this.#scope.isAborted) return this.#scope.reason
    return isAnyCallError(error) ? error : new CallError(connectFailure(error, this.#call), this.#call)
  }

  close(reason: unknown): void {
    this.#scope.abort(reason)
  }

  end(): void {
    this.#scope.end()
  }

  async #start(shape: 'unary' | 'stream', input: unknown): Promise<ConnectResponseLike> {
    const call = this.#call
    if (call.credential?.query) throw queryRefused(call)
    const timeoutMs = call.isDeadlineSent ? grpcTimeoutMs(call.remainingMs) : undefined
    const headers = { ...this.#headers, ...call.headers, ...attemptHeader(call), ...call.credential?.headers }
    call.scope.mark('send', 'maybe')
    return this.#transport[shape](methodOf(call), this.#scope.signal, timeoutMs, headers, input)
  }
}

function queryRefused(call: Call): CallError {
  const message =
    'the credential stands in the query, which a Connect transport cannot write: take one for a header; nothing was sent'
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}
