import type { Call } from '../../src/core/call/call.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { GrpcWebExchange } from './exchange.ts'
import type { DescMethod } from './peer-protobuf.ts'

/** What the transports know of an operation. */
export interface RpcBinding {
  readonly method: DescMethod
}

/** One message back, with what came with it. */
export interface ConnectUnary {
  readonly message: unknown
  readonly status: number
  readonly headers: HeaderMap
  readonly trailers: HeaderMap
}

/** An open stream of a Connect transport. */
export interface ConnectStream {
  readonly messages: AsyncIterable<unknown>
  /** Bytes of the next message, where known; asked once for each. */
  readonly nextSize?: () => number | undefined
  readonly status: number
  readonly headers: HeaderMap
  /** Complete when the messages have ended. */
  readonly trailers: () => HeaderMap
}

/** One attempt of one call over a Connect transport: a fresh call of the transport, and what is known when it fails. */
export interface ConnectAttempt {
  unary(message: unknown): Promise<ConnectUnary>
  stream(messages: AsyncIterable<unknown>): Promise<ConnectStream>
  /** What a rejection of the two means: a CallError, or the reason of an abort. */
  toError(error: unknown): unknown
  /** Closes the wire of a stream, since a Connect stream cannot be returned from. */
  close(reason: unknown): void
  /** The stream has ended by itself. */
  end(): void
}

/** The method of a call; only calls of operations made by `rpc` come here. */
export function methodOf(call: Call): DescMethod {
  return (call.operation.binding as RpcBinding).method
}

/** A message that cannot be encoded: the caller's mistake, found before anything was sent. */
export function unencodable(call: Call, cause: unknown): CallError {
  const message = `the message does not encode as ${methodOf(call).input.typeName}: see cause; nothing was sent`
  return new CallError({ code: 'invalid_argument', message, phase: 'resolve', sent: 'no', cause }, call)
}

/** A reply that is none of the method's. */
export function undecodable(call: Call, exchange: GrpcWebExchange, cause: unknown): CallError {
  const message = `a reply does not decode as ${methodOf(call).output.typeName}: do both sides use the same .proto?`
  return new CallError(exchange.broken('internal', message, cause), call)
}

/** Client streaming where only one message can be sent. */
export function needsConnectTransport(call: Call): CallError {
  const message =
    'gRPC-Web carries no stream of requests: pass connectTransport({ transport: createGrpcTransport(…) }) of @connectrpc/connect-node; nothing was sent'
  return new CallError({ code: 'unimplemented', message, phase: 'resolve', sent: 'no' }, call)
}
