import type { Telemetry } from '../core/call/telemetry.ts'
import { uuid } from '../core/call/uuid.ts'
import { CallError } from '../core/errors/error.ts'
import { isThenable } from '../core/guard.ts'
import { listenTo } from '../core/store/listeners.ts'
import type { Store, StoreEntry, StoreWrite } from '../core/store/store.ts'
import { within } from '../core/time/bounded.ts'
import type { Clock } from '../core/time/clock.ts'
import { type EntryRecord, isFinal, parseRecord } from './record.ts'

/** An entry as it was seen last. */
export interface Seen {
  readonly place: string
  readonly text: string
  readonly record: EntryRecord
  /** When this text was first seen here: monotonic ms. Nobody else's clock decides a lease. */
  readonly seenAt: number
  /** When its `sentFence` was first seen here: monotonic ms. */
  readonly sentSeenAt: number
  /** When its key was sent first, by the same clock: a wall clock that is set back makes no key younger. */
  readonly bornAt: number
  /** A list that began after it stood has been read: what stood before it is known. */
  readonly isListed: boolean
}

/** A store that does not answer within this is taken for one that is away; ms. */
const answerMs = 10_000
const pageSize = 500
/** Wall clocks of those who share a store differ by so much at most; ms. */
const maxSkewMs = 300_000

interface LedgerOptions {
  readonly store: Store
  readonly name: string
  readonly keepMs: number
  readonly clock: Clock
  readonly telemetry: Telemetry | undefined
  readonly owner: string
  /** @param gone - how the entry stood, where it stands no more. */
  readonly onChange: (place: string, gone?: Seen) => void
}

/**
 * The entries of one outbox: what stands in the store, as far as it was seen, and the writes to it, which know their own
 * text again where the answer was lost.
 */
export class Ledger {
  readonly #options: LedgerOptions
  readonly #store: Store
  readonly #seen = new Map<string, Seen>()
  /** Those that have not ended, by place, the oldest first: what has is kept for days, and nothing is to be done about it. */
  open = new Map<string, Seen>()
  #ends: (() => void) | undefined
  #listing: Promise<void> | undefined

  constructor(options: LedgerOptions) {
    this.#options = options
    this.#store = options.store
  }

  get all(): Iterable<Seen> {
    return this.#seen.values()
  }

  get(place: string): Seen | undefined {
    return this.#seen.get(place)
  }

