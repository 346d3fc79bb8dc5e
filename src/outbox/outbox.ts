import { Call } from '../core/call/call.ts'
import { type CallOptions, checkCallOptions } from '../core/call/call-options.ts'
import { noHeaders, readHeaders } from '../core/call/header-map.ts'
import { type OperationInfo, operationInfo } from '../core/call/operation.ts'
import { identityOf, inputOf, type Plan } from '../core/call/plan.ts'
import type { Reply } from '../core/call/reply.ts'
import { Scope, type Services } from '../core/call/scope.ts'
import { CallError } from '../core/errors/error.ts'
import { refusal } from '../core/errors/refusal.ts'
import { notify } from '../core/guard.ts'
import type { Store } from '../core/store/store.ts'
import type { Clock } from '../core/time/clock.ts'
import { Desk } from './desk.ts'
import type { Durable, Submits } from './durable.ts'
import { Host } from './host.ts'
import { Lanes } from './lanes.ts'
import { Ledger, type Seen } from './ledger.ts'
import { Outcomes } from './outcomes.ts'
import { OwnerLock } from './owner-lock.ts'
import { Pump } from './pump.ts'
import { isFinal, toEntry } from './record.ts'
import { Runs } from './runs.ts'
import { type OutboxSettings, registryOf, settingsOf } from './settings.ts'
import * as toState from './transitions.ts'
import type { EntryFilter, Outbox, OutboxEntry, OutboxOptions } from './types.ts'
import { Waiters } from './waiters.ts'

/** How often a change is tried anew where another process has changed the entry meanwhile. */
const maxTries = 20
const manyEntries = 1000

/**
 * Keeps calls of durable operations until they have ended: each is written to the store before it is sent, and sent
 * again under its key, or asked about, by whoever shares the store, until it is confirmed, failed, or waits for a person.
 *
 * @throws {CallError} `invalid_argument` for a store that is not atomic or cannot list its entries, and for a contract in
 * which two durable operations have one name.
 * @example
 * const box = outbox(indexedDbStore(), { contract: shop })
 * const client = createClient({ transports, outbox: box })
 */
export function outbox(store: Store, options: OutboxOptions): Outbox {
  const settings = settingsOf(store, options)
  return new DurableOutbox(registryOf(options.contract), settings)
}

/** The parts of an outbox that has a client. */
interface Joined {
  readonly host: Host
  readonly runs: Runs
  readonly pump: Pump
  readonly desk: Desk
  readonly lock: OwnerLock
}

class DurableOutbox implements Outbox, Submits {
  readonly #registry: ReadonlyMap<string, Durable>
  readonly #settings: OutboxSettings
  readonly #listeners = new Set<(entries: readonly OutboxEntry[]) => void>()
  #joined: Joined | undefined
  #isTelling?: boolean
  /** Entries that were told last. */
  #told = 0
  #isLoaded?: boolean

  constructor(registry: ReadonlyMap<string, Durable>, settings: OutboxSettings) {
    this.#registry = registry
    this.#settings = settings
  }

