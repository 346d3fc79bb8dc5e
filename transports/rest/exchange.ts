import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap, readHeaders } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { aboveZero, anything, checkOptions, list, object, type RulesOf } from '../../src/core/options.ts'
import { type OpenResponse, openBody } from '../http/body.ts'
import { type ByteStream, toReadable } from '../http/bytes.ts'
import { fetchOptionsOf, selectEngine } from '../http/choose.ts'
import type { Codecs } from '../http/codecs.ts'
import { announcedLength, type CollectOptions, requestBuffered } from '../http/collect.ts'
import type { HttpEngine } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { queryStyleRule, requestRules } from '../http/option-rules.ts'
import { readBaseUrl } from '../shared/base-url.ts'
import { deadlineWriter } from '../shared/deadline-header.ts'
import { idempotencyRule } from '../shared/option-rules.ts'
import type { RestBinding } from './operation.ts'
import { RestRequests, reportProgress } from './request.ts'
import { isReply, readReply, responseError } from './response.ts'
import type { RestTransport, RestTransportOptions } from './types.ts'

const defaultMaxBodyBytes = 64 * 1024 * 1024

const rules: RulesOf<RestTransportOptions> = {
  ...requestRules,
  baseUrl: anything,
  query: /* @__PURE__ */ object('an object of parameters'),
  queryStyle: queryStyleRule,
  origins: list,
  idempotency: idempotencyRule,
  maxBodyBytes: aboveZero,
  codecs: /* @__PURE__ */ object("an object such as { 'text/csv': { parse } }"),
}

/** A REST transport over one of the HTTP engines. */
export class HttpRestTransport implements RestTransport {
  readonly protocol = 'rest'
  readonly origin: string
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly linkOptions: () => RestTransportOptions
  readonly #engine: HttpEngine
  readonly #requests: RestRequests
  readonly #codecs: Codecs | undefined
  readonly #collect: CollectOptions
  readonly #isManualRedirect: boolean

  constructor(options: RestTransportOptions) {
    if (options !== undefined) checkOptions('restTransport()', options, rules)
    const base = readBaseUrl(options?.baseUrl, 'restTransport')
    const { auth, idempotency, query, queryStyle = {}, codecs, crossOriginHeaders } = options
    this.origin = base.origin
    this.auth = auth
    this.linkOptions = () => options
    this.idempotency = idempotency
    this.#codecs = codecs
    this.#collect = { maxBodyBytes: options.maxBodyBytes ?? defaultMaxBodyBytes }
    this.#isManualRedirect = options.redirect === 'manual'
    this.#requests = new RestRequests({
      base,
      headers: readHeaders(options.headers, { operation: { name: 'restTransport()', protocol: 'rest', via: 'rest' } }),
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
      const { reads, open } = call.operation.binding as RestBinding
      if (reads === 'stream') return this.#open(call)
      const request = this.#requests.make(call)
      if (open) return open(this.#engine, request, call)
      const collect = call.options.onDownloadProgress ? withProgress(this.#collect, call) : this.#collect
      return requestBuffered(this.#engine, request, call.scope, collect).then(
        (response) => {
          const { status } = response
          if (status !== 200 && !isReply(status, this.#isManualRedirect)) return responseError(call, response)
          return readReply(call, request.url, response, this.#codecs)
        },
        (error: unknown) => {
          throw toCallError(error, call)
        },
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }

  close(): Promise<void> {
    return this.#engine.close()
  }

  /** The reply's message is the body itself, which holds the call until it ends. */
  async #open(call: Call): Promise<Reply> {
    const request = this.#requests.make(call)
    try {
      const response = await openBody(this.#engine, request, call.scope)
      const { status, headers, body } = response
      if (!isReply(status, this.#isManualRedirect)) {
        const read = await body.errorBody(this.#collect.maxBodyBytes)
        return await responseError(call, { ...response, ...read, trailers: HeaderMap.empty })
      }
      const message = new RestStream(call, response)
      const finished = body.finished.then(() => undefined)
      // A reply that comes too late is discarded, and nobody looks at this.
      finished.catch(() => undefined)
      const discard = () => body.cancel()
      return { kind: 'unary', message, status, headers, trailers: HeaderMap.empty, finished, discard }
    } catch (error) {
      throw toCallError(error, call)
    }
  }
}

function withProgress(collect: CollectOptions, call: Call): CollectOptions {
  return {
    ...collect,
    onDownloadProgress: (transferred, total) => reportProgress(call, 'onDownloadProgress', transferred, total),
  }
}

/** The body of a reply as the user reads it: faults of the wire become CallErrors, progress is told. */
class RestStream implements ByteStream, AsyncIterator<Uint8Array, undefined> {
  readonly #call: Call
  readonly #body: OpenResponse['body']
  readonly #totalBytes: number | undefined
  #transferredBytes = 0

  constructor(call: Call, { body, headers }: OpenResponse) {
    this.#call = call
    this.#body = body
    this.#totalBytes = announcedLength(headers)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const step = await this.#body.next()
      if (!step.done && this.#call.options.onDownloadProgress) {
        this.#transferredBytes += step.value.byteLength
        reportProgress(this.#call, 'onDownloadProgress', this.#transferredBytes, this.#totalBytes)
      }
      return step
    } catch (error) {
      throw toCallError(error, this.#call)
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#body.cancel()
    return { done: true, value: undefined }
  }

  async cancel(): Promise<void> {
    this.#body.cancel()
  }

  toReadable(): ReadableStream<Uint8Array> {
    return toReadable(this, () => this.#body.cancel())
  }
}
