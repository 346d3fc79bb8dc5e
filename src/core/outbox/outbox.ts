import type { Signal } from '../call/call-options.ts'
import type { Clock } from '../time/clock.ts'
import type { Armed, DeadlineList } from '../time/deadline-list.ts'
import { type Measured, OutboxBounds } from './bounds.ts'
import type { OutboxErrors } from './errors.ts'
import { Lease, type LeaseOwner, type OutboxEntry } from './lease.ts'

export { Lease, type OutboxEntry } from './lease.ts'

/** How much may wait, and what happens to one message more. */
export interface OutboxOptions {
  /** Waiting and unacknowledged ones together. @defaultValue 1_000 */
  readonly maxMessages?: number
  /** @defaultValue 1 MiB */
  readonly maxBytes?: number
  /** `reject` the send at once, or `block` it until there is room. @defaultValue 'reject' */
  readonly overflow?: 'reject' | 'block'
  /** A message that could not be written within this is rejected: what was said long ago is not said late; ms. @defaultValue never */
  readonly maxAgeMs?: number
  /** Bytes of one message; counted against `maxBytes` only while others wait beside it. */
  readonly measure?: (message: unknown) => number
}

interface Pending extends OutboxEntry, Measured {
  readonly queuedAt: number
  isWritten: boolean
  resolve(): void
  reject(reason: unknown): void
}

type Time = { readonly clock: Clock; readonly deadlines: DeadlineList }

/**
 * The send queue of one channel, over all its attempts: bounded, leased to one attempt at a time, never iterated.
 *
 *     send ──▶ [blocked ──▶] queued ──next()──▶ in flight ──done()──▶ resolved
 *                              ▲                    │
 *                              └──lease released────┘  unless it was written without a key: unknown outcome
 */
export class Outbox implements LeaseOwner {
  readonly #options: OutboxOptions
  readonly #errors: OutboxErrors
  readonly #time: Time | undefined
  // What holds messages is made with the first one, since many channels only listen.
  #queue: Pending[] | undefined
  #blocked: Pending[] | undefined
  /** Of what is queued and in flight. */
  #bounds: OutboxBounds | undefined
  #lease: Lease | undefined
  #expiry: Armed | undefined
  #isEnded = false
  #isClosed = false
  #closeReason: unknown
  #idle: (() => void)[] | undefined

  constructor(errors: OutboxErrors, options: OutboxOptions = {}, time?: Time) {
    this.#options = options
    this.#errors = errors
    this.#time = time
  }

  /** Messages that no attempt has taken. */
  get size(): number {
    return this.#queue?.length ?? 0
  }

  /** No message will follow those that are queued. */
  get isEnded(): boolean {
    return this.#isEnded && !this.#blocked?.length
  }

