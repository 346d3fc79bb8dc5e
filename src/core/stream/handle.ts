import type { Call } from '../call/call.ts'
import type { Observer, Stream, StreamHead } from '../call/call-types.ts'
import type { Plan } from '../call/plan.ts'
import { discardReply, type Reply, type StreamReply } from '../call/reply.ts'
import { toKnownError } from '../call/run-unary.ts'
import type { Scope } from '../call/scope.ts'
import { addCaller, CallError, isAnyCallError } from '../errors/error.ts'
import { type CursorKeeper, type CursorPlace, kept } from '../store/cursor-place.ts'
import { bounded } from '../time/bounded.ts'
import { StreamObservers } from './observers.ts'
import { type ReaderOwner, StreamReader } from './reader.ts'
import type { MessageSource, SourceEnd } from './source.ts'
import type { Continuity, StreamState } from './state.ts'

/** Validates the input and builds the call. */
export type Prepare = () => Call | Promise<Call>

/**
 * One stream as the user holds it: opens on first use, is read by one loop or by any number of observers, ends its
 * call's scope once.
 */
export class StreamHandle<Message> implements Stream<Message>, AsyncIterator<Message>, ReaderOwner {
  protected readonly plan: Plan
  protected readonly scope: Scope
  /** Runs once, when the stream is first used, and is let go then. */
  #prepare: Prepare | undefined
  readonly #reader: StreamReader<Message>
  #observers: StreamObservers<Message> | undefined
  /** Who reads: this object as the first loop, a later loop, or the observers. */
  #holder: object | undefined
  /** Whom another one has taken over from: they get no second turn. */
  #displaced: WeakSet<object> | undefined
  #isOffered?: boolean
  /** The first loop reads, and nothing is kept of its place: the common case. */
  #isPlain?: boolean
  #keeper: CursorKeeper | undefined
  #call: Call | undefined
  #opening: Promise<StreamHead> | undefined
  #reply: StreamReply | undefined

