import type { Call } from '../../src/core/call/call.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { GrpcWebExchange } from './exchange.ts'
import { encodeFrame } from './frames.ts'
import { withOwnBytes } from './messages.ts'
import { methodOf } from './operation.ts'
import { type Protobuf, protobuf } from './peers.ts'
import { type GrpcWebWire, grpcWebHeaders } from './request.ts'
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
  if (codec instanceof Promise) return codec.then((loaded) => framedUnary(call, wire, loaded, input))
  return framedUnary(call, wire, codec, input)
}

/** One message back. */
function framedUnary(call: Call, wire: GrpcWebWire, codec: Protobuf, input: unknown): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { scope } = call
    let content: Uint8Array
    const exchange = new GrpcWebExchange(call, wire, scope, {
      onMessage(bytes) {
        content = bytes
      },
      onDone() {
        const { failure, status, headers, trailers } = exchange
        if (scope.isAborted) reject(scope.reason)
        else if (failure) reject(new CallError(failure, call))
        else
          try {
            const message = decode(call, wire, codec, content)
            resolve({ kind: 'unary', message, status, headers, trailers })
          } catch (error) {
            reject(undecodable(call, exchange, error))
          }
      },
    })
    start(call, wire, codec, input, exchange)
  })
}

/** A server stream framed by ourselves: many messages back. @throws {CallError} as the mapping tables say. */
export async function sendFramedStream(
  call: Call,
  wire: GrpcWebWire,
  input: unknown,
  times: GrpcStreamTimes,
): Promise<Reply> {
  const codec = await protobuf.get(call)
  // Its own: a stream is closed without its call, also before its head has come.
  const scope = call.scope.fork()
  const fail = (error: unknown): void => {
    stream.fail(error, exchange.trailers)
    exchange.cancel()
    scope.end()
  }
  const exchange = new GrpcWebExchange(call, wire, scope, {
    onHead: (head) => stream.headed(head),
    onMessage(content) {
      try {
        stream.push(decode(call, wire, codec, content), content.length)
      } catch (error) {
        fail(undecodable(call, exchange, error))
      }
    },
    onDone() {
      const { failure, trailers } = exchange
      if (scope.isAborted) fail(scope.reason)
      else if (failure) fail(new CallError(failure, call))
      else {
        stream.finish(trailers)
        scope.end()
      }
    },
  })
  const stream = new GrpcStream(call, {
    ...times,
    onLeave: (reason) => scope.abort(reason),
    onPause: () => exchange.pause(),
    onResume: () => exchange.resume(),
  })
  try {
    start(call, wire, codec, input, exchange)
  } catch (error) {
    fail(error)
  }
  return stream.opened
}

/** Our own name, unless the user gives another. */
const userAgent = { 'x-user-agent': 'polywire' }
const protocolHeaders = { 'content-type': 'application/grpc-web+proto', 'x-grpc-web': '1' }

/** @throws {CallError} where the message does not encode. */
function start(
  call: Call,
  wire: GrpcWebWire,
  { create, toBinary }: Protobuf,
  input: unknown,
  exchange: GrpcWebExchange,
): void {
  const { parent, name, input: schema } = methodOf(call)
  let message: Uint8Array
  try {
    message = toBinary(schema, create(schema, input as never), wire.connectOptions.binaryOptions)
  } catch (cause) {
    throw unencodable(call, cause)
  }
  const headers = { ...userAgent, ...grpcWebHeaders(call, wire), ...protocolHeaders }
  exchange.send(`${wire.baseUrl}/${parent.typeName}/${name}`, headers, encodeFrame(0, message))
}

/** Nothing of a message keeps the read buffer of a socket alive. */
function decode(call: Call, wire: GrpcWebWire, { fromBinary }: Protobuf, content: Uint8Array): unknown {
  const { output } = methodOf(call)
  return withOwnBytes(output, fromBinary(output, content, wire.connectOptions.binaryOptions))
}
