/** One message that waits to be sent, or for its acknowledgement. */
export interface OutboxEntry {
  readonly message: unknown
  /** Safe to send again under this key. */
  readonly key: string | undefined
  readonly size: number
}

/** How much may wait, and what happens to one message more. */
export interface OutboxOptions {
  /** @defaultValue 1_000 */
  readonly maxMessages?: number
  /** @defaultValue 1 MiB */
  readonly maxBytes?: number
  /** `reject` the send at once, or `block` it until there is room. @defaultValue 'reject' */
  readonly overflow?: 'reject' | 'block'
  /** Bytes of one message; counted against `maxBytes`. */
  readonly measure?: (message: unknown) => number
}

interface Pending extends OutboxEntry {
  resolve(): void
  reject(reason: unknown): void
  isWritten: boolean
}

/** What the outbox asks its owner for, since errors name the call. */
export interface OutboxErrors {
  readonly overflow: () => unknown
  /** Never written: safe to send again. */
  readonly unsent: (reason: unknown) => unknown
  /** Written and not acknowledged: nobody knows. */
  readonly unknownOutcome: (reason: unknown) => unknown
}

/**
 * The send queue of one channel, over all its attempts: bounded, leased to one attempt at a time, never iterated.
 *
 * After a drop, a keyed message that was written and not acknowledged goes back to the front; a plain one rejects as
 * unknown outcome.
 */
export class Outbox {
  readonly #options: Required<OutboxOptions>
  readonly #errors: OutboxErrors
  #queued: Pending[] = []
  #blocked: (() => void)[] = []
  #bytes = 0
  #lease: Lease | undefined
  #isEnded = false
  #isClosed = false
  #closeReason: unknown
  #idle: (() => void)[] = []

  constructor(errors: OutboxErrors, options: OutboxOptions = {}) {
    this.#errors = errors
    this.#options = { maxMessages: 1000, maxBytes: 1 << 20, overflow: 'reject', measure: () => 0, ...options }
  }

  get size(): number {
    return this.#queued.length
  }

  /** No message will follow those that are queued. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Queues a message; resolves when the attempt says that it is done. */
  async send(message: unknown, key?: string): Promise<void> {
    const size = this.#options.measure(message)
    while (this.#isFull(size)) {
      if (this.#isClosed || this.#isEnded) break
      if (this.#options.overflow === 'reject') throw this.#errors.overflow()
      await new Promise<void>((resolve) => this.#blocked.push(resolve))
    }
    if (this.#isClosed || this.#isEnded) throw this.#errors.unsent(this.#closeReason)
    return new Promise<void>((resolve, reject) => {
      this.#queued.push({ message, key, size, resolve, reject, isWritten: false })
      this.#bytes += size
      this.#lease?.wake()
    })
  }

  /** Half-close: what is queued is still sent. */
  end(): void {
    this.#isEnded = true
    this.#release()
    this.#lease?.wake()
  }

  /** Rejects what is left as unsent, or as unknown where it was written. */
  close(reason: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#closeReason = reason
    this.#lease?.release(reason)
    for (const entry of this.#queued)
      entry.reject(entry.isWritten ? this.#errors.unknownOutcome(reason) : this.#errors.unsent(reason))
    this.#queued = []
    this.#bytes = 0
    this.#release()
    this.#settleIdle()
  }

  /** Resolves when nothing is queued or in flight. */
  flushed(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** Hands the queue to one attempt; the one before it has given it back. */
  lease(wake: () => void): Lease {
    this.#lease?.release(undefined)
    const lease = new Lease(wake, {
      take: () => this.#take(),
      settle: (entry, error) => this.#settle(entry as Pending, error),
      giveBack: (entries, reason) => this.#giveBack(entries as Pending[], reason),
    })
    this.#lease = lease
    if (this.#queued.length > 0 || this.#isEnded) wake()
    return lease
  }

  #take(): Pending | undefined {
    const entry = this.#queued.shift()
    if (!entry) return undefined
    this.#bytes -= entry.size
    this.#release()
    return entry
  }

  #settle(entry: Pending, error: unknown): void {
    if (error === undefined) entry.resolve()
    else entry.reject(error)
    if (this.#isIdle()) this.#settleIdle()
  }

  #giveBack(entries: Pending[], reason: unknown): void {
    this.#lease = undefined
    const again: Pending[] = []
    for (const entry of entries) {
      if (!entry.isWritten || (entry.key !== undefined && !this.#isClosed)) again.push(entry)
      else entry.reject(this.#errors.unknownOutcome(reason))
    }
    this.#queued = [...again, ...this.#queued]
    for (const entry of again) this.#bytes += entry.size
    if (this.#isIdle()) this.#settleIdle()
  }

  #isFull(size: number): boolean {
    if (this.#queued.length === 0) return false
    return this.#queued.length >= this.#options.maxMessages || this.#bytes + size > this.#options.maxBytes
  }

  #isIdle(): boolean {
    return this.#queued.length === 0 && !this.#lease?.hasInFlight
  }

  #release(): void {
    const blocked = this.#blocked
    this.#blocked = []
    for (const resume of blocked) resume()
  }

  #settleIdle(): void {
    const idle = this.#idle
    this.#idle = []
    for (const resolve of idle) resolve()
  }
}

interface LeaseOwner {
  take(): OutboxEntry | undefined
  settle(entry: OutboxEntry, error: unknown): void
  giveBack(entries: OutboxEntry[], reason: unknown): void
}

/** One attempt's hold on the outbox. */
export class Lease {
  readonly wake: () => void
  readonly #owner: LeaseOwner
  readonly #inFlight = new Set<OutboxEntry>()
  #isReleased = false

  constructor(wake: () => void, owner: LeaseOwner) {
    this.wake = wake
    this.#owner = owner
  }

  get hasInFlight(): boolean {
    return this.#inFlight.size > 0
  }

  /** The next message to write; it stays in flight until `done` or `failed`. */
  next(): OutboxEntry | undefined {
    if (this.#isReleased) return undefined
    const entry = this.#owner.take()
    if (entry) this.#inFlight.add(entry)
    return entry
  }

  /** The message has left: from now on a drop makes its outcome unknown. */
  written(entry: OutboxEntry): void {
    ;(entry as { isWritten?: boolean }).isWritten = true
  }

  /** Written where nothing is acknowledged, acknowledged otherwise. */
  done(entry: OutboxEntry): void {
    if (this.#inFlight.delete(entry)) this.#owner.settle(entry, undefined)
  }

  /** The server refused this message. */
  failed(entry: OutboxEntry, error: unknown): void {
    if (this.#inFlight.delete(entry)) this.#owner.settle(entry, error)
  }

  /** The attempt is over; what it held goes back, or rejects as unknown outcome. */
  release(reason: unknown): void {
    if (this.#isReleased) return
    this.#isReleased = true
    const held = [...this.#inFlight]
    this.#inFlight.clear()
    this.#owner.giveBack(held, reason)
  }
}
