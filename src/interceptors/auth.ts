import type { Auth, Credential } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import { ownCredential } from '../core/call/credential.ts'
import type { Interceptor, Next } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import type { Reply } from '../core/call/reply.ts'
import { SelfWait } from '../core/call/token-run.ts'
import { CallError, failureOf, isAnyCallError } from '../core/errors/error.ts'
import type { Failure } from '../core/errors/failure.ts'
import { isTransient } from '../core/errors/transient.ts'
import { isThenable } from '../core/guard.ts'

/**
 * Gives every attempt a fresh credential, and replays once with a newer one after `unauthenticated`.
 *
 * It stands inside retry, so that each attempt and each re-open of a stream asks anew; a replay costs no retry budget.
 * The credential stands on the call, not among its headers: the transport applies it, to its own origin only. A call
 * that brings a header of its own is asked nothing and never replayed; an operation with `auth: false` carries nothing.
 */
export function auth(source: Auth): Interceptor {
  return trusted(function auth(next) {
    return (call) => {
      const own = ownCredential(call, source.header)
      if (own) return next(call.with({ credential: own }))
      if (call.operation.auth === false) return next(call)
      const credential = ask(source, call)
      return credential instanceof Promise
        ? credential.then((granted) => send(source, call, next, granted))
        : send(source, call, next, credential)
    }
  })
}

function send(source: Auth, call: Call, next: Next, credential: Credential | undefined): Promise<Reply> {
  if (!credential) return next(call)
  const reply = next(call.with({ credential }))
  if (!source.refresh) return reply
  return reply.catch((error: unknown) => replay(source, call, next, credential, error))
}

async function replay(source: Auth, call: Call, next: Next, rejected: Credential, error: unknown): Promise<Reply> {
  if (!isAnyCallError(error) || call.scope.isOver || !isVerdict(error)) throw error
  if (call.operation.isReplayable && !call.operation.isReplayable(call.input)) throw error
  const newer = await renewed(source, call, rejected, error)
  if (!newer || newer === rejected || call.scope.isOver) throw error
  return next(call.with({ credential: newer }))
}

/**
 * Whether the error says that this credential was refused, and that the request may be sent again with another: a hop
 * that was sent no credential says nothing about it; what a redirect has made a GET of was carried out; and RFC 9470
 * asks for another login, which no refresh gives.
 */
function isVerdict(error: CallError): boolean {
  const { isForeignRefusal, isMoved } = failureOf(error)
  return (
    error.code === 'unauthenticated' &&
    error.reason !== 'insufficient_user_authentication' &&
    !isForeignRefusal &&
    !isMoved
  )
}

function ask(source: Auth, call: Call): ReturnType<Auth['credential']> {
  const explain = (cause: unknown): never => {
    throw sourceFailure(source, call, cause, { phase: 'resolve', sent: 'no' })
  }
  try {
    const credential = source.credential(call)
    return isThenable(credential) ? Promise.resolve(credential).catch(explain) : credential
  } catch (cause) {
    return explain(cause)
  }
}

async function renewed(
  source: Auth,
  call: Call,
  rejected: Credential,
  refusal: CallError,
): Promise<Credential | undefined> {
  try {
    return await source.refresh?.(rejected, call, refusal)
  } catch (cause) {
    const { phase, sent, status } = refusal
    // The server has refused the request, so it has not carried it out.
    throw sourceFailure(source, call, cause, { phase, sent, status, isUnexecuted: true })
  }
}

/**
 * An error of this call's own, whoever else waits for the same source: transient where its cause is. The reason that the
 * server of the tokens has given is what the caller has to act on.
 */
function sourceFailure(source: Auth, call: Call, cause: unknown, where: Partial<Failure>): CallError {
  const told = isAnyCallError(cause) ? cause : undefined
  // Of this call, or of the one that the source has made: the words are the same, since the mend is.
  const wait = told ? told.cause : cause
  const isSelf = wait instanceof SelfWait
  const isRetryable = !isSelf && isTransient(cause)
  const isUnsent = where.sent === 'no'
  const what = isUnsent
    ? `the credential source '${source.name}' failed`
    : 'the credential was refused, and its renewal failed'
  const why = isSelf ? wait.message : `${what}: see cause${isRetryable ? '' : ', or log in again'}`
  const code = isSelf ? 'failed_precondition' : isRetryable ? 'unavailable' : 'unauthenticated'
  const message = isUnsent ? `${why}; nothing was sent` : why
  return new CallError({ ...where, code, message, isRetryable, reason: told?.reason, cause }, call)
}
