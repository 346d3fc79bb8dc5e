import type { Call } from '../core/call/call.ts'
import { absoluteDeadline } from '../core/call/call-options.ts'
import type { Reply } from '../core/call/reply.ts'
import type { Scope } from '../core/call/scope.ts'
import { uuid } from '../core/call/uuid.ts'
import { CallError, isAnyCallError } from '../core/errors/error.ts'
import { guard } from '../core/guard.ts'
import { isRecord } from '../core/tag.ts'
import { pageLife } from '../core/time/page-life.ts'
import { type Durable, unfit } from './durable.ts'
import { Run } from './fence.ts'
import type { Host, Kept } from './host.ts'
import type { Seen } from './ledger.ts'
import { type Order, orderOf } from './order.ts'
import type { Outcomes } from './outcomes.ts'
import { type EntryRecord, hashOf, placeOf } from './record.ts'
import type { Runs } from './runs.ts'
import * as toState from './transitions.ts'
import { writeValue } from './value-text.ts'
import { type Answer, withEntry } from './waiters.ts'

/** Written, and by whom. */
interface Written {
  readonly seen: Seen
  /** As it was before it was claimed by the same write; undefined where it stood there already. */
  readonly fresh?: EntryRecord
}

/** Where calls come in: checks them, writes them down, and waits with their callers. */
export class Desk {
  readonly #host: Host
  readonly #runs: Runs
  readonly #outcomes: Outcomes
  readonly #wake: () => void

  constructor(host: Host, runs: Runs, outcomes: Outcomes, wake: () => void) {
    this.#host = host
    this.#runs = runs
    this.#outcomes = outcomes
    this.#wake = wake
  }

  /** One call of a durable operation, to its end. */
  async submit(call: Call, durable: Durable): Promise<Reply> {
    const { scope, options } = call
    const facts: { seen?: Seen } = {}
    this.#armDeadline(call, facts)
    const order = await orderOf(this.#host, call, durable)
    if (scope.isOver) throw scope.reason
    scope.idempotencyKey = order.key
    const run = new Run(this.#host.clock, this.#host.settings.fenceMs)
    const isSent = durable.options.lane === undefined && !pageLife().isOffline
    let written: Written
    try {
      written = await this.#write(order, isSent, scope)
    } catch (cause) {
      return replyOf(await this.#unwritten(cause, call, order), call)
    }
    if (scope.isOver) throw scope.reason
    const { seen, fresh } = written
    facts.seen = seen
    scope.onAbort((reason) => this.#givenUp(written, call, reason))
    const answer = this.#host.waiters.wait(seen.place, call)
    if (fresh && isSent) {
      const { kept, context } = order
      this.#runs.send({ seen, before: fresh, run, durable, kept, context, options })
    } else if (fresh) this.#wake()
    else this.#outcomes.tell(seen.place)
    return replyOf(await answer, call)
  }

  /** Writes a call down for later. */
  async enqueue(call: Call, durable: Durable): Promise<Seen> {
    const order = await orderOf(this.#host, call, durable)
    try {
      const { seen } = await this.#write(order, false, call.scope)
      this.#wake()
      return seen
    } catch (cause) {
      throw this.#storeError(cause, call, order)
    }
  }

  async #write({ durable, kept, key, identity }: Order, isSent: boolean, scope: Scope): Promise<Written> {
    const host = this.#host
    const { clock, ledger, settings } = host
    const { lane: laneOf, version = 1 } = durable.options
    const lane = laneOf && guard(`lane of '${durable.name}'`, () => laneOf(kept.input), { operation: durable.inner })
    const place = placeOf(settings.name, identity, durable.name, key)
    const seq = lane === undefined ? undefined : await host.lanes.next(identity, lane)
    const wallNow = clock.wallNow()
    // As text it has no members that are undefined.
    const fresh = {
      v: 1,
      state: 'queued',
      op: durable.name,
      version,
      identity,
      lane,
      seq,
      id: uuid(),
      key,
      fence: 0,
      by: host.owner,
      mayHaveRun: false,
      sentFence: 0,
      sends: 0,
      asks: 0,
      digest: settings.seal ? undefined : digestOf(kept.input),
      ...(await host.write(kept, place, version)),
      createdAt: wallNow,
    } as EntryRecord
    const record = isSent ? toState.claimed(fresh, { owner: host.owner, wallNow, isSend: true }) : fresh
    // A caller who has left meanwhile has heard that nothing was done.
    const seen = await host.keep(ledger.add(place, record), scope, (added) => ledger.remove(added))
    if (seen) return { seen, fresh }
    const stands = await ledger.read(place)
    if (!stands) throw unfit(durable.inner, 'a newer release has written an entry under this idempotency key')
    await this.#checkSame(stands, kept, durable)
    return { seen: stands }
  }

  /** One key is one call. */
  async #checkSame(stands: Seen, kept: Kept, durable: Durable): Promise<void> {
    const { isSealed, digest } = stands.record
    const other = isSealed
      ? await this.#host.read(stands).then(
          ({ input }) => digestOf(input),
          () => undefined,
        )
      : digest
    if (other === undefined || other === digestOf(kept.input)) return
    const message = 'another call has this idempotency key, with another input'
    throw withEntry(unfit(durable.inner, message), stands.record)
  }

  async #unwritten(cause: unknown, call: Call, order: Order): Promise<Answer> {
    const error = this.#storeError(cause, call, order)
    if (error === cause || this.#host.settings.whenStoreFails !== 'send') throw error
    this.#host.warn('an entry could not be written: the call is sent without one')
    const { durable, kept, context, key } = order
    const { options } = call
    return this.#host.call(durable.inner).reply(kept.input, {
      ...options,
      headers: kept.headers,
      context,
      signal: call.scope.signal,
      idempotencyKey: key,
    })
  }

