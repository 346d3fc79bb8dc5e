import { HeaderMap, type HeaderRecord } from '../../../../src/core/call/header-map.ts'
import { isThenable } from '../../../../src/core/guard.ts'
import type { HttpControl, HttpFault, HttpRequest, HttpScope, HttpSink } from '../../contract.ts'
import { callOver, classify, faultAt, isMistake } from '../../fault.ts'
import { answered, type Progress, type Redirected, stepOf, unsent, uploading, written } from '../../progress.ts'
import { followRedirect, isRedirect, isReplayable, refuse } from '../../redirect.ts'
import { slices, Upload } from '../../upload.ts'
import { explainByCode } from '../fault-codes.ts'
import type { OwnAgent, UndiciConnection } from './agent.ts'
import { decoded } from './decode.ts'
import { type DispatchController, type Dispatcher, LegacyController, toRecord } from './dispatcher.ts'
import type { UrlSplitter } from './engine.ts'

/** Where an exchange is sent: by a dispatcher of the user's, or a connection of the engine's own. */
export interface Route {
  readonly via: Dispatcher | OwnAgent
  readonly splitter: UrlSplitter
}

/** In the place of a request that is answered: a stream need not hold it for hours. */
const done: HttpRequest = { method: '', url: '', headers: {} }
/** The body of a redirect is read to its end up to this, which keeps the connection; else the connection is closed. */
const drainedBytes = 65_536

/** Given to undici when we close an exchange ourselves; it comes back as an error that nobody reports. */
const canceled = new Error('the exchange was closed by the client')

/**
 * One dispatch: the handler that undici calls, of whatever version, and the control that a sink holds.
 *
 * A redirect makes a new one for the next hop, with the same sink and scope; so does a 421, for a fresh connection.
 */
export class UndiciExchange implements HttpControl {
  #request: HttpRequest
  readonly #scope: HttpScope
  readonly #route: Route
  readonly #redirected: Redirected | undefined
  #sink: HttpSink
  #state: 'new' | 'queued' | 'sent' | 'answered' | 'draining' | 'over' = 'new'
  #progress: Progress
  #controller: DispatchController | undefined
  /** Leased for this exchange, where it goes by the engine's own. */
  #connection: UndiciConnection | undefined
  #upload: Upload | undefined
  #offAbort: (() => void) | undefined
  #drained = 0
  /** The exchange before this one, while the rest of its body is read. */
  #previous: UndiciExchange | undefined
  /** Sent once more after a 421. */
  #isResent = false

  constructor(request: HttpRequest, sink: HttpSink, scope: HttpScope, route: Route, redirected?: Redirected) {
    this.#request = request
    this.#sink = sink
    this.#scope = scope
    this.#route = route
    this.#redirected = redirected
    this.#progress = redirected ? stepOf(unsent, redirected) : unsent
  }

