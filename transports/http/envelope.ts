import type { Violation } from '../../src/core/errors/failure.ts'
import { readViolations } from './violations.ts'

/** What an error body says, whatever it is written in. */
export interface ErrorEnvelope {
  /** The server's own code. */
  readonly reason?: string | undefined
  readonly serverMessage?: string | undefined
  readonly violations?: readonly Violation[] | undefined
  readonly details?: unknown
  /** RFC 9457. */
  readonly problem?: Readonly<Record<string, unknown>> | undefined
  readonly requestId?: string | undefined
  /** google.rpc.RetryInfo, ms. */
  readonly retryAfterMs?: number | undefined
  /** A quota is used up, and the server does not say that waiting helps. */
  readonly isQuotaExhausted?: boolean | undefined
}

type Body = Readonly<Record<string, unknown>>
const empty: ErrorEnvelope = {}
/** A code, not a sentence. */
const token = /^[\w.:/#+-]{1,128}$/
/** Longer texts are pages, not messages. */
const maxTextLength = 2_000

/**
 * Reads an error body: `application/problem+json`, `{ error: { code, message, details, request_id } }`,
 * google.rpc.Status, Connect's and OAuth's errors, and what frameworks write (`{ message, code }`,
 * `{ errors: [{ field, message }] }`); of anything else, its text.
 *
 * @param body - the decoded body: an object, a text, anything.
 * @param essence - its media type, in lower case and without parameters.
 * @param status - of the response: only a refused input (400, 422) has violations in an object of details.
 */
export function readErrorEnvelope(body: unknown, essence: string, status: number): ErrorEnvelope {
  if (typeof body === 'string')
    return essence === 'text/plain' || essence === '' ? { serverMessage: textOf(body) } : empty
  if (!isRecord(body)) return Array.isArray(body) ? { violations: readViolations(body) } : empty
  const isInput = status === 400 || status === 422
  if (essence === 'application/problem+json') return fromProblem(body, isInput)
  if (isRecord(body.error)) return fromError(body.error, body, isInput)
  return fromFlat(body, isInput)
}

/** RFC 9457; its `status` is advisory: the response's own rules. */
function fromProblem(problem: Body, isInput: boolean): ErrorEnvelope {
  const type = text(problem.type)
  return {
    ...fromFlat(problem, isInput),
    problem,
    reason: tokenOf(problem.code) ?? (type === undefined || type === 'about:blank' ? undefined : lastOf(type)),
    serverMessage: text(problem.detail) ?? text(problem.title),
  }
}

/** `{ error: { code, message, details, request_id } }`; Google's, where `status` is the code in words. */
function fromError(error: Body, around: Body, isInput: boolean): ErrorEnvelope {
  const read = fromFlat(error, isInput)
  return { ...read, requestId: read.requestId ?? requestIdOf(around) }
}

/** Members side by side: Connect, google.rpc.Status, OAuth, AWS, GitHub, Fastify, JSON:API … */
function fromFlat(body: Body, isInput: boolean): ErrorEnvelope {
  const { details } = body
  const google = Array.isArray(details) ? fromGoogleDetails(details) : empty
  const lists = [
    google.violations,
    body.errors,
    body['invalid-params'],
    body.invalid_params,
    body.violations,
    body.validation,
    asList(body.detail),
    isInput ? details : asList(details),
  ]
  return {
    reason: google.reason ?? reasonOf(body),
    serverMessage:
      text(body.message) ??
      text(body.error_description) ??
      text(body.detail) ??
      text(body.title) ??
      text(body.error) ??
      text(body.msg),
    violations: lists.map(readViolations).find((found) => found !== undefined),
    details,
    requestId: requestIdOf(body) ?? google.requestId,
    retryAfterMs: google.retryAfterMs,
    isQuotaExhausted: google.isQuotaExhausted,
  }
}

/** Google's `code` is a number and its `status` the code in words; Fastify's `error` is a phrase. */
function reasonOf(body: Body): string | undefined {
  const type = typeof body.__type === 'string' ? lastOf(body.__type) : undefined
  const first = Array.isArray(body.errors) && isRecord(body.errors[0]) ? tokenOf(body.errors[0].code) : undefined
  return (
    tokenOf(body.code) ??
    (/^[A-Z][A-Z_]+$/.test(String(body.status)) ? tokenOf(body.status) : undefined) ??
    tokenOf(body.error) ??
    tokenOf(body.error_code) ??
    tokenOf(type) ??
    tokenOf(lastOf(text(body.type) ?? '')) ??
    first
  )
}

/** What google.rpc puts into `details`: BadRequest, ErrorInfo, RequestInfo, RetryInfo, QuotaFailure. */
function fromGoogleDetails(details: readonly unknown[]): ErrorEnvelope {
  const find = (name: string) =>
    details.find((each): each is Body => isRecord(each) && lastOf(text(each['@type']) ?? '') === `google.rpc.${name}`)
  const delay = /^(\d+(?:\.\d+)?)s$/.exec(text(find('RetryInfo')?.retryDelay) ?? '')
  return {
    violations: readViolations(find('BadRequest')?.fieldViolations),
    reason: tokenOf(find('ErrorInfo')?.reason),
    requestId: text(find('RequestInfo')?.requestId),
    retryAfterMs: delay ? Number(delay[1]) * 1000 : undefined,
    isQuotaExhausted: find('QuotaFailure') !== undefined && !delay,
  }
}

function requestIdOf({ request_id, requestId, requestID }: Body): string | undefined {
  return tokenOf(request_id) ?? tokenOf(requestId) ?? tokenOf(requestID)
}

function textOf(body: string): string | undefined {
  const trimmed = body.trim()
  return trimmed === '' || trimmed.startsWith('<') ? undefined : trimmed.slice(0, maxTextLength)
}

/** `https://example.com/probs/out-of-credit` → `out-of-credit`; `com.example#NotFound` → `NotFound`. */
function lastOf(uri: string): string {
  return uri.slice(Math.max(uri.lastIndexOf('/'), uri.lastIndexOf('#')) + 1)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxTextLength) : undefined
}

function tokenOf(value: unknown): string | undefined {
  return typeof value === 'string' && token.test(value) ? value : undefined
}

function asList(value: unknown): unknown {
  return Array.isArray(value) ? value : undefined
}

function isRecord(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