  find(id: string): Seen | undefined {
    for (const seen of this.#seen.values()) if (seen.record.id === id) return seen
    return undefined
  }

  /** Whether others' changes are heard of. */
  get isHearing(): boolean {
    return this.#ends !== undefined
  }

  listen(): void {
    const heard = (text: string): void => {
      const [owner, place = ''] = `${text}`.split(' ')
      if (owner !== this.#options.owner) this.read(place).catch(() => {})
    }
    this.#ends ??= listenTo(this.#store, this.#topic, heard, this.#options.telemetry)
  }

  close(): void {
    this.#ends?.()
    this.#ends = undefined
  }

  /** Writes an entry down; undefined where another one has its place. */
  async add(place: string, record: EntryRecord): Promise<Seen | undefined> {
    const text = this.#textOf(record)
    const isMine = await this.#write(place, text, () => this.#store.add(place, text, listed))
    return isMine ? this.#changed(place, text) : undefined
  }

  /** Sets the next state where the entry still stands as it was seen; undefined where it does not. */
  async replace({ place, text }: Pick<Seen, 'place' | 'text'>, next: EntryRecord): Promise<Seen | undefined> {
    const written = this.#textOf(next)
    const write: StoreWrite = isFinal(next) ? { ...listed, ttlMs: this.#options.keepMs } : listed
    const isMine = await this.#write(place, written, () => this.#store.compareAndSet(place, text, written, write))
    if (isMine) return this.#changed(place, written)
    await this.read(place)
    return undefined
  }

  /** Takes an entry out where it still stands as it was seen. */
  async remove({ place, text }: Pick<Seen, 'place' | 'text'>): Promise<boolean> {
    const isGone = await this.#ask(() => this.#store.delete(place, { ifValue: text }))
    if (isGone) {
      this.#forget(place)
      this.#tell(place)
    } else await this.read(place)
    return isGone
  }

  /** The entry as it stands now. */
  async read(place: string): Promise<Seen | undefined> {
    const text = await this.getText(place)
    if (text) return this.#note(place, text)
    this.#forget(place)
    return undefined
  }

  /** All entries as they stand now. */
  readAll(): Promise<void> {
    this.#listing ??= this.#readAll().finally(() => {
      this.#listing = undefined
    })
    return this.#listing
  }

  /** The same, begun from now on: what was written before is in it. */
  async readAllAnew(): Promise<void> {
    await this.#listing?.catch(() => {})
    return this.readAll()
  }

  async #readAll(): Promise<void> {
    const before = new Map(this.#seen)
    const found = new Set<string>()
    for (let after: string | undefined; ; ) {
      const page = await this.#ask(() => this.#page(after))
      for (const { key, value } of page) {
        found.add(key)
        // What was written while the list was read may be newer than the list.
        // And of what was not known before the list began, the list may lack what stood before it: on a page already read.
        if (this.#seen.get(key) === before.get(key)) this.#note(key, `${value}`, before.has(key))
      }
      // An outbox that was long without a network sends in the order of writing.
      this.open = new Map([...this.open].sort(([, one], [, other]) => one.record.createdAt - other.record.createdAt))
      if (page.length < pageSize) break
      after = page.at(-1)?.key
    }
    for (const [place, seen] of before) if (!found.has(place) && this.#seen.get(place) === seen) this.#forget(place)
  }

  async #page(after: string | undefined): Promise<readonly StoreEntry[]> {
    const page = (await this.#store.list?.(`${this.#options.name}/`, { after, limit: pageSize })) ?? []
    // It would be read for ever.
    if (page.length && page.at(-1)?.key === after) throw new Error('list() is endless')
    return page
  }

  /** What stands at a place, or any other record of this outbox: a lane's counter. */
  async getText(place: string): Promise<string | null | undefined> {
    const text = await this.#ask(() => this.#store.get(place))
    // Clients of databases may give bytes, which never equal the text that was written.
    return text && `${text}`
  }

  /** Sets such a record where `expected` stands, or nothing does. */
  setText(place: string, expected: string | null | undefined, next: string): Promise<boolean> {
    return this.#write(place, next, () =>
      expected ? this.#store.compareAndSet(place, expected, next) : this.#store.add(place, next),
    )
  }

  /** With a token of its own, and its time. */
  #textOf(record: EntryRecord): string {
    return JSON.stringify({ ...record, at: this.#options.clock.wallNow(), token: uuid() })
  }

  /** A write whose answer was lost is looked at: a text is never written twice, so that one's own is one's own. */
  async #write(place: string, text: string, write: () => boolean | Promise<boolean>): Promise<boolean> {
    let cause: unknown
    try {
      if (await this.#ask(write)) return true
    } catch (failure) {
      cause = failure
    }
    const stands = await this.getText(place)
    if (stands === text) return true
    if (cause !== undefined) throw cause
    return false
  }

  async #ask<T>(ask: () => T | Promise<T>): Promise<T> {
    try {
      const answer = ask()
      return isThenable(answer) ? await within(this.#options.clock, answerMs, async () => answer) : answer
    } catch (cause) {
      const message = 'the store of the outbox failed: see cause'
      throw new CallError({ code: 'unavailable', message, isRetryable: true, cause })
    }
  }

  #changed(place: string, text: string): Seen {
    const seen = this.#note(place, text) as Seen
    this.#tell(place)
    return seen
  }

  #note(place: string, text: string, isFromList = false): Seen | undefined {
    const old = this.#seen.get(place)
    if (old?.text === text) {
      if (!isFromList || old.isListed) return old
      return this.#keep({ ...old, isListed: true })
    }
    const record = parseRecord(text)
    // A newer release's: that one's tab shows it.
    if (!record) return undefined
    const { clock } = this.#options
    const now = clock.now()
    const keyAgeMs = clock.wallNow() - (record.keyAt as number)
    // One that is to come was set by a clock that was set back since: nobody knows when that was.
    const foundAt = keyAgeMs > -maxSkewMs ? now - keyAgeMs : Number.NEGATIVE_INFINITY
    const bornAt = old && old.record.keyAt === record.keyAt ? old.bornAt : foundAt
    const sentSeenAt = old && old.record.sentFence === record.sentFence ? old.sentSeenAt : now
    const isListed = isFromList || !!old?.isListed
    const seen = this.#keep({
      place,
      text,
      record,
      seenAt: now,
      sentSeenAt,
      bornAt,
      isListed,
    })
    this.#options.onChange(place)
    return seen
  }

  #keep(seen: Seen): Seen {
    this.#seen.set(seen.place, seen)
    if (isFinal(seen.record)) this.open.delete(seen.place)
    else this.open.set(seen.place, seen)
    return seen
  }

  #forget(place: string): void {
    this.open.delete(place)
    const gone = this.#seen.get(place)
    if (this.#seen.delete(place)) this.#options.onChange(place, gone)
  }

  #tell(place: string): void {
    // A hint: who does not hear it looks for himself.
    this.#ask(() => this.#store.tell?.(this.#topic, `${this.#options.owner} ${place}`)).catch(() => {})
  }

  get #topic(): string {
    return `outbox ${this.#options.name}`
  }
}

const listed: StoreWrite = { isListed: true }
