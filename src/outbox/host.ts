import { Context } from '../core/call/context.ts'
import type { OperationInfo } from '../core/call/operation.ts'
import { identityOf, type Plan } from '../core/call/plan.ts'
import type { Services } from '../core/call/scope.ts'
import { guard } from '../core/guard.ts'
import type { Clock } from '../core/time/clock.ts'
import type { Durable } from './durable.ts'
import type { Lanes } from './lanes.ts'
import type { Ledger, Seen } from './ledger.ts'
import type { EntryRecord } from './record.ts'
import type { OutboxSettings } from './settings.ts'
import type { PendingReason } from './types.ts'
import { readValue, writeValue } from './value-text.ts'
import type { Waiters } from './waiters.ts'

/** What is kept of a call. */
export interface Kept {
  readonly input: unknown
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined
}

/** What the parts of an outbox share while it has a client. */
export class Host {
  // Declared only: the constructor assigns them all.
  declare readonly services: Services
  readonly clock: Clock
  declare readonly settings: OutboxSettings
  declare readonly registry: ReadonlyMap<string, Durable>
  declare readonly ledger: Ledger
  declare readonly lanes: Lanes
  declare readonly waiters: Waiters
  declare readonly timeoutMs: number
  /** Named in claims. Another one once it holds a lock that says that this page lives. */
  declare owner: string

  constructor(
    parts: Pick<Host, 'services' | 'settings' | 'registry' | 'ledger' | 'lanes' | 'waiters' | 'timeoutMs' | 'owner'>,
  ) {
    Object.assign(this, parts)
    this.clock = parts.services.clock
  }

  /** How the client calls an operation. */
  planOf(info: OperationInfo): Plan {
    return this.services.planOf?.(info) as Plan
  }

  /** What users call of an operation: the whole chain. */
  call(info: OperationInfo): BoundCall {
    return this.services.callable?.(info) as BoundCall
  }

  /** The context under which an entry is sent; undefined where it is another identity's. */
  contextFor({ place, record }: Pick<Seen, 'place' | 'record'>): Context | undefined {
    const { contextOf } = this.settings
    try {
      // Of somebody who waits, it is sent under his.
      const asked = this.waiters.callOf(place)?.context
      if (asked && this.isOurs(record, asked)) return asked
      const context = contextOf ? guard('outbox({ contextOf })', () => contextOf(record.identity)) : Context.empty
      return context && this.isOurs(record, context) ? context : undefined
    } catch {
      // Nobody is logged in whose it could be; it is asked again at the next look.
      return undefined
    }
  }

  /** Whether a call under this context would be of the entry's identity. */
  isOurs(record: EntryRecord, context: Context): boolean {
    const durable = this.registry.get(record.op) ?? [...this.registry.values()][0]
    if (!durable) return false
    const { route } = this.planOf(durable.inner)
    return identityOf(route, { context }, durable.inner) === record.identity
  }

  /** Why this release cannot send an entry, whatever stands in it. */
  shown(seen: Seen): PendingReason | undefined {
    const { record } = seen
    const durable = this.registry.get(record.op)
    if (!durable || record.version > durable.version) return 'version'
    return this.settings.contextOf && !this.contextFor(seen) ? 'identity' : undefined
  }

  /** What is kept of a call, as text: sealed where the outbox has a seal. */
  async write(kept: Kept, place: string, version: number): Promise<Pick<EntryRecord, 'input' | 'isSealed'>> {
    const { seal } = this.settings
    const text = writeValue(kept)
    if (!seal) return { input: text }
    return { input: await guard('seal.seal()', () => seal.seal(text, `${place} ${version}`)), isSealed: true }
  }

  /** The same back. Rejects where it cannot be read. */
  async read({ place, record }: Pick<Seen, 'place' | 'record'>): Promise<Kept> {
    const { seal } = this.settings
    const { input = '', isSealed, version } = record
    if (isSealed && !seal) throw new Error('it is sealed, and this outbox has no seal')
    return readValue(isSealed && seal ? await seal.open(input, `${place} ${version}`) : input) as Kept
  }

  /**
   * Work that `client.close()` waits for.
   *
   * @param undo - takes back what was done where whoever wanted it `isOver`: nothing was done then.
   */
  keep<T>(
    work: Promise<T | undefined>,
    who?: { readonly isOver: boolean },
    undo?: (done: T) => Promise<unknown>,
  ): Promise<T | undefined> {
    const { lastWork } = this.services
    const kept = work.then((result) => (result && who?.isOver ? undo?.(result).then(() => undefined) : result))
    const done: Promise<unknown> = kept.catch(() => {}).then(() => lastWork?.delete(done))
    lastWork?.add(done)
    return kept
  }

  /** When to try again: full jitter on top of what the server asked for; ms since 1970. */
  nextAt(tries: number, waitMs: number): number {
    const ceiling = Math.min(maxBackoffMs, baseBackoffMs * 2 ** Math.min(tries, 30))
    return Math.ceil(this.clock.wallNow() + waitMs + this.clock.random() * ceiling)
  }

  warn(message: string): void {
    this.services.telemetry?.event?.({ type: 'warning', call: undefined, message: `the outbox: ${message}` })
  }
}

/** The outbox's own backoff begins where that of the chain ends. */
const baseBackoffMs = 1000
const maxBackoffMs = 3_600_000

/** A bound unary call, whatever its types. */
export interface BoundCall {
  (input: unknown, options?: object): Promise<unknown>
  reply(input: unknown, options?: object): Promise<import('./waiters.ts').Answer>
}
