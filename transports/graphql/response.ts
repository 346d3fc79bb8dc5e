import type { HeaderMap } from '../../src/core/call/header-map.ts'
import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { httpFailure } from '../http/errors.ts'
import { type GraphQLResult, toGraphQLResult } from './result.ts'

/** An HTTP answer to a GraphQL request, whole. */
export interface GraphQLText {
  readonly status: number
  readonly headers: HeaderMap
  readonly text: string
}

/** Who says what a response means: its body, HTTP, or the body if it turns out to be GraphQL. */
type Judge = 'body' | 'http' | 'either'

/**
 * Reads a response by its body first, then by its status (GraphQL over HTTP, 2026-08 draft).
 *
 * `application/graphql-response+json` is GraphQL whatever the status; JSON is with a 2xx, and otherwise only if it holds
 * `data` or `errors`: anything between here and the server may answer JSON. All else is HTTP's.
 *
 * @throws {CallError} by the HTTP status; `internal` for a 2xx that is no GraphQL; `data_loss` for JSON that is cut off.
 */
export function readGraphQL(
  answer: GraphQLText,
  isKeyed: boolean,
  wallNow: number,
  origin: ErrorOrigin,
): GraphQLResult {
  const { status, headers, text } = answer
  const essence = essenceOf(headers)
  const judge = judgeOf(status, essence)
  const body = essence === '' || essence.endsWith('json') ? parse(text) : undefined
  const result = judge === 'http' || !body ? undefined : toGraphQLResult(body.value)
  if (result) return result
  if (status < 200 || status >= 300)
    throw new CallError(httpFailure({ status, headers, body: body?.value ?? text, essence, isKeyed }, wallNow), origin)
  throw new CallError(notGraphQL(answer, body, judge), origin)
}

function judgeOf(status: number, essence: string): Judge {
  if (essence === 'application/graphql-response+json') return 'body'
  if (essence === 'application/problem+json') return 'http'
  const isJson = essence === '' || essence === 'application/json' || essence.endsWith('+json')
  if (!isJson) return 'http'
  return status >= 200 && status < 300 ? 'body' : 'either'
}

function notGraphQL(
  { status, headers, text }: GraphQLText,
  body: { readonly value: unknown } | undefined,
  judge: Judge,
): Failure {
  const about = { phase: 'body', sent: 'yes', status, headers, body: body?.value ?? text } as const
  if (judge === 'body' && !body)
    return { ...about, code: 'data_loss', message: 'the response is no whole JSON document', isRetryable: true }
  const what = judge === 'body' ? 'holds neither data nor errors' : 'has no GraphQL media type'
  return {
    ...about,
    code: 'internal',
    message: `the response is no GraphQL: it ${what}. Check the url, and what stands between`,
  }
}

function essenceOf(headers: HeaderMap): string {
  return (headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}
