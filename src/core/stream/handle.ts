import type { Call } from '../call/call.ts'
import type { Duplex, Observer, SendOptions, StreamHead } from '../call/call-types.ts'
import { discardReply, type StreamReply } from '../call/reply.ts'
import { toKnownError } from '../call/run-unary.ts'
import { CallError, isAnyCallError } from '../errors/error.ts'
import { type CursorKeeper, type CursorPlace, kept } from '../store/cursor-place.ts'
import { bounded } from '../time/bounded.ts'
import { linger } from './linger.ts'
import { notAStream } from './not-a-stream.ts'
import { StreamObservers } from './observers.ts'
import { StreamReader } from './reader.ts'
import { ReadingTurn } from './reading-turn.ts'
import type { StreamStart } from './start.ts'
import type { Continuity, StreamState } from './state.ts'

/**
 * One stream as the user holds it: opens on first use, is read by one loop or by any number of observers, ends its
 * call's scope once.
 */
export class StreamHandle<Message> implements Duplex<unknown, Message>, AsyncIterator<Message> {
  readonly #start: StreamStart
  readonly #reader: StreamReader<Message>
  #observers: StreamObservers<Message> | undefined
  /** Who reads: this object as the first loop, a later loop, or the observers. */
  readonly #turn = new ReadingTurn()
  #isOffered = false
  /** The first loop reads, and nothing is kept of its place: the common case. */
  #isPlain = false
  #keeper: CursorKeeper | undefined
  #call: Call | undefined
  #opening: Promise<StreamHead> | undefined
  #reply: StreamReply | undefined
  #isClosed = false

  constructor(start: StreamStart) {
    this.#start = start
    this.#reader = new StreamReader({
      open: () => this.#open(),
      close: (error) => this.#finish(undefined, 'left', error),
      ended: (end) => (end.kind === 'failed' ? this.#finish(end.error) : this.#finish(undefined, 'ended')),
      convert: start.convert,
    })
    start.scope.onAbort((reason) => this.#finish(reason))
    start.scope.onStreamState = (state) => this.#tellState(state)
  }

  get opened(): Promise<StreamHead> {
    return this.#open()
  }

  get state(): StreamState {
    return this.#isClosed ? 'closed' : this.#start.scope.streamState
  }

  get cursor(): string | undefined {
    return this.#reader.cursor || undefined
  }

  get continuity(): Continuity {
    return this.#reply?.continuity() ?? 'unknown'
  }

  /** A second loop takes over from one that is not waiting for a message. */
  [Symbol.asyncIterator](): AsyncIterator<Message> {
    if (!this.#isOffered) {
      this.#isOffered = true
      return this
    }
    const loop: AsyncIterator<Message> = {
      next: () => this.#read(loop),
      return: () => this.#leave(loop),
      throw: (error) => this.#leave(loop, error),
    }
    return loop
  }

  next(): Promise<IteratorResult<Message>> {
    return this.#isPlain ? this.#reader.next() : this.#read(this)
  }

  return(): Promise<IteratorResult<Message>> {
    return this.#leave(this)
  }

