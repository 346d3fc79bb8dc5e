import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import { isObject } from '../../../../src/core/tag.ts'
import { byteLength } from '../../bytes.ts'
import type {
  BodyStream,
  FetchLike,
  HttpControl,
  HttpEngine,
  HttpFault,
  HttpRequest,
  HttpScope,
  HttpSink,
  HttpWire,
} from '../../contract.ts'
import { callOver, classify, type Explain, explainByPhase, faultAt, isMistake, transportClosed } from '../../fault.ts'
import {
  answered,
  handedOver,
  handedOverToFollow,
  type Progress,
  type Redirected,
  redirectedBy,
  stepOf,
  unsent,
} from '../../progress.ts'
import { type FollowRedirect, type Hop, isRedirect, isReplayable, refuse } from '../../redirect.ts'
import type { Upload } from '../../upload.ts'
import { globalFetch, isFetchStock } from '../stock-fetch.ts'
import { addBlob, initOf, isSignalRefused, isValid, type ResponseLike, redirectMode, wholeOf } from './init.ts'

/**
 * HTTP by a `fetch`: the platform's, looked up at call time so that tests can replace it, or the user's.
 *
 * Knows no trailers, and of a failed connection only as much as the platform tells.
 */
export class FetchEngine implements HttpEngine {
  readonly name = 'fetch'
  readonly fetch: FetchLike
  readonly explain: Explain
  readonly follow: FollowRedirect | undefined
  #isClosed = false

  /**
   * @param explain - how the errors of this platform read.
   * @param follow - follows the redirects that fetch leaves to us; none in browsers, where only fetch sees them.
   */
  constructor(fetch: FetchLike = platformFetch, explain: Explain = explainByPhase, follow?: FollowRedirect) {
    this.fetch = fetch
    this.explain = explain
    this.follow = follow
  }

  send(request: HttpRequest, sink: HttpSink, scope: HttpScope): void {
    const wire = request.credential?.wire as HttpWire | undefined
    if (this.#isClosed) sink.onError(transportClosed)
    else if (wire) wire.send(this, request, sink, scope)
    else new FetchExchange(request, sink, scope, this).start()
  }

  async close(): Promise<void> {
    this.#isClosed = true
  }
}

/** Called as a method of nothing: browsers refuse a fetch whose `this` is not the global object. */
const platformFetch: FetchLike = (url, init) => {
  const fetch = globalFetch()
  return fetch(url, init)
}

/**
 * One exchange over a fetch, redirects included. It owns its AbortController, so that nothing is left on a signal
 * of the caller's.
 */
class FetchExchange implements HttpControl {
  readonly #sink: HttpSink
  readonly #scope: HttpScope
  readonly #engine: FetchEngine
  readonly #abort = new AbortController()
  #request: HttpRequest
  #redirected: Redirected | undefined
  #isResent = false
  #isOver = false
  #progress: Progress = unsent
  #upload: Upload | undefined
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #offAbort: (() => void) | undefined
  /** Set while paused; the reader waits for it. */
  #paused: Promise<void> | undefined
  #unpause: (() => void) | undefined

  constructor(request: HttpRequest, sink: HttpSink, scope: HttpScope, engine: FetchEngine) {
    this.#request = request
    this.#sink = sink
    this.#scope = scope
    this.#engine = engine
  }

