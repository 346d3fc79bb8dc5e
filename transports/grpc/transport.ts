import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import type { HeadersInit } from '../../src/core/call/header-map.ts'
import { readHeaders } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import {
  aboveZero,
  anything,
  checkOptions,
  flag,
  list,
  type OptionRules,
  object,
  oneOf,
  type RulesOf,
  takes,
  text,
} from '../../src/core/options.ts'
import { type OpeningOptions, openingOption } from '../../src/core/resume/options.ts'
import { duplexing } from '../../src/core/stream/duplex.ts'
import type { HttpOptions } from '../http/contract.ts'
import { requestRules } from '../http/option-rules.ts'
import { idempotencyRule } from '../shared/option-rules.ts'
import type { ConnectGet, ConnectReads } from './connect-get.ts'
import { ConnectTransportAttempt, type ConnectTransportLike } from './connect-transport.ts'
import { sendFramedUnary } from './framed.ts'
import { type Duplexing, methodOf, streamsOf } from './operation.ts'
import { protobuf } from './peers.ts'
import { type Framing, grpcWebWire, inputOf } from './request.ts'
import { needsConnectTransport, sendByConnect } from './send.ts'
import type { GrpcStreamTimes } from './stream.ts'
import type { GrpcWebText } from './text.ts'

/** Of google.protobuf.MethodOptions.IdempotencyLevel. */
const noSideEffects = 1

/** What both gRPC transports take. */
export interface GrpcOptions {
  /** Its own, instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** How streams are opened for the first time, instead of `retry`. @defaultValue three attempts */
  readonly opening?: OpeningOptions | undefined
  /** Sent with every call; a call's own win. */
  readonly headers?: HeadersInit | undefined
  /** How its servers take idempotency keys. @defaultValue none is known to be honoured */
  readonly idempotency?: IdempotencyOption | undefined
  /**
   * A stream whose server has been silent for this long after the request counts as open: most gRPC servers send nothing
   * before their first message, which `timeoutMs` must not wait for; ms, Infinity for never. @defaultValue 10_000
   */
  readonly quietOpenMs?: number | undefined
  /**
   * An open stream without a message for this long is taken for dead, and resumed where it can be; ms. Set it above the
   * interval in which the server says something.
   *
   * @defaultValue none
   */
  readonly idleTimeoutMs?: number | undefined
}

/** How gRPC-Web is spoken to one endpoint. */
export interface GrpcWebTransportOptions extends GrpcOptions, Omit<HttpOptions, 'redirect'> {
  /** In front of `/package.Service/Method`; in browsers also relative to the page. */
  readonly baseUrl: string
  /** Protobuf's binary format; `false` for JSON. @defaultValue true */
  readonly useBinaryFormat?: boolean | undefined
  /** A reply's message longer than this fails with `resource_exhausted` before it is read. @defaultValue 16_777_216 (16 MiB) */
  readonly maxMessageBytes?: number | undefined
  /**
   * Who makes frames of messages: Polywire itself, at a quarter of the cost and for the binary format only, or
   * connect-web. In a bundle for browsers or workerd that is `connectWeb()`, so that who does without carries nothing of it.
   *
   * @defaultValue 'auto': connect-web for JSON and with Connect's interceptors; else own
   */
  readonly framing?: Framing | undefined
  /** How protobuf-es reads and writes JSON. */
  readonly jsonOptions?: object | undefined
  /** How protobuf-es reads and writes its binary format. */
  readonly binaryOptions?: object | undefined
  /**
   * In browsers, on a page of another origin: the further headers that the server allows. The protocol's own, auth and
   * what the caller names are always sent; what interceptors add is left out.
   *
   * @defaultValue none
   */
  readonly crossOriginHeaders?: readonly string[] | undefined
  /** Methods without side effects go by GET, where the server speaks Connect, too: made by `connectGet()`. @defaultValue all go by POST */
  readonly get?: ConnectGet | undefined
  /** Messages go as base64, both ways, where a proxy knows nothing else: made by `grpcWebText()`. @defaultValue binary */
  readonly text?: GrpcWebText | undefined
  /** Interceptors of @connectrpc/connect, inside Polywire's own chain. */
  readonly connectInterceptors?: readonly ((next: any) => any)[] | undefined
}

/** How calls go through a Transport of @connectrpc/connect. */
export interface ConnectTransportOptions extends GrpcOptions {
  /** Made by `createGrpcTransport`, `createConnectTransport` … of @connectrpc/connect-node or -web. */
  readonly transport: ConnectTransportLike
  /** Scheme, host and port that it talks to: retry budgets and waits are kept by origin. @defaultValue none is known */
  readonly origin?: string | undefined
  /**
   * What it speaks; `grpc` stands for gRPC-Web, too. Where this is known, unary calls go by `transport.stream`, whose errors
   * keep headers and trailers apart; where it is not, `error.headers` and `error.trailers` of a unary call hold both, as
   * Connect joins them.
   *
   * @defaultValue 'connect': any protocol, unary calls by `transport.unary`
   */
  readonly protocol?: 'grpc' | 'connect' | undefined
}

