import type { Call } from '../../src/core/call/call.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { UnaryReply } from '../../src/core/call/reply.ts'
import { checkSchema, type Schema, validating } from '../../src/core/call/schema.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import {
  type Codecs,
  decodeBytes,
  decodeText,
  findCodec,
  type MediaType,
  plainBytes,
  readMediaType,
} from '../http/codecs.ts'
import { decodeUtf8 } from '../http/collect.ts'
import type { HttpFault, HttpHead, HttpRequest } from '../http/contract.ts'
import { readHttpFailure } from '../http/errors.ts'
import { type Remembering, renewed } from './conditional/stored.ts'
import type { RestBinding } from './operation.ts'

/** A response whose body has been read. */
export interface WholeResponse extends HttpHead {
  readonly body: Uint8Array
  readonly trailers: HeaderMap
  /** Why the body of an error could not be read. */
  readonly bodyFault?: HttpFault | undefined
}

/** Whether a status is a reply; 304 answers a condition and nothing else, other redirects only where nobody follows them. */
export function isReply(status: number, { headers, fetchOptions }: HttpRequest): boolean {
  if (status === 304) return 'if-none-match' in headers || 'if-modified-since' in headers
  return status >= 200 && (status < 300 || (status < 400 && fetchOptions?.redirect === 'manual'))
}

/**
 * Makes the reply of a response.
 *
 * @param url - of the request, where the response does not say where it came from.
 * @throws {CallError} `internal` when the body is not what it should be.
 */
export function readReply(call: Call, url: string, response: WholeResponse, codecs: Codecs | undefined): UnaryReply {
  const { status, trailers, body } = response
  const { method, reads, isContentNeeded } = call.operation.binding as RestBinding
  let { headers } = response
  let message: unknown
  // 204, 205 and 304 never carry a message, and that of a redirect is for people.
  if (method !== 'HEAD' && status !== 204 && status !== 205 && status < 300) {
    const contentType = headers.get('content-type')
    const isRaw = reads === 'text' || reads === 'bytes' || codecs !== undefined || body.byteLength === 0
    try {
      // What nearly every reply is, is read at once.
      if (!isRaw && contentType !== null && utf8Json.test(contentType)) message = JSON.parse(decodeUtf8(body))
      else message = decode(body, readMediaType(contentType), reads, codecs)
    } catch (cause) {
      const type = readMediaType(contentType)
      const as = type.kind === 'json' ? 'JSON' : 'what its content type says'
      const what = cause === misfit ? noJson(type) : `the body cannot be read as ${as}: see cause`
      throw unreadable(call, response, what, cause)
    }
  }
  if (message === undefined && isContentNeeded && status < 300)
    throw unreadable(call, response, `nothing came (status ${status}) where output is declared: ${howEmpty}`)
  let from = response.url || url
  if (status !== 200) headers = resolveLocation(headers, from)
  if (call.credential?.query) from = withoutCredential(from, call)
  const reply: UnaryReply = { kind: 'unary', message, status, headers, trailers, url: from }
  return status === 304 ? ((call.options as Remembering)[renewed]?.(reply) ?? reply) : reply
}

const utf8Json = /^application\/json(?:; ?charset=utf-8)?$/i
const howEmpty = 'write optional(output), or leave output out'

/** Thrown for a body of another type than the operation asks for. */
const misfit = Symbol('misfit')

/** By what the operation declares, else by content type. */
function decode(bytes: Uint8Array, type: MediaType, reads: RestBinding['reads'], codecs: Codecs | undefined): unknown {
  if (reads === 'bytes') return plainBytes(bytes)
  if (reads === 'text') return decodeText(bytes, type.charset)
  const parse = codecs && findCodec(codecs, type.essence)?.parse
  if (parse) return parse(plainBytes(bytes), type.charset)
  if (bytes.byteLength === 0) return reads === 'any' && type.kind === 'text' ? '' : undefined
  if (type.kind === 'json') return JSON.parse(decodeText(bytes, type.charset))
  if (reads === 'any') return decodeBytes(bytes, type)
  if (reads === 'declared' && !mayBeJson(type)) throw misfit
  try {
    return JSON.parse(decodeText(bytes, type.charset))
  } catch {
    throw misfit
  }
}

/** No type, and texts that are no page may hold JSON. */
function mayBeJson({ kind, essence }: MediaType): boolean {
  return kind === 'untyped' || (essence.startsWith('text/') && essence !== 'text/html')
}

/** What came, where JSON was expected. */
function noJson({ essence, kind }: MediaType): string {
  const came =
    kind === 'contradicting'
      ? 'of types that contradict each other'
      : kind === 'untyped'
        ? 'of no type and no JSON'
        : /^[\w.+/-]{1,100}$/.test(essence)
          ? essence
          : 'of an unreadable type'
  const how = /html/.test(essence)
    ? 'an SPA fallback or a sign-in page? check path and baseUrl'
    : 'name it in response, or add a codec'
  return `the reply is ${came} where JSON was expected: ${how}`
}

/** The server did what was asked: sending it again would do it twice. */
function unreadable(call: Call, { status, headers }: WholeResponse, what: string, cause?: unknown): CallError {
  const message = `${what}; the server did what was asked`
  const shown = cause === misfit ? undefined : cause
  return new CallError({ code: 'internal', message, phase: 'body', sent: 'yes', status, headers, cause: shown }, call)
}

/** Where a reply came from, without the credential that its URL may hold: it is shown to whoever prints a reply. */
export function withoutCredential(url: string, { credential }: Call): string {
  if (!credential?.query || !URL.canParse(url)) return url
  const place = new URL(url)
  for (const name in credential.query) place.searchParams.delete(name)
  return place.href
}

/** `Location` made absolute against what answered, so that it can be used as it is. */
function resolveLocation(headers: HeaderMap, url: string): HeaderMap {
  const location = headers.last('location')
  if (location === null || !URL.canParse(location, url)) return headers
  return headers.with('location', new URL(location, url).href)
}

/** Throws the error of a response that is none of the replies; its body typed by the operation's `errors`. */
export async function responseError(call: Call, response: WholeResponse): Promise<never> {
  const { idempotencyKey } = call
  let failure = readHttpFailure({ ...response, idempotencyKey }, call.scope.services.clock.wallNow())
  const { errors, binding } = call.operation
  const schema = validating(errors?.[response.status])
  if (schema) failure = { ...failure, body: await typedBody(call, schema, failure) }
  throw (binding as RestBinding).judge?.(call, failure) ?? new CallError(failure, call)
}

/** A schema that refuses the body, or throws, hides no error. */
async function typedBody(call: Call, schema: Schema<any, any>, { body, status }: Failure): Promise<unknown> {
  let why = 'does not fit its schema'
  try {
    const checked = await checkSchema(schema, body)
    if ('value' in checked) return checked.value
  } catch {
    why = 'was not read: its schema threw'
  }
  const message = `${call.operation.name}: the error body of ${status} ${why}`
  call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
  return body
}

/** The connection is taken for dead. */
export function silence(idleTimeoutMs: number, call: Call): CallError {
  const message = `nothing came for ${idleTimeoutMs} ms (idleTimeoutMs)`
  return new CallError({ code: 'unavailable', message, phase: 'body', sent: 'yes', isRetryable: true }, call)
}