  /** Never throws. */
  start(): void {
    this.#offAbort = this.#scope.onAbort((reason) => this.#aborted(reason))
    if (this.#state === 'over') return
    if (this.#scope.isOver) {
      this.#finish()
      this.#sink.onError(callOver)
      return
    }
    this.#state = 'queued'
    this.#scope.mark('connect', this.#progress.sent)
    try {
      const { method, url, blob, body = blob && (() => (blob as Blob).stream()), onUploadProgress } = this.#request
      const { origin, path } = this.#route.splitter.split(url)
      const { headers: own } = this.#request
      const headers: Record<string, string> = { ...defaults, ...own }
      // The range of a compressed body is none of the body, and what compresses event streams holds events back.
      if (own.range !== undefined || own.accept === 'text/event-stream')
        headers['accept-encoding'] = own['accept-encoding'] ?? 'identity'
      const options =
        typeof body === 'function' || (body && onUploadProgress)
          ? { origin, path, method, ...this.#uploading(headers, body) }
          : { origin, path, method, headers, body }
      const { via } = this.#route
      const dispatcher = 'lease' in via ? (this.#connection = via.lease(origin, this.#isResent)) : via
      const sent: unknown = dispatcher.dispatch(options, this)
      if (typeof sent !== 'boolean' && isThenable(sent))
        sent.then(undefined, (error: unknown) => this.onResponseError(undefined, error))
    } catch (error) {
      this.onResponseError(undefined, error)
    }
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  cancel(): void {
    if (this.#state === 'over') return
    this.#finish()
    this.#controller?.abort(canceled)
    void this.#connection?.drop()
    // After the abort, so that no server takes the part that it has for the whole.
    this.#upload?.stop()
  }

  onRequestStart(controller: DispatchController): void {
    this.#controller = controller
    if (this.#state === 'over' || this.#scope.endIfLate()) {
      controller.abort(canceled)
      return
    }
    if (this.#state === 'queued') this.#state = 'sent'
    const step = this.#upload ? uploading : written
    this.#progress = this.#redirected ? stepOf(step, this.#redirected) : step
    this.#scope.mark(this.#progress.phase, this.#progress.sent)
  }

  onResponseStart(controller: DispatchController, status: number, headers: HeaderRecord, statusText?: string): void {
    if (this.#state !== 'sent') return
    if (status < 200) {
      this.#sink.onInfo?.(status, new HeaderMap(headers))
      return
    }
    if (
      status < 400 &&
      headers.location !== undefined &&
      isRedirect(status) &&
      this.#request.fetchOptions?.redirect !== 'manual'
    ) {
      this.#follow(status, headers)
      return
    }
    if (status === 421 && !this.#isResent && isReplayable(this.#request)) {
      this.#resend()
      return
    }
    this.#state = 'answered'
    this.#progress = answered
    // Slices of what the socket read: they would keep all of it for as long as a stream lasts.
    if (this.#connection) controller.rawHeaders = null
    this.#scope.mark('body', 'yes')
    if (headers['content-encoding'] !== undefined)
      this.#sink = decoded(this.#sink, headers, status, this.#request.method, this.#scope)
    const { url } = this.#request
    const head = { status, statusText, headers: new HeaderMap(headers), url, redirected: this.#redirected }
    this.#request = done
    this.#sink.onHead(head, this)
  }

  onResponseData(_controller: DispatchController, chunk: Uint8Array): void {
    if (this.#state === 'answered') this.#sink.onData(chunk)
    else if (this.#state === 'draining') {
      this.#drained += chunk.byteLength
      if (this.#drained > drainedBytes) this.cancel()
    }
  }

  onResponseEnd(_controller: DispatchController, trailers: HeaderRecord | undefined): void {
    const wasAnswered = this.#state === 'answered'
    if (this.#state !== 'over') this.#connection?.release()
    this.#finish()
    this.#upload?.stop()
    if (!wasAnswered) return
    let received = HeaderMap.empty
    for (const _ in trailers) {
      received = new HeaderMap(trailers as HeaderRecord)
      break
    }
    this.#sink.onEnd(received)
  }

  onResponseError(_controller: unknown, error: unknown): void {
    if (this.#state === 'over') return
    const isReported = this.#state !== 'draining'
    this.#connection?.fail(error)
    this.#finish()
    this.#upload?.stop()
    if (isReported) this.#sink.onError(this.#faultOf(error))
  }

  /** The API of undici 6, which Node 22 has built in: a MockAgent or a proxy of that copy calls these. */
  onConnect(abort: (reason: Error) => void): void {
    this.onRequestStart(new LegacyController(abort))
  }

  onHeaders(status: number, headers: Uint8Array[], resume: () => void, statusText?: string): boolean {
    const controller = this.#controller as LegacyController
    controller.answered(resume)
    this.onResponseStart(controller, status, toRecord(headers), statusText)
    return !controller.isPaused
  }

  onData(chunk: Uint8Array): boolean {
    const controller = this.#controller as LegacyController
    this.onResponseData(controller, chunk)
    return !controller.isPaused
  }

  onComplete(trailers: Uint8Array[] | null): void {
    this.onResponseEnd(this.#controller as LegacyController, toRecord(trailers))
  }

  onError(error: unknown): void {
    this.onResponseError(this.#controller, error)
  }

  #uploading(
    headers: HttpRequest['headers'],
    body: HttpRequest['body'],
  ): Pick<HttpRequest, 'headers'> & { body: Upload } {
    const { onUploadProgress } = this.#request
    if (typeof body === 'function') {
      this.#upload = new Upload(body, onUploadProgress)
      return { headers, body: this.#upload.begin() }
    }
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : (body as Uint8Array)
    this.#upload = new Upload(() => slices(bytes), onUploadProgress)
    return { headers: { ...headers, 'content-length': String(bytes.byteLength) }, body: this.#upload }
  }

  #follow(status: number, headers: HeaderRecord): void {
    const request = this.#request
    const next =
      request.fetchOptions?.redirect === 'error'
        ? refuse('redirect')
        : followRedirect(request, status, String(headers.location), this.#redirected)
    if ('what' in next) {
      this.cancel()
      this.#sink.onError(next)
      return
    }
    this.#state = 'draining'
    this.#offAbort?.()
    const length = Number(headers['content-length'] ?? 0)
    if (length > drainedBytes || this.#upload?.isFinished === false) this.cancel()
    this.#scope.mark('headers', 'yes')
    this.#goOn(new UndiciExchange(next.request, this.#sink, this.#scope, this.#route, next.redirected))
  }

  /** A connection that the server will not answer this request on: nothing was done, and another one may serve it. */
  #resend(): void {
    this.cancel()
    const again = new UndiciExchange(this.#request, this.#sink, this.#scope, this.#route, this.#redirected)
    again.#isResent = true
    this.#goOn(again)
  }

  #goOn(next: UndiciExchange): void {
    next.#previous = this
    next.start()
  }

  #aborted(reason: unknown): void {
    if (this.#state === 'over') return
    const sink = this.#sink
    this.cancel()
    sink.onAbort?.(reason)
  }

  #finish(): void {
    this.#state = 'over'
    this.#offAbort?.()
    this.#previous?.cancel()
  }

  #faultOf(cause: unknown): HttpFault {
    const isWritten = this.#progress.phase === 'send' && this.#upload?.isFinished
    const progress = isWritten ? stepOf(written, this.#redirected) : this.#progress
    const ofBody = this.#upload?.faultOf(progress)
    if (ofBody) return ofBody
    if (isMistake(cause))
      return faultAt(progress, { ...progress, what: 'the dispatcher threw: see cause', code: 'internal', cause })
    return classify(cause, progress, explainByCode)
  }
}

/** What fetch says of itself in every request; whoever names one of them has the last word. */
const defaults = {
  'user-agent': 'polywire',
  'accept-encoding': process.versions.zstd === undefined ? 'gzip, br' : 'gzip, br, zstd',
}