  /**
   * Queues a message; resolves when the attempt says that it is done.
   *
   * @param signal - takes a message back that has not been written; one that has been can only be forgotten.
   */
  send(message: unknown, key?: string, signal?: Signal): Promise<void> {
    if (this.#isClosed || this.#isEnded) return Promise.reject(this.#errors.unsent(this.#closeReason))
    if (signal?.aborted) return Promise.reject(signal.reason)
    const sent = new Promise<void>((resolve, reject) => {
      const queuedAt = this.#time?.clock.now() ?? 0
      const entry: Pending = { message, key, queuedAt, size: undefined, isWritten: false, resolve, reject }
      if (signal) this.#follow(entry, signal)
      if (!this.#blocked?.length && this.#room.hasRoom(entry)) this.#enqueue(entry)
      else if (this.#options.overflow === 'block') (this.#blocked ??= []).push(entry)
      else entry.reject(this.#errors.overflow())
    })
    this.#watchAge()
    return sent
  }

  /** Half-close: what is queued is still sent. */
  end(): void {
    this.#isEnded = true
    this.#lease?.wake()
  }

  /** Rejects what is left as unsent, or as unknown where it was written. */
  close(reason: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closeReason = reason
    this.#lease?.release(reason)
    const left = this.#waiting
    this.#queue = this.#blocked = undefined
    for (const entry of left) this.#abandon(entry, reason)
    this.#bounds?.clear()
    this.#watchAge()
    this.#settleIdle()
  }

  /** Resolves when nothing is queued or in flight. */
  flushed(): Promise<void> {
    if (this.#isIdle) return Promise.resolve()
    return new Promise((resolve) => (this.#idle ??= []).push(resolve))
  }

  /** Hands the queue to one attempt; the one before it has given it back. `wake` says that there is something to do. */
  lease(wake: () => void): Lease {
    this.#lease?.release(undefined)
    const lease = new Lease(wake, this)
    this.#lease = lease
    if (this.size > 0 || this.#isEnded) wake()
    return lease
  }

  get #room(): OutboxBounds {
    const { maxMessages = 1000, maxBytes = 1 << 20, measure = () => 0 } = this.#options
    return (this.#bounds ??= new OutboxBounds(maxMessages, maxBytes, measure))
  }

  #enqueue(entry: Pending): void {
    this.#room.add(entry)
    ;(this.#queue ??= []).push(entry)
    this.#lease?.wake()
  }

  /** For its lease only: hands out the next message. */
  take(): OutboxEntry | undefined {
    const entry = this.#queue?.shift()
    if (entry && this.size === 0) this.#watchAge()
    return entry
  }

  /** For its lease only: a message is done, or was refused. */
  settle(entry: OutboxEntry, error: unknown): void {
    const pending = entry as Pending
    if (error === undefined) pending.resolve()
    else pending.reject(error)
    this.#released(pending)
  }

  /** An entry has left: there is room for those that wait for it. */
  #released(entry: Pending): void {
    this.#room.remove(entry)
    for (let next = this.#blocked?.[0]; next && this.#room.hasRoom(next); next = this.#blocked?.[0]) {
      this.#blocked?.shift()
      this.#enqueue(next)
    }
    if (this.#isIdle) this.#settleIdle()
  }

  /** For its lease only: it ends with these in flight. */
  giveBack(held: readonly OutboxEntry[], reason: unknown): void {
    const entries = held as readonly Pending[]
    this.#lease = undefined
    const again = entries.filter((entry) => !entry.isWritten || entry.key !== undefined)
    if (again.length > 0) this.#queue = [...again, ...(this.#queue ?? [])]
    for (const entry of entries) {
      if (entry.isWritten && entry.key === undefined) this.settle(entry, this.#errors.unknownOutcome(reason))
    }
    this.#watchAge()
  }

  #abandon(entry: Pending, reason: unknown): void {
    entry.reject(entry.isWritten ? this.#errors.unknownOutcome(reason) : this.#errors.unsent(reason))
  }

  #follow(entry: Pending, signal: Signal): void {
    const { resolve, reject } = entry
    const onAbort = () => {
      this.#withdraw(entry)
      entry.reject(signal.reason)
    }
    const leave = () => signal.removeEventListener('abort', onAbort)
    signal.addEventListener('abort', onAbort)
    entry.resolve = () => {
      leave()
      resolve()
    }
    entry.reject = (reason) => {
      leave()
      reject(reason)
    }
  }

  /** A message that no attempt has taken is taken back; one in flight goes its way. */
  #withdraw(entry: Pending): void {
    remove(this.#blocked, entry)
    if (!remove(this.#queue, entry)) return
    this.#released(entry)
    this.#watchAge()
  }

  /** Keeps one deadline, for the oldest message that nobody takes. */
  #watchAge(): void {
    const { maxAgeMs = Number.POSITIVE_INFINITY } = this.#options
    if (!this.#time || maxAgeMs === Number.POSITIVE_INFINITY) return
    const oldest = this.#queue?.[0] ?? this.#blocked?.[0]
    const at = oldest && oldest.queuedAt + maxAgeMs
    if (this.#expiry?.at === at) return
    if (this.#expiry) this.#time.deadlines.remove(this.#expiry)
    this.#expiry = at === undefined ? undefined : this.#time.deadlines.add(at, () => this.#expire(at))
  }

  #expire(at: number): void {
    this.#expiry = undefined
    const { maxAgeMs = Number.POSITIVE_INFINITY } = this.#options
    const isOld = ({ queuedAt }: Pending) => queuedAt + maxAgeMs <= at
    for (const entry of this.#waiting.filter(isOld)) {
      this.#withdraw(entry)
      entry.reject(entry.isWritten ? this.#errors.unknownOutcome(undefined) : this.#errors.expired())
    }
    this.#watchAge()
  }

  get #waiting(): Pending[] {
    return [...(this.#queue ?? []), ...(this.#blocked ?? [])]
  }

  get #isIdle(): boolean {
    return (this.#bounds?.isEmpty ?? true) && !this.#blocked?.length
  }

  #settleIdle(): void {
    const idle = this.#idle ?? []
    this.#idle = undefined
    for (const resolve of idle) resolve()
  }
}

function remove<T>(list: T[] | undefined, item: T): boolean {
  const index = list ? list.indexOf(item) : -1
  if (index >= 0) list?.splice(index, 1)
  return index >= 0
}
