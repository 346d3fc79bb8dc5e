import type { Call } from '../../src/core/call.ts'

/** Servers that follow the standard's advice send a comment each 15 s or so; ms. */
const quietMs = 20_000
const cure =
  'a server with nothing to tell, or a proxy or a compression that holds events back: have the server send a comment at once and each 15 s, and X-Accel-Buffering: no'

/** Tells telemetry, once for a transport, that a stream has brought no byte at all: it may be held back on its way. */
export class SseQuiet {
  #isTold = false

  /** How long a stream may bring nothing; undefined where nobody wants to know. */
  waitMs(call: Call): number | undefined {
    return this.#isTold || !call.scope.services.telemetry?.event ? undefined : quietMs
  }

  /** @param isOpen - status and headers have come. */
  tell(call: Call, isOpen: boolean): void {
    if (this.#isTold) return
    this.#isTold = true
    const what = isOpen ? 'the event stream is open and has brought no byte' : 'the event stream has no answer'
    const message = `${what} for ${quietMs / 1000} s: ${cure} (told once a transport)`
    call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
  }
}
