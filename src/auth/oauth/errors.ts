import { HeaderMap } from '../../core/call/header-map.ts'
import { CallError, isAnyCallError } from '../../core/errors/error.ts'
import type { Failure } from '../../core/errors/failure.ts'
import { parseRetryAfter } from '../../core/errors/retry-after.ts'
import { isTransient } from '../../core/errors/transient.ts'
import type { OAuth } from './peers.ts'

/** What an authorization server says of itself, not of the request (RFC 6749 §4.1.2.1). */
const passing = /^(?:temporarily_unavailable|server_error)$/
const hints: Readonly<Record<string, string>> = {
  invalid_grant: 'log in again',
  invalid_client: 'look at clientId and clientAuth',
  unauthorized_client: 'look at clientId and clientAuth',
  invalid_scope: 'look at scope',
  access_denied: 'the user or the server has declined',
  expired_token: 'the code was not entered in time: begin anew',
}

/** The server cannot say anything now; sent again by whoever asked, when it asks again. */
export function serverDown(what: string, response: Response): CallError {
  const { status } = response
  const retryAfterMs = parseRetryAfter(HeaderMap.from(response.headers), Date.now())
  return failure({
    code: 'unavailable',
    message: `the authorization server answered ${what} with ${status}`,
    isRetryable: true,
    sent: 'yes',
    status,
    retryAfterMs,
  })
}

/** The request was refused for a reason that the server has named, or that the user has to mend. */
export function refused(what: string, reason: string, more: Partial<Failure> = {}): CallError {
  const hint = hints[reason] ?? 'see reason'
  const message = `the authorization server refused ${what}: ${hint}`
  return failure({ code: 'unauthenticated', message, reason, sent: 'yes', ...more })
}

/** A token is asked for and there is no way to get one without the user. */
export function loginRequired(cause?: unknown): CallError {
  const message = 'there is no token, and nothing to renew one by: log in'
  return failure({ code: 'unauthenticated', message, reason: 'login_required', cause })
}

/**
 * One clear error of whatever a request to the authorization server failed with: `unavailable` where it may pass by
 * itself, `unauthenticated` with the server's own reason where it is a refusal.
 */
export function toOAuthError(oauth: OAuth, what: string, cause: unknown): CallError {
  if (isAnyCallError(cause)) return cause
  if (cause instanceof oauth.ResponseBodyError) {
    const { error: reason, status } = cause
    const isPassing = passing.test(reason)
    return refused(what, reason, {
      status,
      cause,
      ...(isPassing && { code: 'unavailable', isRetryable: true, message: `the authorization server failed ${what}` }),
    })
  }
  if (cause instanceof oauth.WWWAuthenticateChallengeError) {
    const reason = cause.cause.find(({ parameters }) => parameters.error)?.parameters.error
    return refused(what, reason ?? 'invalid_client', { status: cause.status, cause })
  }
  if (cause instanceof oauth.AuthorizationResponseError) return refused(what, cause.error, { cause })
  if (isTransient(cause)) {
    const message = `the authorization server could not be asked for ${what}: see cause`
    return failure({ code: 'unavailable', message, isRetryable: true, sent: 'maybe', cause })
  }
  const message = `${what} failed: ${textOf(cause)}`
  return failure({ code: 'failed_precondition', message, sent: 'maybe', cause: withoutBody(cause) })
}

/** The library's words name members and settings, never their values. */
function textOf(cause: unknown): string {
  const { message, name } = (cause ?? {}) as Partial<Error>
  return /^(?:OperationProcessingError|UnsupportedOperationError|TypeError)$/.test(String(name)) && message
    ? message
    : 'see cause'
}

/** The library keeps the response, tokens and all, as the cause of what it could not read. */
function withoutBody(cause: unknown): unknown {
  if (!(cause instanceof Error) || cause.cause === undefined) return cause
  const { name, message, stack } = cause
  return Object.assign(new Error(message), { name, stack })
}

function failure(fields: Failure): CallError {
  return new CallError({ phase: 'resolve', ...fields })
}
