import { uuid } from '../core/call/uuid.ts'
import { CallError } from '../core/errors/error.ts'
import { guard } from '../core/guard.ts'
import type { Store, StoreEntry } from '../core/store/store.ts'
import { within } from '../core/time/bounded.ts'
import type { Clock } from '../core/time/clock.ts'

/** So long an answer of the store is waited for: a sender that gets none delivers again; ms. */
export const answerMs = 10_000

/** What has become of an event. */
export type WebhookState = 'received' | 'handled' | 'failed'

/** An event in the log. */
export interface WebhookLogEntry {
  readonly id: string
  readonly type: string
  /** `received`: its handler has not ended yet. `failed`: it has failed in all its attempts. */
  readonly state: WebhookState
  readonly receivedAt: Date
  /** Runs of the handler so far. */
  readonly attempts: number
  /** Of a failed one: the name of the handler's error, or the code where it was a CallError. */
  readonly error?: string
}

/** An event as the store holds it. */
export interface LogRecord {
  readonly v: 1
  readonly id: string
  readonly type: string
  readonly state: WebhookState
  /** ms since 1970. */
  readonly at: number
  readonly sentAt?: number | undefined
  readonly attempts: number
  readonly error?: string | undefined
  /** The bytes, base64. */
  readonly body: string
}

interface LogOptions {
  readonly store: Store
  readonly clock: Clock
  readonly name: string
  /** How long an event is remembered; ms. */
  readonly keepMs: number
  /** How long a handler that says nothing is believed to live; ms. */
  readonly leaseMs: number
}

/**
 * The events that came in, in the Store: who adds one has received it, and who holds its claim handles it. A claim ends
 * by itself, on the store's own clock, when its process does.
 */
export class EventLog {
  readonly leaseMs: number
  readonly #store: Store
  readonly #clock: Clock
  readonly #prefix: string
  readonly #claims: string
  readonly #keepMs: number

  constructor({ store, clock, name, keepMs, leaseMs }: LogOptions) {
    this.#store = store
    this.#clock = clock
    this.#prefix = `webhooks/${name}/event/`
    this.#claims = `webhooks/${name}/claim/`
    this.#keepMs = keepMs
    this.leaseMs = leaseMs
  }

  /** Writes an event down; false where it stands there already. */
  add(record: LogRecord): Promise<boolean> {
    return this.#ask('add', (store) => store.add(this.#key(record.id), JSON.stringify(record), this.#write))
  }

  async get(id: string): Promise<LogRecord | undefined> {
    return recordOf(await this.#textOf(id))
  }

  /** The same for an event that stands there: one that nobody can read is not received, and its sender delivers it again. */
  async read(id: string): Promise<LogRecord> {
    return (await this.get(id)) ?? broken('get() gives nothing')
  }

  /** Changes what stands there; a record that has gone meanwhile stays gone. */
  async change(id: string, to: (record: LogRecord) => LogRecord): Promise<void> {
    for (let before: string | undefined; ; ) {
      const text = (await this.#textOf(id)) as string
      const record = recordOf(text)
      if (!record) return
      // Nobody else has changed it: it would be tried for ever.
      if (text === before) broken('compareAndSet() changes nothing')
      const next = JSON.stringify(to(record))
      if (await this.#ask('compareAndSet', (store) => store.compareAndSet(this.#key(id), text, next, this.#write)))
        return
      before = text
    }
  }

  async #textOf(id: string): Promise<string | undefined> {
    const text = await this.#ask('get', (store) => store.get(this.#key(id)))
    // Clients of databases may give bytes.
    return text === null || text === undefined ? undefined : `${text}`
  }

  /** Claims an event for this process: the word that gives it back; undefined where somebody else handles it. */
  async claim(id: string): Promise<string | undefined> {
    const token = uuid()
    const write = { ttlMs: this.leaseMs }
    const isOurs = await this.#ask('add', (store) => store.add(this.#claims + encodeURIComponent(id), token, write))
    return isOurs ? token : undefined
  }

  /** Keeps a claim; false where it has been lost. */
  keep(id: string, token: string): Promise<boolean> {
    const key = this.#claims + encodeURIComponent(id)
    return this.#ask('compareAndSet', (store) => store.compareAndSet(key, token, token, { ttlMs: this.leaseMs }))
  }

  release(id: string, token: string): Promise<boolean> {
    const key = this.#claims + encodeURIComponent(id)
    return this.#ask('delete', (store) => store.delete(key, { ifValue: token }))
  }

  /**
   * All events, in the order of their ids.
   *
   * @throws {CallError} `failed_precondition` when the store has no `list`.
   */
  async *records(): AsyncGenerator<LogRecord> {
    const { list } = this.#store
    if (!list)
      throw new CallError({
        code: 'failed_precondition',
        message: 'the store of the webhook receiver has no list(): only replay({ id }) works with it',
      })
    for (let after: string | undefined; ; ) {
      const page: readonly StoreEntry[] = await this.#ask('list', (store) =>
        list.call(store, this.#prefix, { after, limit: 100 }),
      )
      for (const { value } of page) {
        const record = recordOf(`${value}`)
        if (record) yield record
      }
      if (page.length < 100) return
      const last = page.at(-1)?.key
      // It would be read for ever.
      if (last === after) broken('list() is endless')
      after = last
    }
  }

  get #write() {
    return { ttlMs: this.#keepMs, isListed: true }
  }

  #key(id: string): string {
    return this.#prefix + encodeURIComponent(id)
  }

  async #ask<T>(member: string, run: (store: Store) => T | Promise<T>): Promise<T> {
    const failure = { code: 'unavailable', isRetryable: true } as const
    const ask = (): Promise<T> => within(this.#clock, answerMs, async () => run(this.#store))
    return await guard(`store.${member}() of the webhook receiver`, ask, undefined, failure)
  }
}

function broken(what: string): never {
  throw new CallError({ code: 'unavailable', message: `the store of the webhook receiver is at fault: ${what}` })
}

/** A text of somebody else, or of a later release, is no record of ours; nor is none. */
function recordOf(text: string | undefined): LogRecord | undefined {
  try {
    const record = JSON.parse(text as string) as LogRecord
    return record?.v === 1 ? record : undefined
  } catch {
    return undefined
  }
}
