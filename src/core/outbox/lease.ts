/** One message that waits to be sent, or for its acknowledgement. */
export interface OutboxEntry {
  readonly message: unknown
  /** Safe to send again under this key. */
  readonly key: string | undefined
}

/** What a lease asks of its outbox. */
export interface LeaseOwner {
  take(): OutboxEntry | undefined
  settle(entry: OutboxEntry, error: unknown): void
  giveBack(entries: readonly OutboxEntry[], reason: unknown): void
}

/** One attempt's hold on an outbox. */
export class Lease {
  readonly wake: () => void
  readonly #owner: LeaseOwner
  /** Made with the first message: many channels only listen. */
  #inFlight: Set<OutboxEntry> | undefined
  #isReleased = false

  constructor(wake: () => void, owner: LeaseOwner) {
    this.wake = wake
    this.#owner = owner
  }

  get hasInFlight(): boolean {
    return this.#inFlight !== undefined && this.#inFlight.size > 0
  }

  /** The next message to write; it stays in flight until `done` or `failed`. */
  next(): OutboxEntry | undefined {
    if (this.#isReleased) return undefined
    const entry = this.#owner.take()
    if (entry) (this.#inFlight ??= new Set()).add(entry)
    return entry
  }

  /** The message has left: from now on a drop makes its outcome unknown. */
  written(entry: OutboxEntry): void {
    ;(entry as { isWritten?: boolean }).isWritten = true
  }

  /** Written where nothing is acknowledged, acknowledged otherwise. */
  done(entry: OutboxEntry): void {
    if (this.#inFlight?.delete(entry)) this.#owner.settle(entry, undefined)
  }

  /** The server refused this message. */
  failed(entry: OutboxEntry, error: unknown): void {
    if (this.#inFlight?.delete(entry)) this.#owner.settle(entry, error)
  }

  /** The attempt is over; what it held goes back, or rejects as unknown outcome. */
  release(reason: unknown): void {
    if (this.#isReleased) return
    this.#isReleased = true
    const held = [...(this.#inFlight ?? [])]
    this.#inFlight = undefined
    this.#owner.giveBack(held, reason)
  }
}
