import { refusal } from '../errors/refusal.ts'
import { notify } from '../guard.ts'
import { type Clock, systemClock } from '../time/clock.ts'
import type { Store, StoreEntry, StorePage, StoreTraits, StoreWrite } from './store.ts'

/** Where an {@link indexedDbStore} keeps its entries. */
export interface IndexedDbStoreOptions {
  /** Of the database, which is the store's own. @defaultValue 'polywire' */
  readonly name?: string | undefined
  /**
   * How far a write has come when it is answered: `strict` to the disk, so that it outlives a crash of the machine;
   * `relaxed` to the operating system, which is faster.
   *
   * @defaultValue strict for what is listed and for what is deleted, else as the browser does it
   */
  readonly durability?: 'strict' | 'relaxed' | undefined
  /** Tells when entries are over, across tabs and reloads. */
  readonly clock?: Pick<Clock, 'wallNow'> | undefined
}

/**
 * A store in IndexedDB, which all tabs and workers of an origin share, and which outlives them. Atomic by its
 * transactions; one that fails (a full or forbidden storage) rejects. Tabs tell each other by a BroadcastChannel.
 *
 * @throws {CallError} `invalid_argument` where there is no IndexedDB.
 * @example
 * const inbox = storedCursor(indexedDbStore(), 'inbox')
 */
export function indexedDbStore(options: IndexedDbStoreOptions = {}): Store {
  const { indexedDB } = globalThis as { indexedDB?: Factory }
  if (!indexedDB) throw refusal('indexedDbStore() needs IndexedDB, which is missing here', undefined)
  return new IndexedDbStore(indexedDB, options)
}

type Listener = (() => void) | null
type Mode = 'readonly' | 'readwrite'
type Durability = 'strict' | 'relaxed' | 'default'

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
  getAll(range: unknown, count: number): OpenRequest
  getAllKeys(range: unknown, count: number): OpenRequest
}

interface Channel {
  onmessage: ((event: { readonly data: unknown }) => void) | null
  postMessage(text: string): void
  close(): void
}

/** What a browser has beside IndexedDB itself. */
interface Host {
  readonly BroadcastChannel?: new (name: string) => Channel
  readonly IDBKeyRange: { bound(from: string, to: string, isFromOpen: boolean): unknown }
}

interface Database {
  createObjectStore(name: string): unknown
  transaction(name: string, mode: Mode, options: { readonly durability: Durability }): Transaction
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

const host = globalThis as unknown as Host

class IndexedDbStore implements Store {
  readonly traits: StoreTraits = { isAtomic: true, isShared: true, isDurable: true, isOfOrigin: true }
  readonly listen: Store['listen']
  readonly tell: Store['tell']
  readonly #factory: Factory
  readonly #name: string
  readonly #durability: Durability | undefined
  readonly #clock: Pick<Clock, 'wallNow'>
  #database: Promise<Database> | undefined

  constructor(factory: Factory, { name = 'polywire', durability, clock = systemClock }: IndexedDbStoreOptions) {
    this.#factory = factory
    this.#name = name
    this.#durability = durability
    this.#clock = clock
    const { BroadcastChannel } = host
    if (!BroadcastChannel) return
    const open = (topic: string): Channel => new BroadcastChannel(`${name}/${topic}`)
    this.listen = (topic, listener) => {
      const channel = open(topic)
      channel.onmessage = ({ data }) => notify('store.listen()', listener, undefined, String(data))
      return () => channel.close()
    }
    // By a channel of its own, since none hears itself: so those who listen in this page are told, too.
    this.tell = (topic, text) => {
      const channel = open(topic)
      channel.postMessage(text)
      channel.close()
    }
  }

