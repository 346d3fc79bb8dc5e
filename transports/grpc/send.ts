import type { Call } from '../../src/core/call/call.ts'
import type { Reply, UnaryReply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { ConnectAttempt, ConnectStream } from './attempt.ts'
import { openConnectStream } from './connect-stream.ts'
import { CallerMessages, OneMessage } from './messages.ts'
import { OutboxMessages } from './outbox.ts'
import type { GrpcStreamTimes } from './stream.ts'

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
  if (!call.outbox)
    throw new CallError({ code: 'internal', message: 'a bidi stream was called without an outbox' }, call)
  // What is sent comes from the call's outbox, which outlives the attempt.
  const messages = new OutboxMessages(call.outbox)
  return openConnectStream(call, attempt, messages, times, (reason) => messages.release(reason))
}

/** One message there, many back. */
export function sendServerStream(
  call: Call,
  attempt: ConnectAttempt,
  input: unknown,
  times: GrpcStreamTimes,
): Promise<Reply> {
  return openConnectStream(call, attempt, new OneMessage(input), times)
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
    const stream = await attempt.stream(messages)
    return await single(stream, call)
  } catch (error) {
    const known = attempt.toError(error)
    attempt.close(error)
    throw messages.failure && !call.scope.isAborted ? sourceFailure(messages.failure.error, call) : known
  } finally {
    attempt.end()
  }
}

async function single(stream: ConnectStream, call: Call): Promise<UnaryReply> {
  const messages: unknown[] = []
  for await (const message of stream.messages) messages.push(message)
  if (messages.length !== 1) {
    const message = `the server gave ${messages.length} messages for a client stream, which has one reply`
    throw new CallError({ code: 'unimplemented', message, phase: 'body', sent: 'yes' }, call)
  }
  const { status, headers, trailers } = stream
  return { kind: 'unary', message: messages[0], status, headers, trailers: trailers() }
}

function iterableOf(call: Call): AsyncIterable<unknown> | Iterable<unknown> {
  const input = call.input as object | null | undefined
  if (typeof input === 'object' && input !== null && (Symbol.asyncIterator in input || Symbol.iterator in input))
    return input as never
  const message = 'a client stream takes an array, an iterable or an async iterable of messages; nothing was sent'
  throw new CallError({ code: 'invalid_argument', message, phase: 'resolve', sent: 'no' }, call)
}

/** The caller's own iterable failed: the server got a cut stream. */
function sourceFailure(cause: unknown, call: Call): CallError {
  const message = 'the iterable that gives the messages threw: see cause'
  return new CallError({ code: 'canceled', message, phase: 'send', sent: 'maybe', cause }, call)
}
