import type { Call } from '../../src/core/call/call.ts'

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
