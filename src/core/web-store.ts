import { type Clock, systemClock } from './clock.ts'
import { refusal } from './refusal.ts'
import type { Store, StoreTraits, StoreWrite } from './store.ts'

/** The part of Web Storage that is used: `localStorage`, `sessionStorage`. */
export interface WebStorageLike {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

/** The part of Web Locks that is used: `navigator.locks`. */
export interface WebLocksLike {
  request(name: string, run: () => unknown): Promise<unknown>
}

/** Where a {@link webStore} keeps its entries. */
export interface WebStoreOptions {
  /** @defaultValue `localStorage` */
  readonly storage?: WebStorageLike | undefined
  /** What makes it atomic across tabs; `false` for none. @defaultValue `navigator.locks`, where there is one */
  readonly locks?: WebLocksLike | false | undefined
  /** Stands before every key. @defaultValue 'polywire:' */
  readonly prefix?: string | undefined
  /** Tells when entries are over, across tabs and reloads. */
  readonly clock?: Pick<Clock, 'wallNow'> | undefined
}

/**
 * A store in Web Storage, which all tabs of an origin share, and which outlives them.
 *
 * Atomic across tabs by Web Locks. Without them (pages that are not served over https) it is atomic in one tab only: of
 * two tabs that write the same key at the same moment both may be told that they won. A full or forbidden storage
 * rejects.
 *
 * @throws {CallError} `invalid_argument` where there is no Web Storage.
 * @example
 * const cursor = storedCursor(webStore(), 'inbox')
 */
export function webStore(options: WebStoreOptions = {}): Store {
  return new WebStore(options)
}

interface Host {
  readonly localStorage?: WebStorageLike
  readonly navigator?: { readonly locks?: WebLocksLike }
}

class WebStore implements Store {
  readonly traits: StoreTraits
  readonly #storage: WebStorageLike
  readonly #locks: WebLocksLike | undefined
  readonly #prefix: string
  readonly #clock: Pick<Clock, 'wallNow'>

  constructor({ storage, locks, prefix = 'polywire:', clock = systemClock }: WebStoreOptions) {
    const host = globalThis as Host
    this.#storage = storage ?? ownStorage(host)
    this.#locks = locks === false ? undefined : (locks ?? host.navigator?.locks)
    this.#prefix = prefix
    this.#clock = clock
    this.traits = { isAtomic: this.#locks !== undefined, isShared: true, isDurable: true }
  }

  async get(key: string): Promise<string | undefined> {
    return this.#read(this.#prefix + key)
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
    const isMeant = (old: string | undefined) => old !== undefined && (ifValue === undefined || old === ifValue)
    return this.#change(key, isMeant, undefined)
  }

  /** Looks and writes without anybody between the two: plain writes too wait for their turn. */
  async #change(
    key: string,
    isMet: (old: string | undefined) => boolean,
    value: string | undefined,
    { ttlMs }: StoreWrite = {},
  ): Promise<boolean> {
    const name = this.#prefix + key
    const change = (): boolean => {
      if (!isMet(this.#read(name))) return false
      if (value === undefined) this.#storage.removeItem(name)
      else this.#storage.setItem(name, `${ttlMs === undefined ? '' : this.#clock.wallNow() + ttlMs}:${value}`)
      return true
    }
    return this.#locks ? ((await this.#locks.request(name, change)) as boolean) : change()
  }

  /** Entries are `<end, ms since 1970, or nothing>:<value>`. */
  #read(name: string): string | undefined {
    const entry = this.#storage.getItem(name)
    if (entry === null) return undefined
    const colon = entry.indexOf(':')
    const isOver = colon > 0 && Number(entry.slice(0, colon)) <= this.#clock.wallNow()
    return isOver ? undefined : entry.slice(colon + 1)
  }
}

function ownStorage(host: Host): WebStorageLike {
  try {
    if (host.localStorage) return host.localStorage
  } catch {
    // Forbidden here: a page may be told so by a throw.
  }
  throw refusal('webStore() needs Web Storage, which is missing or forbidden here: pass { storage }', undefined)
}