  '~join'(services: object, timeoutMs = 30_000): () => void {
    if (this.#joined) throw refusal('createClient({ outbox }): this outbox has a client already: make one for each')
    const joined = this.#join(services as Services, timeoutMs)
    this.#joined = joined
    if (!this.#settings.store.traits.isDurable)
      joined.host.warn('its store does not outlive this process: neither do its entries')
    // The client is not yet whole where it is joined.
    queueMicrotask(() => {
      if (this.#joined === joined) joined.pump.start()
    })
    return () => this.#leave(joined)
  }

  #join(services: Services, timeoutMs: number): Joined {
    const { store, name, keepMs } = this.#settings
    const { clock, telemetry } = services
    const lock = new OwnerLock(store.traits.isOfOrigin === true)
    const owner = lock.hold((held) => {
      host.owner = held
    })
    const onChange = (place: string, gone?: Seen): void => {
      outcomes.tell(place, gone)
      pump.wake()
      this.#changed(clock)
    }
    const ledger = new Ledger({ store, name, keepMs, clock, telemetry, owner, onChange })
    const lanes = new Lanes(ledger, name)
    const waiters = new Waiters()
    const registry = this.#registry
    const host: Host = new Host({
      services,
      settings: this.#settings,
      registry,
      ledger,
      lanes,
      waiters,
      timeoutMs,
      owner,
    })
    const runs = new Runs(host, (place) => {
      const stands = ledger.get(place)
      if (stands?.record.outcome?.by === 'reply' && stands.record.state === 'confirmed')
        pump.loggedIn(stands.record.identity)
      outcomes.tell(place)
      pump.wake()
    })
    const pump: Pump = new Pump(host, runs, lock)
    const outcomes: Outcomes = new Outcomes(host, runs)
    const desk: Desk = new Desk(host, runs, outcomes, () => pump.wake())
    return { host, runs, pump, desk, lock }
  }

  #leave(joined: Joined): void {
    joined.pump.stop()
    joined.lock.release()
    if (this.#joined === joined) this.#joined = undefined
  }

  submit(call: Call, durable: Durable): Promise<Reply> {
    return this.#inUse(call.operation).desk.submit(call, durable)
  }

  knows({ name }: Durable): boolean {
    return this.#registry.has(name)
  }

  async enqueue(operation: unknown, ...args: readonly unknown[]): Promise<OutboxEntry> {
    const [input, options = {}] = args as [unknown, CallOptions?]
    const info = operationInfo(operation)
    if (!info?.durable) throw refusal('outbox.enqueue() takes what durable() makes')
    const { host, desk } = this.#inUse(info)
    checkCallOptions(options, { operation: info })
    const plan = host.planOf(info)
    const scope = new Scope(host.services, undefined, info)
    try {
      const call = await callOf(plan, input, options, scope)
      return toEntry((await desk.enqueue(call, info.durable as Durable)).record)
    } finally {
      scope.end()
    }
  }

  async entries<S extends OutboxEntry['state']>(
    filter: EntryFilter<S> = {},
  ): Promise<readonly Extract<OutboxEntry, { readonly state: S }>[]> {
    const { host } = this.#inUse()
    await host.ledger.readAll()
    this.#isLoaded = true
    return this.#entries(host).filter((entry) =>
      (['id', 'state', 'operation'] as const).every((name) => (filter[name] ?? entry[name]) === entry[name]),
    ) as Extract<OutboxEntry, { readonly state: S }>[]
  }

  #entries(host: Host): OutboxEntry[] {
    const ahead = host.lanes.ahead()
    const found: OutboxEntry[] = []
    for (const seen of host.ledger.all) {
      if (!host.settings.contextOf && !host.contextFor(seen)) continue
      const behind = ahead(seen)
      found.push(toEntry(seen.record, host.shown(seen), behind?.record.id))
    }
    return found.sort((one, other) => one.createdAt - other.createdAt || (one.id < other.id ? -1 : 1))
  }