  /** What is no error of a call comes from the store: it failed, as an error that names no operation says, or gave what cannot be read. */
  #storeError(cause: unknown, call: Call, { key }: Order): unknown {
    if (isAnyCallError(cause) && (cause.operation || !cause.isRetryable)) return cause
    const isFull = /quota|\b(?:OOM|full)\b/i.test(wordsOf(cause))
    const message = isFull
      ? 'the store of the outbox is full: see cause; nothing was sent'
      : "the store of the outbox did not take the entry: see cause; nothing was sent. It may hold it all the same: call again under the error's idempotencyKey"
    const code = isFull ? 'resource_exhausted' : 'unavailable'
    return new CallError(
      { code, message, isRetryable: !isFull, cause },
      { operation: call.operation, idempotencyKey: key },
    )
  }

  /** Ends the waiting, not the entry. */
  #armDeadline(call: Call, facts: { readonly seen?: Seen }): void {
    const { scope, options } = call
    const { clock, timeoutMs: defaultMs, ledger } = this.#host
    const { timeoutMs = defaultMs } = options
    const at = Math.min(call.deadline, clock.now() + timeoutMs, absoluteDeadline(options, clock))
    if (at === Number.POSITIVE_INFINITY) return
    scope.abortAt(at, () => {
      const { seen } = facts
      const message = seen
        ? `the deadline passed while its entry is ${(ledger.get(seen.place) ?? seen).record.state}: it goes on in the outbox, see entry`
        : 'the deadline passed before its entry was written: nothing was sent'
      return new CallError({ code: 'deadline_exceeded', message, phase: 'resolve' }, call)
    })
  }

  /** A caller leaves, and hears which entry goes on: what was never sent and is nobody else's is withdrawn, if it was the caller's own word. */
  #givenUp({ seen, fresh }: Written, { options }: Call, reason: unknown): void {
    const { ledger, waiters } = this.#host
    const stands = ledger.get(seen.place) ?? seen
    const { state, mayHaveRun } = stands.record
    if (mayHaveRun && isAnyCallError(reason)) Object.assign(reason, { sent: 'maybe' })
    withEntry(reason, stands.record)
    const isOwn = fresh && options.signal?.aborted && waiters.count(seen.place) < 2
    if (isOwn && state === 'queued' && !mayHaveRun) ledger.remove(stands).catch(() => {})
  }
}

function replyOf({ message, status, headers, trailers, attempts }: Answer, { scope }: Call): Reply {
  scope.root.attempts = attempts
  return { kind: 'unary', message, status, headers, trailers }
}

function wordsOf(error: unknown): string {
  try {
    const { name, message, cause } = (error ?? {}) as Error
    return `${name} ${message} ${cause && wordsOf(cause)}`
  } catch {
    // It cannot be read, or is its own cause.
    return ''
  }
}

/** The same for equal inputs, whatever the order of their members; one that is undefined is none. */
function digestOf(input: unknown): string {
  const sorted = (_name: string, value: unknown): unknown => {
    if (!isRecord(value)) return value
    const members = Object.entries(value).filter(
      ([, member]) => (member as { readonly $?: unknown } | null)?.$ !== 'undefined',
    )
    return Object.fromEntries(members.sort(([one], [other]) => (one < other ? -1 : 1)))
  }
  return hashOf(JSON.stringify(JSON.parse(writeValue(input)), sorted))
}
