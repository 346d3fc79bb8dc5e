import { count, notNegative, type RulesOf, takes } from '../options.ts'
import type { Clock } from '../time/clock.ts'

/** When nobody calls what fails, for a while. */
export interface BreakerOptions {
  /** So many failures open it. @defaultValue 5 */
  readonly failures?: number | undefined
  /** They count together while they came within this; ms. @defaultValue 10_000 */
  readonly withinMs?: number | undefined
  /** The share of all attempts within `withinMs` that must have failed, from 0 to 1. @defaultValue none: it takes failures in a row */
  readonly ratio?: number | undefined
  /** It stays open for this, and up to a quarter more; doubled with each probe that fails, up to 300_000; ms. @defaultValue 10_000 */
  readonly openMs?: number | undefined
}

export const breakerRules: RulesOf<BreakerOptions> = {
  failures: count,
  withinMs: notNegative,
  ratio: /* @__PURE__ */ takes('a number from 0 to 1', (value) => Number(value) >= 0 && Number(value) <= 1),
  openMs: notNegative,
}

/** The longest that a breaker stays open, and how long after a failure that no repetition mends; ms. */
const longestMs = 300_000
/** A server's own wait is believed up to this; ms. */
const maxHintMs = 3_600_000
/** Parts of the rolling window. */
const parts = 10

/** How an attempt failed: the server may be down for a while, or it cannot work from here (no upgrade, no such method). */
export type BreakerFailure = 'down' | 'impossible'
/** How a breaker stands. */
export type BreakerState = 'open' | 'half_open' | 'closed'

/** Breakers of the same name in other tabs or processes. */
export interface BreakerPeers {
  /** This one has opened for so long, or closed (0). */
  tell(generation: number, openMs: number): void
  /** Of all of them one may find out whether it works again; false where another one does. */
  probe(openMs: number): boolean | Promise<boolean>
  /** The probe has found nothing out: another one may. */
  release(): void
}

/** Brings the breakers of one client together with those of other tabs or processes; see `createClient({ shared })`. */
export interface SharedBreakers {
  /** @param name - `<origin>\n<operation>`, the same wherever that operation is called. */
  join(name: string, breaker: Pick<Breaker, 'heard'>): BreakerPeers
}

/** What a breaker is made of. */
export interface BreakerSetup {
  readonly clock: Clock
  readonly options?: BreakerOptions | undefined
  readonly peers?: ((breaker: Breaker) => BreakerPeers) | undefined
  /** Hears of each change. */
  readonly changed?: (state: BreakerState) => void
}

/**
 * Keeps the calls of one client from what fails:
 *
 *     closed ──failures──▶ open ──openMs──▶ due ──one probe──▶ closed, or open for twice as long
 *
 * Failures count in a row, or by their share in a rolling window.
 */
export class Breaker {
  readonly #clock: Clock
  readonly #options: BreakerOptions
  readonly #peers: BreakerPeers | undefined
  readonly #changed: BreakerSetup['changed']
  /** The rolling window: attempts of each part of it, the last one at the end. */
  #window: { readonly part: number; worked: number; failed: number }[] = []
  #openedAt: number | undefined
  #openMs = 0
  /** Rises with each change, so that what is heard late changes nothing. */
  #generation = 0
  /** Until when it is open; 0 while it is closed. */
  dueAt = 0
  /** The attempt that finds out. */
  #probe: object | undefined

  constructor({ clock, options = {}, peers, changed }: BreakerSetup) {
    this.#clock = clock
    this.#options = options
    this.#changed = changed
    this.#peers = peers?.(this)
  }

  get isClosed(): boolean {
    return this.dueAt === 0
  }

  /** An attempt may be made. */
  get isReady(): boolean {
    return this.isClosed || (this.#probe === undefined && this.dueAt <= this.#clock.now())
  }

  /** Whether this attempt may be made; where it would be the probe, one among all peers makes it. */
  enter(): boolean | Promise<boolean> {
    if (this.isClosed || !this.isReady || !this.#peers) return this.isReady
    return this.#peers.probe(this.#openMs)
  }

  /** An attempt begins; what is returned tells how it went, once. */
  begin(): (failure: BreakerFailure | 'none' | 'unknown', hintMs?: number) => void {
    const startedAt = this.#clock.now()
    const attempt = {}
    if (!this.isClosed && this.isReady) {
      this.#probe = attempt
      this.#changed?.('half_open')
    }
    let isTold = false
    return (failure, hintMs) => {
      if (isTold) return
      isTold = true
      const isProbe = this.#probe === attempt
      if (isProbe) this.#probe = undefined
      if (isProbe && failure === 'unknown') this.#peers?.release()
      // What began before it opened says nothing new.
      if (failure === 'unknown' || (!this.isClosed && startedAt < (this.#openedAt ?? 0))) return
      if (failure === 'none') this.#worked()
      else this.#failed(failure, isProbe, hintMs)
    }
  }

  /** What a peer says; an older generation than the one that is known says nothing. */
  heard(generation: number, openMs: number): void {
    if (generation <= this.#generation) return
    this.#generation = generation
    if (openMs > 0) this.#open((this.#openMs = Math.min(openMs, maxHintMs)))
    else this.#close()
  }

  #worked(): void {
    if (this.isClosed && this.#options.ratio !== undefined) this.#part().worked++
    else if (this.isClosed) this.#window = []
    else {
      this.#close()
      this.#peers?.tell(++this.#generation, 0)
    }
  }

  #close(): void {
    this.#window = []
    this.#openMs = 0
    this.#openedAt = undefined
    if (this.isClosed) return
    this.dueAt = 0
    this.#changed?.('closed')
  }

  #failed(failure: BreakerFailure, isProbe: boolean, hintMs = 0): void {
    const { openMs = 10_000 } = this.#options
    this.#part().failed++
    const isImpossible = failure === 'impossible'
    const isAgain = isProbe || !this.isClosed
    if (!isImpossible && !isAgain && hintMs <= 0 && !this.#isTooMuch()) return
    // Whom the server itself told when to come back needs no other measure.
    const isHint = hintMs > 0 && !isImpossible
    if (!isHint)
      this.#openMs = isImpossible ? longestMs : Math.min(isAgain ? this.#openMs * 2 || openMs : openMs, longestMs)
    const waitMs = isHint ? Math.min(hintMs, maxHintMs) : this.#openMs
    this.#open(waitMs)
    this.#peers?.tell(++this.#generation, waitMs)
  }

  #open(waitMs: number): void {
    const now = this.#clock.now()
    this.#openedAt = now
    this.dueAt = now + waitMs + (this.#clock.random() * waitMs) / 4
    this.#changed?.('open')
  }

  #isTooMuch(): boolean {
    const { failures = 5, ratio = 0 } = this.#options
    const failed = this.#window.reduce((sum, part) => sum + part.failed, 0)
    const worked = this.#window.reduce((sum, part) => sum + part.worked, 0)
    return failed >= failures && failed >= (failed + worked) * ratio
  }

  /** The part of the window that is now; older ones are forgotten. */
  #part() {
    const { withinMs = 10_000 } = this.#options
    const now = Math.floor((this.#clock.now() * parts) / Math.max(1, withinMs))
    this.#window = this.#window.filter(({ part }) => part > now - parts)
    let last = this.#window.at(-1)
    if (last?.part !== now) this.#window.push((last = { part: now, worked: 0, failed: 0 }))
    return last
  }
}
