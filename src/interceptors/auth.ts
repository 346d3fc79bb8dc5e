import type { Auth, Credential } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import { ours } from '../core/call/compose.ts'
import type { Interceptor, Next } from '../core/call/interceptor.ts'
import type { Reply } from '../core/call/reply.ts'
import { CallError, isAnyCallError } from '../core/errors/error.ts'

/**
 * Gives every attempt a fresh credential, and replays once with a newer one after `unauthenticated`.
 *
 * It stands inside retry, so that each attempt and each re-open of a stream asks anew; a replay costs no retry budget.
 * The credential stands on the call, not among its headers: the transport applies it, to its own origin only.
 */
export function auth(source: Auth): Interceptor {
  return ours(function auth(call, next) {
    const credential = ask(source, call)
    return credential instanceof Promise
      ? credential.then((given) => send(source, call, next, given))
      : send(source, call, next, credential)
  })
}

function send(source: Auth, call: Call, next: Next, credential: Credential | undefined): Promise<Reply> {
  if (!credential) return next(call)
  const sent = next(call.with({ credential }))
  if (!source.refresh) return sent
  return sent.catch((error: unknown) => replay(source, call, next, credential, error))
}

async function replay(source: Auth, call: Call, next: Next, rejected: Credential, error: unknown): Promise<Reply> {
  if (!isAnyCallError(error) || error.code !== 'unauthenticated' || call.scope.isOver || isStepUp(error)) throw error
  if (call.operation.isReplayable && !call.operation.isReplayable(call.input)) throw error
  const newer = await source.refresh?.(rejected, call, error)
  if (!newer || newer === rejected || call.scope.isOver) throw error
  return next(call.with({ credential: newer }))
}

/** RFC 9470: the server wants another login, which no refresh gives. */
function isStepUp(error: CallError): boolean {
  return error.reason === 'insufficient_user_authentication'
}

function ask(source: Auth, call: Call): ReturnType<Auth['credential']> {
  const explain = (cause: unknown): never => {
    if (isAnyCallError(cause)) throw cause
    const message = `the credential source '${source.name}' failed: see cause; nothing was sent`
    throw new CallError({ code: 'unauthenticated', message, phase: 'resolve', sent: 'no', cause }, call)
  }
  try {
    const credential = source.credential(call)
    return credential instanceof Promise ? credential.catch(explain) : credential
  } catch (cause) {
    return explain(cause)
  }
}
