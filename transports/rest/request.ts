import type { Call, CallHeaders } from '../../src/core/call/call.ts'
import type { HeadersInit } from '../../src/core/call/call-options.ts'
import { readHeaders } from '../../src/core/call/headers-init.ts'
import {
  type IdempotencyOption,
  type IdempotencyProfile,
  idempotencyProfiles,
} from '../../src/core/call/idempotency.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import type { Codecs } from '../http/codecs.ts'
import type { FetchOptions, HttpRequest } from '../http/contract.ts'
import { type EncodedBody, encodeBody } from '../http/encode-body.ts'
import { RestInput, type RestParts } from '../http/input.ts'
import { encodeQuery, isSearchParams, joinQuery, type QueryStyle } from '../http/query.ts'
import type { BaseUrl } from '../shared/base-url.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import type { DeadlineWriter } from '../shared/deadline-header.ts'
import type { RestBinding } from './operation.ts'
import { progressReport } from './progress.ts'

/** What the requests of one transport have in common. */
export interface RequestDefaults {
  readonly base: BaseUrl
  readonly headers: CallHeaders
  readonly query: Readonly<Record<string, unknown>> | undefined
  readonly queryStyle: QueryStyle
  readonly codecs: Codecs
  readonly idempotency: IdempotencyOption | undefined
  readonly deadlineWriter: DeadlineWriter | undefined
  readonly crossOriginHeaders: readonly string[]
  readonly fetchOptions: FetchOptions | undefined
}

type Headers = Record<string, string>

/** Makes the HTTP requests of one transport. */
export class RestRequests {
  readonly #defaults: RequestDefaults
  readonly #filter: CrossOriginFilter | undefined
  readonly #defaultQuery: string
  readonly #baseHeaders = new WeakMap<RestBinding, CallHeaders>()

  constructor(defaults: RequestDefaults) {
    this.#defaults = defaults
    const { base, headers, crossOriginHeaders } = defaults
    const always = ['accept', 'content-type', ...Object.keys(headers)]
    this.#filter = crossOriginFilter({ factory: 'restTransport', origin: base.origin, always, crossOriginHeaders })
    this.#defaultQuery = defaults.query ? encodeQuery(defaults.query, defaults.queryStyle) : ''
  }

  /** @throws {CallError} `invalid_argument` when the call cannot be written. */
  make(call: Call): HttpRequest {
    const binding = call.operation.binding as RestBinding
    const input = call.input as RestParts
    const profile = this.#bodyProfile(call)
    const headers = this.#headers(call, binding, input)
    const encoded = this.#body(call, binding, input, headers, profile)
    describeBody(headers, encoded)
    return {
      method: binding.method,
      url: this.#url(call, binding, input, profile),
      headers: this.#filter ? this.#filter(call, headers, input.headers) : headers,
      credentialHeaders: call.credential?.headers && Object.keys(call.credential.headers),
      body: encoded.body,
      blob: encoded.blob,
      isBodyReplayable: encoded.isReplayable,
      fetchOptions: this.#defaults.fetchOptions,
      onUploadProgress: uploadProgress(call, encoded),
    }
  }

