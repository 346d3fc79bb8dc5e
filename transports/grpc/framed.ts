import type { Call } from '../../src/core/call/call.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { HttpHead } from '../http/contract.ts'
import { type ExchangeReader, GrpcWebExchange } from './exchange.ts'
import { encodeFrame } from './frames.ts'
import { withOwnBytes } from './messages.ts'
import { methodOf } from './operation.ts'
import { type Protobuf, protobuf } from './peers.ts'
import { addQuery, type GrpcWebWire, grpcWebHeaders } from './request.ts'
import { undecodable, unencodable } from './send.ts'
import { GrpcStream, type GrpcStreamTimes } from './stream.ts'

/**
 * A unary call framed by ourselves, straight on the engine: connect-web's ReadableStream, Headers and signals cost more
 * than all the rest of a call.
 *
 * @throws {CallError} as the mapping tables say.
 */
export function sendFramedUnary(call: Call, wire: GrpcWebWire, input: unknown): Promise<Reply> {
  const codec = protobuf.get(call)
  if (codec instanceof Promise) return codec.then((loaded) => new FramedUnary(call, wire, loaded).send(input))
  return new FramedUnary(call, wire, codec).send(input)
}

/** A server stream framed by ourselves. @throws {CallError} as the mapping tables say. */
export async function sendFramedStream(
  call: Call,
  wire: GrpcWebWire,
  input: unknown,
  times: GrpcStreamTimes,
): Promise<Reply> {
  return new FramedStream(call, wire, await protobuf.get(call), times).send(input)
}

/** One message back. */
class FramedUnary implements ExchangeReader {
  readonly #call: Call
  readonly #wire: GrpcWebWire
  readonly #codec: Protobuf
  readonly #exchange: GrpcWebExchange
  #content: Uint8Array | undefined
  #resolve: (reply: Reply) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(call: Call, wire: GrpcWebWire, codec: Protobuf) {
    this.#call = call
    this.#wire = wire
    this.#codec = codec
    this.#exchange = new GrpcWebExchange(call, wire, call.scope, this)
  }

  send(input: unknown): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      start(this.#call, this.#wire, this.#codec, input, this.#exchange, this.#call.scope)
    })
  }

  onMessage(content: Uint8Array): void {
    this.#content = content
  }

  onDone(): void {
    const { scope } = this.#call
    if (scope.isAborted) this.#reject(scope.reason)
    else {
      const { failure } = this.#exchange
      if (failure) this.#reject(new CallError(failure, this.#call))
      else this.#settle(this.#content as Uint8Array)
    }
  }

  #settle(content: Uint8Array): void {
    const { status, headers, trailers } = this.#exchange
    try {
      const message = decode(this.#call, this.#wire, this.#codec, content)
      this.#resolve({ kind: 'unary', message, status, headers, trailers })
    } catch (error) {
      this.#reject(undecodable(this.#call, this.#exchange, error))
    }
  }
}

/** Many messages back. */
class FramedStream implements ExchangeReader {
  readonly #call: Call
  readonly #wire: GrpcWebWire
  readonly #codec: Protobuf
  /** Its own: a stream is closed without its call, also before its head has come. */
  readonly #scope: Scope
  readonly #exchange: GrpcWebExchange
  readonly #stream: GrpcStream

  constructor(call: Call, wire: GrpcWebWire, codec: Protobuf, times: GrpcStreamTimes) {
    this.#call = call
    this.#wire = wire
    this.#codec = codec
    this.#scope = call.scope.fork()
    this.#exchange = new GrpcWebExchange(call, wire, this.#scope, this)
    this.#stream = new GrpcStream(call, {
      ...times,
      onLeave: (reason) => this.#scope.abort(reason),
      onPause: () => this.#exchange.pause(),
      onResume: () => this.#exchange.resume(),
    })
  }

  send(input: unknown): Promise<Reply> {
    try {
      start(this.#call, this.#wire, this.#codec, input, this.#exchange, this.#scope)
    } catch (error) {
      this.#fail(error)
    }
    return this.#stream.opened
  }

  onHead(head: HttpHead): void {
    this.#stream.headed(head)
  }

  onMessage(content: Uint8Array): void {
    try {
      this.#stream.push(decode(this.#call, this.#wire, this.#codec, content), content.length)
    } catch (error) {
      this.#fail(undecodable(this.#call, this.#exchange, error))
    }
  }

  onDone(): void {
    const { failure } = this.#exchange
    if (this.#scope.isAborted) this.#fail(this.#scope.reason)
    else if (failure) this.#fail(new CallError(failure, this.#call))
    else {
      this.#stream.finish(this.#exchange.trailers)
      this.#scope.end()
    }
  }

  #fail(error: unknown): void {
    this.#stream.fail(error, this.#exchange.trailers)
    this.#exchange.cancel()
    this.#scope.end()
  }
}

/** Our own name, unless the user gives another. */
const userAgent = { 'x-user-agent': 'polywire' }
const protocolHeaders = { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' }

function start(
  call: Call,
  wire: GrpcWebWire,
  { create, toBinary }: Protobuf,
  input: unknown,
  exchange: GrpcWebExchange,
  scope: Scope,
): void {
  const { parent, name, input: schema } = methodOf(call)
  const { credential } = call
  let message: Uint8Array
  try {
    message = toBinary(schema, create(schema, input as never), wire.connectOptions.binaryOptions)
  } catch (cause) {
    throw unencodable(call, cause)
  }
  const request = {
    method: 'POST',
    url: addQuery(`${wire.baseUrl}/${parent.typeName}/${name}`, credential?.query),
    headers: { ...userAgent, ...grpcWebHeaders(call, wire), ...protocolHeaders },
    credential,
    body: encodeFrame(0, message),
    fetchOptions: wire.fetchOptions,
  }
  wire.engine.send(request, exchange, scope)
}

/** Nothing of a message keeps the read buffer of a socket alive. */
function decode(call: Call, wire: GrpcWebWire, { fromBinary }: Protobuf, content: Uint8Array): unknown {
  const { output } = methodOf(call)
  return withOwnBytes(output, fromBinary(output, content, wire.connectOptions.binaryOptions))
}
