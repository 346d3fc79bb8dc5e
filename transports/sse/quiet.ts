import type { Call } from '../../src/core/call/call.ts'

/** Servers that follow the standard's advice send a comment each 15 s or so; ms. */
const quietMs = 20_000
/** Longer than a network takes to bring the rest of an event; ms. */
const cutMs = 5_000
const cure = 'answer with X-Accel-Buffering: no, and write a comment at once and each 15 s'

/** Tells telemetry, once for a transport, that its streams may be held back on their way. */
export class SseQuiet {
  readonly #told = new Set<'quiet' | 'cut'>()

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

  #tell(kind: 'quiet' | 'cut', call: Call, message: string): void {
    if (this.#told.has(kind)) return
    this.#told.add(kind)
    const { telemetry } = call.scope.services
    telemetry?.event?.({ type: 'warning', call, message: `${message}: ${cure} (told once a transport)` })
  }
}

/** Sees that the wire pauses in the middle of a line: servers write whole events, buffers pass on whole pages. */
export class SseCuts {
  readonly #call: Call
  readonly #quiet: SseQuiet
  #cutAt: number | undefined

  constructor(call: Call, quiet: SseQuiet) {
    this.#call = call
    this.#quiet = quiet
  }

  read(bytes: Uint8Array): void {
    const last = bytes[bytes.length - 1]
    const isCut = last !== 10 && last !== 13
    if (!isCut && this.#cutAt === undefined) return
    const now = this.#call.scope.services.clock.now()
    if (this.#cutAt !== undefined && now - this.#cutAt >= cutMs) this.#quiet.tellCut(this.#call, now - this.#cutAt)
    this.#cutAt = isCut ? now : undefined
  }

  /** Nobody was reading. */
  forget(): void {
    this.#cutAt = undefined
  }
}
