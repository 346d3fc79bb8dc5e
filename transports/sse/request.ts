import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders } from '../../src/core/call/header-map.ts'
import { readHeaders, withoutRemoved } from '../../src/core/call/header-map.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { FetchOptions, HttpRequest } from '../http/contract.ts'
import type { EncodedBody } from '../http/encode-body.ts'
import { lastEventId } from '../http/event-stream/last-event-id.ts'
import type { CursorWay } from '../http/event-stream/life.ts'
import { RequestInput, type RequestParts } from '../http/input.ts'
import { writeUrl } from '../http/path.ts'
import { encodeQuery, type QueryStyle } from '../http/query.ts'
import type { BaseUrl } from '../shared/base-url.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import { addDeadline, type DeadlineWriter } from '../shared/deadline-header.ts'
import { stringifyJson } from '../shared/json.ts'
import type { SseBinding } from './operation.ts'

/** What the requests of one transport have in common. */
export interface SseRequestDefaults {
  readonly base: BaseUrl
  readonly headers: CallHeaders
  readonly query: Readonly<Record<string, unknown>> | undefined
  readonly queryStyle: QueryStyle
  /** The parameter that the cursor travels in, instead of `Last-Event-ID`. */
  readonly cursorQuery: string | undefined
  readonly deadlineWriter: DeadlineWriter | undefined
  readonly crossOriginHeaders: readonly string[]
  readonly fetchOptions: FetchOptions
}

type Headers = Record<string, string>

/** Makes the requests of one transport. */
export class SseRequests {
  readonly #defaults: SseRequestDefaults
  readonly #filter: CrossOriginFilter | undefined
  #isHeaderForgone = false

  constructor(defaults: SseRequestDefaults) {
    this.#defaults = defaults
    const { base, headers, crossOriginHeaders } = defaults
    const always = ['accept', 'content-type', 'last-event-id', ...Object.keys(headers)]
    this.#filter = crossOriginFilter({ factory: 'sseTransport', origin: base.origin, always, crossOriginHeaders })
  }

  /**
   * How the cursor of a call travels. On a page of another origin its header forces a preflight, which the first opening
   * had not, and which the server may refuse without a word: then it is left out.
   */
  cursorWay(call: Call, mustOmit: boolean): CursorWay {
    if (!this.#filter || this.#defaults.cursorQuery !== undefined || this.#cursor(call) === undefined) return 'plain'
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
      fetchOptions: this.#defaults.fetchOptions,
    }
    return binding.template.place?.(request, call) ?? request
  }

  /** Where a declared resume has put the cursor into the input, it travels there. */
  #cursor(call: Call): string | undefined {
    return call.operation.resume ? undefined : call.cursor
  }

  #url(call: Call, { template, writer }: SseBinding, { params, query }: RequestParts): string {
    const { base, query: defaults, queryStyle, cursorQuery } = this.#defaults
    const cursor = cursorQuery === undefined ? undefined : this.#cursor(call)
    const own = cursor === undefined ? undefined : { [cursorQuery as string]: cursor }
    const write = writer?.writeQuery ?? encodeQuery
    return writeUrl(base, template, params, write({ ...defaults, ...query, ...own }, queryStyle, call), call)
  }

  /** Later ones win: protocol, transport, input, call, credential. */
  #headers(call: Call, { headers: own }: RequestParts, hasBody: boolean, cursorWay: CursorWay): Headers {
    const { headers: base, cursorQuery, deadlineWriter } = this.#defaults
    const headers: Headers = withoutRemoved({
      accept: 'text/event-stream',
      // A page's cache is told by fetch's own option: across origins this header would force a preflight.
      ...(!this.#filter && { 'cache-control': 'no-cache' }),
      ...(hasBody && { 'content-type': 'application/json' }),
      ...base,
      ...(own && readHeaders(own as Record<string, string>, call)),
      ...call.headers,
      ...call.credential?.headers,
    })
    const cursor = cursorQuery === undefined && cursorWay !== 'omitted' ? this.#cursor(call) : undefined
    if (cursor !== undefined) headers['last-event-id'] = lastEventId(cursor) ?? unsendable(call)
    addDeadline(headers, call, deadlineWriter)
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
    'the last event id cannot be sent in a header (control characters, or too long): set cursorQuery, where the server takes it as a parameter'
  throw new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}
