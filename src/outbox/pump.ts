import type { Timer } from '../core/time/clock.ts'
import { pageLife } from '../core/time/page-life.ts'
import type { Durable } from './durable.ts'
import { Run } from './fence.ts'
import type { Host, Kept } from './host.ts'
import type { Ahead } from './lanes.ts'
import type { Seen } from './ledger.ts'
import type { OwnerLock } from './owner-lock.ts'
import { ranBefore } from './record.ts'
import { nameOf, type Runs } from './runs.ts'
import * as toState from './transitions.ts'
import type { PendingReason } from './types.ts'

/** So often the store is looked at while something waits; ms. */
const pollMs = 5000
/** The same where others' changes are heard of, and where nothing waits but others may leave something; ms. */
const slowPollMs = 30_000
/** So many entries at a time are sent by the pump. */
const maxRuns = 16
/** About so long an entry rests that another one was first at; ms. */
const contendedMs = 200

/** What is to be done about an entry, or why it waits for a person. */
type Way = 'send' | 'ask' | PendingReason

/** Sees what is due and takes it up: one timer, on start, on change, when the network or the page comes back. */
export class Pump {
  readonly #host: Host
  readonly #runs: Runs
  readonly #lock: OwnerLock
  #timer: Timer | undefined
  /** Nothing is to be sent any more. */
  isOver = true
  #isWoken?: boolean
  #polledAt = 0
  #hasWarned?: boolean
  #unwatch: (() => void) | undefined
  /** Owners whose lock was found free. */
  readonly #dead = new Set<string>()
  readonly #asked = new Set<string>()
  /** Entries that could not be claimed are left alone for a moment: monotonic ms. */
  readonly #restsUntil = new Map<string, number>()

  constructor(host: Host, runs: Runs, lock: OwnerLock) {
    this.#host = host
    this.#runs = runs
    this.#lock = lock
  }

