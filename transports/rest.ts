import type { Auth } from '../src/core/call/auth.ts'
import type { Call } from '../src/core/call/call.ts'
import type { HeadersInit } from '../src/core/call/call-options.ts'
import { HeaderMap } from '../src/core/call/header-map.ts'
import { readHeaders } from '../src/core/call/headers-init.ts'
import type { IdempotencyOption } from '../src/core/call/idempotency.ts'
import type { Reply } from '../src/core/call/reply.ts'
import type { Transport } from '../src/core/call/transport.ts'
import { CallError } from '../src/core/errors/error.ts'
import { openBody } from './http/body.ts'
import { selectEngine } from './http/choose.ts'
import type { Codecs } from './http/codecs.ts'
import { type CollectOptions, requestBuffered } from './http/collect.ts'
import type { HttpEngine, HttpOptions } from './http/contract.ts'
import { toCallError } from './http/fault.ts'
import { fetchOptionsOf } from './http/fetch-options.ts'
import type { QueryStyle } from './http/query.ts'
import type { RestBinding } from './rest/operation.ts'
import { progressReport } from './rest/progress.ts'
import { RestRequests } from './rest/request.ts'
import { isReply, readReply, responseError, type WholeResponse } from './rest/response.ts'
import { RestStream } from './rest/stream.ts'
import { readBaseUrl } from './shared/base-url.ts'
import { type DeadlineHeader, deadlineWriter } from './shared/deadline-header.ts'
import { isIdempotencyOption } from './shared/idempotency-option.ts'

export type { BlobLike, ByteStream } from './http/byte-types.ts'
export type { Codec, Codecs } from './http/codecs.ts'
export type { ResponseKind } from './http/input-types.ts'
export { type Multipart, type MultipartFile, type MultipartValue, multipart } from './http/multipart.ts'
export type { QueryStyle } from './http/query.ts'
export { del, del as delete, get, head, patch, post, put } from './rest/builders.ts'
export { openapi } from './rest/openapi.ts'
export type { ApiSpec, OpenApi, OpenApiCall, OpenApiNestedCall } from './rest/openapi-types.ts'
export type { RestBuilder, RestSpec } from './rest/types.ts'
export type { DeadlineHeader } from './shared/deadline-header.ts'
export { type CursorPagesOptions, cursorPages, type Pager } from './shared/pages.ts'

/** Where a REST API is and how to talk to it. */
export interface RestTransportOptions extends HttpOptions {
  /** Paths are put behind it, its own path included. Absolute; in browsers it may be relative to the page. */
  readonly baseUrl: string
  /** Instead of the client's; `false` for none. */
  readonly auth?: Auth | false | undefined
  /** Sent with every request; names of the operation and the call win. */
  readonly headers?: HeadersInit | undefined
  /** Parameters of every request; those of the call win. */
  readonly query?: Readonly<Record<string, unknown>> | undefined
  /** How lists and nulls are written in queries. */
  readonly queryStyle?: QueryStyle | undefined
  /** How the server takes idempotency keys: naming a profile says that it honours them. @defaultValue none is known to be honoured */
  readonly idempotency?: IdempotencyOption | undefined
  /** A larger buffered body is refused with `resource_exhausted`; bytes after decompression. @defaultValue 67_108_864 (64 MiB) */
  readonly maxBodyBytes?: number | undefined
  /** Media types beside JSON, text, forms and multipart, or instead of them. */
  readonly codecs?: Codecs | undefined
  /** Tells the server how long the caller still waits. @defaultValue none */
  readonly deadlineHeader?: DeadlineHeader | undefined
  /**
   * In browsers, on a page of another origin: the further headers that the server allows. Content type, accept, auth
   * and what caller or operation name themselves are always sent; what interceptors add is left out.
   *
   * @defaultValue none
   */
  readonly crossOriginHeaders?: readonly string[] | undefined
}

/** A REST transport, as `createClient` takes it. */
export interface RestTransport extends Transport<'rest'> {
  readonly origin: string
  readonly idempotency?: IdempotencyOption | undefined
}

const defaultMaxBodyBytes = 64 * 1024 * 1024

