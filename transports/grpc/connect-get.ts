import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap, withoutRemoved } from '../../src/core/call/header-map.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { checkOptions, count, object, type RulesOf } from '../../src/core/options.ts'
import { isObject } from '../../src/core/tag.ts'
import type { HttpCache } from '../http/cache.ts'
import { type BufferedResponse, requestBuffered } from '../http/collect.ts'
import type { HttpRequest } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { addQuery } from '../shared/base-url.ts'
import { grpcTimeoutMs } from '../shared/grpc-timeout.ts'
import { toDetail } from './details.ts'
import { grpcCode, httpStatusFailure, isAtDeadline, type StatusPlace, statusFailure } from './errors.ts'
import { withOwnBytes } from './messages.ts'
import { encodeBinaryHeader, fromBase64 } from './metadata.ts'
import { methodOf } from './operation.ts'
import { protobuf } from './peers.ts'
import type { GrpcWebWire } from './request.ts'
import { unencodable } from './send.ts'

/** How calls go by GET. */
export interface ConnectGetOptions {
  /** A call whose URL would be longer goes by POST, as others do; bytes. @defaultValue 8_000 */
  readonly maxUrlLength?: number | undefined
  /** Answers are kept, as `Cache-Control` says: made by `httpCache()` of `polywire/rest`. @defaultValue by browsers alone */
  readonly cache?: HttpCache | undefined
}

const rules: RulesOf<ConnectGetOptions> = {
  maxUrlLength: count,
  cache: /* @__PURE__ */ object('what httpCache() of polywire/rest makes'),
}
const type = 'application/proto'
const trailerPrefix = 'trailer-'

/** Sends reads by GET; made by {@link connectGet}, and only the transport knows what else it is. */
export interface ConnectGet {
  readonly maxUrlLength: number
}

/** Sends reads by GET of the Connect protocol. */
export class ConnectReads implements ConnectGet {
  readonly maxUrlLength: number
  readonly #cache: HttpCache | undefined

  constructor({ maxUrlLength = 8_000, cache }: ConnectGetOptions) {
    this.maxUrlLength = maxUrlLength
    this.#cache = cache
  }

  /** @param post - what is done instead where the URL would be too long. */
  async send(call: Call, wire: GrpcWebWire, input: unknown, post: () => Promise<Reply>): Promise<Reply> {
    const { create, toBinary, fromBinary } = await protobuf.get(call)
    const { parent, name, input: schema, output } = methodOf(call)
    let message: string
    try {
      message = encodeBinaryHeader(toBinary(schema, create(schema, input as never), wire.connectOptions.binaryOptions))
    } catch (cause) {
      throw unencodable(call, cause)
    }
    const text = message.replaceAll('+', '-').replaceAll('/', '_')
    const query = `?connect=v1&base64=1&encoding=proto&message=${text}`
    const url = addQuery(`${wire.baseUrl}/${parent.typeName}/${name}${query}`, call.credential?.query)
    if (url.length > this.maxUrlLength) return post()
    const made: HttpRequest = {
      method: 'GET',
      url,
      headers: headersOf(call, wire),
      credential: call.credential,
      fetchOptions: wire.fetchOptions,
    }
    const request = this.#cache?.apply(made, call) ?? made
    const limits = { maxBodyBytes: wire.maxMessageBytes }
    const response = await requestBuffered(wire.engine, request, call.scope, limits).catch((error: unknown) => {
      throw toCallError(error, call)
    })
    const { status, body } = response
    if (status !== 200) throw new CallError(answerFailure(response, call), call)
    const [headers, trailers] = apart(response.headers)
    const unfit = (what: string, cause?: unknown) => {
      const failure = { code: 'internal', message: what, phase: 'body', sent: 'yes', status, headers, cause } as const
      return new CallError(failure, call)
    }
    const found = headers.last('content-type')?.split(';')[0]?.trim().toLowerCase()
    if (found !== type) throw unfit(`the answer is no message by its content type: ${noConnect}`)
    try {
      const reply = fromBinary(output, body, wire.connectOptions.binaryOptions)
      return { kind: 'unary', message: withOwnBytes(output, reply), status, headers, trailers }
    } catch (cause) {
      throw unfit(`a reply does not decode as ${output.typeName}: do both sides use the same .proto?`, cause)
    }
  }
}

