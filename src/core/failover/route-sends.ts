import type { OperationInfo } from '../call/operation.ts'
import { sendQueueErrors } from '../send-queue/errors.ts'
import type { QueuedMessage, SendLease, Sends } from '../send-queue/sends.ts'
import type { ClientRoute } from './routes.ts'

/**
 * The send queue of a channel that has several routes: the attempt that is read writes, and no other.
 *
 *     route a ──drop──▶ its lease ends ──▶ route b takes the next one
 *     route a ──a better route opens beside──▶ a writes nothing new ──all acknowledged──▶ b takes over
 *
 * What one route has written and nobody has acknowledged goes to another one only under a key, where both say that their
 * servers share what they remember of keys (`idempotencyScope`); else its outcome is unknown.
 */
export class RouteSends implements Sends {
  readonly #queue: Sends
  readonly #operation: OperationInfo
  /** By which route a message was written last. */
  readonly #writtenBy = new WeakMap<QueuedMessage, ClientRoute>()
  /** Of the attempt that is read. */
  #current: RouteLease | undefined
  /** Of an attempt beside it, which waits for its turn. */
  #next: RouteLease | undefined
  #isBeside = false

  constructor(queue: Sends, operation: OperationInfo) {
    this.#queue = queue
    this.#operation = operation
  }

  /** What an attempt on a route takes its messages from. */
  of(route: ClientRoute): Sends {
    const sends = this
    return {
      get isEnded() {
        return sends.isEnded
      },
      lease: (wake) => this.#lease(route, wake),
    }
  }

  get isEnded(): boolean {
    return this.#queue.isEnded
  }

  /** For whoever knows no routes. */
  lease(wake: () => void): SendLease {
    return this.#queue.lease(wake)
  }

  /** The attempt that is made now is one beside the stream. */
  beginBeside(): void {
    this.#isBeside = true
  }

  /** Resolves once all that was written is acknowledged; nothing more is written by then. */
  async drain(): Promise<void> {
    this.#isBeside = false
    await this.#current?.drain()
  }

  /** The attempt beside it is the stream now. */
  turn(): void {
    const next = this.#next
    this.#next = undefined
    if (!next) return
    this.#current = next
    next.begin(this.#queue)
  }

  /** It is not: all stays as it was. */
  stay(): void {
    this.#isBeside = false
    if (this.#next) this.#current?.goOn()
    this.#next = undefined
  }

  /** For its leases: whether a message that another route has written may go by this one. */
  isAllowed(entry: QueuedMessage, { info }: ClientRoute): boolean {
    const by = this.#writtenBy.get(entry)
    if (!by || by.info === info) return true
    const { idempotencyScope } = info
    return idempotencyScope !== undefined && by.info.idempotencyScope === idempotencyScope
  }

  /** For its leases. */
  wrote(entry: QueuedMessage, route: ClientRoute): void {
    if (entry.key !== undefined) this.#writtenBy.set(entry, route)
  }

  /** For its leases: nobody knows what became of it. */
  unknownOutcome(): unknown {
    return sendQueueErrors({ operation: this.#operation }).unknownOutcome(undefined)
  }

  #lease(route: ClientRoute, wake: () => void): SendLease {
    const lease = new RouteLease(this, route, wake)
    if (this.#isBeside) this.#next = lease
    else {
      this.#current = lease
      lease.begin(this.#queue)
    }
    return lease
  }
}

/** One attempt's hold on the queue; nothing until its turn has come. */
class RouteLease implements SendLease {
  readonly #sends: RouteSends
  readonly #route: ClientRoute
  readonly #wake: () => void
  #inner: SendLease | undefined
  #isDraining = false
  /** Taken, and neither done nor failed. */
  #flying = 0
  #drained: (() => void) | undefined

  constructor(sends: RouteSends, route: ClientRoute, wake: () => void) {
    this.#sends = sends
    this.#route = route
    this.#wake = wake
  }

  begin(queue: Sends): void {
    this.#inner = queue.lease(this.#wake)
    this.#wake()
  }

  drain(): Promise<void> {
    this.#isDraining = true
    if (this.#flying === 0) return Promise.resolve()
    return new Promise((resolve) => (this.#drained = resolve))
  }

  goOn(): void {
    this.#isDraining = false
    this.#wake()
  }

  next(): QueuedMessage | undefined {
    const inner = this.#inner
    if (!inner || this.#isDraining) return undefined
    for (;;) {
      const entry = inner.next()
      if (entry && !this.#sends.isAllowed(entry, this.#route)) inner.failed(entry, this.#sends.unknownOutcome())
      else {
        if (entry) this.#flying++
        return entry
      }
    }
  }

  written(entry: QueuedMessage): void {
    this.#sends.wrote(entry, this.#route)
    this.#inner?.written(entry)
  }

  done(entry: QueuedMessage): void {
    this.#inner?.done(entry)
    this.#landed()
  }

  failed(entry: QueuedMessage, error: unknown): void {
    this.#inner?.failed(entry, error)
    this.#landed()
  }

  release(reason: unknown): void {
    this.#inner?.release(reason)
    this.#flying = 1
    this.#landed()
  }

  #landed(): void {
    if (--this.#flying === 0) this.#drained?.()
  }
}
