import type { Call } from '../call/call.ts'
import type { CallError } from '../errors/error.ts'
import { decide, notify } from '../guard.ts'
import type { Item, SourceEnd, Tap } from './source.ts'

/**
 * What has come in and was not taken yet, and how the stream stands: the one receive queue that attempts, the splice of
 * attempts and what fills gaps are made of. Messages and bytes are counted here and nowhere else.
 */
export class ReceiveQueue {
  /** Replaced when it is taken. */
  items: Item[] = []
  /** Of what is queued, as far as it is known. */
  bytes = 0
  /** The last cursor that has come in, that of skipped messages too; empty where the server took it back. */
  cursor: string | undefined
  /** How the stream is over, though what is queued is still to be taken; `left`: its reader wants nothing more. */
  settled: SourceEnd | { readonly kind: 'left' } | undefined
  /** Whose messages they are: named by errors. */
  protected readonly call: Call | undefined
  protected taps: Tap[] | undefined
  #listeners: ((end: SourceEnd) => void)[] | undefined
  /** Wakes whoever waits. */
  protected waker: (() => void) | undefined
  protected waiting: Promise<void> | undefined

  constructor(call?: Call) {
    this.call = call
  }

  /** How it ended, once everything before has been taken. */
  get end(): SourceEnd | undefined {
    const { settled } = this
    if (!settled || this.items.length > 0) return undefined
    return settled.kind === 'left' ? ended : settled
  }

  /** Resolves when there is something to take or the stream is over; it may wake for nothing. */
  ready(): Promise<void> {
    if (this.items.length > 0 || this.settled) return resolved
    return (this.waiting ??= new Promise((resolve) => {
      this.waker = resolve
    }))
  }

  /** Tells when the producer ends or fails, at once, not only when the reader gets there. Any number may listen. */
  onSettled(listener: (end: SourceEnd) => void): void {
    const { settled } = this
    // A literal takes no room for more: mostly there is one.
    if (!settled && this.#listeners) this.#listeners.push(listener)
    else if (!settled) this.#listeners = [listener]
    else if (settled.kind !== 'left') this.#tell(listener, settled)
  }

  /** Somebody may be waiting. */
  wake(): void {
    const { waker } = this
    this.waker = this.waiting = undefined
    waker?.()
  }

  /** The stream is over: the first word stands. False where it was over. */
  protected settle(end: SourceEnd | { readonly kind: 'left' }): boolean {
    if (this.settled) return false
    this.settled = end
    this.wake()
    const listeners = this.#listeners
    this.#listeners = undefined
    if (listeners && end.kind !== 'left') for (const listener of listeners) this.#tell(listener, end)
    return true
  }

  /** Passes an item through the taps, the first registered first; undefined where one drops it, or throws. */
  protected tapped(item: Item): Item | undefined {
    try {
      return this.taps?.reduce<Item | undefined>(
        (each, tap) =>
          each && decide('a tap of the stream', () => tap(each), this.call, { phase: 'stream', sent: 'yes' }),
        item,
      )
    } catch (error) {
      this.broken(error as CallError)
      return undefined
    }
  }

  /** Applies the taps to what is queued: all of them, or one that was added. */
  protected retap(tap: Tap): void {
    ;(this.taps ??= []).push(tap)
    const { items, taps } = this
    if (items.length === 0) return
    this.taps = [tap]
    const left = items.map((item) => this.tapped(item)).filter((item) => !!item)
    this.taps = taps
    this.items = left
    this.bytes *= left.length / items.length
  }

  /** The user's own code has failed the stream. */
  protected broken(_error: CallError): void {}

  #tell(listener: (end: SourceEnd) => void, end: SourceEnd): void {
    notify('an onSettled listener', listener, this.call?.scope.services.telemetry, end)
  }
}

const resolved = /* @__PURE__ */ Promise.resolve()
/** Nothing has broken the stream. */
export const ended: SourceEnd = /* @__PURE__ */ Object.freeze({ kind: 'ended' })
/** Its reader has gone. */
export const left = /* @__PURE__ */ Object.freeze({ kind: 'left' })
