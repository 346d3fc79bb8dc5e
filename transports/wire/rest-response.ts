import type { Call } from '../../src/core/call.ts'
import { CallError } from '../../src/core/error.ts'
import type { Failure } from '../../src/core/failure.ts'
import { HeaderMap } from '../../src/core/header-map.ts'
import type { UnaryReply } from '../../src/core/reply.ts'
import { checkSchema, validating } from '../../src/core/schema.ts'
import { type Codecs, charsetOf, decodeText, essenceOf, findCodec, isJson, isText } from './codecs.ts'
import type { HttpHead } from './http.ts'
import { httpFailure } from './http-error.ts'
import type { RestBinding } from './rest-operation.ts'
import type { ResponseKind } from './rest-types.ts'

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
  const contentType = headers.get('content-type')
  try {
    return decode(body, contentType, kind, codecs)
  } catch (cause) {
    const what = `the body cannot be read as ${kind ?? essenceOf(contentType)}: see cause`
    throw new CallError(
      {
        code: 'internal',
        message: `${what}; the server did what was asked`,
        phase: 'body',
        sent: 'yes',
        status,
        headers,
        cause,
      },
      call,
    )
  }
}

/** By the kind that the operation names, else by content type; a body without one is JSON, or else a text. */
function decode(
  bytes: Uint8Array,
  contentType: string | null,
  kind: ResponseKind | undefined,
  codecs: Codecs,
): unknown {
  if (kind === 'bytes') return plainBytes(bytes)
  const charset = charsetOf(contentType)
  if (kind === 'text') return decodeText(bytes, charset)
  const essence = essenceOf(contentType)
  const parse = findCodec(codecs, essence)?.parse
  if (parse) return parse(plainBytes(bytes), charset)
  if (bytes.byteLength === 0) return isText(essence) && kind === undefined ? '' : undefined
  if (kind === 'json' || isJson(essence)) return JSON.parse(decodeText(bytes, charset))
  if (essence === '') return jsonOrText(decodeText(bytes, charset))
  return isText(essence) ? decodeText(bytes, charset) : plainBytes(bytes)
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A Uint8Array and nothing else: a Node Buffer behaves otherwise here and there. */
function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** `Location` made absolute against what answered, so that it can be used as it is. */
function resolveLocation(headers: HeaderMap, url: string): HeaderMap {
  const location = headers.last('location')
  if (location === null || !URL.canParse(location, url)) return headers
  const others = [...headers].filter(([name]) => name !== 'location' && name !== 'set-cookie')
  const cookies = headers.getSetCookie().map((cookie): [string, string] => ['set-cookie', cookie])
  return HeaderMap.from([...others, ...cookies, ['location', new URL(location, url).href]])
}

/** The error of a response that is none of the replies; its body typed by the operation's `errors`. */
export async function responseError(call: Call, { status, headers, body: bytes }: WholeResponse): Promise<CallError> {
  const contentType = headers.get('content-type')
  const { body, essence } = readErrorBody(bytes, contentType)
  const failure = httpFailure(
    { status, headers, body, essence, isKeyed: call.idempotencyKey !== undefined },
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

/** An error body is read as well as it can be: JSON, else text. */
function readErrorBody(
  bytes: Uint8Array,
  contentType: string | null,
): { readonly body: unknown; readonly essence: string } {
  const essence = essenceOf(contentType)
  if (bytes.byteLength === 0) return { body: undefined, essence }
  if (essence !== '' && !isJson(essence) && !isText(essence)) return { body: plainBytes(bytes), essence }
  const text = decodeText(bytes, charsetOf(contentType))
  return { body: essence === '' || isJson(essence) ? jsonOrText(text) : text, essence }
}
