import type { CallOptions } from '../../src/core/call/call-options.ts'
import type { CallError } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import type { StoppableStream } from '../../src/core/resume/continuation.ts'
import { page } from '../shared/base-url.ts'
import { EventFeed, type FeedOwner, toCallError } from './feed.ts'
import { checkInit } from './options.ts'
import type { EventSourceStreams } from './streams.ts'
import type { EventSourceErrorEvent, EventSourceInit } from './types.ts'

/** An event that says what went wrong; `code` and `message` stand where the package `eventsource` has them. */
class ErrorEvent extends Event implements EventSourceErrorEvent {
  readonly error: CallError
  readonly code: number | undefined
  readonly message: string

  constructor(error: CallError) {
    super('error')
    this.error = error
    this.code = error.status
    this.message = error.message
  }
}

type Handled = 'open' | 'message' | 'error'
type Handler = (event: never) => unknown

/** The class behind every `EventSource`: a subclass says through what its streams are opened. */
export abstract class StreamEventSource extends EventTarget {
  static readonly CONNECTING = 0
  static readonly OPEN = 1
  static readonly CLOSED = 2
  readonly CONNECTING = 0
  readonly OPEN = 1
  readonly CLOSED = 2
  readonly url: string
  readonly withCredentials: boolean
  #readyState: 0 | 1 | 2 = 0
  #lastEventId: string
  readonly #handlers = new Map<Handled, { handler: Handler; readonly listener: (event: Event) => void }>()
  #leave: (() => void) | undefined
  #stop: ((options?: CallOptions) => Promise<void>) | undefined
  /** The server has been told to stop: the end of the stream is no failure. */
  #isStopping = false

  constructor(url: string | { readonly href: string }, init: EventSourceInit, streams: EventSourceStreams) {
    super()
    const resolved = resolve(url)
    checkInit(init)
    this.url = resolved.href
    this.withCredentials = init.withCredentials ?? streams.isWithCredentials
    this.#lastEventId = init.lastEventId ?? ''
    const owner: FeedOwner = {
      opened: () => this.#opened(),
      message: (event) => this.#tell(event),
      failed: (error, then) => this.#failed(error, then),
    }
    const feed = new EventFeed(owner, this.#lastEventId)
    try {
      const [stream, release] = streams.open(resolved, init, feed)
      this.#leave = () => {
        stream.close().catch(noop)
        release()
      }
      this.#stop = (stream as Partial<StoppableStream<unknown>>).stop
      stream.subscribe(feed)
    } catch (cause) {
      // A URL that nothing can be sent to is told like a server that is not there: nobody listens yet.
      queueMicrotask(() => this.#failed(toCallError(cause), 'over'))
    }
  }

  get readyState(): 0 | 1 | 2 {
    return this.#readyState
  }

  get lastEventId(): string {
    return this.#lastEventId
  }

  get onopen(): Handler | null {
    return this.#handler('open')
  }

  set onopen(handler: Handler | null) {
    this.#handle('open', handler)
  }

  get onmessage(): Handler | null {
    return this.#handler('message')
  }

  set onmessage(handler: Handler | null) {
    this.#handle('message', handler)
  }

  get onerror(): Handler | null {
    return this.#handler('error')
  }

  set onerror(handler: Handler | null) {
    this.#handle('error', handler)
  }

  close(): void {
    this.#readyState = 2
    const leave = this.#leave
    this.#leave = undefined
    leave?.()
  }

  async stop(options?: CallOptions): Promise<void> {
    const stop = this.#stop
    if (!stop) throw refusal('source.stop(): new EventSource() takes stop: stopWith(…), which says how', undefined)
    this.#isStopping = true
    try {
      await stop(options)
    } catch (error) {
      this.#isStopping = false
      throw error
    }
  }

  #opened(): void {
    if (this.#readyState === 2) return
    this.#readyState = 1
    this.dispatchEvent(new Event('open'))
  }

  #tell(event: MessageEvent): void {
    if (this.#readyState === 2) return
    this.#lastEventId = event.lastEventId
    this.dispatchEvent(event)
  }

  #failed(error: CallError, then: 'back' | 'over' | 'on'): void {
    if (this.#readyState === 2) return
    if (then === 'back') this.#readyState = 0
    if (then === 'over') this.close()
    if (then !== 'over' || !this.#isStopping) this.dispatchEvent(new ErrorEvent(error))
  }

  #handler(type: Handled): Handler | null {
    return this.#handlers.get(type)?.handler ?? null
  }

  /** Its place among the listeners is that of the first handler, until there is none. */
  #handle(type: Handled, handler: Handler | null): void {
    const old = this.#handlers.get(type)
    if (typeof handler !== 'function') {
      if (old) this.removeEventListener(type, old.listener)
      this.#handlers.delete(type)
    } else if (old) old.handler = handler
    else {
      const listener = (event: Event): void => {
        this.#handlers.get(type)?.handler.call(this, event as never)
      }
      this.#handlers.set(type, { handler, listener })
      this.addEventListener(type, listener)
    }
  }
}

/** @throws {DOMException} `SyntaxError`, as the platform's does; it does not show the URL, which may hold a secret. */
function resolve(url: unknown): URL {
  const text = String(url)
  const base = page()?.href
  if (URL.canParse(text, base)) return new URL(text, base)
  const how = base === undefined ? ': outside of browsers it must be absolute' : ''
  throw new DOMException(`new EventSource(url): this is no URL${how}`, 'SyntaxError')
}

function noop(): void {}