/** A gRPC transport, as `createClient` takes it. */
export interface GrpcTransport extends Transport<'grpc-web'>, Duplexing {
  readonly idempotency?: IdempotencyOption | undefined
}

/**
 * Speaks gRPC-Web over Polywire's own HTTP engine, by itself or through @connectrpc/connect-web (see `framing`): unary
 * calls and server streams.
 *
 * Each attempt tells the server what is left of the deadline (`grpc-timeout`). Client and bidi streams fail with
 * `unimplemented`: no browser can send them; in Node use {@link connectTransport}.
 *
 * @throws {CallError} `invalid_argument` where `baseUrl` is no URL that can be called, or another option is wrong.
 * @example
 * createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl: 'https://rpc.example.com' }) } })
 */
export function grpcWebTransport(options: GrpcWebTransportOptions): GrpcTransport {
  checkOptions('grpcWebTransport()', options, grpcWebRules())
  const wire = grpcWebWire(options)
  const { connectWeb } = wire
  const { auth, idempotency, opening, get } = options
  const times = timesOf(options)
  const post = (call: Call, input: unknown): Promise<Reply> =>
    connectWeb ? connectWeb.send(call, wire, input, times) : sendFramedUnary(call, wire, input)
  protobuf.preload()
  connectWeb?.preload()
  return {
    protocol: 'grpc-web',
    auth,
    opening,
    origin: wire.origin,
    url: wire.baseUrl,
    idempotency,
    send: async (call) => {
      const { kind } = call.operation
      if (kind === 'unary') {
        const input = inputOf(call, idempotency)
        return get && methodOf(call).idempotency === noSideEffects
          ? (get as ConnectReads).send(call, wire, input, () => post(call, input))
          : post(call, input)
      }
      if (kind !== 'server_stream') throw needsConnectTransport(call)
      const input = inputOf(call, idempotency)
      return connectWeb
        ? connectWeb.send(call, wire, input, times)
        : streamsOf(call).sendFramed(call, wire, input, times)
    },
    close: () => wire.engine.close(),
  }
}

/**
 * Lets calls go through any Transport of @connectrpc/connect: with createGrpcTransport of @connectrpc/connect-node, all
 * four kinds of methods over HTTP/2.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * const transport = createGrpcTransport({ baseUrl: 'https://rpc.example.com' })
 * createClient({ transports: { 'grpc-web': connectTransport({ transport, origin: 'https://rpc.example.com' }) } })
 */
export function connectTransport(options: ConnectTransportOptions): GrpcTransport {
  checkOptions('connectTransport()', { ...options, transport: options?.transport ?? null }, connectRules())
  const { transport, auth, origin, idempotency, opening } = options
  const times = timesOf(options)
  const wire = { transport, headers: readHeaders(options.headers), isGrpc: options.protocol === 'grpc' }
  return {
    protocol: 'grpc-web',
    auth,
    opening,
    ...(origin !== undefined && { origin }),
    idempotency,
    duplexing,
    send: async (call) => {
      const attempt = new ConnectTransportAttempt(call, wire)
      return sendByConnect(call, attempt, inputOf(call, idempotency), times)
    },
    close: async () => {},
  }
}

const grpcRules = (): RulesOf<GrpcOptions> => ({
  auth: requestRules.auth,
  opening: openingOption,
  headers: requestRules.headers,
  idempotency: idempotencyRule,
  quietOpenMs: aboveZero,
  idleTimeoutMs: aboveZero,
})

const grpcWebRules = (): OptionRules => {
  const { redirect: _redirect, deadlineHeader: _deadlineHeader, ...request } = requestRules
  const framings = oneOf('auto', 'connect-web', 'own')
  return {
    ...request,
    ...grpcRules(),
    baseUrl: anything,
    useBinaryFormat: flag,
    maxMessageBytes: aboveZero,
    framing: takes(
      `${framings.takes}, or what connectWeb() makes`,
      (value) => framings.fits(value) || (value as { name?: unknown } | null)?.name === 'connect-web',
    ),
    jsonOptions: object('an object'),
    binaryOptions: object('an object'),
    connectInterceptors: list,
    get: object('what connectGet() makes'),
    text: object('what grpcWebText() makes'),
  } satisfies RulesOf<GrpcWebTransportOptions>
}

const connectRules = (): RulesOf<ConnectTransportOptions> => ({
  ...grpcRules(),
  transport: takes(
    'what createGrpcTransport(…) of @connectrpc/connect-node makes',
    (value) => typeof (value as { unary?: unknown } | null)?.unary === 'function',
  ),
  origin: text,
  protocol: oneOf('grpc', 'connect'),
})

function timesOf({ quietOpenMs = 10_000, idleTimeoutMs }: GrpcOptions): GrpcStreamTimes {
  return { quietOpenMs, idleTimeoutMs }
}