/**
 * A transport for REST over HTTP.
 *
 * @throws {CallError} `invalid_argument` where `baseUrl` is no URL that can be called, or another option is wrong.
 * @example
 * const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com/v1' }) } })
 */
export function restTransport(options: RestTransportOptions): RestTransport {
  return new HttpRestTransport(options)
}

class HttpRestTransport implements RestTransport {
  readonly protocol = 'rest'
  readonly origin: string
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly #engine: HttpEngine
  readonly #requests: RestRequests
  readonly #codecs: Codecs
  readonly #collect: CollectOptions
  readonly #isManualRedirect: boolean

  constructor(options: RestTransportOptions) {
    const base = readBaseUrl(options?.baseUrl, 'restTransport')
    checkOptions(options)
    const { auth, idempotency, query, queryStyle = {}, codecs = {}, crossOriginHeaders = [] } = options
    const origin = { operation: { name: 'restTransport()', protocol: 'rest', via: 'rest' } }
    this.origin = base.origin
    this.auth = auth
    this.idempotency = idempotency
    this.#codecs = codecs
    this.#collect = { maxBodyBytes: options.maxBodyBytes ?? defaultMaxBodyBytes }
    this.#isManualRedirect = options.redirect === 'manual'
    this.#requests = new RestRequests({
      base,
      headers: readHeaders(options.headers, origin),
      query,
      queryStyle,
      codecs,
      idempotency,
      deadlineWriter: deadlineWriter(options.deadlineHeader),
      crossOriginHeaders,
      fetchOptions: fetchOptionsOf(options),
    })
    this.#engine = selectEngine(options)
  }

  send(call: Call): Promise<Reply> {
    try {
      const { response } = call.operation.binding as RestBinding
      return response === 'stream' ? this.#open(call) : this.#request(call)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  close(): Promise<void> {
    return this.#engine.close()
  }

  #request(call: Call): Promise<Reply> {
    const request = this.#requests.make(call)
    return requestBuffered(this.#engine, request, call.scope, this.#collectFor(call)).then(
      (response) => this.#settle(call, request.url, response),
      (error: unknown) => {
        throw toCallError(error, call)
      },
    )
  }

  #settle(call: Call, url: string, response: WholeResponse): Reply | Promise<Reply> {
    if (isReply(response.status, this.#isManualRedirect)) return readReply(call, url, response, this.#codecs)
    return responseError(call, response).then((error) => {
      throw error
    })
  }

  /** The reply's message is the body itself, which holds the call until it ends. */
  async #open(call: Call): Promise<Reply> {
    const request = this.#requests.make(call)
    try {
      const response = await openBody(this.#engine, request, call.scope)
      const { status, headers, url, body } = response
      if (!isReply(status, this.#isManualRedirect)) {
        const bytes = await body.bytes(this.#collect.maxBodyBytes)
        throw await responseError(call, { status, headers, url, body: bytes, trailers: HeaderMap.empty })
      }
      const message = new RestStream(call, response)
      const finished = body.finished.then(() => undefined)
      // A reply that comes too late is discarded, and nobody looks at this.
      finished.catch(() => undefined)
      return {
        kind: 'unary',
        message,
        status,
        headers,
        trailers: HeaderMap.empty,
        finished,
        discard: () => body.cancel(),
      }
    } catch (error) {
      throw toCallError(error, call)
    }
  }

  #collectFor(call: Call): CollectOptions {
    const onDownloadProgress = progressReport(call, 'onDownloadProgress')
    return onDownloadProgress ? { ...this.#collect, onDownloadProgress } : this.#collect
  }
}

/** What only a caller without types can get wrong, and would be noticed late. */
function checkOptions({ maxBodyBytes, idempotency }: RestTransportOptions): void {
  if (maxBodyBytes !== undefined && !(maxBodyBytes > 0)) throw refused('maxBodyBytes', 'is a number above 0')
  if (!isIdempotencyOption(idempotency)) throw refused('idempotency', 'is false or the name of a profile')
}

function refused(option: string, what: string): CallError {
  return new CallError({ code: 'invalid_argument', message: `restTransport({ ${option} }) ${what}` })
}
