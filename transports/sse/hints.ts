import type { Call } from '../../src/core/call/call.ts'

/** Servers that follow the standard's advice send a comment each 15 s or so; ms. */
const quietMs = 20_000
/** Longer than a network takes to bring the rest of an event; ms. */
const cutMs = 5_000
const cure = 'answer with X-Accel-Buffering: no, and write a comment at once and each 15 s'

/** Tells telemetry, each once for a transport, what keeps its streams from what they could be. */
export class SseHints {
  readonly #told = new Set<'quiet' | 'cut' | 'omitted'>()

  /** How long a stream may bring nothing; undefined where nobody wants to know. */
  waitMs(call: Call): number | undefined {
    return this.#told.has('quiet') || !call.scope.services.telemetry?.event ? undefined : quietMs
  }

  /** A stream has brought no byte at all. @param isOpen - status and headers have come. */
  tellQuiet(call: Call, isOpen: boolean): void {
    const what = isOpen ? 'the event stream is open and has brought no byte' : 'the event stream has no answer'
    const why = 'a server with nothing to tell, or a proxy or compression that holds it back'
    this.#tell('quiet', call, `${what} for ${quietMs / 1000} s: ${why}`)
  }

  /** What sees that the events of a connection come in pieces; undefined where nobody wants to know. */
  cuts(call: Call): SseCuts | undefined {
    return this.#told.has('cut') || !call.scope.services.telemetry?.event ? undefined : new SseCuts(call, this)
  }

  /** An event came in two pieces, that long apart. */
  tellCut(call: Call, ms: number): void {
    const why = 'a proxy or compression holds it back'
    this.#tell('cut', call, `an event came in two pieces, ${Math.round(ms / 1000)} s apart: ${why}`)
  }

  /** A page of another origin could open the stream again only without its cursor. */
  tellOmitted(call: Call): void {
    const what = 'the server does not allow Last-Event-ID to pages of another origin: the stream goes on without it'
    this.#tell('omitted', call, what, 'list it in Access-Control-Allow-Headers, or set cursorQuery')
  }

  #tell(kind: 'quiet' | 'cut' | 'omitted', call: Call, message: string, what = cure): void {
    if (this.#told.has(kind)) return
    this.#told.add(kind)
    const { telemetry } = call.scope.services
    telemetry?.event?.({ type: 'warning', call, message: `${message}: ${what} (told once a transport)` })
  }
}

/** Sees that the wire pauses in the middle of a line: servers write whole events, buffers pass on whole pages. */
export class SseCuts {
  readonly #call: Call
  readonly #hints: SseHints
  #cutAt: number | undefined

  constructor(call: Call, hints: SseHints) {
    this.#call = call
    this.#hints = hints
  }

  read(bytes: Uint8Array): void {
    const last = bytes[bytes.length - 1]
    const isCut = last !== 10 && last !== 13
    if (!isCut && this.#cutAt === undefined) return
    const now = this.#call.scope.services.clock.now()
    if (this.#cutAt !== undefined && now - this.#cutAt >= cutMs) this.#hints.tellCut(this.#call, now - this.#cutAt)
    this.#cutAt = isCut ? now : undefined
  }

  /** Nobody was reading. */
  forget(): void {
    this.#cutAt = undefined
  }
}

/** Connections that browsers open to one origin over HTTP/1.1. */
const limit = 6

interface Timed {
  getEntriesByType?(type: string): readonly { readonly name: string; readonly nextHopProtocol?: string }[]
}

/** Tells telemetry, once for a transport, that its streams take all the connections that a browser has for their origin. */
export class SseCrowd {
  readonly #origin: string
  readonly #performance: Timed | undefined
  #count = 0
  #isTold = false

  constructor(origin: string, performance = (globalThis as { performance?: Timed }).performance) {
    this.#origin = origin
    this.#performance = performance
  }

  came(call: Call): void {
    this.#count++
    const { telemetry } = call.scope.services
    if (this.#count < limit || this.#isTold || !telemetry?.event || !this.#isHttp1()) return
    this.#isTold = true
    const message = `${limit} event streams are open to one origin over HTTP/1.1, which is all that a browser allows: every other request to it waits. Serve HTTP/2, share streams (share: true), or use one WebSocket (told once a transport)`
    telemetry.event({ type: 'warning', call, message })
  }

  left(): void {
    this.#count--
  }

  /** By what the page has loaded from there: a stream says its own protocol only when it is over. */
  #isHttp1(): boolean {
    const entries = ['navigation', 'resource'].flatMap((type) => this.#performance?.getEntriesByType?.(type) ?? [])
    const last = entries.findLast(({ name, nextHopProtocol }) => nextHopProtocol && name.startsWith(`${this.#origin}/`))
    return last?.nextHopProtocol?.startsWith('http/1') === true
  }
}
