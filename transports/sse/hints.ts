import type { Call } from '../../src/core/call/call.ts'
import type { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Armed } from '../../src/core/time/clock.ts'
import type { HttpEngine, HttpFault, HttpHead, HttpSink } from '../http/contract.ts'
import { kindOf } from '../http/event-stream/errors.ts'
import type { StreamControl } from '../http/event-stream/stream-exchange.ts'

/** Servers that follow the standard's advice send a comment each 15 s or so; ms. */
const quietMs = 20_000
/** Longer than a network takes to bring the rest of an event; ms. */
const cutMs = 5_000
/** Connections that browsers open to one origin over HTTP/1.1. */
const limit = 6
const cure = 'a proxy or compression that holds it back: X-Accel-Buffering: no, and a comment at once and each 15 s'

type Hint = 'quiet' | 'cut' | 'omitted' | 'crowd'

interface Timed {
  getEntriesByType?(type: string): readonly { readonly name: string; readonly nextHopProtocol?: string }[]
}

/** Tells telemetry, each once for a transport, what keeps its streams from what they could be. */
export class SseHints {
  readonly #origin: string
  readonly #performance: Timed | undefined
  readonly #told = new Set<Hint>()
  #count = 0

  constructor(origin: string, performance = (globalThis as { performance?: Timed }).performance) {
    this.#origin = origin
    this.#performance = performance
  }

  /** What sends the request of a call, and looks at what its connection brings. */
  for(engine: Pick<HttpEngine, 'send'>, call: Call): Pick<HttpEngine, 'send'> {
    if (!this.#isWanted('quiet', call) && !this.#isWanted('cut', call)) return engine
    return { send: (request, sink, scope) => engine.send(request, new WatchedConnection(this, call, sink), scope) }
  }

  /** A stream has brought no byte at all. @param isOpen - status and headers have come. */
  tellQuiet(call: Call, isOpen: boolean): void {
    const what = isOpen ? 'is open and has brought no byte' : 'has no answer'
    this.#tell(
      'quiet',
      call,
      `the event stream ${what} for ${quietMs / 1000} s: a server with nothing to tell, or ${cure}`,
    )
  }

  /**
   * Sees that the wire pauses in the middle of a line: servers write whole events, buffers pass on whole pages.
   *
   * @param cutAt - what the read before gave.
   * @returns when a line was cut by the end of these bytes, if it was.
   */
  cut(call: Call, bytes: Uint8Array, cutAt: number | undefined): number | undefined {
    const last = bytes[bytes.length - 1]
    const isCut = last !== 10 && last !== 13
    if (!isCut && cutAt === undefined) return undefined
    const now = call.scope.services.clock.now()
    const ms = now - (cutAt ?? now)
    if (ms >= cutMs) this.#tell('cut', call, `an event came in two pieces, ${Math.round(ms / 1000)} s apart: ${cure}`)
    return isCut ? now : undefined
  }

  /** A page of another origin could open the stream again only without its cursor. */
  tellOmitted(call: Call): void {
    const why = 'the server does not allow Last-Event-ID to pages of another origin'
    this.#tell(
      'omitted',
      call,
      `the stream goes on without its cursor: ${why}: see Access-Control-Allow-Headers, or set cursorQuery`,
    )
  }

  /** A connection is opened: all that a browser has for an origin may be taken. */
  came(call: Call): void {
    this.#count++
    if (this.#count < limit || !this.#isWanted('crowd', call) || !this.#isHttp1()) return
    const what = `${limit} event streams are open to one origin over HTTP/1.1, all that a browser allows: every other request waits`
    this.#tell('crowd', call, `${what}. Serve HTTP/2, share streams (share: sharing()), or use one WebSocket`)
  }

  left(): void {
    this.#count--
  }

  #isWanted(hint: Hint, call: Call): boolean {
    return !this.#told.has(hint) && call.scope.services.telemetry?.event !== undefined
  }

  #tell(hint: Hint, call: Call, message: string): void {
    if (!this.#isWanted(hint, call)) return
    this.#told.add(hint)
    call.scope.services.telemetry?.event?.({ type: 'warning', call, message: `${message} (told once a transport)` })
  }

  /** By what the page has loaded from there: a stream says its own protocol only when it is over. */
  #isHttp1(): boolean {
    const entries = ['navigation', 'resource'].flatMap((type) => this.#performance?.getEntriesByType?.(type) ?? [])
    const last = entries.findLast(({ name, nextHopProtocol }) => nextHopProtocol && name.startsWith(`${this.#origin}/`))
    return last?.nextHopProtocol?.startsWith('http/1') === true
  }
}

/** One connection on its way from the engine to who reads it, looked at in passing. */
class WatchedConnection implements HttpSink, StreamControl {
  readonly #hints: SseHints
  readonly #call: Call
  readonly #sink: HttpSink
  #control: StreamControl | undefined
  #isOpen = false
  /** Until something has come. */
  #quiet: Armed | undefined
  /** A read ended within a line then. */
  #cutAt: number | undefined

  constructor(hints: SseHints, call: Call, sink: HttpSink) {
    this.#hints = hints
    this.#call = call
    this.#sink = sink
    const { clock, deadlines } = call.scope.services
    this.#quiet = deadlines.add(clock.now() + quietMs, () => hints.tellQuiet(call, this.#isOpen))
  }

  onHead(head: HttpHead, control: StreamControl): void {
    this.#control = control
    this.#isOpen = kindOf(head) === 'stream'
    if (!this.#isOpen) this.#heard()
    this.#sink.onHead(head, this)
  }

  onData(bytes: Uint8Array): void {
    this.#heard()
    this.#cutAt = this.#hints.cut(this.#call, bytes, this.#cutAt)
    this.#sink.onData(bytes)
  }

  onEnd(trailers: HeaderMap): void {
    this.#heard()
    this.#sink.onEnd(trailers)
  }

  onError(fault: HttpFault): void {
    this.#heard()
    this.#sink.onError(fault)
  }

  onAbort(reason: unknown): void {
    this.#heard()
    this.#sink.onAbort?.(reason)
  }

  pause(): void {
    this.#cutAt = undefined
    this.#control?.pause()
  }

  resume(): void {
    this.#control?.resume()
  }

  cancel(): void {
    this.#heard()
    this.#control?.cancel()
  }

  distrust(): void {
    this.#control?.distrust?.()
  }

  #heard(): void {
    if (this.#quiet) this.#call.scope.services.deadlines.remove(this.#quiet)
    this.#quiet = undefined
  }
}

/** What a transport tells of its streams; see `streamHints`. */
export interface StreamHints {
  readonly kind: 'stream hints'
}

/** What {@link streamHints} makes. */
export interface SseHinting extends StreamHints {
  start(origin: string): SseHints
}

/**
 * Tells telemetry, by one `warning` each, what keeps event streams from what they could be: a proxy that holds bytes back, a
 * cursor that may not be sent across origins, a sixth connection over HTTP/1.1.
 *
 * @example
 * sseTransport({ baseUrl: '/api', hints: streamHints() })
 */
export function streamHints(): StreamHints {
  const hinting: SseHinting = { kind: 'stream hints', start: (origin) => new SseHints(origin) }
  return hinting
}
