import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Reply, StreamReply } from '../../src/core/call/reply.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import type { Sends } from '../../src/core/send-queue/sends.ts'
import { isObject } from '../../src/core/tag.ts'
import type { GrpcWebExchange } from './exchange.ts'
import { CallerMessages, oneMessage, SendQueueMessages, withOwnBytes } from './messages.ts'
import { methodOf } from './operation.ts'
import { GrpcStream, type GrpcStreamTimes } from './stream.ts'

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

/** A message that cannot be encoded: the caller's mistake, found before anything was sent. */
export function unencodable(call: Call, cause: unknown): CallError {
  return refusal(`the message does not encode as ${methodOf(call).input.typeName}: see cause`, call, cause)
}

/** A reply that is none of the method's. */
export function undecodable(call: Call, exchange: GrpcWebExchange, cause: unknown, hasInterceptors = false): CallError {
  const or = hasInterceptors ? ' Or an interceptor of Connect threw: see cause' : ''
  const message = `a reply does not decode as ${methodOf(call).output.typeName}: do both sides use the same .proto?${or}`
  return new CallError(exchange.broken('internal', message, cause), call)
}

/** Client streaming where only one message can be sent. */
export function needsConnectTransport(call: Call): CallError {
  const message =
    'gRPC-Web carries no stream of requests: use connectTransport() with createGrpcTransport() of @connectrpc/connect-node; nothing was sent'
  return new CallError({ code: 'unimplemented', message, phase: 'resolve', sent: 'no' }, call)
}

/** One attempt of a call of any kind over a Connect transport; apart, so that browsers need not load what they cannot do. */
export function sendByConnect(
  call: Call,
  attempt: ConnectAttempt,
  input: unknown,
  times: GrpcStreamTimes,
): Promise<Reply> {
  const { kind } = call.operation
  if (kind === 'unary') return sendUnary(attempt, input)
  if (kind === 'client_stream') return sendClientStream(call, attempt)
  if (kind === 'server_stream') return sendServerStream(call, attempt, input, times)
  // What is sent comes from the call's send queue, which outlives the attempt.
  const messages = new SendQueueMessages(call.sendQueue as Sends)
  return openConnectStream(call, attempt, messages, times, (reason) => messages.release(reason))
}

/** One message there, many back. */
export function sendServerStream(
  call: Call,
  attempt: ConnectAttempt,
  input: unknown,
  times: GrpcStreamTimes,
): Promise<Reply> {
  return openConnectStream(call, attempt, oneMessage(input), times)
}

/** One message each way. */
export async function sendUnary(attempt: ConnectAttempt, message: unknown): Promise<Reply> {
  try {
    return { kind: 'unary', ...(await attempt.unary(message)) }
  } catch (error) {
    throw attempt.toError(error)
  } finally {
    attempt.end()
  }
}

async function sendClientStream(call: Call, attempt: ConnectAttempt): Promise<Reply> {
  const messages = new CallerMessages(iterableOf(call))
  try {
    const { messages: replies, status, headers, trailers } = await attempt.stream(messages)
    return { kind: 'unary', message: await onlyMessage(replies, call), status, headers, trailers: trailers() }
  } catch (error) {
    const known = attempt.toError(error)
    attempt.close(error)
    throw messages.failure && !call.scope.isAborted ? sourceFailure(messages.failure.error, call) : known
  } finally {
    attempt.end()
  }
}

/** The one message of a reply that comes as a stream; a second one is not waited out. */
export async function onlyMessage(stream: AsyncIterable<unknown>, call: Call): Promise<unknown> {
  const messages: unknown[] = []
  for await (const message of stream) if (messages.push(withOwnBytes(methodOf(call).output, message)) > 1) break
  if (messages.length === 1) return messages[0]
  const several = messages.length > 1 ? 'several messages' : 'no message'
  const message = `the server gave ${several} for a ${call.operation.kind} call`
  throw new CallError({ code: 'unimplemented', message, phase: 'body', sent: 'yes' }, call)
}

function iterableOf(call: Call): AsyncIterable<unknown> | Iterable<unknown> {
  const input = call.input as object | null | undefined
  if (isObject(input) && (Symbol.asyncIterator in input || Symbol.iterator in input)) return input as never
  throw refusal('a client stream takes an iterable or async iterable of messages', call)
}

/** The caller's own iterable failed: the server got a cut stream. */
function sourceFailure(cause: unknown, call: Call): CallError {
  const message = 'the iterable of messages threw: see cause'
  return new CallError({ code: 'canceled', message, phase: 'send', sent: 'maybe', cause }, call)
}

/**
 * Opens a stream of a Connect transport and pumps it; a full queue holds the pump, and so the wire.
 *
 * @param onOver - closes what is sent; called when the stream is over for any reason.
 */
function openConnectStream(
  call: Call,
  attempt: ConnectAttempt,
  messages: AsyncIterable<unknown>,
  times: GrpcStreamTimes,
  onOver: (reason: unknown) => void = () => {},
): Promise<StreamReply> {
  let passed: Promise<void> | undefined
  let pass = (): void => {}
  const onResume = (): void => {
    pass()
    passed = undefined
  }
  const stream = new GrpcStream(call, {
    ...times,
    onPause() {
      passed ??= new Promise((resolve) => {
        pass = resolve
      })
    },
    onResume,
    onLeave(reason) {
      onOver(reason)
      attempt.close(reason)
      onResume()
    },
  })
  void pump(call, attempt, messages, stream, () => passed).then(onOver)
  return stream.opened
}

/**
 * Reads to the end; gives what the stream has failed with.
 *
 * @param gate - what is waited for while the queue is full.
 */
async function pump(
  call: Call,
  attempt: ConnectAttempt,
  messages: AsyncIterable<unknown>,
  stream: GrpcStream,
  gate: () => Promise<void> | undefined,
): Promise<unknown> {
  const { output } = methodOf(call)
  let opened: ConnectStream | undefined
  try {
    opened = await attempt.stream(messages)
    stream.headed(opened)
    for await (const message of opened.messages) {
      if (stream.isOver) break
      stream.push(withOwnBytes(output, message), opened.nextSize?.())
      const passed = gate()
      if (passed) await passed
    }
    stream.finish(opened.trailers())
    return undefined
  } catch (error) {
    const known = attempt.toError(error)
    stream.fail(known, (isAnyCallError(known) && known.trailers) || (opened?.trailers() ?? HeaderMap.empty))
    return known
  } finally {
    attempt.end()
  }
}
