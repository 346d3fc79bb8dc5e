import type { Call } from '../../../src/core/call/call.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import type { Failure } from '../../../src/core/errors/failure.ts'
import type { QueuedMessage, SendLease, Sends } from '../../../src/core/send-queue/sends.ts'
import type { Connection } from '../link/connection.ts'
import type { Congestion } from '../link/flow.ts'
import { noFrame, unwritable } from '../link/loss.ts'
import type { WireFrames } from '../wire-adapter.ts'
import type { ChannelSubscription } from './channel-subscription.ts'
import type { SocketSession } from './session.ts'

/**
 * Writes what waits in a channel's send queue, as fast as the socket takes it, while it holds the lease: one attempt's
 * sending half.
 */
export class ChannelSender {
  readonly #call: Call
  readonly #sendQueue: Sends
  readonly #session: SocketSession
  readonly #connection: Connection
  readonly #subscription: ChannelSubscription
  /** Made with the first acknowledgement that is waited for. */
  #unacked: Set<number> | undefined
  #lease: SendLease | undefined
  #isWaiting?: boolean

  constructor(
    call: Call,
    sendQueue: Sends,
    session: SocketSession,
    connection: Connection,
    subscription: ChannelSubscription,
  ) {
    this.#call = call
    this.#sendQueue = sendQueue
    this.#session = session
    this.#connection = connection
    this.#subscription = subscription
  }

  /** Messages are out whose acknowledgement has not come. */
  get isAwaitingAcks(): boolean {
    return this.#unacked !== undefined && this.#unacked.size > 0
  }

  start(): void {
    if (this.#lease) return
    this.#lease = this.#sendQueue.lease(this.#pump)
    this.#pump()
  }

  /** Gives the lease back, with what was written and not acknowledged. */
  stop(reason: unknown): void {
    for (const ref of this.#unacked ?? []) this.#session.forget(ref)
    this.#unacked = undefined
    const lease = this.#lease
    this.#lease = undefined
    lease?.release(reason)
  }

  readonly #pump = (): void => {
    const connection = this.#connection
    while (this.#lease && !this.#isWaiting) {
      if (connection.congestion) {
        this.#waitForRoom(connection.congestion)
        return
      }
      const lease = this.#lease
      const entry = lease.next()
      if (!entry) return
      const { topic, ref: subscription } = this.#subscription
      const ref = ++this.#session.lastRef
      const isAcked = this.#session.hasAcks
      const { message, key } = entry
      let frame: WireFrames
      try {
        frame = connection.adapter.publish({ topic, subscription, ref, key, message, isAcked })
        if (frame === undefined) throw noFrame(frame)
        // Where it cannot be written the socket is gone, and the entry stays with the lease.
        if (!connection.write(frame)) return
      } catch (cause) {
        lease.failed(entry, this.#toError(unwritable('the message', cause)))
        continue
      }
      lease.written(entry)
      if (isAcked) this.#expect(lease, entry, ref)
      else lease.done(entry)
    }
  }

  #waitForRoom(congestion: Congestion): void {
    this.#isWaiting = true
    congestion.whenRoom(() => {
      this.#isWaiting = false
      this.#pump()
    })
  }

  #expect(lease: SendLease, entry: QueuedMessage, ref: number): void {
    const unacked = (this.#unacked ??= new Set())
    unacked.add(ref)
    const settle = (error?: CallError) => {
      unacked.delete(ref)
      if (error) lease.failed(entry, error)
      else lease.done(entry)
      this.#pump()
    }
    this.#session.expect(ref, {
      onAck: () => settle(),
      onError: (failure) => settle(this.#toError({ ...failure, phase: 'send', sent: 'yes' })),
    })
  }

  #toError(failure: Failure): CallError {
    return new CallError(failure, this.#call)
  }
}
