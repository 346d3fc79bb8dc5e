import type { Clock, Timer } from './clock.ts'
import type { PageEvent, PageLife } from './page-life.ts'
import type { StreamState } from './stream-state.ts'

/** One wait before a stream is opened again. */
export interface ResumeWaitOptions {
  readonly clock: Clock
  readonly page: PageLife | undefined
  readonly waitMs: number
  /** What a page that comes back cannot cut short: the server's own wait, and the distance from the last attempt; ms. */
  readonly floorMs: number
  /** `waiting`, or `suspended` while the page is offline. */
  readonly onState: (state: StreamState) => void
  readonly onOver: () => void
}

/** The browser may be wrong about being offline: after this long an attempt is made all the same; ms. */
const offlineMs = 60_000

/** Waits longer while the page is offline, and no longer than it must once the page comes back. */
export class ResumeWait {
  readonly #options: ResumeWaitOptions
  readonly #startedAt: number
  readonly #unwatch: (() => void) | undefined
  #timer: Timer | undefined

  constructor(options: ResumeWaitOptions) {
    this.#options = options
    this.#startedAt = options.clock.now()
    this.#wait(options.waitMs)
    this.#unwatch = options.page?.watch((event) => this.#paged(event))
  }

  cancel(): void {
    this.#timer?.clear()
    this.#unwatch?.()
  }

  #paged(event: PageEvent): void {
    if (event === 'offline') this.#wait(0)
    else if (event === 'online' || event === 'visible' || event === 'woken')
      this.#wait(this.#left(this.#options.floorMs))
  }

  #left(ms: number): number {
    return Math.max(0, this.#startedAt + ms - this.#options.clock.now())
  }

  #wait(ms: number): void {
    const { clock, page, onState, waitMs } = this.#options
    const isOffline = page?.isOffline === true
    this.#timer?.clear()
    this.#timer = clock.setTimer(() => this.#over(), isOffline ? Math.max(this.#left(waitMs), offlineMs) : ms)
    onState(isOffline ? 'suspended' : 'waiting')
  }

  #over(): void {
    this.#unwatch?.()
    this.#options.onOver()
  }
}
