import { type Clock, systemClock } from '../time/clock.ts'
import { Listeners } from './listeners.ts'
import type { Store, StoreEntry, StorePage, StoreTraits, StoreWrite } from './store.ts'

/** How a {@link memoryStore} lives. */
export interface MemoryStoreOptions {
  /** Tells when entries are over. */
  readonly clock?: Pick<Clock, 'now'> | undefined
}

/**
 * A store in this process: atomic, and gone with it. For tests, and for what needs to outlive a call but no process.
 *
 * @example
 * const cursor = storedCursor(memoryStore(), 'mailer')
 */
export function memoryStore({ clock = systemClock }: MemoryStoreOptions = {}): Store {
  return new MemoryStore(clock)
}

interface Entry {
  readonly value: string
  readonly endsAt: number
  readonly isListed: boolean
}

/** Below this many entries nobody looks for those that are over. */
const smallSize = 1024

class MemoryStore implements Store {
  readonly traits: StoreTraits = { isAtomic: true, isShared: false, isDurable: false }
  readonly #clock: Pick<Clock, 'now'>
  readonly #entries = new Map<string, Entry>()
  readonly #listeners = new Listeners()
  #sweepAt = smallSize

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  get(key: string): string | undefined {
    const entry = this.#entries.get(key)
    if (!entry || entry.endsAt > this.#clock.now()) return entry?.value
    this.#entries.delete(key)
    return undefined
  }

  set(key: string, value: string, { ttlMs = Number.POSITIVE_INFINITY, isListed = false }: StoreWrite = {}): void {
    this.#entries.set(key, { value, endsAt: this.#clock.now() + ttlMs, isListed })
    if (this.#entries.size >= this.#sweepAt) this.#sweep()
  }

  add(key: string, value: string, write?: StoreWrite): boolean {
    const isFree = this.get(key) === undefined
    if (isFree) this.set(key, value, write)
    return isFree
  }

  compareAndSet(key: string, expected: string, next: string, write?: StoreWrite): boolean {
    const isMet = this.get(key) === expected
    if (isMet) this.set(key, next, write)
    return isMet
  }

  delete(key: string, { ifValue }: { readonly ifValue?: string | undefined } = {}): boolean {
    const value = this.get(key)
    if (value === undefined || (ifValue !== undefined && value !== ifValue)) return false
    return this.#entries.delete(key)
  }

  list(prefix: string, { after = '', limit = 100 }: StorePage = {}): readonly StoreEntry[] {
    const now = this.#clock.now()
    const found: StoreEntry[] = []
    for (const [key, { value, endsAt, isListed }] of this.#entries)
      if (isListed && endsAt > now && key > after && key.startsWith(prefix)) found.push({ key, value })
    return found.sort((one, other) => (one.key < other.key ? -1 : 1)).slice(0, limit)
  }

  listen(topic: string, listener: (text: string) => void): () => void {
    return this.#listeners.add(topic, listener)
  }

  /** Later, as every other store: nobody is told while he still writes. */
  tell(topic: string, text: string): void {
    queueMicrotask(() => this.#listeners.tell(topic, text))
  }

  /** Without a timer: each entry is looked at once for every time that the store doubles. */
  #sweep(): void {
    const now = this.#clock.now()
    for (const [key, { endsAt }] of this.#entries) if (endsAt <= now) this.#entries.delete(key)
    this.#sweepAt = Math.max(smallSize, this.#entries.size * 2)
  }
}
