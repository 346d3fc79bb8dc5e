import type { Signal } from '../call/signal.ts'
import { snapshot } from '../call/snapshot.ts'
import type { Armed, Clock, DeadlineList } from '../time/clock.ts'
import type { SendQueueErrors } from './errors.ts'
import type { QueuedMessage, SendLease, Sends } from './sends.ts'

/** How much may wait, and what happens to one message more. */
export interface SendQueueOptions {
  /** Waiting and unacknowledged ones together. @defaultValue 1_000 */
  readonly maxMessages?: number | undefined
  /** Bytes of what waits. @defaultValue 1_048_576 (1 MiB) */
  readonly maxBytes?: number | undefined
  /** `reject` the send at once, or `block` it until there is room. @defaultValue 'reject' */
  readonly overflow?: 'reject' | 'block' | undefined
  /** A message that could not be written within this is rejected: what was said long ago is not said late; ms. @defaultValue never */
  readonly maxAgeMs?: number | undefined
  /** Bytes of one message; counted against `maxBytes` only while others wait beside it. */
  readonly measure?: ((message: unknown) => number) | undefined
}

interface Pending extends QueuedMessage {
  message: unknown
  readonly queuedAt: number
  /** Undefined until somebody else wants room: a message alone is never measured, since that may mean writing it down twice. */
  size: number | undefined
  /** It has been validated, and may be taken. */
  isReady: boolean
  isWritten: boolean
  resolve(): void
  reject(reason: unknown): void
}

type Check = ((message: unknown) => unknown | Promise<unknown>) | undefined
type Time = { readonly clock: Clock; readonly deadlines: DeadlineList }

/** An attempt's hold on the queue of its channel. */
class Lease implements SendLease {
  readonly wake: () => void
  readonly #sendQueue: SendQueue

  constructor(wake: () => void, sendQueue: SendQueue) {
    this.wake = wake
    this.#sendQueue = sendQueue
  }

  next(): QueuedMessage | undefined {
    return this.#sendQueue.take(this)
  }

  written(entry: QueuedMessage): void {
    ;(entry as Pending).isWritten = true
  }

  done(entry: QueuedMessage): void {
    this.#sendQueue.settle(this, entry, undefined)
  }

  failed(entry: QueuedMessage, error: unknown): void {
    this.#sendQueue.settle(this, entry, error)
  }

  release(reason: unknown): void {
    this.#sendQueue.release(this, reason)
  }
}

/**
 * The send queue of one channel, over all its attempts: bounded, leased to one attempt at a time, never iterated.
 *
 *     send ──▶ [blocked ──▶] queued ──next()──▶ in flight ──done()──▶ resolved
 *                              ▲                    │
 *                              └──lease released────┘  unless it was written without a key: unknown outcome
 *
 * Messages leave in the order of their `send()`: one whose validation takes its time holds up those behind it.
 */
export class SendQueue implements Sends {
  readonly #options: SendQueueOptions
  readonly #errors: SendQueueErrors
  readonly #time: Time | undefined
  // What holds messages is made with the first one, since many channels only listen.
  #queue: Pending[] | undefined
  #blocked: Pending[] | undefined
  #inFlight: Set<Pending> | undefined
  /** Of what is queued and in flight. */
  #count = 0
  #bytes = 0
  /** The only one that nobody has measured: it came when there was no other. */
  #unmeasured: Pending | undefined
  #lease: Lease | undefined
  #expiry: Armed | undefined
  #state: 'open' | 'ended' | 'closed' = 'open'
  #closeReason: unknown
  #idle: (() => void)[] | undefined

  constructor(errors: SendQueueErrors, options: SendQueueOptions = {}, time?: Time) {
    this.#options = options
    this.#errors = errors
    this.#time = time
  }

  /** Messages that no attempt has taken. */
  get size(): number {
    return this.#queue?.length ?? 0
  }

  /** No message will follow. */
  get isEnded(): boolean {
    return this.#state !== 'open' && this.size === 0 && !this.#blocked?.length
  }

