import type { Call } from '../call/call.ts'
import { CallError } from '../errors/error.ts'
import { type Gap, gap } from '../stream/gap.ts'

/** What one stream has lost, or may have lost, and what that means for it. */
export class StreamLosses {
  readonly #call: Call
  /** No message has come since the last gap. */
  #isAtGap?: boolean
  /** Messages were lost over a reconnect, or nobody can tell. */
  isBroken = false

  constructor(call: Call) {
    this.#call = call
  }

  /** Gaps are looked at: by the reader, or by what fills them. */
  get #isShown(): boolean {
    return this.#call.operation.gaps === 'yield' || this.#call.options.resync !== undefined
  }

  /** A message has come. */
  progressed(): void {
    this.#isAtGap = false
  }

  /** The gap to show where an attempt was opened without a cursor; undefined where none is shown, or stands already. */
  unknown(): Gap | undefined {
    this.isBroken = true
    if (!this.#isShown || this.#isAtGap) return undefined
    this.#isAtGap = true
    return gap({ reason: 'no_cursor', from: undefined, to: undefined })
  }

  /** The gap behind a cursor that the server no longer knows. */
  notRecovered(from: string | undefined): Gap {
    this.#isAtGap = true
    return gap({ reason: 'not_recovered', from, to: undefined })
  }

  /** What a gap ends the stream with: nothing, where the operation wants to see gaps, or chose to drop messages. */
  errorOf(gap: Gap): CallError | undefined {
    const { reason } = gap
    this.#call.scope.services.telemetry?.event?.({ type: 'gap', call: this.#call, gap })
    if (reason === 'overflow' || reason === 'repeat') return undefined
    this.isBroken = true
    if (this.#isShown) return undefined
    const message = `messages were lost (${reason}): load the present state and open it anew, or declare gaps: 'yield'`
    return new CallError({ code: 'data_loss', message, phase: 'stream', sent: 'yes' }, this.#call)
  }
}
