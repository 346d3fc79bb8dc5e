import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import { Upload } from '../../body-upload.ts'
import type { FetchLike, HttpControl, HttpFault, HttpRequest, HttpScope, HttpSink } from '../../contract.ts'
import { callOver, classify, type Explain, type Progress, unsent } from '../../fault.ts'
import { type FollowRedirect, isRedirect, refuse } from '../../redirect.ts'
import {
  addBlob,
  addBody,
  byteLength,
  initOf,
  isSignalRefused,
  isValid,
  pairsOf,
  type ResponseLike,
  redirectMode,
  wholeOf,
} from './init.ts'

/** fetch does not say how far it came; only a known error code makes it sure that nothing was sent. */
const unknown: Progress = { phase: 'connect', sent: 'maybe' }
const answered: Progress = { phase: 'body', sent: 'yes' }

/**
 * One exchange over a fetch, redirects included. It owns its AbortController, so that nothing is left on a signal
 * of the caller's.
 */
export class FetchExchange implements HttpControl {
  readonly #sink: HttpSink
  readonly #scope: HttpScope
  readonly #fetch: FetchLike
  readonly #explain: Explain
  readonly #follow: FollowRedirect | undefined
  readonly #abort = new AbortController()
  #request: HttpRequest
  #hops = 0
  #isOver = false
  #progress: Progress = unsent
  #upload: Upload | undefined
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined
  #offAbort: (() => void) | undefined
  /** Set while paused; the reader waits for it. */
  #paused: Promise<void> | undefined
  #unpause: (() => void) | undefined

  constructor(
    request: HttpRequest,
    sink: HttpSink,
    scope: HttpScope,
    fetch: FetchLike,
    explain: Explain,
    follow: FollowRedirect | undefined,
  ) {
    this.#request = request
    this.#sink = sink
    this.#scope = scope
    this.#fetch = fetch
    this.#explain = explain
    this.#follow = follow
  }

  /** Never throws. */
  start(): void {
    this.#offAbort = this.#scope.onAbort((reason) => this.#aborted(reason))
    if (this.#isOver) return
    if (this.#scope.isOver) this.#report(callOver)
    else this.#run().catch((error) => this.#fail(error))
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
      const next = this.#redirected(response)
      if (!next) return this.#answer(response)
      discard(response)
      this.#upload?.stop()
      if ('what' in next) return this.#report(next)
      this.#request = next
      this.#hops++
      response = await this.#send()
    }
    discard(response)
  }

  async #send(): Promise<ResponseLike> {
    const { url, body, blob, onUploadProgress } = this.#request
    const init = initOf(this.#request, redirectMode(this.#request, this.#follow !== undefined), this.#abort.signal)
    if (body !== undefined && blob) addBlob(init, blob)
    else if (typeof body === 'function') await addBody(init, (this.#upload = new Upload(body, onUploadProgress)))
    else if (body !== undefined) await addBody(init, body)
    if (this.#isOver) return {}
    this.#progress = unknown
    this.#scope.mark('connect', 'maybe')
    try {
      return (await this.#fetch(url, init)) as ResponseLike
    } catch (error) {
      if (!isSignalRefused(error, init)) throw error
      // Nothing was sent yet. An abort then closes the body, not what comes before it.
      return (await this.#fetch(url, { ...init, signal: undefined })) as ResponseLike
    }
  }

  /** What follows on a redirect that fetch was told to leave to us. */
  #redirected(response: ResponseLike): HttpRequest | HttpFault | undefined {
    if (redirectMode(this.#request, this.#follow !== undefined) !== 'ours') return undefined
    // What browsers give instead of a redirect that they were told not to follow.
    const isOpaque = response?.type === 'opaqueredirect'
    if (!isOpaque && !isRedirect(response?.status ?? 0)) return undefined
    const location = isOpaque ? '' : HeaderMap.from(pairsOf(response)).get('location')
    if (location === null) return undefined
    if (this.#request.fetchOptions?.redirect === 'error') return refuse('redirect')
    if (isOpaque || !this.#follow) return refuse('redirect while a credential header is set')
    return this.#follow(this.#request, response.status as number, location, this.#hops)
  }

  async #answer(response: ResponseLike): Promise<void> {
    if (typeof response !== 'object' || response === null || response.type === 'error') return this.#report(noResponse)
    const { body, blob, onUploadProgress, url } = this.#request
    if (onUploadProgress && body !== undefined && (blob || typeof body !== 'function'))
      onUploadProgress(blob ? blob.size : byteLength(body as string))
    this.#progress = answered
    this.#scope.mark('body', 'yes')
    const status = response.status ?? (response.ok === false ? 500 : 200)
    // Mocked responses have no URL.
    this.#sink.onHead({ status, headers: HeaderMap.from(pairsOf(response)), url: response.url || url }, this)
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

  #data(bytes: Uint8Array): void {
    if (!this.#isOver && bytes.byteLength > 0) this.#sink.onData(bytes)
  }

  #aborted(reason: unknown): void {
    if (this.#isOver) return
    this.cancel()
    this.#sink.onAbort?.(reason)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    const failure = this.#upload?.failure
    if (failure)
      this.#report({
        ...this.#progress,
        what: 'the stream of the request body failed',
        code: 'invalid_argument',
        cause: failure.error,
      })
    else this.#report(this.#faultOf(error))
  }

  #faultOf(cause: unknown): HttpFault {
    if (this.#progress === answered || isValid(this.#request)) return classify(cause, this.#progress, this.#explain)
    return { phase: 'resolve', sent: 'no', what: 'invalid URL, method or header', code: 'invalid_argument', cause }
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

const noResponse: HttpFault = {
  ...unknown,
  what: 'fetch gave no response',
  hint: 'Look at what replaced fetch',
  cause: undefined,
}

function discard(response: ResponseLike): void {
  response?.body?.cancel?.().catch(() => undefined)
}
