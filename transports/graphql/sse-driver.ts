import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Services } from '../../src/core/call/scope.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { isRecord } from '../../src/core/tag.ts'
import { essenceOf } from '../http/codecs.ts'
import { type BufferedResponse, join, requestBuffered, tooLarge } from '../http/collect.ts'
import type {
  HttpControl,
  HttpEngine,
  HttpFault,
  HttpHead,
  HttpRequest,
  HttpScope,
  HttpSink,
} from '../http/contract.ts'
import { readHttpFailure } from '../http/errors.ts'
// Its `complete` may come without data (gqlgen), which eventsource-parser, rightly, takes for no event.
import { EventParsers } from '../http/event-stream/by-hand.ts'
import type { EventStreamSink } from '../http/event-stream/event-stream.ts'
import { faultToFailure, HttpFaultError } from '../http/fault.ts'
import { IdleWatch } from '../http/idle-watch.ts'
import type { SocketDriver, SocketEnd, SocketHandle, SocketRequest, SocketSink } from '../socket/driver/driver.ts'
import type { CloseVerdict } from '../socket/wire-adapter.ts'
import { parseJson, toGraphQLResult } from './response.ts'

/** What a connection is made with. */
export interface SseDriverOptions {
  readonly engine: HttpEngine
  readonly services: Services
  /** Of the transport; names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly fetchOptions: HttpRequest['fetchOptions']
  /** @defaultValue 45_000 once the server has sent a comment */
  readonly idleTimeoutMs: number | undefined
  readonly maxBodyBytes: number
}

/** Servers send comments each 12 s or so; ms. */
const defaultIdleMs = 45_000
const tokenHeader = 'x-graphql-event-stream-token'

/**
 * graphql-sse's *single connection mode* as a kind of socket that speaks `graphql-transport-ws`: `connection_init` makes a
 * reservation (PUT) and opens its event stream (GET), `subscribe` is a POST, `complete` a DELETE. So all that is known of
 * sockets (one for each principal, reconnects, refreshes) holds for it.
 */
export function sseDriver(options: SseDriverOptions): SocketDriver {
  return {
    name: 'graphql-sse',
    capabilities: { handshakeStatus: true, protocolPing: false, headers: false, pause: false },
    open: (request, sink) => new SingleConnection(options, request, sink),
  }
}

/** What the adapter says. */
interface Frame {
  readonly type: string
  readonly id?: string
  readonly payload?: unknown
}

class SingleConnection implements SocketHandle, HttpSink, HttpScope, EventStreamSink {
  readonly bufferedAmount = 0
  readonly #options: SseDriverOptions
  readonly #url: string
  readonly #sink: SocketSink
  readonly #stream: ReturnType<EventParsers['open']>
  readonly #idle: IdleWatch
  readonly #listeners = new Set<(reason: unknown) => void>()
  #headers: Readonly<Record<string, string>> = {}
  #token = ''
  #control: HttpControl | undefined
  #refused: { readonly head: HttpHead; readonly chunks: Uint8Array[]; size: number } | undefined
  #phase: SocketEnd['phase'] = 'connect'
  isOver = false

  constructor(options: SseDriverOptions, { url, maxFrameBytes }: SocketRequest, sink: SocketSink) {
    this.#options = options
    // The socket's own scheme, which no HTTP knows.
    this.#url = url.replace(/^ws/, 'http')
    this.#sink = sink
    this.#stream = new EventParsers(maxFrameBytes, 'complete').open(this)
    this.#idle = new IdleWatch(options.services, this)
    // It has nothing to wait for: the first words make the reservation.
    queueMicrotask(() => this.isOver || sink.onOpen())
  }

  send(text: string | Uint8Array): boolean {
    if (this.isOver) return false
    const frame = JSON.parse(text as string) as Frame
    if (frame.type === 'connection_init') void this.#connect(frame.payload)
    else if (frame.type === 'subscribe') void this.#operate(frame, text as string)
    else if (frame.type === 'complete') void this.#stop(frame)
    return true
  }

  close(): void {
    this.#leave()
  }

  terminate(): void {
    this.#end({})
  }

  // What engines ask of a call's scope.

