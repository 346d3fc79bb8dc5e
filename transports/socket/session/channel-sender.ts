import type { Failure } from '../../../src/core/errors/failure.ts'
import type { Lease, Outbox, OutboxEntry } from '../../../src/core/outbox/outbox.ts'
import type { Line, SessionWire } from '../wire.ts'
import type { WireFrame } from '../wire-adapter.ts'

/** What a sender needs of its channel. */
export interface SenderOwner {
  /** @throws where the message cannot be written down. */
  encode(entry: OutboxEntry, ref: number, isAcked: boolean): WireFrame
  toError(failure: Failure): unknown
}

/**
 * Writes what waits in a channel's outbox, as fast as the socket takes it, while it holds the lease: one attempt's
 * sending half.
 */
export class ChannelSender {
  readonly #outbox: Outbox
  readonly #wire: SessionWire
  readonly #line: Line
  readonly #owner: SenderOwner
  /** Made with the first acknowledgement that is waited for. */
  #unacked: Set<number> | undefined
  #lease: Lease | undefined
  #isWaiting = false

  constructor(outbox: Outbox, wire: SessionWire, line: Line, owner: SenderOwner) {
    this.#outbox = outbox
    this.#wire = wire
    this.#line = line
    this.#owner = owner
  }

  /** Messages are out whose acknowledgement has not come. */
  get isAwaitingAcks(): boolean {
    return this.#unacked !== undefined && this.#unacked.size > 0
  }

  start(): void {
    if (this.#lease) return
    this.#lease = this.#outbox.lease(() => this.#pump())
    this.#pump()
  }

  /** Gives the lease back, with what was written and not acknowledged. */
  stop(reason: unknown): void {
    for (const ref of this.#unacked ?? []) this.#wire.forget(ref)
    this.#unacked = undefined
    const lease = this.#lease
    this.#lease = undefined
    lease?.release(reason)
  }

  #pump(): void {
    while (this.#lease && !this.#isWaiting) {
      if (this.#line.pacing.isCongested) {
        this.#waitForRoom()
        return
      }
      const entry = this.#lease.next()
      if (!entry || !this.#send(this.#lease, entry)) return
    }
  }

  #waitForRoom(): void {
    this.#isWaiting = true
    this.#line.pacing.whenRoom(() => {
      this.#isWaiting = false
      this.#pump()
    })
  }

  /** False where the socket is gone: the entry stays with the lease, unwritten. */
  #send(lease: Lease, entry: OutboxEntry): boolean {
    const isAcked = this.#wire.hasAcks
    const ref = this.#wire.nextRef()
    let frame: WireFrame
    try {
      frame = this.#owner.encode(entry, ref, isAcked)
    } catch (cause) {
      const message = 'the message cannot be written down as a frame: see cause; it was not sent'
      lease.failed(entry, this.#owner.toError({ code: 'invalid_argument', message, phase: 'send', sent: 'no', cause }))
      return true
    }
    if (!this.#line.write(frame)) return false
    lease.written(entry)
    if (isAcked) this.#expect(lease, entry, ref)
    else lease.done(entry)
    return true
  }

  #expect(lease: Lease, entry: OutboxEntry, ref: number): void {
    const unacked = (this.#unacked ??= new Set())
    unacked.add(ref)
    const settle = (run: () => void) => {
      unacked.delete(ref)
      run()
      this.#pump()
    }
    this.#wire.expect(ref, {
      onAck: () => settle(() => lease.done(entry)),
      onError: (failure) =>
        settle(() => lease.failed(entry, this.#owner.toError({ ...failure, phase: 'send', sent: 'yes' }))),
    })
  }
}
