import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders } from '../../src/core/call/header-map.ts'
import { readHeaders, withoutRemoved } from '../../src/core/call/header-map.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { fetchOptionsOf } from '../http/choose.ts'
import type { FetchOptions, HttpRequest } from '../http/contract.ts'
import type { EncodedBody } from '../http/encode-body.ts'
import { lastEventId } from '../http/event-stream/last-event-id.ts'
import type { CursorWay } from '../http/event-stream/life.ts'
import { RequestInput, type RequestParts } from '../http/input.ts'
import { writeUrl } from '../http/path.ts'
import { encodeQuery } from '../http/query.ts'
import type { BaseUrl } from '../shared/base-url.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import { addDeadline, type DeadlineWriter, deadlineWriter } from '../shared/deadline-header.ts'
import { stringifyJson } from '../shared/json.ts'
import type { SseBinding } from './operation.ts'
import type { SseTransportOptions } from './types.ts'

type Headers = Record<string, string>

/** Makes the requests of one transport. */
export class SseRequests {
  readonly #base: BaseUrl
  readonly #options: SseTransportOptions
  readonly #defaultHeaders: CallHeaders
  readonly #deadlineWriter: DeadlineWriter | undefined
  readonly #fetchOptions: FetchOptions
  readonly #filter: CrossOriginFilter | undefined
  #isHeaderForgone?: boolean

  constructor(base: BaseUrl, options: SseTransportOptions) {
    const headers = readHeaders(options.headers, {
      operation: { name: 'sseTransport()', protocol: 'sse', via: 'sse' },
    })
    this.#base = base
    this.#options = options
    this.#defaultHeaders = headers
    this.#deadlineWriter = deadlineWriter(options.deadlineHeader)
    this.#fetchOptions = { cache: 'no-store', ...fetchOptionsOf(options) }
    const always = ['accept', 'content-type', 'last-event-id', ...Object.keys(headers)]
    const { crossOriginHeaders } = options
    this.#filter = crossOriginFilter({ factory: 'sseTransport', origin: base.origin, always, crossOriginHeaders })
  }

  /**
   * How the cursor of a call travels. On a page of another origin its header forces a preflight, which the first opening
   * had not, and which the server may refuse without a word: then it is left out.
   */
  cursorWay(call: Call, mustOmit: boolean | undefined): CursorWay {
    if (!this.#filter || this.#options.cursorQuery !== undefined || this.#cursor(call) === undefined) return 'plain'
    return mustOmit || this.#isHeaderForgone ? 'omitted' : 'preflighted'
  }

  /** The server of this origin does not allow the header: it is not tried again. */
  forgoHeader(): void {
    this.#isHeaderForgone = true
  }

  /** @throws {CallError} `invalid_argument` when the call cannot be written, `failed_precondition` when its cursor cannot. */
  make(call: Call, cursorWay: CursorWay = 'plain'): HttpRequest {
    const binding = call.operation.binding as SseBinding
    const input = call.input as RequestParts
    const method = call.isReopen || call.cursor !== undefined ? binding.reopenMethod : binding.method
    const body = method === 'POST' ? bodyOf(input, binding, call) : undefined
    const headers = this.#headers(call, input, body !== undefined, cursorWay)
    const request: HttpRequest = {
      method,
      url: this.#url(call, binding, input),
      headers: this.#filter ? this.#filter(call, headers, input.headers) : headers,
      credential: call.credential,
      body,
      fetchOptions: this.#fetchOptions,
    }
    return binding.template.place?.(request, call) ?? request
  }

  /** Where a declared resume has put the cursor into the input, it travels there. */
  #cursor(call: Call): string | undefined {
    return call.operation.resume ? undefined : call.cursor
  }

  #url(call: Call, { template, writer }: SseBinding, { params, query }: RequestParts): string {
    const { query: defaults, queryStyle, cursorQuery } = this.#options
    const cursor = this.#cursor(call)
    const own = cursorQuery !== undefined && cursor !== undefined && { [cursorQuery]: cursor }
    const write = writer?.writeQuery ?? encodeQuery
    return writeUrl(this.#base, template, params, write({ ...defaults, ...query, ...own }, queryStyle, call), call)
  }

  /** Later ones win: protocol, transport, input, call, credential. */
  #headers(call: Call, { headers: own }: RequestParts, hasBody: boolean, cursorWay: CursorWay): Headers {
    const { cursorQuery } = this.#options
    const headers: Headers = withoutRemoved({
      accept: 'text/event-stream',
      // A page's cache is told by fetch's own option: across origins this header would force a preflight.
      ...(!this.#filter && { 'cache-control': 'no-cache' }),
      ...(hasBody && { 'content-type': 'application/json' }),
      ...this.#defaultHeaders,
      ...(own && readHeaders(own as Record<string, string>, call)),
      ...call.headers,
      ...call.credential?.headers,
    })
    const cursor = cursorQuery === undefined && cursorWay !== 'omitted' ? this.#cursor(call) : undefined
    if (cursor !== undefined) headers['last-event-id'] = lastEventId(cursor) ?? unsendable(call)
    addDeadline(headers, call, this.#deadlineWriter)
    return headers
  }
}

/** Written once, so that every attempt sends the same bytes whatever becomes of the object. */
function bodyOf(input: RequestParts, { isRawBody }: SseBinding, call: Call): string | undefined {
  const { body } = input
  if (body === undefined || isRawBody) return body as string | undefined
  // The text alone is read of what is encoded once.
  const encode = () => ({ body: stringifyJson(body, 'the body', call) }) as EncodedBody
  return (input instanceof RequestInput ? input.encodeOnce(encode) : encode()).body as string
}

function unsendable(call: Call): never {
  const message =
    'the last event id cannot be sent in a header (control characters, or too long): set cursorQuery, where the server takes it there'
  throw new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}