  async get(key: string): Promise<string | undefined> {
    let found: string | undefined
    await this.#look('readonly', key, (value) => {
      found = value
    })
    return found
  }

  async set(key: string, value: string, write?: StoreWrite): Promise<void> {
    await this.#change(key, () => true, this.#entry(value, write), write)
  }

  add(key: string, value: string, write?: StoreWrite): Promise<boolean> {
    return this.#change(key, (old) => old === undefined, this.#entry(value, write), write)
  }

  compareAndSet(key: string, expected: string, next: string, write?: StoreWrite): Promise<boolean> {
    return this.#change(key, (old) => old === expected, this.#entry(next, write), write)
  }

  delete(key: string, { ifValue }: { readonly ifValue?: string | undefined } = {}): Promise<boolean> {
    return this.#change(key, (old) => old !== undefined && (ifValue === undefined || old === ifValue), undefined)
  }

  async list(prefix: string, { after, limit = 100 }: StorePage = {}): Promise<readonly StoreEntry[]> {
    const found: StoreEntry[] = []
    let last = after
    for (let isMore = true; isMore && found.length < limit; ) {
      const count = limit - found.length
      const [keys, entries] = await this.#page(prefix, last, count)
      isMore = keys.length === count
      last = keys.at(-1)
      for (const [index, { value, endsAt }] of entries.entries()) {
        const key = keys[index] as string
        if (endsAt > this.#clock.wallNow()) found.push({ key, value })
        // Nobody else looks for what is over; if somebody has written it meanwhile, it stays.
        else await this.#change(key, (old) => old === undefined, undefined, {})
      }
    }
    return found
  }

  /** Keys and entries of one transaction, in the order of their keys, those that are over included. */
  async #page(prefix: string, after: string | undefined, count: number): Promise<[string[], Entry[]]> {
    const isBehind = after !== undefined && after >= prefix
    const range = host.IDBKeyRange.bound(isBehind ? after : prefix, `${prefix}\uffff`, isBehind)
    let requests: OpenRequest[] = []
    await this.#run('readonly', undefined, (entries) => {
      requests = [entries.getAllKeys(range, count), entries.getAll(range, count)]
    })
    return requests.map(({ result }) => result) as [string[], Entry[]]
  }

  /** @param write - of an entry, or nothing where one is deleted. */
  async #change(
    key: string,
    isMet: (old: string | undefined) => boolean,
    entry: Entry | undefined,
    write: StoreWrite = { isListed: entry === undefined },
  ): Promise<boolean> {
    let isDone = false
    const look = (old: string | undefined, entries: Entries): void => {
      isDone = isMet(old)
      if (!isDone) return
      if (entry) entries.put(entry, key)
      else entries.delete(key)
    }
    await this.#look('readwrite', key, look, write.isListed ? 'strict' : undefined)
    return isDone
  }

  #entry(value: string, { ttlMs = Number.POSITIVE_INFINITY }: StoreWrite = {}): Entry {
    return { value, endsAt: this.#clock.wallNow() + ttlMs }
  }

  /** Looks, and perhaps writes, in one transaction: nobody comes between the two. */
  #look(
    mode: Mode,
    key: string,
    look: (value: string | undefined, entries: Entries) => void,
    durability?: Durability,
  ): Promise<void> {
    return this.#run(mode, durability, (entries, tried) => {
      const request = entries.get(key)
      request.onsuccess = () =>
        tried(() => {
          const entry = request.result as Entry | undefined
          look(entry && entry.endsAt > this.#clock.wallNow() ? entry.value : undefined, entries)
        })
    })
  }

  /** One transaction; what throws in `tried` ends it, and is what it fails with. */
  async #run(
    mode: Mode,
    durability: Durability = 'default',
    work: (entries: Entries, tried: (run: () => void) => void) => void,
  ): Promise<void> {
    const options = { durability: this.#durability ?? durability }
    let opened = (this.#database ??= this.#open())
    let database = await opened
    let transaction: Transaction
    try {
      transaction = database.transaction(table, mode, options)
    } catch {
      // A browser may have dropped the connection without a word, as WebKit does behind a page's back: nothing was done yet.
      database.close()
      if (this.#database === opened) this.#database = undefined
      opened = this.#database ??= this.#open()
      database = await opened
      transaction = database.transaction(table, mode, options)
    }
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = resolve
      transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB has given the transaction up'))
      work(transaction.objectStore(table), (run) => {
        try {
          run()
        } catch (error) {
          reject(error)
          transaction.abort()
        }
      })
    })
  }

  /** Opened again after it was lost: deleted by the page, or by the browser that clears its data. */
  #open(): Promise<Database> {
    const forget = () => {
      this.#database = undefined
    }
    const opened = new Promise<Database>((resolve, reject) => {
      const request = this.#factory.open(this.#name, 1)
      request.onupgradeneeded = () => (request.result as Database).createObjectStore(table)
      request.onerror = () => reject(request.error)
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
    // A page that may not open it throws at once.
    opened.catch(forget)
    return opened
  }
}
