import type { Call } from '../../src/core/call/call.ts'
import type { Code } from '../../src/core/errors/code.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { isRecord } from '../../src/core/tag.ts'
import { essenceOf } from '../http/codecs.ts'
import { readErrorEnvelope } from '../http/envelope.ts'
import { httpFailure } from '../http/errors.ts'
import type { Answer } from './feature.ts'

/**
 * Reads a response by its body first, then by its status (GraphQL over HTTP, 2026-08 draft).
 *
 * What holds `data` or `errors` is a GraphQL response, whatever the status and the media type: servers and gateways send
 * it as `text/plain`, `text/html`, `application/graphql`. All else is HTTP's, and so is a problem document.
 *
 * @throws {CallError} by the HTTP status; `internal` for a 2xx that is no GraphQL; `data_loss` for JSON that is cut off.
 */
export function readGraphQL(response: Answer, text: string, document: string, call: Call): GraphQLResult {
  const { status, headers } = response
  const essence = essenceOf(headers.get('content-type'))
  const parsed = response.parsed ?? parseJson(text)
  const isJson = essence === '' || essence.endsWith('json')
  const body = (isJson ? parsed?.value : undefined) ?? text
  const refuse = (code: Code, message: string, isRetryable = false): never => {
    throw new CallError({ code, message, phase: 'body', sent: 'yes', status, headers, body, isRetryable }, call)
  }
  if (essence === 'multipart/mixed' || (status === 406 && /@(?:defer|stream)\b/.test(document)))
    refuse('unimplemented', 'the server answers in parts: declare it by incremental(), or leave @defer and @stream out')
  const result = parsed && essence !== 'application/problem+json' ? toGraphQLResult(parsed.value) : undefined
  if (result) return result
  if (status < 200 || status >= 300) {
    const answer = { ...response, body, essence, idempotencyKey: call.idempotencyKey }
    const envelope = readErrorEnvelope(body, essence, status)
    const failure = httpFailure(answer, call.scope.services.clock.wallNow(), envelope)
    throw new CallError(sentOnce(failure, call), call)
  }
  if (isJson && !parsed) refuse('data_loss', 'the JSON of the response is cut off', true)
  const by = isJson ? '' : ' by its media type'
  return refuse(
    'internal',
    `the response is no GraphQL${by}: it has neither data nor errors. Check the url, and what stands between`,
  )
}

/**
 * A mutation without a key is sent once under HTTP 429 and 503 (and a 403 that means 429), whatever the body: a server passes on
 * what one of its fields was told by others, when the fields before it have run.
 */
export function sentOnce(failure: Failure, { operation, isKeyHonoured }: Call): Failure {
  const isByStatus = [403, 429, 503].includes(failure.status ?? 0)
  return isByStatus && !operation.isIdempotent && !isKeyHonoured ? { ...failure, isUnexecuted: false } : failure
}

/** A text that may be no JSON: undefined then. */
export function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** One error of a GraphQL response. */
export interface GraphQLErrorItem {
  readonly message?: unknown
  readonly path?: unknown
  /** Where in the document. */
  readonly locations?: unknown
  readonly extensions?: unknown
  /** Where GitHub and some others put the code. */
  readonly type?: unknown
}

/** A well-formed GraphQL response: `errors` is left out where there are none. */
export interface GraphQLResult {
  /** `null` where execution failed as a whole, left out where it did not begin. */
  readonly data?: Readonly<Record<string, unknown>> | null
  readonly errors?: readonly GraphQLErrorItem[]
  readonly extensions?: Readonly<Record<string, unknown>>
}

/**
 * A GraphQL result of any JSON value, or undefined where it is none: neither `data` nor `errors`.
 *
 * Lenient where servers are: `errors: null`, `errors: []`, one error as an object, texts, `extensions: null`.
 */
export function toGraphQLResult(value: unknown): GraphQLResult | undefined {
  if (!isRecord(value)) return undefined
  const { data, errors, extensions } = value
  const list = [errors].flat().filter(Boolean)
  if (!isRecord(data) && ((data ?? null) !== null || !list.some(isRecord))) return undefined
  return {
    ...(data !== undefined && { data }),
    // Beside data a text is an error, too: no call succeeds of which the server says that it failed.
    ...(list.length > 0 && { errors: list.map((each) => (isRecord(each) ? each : { message: each })) }),
    ...(isRecord(extensions) && { extensions }),
  } as GraphQLResult
}

const none: Readonly<Record<string, unknown>> = {}

/** What may have members; nothing has them in anything else. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : none
}

/** Whether a response brought something to use beside its errors: a root field that is not null. */
export function hasData({ data }: GraphQLResult): boolean {
  return Object.values(data ?? {}).some((value) => value !== null)
}
