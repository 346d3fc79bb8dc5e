import { HeaderMap, type HeaderRecord } from '../../../../src/core/call/header-map.ts'
import { slices, Upload } from '../../body-upload.ts'
import type { HttpControl, HttpFault, HttpRequest, HttpScope, HttpSink } from '../../contract.ts'
import { callOver, classify, type Progress, unsent } from '../../fault.ts'
import { followRedirect, isRedirect, refuse } from '../../redirect.ts'
import type { UrlSplitter } from '../../url.ts'
import { explainByCode } from '../fault-codes.ts'
import type { OwnAgent } from './agent.ts'
import type { UndiciConnection } from './connection.ts'
import { decoded } from './decode.ts'
import type { DispatchController, Dispatcher } from './dispatcher.ts'
import { LegacyController, toRecord } from './legacy.ts'

/** Where an exchange is sent: by a dispatcher of the user's, or a connection of the engine's own. */
export interface Route {
  readonly via: Dispatcher | OwnAgent
  readonly splitter: UrlSplitter
}

/** Once written, anything may have happened. */
const written: Progress = { phase: 'headers', sent: 'maybe' }
const uploading: Progress = { phase: 'send', sent: 'maybe' }
const answered: Progress = { phase: 'body', sent: 'yes' }
/** In the place of a request that is answered: a stream need not hold it for hours. */
const done: HttpRequest = { method: '', url: '', headers: {} }
/** The body of a redirect is read to its end up to this, which keeps the connection; else the connection is closed. */
const drainedBytes = 65_536

/** Given to undici when we close an exchange ourselves; it comes back as an error that nobody reports. */
const canceled = new Error('the exchange was closed by the client')

/**
 * One dispatch: the handler that undici calls, of whatever version, and the control that a sink holds.
 *
 * A redirect makes a new one for the next hop, with the same sink and scope.
 */
export class UndiciExchange implements HttpControl {
  #request: HttpRequest
  readonly #scope: HttpScope
  readonly #route: Route
  readonly #hops: number
  #sink: HttpSink
  #state: 'new' | 'queued' | 'sent' | 'answered' | 'draining' | 'over' = 'new'
  #progress: Progress = unsent
  #controller: DispatchController | undefined
  /** Leased for this exchange, where it goes by the engine's own. */
  #connection: UndiciConnection | undefined
  #upload: Upload | undefined
  #offAbort: (() => void) | undefined
  #drained = 0
  /** The redirect's own exchange, while the rest of its body is read. */
  #previous: UndiciExchange | undefined

  constructor(request: HttpRequest, sink: HttpSink, scope: HttpScope, route: Route, hops = 0) {
    this.#request = request
    this.#sink = sink
    this.#scope = scope
    this.#route = route
    this.#hops = hops
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
    this.#scope.mark(unsent.phase, unsent.sent)
    try {
      const { method, url, headers, body, onUploadProgress } = this.#request
      const { origin, path } = this.#route.splitter.split(url)
      const options =
        typeof body === 'function' || (body && onUploadProgress)
          ? { origin, path, method, ...this.#uploading(body) }
          : { origin, path, method, headers, body }
      this.#dispatcher(origin).dispatch(options, this)
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
    if (this.#state === 'over') {
      controller.abort(canceled)
      return
    }
    if (this.#state === 'queued') this.#state = 'sent'
    this.#progress = this.#upload ? uploading : written
    this.#scope.mark(this.#progress.phase, 'maybe')
  }

  onRequestSent(): void {
    if (this.#progress === uploading) this.#progress = written
  }

  onResponseStart(_controller: DispatchController, status: number, headers: HeaderRecord): void {
    if (status < 200 || this.#state !== 'sent') return
    if (isRedirect(status) && headers.location !== undefined && this.#request.fetchOptions?.redirect !== 'manual') {
      this.#redirected(status, headers)
      return
    }
    this.#state = 'answered'
    this.#progress = answered
    this.#scope.mark('body', 'yes')
    this.#sink = decoded(this.#sink, headers, status, this.#request.method, this.#scope)
    const head = { status, headers: new HeaderMap(headers), url: this.#request.url }
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
    if (wasAnswered) this.#sink.onEnd(trailersOf(trailers))
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

  onHeaders(status: number, headers: Uint8Array[], resume: () => void): boolean {
    const controller = this.#controller as LegacyController
    controller.answered(resume)
    this.onResponseStart(controller, status, toRecord(headers))
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

  #dispatcher(origin: string): Dispatcher {
    const { via } = this.#route
    if (!('lease' in via)) return via
    return (this.#connection = via.lease(origin))
  }

  #uploading(body: HttpRequest['body']): { headers: HttpRequest['headers']; body: Upload } {
    const { headers, onUploadProgress } = this.#request
    if (typeof body === 'function') {
      this.#upload = new Upload(body, onUploadProgress)
      return { headers, body: this.#upload }
    }
    const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : (body as Uint8Array)
    this.#upload = new Upload(() => slices(bytes), onUploadProgress)
    return { headers: { ...headers, 'content-length': String(bytes.byteLength) }, body: this.#upload }
  }

  #redirected(status: number, headers: HeaderRecord): void {
    const request = this.#request
    const location = String(headers.location)
    const next =
      request.fetchOptions?.redirect === 'error'
        ? refuse('redirect')
        : followRedirect(request, status, location, this.#hops)
    if ('what' in next) {
      this.cancel()
      this.#sink.onError(next)
      return
    }
    this.#state = 'draining'
    this.#offAbort?.()
    const length = Number(headers['content-length'] ?? 0)
    if (length > drainedBytes || this.#upload?.isFinished === false) this.cancel()
    const hop = new UndiciExchange(next, this.#sink, this.#scope, this.#route, this.#hops + 1)
    hop.#previous = this
    hop.start()
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

  #faultOf(error: unknown): HttpFault {
    const failure = this.#upload?.failure
    if (!failure) return classify(error, this.#progress, explainByCode)
    return {
      ...this.#progress,
      what: 'the stream of the request body failed',
      code: 'invalid_argument',
      cause: failure.error,
    }
  }
}

function trailersOf(trailers: HeaderRecord | undefined): HeaderMap {
  for (const _ in trailers) return new HeaderMap(trailers as HeaderRecord)
  return HeaderMap.empty
}
