import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Code } from '../../src/core/errors/code.ts'
import type { Failure, Phase } from '../../src/core/errors/failure.ts'
import { parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import { decodeStatusDetails, factsOf, type GrpcDetail } from './details.ts'
import { decodeGrpcMessage, fromBase64, lastValue } from './metadata.ts'

/** What a status means here. */
interface Meaning {
  readonly code: Code
  /** Transient: the same call may succeed later. */
  readonly isRetryable?: true
  readonly isThrottled?: true
  readonly what: string
}

/** By number: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const meanings: readonly Meaning[] = [
  { code: 'internal', what: 'the server said OK where a failure was found' },
  { code: 'canceled', what: 'the server canceled the call' },
  { code: 'unknown', what: 'the server failed without saying how: see serverMessage' },
  { code: 'invalid_argument', what: 'the server refused the message: see violations and serverMessage' },
  { code: 'deadline_exceeded', what: 'the deadline passed at the server: raise timeoutMs' },
  { code: 'not_found', what: 'the server knows no such thing' },
  { code: 'already_exists', what: 'what was to be created is there already' },
  { code: 'permission_denied', what: 'the caller may not do this' },
  {
    code: 'resource_exhausted',
    isRetryable: true,
    isThrottled: true,
    what: 'the server asks for less: call again later, or see violations for the quota',
  },
  { code: 'failed_precondition', what: 'the server is not in the state that this needs: see violations' },
  { code: 'aborted', what: 'another change came first: read again, then redo this one' },
  { code: 'out_of_range', what: 'the server has nothing there' },
  { code: 'unimplemented', what: 'the server does not offer this method: is it deployed, and baseUrl right?' },
  { code: 'internal', what: 'the server failed: see serverMessage' },
  { code: 'unavailable', isRetryable: true, what: 'the server is unavailable: call again later' },
  { code: 'data_loss', what: 'the server lost data' },
  { code: 'unauthenticated', what: 'the server refused the credential' },
]

/** HTTP answers without a grpc-status: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const byHttpStatus: Readonly<Record<number, Code>> = {
  400: 'internal',
  401: 'unauthenticated',
  403: 'permission_denied',
  404: 'unimplemented',
  429: 'unavailable',
  502: 'unavailable',
  503: 'unavailable',
  504: 'unavailable',
}

/** The canonical name of a status number; `unknown` where it is none of the sixteen. */
export function grpcCode(status: number): Code {
  return status > 0 ? (meanings[status]?.code ?? 'unknown') : 'unknown'
}

/** A gRPC status as it was found in headers or trailers. */
export interface GrpcStatus {
  /** 0 is success. */
  readonly status: number
  readonly message: string
  readonly details: readonly GrpcDetail[]
}

/** Where a status was found. */
export interface StatusPlace {
  readonly phase: Phase
  /** The response's; `date` and `retry-after` stand here. */
  readonly headers: HeaderMap
  /** Where the status stood, if not among the headers. */
  readonly trailers?: HeaderMap | undefined
  /** ms since 1970. */
  readonly wallNow: number
}

/** Reads the status out of trailers, or out of the headers of a trailers-only answer; undefined where none is there. */
export function readGrpcStatus(metadata: HeaderMap): GrpcStatus | undefined {
  const status = lastValue(metadata, 'grpc-status')
  const encoded = lastValue(metadata, 'grpc-status-details-bin')
  const bytes = encoded === undefined ? undefined : fromBase64(encoded)
  const decoded = bytes && decodeStatusDetails(bytes)
  if (status === undefined && !decoded) return undefined
  const text = metadata.get('grpc-message')
  return {
    status: status === undefined ? (decoded?.code ?? 2) : /^\d+$/.test(status) ? Number(status) : 2,
    message: decoded?.message || (text === null ? '' : decodeGrpcMessage(text)),
    details: decoded?.details ?? [],
  }
}

/** What a status other than 0 means; pure. */
export function statusFailure({ status, message, details }: GrpcStatus, place: StatusPlace): Failure {
  const meaning = meanings[status] ?? (meanings[2] as Meaning)
  const { code, isRetryable, isThrottled, what } = meaning
  const facts = factsOf(details)
  const wait = askedWait(place, facts.retryAfterMs)
  const isQuota = isThrottled === true && wait.retryAfterMs === undefined && hasQuotaFailure(details)
  return {
    code,
    message: facts.reason ? `${what} (${facts.reason})` : what,
    phase: place.phase,
    sent: 'yes',
    status,
    headers: place.headers,
    isRetryable: isRetryable === true && !isQuota,
    isThrottled: isThrottled === true,
    // By analogy with 503: a server that names a wait has put the call off, not run it.
    isUnexecuted: isRetryable === true && wait.retryAfterMs !== undefined,
    ...wait,
    ...(place.trailers && { trailers: place.trailers }),
    ...(message && { serverMessage: message }),
    ...(details.length > 0 && { details }),
    ...(facts.reason && { reason: facts.reason }),
    ...(facts.violations && { violations: facts.violations }),
    requestId: facts.requestId ?? requestIdOf(place),
  }
}

/** What an HTTP answer without any grpc-status means: it came from a proxy or gateway, or from no gRPC server at all. */
export function httpStatusFailure(httpStatus: number, { headers, wallNow }: Omit<StatusPlace, 'phase'>): Failure {
  const code = byHttpStatus[httpStatus] ?? 'unknown'
  const wait = askedWait({ headers, wallNow, phase: 'headers' }, undefined)
  const isThrottled = httpStatus === 429
  return {
    code,
    message: `HTTP ${httpStatus} without a gRPC status${httpAdvice[httpStatus] ?? ': a proxy answered instead of the server'}`,
    phase: 'headers',
    sent: 'yes',
    status: httpStatus,
    headers,
    isRetryable: code === 'unavailable',
    isThrottled,
    isUnexecuted: isThrottled || (httpStatus === 503 && wait.retryAfterMs !== undefined),
    ...wait,
    requestId: requestIdOf({ headers }),
  }
}

const httpAdvice: Readonly<Record<number, string>> = {
  401: ': the credential was refused before the server was reached',
  404: ': is baseUrl right, and does the proxy route this service?',
  415: ': the server does not speak gRPC-Web: is a translating proxy in front of it?',
  429: ': the gateway asks for fewer calls',
}

/** Pushback first, as gRFC A6 demands; then RetryInfo; then what HTTP says. */
function askedWait(
  { headers, trailers, wallNow }: StatusPlace,
  retryInfoMs: number | undefined,
): Pick<Failure, 'retryAfterMs' | 'isRetryForbidden'> {
  const pushback =
    lastValue(trailers ?? headers, 'grpc-retry-pushback-ms') ?? lastValue(headers, 'grpc-retry-pushback-ms')
  if (pushback !== undefined) {
    return /^\d{1,10}$/.test(pushback) ? { retryAfterMs: Number(pushback) } : { isRetryForbidden: true }
  }
  const isForbidden = lastValue(headers, 'x-should-retry') === 'false'
  const retryAfterMs =
    retryInfoMs ?? parseRetryAfter(headers, wallNow) ?? (trailers && parseRetryAfter(trailers, wallNow))
  return {
    ...(isForbidden && { isRetryForbidden: true }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

function hasQuotaFailure(details: readonly GrpcDetail[]): boolean {
  return details.some(({ type }) => type === 'google.rpc.QuotaFailure')
}

function requestIdOf({ headers, trailers }: Pick<StatusPlace, 'headers' | 'trailers'>): string | undefined {
  return headers.last('x-request-id') ?? trailers?.last('x-request-id') ?? undefined
}
