import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders, HeadersInit } from '../../src/core/call/header-map.ts'
import { pairsOf, readHeaders, withoutRemoved } from '../../src/core/call/header-map.ts'
import { bodyProfileOf, type IdempotencyProfile } from '../../src/core/call/idempotency.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { tagOf } from '../../src/core/tag.ts'
import { byteLength } from '../http/bytes.ts'
import type { FetchOptions, HttpRequest } from '../http/contract.ts'
import { type EncodedBody, encodeBody, noBody } from '../http/encode-body.ts'
import { bodiless, RequestInput, type RequestParts } from '../http/input.ts'
import { writeUrl } from '../http/path.ts'
import { reportProgress } from '../http/progress.ts'
import { encodeQuery, isSearchParams, joinQuery } from '../http/query.ts'
import type { BaseUrl } from '../shared/base-url.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import { addDeadline, type DeadlineWriter } from '../shared/deadline-header.ts'
import type { RequestWriter, RestBinding } from './operation.ts'
import type { RestTransportOptions } from './types.ts'

/** What the requests of one transport have in common. */
export interface RequestDefaults extends Omit<RestTransportOptions, 'headers'> {
  readonly base: BaseUrl
  readonly headers: CallHeaders
  readonly deadlineWriter: DeadlineWriter | undefined
  readonly fetchOptions: FetchOptions | undefined
}

type Headers = Record<string, string>
/** By the rules of its method. */
const unwritten: Partial<RequestWriter> & NonNullable<RestBinding['spec']> = {}

/** Makes the HTTP requests of one transport. */
export class RestRequests {
  readonly #defaults: RequestDefaults
  readonly #filter: CrossOriginFilter | undefined
  readonly #defaultQuery: string
  readonly #baseHeaders = new WeakMap<RestBinding, CallHeaders>()

  constructor(defaults: RequestDefaults) {
    this.#defaults = defaults
    const { base, headers, crossOriginHeaders } = defaults
    const always = ['accept', 'accept-language', 'content-type', ...Object.keys(headers)]
    this.#filter = crossOriginFilter({ factory: 'restTransport', origin: base.origin, always, crossOriginHeaders })
    this.#defaultQuery = defaults.query ? encodeQuery(defaults.query, defaults.queryStyle) : ''
  }

  /**
   * A link to another origin takes no version along: its server has versions of its own.
   *
   * @throws {CallError} `invalid_argument` when the call cannot be written.
   */
  make(call: Call): HttpRequest {
    const binding = call.operation.binding as RestBinding
    const input = call.input as RequestParts
    const {
      method,
      template,
      spec: { redirect, compress = this.#defaults.compress, version = this.#defaults.version } = unwritten,
    } = binding
    const { base, deadlineWriter, fetchOptions } = this.#defaults
    // Later ones win: transport, operation, input, call, credential.
    const headers: Headers = withoutRemoved({
      ...(this.#baseHeaders.get(binding) ?? this.#makeBase(binding)),
      ...(input.headers && readHeaders(textHeaders(input.headers, call), call)),
      ...call.headers,
      ...call.credential?.headers,
    })
    if (deadlineWriter) addDeadline(headers, call, deadlineWriter)
    const profile = call.idempotencyKey === undefined ? undefined : bodyProfileOf(call, this.#defaults.idempotency)
    const encoded =
      input.body === undefined && profile === undefined ? noBody : this.#body(call, method, headers, profile)
    const { body, contentType, length } = encoded
    // Servers refuse an empty body that is said to be JSON; the caller's own length counts for a stream alone.
    if (contentType !== undefined) headers['content-type'] = contentType
    else if (headers['content-type'] !== undefined) delete headers['content-type']
    if (length !== undefined) headers['content-length'] = String(length)
    else if (typeof body !== 'function' && headers['content-length'] !== undefined) delete headers['content-length']
    let query = this.#defaultQuery
    // A URLSearchParams has members, too: its methods.
    for (const _ in input.query) {
      query = this.#query(input.query, call, binding.writer?.writeQuery)
      break
    }
    if (profile && bodiless.includes(method))
      query = joinQuery(query, encodeQuery({ [profile.name]: call.idempotencyKey }))
    const request: HttpRequest = {
      method,
      url: writeUrl(base, template, input.params, query, call),
      headers: this.#filter ? this.#filter(call, headers, input.headers) : headers,
      credential: call.credential,
      body,
      blob: encoded.blob,
      open: encoded.open,
      isBodyReplayable: encoded.isReplayable,
      fetchOptions: redirect ? { ...fetchOptions, redirect } : fetchOptions,
      onUploadProgress: call.options.onUploadProgress && uploadProgress(call, encoded),
    }
    const versioned = version && !call.operation.origin ? version.apply(request, base.prefix) : request
    const placed = template.place?.(versioned, call) ?? versioned
    return compress ? compress.apply(placed) : placed
  }

  /** Of the transport and the call; where a name is in both, the call's wins. */
  #query(query: object, call: Call, write = encodeQuery): string {
    const { query: defaults, queryStyle } = this.#defaults
    if (isSearchParams(query)) return joinQuery(this.#defaultQuery, query.toString())
    return write(defaults ? { ...defaults, ...query } : query, queryStyle, call)
  }

  #makeBase(binding: RestBinding): CallHeaders {
    const { accept } = binding.spec ?? unwritten
    const base = {
      accept: binding.defaultAccept,
      ...this.#defaults.headers,
      ...(accept && { accept }),
      ...(binding.contentType && { 'content-type': binding.contentType }),
    }
    this.#baseHeaders.set(binding, base)
    return base
  }

  #body(call: Call, method: string, headers: Headers, profile: IdempotencyProfile | undefined): EncodedBody {
    const { codecs = {}, queryStyle } = this.#defaults
    const input = call.input as RequestParts
    const { writeBody = encodeBody } = (call.operation.binding as RestBinding).writer ?? unwritten
    const encode = () => {
      const body = profile && !bodiless.includes(method) ? withKey(input.body, profile.name, call) : input.body
      return writeBody(body, { contentType: headers['content-type'], codecs, queryStyle }, call)
    }
    return input instanceof RequestInput ? input.encodeOnce(encode) : encode()
  }
}

/** The key as a member of the body; a body that can hold none would be sent again without protection. */
function withKey(body: unknown, name: string, call: Call): unknown {
  if (body !== undefined && tagOf(body) !== 'Object')
    throw refusal('the body takes the idempotency key: it must be an object', call)
  return { [name]: call.idempotencyKey, ...(body as object | undefined) }
}

/** Dates as HTTP writes them, lists joined; what has no text is refused. */
function textHeaders(headers: object, call: Call): HeadersInit {
  const text: Record<string, string> = {}
  for (const [name, value] of pairsOf(headers)) {
    if (value === undefined || value === null) continue
    const written = (Array.isArray(value) ? value : [value]).map((each) =>
      each instanceof Date ? each.toUTCString() : each,
    )
    if (written.some((each) => !/^(?:string|number|bigint|boolean)$/.test(typeof each)))
      throw refusal(`the header '${name}' is no text, number, date or list of them`, call)
    text[name] = written.join(', ')
  }
  return text
}

function uploadProgress(call: Call, encoded: EncodedBody): ((transferredBytes: number) => void) | undefined {
  const { body, blob = body, open, length } = encoded
  if (blob === undefined) return undefined
  const totalBytes = length ?? (open ? undefined : byteLength(blob))
  return (transferredBytes) => reportProgress(call, 'onUploadProgress', transferredBytes, totalBytes)
}
