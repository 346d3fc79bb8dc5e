import type { Violation } from '../../src/core/errors/failure.ts'
import { isRecord } from '../../src/core/tag.ts'
import { readSentences, readViolations } from './violations.ts'

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
/** A code, not a sentence. */
const token = /^[\w.:/#+-]{1,128}$/
/** Longer texts are pages, not messages. */
const maxTextLength = 2_000

/** Names of members, the most telling first. */
const codeNames = ['code', 'errorCode', 'error_code', 'reason']
const messageNames = ['message', 'Message', 'error_description', 'detail', 'title', 'error', 'msg', 'errors']
const requestIdNames = ['request_id', 'requestId', 'requestID', 'request-id', 'traceId']
/** Where lists of refused fields stand. */
const violationNames = ['errors', 'invalid-params', 'invalid_params', 'violations', 'validation']
/** A body with one of these is an envelope, and not itself an object of messages by field. */
const envelopeNames = /^(?:messages?|errors?|details?|code|status(?:Code)?)$/

/**
 * Reads an error body: `application/problem+json`, `{ error: { code, message, details, request_id } }`,
 * google.rpc.Status, Connect's and OAuth's errors, and what frameworks and platforms write (ASP.NET, Spring, Rails,
 * Laravel, Django REST, FastAPI, Nest, hapi, Kubernetes, Azure, Salesforce …); of anything else, its text.
 *
 * @param body - the decoded body: an object, a text, anything.
 * @param essence - its media type, in lower case and without parameters.
 * @param status - of the response: only a refused input (400, 422) has violations in an object of details.
 */
export function readErrorEnvelope(body: unknown, essence: string, status: number): ErrorEnvelope {
  if (typeof body === 'string')
    return essence === 'text/plain' || essence === '' ? { serverMessage: plainText(body) } : {}
  const isInput = status === 400 || status === 422
  if (Array.isArray(body)) return fromList(body)
  if (!isRecord(body)) return {}
  // Phoenix: `{ errors: { detail: 'Not Found' } }`.
  const inner = [text((body.errors as Body | null)?.detail) && body.errors, body.error, body.detail].find(isRecord)
  if (inner) {
    const read = fromRecord(inner, isInput)
    return { ...read, requestId: read.requestId ?? requestIdOf(body) }
  }
  const read = fromRecord(body, isInput)
  if (essence !== 'application/problem+json') return read
  // RFC 9457; its `status` is advisory: the response's own rules.
  return {
    ...read,
    problem: body,
    reason: tokenOf(body.code) ?? typeOf(body),
    serverMessage: text(body.detail) ?? text(body.title),
  }
}

/** Salesforce lists its errors, the first of which tells what happened; another list is one of refused fields. */
function fromList(body: readonly unknown[]): ErrorEnvelope {
  const violations = readViolations(body)
  const [head] = body
  const isWhole = isRecord(head) && (head.errorCode !== undefined || violations === undefined)
  return isWhole ? { ...fromRecord(head, false), violations } : { violations, serverMessage: messageOf(body) }
}

/** Members side by side. */
function fromRecord(body: Body, isInput: boolean): ErrorEnvelope {
  const { details, errors } = body
  const google = Array.isArray(details) ? fromGoogleDetails(details) : {}
  return {
    ...google,
    reason: google.reason ?? reasonOf(body, Array.isArray(errors) ? errors[0] : undefined),
    serverMessage: first(body, messageNames, messageOf),
    violations: google.violations ?? violationsOf(body, isInput),
    details,
    // Microsoft's have it inside.
    requestId: requestIdOf(body) ?? requestIdOf(body.innerError ?? body.innererror) ?? google.requestId,
  }
}

/** Google's `code` is a number and its `status` the code in words. */
function reasonOf(body: Body, listed: unknown): string | undefined {
  const word = tokenOf(body.status) ?? ''
  const status = /^[A-Z][A-Z_]+$/.test(word) ? word : undefined
  return (
    tokenOf(body.code) ??
    status ??
    phraseless(body.error) ??
    first(body, codeNames, tokenOf) ??
    (typeof body.__type === 'string' ? tokenOf(lastOf(body.__type)) : undefined) ??
    typeOf(body) ??
    (isRecord(listed) ? first(listed, codeNames, tokenOf) : undefined)
  )
}

/** A single capitalised word is the phrase of a status (`Forbidden`), which many frameworks write beside it. */
function phraseless(value: unknown): string | undefined {
  const code = tokenOf(value)
  return code !== undefined && /^[A-Z][a-z]+$/.test(code) ? undefined : code
}

/** `https://example.com/probs/out-of-credit` → `out-of-credit`; a page that explains the status is no code. */
function typeOf({ type }: Body): string | undefined {
  if (typeof type !== 'string' || type === 'about:blank') return undefined
  const isOfStatus = /\/\/[^/]*(?:ietf\.org|rfc-editor\.org|mozilla\.org|w3\.org|httpstatus\w*\.\w+)\//.test(type)
  return isOfStatus ? undefined : tokenOf(lastOf(type))
}

function violationsOf(body: Body, isInput: boolean): readonly Violation[] | undefined {
  const { details, detail, validation, message } = body
  for (const name of violationNames) {
    const found = readViolations(body[name])
    if (found) return found
  }
  // hapi tells the keys, and one message for all.
  if (isRecord(validation) && Array.isArray(validation.keys))
    return validation.keys.map((field) => ({ field: tokenOf(field) ?? '', message: text(message) ?? '' }))
  if (Array.isArray(detail)) return readViolations(detail)
  if (isInput && Array.isArray(message)) return readSentences(message)
  // Kubernetes: what stands beside the causes names the resource.
  if (isRecord(details) && Array.isArray(details.causes)) return readViolations(details.causes)
  if (Array.isArray(details) || isInput) {
    const found = readViolations(details)
    if (found) return found
  }
  // Django REST and bare model states: the whole body is an object of lists by field.
  return isInput && !Object.keys(body).some((name) => envelopeNames.test(name))
    ? readViolations(body, false)
    : undefined
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

/** What the first of the members gives that gives anything. */
function first(body: Body, names: readonly string[], read: (value: unknown) => string | undefined): string | undefined {
  for (const name of names) {
    const found = read(body[name])
    if (found !== undefined) return found
  }
  return undefined
}

function requestIdOf(body: unknown): string | undefined {
  return isRecord(body) ? first(body, requestIdNames, idOf) : undefined
}

/** The trace of a trace parent. */
export function traceOf(text: string | null | undefined): string | undefined {
  return /^[\da-f]{2}-([\da-f]{32})-/.exec(text ?? '')?.[1]
}

/** An id; of a trace parent, the trace. */
function idOf(value: unknown): string | undefined {
  const id = tokenOf(value)
  return traceOf(id) ?? id
}

/** A message, or several: Nest, Rails. */
function messageOf(value: unknown): string | undefined {
  const isList = Array.isArray(value) && value.length > 0 && value.every((each) => typeof each === 'string')
  return text(isList ? value.join('; ') : value)
}

function plainText(body: string): string | undefined {
  const trimmed = body.trim()
  return trimmed.startsWith('<') ? undefined : text(trimmed)
}

/** `com.example#NotFound` → `NotFound`. */
function lastOf(uri: string): string {
  return uri.slice(Math.max(uri.lastIndexOf('/'), uri.lastIndexOf('#')) + 1)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxTextLength) : undefined
}

function tokenOf(value: unknown): string | undefined {
  return typeof value === 'string' && token.test(value) ? value : undefined
}
