import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Interceptor } from '../../src/core/call/interceptor.ts'
import { trusted } from '../../src/core/call/interceptor.ts'
import type { UnaryReply } from '../../src/core/call/reply.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import { httpFailure } from '../http/errors.ts'
import { type Answer, makeResponse } from '../http/responder.ts'
import { ExhaustedCalls } from './exhausted.ts'
import type { FetchInput } from './request.ts'
import { watched } from './watch.ts'

/** A reply whose message is a Response, which holds the call until its body is over. */
export function toReply({ response, status, headers, finished, discard }: Answer): UnaryReply {
  const reply = {
    kind: 'unary',
    message: response,
    status,
    headers,
    trailers: HeaderMap.empty,
    discard,
  } as const
  if (!finished) return reply
  const ended = finished.then(() => undefined)
  ended.catch(() => undefined)
  return { ...reply, finished: ended }
}

/** The error inside of the chain that an answer of 400 and more is; its body stays unread. */
export function toAnswerError(call: Call, { status, headers, redirected }: Answer): CallError {
  const essence = (headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const { idempotencyKey } = call
  const failure = httpFailure(
    { status, headers, redirected, body: undefined, essence, idempotencyKey },
    call.scope.services.clock.wallNow(),
  )
  return new CallError(failure, call)
}

/**
 * Stands before the whole chain: gives the caller of a fetch the answer that the last attempt has failed with, since a
 * fetch does not reject for it; and tells a client that repeats a call of which all attempts have failed.
 */
export function handOut(): Interceptor {
  const exhausted = new ExhaustedCalls()
  return trusted(function handOut(next) {
    return (call) => {
      const before = exhausted.find(call)
      // An answer has a body, which is gone: it is asked for once more, and only once.
      const once = before && call.with({ options: { ...call.options, retry: false } })
      if (before && before.status === undefined) return Promise.reject(before)
      return next(once ?? call).catch((error: unknown) => {
        if (isAnyCallError(error)) exhausted.note(call, error)
        return handedOut(call, error)
      })
    }
  })
}

function handedOut(call: Call, error: unknown): UnaryReply {
  const { kept } = call.input as FetchInput
  if (!kept) throw error
  const isAnswer = isAnyCallError(error) && error.status === kept.status && !call.scope.isOver
  if (!isAnswer) {
    kept.discard()
    throw error
  }
  // Whoever ends the call ends the body, whatever attempt it belongs to.
  call.scope.onAbort((reason) => kept.abort(reason))
  const answer = {
    ...kept,
    response: finalAnswer(kept.response),
    discard: () => kept.discard(),
    abort: (reason: unknown) => kept.abort(reason),
  }
  return toReply(watched(answer, call))
}

/** Tells clients that retry by themselves that it was done: layers must not multiply. */
function finalAnswer(response: Response): Response {
  // A mock stays what it is.
  if (typeof response.clone !== 'function') return response
  const headers = new Headers(response.headers)
  headers.set('x-should-retry', 'false')
  return makeResponse(response.body, headers, response)
}
