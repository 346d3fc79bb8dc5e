type Awaitable<T> = T | Promise<T>

/** What a store promises; who needs more than it gives refuses it. */
export interface StoreTraits {
  /** Of many who `add` or `compareAndSet` the same key at once, one wins. */
  readonly isAtomic: boolean
  /** Other processes, or other tabs, see the same entries. */
  readonly isShared: boolean
  /** Entries outlive the process, or the page. */
  readonly isDurable: boolean
  /** Who shares it are pages of one origin in one browser, and no others: they share Web Locks, too. @defaultValue false */
  readonly isOfOrigin?: boolean | undefined
}

/** What may be said of a write. */
export interface StoreWrite {
  /** The entry is gone after this; ms. @defaultValue it stays until it is deleted */
  readonly ttlMs?: number | undefined
  /**
   * `list()` finds the entry. Said at each write of it; one that is written with and without may be found or not.
   *
   * @defaultValue false
   */
  readonly isListed?: boolean | undefined
}

/** An entry, as `list()` gives it. */
export interface StoreEntry {
  readonly key: string
  readonly value: string
}

/** Which part of a list is wanted. */
export interface StorePage {
  /** Only entries behind this key: the last one of the page before. @defaultValue from the first */
  readonly after?: string | undefined
  /** So many at most; a page that holds fewer is the last one. @defaultValue 100 */
  readonly limit?: number | undefined
}

/**
 * State that several calls, tabs or processes share: texts by key.
 *
 * `add` and `compareAndSet` are atomic among all who share the store; that is what makes a counter, a lease or a place
 * in a stream safe, and what a `get` followed by a `set` cannot give. A lease is `add(key, me, { ttlMs })`, and
 * `delete(key, { ifValue: me })` to give it back. Members may answer with a promise or at once. An entry whose time is
 * over is not there, for every member alike.
 *
 * `list`, `listen` and `tell` are optional: what cannot do without one says so, what can is slower. `storeConformance`
 * of `polywire/testing` tells whether a store of your own holds all this.
 *
 * @example
 * const store: Store = {
 *   traits: { isAtomic: true, isShared: true, isDurable: true },
 *   get: (key) => redis.get(key),
 *   …
 * }
 */
export interface Store {
  /** What it promises. */
  readonly traits: StoreTraits
  /** The value; undefined or null where there is none. */
  get(key: string): Awaitable<string | null | undefined>
  /** Writes a value, whatever stood there. */
  set(key: string, value: string, write?: StoreWrite): unknown
  /** Sets what is not there yet; false where it is. */
  add(key: string, value: string, write?: StoreWrite): Awaitable<boolean>
  /** Sets `next` where `expected` stands; false where it does not, or nothing does. */
  compareAndSet(key: string, expected: string, next: string, write?: StoreWrite): Awaitable<boolean>
  /** Removes an entry, or only the one whose value is `ifValue`; false where it was not there. */
  delete(key: string, condition?: { readonly ifValue?: string | undefined }): Awaitable<boolean>
  /**
   * The entries whose key begins with `prefix` and that were written with `isListed`, in the order in which the store
   * compares keys. What stands while all pages are read is given once; what is written or removed meanwhile may be.
   */
  readonly list?: ((prefix: string, page?: StorePage) => Awaitable<readonly StoreEntry[]>) | undefined
  /**
   * Calls `listener` with each text that is told under `topic`, by whoever shares the store, this very process included.
   * A hint that may be lost: what matters stands in an entry.
   *
   * @returns what ends it.
   */
  readonly listen?: ((topic: string, listener: (text: string) => void) => () => void) | undefined
  /** Tells all who listen to `topic`, as far as they can be reached now. */
  readonly tell?: ((topic: string, text: string) => unknown) | undefined
}