  /**
   * Queues a message; resolves when the attempt says that it is done.
   *
   * @param signal - takes a message back that has not been written; one that has been can only be forgotten.
   * @param check - validates it, and gives what is sent.
   */
  send(message: unknown, key?: string, signal?: Signal, check?: Check): Promise<void> {
    if (this.#state !== 'open') return Promise.reject(this.#errors.unsent(this.#closeReason))
    if (signal?.aborted) return Promise.reject(signal.reason)
    return new Promise<void>((resolve, reject) => {
      const queuedAt = this.#time?.clock.now() ?? 0
      const isReady = check === undefined
      const entry: Pending = { message, key, queuedAt, size: undefined, isReady, isWritten: false, resolve, reject }
      if (signal) follow(entry, signal, () => this.#withdraw(entry))
      if (check && !this.#check(entry, check)) return
      if (!this.#blocked?.length && this.#hasRoom(entry)) this.#enqueue(entry)
      else if (this.#options.overflow === 'block') (this.#blocked ??= []).push(entry)
      else entry.reject(this.#errors.overflow())
      // What is not written yet, or may be written again, is kept as it is now.
      if (!entry.isWritten || key !== undefined) entry.message = snapshot(entry.message)
      this.#watchAge()
    })
  }

  /** Half-close: what is queued is still sent. */
  end(): void {
    if (this.#state === 'open') this.#state = 'ended'
    this.#lease?.wake()
  }

  /** Rejects what is left as unsent, or as unknown where it was written. */
  close(reason: unknown): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#closeReason = reason
    this.#lease?.release(reason)
    const left = this.#waiting
    this.#queue = this.#blocked = this.#unmeasured = undefined
    this.#count = this.#bytes = 0
    for (const entry of left) {
      entry.reject(entry.isWritten ? this.#errors.unknownOutcome(reason) : this.#errors.unsent(reason))
    }
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
    if (this.size > 0 || this.#state !== 'open') wake()
    return lease
  }

  /** For its lease only: hands out the next message, once that is validated. */
  take(lease: Lease): QueuedMessage | undefined {
    // A process that was stopped hears of its socket before its timers.
    if (this.#expiry && this.#time && this.#expiry.at <= this.#time.clock.now()) {
      this.#time.deadlines.remove(this.#expiry)
      this.#expire(this.#expiry.at)
    }
    const queue = this.#queue
    const entry = queue?.[0]
    if (!queue || !entry?.isReady || lease !== this.#lease) return undefined
    queue.shift()
    ;(this.#inFlight ??= new Set()).add(entry)
    if (queue.length === 0) this.#watchAge()
    return entry
  }

  /** For its lease only: a message is done, or was refused. */
  settle(lease: Lease, entry: QueuedMessage, error: unknown): void {
    const pending = entry as Pending
    if (lease !== this.#lease || !this.#inFlight?.delete(pending)) return
    if (error === undefined) pending.resolve()
    else pending.reject(error)
    this.#released(pending)
  }

  /** For its lease only: it ends, with what is in flight. */
  release(lease: Lease, reason: unknown): void {
    if (lease !== this.#lease) return
    this.#lease = undefined
    const entries = [...(this.#inFlight ?? [])]
    this.#inFlight = undefined
    const isLost = ({ isWritten, key }: Pending) => isWritten && key === undefined
    const again = entries.filter((entry) => !isLost(entry))
    if (again.length > 0) this.#queue = [...again, ...(this.#queue ?? [])]
    for (const entry of entries.filter(isLost)) {
      entry.reject(this.#errors.unknownOutcome(reason))
      this.#released(entry)
    }
    this.#watchAge()
  }

  /** False where it is refused at once. */
  #check(entry: Pending, check: NonNullable<Check>): boolean {
    const ready = (message: unknown): true => {
      entry.message = message
      entry.isReady = true
      return true
    }
    try {
      const checked = check(entry.message)
      if (!(checked instanceof Promise)) return ready(checked)
      checked.then(
        (message) => ready(message) && this.#lease?.wake(),
        (error: unknown) => {
          entry.reject(error)
          this.#withdraw(entry)
        },
      )
      return true
    } catch (error) {
      entry.reject(error)
      return false
    }
  }

  /** Whether one more may wait beside the others; one alone always may. */
  #hasRoom(entry: Pending): boolean {
    const { maxMessages = 1000, maxBytes = 1 << 20 } = this.#options
    if (this.#count === 0) return true
    if (this.#count >= maxMessages) return false
    const first = this.#unmeasured
    this.#unmeasured = undefined
    if (first) this.#bytes += this.#weigh(first)
    return this.#bytes + this.#weigh(entry) <= maxBytes
  }

  /** What cannot be measured cannot be written either: it fails alone, when its turn has come. */
  #weigh(entry: Pending): number {
    if (entry.size !== undefined) return entry.size
    try {
      entry.size = this.#options.measure?.(entry.message) ?? 0
    } catch {
      entry.size = 0
    }
    return entry.size
  }

  #enqueue(entry: Pending): void {
    if (this.#count++ === 0) this.#unmeasured = entry
    else this.#bytes += this.#weigh(entry)
    ;(this.#queue ??= []).push(entry)
    this.#lease?.wake()
  }

  /** An entry has left: there is room for those that wait for it. */
  #released(entry: Pending): void {
    this.#count--
    if (this.#unmeasured === entry) this.#unmeasured = undefined
    else this.#bytes -= this.#weigh(entry)
    for (let next = this.#blocked?.[0]; next && this.#hasRoom(next); next = this.#blocked?.[0]) {
      this.#blocked?.shift()
      this.#enqueue(next)
    }
    if (this.#idle && this.#isIdle) this.#settleIdle()
  }

  /** A message that no attempt has taken is taken back; one in flight goes its way. */
  #withdraw(entry: Pending): void {
    this.#blocked = this.#blocked?.filter((each) => each !== entry)
    const at = this.#queue?.indexOf(entry) ?? -1
    if (at < 0) return
    this.#queue?.splice(at, 1)
    this.#released(entry)
    this.#watchAge()
    // It may have held up those behind it.
    this.#lease?.wake()
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
    for (const entry of this.#waiting.filter(({ queuedAt }) => queuedAt + maxAgeMs <= at)) {
      entry.reject(entry.isWritten ? this.#errors.unknownOutcome(undefined) : this.#errors.expired())
      this.#withdraw(entry)
    }
    this.#watchAge()
  }

  get #waiting(): Pending[] {
    return [...(this.#queue ?? []), ...(this.#blocked ?? [])]
  }

  get #isIdle(): boolean {
    return this.#count === 0 && !this.#blocked?.length
  }

  #settleIdle(): void {
    const idle = this.#idle ?? []
    this.#idle = undefined
    for (const resolve of idle) resolve()
  }
}

/** Takes a message back when its sender's signal aborts; leaves no listener behind. */
function follow(entry: Pending, signal: Signal, withdraw: () => void): void {
  const { resolve, reject } = entry
  const onAbort = () => {
    entry.reject(signal.reason)
    withdraw()
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
