import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { forbidsRetry, parseRateLimitReset, parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import { type StatusRow, statusRow } from '../shared/http-status.ts'
import { decodeBytes, readMediaType } from './codecs.ts'
import type { HttpFault, HttpHead } from './contract.ts'
import { type ErrorEnvelope, readErrorEnvelope, traceOf } from './envelope.ts'
import { HttpFaultError } from './fault.ts'
import { behindRedirects } from './progress.ts'

/** A response that is an error, with what its meaning depends on. */
export interface HttpErrorResponse extends Pick<HttpHead, 'status' | 'headers' | 'redirected'> {
  /** Decoded: an object, a text, bytes; undefined where there was none, or nobody has read it. */
  readonly body: unknown
  /** The body's media type, in lower case and without parameters; empty where there was none. */
  readonly essence: string
  /** The key that the request carried: a 409 may be about it. */
  readonly idempotencyKey?: string | undefined
  /** Why the body could not be read, which never hides the status. */
  readonly bodyFault?: HttpFault | undefined
}

const requestIdNames = [
  'x-request-id',
  'request-id',
  'x-amzn-requestid',
  'x-amz-request-id',
  'x-ms-request-id',
  'x-github-request-id',
  'x-correlation-id',
]
const exists = /already.?exists|duplicate|not.?unique/i
/** A key that is in use is about the key, a key that was used with another payload never goes away. */
const keyInUse =
  /idempoten\w*[._-]?(key)?[._-]?(in[._-]?(use|progress|flight)|conflict|processing)|(request|operation)[._-]?in[._-]?progress/i

/**
 * What an HTTP error means, for REST, GraphQL and SSE alike. Pure.
 *
 * @param wallNow - ms since 1970, for dates where the response carries no `Date`.
 * @param envelope - what `readErrorEnvelope` finds in the body; nothing where that is left unread.
 */
export function httpFailure(response: HttpErrorResponse, wallNow: number, envelope: ErrorEnvelope = {}): Failure {
  const { status, headers, body, bodyFault, redirected } = response
  const challenge = challengeError(headers)
  const reason = (status === 401 ? challenge : undefined) ?? envelope.reason ?? challenge
  const retryAfterMs = envelope.retryAfterMs ?? parseRetryAfter(headers, wallNow)
  const { hint, ...meaning } = refine(response, { ...envelope, reason, retryAfterMs })
  const note = bodyFault ? `; its body could not be read: ${bodyFault.what}` : ''
  const { isQuotaExhausted: _, ...said } = envelope
  const failure: Failure = {
    ...said,
    ...meaning,
    message: `the server answered ${status}: ${hint}${note}`,
    phase: 'headers',
    sent: 'yes',
    status,
    isRetryForbidden: forbidsRetry(headers),
    retryAfterMs: retryAfterMs ?? (meaning.isThrottled ? parseRateLimitReset(headers, wallNow) : undefined),
    requestId: envelope.requestId ?? requestIdOf(headers),
    reason,
    headers,
    body,
    ...(bodyFault && { cause: new HttpFaultError(bodyFault) }),
  }
  return behindRedirects(failure, redirected)
}

/** The same, of the bytes of its body. */
export function readHttpFailure(
  response: Omit<HttpErrorResponse, 'essence' | 'body'> & { readonly body: Uint8Array },
  wallNow: number,
): Failure {
  const { headers, status, body: bytes } = response
  const type = readMediaType(headers.get('content-type'))
  const { essence } = type
  const body = bytes.byteLength === 0 ? undefined : decodeBytes(bytes, type)
  return httpFailure({ ...response, body, essence }, wallNow, readErrorEnvelope(body, essence, status))
}

/** The row of the status, corrected by what headers and body say. */
function refine(
  { status, headers, idempotencyKey, essence }: HttpErrorResponse,
  { reason = '', retryAfterMs, isQuotaExhausted }: ErrorEnvelope,
): StatusRow {
  const row = statusRow(status)
  const isAskedToWait = retryAfterMs !== undefined
  if (status === 403 && (isAskedToWait || isLimitReached(headers))) return statusRow(429)
  if (status === 429 && ((isQuotaExhausted && !isAskedToWait) || reason === 'insufficient_quota')) {
    return { ...row, hint: 'the quota is used up', isRetryable: false }
  }
  if (status === 409) {
    if (idempotencyKey && (isAskedToWait || keyInUse.test(reason)))
      return { ...row, hint: 'the first request with this key still runs', isRetryable: true }
    return exists.test(reason) ? { ...row, code: 'already_exists', hint: 'it exists already' } : row
  }
  if (status === 404 && essence === 'text/html') return { ...row, hint: 'an HTML page: check path and baseUrl' }
  if (status > 300 && status < 400 && status !== 304 && !headers.has('location'))
    return { ...row, hint: 'a redirect with no Location header' }
  if (status === 413 && isAskedToWait) return { ...row, isRetryable: true }
  if (status === 503 && isAskedToWait) return { ...row, isUnexecuted: true }
  return row
}

/** GitHub and others throttle with 403. */
function isLimitReached(headers: HeaderMap): boolean {
  const isNone = ['x-ratelimit-remaining', 'ratelimit-remaining'].some((name) => headers.last(name) === '0')
  return isNone || /(?:^|[,;\s])(?:remaining|r)=0(?:[,;\s]|$)/.test(headers.get('ratelimit') ?? '')
}

/** RFC 6750 and 9470: `WWW-Authenticate: Bearer error="invalid_token"`. */
function challengeError(headers: HeaderMap): string | undefined {
  return /\berror="?([\w.-]+)/.exec(headers.get('www-authenticate') ?? '')?.[1]
}

/** The server's own id of the request, else the trace's. */
function requestIdOf(headers: HeaderMap): string | undefined {
  for (const name of requestIdNames) {
    const id = headers.last(name)
    if (id) return id.slice(0, 200)
  }
  return traceOf(headers.last('traceparent'))
}