  /** Never throws. */
  start(): void {
    this.#offAbort = this.#scope.onAbort((reason) => this.#aborted(reason))
    if (this.#isOver) return
    if (this.#scope.isOver) this.#report(callOver)
    else this.#run().catch((error) => this.#report(this.#faultOf(error)))
  }

  pause(): void {
    if (this.#isOver) return
    this.#paused ??= new Promise((resolve) => {
      this.#unpause = resolve
    })
  }

  resume(): void {
    this.#paused = undefined
    this.#unpause?.()
  }

  cancel(): void {
    if (this.#isOver) return
    this.#finish()
    this.#abort.abort()
    // A replaced fetch need not heed our signal.
    this.#reader?.cancel().catch(() => undefined)
    this.#upload?.stop()
  }

  async #run(): Promise<void> {
    let response = await this.#send()
    while (!this.#isOver) {
      const next = this.#nextHop(response)
      if (!next) return this.#answer(response)
      discard(response)
      this.#upload?.stop()
      if ('what' in next) return this.#report(next)
      this.#scope.mark('headers', 'yes')
      this.#request = next.request
      this.#redirected = next.redirected
      response = await this.#send()
    }
    discard(response)
  }

  async #send(): Promise<ResponseLike> {
    const { url, body, blob, open, onUploadProgress } = this.#request
    const { fetch, follow } = this.#engine
    const mode = redirectMode(this.#request, follow !== undefined)
    const init = initOf(this.#request, mode, this.#abort.signal)
    if (blob) addBlob(init, blob)
    else if (open) await (this.#upload = open(body as BodyStream, onUploadProgress)).addTo(init)
    else if (body !== undefined) init.body = body
    if (this.#isOver) return {}
    this.#progress = stepOf(mode === 'follow' ? handedOverToFollow : handedOver, this.#redirected)
    this.#scope.mark('connect', this.#progress.sent)
    try {
      return (await fetch(url, init)) as ResponseLike
    } catch (error) {
      if (!isSignalRefused(error, init)) throw error
      // Nothing was sent yet. An abort then closes the body, not what comes before it.
      return (await fetch(url, { ...init, signal: undefined })) as ResponseLike
    }
  }

  /** What follows on a redirect that fetch was told to leave to us, or on a connection that is none of this host's. */
  #nextHop(response: ResponseLike): Hop | HttpFault | undefined {
    const request = this.#request
    const status = response?.status ?? 0
    // A fetch by itself sends anything but a stream once more, on a fresh connection.
    const isLeft = request.open && isReplayable(request)
    if (status === 421 && !this.#isResent && isLeft) {
      this.#isResent = true
      return { request, redirected: this.#redirected as Redirected }
    }
    const { follow } = this.#engine
    if (redirectMode(request, follow !== undefined) !== 'ours') return undefined
    // What browsers give instead of a redirect that they were told not to follow.
    const isOpaque = response?.type === 'opaqueredirect'
    if (!isOpaque && !isRedirect(status)) return undefined
    const location = isOpaque ? '' : HeaderMap.from(response.headers ?? []).get('location')
    if (location === null) return undefined
    if (request.fetchOptions?.redirect === 'error') return refuse('redirect')
    if (isOpaque || !follow) return refuse('redirect while a credential header is set')
    return follow(request, status, location, this.#redirected)
  }

  async #answer(response: ResponseLike): Promise<void> {
    // `Response.error()` is how a mock says that the network failed; anything else is a mistake of its own, as one Response for all calls.
    const isNetwork = response?.type === 'error'
    if (isNetwork || !isObject(response) || response.bodyUsed)
      return this.#lacks('unread response', isNetwork ? undefined : 'internal')
    const { body, blob = body, open, onUploadProgress, url, method } = this.#request
    const size = onUploadProgress && !open ? byteLength(blob) : undefined
    if (size !== undefined) onUploadProgress?.(size)
    const redirected = response.redirected
      ? redirectedBy(undefined, method, isForeign(url, response.url), this.#redirected)
      : this.#redirected
    this.#progress = answered
    this.#scope.mark('body', 'yes')
    const status = response.status ?? (response.ok === false ? 500 : 200)
    const headers = HeaderMap.from(response.headers ?? [])
    // Mocked responses have no URL.
    this.#sink.onHead({ status, headers, url: response.url || url, redirected }, this)
    const reader = response.body?.getReader?.()
    if (reader) await this.#pump(reader)
    else this.#data(await wholeOf(response))
    if (this.#isOver) return
    this.#finish()
    this.#sink.onEnd(HeaderMap.empty)
  }

  async #pump(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    this.#reader = reader
    while (!this.#isOver) {
      if (this.#paused) await this.#paused
      const step = await reader.read()
      if (step.done) return
      this.#data(step.value)
    }
  }

  #data(bytes: Uint8Array | undefined): void {
    if (this.#isOver) return
    // A text would be lost without a word.
    if (bytes?.byteLength === undefined) this.#lacks('bytes', 'internal')
    else if (bytes.byteLength > 0) this.#sink.onData(bytes)
  }

  /** The fetch is not the platform's. */
  #lacks(part: string, code: HttpFault['code']): void {
    const progress = this.#progress
    this.#report(
      faultAt(progress, { ...progress, what: `fetch gave no ${part}`, hint: 'Look at what replaced fetch', code }),
    )
  }

  #aborted(reason: unknown): void {
    if (this.#isOver) return
    this.cancel()
    this.#sink.onAbort?.(reason)
  }

  #faultOf(cause: unknown): HttpFault {
    const progress = this.#progress
    const ofBody = this.#upload?.faultOf(progress)
    if (ofBody) return ofBody
    const { fetch, explain } = this.#engine
    if (progress === answered) return classify(cause, progress, explain)
    if (!isValid(this.#request))
      return { phase: 'resolve', sent: 'no', what: 'invalid URL, method or header', code: 'invalid_argument', cause }
    if (isMistake(cause) && !(fetch === platformFetch && isFetchStock()))
      return faultAt(progress, { ...progress, what: 'fetch threw: see cause', code: 'internal', cause })
    return classify(cause, progress, explain)
  }

  #report(fault: HttpFault): void {
    if (this.#isOver) return
    this.cancel()
    this.#sink.onError(fault)
  }

  #finish(): void {
    this.#isOver = true
    this.#offAbort?.()
    this.resume()
  }
}

/** Whether fetch, which followed redirects by itself, has ended at another origin: there it sends no credential. */
export function isForeign(from: string, to = ''): boolean {
  return URL.canParse(from) && URL.canParse(to) && new URL(from).origin !== new URL(to).origin
}

function discard(response: ResponseLike): void {
  response?.body?.cancel?.().catch(() => undefined)
}
