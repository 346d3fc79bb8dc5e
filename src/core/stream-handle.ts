import { unlessAborted } from './aborted.ts'
import type { Call } from './call.ts'
import type { Duplex, Observer, SendOptions } from './call-types.ts'
import { CallError } from './error.ts'
import { isGap } from './gap.ts'
import type { Next } from './interceptor.ts'
import type { Outbox } from './outbox.ts'
import { discardReply, type StreamReply } from './reply.ts'
import { start, toKnownError } from './run-unary.ts'
import type { Scope } from './scope.ts'
import { sleep } from './sleep.ts'
import { StreamReader } from './stream-reader.ts'
import type { Continuity, StreamState } from './stream-state.ts'

/** What a stream needs of the facade. */
export interface StreamStart {
  readonly scope: Scope
  readonly chain: Next
  readonly outbox: Outbox | undefined
  /** Validates the input and builds the call; runs when the stream is first used. */
  readonly prepare: () => Call | Promise<Call>
  /** From a wire message to what the user gets; undefined where nothing is to be done. */
  readonly convert: ((message: unknown) => unknown | Promise<unknown>) | undefined
  /** Validates a message that is sent. */
  readonly outgoing: ((message: unknown) => unknown | Promise<unknown>) | undefined
  /** How long a closing duplex may still flush; ms. */
  readonly lingerMs: number
}

/** One stream as the user holds it: opens on first use, is read once, ends its call's scope once. */
export class StreamHandle<Message> implements Duplex<unknown, Message>, AsyncIterator<Message> {
  readonly #start: StreamStart
  readonly #reader: StreamReader<Message>
  #observers: Set<Observer<Message>> | undefined
  #call: Call | undefined
  #opening: Promise<void> | undefined
  #reply: StreamReply | undefined
  #isClosed = false

  constructor(start: StreamStart) {
    this.#start = start
    this.#reader = new StreamReader({
      open: () => this.#open(),
      close: (error) => this.#finish(error),
      convert: start.convert,
    })
    start.scope.onAbort((reason) => this.#finish(reason))
    start.scope.onStreamState = (state) => this.#tellState(state)
  }

  get opened(): Promise<void> {
    return this.#open()
  }

  get state(): StreamState {
    return this.#isClosed ? 'closed' : this.#start.scope.streamState
  }

  get cursor(): string | undefined {
    return this.#reader.cursor
  }

  get continuity(): Continuity {
    return this.#reply?.continuity() ?? 'unknown'
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Message>> {
    return this.#reader.next()
  }

  async return(): Promise<IteratorResult<Message>> {
    await this.close()
    return { value: undefined, done: true }
  }

  async throw(error: unknown): Promise<IteratorResult<Message>> {
    await this.close()
    throw error
  }

  async send(message: unknown, options?: SendOptions): Promise<void> {
    const { outbox, outgoing } = this.#start
    if (!outbox) throw this.#refusal('this stream only receives: nothing can be sent on it')
    const checked = outgoing ? await outgoing(message) : message
    if (this.#isClosed) throw this.#refusal('the channel is closed: the message was not sent')
    const sent = outbox.send(checked, options?.key, options?.signal)
    this.#open().catch((error: unknown) => outbox.close(error))
    return sent
  }

  async end(): Promise<void> {
    this.#start.outbox?.end()
    await this.#start.outbox?.flushed()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    const { outbox, scope, lingerMs } = this.#start
    if (outbox && this.#reply && !scope.isOver) {
      const lingering = scope.fork()
      await Promise.race([outbox.flushed(), sleep(lingerMs, lingering).catch(() => {})])
      lingering.abort(undefined)
    }
    this.#finish(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  subscribe(observer: Observer<Message>): () => void {
    ;(this.#observers ??= new Set()).add(observer)
    void this.#feed(observer)
    return () => {
      this.#observers?.delete(observer)
      void this.close()
    }
  }

  async #feed(observer: Observer<Message>): Promise<void> {
    const give = (message: Message) => {
      if (isGap(message)) observer.gap?.(message)
      else observer.next?.(message)
    }
    try {
      for (let result = await this.next(); !result.done; result = await this.next()) {
        give(result.value)
        this.#reader.drain(give)
      }
      observer.end?.()
    } catch (error) {
      void this.close()
      observer.error?.(error)
    }
  }

  #open(): Promise<void> {
    this.#opening ??= this.#begin()
    return this.#opening
  }

  async #begin(): Promise<void> {
    const { scope, chain, outbox } = this.#start
    if (this.#isClosed) throw this.#refusal('the stream is closed: call the operation again for another one')
    scope.setStreamState('connecting')
    let call: Call | undefined
    try {
      call = this.#call = await unlessAborted(scope, this.#start.prepare())
      const opening = start(call, chain)
      // A stream that opens after its call has ended is closed on arrival.
      opening.then((late) => scope.isOver && discardReply(late)).catch(() => {})
      const reply = await unlessAborted(scope, opening)
      if (reply.kind !== 'stream') throw notAStream(call)
      if (this.#isClosed) return discardReply(reply)
      this.#reply = reply
      this.#reader.attach(reply.messages)
      // Nothing can be sent on a stream that is over, though its last messages are still to be read.
      if (outbox) reply.messages.onSettled((end) => outbox.close(end.kind === 'failed' ? end.error : undefined))
      // Unless it has failed since, and resume is at work on it.
      if (scope.streamState === 'connecting') scope.setStreamState('open')
    } catch (error) {
      const known = call ? toKnownError(error, call) : error
      this.#finish(known)
      throw known
    }
  }

  /** The stream is over: by its end, its failure, the reader, an abort or the client; the first one stands. */
  #finish(error: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { outbox, scope } = this.#start
    outbox?.close(error)
    this.#reader.finish(error)
    scope.failure = error
    scope.setStreamState('closed')
    // Nobody waits for this opening any more: its wire is closed, too.
    if (error === undefined && this.#opening && !this.#reply) scope.abort(this.#left())
    scope.end()
    scope.onStreamState = undefined
  }

  #tellState(state: StreamState): void {
    if (this.#call) this.#start.scope.services.telemetry?.event?.({ type: 'state', call: this.#call, state })
    for (const observer of this.#observers ?? []) observer.state?.(state)
  }

  #left(): CallError {
    const { phase, sent } = this.#start.scope
    const message = 'the stream was closed before it was open'
    return new CallError({ code: 'canceled', message, phase, sent }, this.#call)
  }

  #refusal(message: string): CallError {
    return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, this.#call)
  }
}

function notAStream(call: Call): CallError {
  const message = 'a single message came back for a stream'
  return new CallError({ code: 'internal', message, phase: 'headers', sent: 'yes' }, call)
}