  subscribe(listener: (entries: readonly OutboxEntry[]) => void): () => void {
    const own = (entries: readonly OutboxEntry[]): void => listener(entries)
    this.#listeners.add(own)
    const joined = this.#joined
    const tell = (): void => {
      if (joined && this.#joined === joined && this.#listeners.has(own)) this.#tell(joined.host, [own])
    }
    if (joined && this.#isLoaded) queueMicrotask(tell)
    else
      joined?.host.ledger.readAll().then(
        () => {
          this.#isLoaded = true
          tell()
        },
        () => {},
      )
    return () => {
      this.#listeners.delete(own)
    }
  }

  /** Tells of all that changes in one turn at once; of thousands, whose list takes long to make, a few times a second. */
  #changed(clock: Clock): void {
    if (this.#isTelling || this.#listeners.size === 0) return
    this.#isTelling = true
    const tell = (): void => {
      this.#isTelling = false
      if (this.#joined) this.#tell(this.#joined.host, this.#listeners)
    }
    if (this.#told < manyEntries) queueMicrotask(tell)
    else clock.setTimer(tell, this.#told / 20)
  }

  #tell(host: Host, listeners: Iterable<(entries: readonly OutboxEntry[]) => void>): void {
    const entries = this.#entries(host)
    this.#told = entries.length
    for (const listener of listeners)
      notify('a listener of outbox.subscribe()', listener, host.services.telemetry, entries)
  }

  async retryNow(id?: string): Promise<void> {
    const { host, pump } = this.#inUse()
    await host.ledger.readAll()
    for (const seen of [...host.ledger.all]) {
      const { record } = seen
      if ((id !== undefined && record.id !== id) || !host.contextFor(seen)) continue
      const { state, reason } = record
      const isLifted = ['attempts', 'login', 'unsettled', id && 'forbidden'].includes(reason)
      if ((state === 'queued' && record.nextAt !== undefined) || (state === 'pending' && isLifted))
        await host.ledger.replace(seen, toState.due(record))
    }
    pump.wake()
  }

  async discard(id: string, options: { readonly evenIfSent?: boolean } = {}): Promise<boolean> {
    const { host } = this.#inUse()
    const seen = await this.#find(host, id)
    if (!seen) return false
    const { state, mayHaveRun } = seen.record
    if (state !== 'queued' && state !== 'pending') return false
    if (mayHaveRun && options.evenIfSent !== true) return false
    return host.ledger.remove(seen)
  }

  async settle(id: string, outcome: 'confirmed' | 'failed'): Promise<void> {
    const { host } = this.#inUse()
    for (let tries = 0; tries < maxTries; tries++) {
      const seen = await this.#find(host, id)
      if (!seen) throw said('not_found', 'outbox.settle(): there is no such entry')
      const { record } = seen
      if (record.state === 'sending')
        throw said('failed_precondition', 'outbox.settle(): the entry is being sent, its outcome comes by itself')
      if (isFinal(record)) return
      const error = { code: 'canceled', message: 'a person has found that it was not done' } as const
      const next =
        outcome === 'confirmed' ? toState.confirmed(record, 'user') : toState.failed(record, record, 'user', error)
      if (await host.ledger.replace(seen, next)) return
    }
    throw said('aborted', 'outbox.settle(): the entry changes all the time, or its store writes nothing')
  }

  async clear({ identity }: { readonly identity?: string } = {}): Promise<number> {
    const { host } = this.#inUse()
    await host.ledger.readAllAnew()
    let gone = 0
    for (const seen of [...host.ledger.all]) {
      const isMeant = identity === undefined ? host.contextFor(seen) !== undefined : seen.record.identity === identity
      if (isMeant && seen.record.state !== 'sending' && (await host.ledger.remove(seen))) gone++
    }
    return gone
  }

  async close(): Promise<void> {
    this.#listeners.clear()
    if (this.#joined) this.#leave(this.#joined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #find(host: Host, id: string): Promise<Seen | undefined> {
    const { ledger } = host
    const known = ledger.find(id)
    const stands = known && (await ledger.read(known.place))
    if (stands) return stands
    await ledger.readAllAnew()
    return ledger.find(id)
  }

  #inUse(operation?: OperationInfo): Joined {
    if (this.#joined) return this.#joined
    const message =
      'the outbox has no client, or that one is closed: createClient({ outbox: box }) comes first; nothing was sent'
    throw new CallError({ code: 'failed_precondition', message }, operation && { operation })
  }
}

/** A call as the facade starts one. */
async function callOf(plan: Plan, input: unknown, options: CallOptions, scope: Scope): Promise<Call> {
  const { info, route } = plan
  return new Call({
    operation: info,
    options,
    input: await inputOf(plan, input),
    scope,
    headers: options.headers ? readHeaders(options.headers, { operation: info }) : noHeaders,
    context: options.context,
    identity: identityOf(route, options, info),
  } as never)
}

function said(code: 'not_found' | 'failed_precondition' | 'aborted', message: string): CallError {
  return new CallError({ code, message })
}
