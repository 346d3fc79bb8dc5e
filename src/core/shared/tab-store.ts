import { Listeners } from '../store/listeners.ts'
import type { Store, StoreTraits, StoreWrite } from '../store/store.ts'
import type { Clock, Timer } from '../time/clock.ts'

/** An entry as all tabs have it; tabs of one machine have one wall clock. */
interface Entry {
  readonly value: string
  readonly endsAt: number | null
}

/** What tabs say to each other. */
type Word =
  /** The `version`th change of all; `entry` is null where it was removed. */
  | { readonly kind: 'change'; readonly version: number; readonly key: string; readonly entry: Entry | null }
  /** Who has this version or a later one, tell all. */
  | { readonly kind: 'ask'; readonly version: number }
  | { readonly kind: 'all'; readonly version: number; readonly entries: readonly (readonly [string, Entry])[] }
  | { readonly kind: 'told'; readonly topic: string; readonly text: string }

interface Channel {
  onmessage: ((event: { readonly data: unknown }) => void) | null
  postMessage(word: Word): void
  close(): void
  unref?(): void
}

/** What of Web Locks is used. */
interface Locks {
  request<T>(name: string, run: () => Promise<T>): Promise<T>
  request<T>(name: string, options: { readonly mode: 'shared' }, run: () => Promise<T>): Promise<T>
  query(): Promise<{ readonly held?: readonly { readonly name?: string }[] }>
}

interface Host {
  readonly BroadcastChannel?: new (name: string) => Channel
  readonly navigator?: { readonly locks?: Locks }
}

/** How long a tab that has the newest entries is waited for; the last one may be frozen, or gone; ms. */
const askMs = 50
/** So long the lock stands that names a version: by then all have heard of it. Longer would keep the page from being frozen; ms. */
const pinMs = 2000

/** Whether tabs can be brought together here: Web Locks want a secure page. */
export function canShareTabs(): boolean {
  const { BroadcastChannel, navigator } = globalThis as Host
  return BroadcastChannel !== undefined && navigator?.locks !== undefined
}

/**
 * Entries that live in the memory of all tabs of an origin, and are gone with the last one: nothing is written to a disk.
 *
 * One lock is held by who changes something; each change is told to all. What is told may come later than the lock does,
 * so who changes something holds a second lock for a while that names its version: the next one sees there which version
 * it must have, and asks for it where it has it not yet. Who has heard nothing for as long (it is new, or was frozen)
 * asks in any case.
 */
export class TabStore implements Store {
  readonly traits: StoreTraits = { isAtomic: true, isShared: true, isDurable: false }
  readonly #name: string
  readonly #clock: Clock
  readonly #locks: Locks
  readonly #channel: Channel
  readonly #listeners = new Listeners()
  readonly #entries = new Map<string, Entry>()
  #version = 0
  /** Called with each change that comes in. */
  #arrived: (() => void) | undefined
  /** Lets the lock go that names the version which this tab was the last to write. */
  #unpin: (() => void) | undefined
  #unpinTimer: Timer | undefined
  #answerTimer: Timer | undefined
  /** When this tab last knew that it had everything. */
  #currentAt = Number.NEGATIVE_INFINITY
  #isClosed = false
  readonly #onAlone: () => void

  /** @param onAlone - told where the page may hold no locks, each time. */
  constructor(name: string, clock: Clock, onAlone: () => void = () => {}) {
    this.#onAlone = onAlone
    const { BroadcastChannel, navigator } = globalThis as Required<Host>
    this.#name = `polywire:${name}`
    this.#clock = clock
    this.#locks = navigator.locks as Locks
    this.#channel = new BroadcastChannel(this.#name)
    this.#channel.unref?.()
    this.#channel.onmessage = ({ data }) => this.#heard(data)
  }

  get(key: string): Promise<string | undefined> {
    return this.#locked(() => this.#read(key))
  }

  async set(key: string, value: string, write?: StoreWrite): Promise<void> {
    await this.#change(key, () => true, value, write)
  }

  add(key: string, value: string, write?: StoreWrite): Promise<boolean> {
    return this.#change(key, (old) => old === undefined, value, write)
  }

  compareAndSet(key: string, expected: string, next: string, write?: StoreWrite): Promise<boolean> {
    return this.#change(key, (old) => old === expected, next, write)
  }

  delete(key: string, { ifValue }: { readonly ifValue?: string | undefined } = {}): Promise<boolean> {
    return this.#change(key, (old) => old !== undefined && (ifValue === undefined || old === ifValue), undefined)
  }

  listen(topic: string, listener: (text: string) => void): () => void {
    return this.#listeners.add(topic, listener)
  }

  tell(topic: string, text: string): void {
    queueMicrotask(() => this.#listeners.tell(topic, text))
    this.#say({ kind: 'told', topic, text })
  }

  close(): void {
    this.#isClosed = true
    this.#channel.close()
    this.#answerTimer?.clear()
    this.#release()
  }

  #change(
    key: string,
    isMet: (old: string | undefined) => boolean,
    value: string | undefined,
    { ttlMs = Number.POSITIVE_INFINITY }: StoreWrite = {},
  ): Promise<boolean> {
    return this.#locked(async () => {
      if (!isMet(this.#read(key))) return false
      const endsAt = ttlMs === Number.POSITIVE_INFINITY ? null : this.#clock.wallNow() + ttlMs
      const entry = value === undefined ? null : { value, endsAt }
      this.#put(key, entry)
      this.#version++
      this.#sweep()
      this.#say({ kind: 'change', version: this.#version, key, entry })
      await this.#pin()
      return true
    })
  }

