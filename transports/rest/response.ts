import type { Call } from '../../src/core/call/call.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { UnaryReply } from '../../src/core/call/reply.ts'
import { checkSchema, type Schema, validating } from '../../src/core/call/schema.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { type Codecs, decodeText, findCodec, type MediaType, readMediaType } from '../http/codecs.ts'
import { decodeUtf8 } from '../http/collect.ts'
import type { HttpFault, HttpHead } from '../http/contract.ts'
import { httpFailure } from '../http/errors.ts'
import type { RestBinding } from './operation.ts'

/** A response whose body has been read. */
export interface WholeResponse extends HttpHead {
  readonly body: Uint8Array
  readonly trailers: HeaderMap
  /** Why the body of an error could not be read. */
  readonly bodyFault?: HttpFault | undefined
}

/** Whether a status is a reply; 304 answers a conditional GET, other redirects only where nobody follows them. */
export function isReply(status: number, isManualRedirect: boolean): boolean {
  return (status >= 200 && status < 300) || status === 304 || (isManualRedirect && status >= 300 && status < 400)
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
  // 204, 205 and 304 never carry a message.
  if (method !== 'HEAD' && status !== 204 && status !== 205 && status !== 304) {
    const type = readMediaType(headers.get('content-type'))
    try {
      message = decode(body, type, reads, codecs)
    } catch (cause) {
      if (cause instanceof Misfit) throw unreadable(call, response, cause.message)
      throw unreadable(call, response, misreadJson(type, reads), cause)
    }
  }
  if (message === undefined && isContentNeeded && status !== 304)
    throw unreadable(call, response, `nothing came (status ${status}) where output is declared: ${howEmpty}`)
  if (status !== 200) headers = resolveLocation(headers, response.url || url)
  return { kind: 'unary', message, status, headers, trailers }
}

const howEmpty = 'write optional(output) where a reply may be empty, or leave output out where it always is'

/** A body of another type than the operation asks for; its message tells what came. */
class Misfit extends Error {}

/** By what the operation declares, else by content type. */
function decode(bytes: Uint8Array, type: MediaType, reads: RestBinding['reads'], codecs: Codecs | undefined): unknown {
  if (reads === 'bytes') return plainBytes(bytes)
  if (reads === 'text') return decodeText(bytes, type.charset)
  const parse = codecs && findCodec(codecs, type.essence)?.parse
  if (parse) return parse(plainBytes(bytes), type.charset)
  if (bytes.byteLength === 0) return reads === 'any' && type.kind === 'text' ? '' : undefined
  if (type.kind === 'json')
    return JSON.parse(type.charset === 'utf-8' ? decodeUtf8(bytes) : decodeText(bytes, type.charset))
  if (reads === 'declared' && !mayBeJson(type)) throw new Misfit(otherType(type))
  const kind = reads === 'any' ? type.kind : 'json'
  return decodeBytes(bytes, kind, type.charset, kind === 'untyped')
}

/** No type, and texts that are no page may hold JSON. */
function mayBeJson({ kind, essence }: MediaType): boolean {
  return kind === 'untyped' || (essence.startsWith('text/') && essence !== 'text/html')
}

function otherType({ essence, kind }: MediaType): string {
  if (kind === 'contradicting')
    return 'the reply has content types that contradict each other: JSON was expected; check what stands in between'
  if (/^text\/html$|^application\/xhtml/.test(essence))
    return `the reply is ${essence} where JSON was expected: an SPA fallback or a sign-in page? Check path and baseUrl`
  return `the reply is ${/^[\w.+/-]{1,100}$/.test(essence) ? essence : 'of an unreadable type'} where JSON was expected: name it in response ('text', 'bytes', 'stream'), or add a codec`
}

function misreadJson({ kind, essence }: MediaType, reads: RestBinding['reads']): string {
  if (reads === 'json' && essence === 'text/html')
    return 'an HTML page came where JSON was asked for: check the path, and what stands in between'
  if (reads === 'declared' && kind !== 'json')
    return `the reply is no JSON, and has ${kind === 'untyped' ? 'no content type' : `the type ${essence}`}: name it in response ('text', 'bytes')`
  const as = reads === 'json' || kind === 'json' ? 'JSON' : 'what its content type says'
  return `the body cannot be read as ${as}: see cause`
}

/** The server did what was asked: sending it again would do it twice. */
function unreadable(call: Call, { status, headers }: WholeResponse, what: string, cause?: unknown): CallError {
  const message = `${what}; the server did what was asked`
  return new CallError({ code: 'internal', message, phase: 'body', sent: 'yes', status, headers, cause }, call)
}

/** JSON, text or bytes; what is no JSON, but may be a text, is one where the reader is lenient. */
function decodeBytes(bytes: Uint8Array, kind: MediaType['kind'], charset: string, isLenient: boolean): unknown {
  if (kind === 'bytes' || kind === 'contradicting') return plainBytes(bytes)
  const text = decodeText(bytes, charset)
  if (kind === 'text') return text
  try {
    return JSON.parse(text)
  } catch (error) {
    if (isLenient) return text
    throw error
  }
}

/** A Uint8Array with a buffer of its own: that of a Node Buffer shows what other calls received. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes)
}

/** `Location` made absolute against what answered, so that it can be used as it is. */
function resolveLocation(headers: HeaderMap, url: string): HeaderMap {
  const location = headers.last('location')
  if (location === null || !URL.canParse(location, url)) return headers
  return headers.with('location', new URL(location, url).href)
}

/** Throws the error of a response that is none of the replies; its body typed by the operation's `errors`. */
export async function responseError(call: Call, response: WholeResponse): Promise<never> {
  const { status, headers, body: bytes, bodyFault, redirected } = response
  const type = readMediaType(headers.get('content-type'))
  const body = bytes.byteLength === 0 ? undefined : decodeBytes(bytes, type.kind, type.charset, true)
  const failure = httpFailure(
    {
      status,
      headers,
      body,
      essence: type.essence,
      isKeyed: call.idempotencyKey !== undefined,
      bodyFault,
      redirected,
    },
    call.scope.services.clock.wallNow(),
  )
  const schema = validating((call.operation.binding as RestBinding).errors?.[status])
  throw new CallError(schema ? { ...failure, body: await typedBody(call, schema, failure) } : failure, call)
}

/** A schema that refuses the body, or throws, hides no error. */
async function typedBody(call: Call, schema: Schema<any, any>, { body, status }: Failure): Promise<unknown> {
  const what = `${call.operation.name}: the error body of ${status}`
  const { telemetry } = call.scope.services
  try {
    const checked = await checkSchema(schema, body)
    if ('value' in checked) return checked.value
    telemetry?.event?.({ type: 'warning', call, message: `${what} does not fit its schema` })
  } catch {
    telemetry?.event?.({ type: 'warning', call, message: `${what} was not read: its schema threw` })
  }
  return body
}
