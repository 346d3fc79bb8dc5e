import type { Call } from '../call/call.ts'
import type { Duplex, SendOptions } from '../call/call-types.ts'
import { defineOperation, type Operation, type OperationInfo } from '../call/operation.ts'
import type { Plan } from '../call/plan.ts'
import type { Scope } from '../call/scope.ts'
import { addCaller } from '../errors/error.ts'
import { sendQueueErrors } from '../send-queue/errors.ts'
import { SendQueue } from '../send-queue/send-queue.ts'
import { sleep } from '../time/bounded.ts'
import { StreamHandle } from './handle.ts'
import type { MessageSource } from './source.ts'
import { receiving, type Streaming } from './streaming.ts'

/** How long a closing duplex may still flush; ms. */
const lingerMs = 1000

/** A stream that sends, too. */
class DuplexHandle<Message> extends StreamHandle<Message> implements Duplex<unknown, Message> {
  readonly #sendQueue: SendQueue

  constructor(plan: Plan, scope: Scope, prepare: (sendQueue: SendQueue) => Call | Promise<Call>) {
    const sendQueue = new SendQueue(sendQueueErrors({ operation: plan.info }), plan.info.sendQueue, scope.services)
    super(plan, scope, () => prepare(sendQueue))
    this.#sendQueue = sendQueue
  }

  async send(message: unknown, options?: SendOptions): Promise<void> {
    if (this.isOver) throw this.refusal('the channel is closed: the message was not sent')
    const sent = this.#sendQueue.send(message, options?.key, options?.signal, this.plan.encodeMessage)
    this.open().catch((error: unknown) => this.#sendQueue.close(error))
    try {
      await sent
    } catch (error) {
      throw addCaller(error)
    }
  }

  async end(): Promise<void> {
    this.#sendQueue.end()
    await this.#sendQueue.flushed()
  }

  /** What is to be sent is written first, for a while. */
  override async close(): Promise<void> {
    const { scope } = this
    if (this.isOpen && !scope.isOver) {
      const lingering = scope.fork()
      await Promise.race([this.#sendQueue.flushed(), sleep(lingerMs, lingering).catch(() => {})])
      lingering.abort(undefined)
    }
    await super.close()
  }

  /** Nothing can be sent on a stream that is over, though its last messages are still to be read. */
  protected override onOpen(messages: MessageSource): void {
    messages.onSettled((end) => this.#sendQueue.close(end.kind === 'failed' ? end.error : undefined))
  }

  protected override onOver(error: unknown): void {
    this.#sendQueue.close(error)
  }
}

/** What streams need that send, too. */
export const duplexing: Streaming = {
  handle: (plan, scope, prepare) => new DuplexHandle(plan, scope, prepare),
  resume: receiving.resume,
}

/** Makes an operation that streams of its run-time half; unary ones are made by {@link defineOperation}. */
export function defineStream<O extends Operation<any, any>>(info: OperationInfo): O {
  return defineOperation<O>({ ...info, streaming: info.kind === 'bidi_stream' ? duplexing : receiving })
}