  #url(
    call: Call,
    { template, method }: RestBinding,
    { params, query }: RestParts,
    profile: IdempotencyProfile | undefined,
  ): string {
    let written = isSearchParams(query) ? joinQuery(this.#defaultQuery, query.toString()) : this.#query(query, call)
    if (profile && isBodiless(method) && call.idempotencyKey !== undefined)
      written = joinQuery(written, encodeQuery({ [profile.name]: call.idempotencyKey }))
    if (call.credential?.query) written = joinQuery(written, encodeQuery(call.credential.query, undefined, call))
    const path = this.#defaults.base.prefix + template.fill(params, call)
    return written === '' ? path : `${path}${template.hasQuery ? '&' : '?'}${written}`
  }

  /** Of the transport and the call; where a name is in both, the call's wins. */
  #query(query: object, call: Call): string {
    const { query: defaults, queryStyle } = this.#defaults
    for (const _ in query) return encodeQuery(defaults ? { ...defaults, ...query } : query, queryStyle, call)
    return this.#defaultQuery
  }

  /** Later ones win: transport, operation, input, call, credential. */
  #headers(call: Call, binding: RestBinding, input: RestParts): Headers {
    const { headers: own } = input
    const headers: Headers = {
      ...this.#base(binding),
      ...(own && readHeaders(textHeaders(own), call)),
      ...call.headers,
      ...call.credential?.headers,
    }
    const { deadlineWriter } = this.#defaults
    if (deadlineWriter && call.isDeadlineSent) {
      const [name, value] = deadlineWriter(call.remainingMs)
      headers[name] = value
    }
    return headers
  }

  #base(binding: RestBinding): CallHeaders {
    let base = this.#baseHeaders.get(binding)
    if (!base) {
      base = {
        accept: binding.defaultAccept,
        ...this.#defaults.headers,
        ...(binding.accept && { accept: binding.accept }),
        ...(binding.contentType && { 'content-type': binding.contentType }),
      }
      this.#baseHeaders.set(binding, base)
    }
    return base
  }

  #body(
    call: Call,
    { method }: RestBinding,
    input: RestParts,
    headers: Headers,
    profile: IdempotencyProfile | undefined,
  ): EncodedBody {
    const { codecs, queryStyle } = this.#defaults
    const encode = () => {
      const body = profile && !isBodiless(method) ? withKey(input.body, profile.name, call) : input.body
      return encodeBody(body, { contentType: headers['content-type'], codecs, queryStyle }, call)
    }
    return input instanceof RestInput ? input.encodeOnce(encode) : encode()
  }

  /** The profile of a key that stands not among the headers. */
  #bodyProfile(call: Call): IdempotencyProfile | undefined {
    if (call.idempotencyKey === undefined) return undefined
    const named = call.operation.idempotency ?? this.#defaults.idempotency
    const profile = named ? idempotencyProfiles[named] : undefined
    return profile?.place === 'header' ? undefined : profile
  }
}

/** Content type and length as the body has them; the caller's own length counts for a stream alone. */
function describeBody(headers: Headers, { body, contentType, length }: EncodedBody): void {
  if (contentType !== undefined) headers['content-type'] = contentType
  // Servers refuse an empty body that is said to be JSON.
  else if (headers['content-type'] !== undefined) delete headers['content-type']
  if (length !== undefined) headers['content-length'] = String(length)
  else if (typeof body !== 'function' && headers['content-length'] !== undefined) delete headers['content-length']
}

function isBodiless(method: string): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'DELETE'
}

/** The key as a member of the body; a body that can hold none would be sent again without protection. */
function withKey(body: unknown, name: string, call: Call): unknown {
  if (
    body !== undefined &&
    (typeof body !== 'object' ||
      body === null ||
      Array.isArray(body) ||
      Object.prototype.toString.call(body) !== '[object Object]')
  ) {
    throw refusal(`the idempotency profile puts its key into the body, which must be an object then`, call)
  }
  return { [name]: call.idempotencyKey, ...(body as object | undefined) }
}

/** Dates as HTTP writes them, lists joined. */
function textHeaders(headers: Readonly<Record<string, unknown>>): HeadersInit {
  const text: Record<string, string> = {}
  for (const [name, value] of Symbol.iterator in headers
    ? (headers as unknown as Map<string, unknown>)
    : Object.entries(headers)) {
    if (value === undefined || value === null) continue
    text[name] = value instanceof Date ? value.toUTCString() : Array.isArray(value) ? value.join(', ') : String(value)
  }
  return text
}

function uploadProgress(call: Call, { body, length }: EncodedBody): ((transferredBytes: number) => void) | undefined {
  const report = body === undefined ? undefined : progressReport(call, 'onUploadProgress')
  if (!report) return undefined
  const totalBytes = length ?? (typeof body === 'function' ? undefined : byteLength(body as string | Uint8Array))
  return (transferredBytes) => report(transferredBytes, totalBytes)
}

function byteLength(body: string | Uint8Array): number {
  return typeof body === 'string' ? new TextEncoder().encode(body).byteLength : body.byteLength
}
