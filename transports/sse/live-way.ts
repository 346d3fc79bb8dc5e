import type { Call } from '../../src/core/call/call.ts'
import type { CallError } from '../../src/core/errors/error.ts'
import type { DurableLive } from './durable-session.ts'

/** An event stream that ends sooner than this after it has opened is a short one; ms. */
const shortMs = 1000
/** So many in a row are no accident: something in between cuts them. */
const maxShort = 3
/** Event streams are tried again after this: another network may let them through; ms. */
const otherwiseMs = 600_000
/** What servers and proxies answer that have no event stream there: another type (200), a mode they do not know. */
const notOffered: readonly (number | undefined)[] = [200, 400, 405, 406, 415, 501]

/** By which way one client follows one durable stream: long polls, where event streams have been seen not to get through. */
export class LiveWay {
  readonly #live: DurableLive
  #short = 0
  /** The last short one ended then: one that began before says the same. */
  #shortAt = Number.NEGATIVE_INFINITY
  #otherwiseUntil = Number.NEGATIVE_INFINITY

  constructor(live: DurableLive) {
    this.#live = live
  }

  at(now: number): DurableLive {
    return this.#live === 'sse' && now < this.#otherwiseUntil ? 'long-poll' : this.#live
  }

  /** An event stream was open from then until now. */
  ended(openedAt: number, call: Call): void {
    const now = call.scope.services.clock.now()
    if (now - openedAt >= shortMs) this.#short = 0
    else if (openedAt >= this.#shortAt) {
      this.#short++
      this.#shortAt = now
    }
    if (this.#short >= maxShort) this.leave(call, `have ended within a second ${maxShort} times`)
  }

  /** Event streams do not get through. */
  leave(call: Call, why: string): void {
    const { clock, telemetry } = call.scope.services
    this.#short = 0
    this.#otherwiseUntil = clock.now() + otherwiseMs
    const message = `event streams of ${call.operation.name} ${why}: it is followed by long polls for the next 10 minutes`
    telemetry?.event?.({ type: 'warning', call, message })
  }
}

/** The server, or something in between, has no event stream there, though it may have the messages. */
export function isNotOffered({ status, phase }: CallError): boolean {
  return phase === 'headers' && notOffered.includes(status)
}
