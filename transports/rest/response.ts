import type { Call } from '../../src/core/call/call.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { UnaryReply } from '../../src/core/call/reply.ts'
import { checkSchema, validating } from '../../src/core/call/schema.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { type Codecs, decodeText, findCodec, type MediaType, readMediaType } from '../http/codecs.ts'
import type { HttpHead } from '../http/contract.ts'
import { httpFailure } from '../http/errors.ts'
import type { ResponseKind } from '../http/input-types.ts'
import type { RestBinding } from './operation.ts'

/** A response whose body has been read. */
export interface WholeResponse extends HttpHead {
  readonly body: Uint8Array
  readonly trailers: HeaderMap
}

/** Statuses that never carry a message. */
const isEmptyStatus = (status: number): boolean => status === 204 || status === 205 || status === 304

/** Whether a status is a reply; 304 answers a conditional GET, other redirects only where nobody follows them. */
export function isReply(status: number, isManualRedirect: boolean): boolean {
  return (status >= 200 && status < 300) || status === 304 || (isManualRedirect && status >= 300 && status < 400)
}

/** @throws {CallError} `internal` when the body cannot be read as what it says it is. */
export function readReply(call: Call, url: string, response: WholeResponse, codecs: Codecs): UnaryReply {
  const { status, trailers } = response
  const { method, response: kind } = call.operation.binding as RestBinding
  const message = method === 'HEAD' || isEmptyStatus(status) ? undefined : readMessage(call, response, kind, codecs)
  return { kind: 'unary', message, status, headers: resolveLocation(response.headers, response.url || url), trailers }
}

function readMessage(
  call: Call,
  { body, headers, status }: WholeResponse,
  kind: ResponseKind | undefined,
  codecs: Codecs,
): unknown {
  const type = readMediaType(headers.get('content-type'))
  try {
    return decode(body, type, kind, codecs)
  } catch (cause) {
    const as = kind === 'json' || type.kind === 'json' ? 'JSON' : 'what its content type says'
    const message =
      kind === 'json' && type.essence === 'text/html'
        ? 'an HTML page came where JSON was asked for: check the path, and what stands in between'
        : `the body cannot be read as ${as}: see cause; the server did what was asked`
    throw new CallError({ code: 'internal', message, phase: 'body', sent: 'yes', status, headers, cause }, call)
  }
}

/** By the kind that the operation names, else by content type; a body without one is JSON, or else a text. */
function decode(bytes: Uint8Array, type: MediaType, asked: ResponseKind | undefined, codecs: Codecs): unknown {
  if (asked === 'bytes') return plainBytes(bytes)
  if (asked === 'text') return decodeText(bytes, type.charset)
  const parse = findCodec(codecs, type.essence)?.parse
  if (parse) return parse(plainBytes(bytes), type.charset)
  const kind = asked === 'json' ? 'json' : type.kind
  if (bytes.byteLength === 0) return kind === 'text' ? '' : undefined
  return decodeBytes(bytes, kind, type.charset, kind === 'untyped')
}

/** JSON, text or bytes; what is no JSON, but may be a text, is one where the reader is lenient. */
function decodeBytes(bytes: Uint8Array, kind: MediaType['kind'], charset: string, isLenient: boolean): unknown {
  if (kind === 'bytes') return plainBytes(bytes)
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

/** The error of a response that is none of the replies; its body typed by the operation's `errors`. */
export async function responseError(call: Call, { status, headers, body: bytes }: WholeResponse): Promise<CallError> {
  const type = readMediaType(headers.get('content-type'))
  const body = bytes.byteLength === 0 ? undefined : decodeBytes(bytes, type.kind, type.charset, true)
  const failure = httpFailure(
    { status, headers, body, essence: type.essence, isKeyed: call.idempotencyKey !== undefined },
    call.scope.services.clock.wallNow(),
  )
  const schema = validating((call.operation.binding as RestBinding).errors?.[status])
  return new CallError(schema ? { ...failure, body: await typedBody(call, schema, failure) } : failure, call)
}

async function typedBody(
  call: Call,
  schema: Parameters<typeof checkSchema>[0],
  { body, status }: Failure,
): Promise<unknown> {
  const checked = await checkSchema(schema, body)
  if ('value' in checked) return checked.value
  const message = `${call.operation.name}: the error body of ${status} does not fit its schema`
  call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
  return body
}
