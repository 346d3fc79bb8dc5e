import { atHand } from '#grpc-framing'
import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders, HeadersInit } from '../../src/core/call/header-map.ts'
import { readHeaders, withoutRemoved } from '../../src/core/call/header-map.ts'
import { type IdempotencyOption, idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { fetchOptionsOf, selectEngine } from '../http/choose.ts'
import type { FetchOptions, HttpEngine, HttpOptions } from '../http/contract.ts'
import { isCrossOrigin, readBaseUrl } from '../shared/base-url.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import { grpcTimeout } from '../shared/grpc-timeout.ts'
import type { ConnectWeb, ConnectWebFraming } from './connect-web.ts'
import { methodOf } from './operation.ts'
import type { GrpcWebText, TextFormat } from './text.ts'

/** Who makes frames of messages and messages of frames. */
export type Framing = 'auto' | 'connect-web' | 'own' | ConnectWeb

/** One gRPC-Web endpoint: what every request of it needs, worked out once. */
export interface GrpcWebWire {
  readonly origin: string
  /** Absolute, without a slash at its end. */
  readonly baseUrl: string
  /** A page of another origin calls: most headers force a preflight. */
  readonly isCrossOrigin: boolean
  readonly engine: HttpEngine
  readonly fetchOptions: FetchOptions
  readonly headers: CallHeaders
  /** Set where a page of another origin calls. */
  readonly filterHeaders: CrossOriginFilter | undefined
  /** Of the messages, both ways. */
  readonly format: 'proto' | 'json'
  readonly maxMessageBytes: number
  /** What goes to connect-web as it is. */
  readonly connectOptions: ConnectOptions
  /** What makes the frames, where we do not. */
  readonly connectWeb: ConnectWebFraming | undefined
}

interface ConnectOptions {
  readonly interceptors: any[] | undefined
  readonly jsonOptions: object | undefined
  readonly binaryOptions: object | undefined
}

/** What an endpoint is made of. */
export interface GrpcWebWireOptions extends Omit<HttpOptions, 'redirect'> {
  readonly baseUrl: string
  readonly headers?: HeadersInit | undefined
  readonly crossOriginHeaders?: readonly string[] | undefined
  readonly useBinaryFormat?: boolean | undefined
  readonly maxMessageBytes?: number | undefined
  readonly framing?: Framing | undefined
  readonly jsonOptions?: object | undefined
  readonly binaryOptions?: object | undefined
  readonly connectInterceptors?: readonly ((next: any) => any)[] | undefined
  readonly text?: GrpcWebText | undefined
}

/** No RPC is redirected: the message would go to a server that nobody named. */
const noRedirect: FetchOptions = { redirect: 'error' }

/**
 * Reads the options of an endpoint.
 *
 * @throws {CallError} `invalid_argument` where `baseUrl` is no URL that can be called, or a limit is none.
 */
export function grpcWebWire(options: GrpcWebWireOptions): GrpcWebWire {
  const { useBinaryFormat = true, maxMessageBytes = 1 << 24, crossOriginHeaders, connectInterceptors = [] } = options
  const { framing = 'auto', jsonOptions, binaryOptions } = options
  const { origin, prefix } = readBaseUrl(options.baseUrl, 'grpcWebTransport')
  const selected = selectEngine(options)
  const engine = (options.text as TextFormat | undefined)?.over(selected) ?? selected
  const headers = readHeaders(options.headers, {
    operation: { name: 'grpcWebTransport()', protocol: 'grpc-web', via: 'grpc-web' },
  })
  const interceptors = connectInterceptors.length > 0 ? [...connectInterceptors] : undefined
  const isConnectNeeded = !useBinaryFormat || interceptors !== undefined || framing === 'connect-web'
  const given = typeof framing === 'object' ? (framing as ConnectWebFraming) : undefined
  const connectWeb = given ?? (isConnectNeeded && framing !== 'own' ? atHand : undefined)
  if (isConnectNeeded && !connectWeb) {
    const message = 'grpcWebTransport(): JSON and connectInterceptors need framing: connectWeb() of polywire/grpc-web'
    throw new CallError({ code: 'invalid_argument', message })
  }
  const always = ['grpc-timeout', ...Object.keys(headers)]
  return {
    origin,
    baseUrl: prefix,
    isCrossOrigin: isCrossOrigin(origin),
    engine,
    connectWeb,
    fetchOptions: { ...fetchOptionsOf(options), ...noRedirect },
    headers,
    filterHeaders: crossOriginFilter({ factory: 'grpcWebTransport', origin, always, crossOriginHeaders }),
    format: useBinaryFormat ? 'proto' : 'json',
    maxMessageBytes,
    connectOptions: { jsonOptions, binaryOptions, interceptors },
  }
}

/** The headers of one attempt: the transport's, the call's, the credential, and what is left of the deadline. */
export function grpcWebHeaders(call: Call, wire: GrpcWebWire): Record<string, string> {
  const { headers: base, filterHeaders } = wire
  const attempt = filterHeaders ? undefined : attemptHeader(call)
  const headers = withoutRemoved({ ...base, ...call.headers, ...attempt, ...call.credential?.headers })
  const timeout = call.isDeadlineSent ? grpcTimeout(call.remainingMs) : undefined
  if (timeout !== undefined) headers['grpc-timeout'] = timeout
  return filterHeaders ? filterHeaders(call, headers) : headers
}

/** Tells the server that this is another attempt, as gRFC A6 says. */
export function attemptHeader({ attempt }: Call): CallHeaders | undefined {
  return attempt > 1 ? { 'grpc-previous-rpc-attempts': String(attempt - 1) } : undefined
}

/**
 * The message of one attempt: the caller's, with the idempotency key where its profile puts it into the message
 * (AIP-155: `request_id`).
 *
 * @throws {CallError} `invalid_argument` when the input is no object; `failed_precondition` when the message has no such field: sent again, it would do things twice.
 */
export function inputOf(call: Call, profile: IdempotencyOption | undefined): unknown {
  if (call.operation.kind === 'client_stream' || call.operation.kind === 'bidi_stream') return call.input
  // Of a list, bytes or a Map, protobuf-es would make an empty message.
  if (call.input !== undefined && (typeof call.input !== 'object' || !call.input || Symbol.iterator in call.input))
    throw noMessage(call)
  const named = call.operation.idempotency ?? profile
  if (call.idempotencyKey === undefined || !named) return call.input ?? {}
  const { place, name } = idempotencyProfiles[named]
  if (place !== 'body') return call.input ?? {}
  const { input } = methodOf(call)
  const field = input.fields.find((each) => each.name === name || each.jsonName === name)
  if (!field) throw keyless(call, input.typeName, name)
  return { ...(call.input as object | undefined), [field.localName]: call.idempotencyKey }
}

function noMessage(call: Call): CallError {
  return refusal(`the input is an object with the fields of ${methodOf(call).input.typeName}`, call)
}

function keyless(call: Call, typeName: string, name: string): CallError {
  const message = `${typeName} has no field '${name}' for the idempotency key: set idempotency: false; nothing was sent`
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}
