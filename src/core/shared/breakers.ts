import type { BreakerPeers, SharedBreakers } from '../policies/breaker.ts'
import { digest, type Ground, type Message, parse } from './ground.ts'

/** What is known of a breaker that others have opened or closed. */
interface Joined {
  readonly name: string
  readonly breaker: { heard(generation: number, openMs: number): void }
  /** The last one told or heard. */
  generation: number
}

/** How long a change is kept for those who come later; ms. */
const keepMs = 3_600_000

/**
 * Breakers that open and close for all. What is told is for how long, never until when; a probe is made by one of all who
 * could, as far as the store can say.
 */
export class Breakers implements SharedBreakers {
  readonly #ground: Ground
  readonly #joined = new Map<string, Joined>()

  constructor(ground: Ground) {
    this.#ground = ground
    ground.hear((message) => this.#hear(message))
  }

  join(name: string, breaker: Joined['breaker']): BreakerPeers {
    const joined: Joined = { name, breaker, generation: 0 }
    this.#joined.set(digest(name), joined)
    return {
      tell: (generation: number, openMs: number) => void this.#tell(joined, generation, openMs),
      probe: (openMs: number) => this.#probe(joined, openMs),
      release: () => void this.#release(joined),
    }
  }

  async #tell(joined: Joined, generation: number, openMs: number): Promise<void> {
    const key = this.#ground.key('cb', joined.name)
    // Who has just come knows no generation yet: what it says is newer all the same.
    const answer = await this.#ground.ask((store) => store.get(key))
    const { generation: kept = 0 } = parse<{ generation: number }>(answer?.value) ?? {}
    joined.generation = Math.max(generation, joined.generation + 1, kept + 1)
    const value = JSON.stringify({ generation: joined.generation, ms: openMs })
    this.#ground.tell({
      kind: 'breaker',
      about: digest(joined.name),
      ms: openMs,
      generation: joined.generation,
    })
    await this.#ground.ask((store) => store.set(key, value, { ttlMs: keepMs }))
    if (openMs === 0) await this.#ground.ask((store) => store.delete(this.#probeKey(joined.name)))
  }

  async #probe({ name }: Joined, openMs: number): Promise<boolean> {
    const key = this.#probeKey(name)
    const ttlMs = Math.max(1000, openMs)
    const answer = await this.#ground.ask((store) => store.add(key, this.#ground.me, { ttlMs }))
    // Where nobody can say, everybody finds out by himself.
    return answer?.value ?? true
  }

  /** Only one's own: a slow word must not take that of whoever probes by now. */
  async #release({ name }: Joined): Promise<void> {
    await this.#ground.ask((store) => store.delete(this.#probeKey(name), { ifValue: this.#ground.me }))
  }

  #probeKey(name: string): string {
    return `${this.#ground.key('cb', name)}/probe`
  }

  #hear({ kind, about, ms, generation }: Message): void {
    if (kind !== 'breaker' || typeof ms !== 'number' || typeof generation !== 'number') return
    const joined = this.#joined.get(about)
    if (!joined || generation <= joined.generation) return
    joined.generation = generation
    joined.breaker.heard(generation, Math.min(Math.max(0, ms), keepMs))
  }
}
