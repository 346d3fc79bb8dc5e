import { digest, type Ground, type Message, parse } from './ground.ts'

/** A wait that somebody speaks of is not believed above this; ms. */
const maxWaitMs = 3_600_000
/** Without a way to hear of it, the same wait is looked up at most this often; ms. */
const lookMs = 1000
/** Waits and looks remembered; above this, those that are over are forgotten. */
const manyEntries = 1000

/** What is read where nobody can be heard. */
interface Kept {
  /** On the writer's clock: a wrong one makes the wait shorter, never longer than `ms`. */
  readonly until: number
  readonly ms: number
}

/** Until when servers asked not to be called, told to all: what is told is what is left, each adds it to a clock of its own. */
export class SharedWaits {
  readonly #ground: Ground
  /** By digest, on this clock. */
  readonly #heard = new Map<string, number>()
  readonly #told = new Map<string, number>()
  readonly #lookedAt = new Map<string, number>()
  /** Something was heard. */
  readonly #changed: () => void

  constructor(ground: Ground, changed: () => void) {
    this.#ground = ground
    this.#changed = changed
    ground.hear((message) => this.#hear(message))
  }

  get isIdle(): boolean {
    return this.#heard.size === 0
  }

  /** What a server asked of a call here. */
  tell(key: string, waitMs: number): void {
    const about = digest(key)
    const { clock } = this.#ground.services
    const until = clock.now() + waitMs
    // A hundred calls that were told the same are one message.
    if (until - (this.#told.get(about) ?? 0) < Math.max(50, waitMs / 10)) return
    forget(this.#told, clock.now())
    this.#told.set(about, until)
    this.#ground.tell({ kind: 'wait', about, ms: waitMs })
    const kept: Kept = { until: clock.wallNow() + waitMs, ms: waitMs }
    void this.#ground.ask((store) => store.set(this.#ground.key('nb', key), JSON.stringify(kept), { ttlMs: waitMs }))
  }

  /** What is left of a wait that was heard of; ms. */
  leftMs(key: string): number {
    if (this.isIdle) return 0
    const about = digest(key)
    const leftMs = (this.#heard.get(about) ?? 0) - this.#ground.services.clock.now()
    if (leftMs <= 0) this.#heard.delete(about)
    return Math.max(0, leftMs)
  }

  /** Something failed: where nobody can be heard, what others were told is read, for the calls to come. */
  look(key: string): void {
    if (this.#ground.isHearing) return
    const { clock } = this.#ground.services
    const about = digest(key)
    if (clock.now() - (this.#lookedAt.get(about) ?? Number.NEGATIVE_INFINITY) < lookMs) return
    forget(this.#lookedAt, clock.now() - lookMs)
    this.#lookedAt.set(about, clock.now())
    void this.#ground
      .ask((store) => store.get(this.#ground.key('nb', key)))
      .then((answer) => {
        const { until, ms } = parse<Kept>(answer?.value) ?? {}
        if (typeof until === 'number' && typeof ms === 'number')
          this.#hold(about, Math.min(ms, until - clock.wallNow()))
      })
  }

  #hear({ kind, about, ms }: Message): void {
    if (kind === 'wait' && typeof ms === 'number') this.#hold(about, ms)
  }

  #hold(about: string, ms: number): void {
    if (!(ms > 0)) return
    const now = this.#ground.services.clock.now()
    forget(this.#heard, now)
    const until = now + Math.min(ms, maxWaitMs)
    if (until > (this.#heard.get(about) ?? 0)) this.#heard.set(about, until)
    this.#changed()
  }
}

function forget(moments: Map<string, number>, before: number): void {
  if (moments.size < manyEntries) return
  for (const [about, at] of moments) if (at <= before) moments.delete(about)
}
