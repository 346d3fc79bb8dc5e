import { type Clock, systemClock, type Timer } from './clock.ts'

/**
 * What happens to the page around a connection: `frozen` when it enters the back/forward cache, `woken` when it comes
 * back from there, from a freeze or from the machine's sleep.
 */
export type PageEvent = 'online' | 'offline' | 'visible' | 'hidden' | 'frozen' | 'woken'

type Listener = (event: { readonly persisted?: boolean }) => void

interface Target {
  addEventListener(type: string, listener: Listener): void
  removeEventListener(type: string, listener: Listener): void
}

/** The part of a browser's global object that is looked at: pages and workers have a `location`, and pages a `document`. */
export interface PageHost extends Partial<Target> {
  readonly document?: Target & { readonly visibilityState?: string }
  readonly location?: unknown
  readonly navigator?: { readonly onLine?: boolean }
}

/** How often the clock is looked at for a sleep of the machine; ms. */
const tickMs = 1000
/** A tick this much too late was a sleep; ms. */
const sleptMs = 2000

/**
 * Online, visibility, back/forward cache and sleep behind one set of listeners, held only while somebody watches; inert
 * outside browsers.
 */
export class PageLife {
  readonly #host: PageHost
  readonly #clock: Clock
  readonly #watchers = new Set<(event: PageEvent) => void>()
  #timer: Timer | undefined
  #tickedAt = 0

  constructor(host: PageHost, clock: Clock) {
    this.#host = host
    this.#clock = clock
  }

  /** The browser says that there is no network; where it says that there is one, there may be none all the same. */
  get isOffline(): boolean {
    return this.#host.navigator?.onLine === false
  }

  get isHidden(): boolean {
    return this.#host.document?.visibilityState === 'hidden'
  }

  /** Calls `listener` on each event; returns what stops that. */
  watch(listener: (event: PageEvent) => void): () => void {
    // A worker sleeps and is frozen with its page, and hears of neither: only its clock shows it.
    if (!this.#host.location) return noop
    // One entry a watcher, even where two pass the same function.
    const watcher = (event: PageEvent) => listener(event)
    this.#watchers.add(watcher)
    if (this.#watchers.size === 1) {
      this.#listen('addEventListener')
      this.#tick()
    }
    return () => {
      if (!this.#watchers.delete(watcher) || this.#watchers.size > 0) return
      this.#listen('removeEventListener')
      this.#timer?.clear()
      this.#timer = undefined
    }
  }

  #listen(how: keyof Target): void {
    for (const [isOfPage, type, listener] of this.#listeners)
      (isOfPage ? this.#host.document : this.#host)?.[how]?.(type, listener)
  }

  /** Of the document, or of the window. */
  readonly #listeners: readonly (readonly [isOfPage: boolean, type: string, listener: Listener])[] = [
    [false, 'online', () => this.#tell('online')],
    [false, 'offline', () => this.#tell('offline')],
    [false, 'pagehide', ({ persisted }) => persisted && this.#tell('frozen')],
    [false, 'pageshow', ({ persisted }) => persisted && this.#tell('woken')],
    [true, 'visibilitychange', () => this.#tell(this.isHidden ? 'hidden' : 'visible')],
    // Chrome 149 does not reliably fire visibilitychange after a freeze (Chromium 547062449).
    [true, 'resume', () => this.#tell('woken')],
  ]

  /** A machine that slept shows it by a tick that comes too late: timers stand still, the wall clock does not. */
  #tick(): void {
    const now = this.#clock.wallNow()
    // A hidden page's timers are throttled, which looks the same.
    const hasSlept = this.#tickedAt !== 0 && now - this.#tickedAt > tickMs + sleptMs && !this.isHidden
    const wasTicking = this.#timer !== undefined
    this.#tickedAt = now
    this.#timer = this.#clock.setTimer(() => this.#tick(), tickMs)
    if (wasTicking && hasSlept) this.#tell('woken')
  }

  #tell(event: PageEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event)
  }
}

let ofGlobal: PageLife | undefined

/** The page that this code runs in, if it runs in one. */
export function pageLife(): PageLife {
  ofGlobal ??= new PageLife(globalThis as PageHost, systemClock)
  return ofGlobal
}

function noop(): void {}
