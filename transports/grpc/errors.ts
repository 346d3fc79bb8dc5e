import { isPeerCancel } from '#platform'
import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Code } from '../../src/core/errors/code.ts'
import type { Failure, Phase } from '../../src/core/errors/failure.ts'
import { forbidsRetry, parseRateLimitReset, parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import type { HttpFault } from '../http/contract.ts'
import { faultToFailure } from '../http/fault.ts'
import { decodeStatusDetails, factsOf, type GrpcDetail } from './details.ts'
import type { FrameFault } from './frames.ts'
import { decodeGrpcMessage, fromBase64, lastValue } from './metadata.ts'

const isServer = 'is a gRPC-Web server, or a proxy that translates, behind baseUrl?'
const serverDeadlineText = 'the server ended the call at its deadline: see timeoutMs and deadline'

/** Code and words by number: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const meanings: readonly (readonly [Code, string])[] = [
  ['internal', 'the server said OK where a failure was found'],
  ['canceled', 'the server canceled the call'],
  ['unknown', 'the server failed'],
  ['invalid_argument', 'the server refused the message'],
  ['deadline_exceeded', serverDeadlineText],
  ['not_found', 'the server has no such thing'],
  ['already_exists', 'it is there already'],
  ['permission_denied', 'the caller may not do this'],
  ['resource_exhausted', 'the server asks for less: call again later'],
  ['failed_precondition', 'the state of the server forbids it'],
  ['aborted', 'another change came first: read again, then decide'],
  ['out_of_range', 'the server has nothing there'],
  ['unimplemented', 'the server does not offer this method: is it deployed, and baseUrl right?'],
  ['internal', 'the server failed'],
  ['unavailable', 'the server is unavailable: call again later'],
  ['data_loss', 'the server lost data'],
  ['unauthenticated', 'the server refused the credential'],
]

/** HTTP answers without a grpc-status: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const byHttpStatus: Readonly<Record<number, readonly [code: Code, advice?: string]>> = {
  400: ['internal'],
  401: ['unauthenticated', 'the credential was refused before the server was reached'],
  403: ['permission_denied'],
  404: ['unimplemented', 'is baseUrl right? does the proxy route to it?'],
  415: ['unknown', isServer],
  429: ['unavailable', 'the gateway asks for fewer calls'],
  502: ['unavailable'],
  503: ['unavailable'],
  504: ['unavailable'],
  505: ['unknown', 'the method wants HTTP/2, as bidi streams do'],
}

/** The canonical name of a status number; `unknown` where it is none of the sixteen. */
export function grpcCode(status: number): Code {
  return (status > 0 && meanings[status]?.[0]) || 'unknown'
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
  /** The deadline that the server was told is over, or nearly so: a cancel is the deadline's. */
  readonly isAtDeadline?: boolean
}

/** Reads the status out of trailers, or out of the headers of a trailers-only answer; undefined where none is there. */
export function readGrpcStatus(metadata: HeaderMap): GrpcStatus | undefined {
  const status = lastValue(metadata, 'grpc-status')
  const encoded = lastValue(metadata, 'grpc-status-details-bin')
  const bytes = encoded === undefined ? undefined : fromBase64(encoded)
  const decoded = bytes && decodeStatusDetails(bytes)
  if (status === undefined && !decoded) return undefined
  return {
    status: status === undefined ? (decoded?.code ?? 2) : /^\d{1,9}$/.test(status) ? Number(status) : 2,
    message: decoded?.message || decodeGrpcMessage(metadata.get('grpc-message') ?? ''),
    details: decoded?.details ?? [],
  }
}

/** What a status other than 0 means; pure. */
export function statusFailure({ status, message, details }: GrpcStatus, place: StatusPlace): Failure {
  const row = status === canceled && place.isAtDeadline ? deadlineExceeded : status
  const [code, what] = meanings[row] ?? (meanings[2] as (typeof meanings)[number])
  const isThrottled = code === 'resource_exhausted'
  const isTransient = isThrottled || code === 'unavailable'
  const { reason, violations, requestId, retryAfterMs } = factsOf(details)
  const wait = askedWait(place, retryAfterMs)
  const hasWait = wait.retryAfterMs !== undefined
  const isQuota = isThrottled && !hasWait && details.some(({ type }) => type === 'google.rpc.QuotaFailure')
  return {
    code,
    message: reason ? `${what} (${reason})` : what,
    phase: place.phase,
    sent: 'yes',
    status,
    headers: place.headers,
    isRetryable: isTransient && !isQuota,
    isThrottled,
    // By analogy with 503: a server that names a wait has put the call off, not run it.
    isUnexecuted: isTransient && hasWait,
    ...wait,
    trailers: place.trailers,
    serverMessage: message || undefined,
    details: details.length > 0 ? details : undefined,
    reason,
    violations,
    requestId: requestId ?? requestIdOf(place),
  }
}

/** What an HTTP answer without any grpc-status means: it came from a proxy or gateway, or from no gRPC server at all. */
export function httpStatusFailure(httpStatus: number, { headers, wallNow }: Omit<StatusPlace, 'phase'>): Failure {
  const [code, advice = 'a proxy answered instead of the server'] = byHttpStatus[httpStatus] ?? ['unknown']
  const wait = askedWait({ headers, wallNow, phase: 'headers' }, undefined)
  const isThrottled = httpStatus === 429
  return {
    code,
    message: `HTTP ${httpStatus} without a gRPC status: ${advice}`,
    phase: 'headers',
    sent: 'yes',
    status: httpStatus,
    headers,
    isRetryable: code === 'unavailable',
    isThrottled,
    isUnexecuted: isThrottled || (httpStatus === 503 && wait.retryAfterMs !== undefined),
    ...wait,
    retryAfterMs: wait.retryAfterMs ?? (isThrottled ? parseRateLimitReset(headers, wallNow) : undefined),
    requestId: requestIdOf({ headers }),
  }
}

/** Pushback first, as gRFC A6 demands; then RetryInfo; then what HTTP says. */
function askedWait(
  { headers, trailers = headers, wallNow }: StatusPlace,
  retryInfoMs: number | undefined,
): Pick<Failure, 'retryAfterMs' | 'isRetryForbidden'> {
  const pushback = lastValue(trailers, 'grpc-retry-pushback-ms') ?? lastValue(headers, 'grpc-retry-pushback-ms')
  if (pushback !== undefined) {
    return /^\d{1,10}$/.test(pushback) ? { retryAfterMs: Number(pushback) } : { isRetryForbidden: true }
  }
  return {
    isRetryForbidden: forbidsRetry(headers) || forbidsRetry(trailers),
    retryAfterMs: retryInfoMs ?? parseRetryAfter(headers, wallNow) ?? parseRetryAfter(trailers, wallNow),
  }
}

function requestIdOf({ headers, trailers = headers }: Pick<StatusPlace, 'headers' | 'trailers'>): string | undefined {
  return headers.last('x-request-id') ?? trailers.last('x-request-id') ?? undefined
}

/** What breaks an answer that came whole as HTTP. */
export type Breach = FrameFault | 'content_type' | 'format' | 'compressed' | 'extra' | 'several'

/** What is known of an answer. */
export interface ExchangeFacts {
  /** HTTP status; 0 before there is one. */
  readonly status: number
  readonly headers: HeaderMap
  /** Of the body; undefined before they have come. */
  readonly trailerFrame: HeaderMap | undefined
  /** How the connection broke. */
  readonly fault: HttpFault | undefined
  readonly breach: Breach | undefined
  readonly messages: number
  readonly hasBody: boolean
  /** Nothing more will come. */
  readonly isSettled: boolean
  readonly isStream: boolean
  readonly isCrossOrigin: boolean
  /** The deadline that the server was told is over, or nearly so. */
  readonly isAtDeadline: boolean
  /** ms since 1970. */
  readonly wallNow: number
}

/**
 * Where the status stands: behind the messages, else among the headers. A gRPC server says all in the headers where it
 * has no message, and a translating proxy may put the status there and an empty frame of trailers behind.
 */
export function trailersOf({ trailerFrame, headers }: Pick<ExchangeFacts, 'trailerFrame' | 'headers'>): HeaderMap {
  if (trailerFrame && hasStatus(trailerFrame)) return trailerFrame
  return hasStatus(headers) ? headers : (trailerFrame ?? HeaderMap.empty)
}

function hasStatus(metadata: HeaderMap): boolean {
  return metadata.has('grpc-status') || metadata.has('grpc-status-details-bin')
}

/** By HTTP. */
export function isSuccess({ status }: { readonly status: number }): boolean {
  return status >= 200 && status <= 299
}

/** What an answer means; undefined for success, and for one that has not ended yet without a failure. Pure. */
export function exchangeFailure(facts: ExchangeFacts): Failure | undefined {
  const { trailerFrame, headers, fault, breach } = facts
  const trailers = trailersOf(facts)
  const status = readGrpcStatus(trailers)
  if (status?.status) {
    const { wallNow, isAtDeadline } = facts
    return statusFailure(status, { phase: phaseOf(facts), headers, trailers, wallNow, isAtDeadline })
  }
  if (!facts.isSettled) return undefined
  // With its trailers an answer is whole: a connection that breaks behind them takes nothing away.
  if (fault && !trailerFrame) return faultFailure(fault, facts)
  if (!isSuccess(facts)) return httpStatusFailure(facts.status, facts)
  if (breach) return brokenAnswer(facts, ...breaches[breach])
  if (!status) return silentAnswer(facts)
  const isEnough = facts.isStream || facts.messages === 1
  return isEnough ? undefined : brokenAnswer(facts, 'unimplemented', 'the server gave no message for a unary call')
}

/** An answer that HTTP delivered and gRPC cannot take. */
export function brokenAnswer(facts: ExchangeFacts, code: Failure['code'], message: string): Failure {
  const { status, headers } = facts
  return { code, message, phase: phaseOf(facts), sent: 'yes', status, headers, trailers: trailersOf(facts) }
}

function faultFailure(fault: HttpFault, { isStream, status, headers, isAtDeadline }: ExchangeFacts): Failure {
  return {
    ...faultToFailure(fault, isStream),
    ...(isAtDeadline && isPeerCancel(fault.cause) && serverDeadline),
    ...(isStream && fault.phase === 'body' && { phase: 'stream' as const }),
    ...(status > 0 && { headers }),
  }
}

/** Neither trailers nor a status: the answer was cut, hidden by the browser, or is none of a gRPC server. */
function silentAnswer(facts: ExchangeFacts): Failure {
  if (facts.trailerFrame) return brokenAnswer(facts, 'unknown', 'the trailers hold no grpc-status: a proxy dropped it')
  if (!facts.hasBody) return brokenAnswer(facts, 'unknown', facts.isCrossOrigin ? hiddenStatus : noStatus)
  return { ...brokenAnswer(facts, facts.isStream ? 'unavailable' : 'data_loss', cutShort), isRetryable: true }
}

/** Some of what the server began to send did not come. */
export const cutShort = 'the answer ended before its trailers'

function phaseOf({ hasBody, isStream }: ExchangeFacts): Phase {
  if (!hasBody) return 'headers'
  return isStream ? 'stream' : 'body'
}

const noStatus = `neither message nor grpc-status came: ${isServer}`
const hiddenStatus =
  'the browser hides grpc-status unless the server sends Access-Control-Expose-Headers: grpc-status, grpc-message, grpc-status-details-bin'

const breaches: Readonly<Record<Breach, readonly [Failure['code'], string]>> = {
  content_type: ['unknown', `the answer is no gRPC-Web by its content type: ${isServer}`],
  format: ['internal', 'the answer is in another format: see useBinaryFormat'],
  flags: ['internal', 'the body is not framed as gRPC-Web'],
  compressed: ['internal', 'a message is compressed, which gRPC-Web does not allow'],
  extra: ['internal', 'the server sent something behind its trailers'],
  several: ['unimplemented', 'the server gave several messages for a unary call'],
  too_large: ['resource_exhausted', 'a message is longer than maxMessageBytes: raise it'],
}

/** The numbers of CANCELLED and DEADLINE_EXCEEDED. */
const canceled = 1
const deadlineExceeded = 4
/** A server's clock is not ours: what it ends this shortly before the deadline that it was told, it ends because of it; ms. */
const deadlineSlackMs = 50

/** Whether the deadline that the server was told is over, or nearly so. */
export function isAtDeadline(call: Pick<Call, 'isDeadlineSent' | 'remainingMs'>): boolean {
  return call.isDeadlineSent && call.remainingMs <= deadlineSlackMs
}

/** What a call ends with whose server has called it off at the deadline. */
export const serverDeadline = {
  code: 'deadline_exceeded',
  message: serverDeadlineText,
  isRetryable: false,
} as const satisfies Partial<Failure>
