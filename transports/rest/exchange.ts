import type { Auth } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import { readHeaders } from '../../src/core/call/header-map.ts'
import type { IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import { aboveZero, anything, checkOptions, list, object, type RulesOf } from '../../src/core/options.ts'
import type { HttpCache } from '../http/cache.ts'
import { fetchOptionsOf, selectEngine } from '../http/choose.ts'
import type { Codecs } from '../http/codecs.ts'
import { type CollectOptions, requestBuffered } from '../http/collect.ts'
import type { FetchOptions, HttpEngine } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { compressRule, queryStyleRule, requestRules, versionRule } from '../http/option-rules.ts'
import { reportProgress } from '../http/progress.ts'
import { readBaseUrl } from '../shared/base-url.ts'
import { deadlineWriter } from '../shared/deadline-header.ts'
import { idempotencyRule } from '../shared/option-rules.ts'
import type { ReplyLimits, RestBinding } from './operation.ts'
import { RestRequests } from './request.ts'
import { isReply, readReply, responseError } from './response.ts'
import type { RestTransport, RestTransportOptions } from './types.ts'

const defaultMaxBodyBytes = 64 * 1024 * 1024

const rules: RulesOf<RestTransportOptions> = {
  ...requestRules,
  baseUrl: anything,
  query: /* @__PURE__ */ object('an object of parameters'),
  version: versionRule,
  queryStyle: queryStyleRule,
  origins: list,
  idempotency: idempotencyRule,
  maxBodyBytes: aboveZero,
  compress: compressRule,
  codecs: /* @__PURE__ */ object("an object such as { 'text/csv': { parse } }"),
}

/** A REST transport over one of the HTTP engines. */
export class HttpRestTransport implements RestTransport {
  readonly protocol = 'rest'
  readonly origin: string
  readonly url: string
  readonly auth: Auth | false | undefined
  readonly idempotency: IdempotencyOption | undefined
  readonly linkOptions: () => RestTransportOptions
  readonly #engine: HttpEngine
  readonly #requests: RestRequests
  readonly #codecs: Codecs | undefined
  readonly #cache: Partial<HttpCache> | undefined
  readonly #limits: ReplyLimits

  constructor(options: RestTransportOptions) {
    if (options !== undefined) checkOptions('restTransport()', options, rules)
    const base = readBaseUrl(options?.baseUrl, 'restTransport')
    const { auth, idempotency, codecs } = options
    this.origin = base.origin
    this.url = base.prefix
    this.auth = auth
    this.linkOptions = () => options
    this.idempotency = idempotency
    this.#codecs = codecs
    // A mode of the platform's fetch has nothing to apply.
    this.#cache = options.cache as Partial<HttpCache> | undefined
    this.#limits = { maxBodyBytes: options.maxBodyBytes ?? defaultMaxBodyBytes }
    this.#requests = new RestRequests({
      ...options,
      base,
      headers: readHeaders(options.headers, { operation: { name: 'restTransport()', protocol: 'rest', via: 'rest' } }),
      deadlineWriter: deadlineWriter(options.deadlineHeader),
      fetchOptions: fetchOptionsOf(options as FetchOptions),
    })
    this.#engine = selectEngine(options)
  }

  send(call: Call): Promise<Reply> {
    try {
      const { open } = call.operation.binding as RestBinding
      const made = this.#requests.make(call)
      const request = this.#cache?.apply?.(made, call) ?? made
      if (open) return open(this.#engine, request, call, this.#limits)
      const collect = call.options.onDownloadProgress ? withProgress(this.#limits, call) : this.#limits
      return requestBuffered(this.#engine, request, call.scope, collect).then(
        (response) => {
          const { status } = response
          if (status !== 200 && !isReply(status, request)) return responseError(call, response)
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
}

function withProgress(collect: CollectOptions, call: Call): CollectOptions {
  return {
    ...collect,
    onDownloadProgress: (transferred, total) => reportProgress(call, 'onDownloadProgress', transferred, total),
  }
}
