import { refusal } from '../errors/refusal.ts'
import { type Clock, systemClock } from '../time/clock.ts'
import type { Store, StoreTraits, StoreWrite } from './store.ts'

/** Where an {@link indexedDbStore} keeps its entries. */
export interface IndexedDbStoreOptions {
  /** Of the database, which is the store's own. @defaultValue 'polywire' */
  readonly name?: string | undefined
  /** Tells when entries are over, across tabs and reloads. */
  readonly clock?: Pick<Clock, 'wallNow'> | undefined
}

/**
 * A store in IndexedDB, which all tabs and workers of an origin share, and which outlives them. Atomic by its
 * transactions; one that fails (a full or forbidden storage) rejects.
 *
 * @throws {CallError} `invalid_argument` where there is no IndexedDB.
 * @example
 * const inbox = storedCursor(indexedDbStore(), 'inbox')
 */
export function indexedDbStore({ name = 'polywire', clock = systemClock }: IndexedDbStoreOptions = {}): Store {
  const { indexedDB } = globalThis as { indexedDB?: Factory }
  if (!indexedDB) throw refusal('indexedDbStore() needs IndexedDB, which is missing here', undefined)
  return new IndexedDbStore(indexedDB, name, clock)
}

type Listener = (() => void) | null

interface OpenRequest {
  readonly result: unknown
  readonly error: unknown
  onsuccess: Listener
  onerror: Listener
  onupgradeneeded?: Listener
}

interface Factory {
  open(name: string, version: number): OpenRequest
}

interface Entries {
  get(key: string): OpenRequest
  put(entry: Entry, key: string): unknown
  delete(key: string): unknown
}

interface Database {
  createObjectStore(name: string): unknown
  transaction(name: string, mode: 'readonly' | 'readwrite'): Transaction
  close(): void
  onversionchange: Listener
  onclose: Listener
}

interface Transaction {
  readonly error: unknown
  objectStore(name: string): Entries
  abort(): void
  oncomplete: Listener
  onabort: Listener
}

interface Entry {
  readonly value: string
  /** Ms since 1970. */
  readonly endsAt: number
}

const table = 'entries'

class IndexedDbStore implements Store {
  readonly traits: StoreTraits = { isAtomic: true, isShared: true, isDurable: true }
  readonly #factory: Factory
  readonly #name: string
  readonly #clock: Pick<Clock, 'wallNow'>
  #database: Promise<Database> | undefined

  constructor(factory: Factory, name: string, clock: Pick<Clock, 'wallNow'>) {
    this.#factory = factory
    this.#name = name
    this.#clock = clock
  }

  async get(key: string): Promise<string | undefined> {
    let found: string | undefined
    await this.#run('readonly', key, (value) => {
      found = value
    })
    return found
  }

  async set(key: string, value: string, write?: StoreWrite): Promise<void> {
    await this.#change(key, () => true, this.#entry(value, write))
  }

  add(key: string, value: string, write?: StoreWrite): Promise<boolean> {
    return this.#change(key, (old) => old === undefined, this.#entry(value, write))
  }

  compareAndSet(key: string, expected: string, next: string, write?: StoreWrite): Promise<boolean> {
    return this.#change(key, (old) => old === expected, this.#entry(next, write))
  }

  delete(key: string, { ifValue }: { readonly ifValue?: string | undefined } = {}): Promise<boolean> {
    return this.#change(key, (old) => old !== undefined && (ifValue === undefined || old === ifValue), undefined)
  }

  async #change(key: string, isMet: (old: string | undefined) => boolean, entry: Entry | undefined): Promise<boolean> {
    let isDone = false
    await this.#run('readwrite', key, (old, entries) => {
      isDone = isMet(old)
      if (!isDone) return
      if (entry) entries.put(entry, key)
      else entries.delete(key)
    })
    return isDone
  }

  #entry(value: string, { ttlMs = Number.POSITIVE_INFINITY }: StoreWrite = {}): Entry {
    return { value, endsAt: this.#clock.wallNow() + ttlMs }
  }

  /** Looks, and perhaps writes, in one transaction: nobody comes between the two. */
  async #run(
    mode: 'readonly' | 'readwrite',
    key: string,
    look: (value: string | undefined, entries: Entries) => void,
  ): Promise<void> {
    this.#database ??= this.#open()
    const database = await this.#database
    await new Promise<void>((resolve, reject) => {
      const transaction = database.transaction(table, mode)
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error)
      const entries = transaction.objectStore(table)
      const request = entries.get(key)
      request.onsuccess = () => {
        const entry = request.result as Entry | undefined
        try {
          look(entry && entry.endsAt > this.#clock.wallNow() ? entry.value : undefined, entries)
        } catch (error) {
          reject(error)
          transaction.abort()
        }
      }
    })
  }

  /** Opened again after it was lost: deleted by the page, or by the browser that clears its data. */
  #open(): Promise<Database> {
    const forget = () => {
      this.#database = undefined
    }
    return new Promise((resolve, reject) => {
      const request = this.#factory.open(this.#name, 1)
      request.onupgradeneeded = () => (request.result as Database).createObjectStore(table)
      request.onerror = () => {
        forget()
        reject(request.error)
      }
      request.onsuccess = () => {
        const database = request.result as Database
        database.onclose = forget
        database.onversionchange = () => {
          forget()
          database.close()
        }
        resolve(database)
      }
    })
  }
}
