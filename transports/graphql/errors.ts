import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure, Violation } from '../../src/core/errors/failure.ts'
import { forbidsRetry, parseRateLimitReset, parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import { type Meaning, meaningOf, meaningOfStatus, reasonOf, serverCode } from './codes.ts'
import type { PreparedDocument } from './document.ts'
import { type GraphQLErrorItem, type GraphQLResult, hasData, recordOf } from './response.ts'
import type { ErrorPolicy } from './types.ts'

/** What is thrown although the caller takes errors as values: hiding it would switch off refresh and retry. */
const isSignal = ({ code, isRetryable }: Meaning): boolean => code === 'unauthenticated' || isRetryable === true

/** One response, with what decides over its errors. */
export interface GraphQLAnswer {
  readonly result: GraphQLResult
  readonly document: Pick<PreparedDocument, 'kind' | 'rootFields'>
  readonly policy: ErrorPolicy
  /** Of the HTTP response; 200 on a socket. */
  readonly status: number
  readonly headers: HeaderMap
  /** ms since 1970. */
  readonly wallNow: number
}

/**
 * What the errors of a response mean, or undefined where the policy lets it pass.
 *
 * Classified before the policy is asked, so that a throttled answer is not hidden by `ignore`; what brought data is
 * never sent again.
 */
export function graphqlFailure(answer: GraphQLAnswer): Failure | undefined {
  const { result, policy, status, headers, document, wallNow } = answer
  const { errors } = result
  if (!errors) return undefined
  const { meaning, error } = weigh(errors, answer)
  const { code, isThrottled = false, isRetryable = false } = meaning
  const isPartial = hasData(result)
  if (policy !== 'none' && (isPartial || !isSignal(meaning))) return undefined
  const reason = reasonOf(error)
  const isUnrun = ranNothing(answer, errors)
  const resetMs = isThrottled ? parseRateLimitReset(headers, wallNow) : undefined
  const waitMs = isPartial ? undefined : (askedWaitMs(result, headers, wallNow) ?? resetMs)
  return {
    code,
    message: describe(meaning, isPartial, reason),
    phase: 'body',
    sent: 'yes',
    isRetryable: isRetryable && !isPartial,
    isThrottled,
    isUnexecuted:
      (isThrottled || (status === 503 && headers.has('retry-after'))) &&
      // A field that is throttled may have been so by what it called, after it had done the rest.
      (document.kind !== 'mutation' || (result.data === undefined && isAtNoField(errors))),
    // A mutation that may have run is replayed by nobody, a refreshed credential included; nor is what can never fit.
    isRetryForbidden:
      (document.kind === 'mutation' && code === 'unauthenticated' && !isUnrun) ||
      (isThrottled && costOf(result).isTooHigh) ||
      // A refused credential is no matter of another attempt, but of another credential.
      (code !== 'unauthenticated' && forbidsRetry(headers)),
    hasRun: !isUnrun,
    status,
    headers,
    retryAfterMs: waitMs,
    reason,
    serverMessage: textOf(error.message),
    violations: code === 'invalid_argument' ? errors.map(toViolation) : undefined,
    details: errors,
    body: result,
    requestId: headers.get('x-request-id') ?? undefined,
  }
}

function describe({ code, isThrottled }: Meaning, isPartial: boolean, reason: string | undefined): string {
  const what = reason ? ` (${reason})` : ''
  if (isPartial)
    return `the server answered with errors beside partial data${what}: see body, or set errorPolicy: 'all'`
  if (isThrottled) return `the server asks for fewer calls${what}`
  if (code === 'unauthenticated') return `the server refused the credential${what}`
  if (code === 'invalid_argument') return `the server refused the document or its variables${what}`
  return `the server answered with errors${what}`
}

/** The error that decides: a refused credential, then what asks for less load, then what may pass, then the first with a code. */
function weigh(
  errors: readonly GraphQLErrorItem[],
  answer: GraphQLAnswer,
): { readonly meaning: Meaning; readonly error: GraphQLErrorItem } {
  const known = errors.flatMap((error) => {
    const meaning = meaningOf(error)
    return meaning ? [{ meaning, error }] : []
  })
  return (
    known.find(({ meaning }) => meaning.code === 'unauthenticated') ??
    known.find(({ meaning }) => meaning.isThrottled) ??
    known.find(({ meaning }) => meaning.isRetryable) ??
    known[0] ?? { meaning: uncoded(errors, answer), error: errors[0] as GraphQLErrorItem }
  )
}

/**
 * What errors mean whose codes say nothing: what the HTTP status says; else a response without `data`, codes and paths
 * refuses the request as a whole (a syntax error, an unknown field, a variable of another type).
 *
 * Some say `data: null` there, too (async-graphql, Mercurius): what then stands in the document, but at no field, is a refusal.
 */
function uncoded(errors: readonly GraphQLErrorItem[], { result: { data }, status }: GraphQLAnswer): Meaning {
  const meaning = meaningOfStatus(status) ?? { code: 'unknown' }
  const isPathless = isAtNoField(errors)
  const isRefused =
    isPathless &&
    errors.every(
      (error) => serverCode(error) === undefined && (data === undefined || (data === null && isLocated(error))),
    )
  // 400 says no more where a resolver has failed (Ariadne).
  if (meaning.code === 'invalid_argument') return data === null && !isPathless ? { code: 'unknown' } : meaning
  return isRefused && (status < 400 || meaning.code === 'failed_precondition') ? { code: 'invalid_argument' } : meaning
}

function isLocated({ locations }: GraphQLErrorItem): boolean {
  return (locations as readonly unknown[] | null | undefined)?.[0] !== undefined
}

/** What is at no field refuses the request; a field that fails has run. */
function isAtNoField(errors: readonly GraphQLErrorItem[]): boolean {
  return errors.every(({ path }) => !path)
}

/**
 * Whether no field of a mutation can have run: the request was refused as a whole, or each root field by itself.
 *
 * A `null` that came up from below, or from one root field among several, says nothing of the others.
 */
function ranNothing(
  { result: { data }, document: { kind, rootFields } }: GraphQLAnswer,
  errors: readonly GraphQLErrorItem[],
): boolean {
  if (kind !== 'mutation') return true
  const paths = errors.map(({ path }) => (Array.isArray(path) ? path : []))
  if (paths.some((path) => path.length > 1)) return false
  const refused = new Set(paths.flat())
  if (data) return Object.keys(data).every((name) => data[name] === null && refused.has(name))
  return refused.size === 0 || refused.size >= rootFields
}

function toViolation({ message, path, extensions }: GraphQLErrorItem): Violation {
  const { argumentName, field } = recordOf(extensions)
  return {
    field:
      textOf(argumentName ?? field) ??
      (Array.isArray(path) ? path.filter((part) => typeof part !== 'object').join('.') : ''),
    message: textOf(message) ?? '',
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** The wait that was asked for: Retry-After, then `extensions.retryAfter` (seconds), then Shopify's cost. */
function askedWaitMs(result: GraphQLResult, headers: HeaderMap, wallNow: number): number | undefined {
  const ofHeader = parseRetryAfter(headers, wallNow)
  if (ofHeader !== undefined) return ofHeader
  const asked = [...(result.errors ?? []), result].map(({ extensions }) => toNumber(recordOf(extensions).retryAfter))
  // No Math.max(): a call takes fewer arguments than a response may have errors.
  const seconds = asked.reduce((most, each) => (each > most ? each : most), -1)
  return seconds < 0 ? costOf(result).waitMs : seconds * 1000
}

/** Shopify: https://shopify.dev/docs/api/usage/limits#graphql-admin-api-rate-limits; what is not said is no number, and nothing is more than that. */
function costOf({ extensions }: GraphQLResult): { readonly waitMs: number | undefined; readonly isTooHigh: boolean } {
  const { requestedQueryCost, throttleStatus } = recordOf(recordOf(extensions).cost)
  const { currentlyAvailable, maximumAvailable, restoreRate } = recordOf(throttleStatus)
  const requested = toNumber(requestedQueryCost)
  const perSecond = toNumber(restoreRate)
  const seconds = Math.max(0, Math.ceil((requested - toNumber(currentlyAvailable)) / perSecond))
  return {
    // Until the bucket holds what the query costs; one that does not refill gives none.
    waitMs: perSecond > 0 && seconds >= 0 ? seconds * 1000 : undefined,
    // More than the bucket can ever hold.
    isTooHigh: requested > toNumber(maximumAvailable),
  }
}

/** A number, or a text that is one: a date begins with a number, too, and not all that JSON holds has a text. */
function toNumber(value: unknown): number {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : Number.NaN
}