  throw(error: unknown): Promise<IteratorResult<Message>> {
    return this.#leave(this, error)
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
    const { outbox, scope, lingerMs } = this.#start
    if (outbox && this.#reply && !this.#isClosed) await linger(outbox, scope, lingerMs)
    this.#finish(undefined)
    await this.#keeper?.flushed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  subscribe(observer: Observer<Message>): () => void {
    const observers = (this.#observers ??= new StreamObservers())
    if (this.#isClosed) return observers.addLate(observer, this.#start.scope.failure)
    const isFed = this.#turn.holder === observers
    if (!isFed && !this.#hold(observers) && (observer.next || observer.gap)) throw this.#refusal(alreadyRead)
    const remove = observers.add(observer)
    if (!isFed && this.#turn.holder === observers) this.#feed(observers).catch(noop)
    return () => {
      remove()
      if (observers.isEmpty && this.#turn.holder === observers) this.close().catch(noop)
    }
  }

  /** What it fails with the observers have been told by then. */
  async #feed(observers: StreamObservers<Message>): Promise<void> {
    const tell = (message: Message) => {
      observers.tell(message)
      if (observers.isEmpty) this.close().catch(noop)
    }
    for (let result = await this.#read(observers); !result.done; result = await this.#read(observers)) {
      tell(result.value)
      this.#reader.drain(tell)
    }
  }

  #read(who: object): Promise<IteratorResult<Message>> {
    if (!this.#hold(who)) return Promise.reject(this.#refusal(alreadyRead))
    const keeper = this.#keeper
    this.#isPlain = who === this && !keeper
    const result = this.#reader.next()
    return keeper ? kept(result, keeper) : result
  }

  /** Whether `who` may read. */
  #hold(who: object): boolean {
    if (this.#turn.holder === who || this.#isClosed) return true
    const isFed = this.#observers !== undefined && this.#turn.holder === this.#observers
    const isTaken = !isFed && !this.#reader.isReading && this.#turn.take(who)
    if (isTaken) this.#isPlain = false
    return isTaken
  }

  /** A loop that was refused, or displaced, leaves the stream to the one that reads. */
  async #leave(who: object, ...errors: unknown[]): Promise<IteratorResult<Message>> {
    if (this.#turn.isOf(who)) await this.close()
    if (errors.length > 0) throw errors[0]
    return { value: undefined, done: true }
  }

  #open(): Promise<StreamHead> {
    this.#opening ??= this.#begin()
    return this.#opening
  }

  async #begin(): Promise<StreamHead> {
    const { scope, chain, outbox, prepare } = this.#start
    if (this.#isClosed || !prepare)
      throw this.#refusal('the stream is closed: call the operation again for another one')
    this.#start.prepare = undefined
    scope.setStreamState('connecting')
    let call: Call | undefined
    try {
      call = this.#call = await bounded(scope, prepare)
      const { cursor } = call.options
      if (typeof cursor === 'object') call = await this.#restore(call, cursor)
      const ready = call
      const reply = await bounded(scope, () => chain(ready), { discard: discardReply })
      if (reply.kind !== 'stream') throw notAStream(call)
      if (this.#isClosed) {
        discardReply(reply)
        throw this.#left()
      }
      this.#reply = reply
      this.#reader.attach(reply.messages)
      // Nothing can be sent on a stream that is over, though its last messages are still to be read.
      if (outbox) reply.messages.onSettled((end) => outbox.close(end.kind === 'failed' ? end.error : undefined))
      // Unless it has failed since, and resume is at work on it.
      if (scope.streamState === 'connecting') scope.setStreamState('open')
      return { status: reply.status, headers: reply.headers }
    } catch (error) {
      const known = call ? toKnownError(error, call) : error
      this.#finish(known, isAnyCallError(known) && known.code === 'out_of_range' ? 'lost' : 'left')
      throw known
    }
  }

  /** Begins where the stream before has stopped. */
  async #restore(call: Call, place: CursorPlace): Promise<Call> {
    const keeper = await bounded(call.scope, () => place.open(call, () => this.#reader.cursor))
    if (this.#isClosed) return call
    this.#keeper = keeper
    this.#reader.onIdle = () => keeper.progressed()
    this.#isPlain = false
    return call.with({ cursor: keeper.cursor })
  }

  /** The stream is over: by its end, its failure, the reader, an abort or the client; the first one stands. */
  #finish(error: unknown, how: 'left' | 'ended' | 'lost' = 'left', failure = error): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#keeper?.finish(isAnyCallError(error) && error.code === 'data_loss' ? 'lost' : how)
    const { outbox, scope } = this.#start
    outbox?.close(error)
    this.#reader.finish(error)
    scope.failure = failure
    scope.setStreamState('closed')
    // Nobody waits for this opening any more: its wire is closed, too.
    if (error === undefined && this.#opening && !this.#reply) scope.abort(this.#left())
    scope.end()
    scope.onStreamState = undefined
    this.#observers?.finish(failure)
  }

  #tellState(state: StreamState): void {
    if (this.#call) this.#start.scope.services.telemetry?.event?.({ type: 'state', call: this.#call, state })
    this.#observers?.state(state)
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

const alreadyRead =
  'the stream is being read already: subscribe() takes several observers, a loop of its own needs a call of its own'

function noop(): void {}