  /** With the lock of all, and everything that was written before. */
  async #locked<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await this.#locks.request(this.#name, async () => {
        if (this.#isClosed) throw new Error('the tab has left')
        await this.#catchUp()
        return work()
      })
    } catch (error) {
      // A page that may store nothing (a sandboxed frame, cookies that are blocked) may hold no locks: it is for itself.
      if ((error as Partial<Error> | undefined)?.name !== 'SecurityError') throw error
      this.#onAlone()
      return work()
    }
  }

  /**
   * Waits for what was written last, as far as there is anybody who has it: as long as its version is held, its writer
   * lives, and is merely busy.
   */
  async #catchUp(): Promise<void> {
    const now = this.#clock.now()
    const newest = await this.#newestHeld()
    if (newest <= this.#version && now - this.#currentAt < pinMs) return
    do await this.#askFor(Math.max(newest, this.#version))
    while (this.#version < newest && (await this.#newestHeld()) >= newest)
    // Where nobody has it any more, the next change must not look older than what is lost.
    this.#version = Math.max(this.#version, newest)
    this.#currentAt = now
  }

  async #newestHeld(): Promise<number> {
    const { held = [] } = await this.#locks.query()
    const prefix = `${this.#name} @`
    return Math.max(
      0,
      ...held.flatMap(({ name }) => (name?.startsWith(prefix) ? [Number(name.slice(prefix.length))] : [])),
    )
  }

  /** Asks for a version, and waits a while for it. */
  #askFor(version: number): Promise<void> {
    this.#say({ kind: 'ask', version })
    return new Promise((resolve) => {
      const done = (): void => {
        timer.clear()
        this.#arrived = undefined
        resolve()
      }
      const timer = this.#clock.setTimer(done, askMs)
      this.#arrived = () => {
        if (this.#version >= version) done()
      }
    })
  }

  /** Holds the lock that names the version, for a while. */
  #pin(): Promise<void> {
    this.#release()
    return new Promise((resolve) => {
      const held = this.#locks.request(`${this.#name} @${this.#version}`, { mode: 'shared' }, () => {
        resolve()
        return new Promise<void>((unpin) => {
          this.#unpin = unpin
          this.#unpinTimer = this.#clock.setTimer(() => this.#release(), pinMs)
          this.#unpinTimer.hold(false)
        })
      })
      held.catch(() => resolve())
    })
  }

  #release(): void {
    this.#unpinTimer?.clear()
    this.#unpin?.()
    this.#unpin = undefined
  }

  #heard(word: unknown): void {
    // Of a page of another release, or of somebody else's: the name is all that they have in common.
    if (!isWord(word)) return
    if (word.kind === 'told') this.#listeners.tell(word.topic, word.text)
    else if (word.kind === 'ask') this.#answer(word.version)
    else this.#follow(word)
  }

  #follow(word: Extract<Word, { readonly entries: unknown } | { readonly key: string }>): void {
    const { version } = word
    if (version >= this.#version) this.#answerTimer?.clear()
    if (version < this.#version) return
    // A change behind one that is missing would hide the gap.
    if (word.kind === 'change' && version > this.#version + 1) {
      this.#say({ kind: 'ask', version })
      return
    }
    if (word.kind === 'change') {
      if (version === this.#version) return
      this.#put(word.key, word.entry)
    } else if (version > this.#version) {
      this.#entries.clear()
      for (const [key, entry] of word.entries) this.#put(key, entry)
    }
    // A later one has its own pin.
    if (version > this.#version) this.#release()
    this.#version = version
    this.#currentAt = this.#clock.now()
    this.#arrived?.()
  }

  /** Who wrote it says it at once; it may be frozen, so the others do, too, a little later, where nobody has by then. */
  #answer(version: number): void {
    if (this.#version < version) return
    const answer = (): void => this.#say({ kind: 'all', version: this.#version, entries: [...this.#entries] })
    this.#answerTimer?.clear()
    if (this.#unpin) answer()
    else this.#answerTimer = this.#clock.setTimer(answer, this.#clock.random() * (askMs / 4))
  }

  #say(word: Word): void {
    if (!this.#isClosed) this.#channel.postMessage(word)
  }

  #put(key: string, entry: Entry | null): void {
    if (entry) this.#entries.set(key, entry)
    else this.#entries.delete(key)
  }

  #read(key: string): string | undefined {
    const entry = this.#entries.get(key)
    return entry && (entry.endsAt === null || entry.endsAt > this.#clock.wallNow()) ? entry.value : undefined
  }

  #sweep(): void {
    if (this.#version % 64 !== 0) return
    const now = this.#clock.wallNow()
    for (const [key, { endsAt }] of this.#entries) if (endsAt !== null && endsAt <= now) this.#entries.delete(key)
  }
}

function isWord(data: unknown): data is Word {
  const word = (data ?? {}) as Partial<Record<'kind' | 'version' | 'key' | 'entry' | 'entries' | 'text', unknown>>
  const { kind, version, entries } = word
  if (kind === 'told') return typeof word.text === 'string'
  if (!Number.isSafeInteger(version)) return false
  if (kind === 'change') return typeof word.key === 'string' && isEntry(word.entry ?? null)
  return kind === 'ask' || (kind === 'all' && Array.isArray(entries) && entries.every((pair) => isEntry(pair?.[1])))
}

function isEntry(entry: unknown): boolean {
  return entry === null || typeof (entry as Partial<Entry> | undefined)?.value === 'string'
}
