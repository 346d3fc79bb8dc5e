import type { Call } from '../call/call.ts'
import { CallError } from '../errors/error.ts'
import { readOffset } from '../resume/offsets.ts'
import { within } from '../time/bounded.ts'
import type { Timer } from '../time/clock.ts'
import type { CursorKeeper } from './cursor-place.ts'
import type { Store } from './store.ts'

/** What is kept of whom, where and how often. */
export interface CursorWriterOptions {
  readonly store: Store
  readonly place: string
  readonly everyMs: number
  readonly ttlMs: number | undefined
  readonly timeoutMs: number
  readonly call: Call
  readonly consumed: () => string | undefined
}

/** So often another process may come first before it is taken for a store that does not say that it wrote. */
const maxTries = 20

/**
 * Writes the place of one stream: the first at once, then one for all that was consumed in `everyMs`, and the last one
 * at the end. Never two at a time.
 */
export class CursorWriter implements CursorKeeper {
  readonly cursor: string | undefined
  readonly #options: CursorWriterOptions
  /** What stands in the store, as far as is known here. */
  #stored: string | undefined
  /** Somebody else wrote that. */
  #isForeign = false
  #writing: Promise<void> | undefined
  #failure: { readonly cause: unknown } | undefined
  #timer: Timer | undefined
  /** Until one has come with a message, or somebody was told that none does. */
  #lacksCursor: 'maybe' | 'seems' | 'no' = 'maybe'
  #last: Promise<void> | undefined

  constructor(options: CursorWriterOptions, stored: string | undefined) {
    this.#options = options
    // An empty one is none.
    this.cursor = stored || undefined
    this.#stored = stored
  }

  given(): void {
    if (this.#lacksCursor === 'maybe') this.#lacksCursor = 'seems'
  }

  progressed(): void {
    if (this.#lacksCursor === 'seems') this.#lookForCursor()
    if (this.#timer || this.#last || !this.#isBehind) return
    this.#write()
    this.#rest()
  }

  finish(how: 'left' | 'ended' | 'lost'): void {
    if (this.#last) return
    this.#timer?.clear()
    const { call, timeoutMs } = this.#options
    const { clock, lastWork } = call.scope.services
    const last = within(clock, timeoutMs, () => (how === 'left' ? this.#keepLast() : this.#giveUp())).catch((cause) => {
      this.#failed(cause)
      if (how === 'left') throw notKept(call, cause)
    })
    this.#last = last
    lastWork?.add(last)
    const forget = () => void lastWork?.delete(last)
    last.then(forget, forget)
  }

  flushed(): Promise<void> {
    return this.#last ?? Promise.resolve()
  }

  #lookForCursor(): void {
    this.#lacksCursor = 'no'
    if (this.#options.consumed() === undefined)
      this.#warn('a message came without a cursor: nothing can be kept of a stream whose server gives none')
  }

  get #isBehind(): boolean {
    const { consumed } = this.#options
    const cursor = consumed()
    return cursor !== undefined && cursor !== (this.#stored ?? '')
  }

  /** What is consumed meanwhile is one write. */
  #rest(): void {
    const { call, everyMs } = this.#options
    this.#timer = call.scope.services.clock.setTimer(() => {
      this.#timer = undefined
      this.progressed()
    }, everyMs)
    this.#timer.hold(false)
  }

  #write(): void {
    this.#writing ??= this.#put().then(
      () => {
        this.#writing = undefined
        this.#failure = undefined
      },
      (cause: unknown) => {
        this.#writing = undefined
        if (!this.#failure) this.#failed(cause)
        this.#failure = { cause }
      },
    )
  }

  async #put(): Promise<void> {
    const { store, place, ttlMs, consumed } = this.#options
    const next = consumed() ?? ''
    if (next === '') return this.#clear()
    for (let tries = 0; !this.#isOvertaken(next); tries++) {
      if (tries === maxTries) throw new Error('add and compareAndSet must answer true where they have written')
      const isWritten =
        this.#stored === undefined
          ? await this.#ask(() => store.add(place, next, { ttlMs }))
          : await this.#ask(() => store.compareAndSet(place, this.#stored as string, next, { ttlMs }))
      this.#stored = isWritten ? next : ((await this.#ask(() => store.get(place))) ?? undefined)
      this.#isForeign = !isWritten
      if (isWritten) return
    }
  }

  /** Another process was here, and is further on; among opaque cursors nobody can tell. */
  #isOvertaken(next: string): boolean {
    const other = this.#isForeign && this.#stored ? readOffset(this.#stored) : undefined
    const mine = other && readOffset(next)
    return mine !== undefined && other?.epoch === mine.epoch && other.offset >= mine.offset
  }

  async #keepLast(): Promise<void> {
    await this.#writing
    if (!this.#isBehind) return
    this.#write()
    await this.#writing
    if (this.#failure) throw this.#failure.cause
  }

  /** Nobody goes on from here. */
  async #giveUp(): Promise<void> {
    await this.#writing
    await this.#clear()
  }

  /** A place that another process has written meanwhile is not ours to remove. */
  async #clear(): Promise<void> {
    const { store, place } = this.#options
    const ifValue = this.#stored
    if (ifValue !== undefined && !this.#isForeign) await this.#ask(() => store.delete(place, { ifValue }))
    this.#stored = undefined
  }

  /** An answer that never comes is one failure, and not the end of all writing; the last ones are bounded together. */
  #ask<T>(ask: () => T | Promise<T>): Promise<T> {
    const { call, timeoutMs } = this.#options
    const work = async () => ask()
    return this.#last ? work() : within(call.scope.services.clock, timeoutMs, work)
  }

  #failed(cause: unknown): void {
    const what = cause instanceof Error ? cause.name : 'see the store'
    this.#warn(`the cursor could not be stored (${what}): after a crash messages that were consumed come again`)
  }

  #warn(message: string): void {
    const { call } = this.#options
    call.scope.services.telemetry?.event?.({ type: 'warning', call, message })
  }
}

function notKept(call: Call, cause: unknown): CallError {
  const message = 'the last cursor could not be stored: see cause; what was consumed since the one before comes again'
  return new CallError({ code: 'unavailable', message, phase: 'stream', sent: 'yes', cause }, call)
}