  onAbort(listener: (reason: unknown) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  mark(): void {}

  endIfLate(): boolean {
    return this.isOver
  }

  // What an engine tells of the event stream.

  onHead(head: HttpHead, control: HttpControl): void {
    this.#control = control
    const isStream = head.status === 200 && essenceOf(head.headers.last('content-type')) === 'text/event-stream'
    if (!isStream) {
      this.#refused = { head, chunks: [], size: 0 }
      return
    }
    this.#phase = 'open'
    if (this.#options.idleTimeoutMs !== undefined) this.#idle.start(this.#options.idleTimeoutMs)
    this.#sink.onFrame('{"type":"connection_ack"}')
  }

  onData(bytes: Uint8Array): void {
    if (this.#refused) {
      this.#refused.size += bytes.byteLength
      if (this.#refused.size > this.#options.maxBodyBytes) this.onError(tooLarge(this.#options.maxBodyBytes))
      else this.#refused.chunks.push(bytes)
    } else {
      this.#idle.alive()
      this.#stream.feed(bytes)
    }
  }

  onEnd(_trailers: HeaderMap): void {
    const refused = this.#refused
    if (refused) this.#refuse({ ...refused.head, body: join(refused.chunks, refused.size) })
    else this.#end({ cause: undefined })
  }

  onError(fault: HttpFault): void {
    // The status stands, whatever becomes of its body.
    if (this.#refused) this.#refuse({ ...this.#refused.head, body: new Uint8Array() })
    else this.#end({ refusal: lossOf(faultToFailure(fault, true)) })
  }

  onEvent(type: string, data: string): void {
    if (type === 'next' || type === 'complete') this.#sink.onFrame(frameOf(type, data))
  }

  onComment(): void {
    this.#sink.onAlive()
    this.#idle.start(defaultIdleMs)
  }

  onOverflow(): void {
    this.#end({ code: 1009 })
  }

  onCursor(): void {}
  onRetry(): void {}

  onIdle(): void {
    this.#end({})
  }

  async #connect(payload: unknown): Promise<void> {
    if (isRecord(payload)) this.#headers = payload as Record<string, string>
    const reserved = await this.#request({ method: 'PUT' })
    if (!reserved) return
    if (reserved.status !== 201) {
      this.#refuse(reserved)
      return
    }
    // What ends its line is none of a header.
    this.#token = reserved.text().trim()
    this.#options.engine.send(this.#requestOf({ method: 'GET', headers: { accept: 'text/event-stream' } }), this, this)
  }

  async #operate({ id, payload }: Frame, text: string): Promise<void> {
    const { extensions } = payload as { readonly extensions?: object }
    const named = JSON.stringify({ ...extensions, operationId: id })
    // As it was written, where that can be: numbers may be larger than is read here.
    const body = extensions
      ? JSON.stringify({ ...(payload as object), extensions: JSON.parse(named) as object })
      : `${text.slice(text.indexOf('"payload":') + 10, -2)},"extensions":${named}}`
    const headers = { 'content-type': 'application/json', accept: 'application/json' }
    const answer = await this.#request({ method: 'POST', headers, body })
    if (!answer || answer.status === 202) return
    // The reservation is gone with whatever server had it.
    if (answer.status === 404 || answer.status === 409) this.#end({})
    else this.#sink.onFrame(JSON.stringify({ type: 'error', id, payload: errorsIn(answer) }))
  }

  /** Nobody waits for the answer. */
  async #stop({ id }: Frame): Promise<void> {
    const url = new URL(this.#url)
    url.searchParams.set('operationId', id as string)
    await this.#request({ method: 'DELETE', url: url.href })
  }

  /** Undefined where the connection is over, or was lost by that. */
  async #request(part: Partial<HttpRequest>): Promise<BufferedResponse | undefined> {
    const { engine, maxBodyBytes } = this.#options
    try {
      const response = await requestBuffered(engine, this.#requestOf(part), this, { maxBodyBytes })
      return this.isOver ? undefined : response
    } catch (error) {
      if (error instanceof HttpFaultError) this.#end({ refusal: lossOf(faultToFailure(error.fault, true)) })
      return undefined
    }
  }

  #requestOf({ headers, ...part }: Partial<HttpRequest>): HttpRequest {
    return {
      method: 'GET',
      url: this.#url,
      credential: { headers: this.#headers },
      fetchOptions: { cache: 'no-store', ...this.#options.fetchOptions },
      ...part,
      headers: {
        ...this.#options.headers,
        ...headers,
        ...this.#headers,
        ...(this.#token !== '' && { [tokenHeader]: this.#token }),
      },
    }
  }

  /** The server does not let it in: what its answer means decides whether and how it is asked again. */
  #refuse(answer: HttpHead & { readonly body: Uint8Array }): void {
    const { services } = this.#options
    const failure = readHttpFailure(answer, services.clock.wallNow())
    const isMissing = answer.status === 404 || answer.status === 405 || answer.status < 400
    const hint = `the server answered ${answer.status} to a reservation: it has no single connection mode here; use sseSubscriptions()`
    this.#end({
      refusal: lossOf(
        isMissing ? { ...failure, code: 'failed_precondition', message: hint, isRetryable: false } : failure,
      ),
    })
  }

  #end(end: Partial<SocketEnd>): void {
    if (this.isOver) return
    this.#leave()
    this.#sink.onEnd({ code: 1006, reason: '', wasClean: false, phase: this.#phase, ...end })
  }

  #leave(): void {
    this.isOver = true
    this.#idle.stop()
    this.#control?.cancel()
    for (const listener of [...this.#listeners]) listener(undefined)
    this.#listeners.clear()
  }
}

/** The frame of an event, whose id and payload stand in its data as the adapter wants them; what is no object stays unreadable. */
export function frameOf(type: string, data: string): string {
  return `{"type":"${type}"${data.trimStart().replace(/^\{(?!\s*\})/, ',')}`
}

function lossOf(failure: Failure): CloseVerdict {
  const action = failure.code === 'unauthenticated' ? 'refresh-auth' : failure.isRetryable ? 'retry' : 'fatal'
  const { retryAfterMs } = failure
  return { action, failure, ...(retryAfterMs !== undefined && { minDelayMs: retryAfterMs }) }
}

/** What refuses one operation: GraphQL errors, or one that says the HTTP status. */
function errorsIn(answer: BufferedResponse): readonly object[] {
  const errors = toGraphQLResult(parseJson(answer.text())?.value)?.errors
  const { status } = answer
  return errors ?? [{ message: `the server answered ${status}`, extensions: { http: { status } } }]
}