  constructor(plan: Plan, scope: Scope, prepare: Prepare) {
    this.plan = plan
    this.scope = scope
    this.#prepare = prepare
    this.#reader = new StreamReader(this)
    scope.onAbort((reason) => this.#finish(reason))
    scope.onStreamState = (state, reason) => this.#tellState(state, reason)
  }

  /** As for HeaderMap. */
  get [Symbol.toStringTag](): string {
    return 'Stream'
  }

  get opened(): Promise<StreamHead> {
    return this.open()
  }

  get state(): StreamState {
    return this.#reader.isOver ? 'closed' : this.scope.streamState
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

  async close(): Promise<void> {
    this.#finish(undefined)
    await this.#keeper?.flushed()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  subscribe(observer: Observer<Message>): () => void {
    const observers = (this.#observers ??= new StreamObservers(this.scope.services.telemetry, () => this.#close()))
    if (this.#reader.isOver) return observers.addLate(observer, this.scope.failure)
    const isFed = this.#holder === observers
    if (!isFed && !this.#hold(observers) && (observer.next || observer.gap)) throw this.refusal(alreadyRead)
    const remove = observers.add(observer)
    if (!isFed && this.#holder === observers) this.#feed(observers)
    return () => {
      remove()
      if (observers.isEmpty && this.#holder === observers) this.#close()
    }
  }

  #close(): void {
    this.close().catch(noop)
  }

  /** What it fails with the observers have been told by then. No async function: thousands of streams may wait here. */
  #feed(observers: StreamObservers<Message>): void {
    const tell = (message: Message) => observers.tell(message)
    const read = (): void => void this.#read(observers).then(told, noop)
    const told = (result: IteratorResult<Message>): void => {
      if (result.done) return
      tell(result.value)
      this.#reader.drain(tell)
      read()
    }
    read()
  }

  #read(who: object): Promise<IteratorResult<Message>> {
    if (!this.#hold(who)) return Promise.reject(this.refusal(alreadyRead))
    const keeper = this.#keeper
    this.#isPlain = who === this && !keeper
    const result = this.#reader.next()
    return keeper ? kept(result, keeper) : result
  }

  /** Whether `who` may read: it does, or takes over from one that is not waiting and has not been taken over from. */
  #hold(who: object): boolean {
    const holder = this.#holder
    if (holder === who || this.#reader.isOver) return true
    const isFed = this.#observers !== undefined && holder === this.#observers
    if (isFed || this.#reader.isReading || this.#displaced?.has(who)) return false
    if (holder) (this.#displaced ??= new WeakSet()).add(holder)
    this.#holder = who
    this.#isPlain = false
    return true
  }

  /** A loop that was refused, or displaced, leaves the stream to the one that reads. */
  async #leave(who: object, ...errors: unknown[]): Promise<IteratorResult<Message>> {
    if (!this.#holder || this.#holder === who) await this.close()
    if (errors.length > 0) throw errors[0]
    return { value: undefined, done: true }
  }

  /** For its reader. */
  get convert(): ReaderOwner['convert'] {
    return this.plan.convert
  }

  /** For its reader: all has been read. */
  ended(end: SourceEnd): void {
    if (end.kind !== 'failed') this.#finish(undefined, 'ended', undefined, false)
    else {
      const error = this.#call ? toKnownError(end.error, this.#call) : end.error
      this.#finish(error, 'left', error, false)
    }
  }

  /** For its reader, which throws the error: a message could not be converted. */
  unreadable(error: unknown): void {
    this.#finish(undefined, 'left', error, false)
  }

  open(): Promise<StreamHead> {
    this.#opening ??= this.#begin()
    return this.#opening
  }

  async #begin(): Promise<StreamHead> {
    const { scope } = this
    const prepare = this.#prepare
    if (this.#reader.isOver || !prepare)
      throw this.refusal('the stream is closed: call the operation again for another one')
    this.#prepare = undefined
    scope.setStreamState('connecting')
    let call: Call | undefined
    try {
      call = this.#call = await bounded(scope, prepare)
      const { cursor } = call.options
      if (typeof cursor === 'object') call = await this.#restore(call, cursor)
      const ready = call
      const reply = streamOf(await bounded(scope, () => this.plan.route.chain(ready), { discard: discardReply }), call)
      if (this.#reader.isOver) {
        discardReply(reply)
        throw this.#left()
      }
      this.#reply = reply
      this.#reader.attach(reply.messages)
      this.onOpen(reply.messages)
      // Unless it has failed since, and resume is at work on it.
      if (scope.streamState === 'connecting') scope.setStreamState('open')
      return new Head(reply)
    } catch (error) {
      const known = call ? toKnownError(error, call) : error
      this.#finish(known, isAnyCallError(known) && known.code === 'out_of_range' ? 'lost' : 'left')
      throw addCaller(known)
    }
  }

  /** Begins where the stream before has stopped. */
  async #restore(call: Call, place: CursorPlace): Promise<Call> {
    const keeper = await bounded(call.scope, () => place.open(call, () => this.#reader.cursor))
    if (this.#reader.isOver) return call
    this.#keeper = keeper
    this.#reader.onIdle = () => keeper.progressed()
    this.#isPlain = false
    return call.with({ cursor: keeper.cursor })
  }

  /** The messages are there to be read. */
  protected onOpen(_messages: MessageSource): void {}

  /** The stream is over, with an error or without. */
  protected onOver(_error: unknown): void {}

  protected get isOver(): boolean {
    return this.#reader.isOver
  }

  protected get isOpen(): boolean {
    return this.#reply !== undefined && !this.#reader.isOver
  }

  /**
   * The stream is over: by its end, its failure, the reader, an abort or the client; the first one stands.
   *
   * @param isLeft - nobody waits for what came before it.
   */
  #finish(error: unknown, how: 'left' | 'ended' | 'lost' = 'left', failure = error, isLeft = true): void {
    if (this.#reader.isOver) return
    this.#keeper?.finish(isAnyCallError(error) && error.code === 'data_loss' ? 'lost' : how)
    this.onOver(error)
    this.#reader.finish(error, isLeft)
    const { scope } = this
    scope.failure = failure
    scope.setStreamState('closed')
    // Nobody waits for this opening any more: its wire is closed, too, which may be open where an interceptor has failed.
    if (this.#opening && !this.#reply) scope.abort(this.#left())
    scope.end()
    scope.onStreamState = undefined
    this.#observers?.finish(failure)
  }

  #tellState(state: StreamState, reason: CallError | undefined): void {
    if (this.#call) this.scope.services.telemetry?.event?.({ type: 'state', call: this.#call, state })
    this.#observers?.state(state, reason)
  }

  #left(): CallError {
    const message = 'the stream closed before it was open'
    return new CallError({ code: 'canceled', message }, this.#call)
  }

  protected refusal(message: string): CallError {
    return new CallError({ code: 'failed_precondition', message, sent: 'no' }, this.#call)
  }
}

const alreadyRead = 'the stream is read already: subscribe() takes several observers, another loop needs another call'

/** A getter of a class: one for each stream would cost each of them 0.3 KB. */
class Head implements StreamHead {
  readonly status: number
  readonly headers: StreamHead['headers']
  declare readonly operation?: string
  readonly #reply: StreamReply

  constructor(reply: StreamReply) {
    this.#reply = reply
    this.status = reply.status
    this.headers = reply.headers
    if (reply.operation) this.operation = reply.operation
  }

  get trailers(): StreamHead['trailers'] {
    return this.#reply.trailers
  }
}

/** The reply, where it is a stream. @throws {CallError} `internal` where a transport or an interceptor gave one message. */
export function streamOf(reply: Reply, call: Call): StreamReply {
  if (reply.kind === 'stream') return reply
  discardReply(reply)
  const message = 'one message came back for a stream'
  throw new CallError({ code: 'internal', message, phase: 'headers', sent: 'yes' }, call)
}

function noop(): void {}
