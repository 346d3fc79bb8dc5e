import type { ErrorOrigin } from '../../../src/core/errors/error.ts'
import { type HttpBodyReader, type OpenResponse, openBody } from '../body.ts'
import { bodyKind, toReadable } from '../bytes.ts'
import type { FetchOptions, HttpEngine, HttpFault, HttpRequest, HttpScope, HttpWire } from '../contract.ts'
import { encodeBody } from '../encode-body.ts'
import { HttpFaultError, toCallError } from '../fault.ts'
import { unsent } from '../progress.ts'
import { ReplayBody } from '../replay-body.ts'
import { type Answer, drainedBytes, makeResponse, type OpenRequest, type Responder, unread } from '../responder.ts'
import { openUpload } from '../upload.ts'
import { isFetchReplaced } from './stock-fetch.ts'

/**
 * Gives Responses made of what an engine receives: undici's `dispatch` without the streams and objects of a fetch.
 */
export class EngineResponder implements Responder {
  readonly #engine: HttpEngine
  /** Takes what only a fetch can do, and everything where the platform's was replaced. */
  readonly #fetch: Responder | undefined

  constructor(engine: HttpEngine, fetch?: Responder) {
    this.#engine = engine
    this.#fetch = fetch
  }

  async respond(request: OpenRequest, scope: HttpScope, origin: ErrorOrigin): Promise<Answer> {
    const wire = request.credential?.wire as HttpWire | undefined
    if (wire) return wire.respond(this, request, scope, origin)
    if (this.#fetch && (isFetchReplaced() || needsFetch(request))) return this.#fetch.respond(request, scope, origin)
    if (request.init.integrity) throw new HttpFaultError(unchecked)
    const open = await openBody(this.#engine, toHttpRequest(request, origin), scope)
    return new EngineAnswer(open, request, origin)
  }

  async close(): Promise<void> {
    await this.#engine.close()
  }
}

/** Bytes that nobody has checked are not what was asked for. */
const unchecked: HttpFault = {
  ...unsent,
  what: '`integrity` is checked by a fetch alone',
  hint: 'Leave out `http` and `dispatcher` of createFetch()',
  code: 'invalid_argument',
}

/** `data:` and `blob:`, a digest to be checked, a dispatcher for this request alone. */
function needsFetch({ url, init }: OpenRequest): boolean {
  return !/^https?:/i.test(url) || init.integrity !== undefined || init.dispatcher !== undefined
}

function toHttpRequest({ method, url, headers, credential, body, init }: OpenRequest, origin: ErrorOrigin) {
  const request: { -readonly [K in keyof HttpRequest]: HttpRequest[K] } = {
    method,
    url,
    headers: headers.accept === undefined ? { accept: '*/*', ...headers } : headers,
    credential,
    fetchOptions:
      init.redirect === undefined ? undefined : { redirect: init.redirect as FetchOptions['redirect'] & {} },
  }
  if (body instanceof ReplayBody) {
    request.body = () => body.open()
    request.open = openUpload
    Object.defineProperty(request, 'isBodyReplayable', { get: () => body.isReplayable, enumerable: true })
  } else if (body !== undefined) {
    const encoded = encodeBody(
      body,
      { contentType: headers['content-type'], codecs: {}, queryStyle: undefined },
      origin,
    )
    request.body = encoded.body
    request.blob = encoded.blob
    request.open = encoded.open
    const own: Record<string, string> = { ...request.headers }
    if (encoded.contentType !== undefined && isNamed(body)) own['content-type'] = encoded.contentType
    if (encoded.length !== undefined) own['content-length'] = String(encoded.length)
    request.headers = own
  }
  return request
}

/** Whether fetch says of a body by itself what it is. */
function isNamed(body: unknown): boolean {
  const kind = bodyKind(body)
  return kind === 'text' || kind === 'params' || kind === 'form' || (kind === 'blob' && (body as Blob).type !== '')
}

const nullBody = [101, 204, 205, 304]

/** A Response, and the reader of its body. */
class EngineAnswer implements Answer {
  readonly response: Response
  readonly status: number
  readonly headers: OpenResponse['headers']
  readonly redirected: OpenResponse['redirected']
  readonly finished: Promise<unknown>
  readonly #body: HttpBodyReader

  constructor(open: OpenResponse, { method, toBodyError }: OpenRequest, origin: ErrorOrigin) {
    const { status, statusText = '', headers, url, redirected, body } = open
    this.status = status
    this.headers = headers
    this.redirected = redirected
    this.finished = body.finished
    this.#body = body
    const hasBody = method !== 'HEAD' && !nullBody.includes(status)
    const stream = hasBody ? toStream(body, (error) => toBodyError(toCallError(error, origin))) : null
    // What a server has sent where nothing may stand.
    if (!hasBody) this.discard()
    const pairs = [...headers].filter(([name]) => name !== 'set-cookie')
    const made = new Headers(pairs)
    for (const cookie of headers.getSetCookie()) made.append('set-cookie', cookie)
    this.response = makeResponse(stream, made, {
      status,
      statusText,
      url: withoutFragment(url),
      redirected: redirected !== undefined,
      type: 'basic',
    })
  }

  discard(): void {
    drain(this.#body).catch(() => undefined)
  }

  abort(reason: unknown): void {
    this.#body.abort(reason)
  }
}

async function drain(body: HttpBodyReader): Promise<void> {
  let size = 0
  for await (const chunk of body) {
    size += chunk.byteLength
    if (size > drainedBytes) return
  }
}

function toStream(body: HttpBodyReader, toError: (error: unknown) => unknown): ReadableStream<Uint8Array> {
  const source = {
    next: () =>
      body.next().catch((error: unknown) => {
        throw toError(error)
      }),
  }
  const leave = (): void => body.cancel()
  const stream = toReadable(source, leave)
  unread.register(stream, leave)
  return stream
}

function withoutFragment(url: string): string {
  const parsed = new URL(url)
  parsed.hash = ''
  return parsed.href
}