  /** From here on what an earlier run left goes on. */
  start(): void {
    this.isOver = false
    const { ledger } = this.#host
    ledger.listen()
    this.look(() => this.#lift())
  }

  stop(): void {
    this.isOver = true
    this.#timer?.clear()
    this.#unwatch?.()
    this.#host.ledger.close()
  }

  /** Looks at the store, then at what is due. */
  look(first?: () => Promise<unknown>): void {
    if (this.isOver) return
    const { ledger, clock } = this.#host
    this.#polledAt = clock.now()
    ledger
      .readAll()
      .then(
        async () => {
          this.#hasWarned = false
          await first?.()
          this.wake()
        },
        () => {
          if (!this.#hasWarned) this.#host.warn('the store could not be read: it is looked at again')
          this.#hasWarned = true
          this.wake()
        },
      )
      .catch(() => this.wake())
  }

  /** Something has changed: looks at what is due, once for all that changes now. */
  wake(): void {
    if (this.#isWoken || this.isOver) return
    this.#isWoken = true
    queueMicrotask(() => {
      this.#isWoken = false
      this.#work()
    })
  }

  /** What waited for a login or a newer release may have got it: each is tried once a start. */
  async #lift(): Promise<void> {
    const { ledger } = this.#host
    for (const seen of ledger.open.values()) {
      const { record } = seen
      const isLifted = ['login', 'version', 'unreadable'].includes(record.reason as string)
      if (isLifted && this.#host.contextFor(seen) && !this.#host.shown(seen))
        await ledger.replace(seen, toState.due(record))
    }
  }

  /** A call of this identity has been answered: who waited for a login has one. */
  loggedIn(identity: string): void {
    const { ledger } = this.#host
    for (const seen of ledger.open.values()) {
      const { record } = seen
      if (record.identity === identity && record.reason === 'login')
        ledger.replace(seen, toState.due(record)).catch(() => {})
    }
  }

  #work(): void {
    if (this.isOver) return
    const { clock, ledger, lanes } = this.#host
    let next = Number.POSITIVE_INFINITY
    // The network that comes back, or a run that ends, is heard of.
    if (this.#runs.size < maxRuns && !pageLife().isOffline) {
      const ahead = lanes.ahead()
      for (const seen of ledger.open.values()) {
        if (seen.record.state === 'sending') this.#askFor(seen.record.by)
        const at = this.#dueAt(seen, ahead)
        if (at > clock.now()) next = Math.min(next, at)
        else if (!this.#host.shown(seen) && this.#host.contextFor(seen)) this.#take(seen)
        // Thousands may be due: who ends makes room, and looks again.
        if (this.#runs.size >= maxRuns) break
      }
    }
    this.#schedule(next)
  }

  /** When an entry is due, of the monotonic clock; Infinity where nothing is to be done about it now. */
  #dueAt(seen: Seen, ahead: Ahead): number {
    const { clock, settings } = this.#host
    const { place, seenAt } = seen
    const { state, nextAt, by, at } = seen.record
    const restsUntil = this.#restsUntil.get(place) ?? 0
    if (state === 'pending' || this.#runs.isRunning(place)) return Number.POSITIVE_INFINITY
    if (state === 'sending') return this.#dead.has(by) ? restsUntil : Math.max(restsUntil, seenAt + settings.leaseMs)
    if (ahead(seen)) return Number.POSITIVE_INFINITY
    // A wall clock that was set back since makes no wait longer.
    return Math.max(restsUntil, nextAt ? nextAt + Math.min(clock.now() - clock.wallNow(), seenAt - at) : 0)
  }

  /** One timer for what is due next, and for the next look at the store. */
  #schedule(at: number): void {
    this.#timer?.clear()
    this.#timer = undefined
    const { clock, ledger, settings } = this.#host
    const isWaiting = ledger.open.size > 0
    this.#watchPage(isWaiting)
    // Who dies between the write and the word leaves what nobody has heard of; a page finds it when it is opened again.
    const { isShared, isOfOrigin } = settings.store.traits
    const isAlone = !isShared || (isOfOrigin === true && ledger.isHearing)
    const everyMs =
      isWaiting && !ledger.isHearing ? pollMs : isWaiting || !isAlone ? slowPollMs : Number.POSITIVE_INFINITY
    const pollAt = this.#polledAt + everyMs
    const wakeAt = Math.min(at, pollAt)
    if (wakeAt === Number.POSITIVE_INFINITY) return
    // At a distance, or entries that cannot be claimed now would be tried for ever.
    this.#timer = clock.setTimer(
      () => (clock.now() >= pollAt ? this.look() : this.wake()),
      Math.max(minWaitMs, wakeAt - clock.now()),
    )
    this.#timer.hold(false)
  }

  /** The network or the page that comes back is heard of while something waits for it. */
  #watchPage(isWaiting: boolean): void {
    if (isWaiting)
      this.#unwatch ??= pageLife().watch((event) => {
        if (event === 'online' || event === 'visible' || event === 'woken') this.look()
      })
    else {
      this.#unwatch?.()
      this.#unwatch = undefined
    }
  }

  #take(seen: Seen): void {
    const { clock } = this.#host
    const { place } = seen
    const rest = (ms: number): void => void this.#restsUntil.set(place, clock.now() + ms * (0.5 + clock.random()))
    const claim = this.#claim(seen).then(
      (isDone) => {
        this.#restsUntil.delete(place)
        if (!isDone) rest(contendedMs)
      },
      (cause: unknown) => {
        rest(pollMs)
        this.#host.warn(`an entry could not be claimed (${nameOf(cause)})`)
      },
    )
    this.#runs.hold(place, claim)
  }

  /** Waits for the end of whoever has claimed something, where locks tell it. */
  #askFor(owner: string): void {
    if (owner === this.#host.owner || this.#asked.has(owner)) return
    this.#asked.add(owner)
    this.#lock.gone(owner).then(
      () => {
        this.#dead.add(owner)
        this.wake()
      },
      // Asked again at the next look.
      () => void this.#asked.delete(owner),
    )
  }

  /** False where another one was first, or it is not the turn of the entry. */
  async #claim(seen: Seen): Promise<boolean> {
    const host = this.#host
    const { ledger, clock, registry } = host
    const durable = registry.get(seen.record.op) as Durable
    const way = this.#wayOf(seen, durable)
    const isSend = way === 'send'
    const reason = isSend || way === 'ask' ? undefined : way
    const kept = reason ? undefined : await host.read(seen).catch(() => undefined)
    const migrated = kept && (await this.#migrated(seen, durable, kept))
    if (!kept || migrated === false) {
      const why = reason ?? (kept ? 'version' : 'unreadable')
      await ledger.replace(seen, toState.pending(seen.record, why))
      return true
    }
    if (seen.record.lane !== undefined && seen.record.state === 'queued' && !(await host.lanes.claim(seen)))
      return false
    const context = host.contextFor(seen)
    if (!context) return false
    const run = new Run(clock, host.settings.fenceMs)
    const written = migrated && (await host.write(migrated, seen.place, durable.version))
    const next = toState.claimed(seen.record, {
      owner: host.owner,
      wallNow: clock.wallNow(),
      isSend,
      migrated: written && { ...written, version: durable.version },
    })
    // Of a client that was closed meanwhile it is left as it was, for whoever else looks.
    const claimed = await host.keep(ledger.replace(seen, next), this, (taken) =>
      ledger.replace(taken, { ...seen.record, fence: next.fence }),
    )
    if (!claimed) return false
    const claim = { seen: claimed, before: seen.record, run, durable, kept: migrated ?? kept, context }
    if (isSend) this.#runs.send(claim)
    else this.#runs.ask(claim, durable.options.settle as never)
    return true
  }

  /** Whether an entry is sent, asked about, or waits for a person. */
  #wayOf(seen: Seen, durable: Durable): Way {
    const { record } = seen
    const { maxSends } = this.#host.settings
    const plan = this.#host.planOf(durable.inner)
    const isKeyYoung = durable.isKeyYoung(plan, seen, this.#host.clock)
    const { settle, version = 1 } = durable.options
    const isSafe = !ranBefore(record) || durable.inner.isIdempotent || isKeyYoung
    // What an older release has written may be sent as another body today.
    const isAsked = ranBefore(record) && settle && (!isSafe || record.version < version)
    if (isAsked) return record.asks < maxSends ? 'ask' : 'unsettled'
    if (!isSafe) return durable.profileOf(plan) ? 'key_expired' : 'unsettled'
    return record.sends < maxSends ? 'send' : 'attempts'
  }

  /** The input in the shape of this release; undefined where it is, or stays as it was written; false where nothing leads there. */
  async #migrated({ record }: Seen, durable: Durable, kept: Kept): Promise<Kept | false | undefined> {
    const { migrate = {} } = durable.options
    if (record.version >= durable.version || ranBefore(record)) return undefined
    let { input } = kept
    for (let from = record.version; from < durable.version; from++) {
      const step = migrate[from]
      if (!step) return false
      try {
        input = await step(input)
      } catch (cause) {
        this.#host.warn(`migrate[${from}] of '${durable.name}' failed (${nameOf(cause)})`)
        return false
      }
    }
    return { ...kept, input }
  }
}

const minWaitMs = 1