/**
 * Lets methods without side effects (`idempotency_level = NO_SIDE_EFFECTS`) go by GET of the Connect protocol, which
 * browsers, CDNs and `httpCache()` can answer; for servers that speak Connect beside gRPC-Web, as those of connect-go and
 * connect-es do.
 *
 * @throws {CallError} `invalid_argument` where an option is unknown, or is not what it takes.
 * @see https://connectrpc.com/docs/protocol#unary-get-request
 * @example
 * grpcWebTransport({ baseUrl: 'https://rpc.example.com', get: connectGet() })
 */
export function connectGet(options: ConnectGetOptions = {}): ConnectGet {
  checkOptions('connectGet()', options, rules)
  return new ConnectReads(options)
}

const noConnect =
  'does the server behind baseUrl speak Connect, and this method by GET? Without connectGet() it goes by POST'

/** Across origins nothing says how long the caller waits: it would cost a preflight, which a GET is free of. */
function headersOf(call: Call, { headers: base, filterHeaders }: GrpcWebWire): Record<string, string> {
  const headers = withoutRemoved({ accept: type, ...base, ...call.headers, ...call.credential?.headers })
  if (filterHeaders) return filterHeaders(call, headers)
  const timeoutMs = call.isDeadlineSent ? grpcTimeoutMs(call.remainingMs) : undefined
  if (timeoutMs !== undefined) headers['connect-timeout-ms'] = String(timeoutMs)
  return headers
}

/** Connect sends the trailers of a unary call among its headers. */
function apart(all: HeaderMap): [headers: HeaderMap, trailers: HeaderMap] {
  const headers: [string, string][] = []
  const trailers: [string, string][] = []
  for (const [name, value] of all)
    if (name.startsWith(trailerPrefix)) trailers.push([name.slice(trailerPrefix.length), value])
    else headers.push([name, value])
  return [HeaderMap.from(headers), HeaderMap.from(trailers)]
}

/** An answer other than 200: Connect's error as JSON, or that of a proxy. */
function answerFailure({ status, headers, body }: BufferedResponse, call: Call): Failure {
  const [head, tail] = apart(headers)
  // As with trailers alone, what a server says of an error stands among the headers.
  const trailers = HeaderMap.from([...head, ...tail])
  const place: StatusPlace = {
    phase: 'headers',
    headers: head,
    trailers,
    wallNow: call.scope.services.clock.wallNow(),
    isAtDeadline: isAtDeadline(call),
  }
  const said = readError(body)
  if (!said) {
    const failure = httpStatusFailure(status, place)
    return status === 405 || status === 415
      ? { ...failure, message: `HTTP ${status} without an error of Connect: ${noConnect}` }
      : failure
  }
  const number = numberOf(said.code)
  if (number === undefined) return { ...httpStatusFailure(status, place), serverMessage: said.message, trailers }
  return statusFailure({ status: number, message: said.message ?? '', details: said.details }, place)
}

/** The number of a code by its name. */
function numberOf(code: unknown): number | undefined {
  for (let number = 1; number <= 16; number++) if (grpcCode(number) === code) return number
  return undefined
}

function readError(body: Uint8Array) {
  let read: unknown
  try {
    read = JSON.parse(new TextDecoder().decode(body))
  } catch {
    return undefined
  }
  if (!isObject(read)) return undefined
  const { code, message, details } = read as any
  const list: readonly any[] = Array.isArray(details) ? details : []
  return {
    code: code as unknown,
    message: typeof message === 'string' ? message : undefined,
    details: list.flatMap((each) => {
      const bytes = typeof each?.value === 'string' ? fromBase64(each.value) : undefined
      return bytes && typeof each.type === 'string' ? [toDetail(each.type, bytes)] : []
    }),
  }
}
