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
import type { Item } from './source.ts'
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

const done: IteratorResult<never> = Object.freeze({ value: undefined, done: true }) as IteratorResult<never>

/**
 * One stream as the user holds it: opens on first use, reads in batches inside and gives messages one by one, ends its
 * call's scope once.
 */
export class StreamHandle<Message> implements Duplex<unknown, Message>, AsyncIterator<Message> {
  readonly #start: StreamStart
  #call: Call | undefined
  #opening: Promise<void> | undefined
  #reply: StreamReply | undefined
  #batch: Item[] = []
  #index = 0
  /** Of the message handed out last; consumed when the next one is asked for. */
  #delivered: string | undefined
  #consumed: string | undefined
  #pull: Promise<unknown> | undefined
  #isClosed = false
  /** Failed, and nobody has been told yet. */
  #failure: { readonly error: unknown } | undefined
  readonly #observers = new Set<Observer<Message>>()

  constructor(start: StreamStart) {
    this.#start = start
    start.scope.onAbort((reason) => this.#fail(reason))
    start.scope.onStreamState = (state) => this.#tellState(state)
  }

  get opened(): Promise<void> {
    return this.#open()
  }

  get state(): StreamState {
    return this.#isClosed ? 'closed' : this.#start.scope.streamState
  }

  get cursor(): string | undefined {
    return this.#consumed || undefined
  }

  get continuity(): Continuity {
    return this.#reply?.continuity() ?? 'unknown'
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Message>> {
    if (this.#pull) return this.#queue(() => this.#advance())
    this.#consumed = this.#delivered
    const item = this.#batch[this.#index]
    if (item === undefined || this.#start.convert) return this.#queue(() => this.#advance())
    return Promise.resolve({ value: this.#hand(item) as Message, done: false })
  }

  async return(): Promise<IteratorResult<Message>> {
    await this.close()
    return done
  }

  async throw(error: unknown): Promise<IteratorResult<Message>> {
    await this.close()
    throw error
  }

  async send(message: unknown, options?: SendOptions): Promise<void> {
    const { outbox, outgoing } = this.#start
    if (!outbox) throw this.#error('failed_precondition', 'this stream only receives: nothing can be sent on it')
    const checked = outgoing ? await outgoing(message) : message
    if (this.#isClosed) throw this.#error('failed_precondition', 'the channel is closed: the message was not sent')
    const sent = outbox.send(checked, options?.key)
    this.#open().catch((error: unknown) => outbox.close(error))
    return options?.signal ? untilAborted(sent, options.signal) : sent
  }

  async end(): Promise<void> {
    this.#start.outbox?.end()
    await this.#start.outbox?.flushed()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    const { outbox, scope, lingerMs } = this.#start
    if (outbox && this.#reply && !scope.isOver)
      await Promise.race([outbox.flushed(), sleep(lingerMs, scope).catch(() => {})])
    this.#drop()
    this.#finish(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  subscribe(observer: Observer<Message>): () => void {
    this.#observers.add(observer)
    void this.#feed(observer)
    return () => {
      this.#observers.delete(observer)
      void this.close()
    }
  }

  async #feed(observer: Observer<Message>): Promise<void> {
    try {
      for (let result = await this.next(); !result.done; result = await this.next()) {
        if (isGap(result.value)) observer.gap?.(result.value)
        else observer.next?.(result.value)
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
    const { scope, chain } = this.#start
    if (this.#isClosed)
      throw this.#error('failed_precondition', 'the stream is closed: call the operation again for another one')
    scope.setStreamState('connecting')
    let call: Call | undefined
    try {
      call = this.#call = await this.#start.prepare()
      const reply = await Promise.race([start(call, chain), rejected(scope)])
      if (reply.kind !== 'stream')
        throw new CallError(
          { code: 'internal', message: 'a single message came back for a stream', phase: 'headers', sent: 'yes' },
          call,
        )
      if (this.#isClosed) return discardReply(reply)
      this.#reply = reply
      // Unless it has failed since, and resume is at work on it.
      if (scope.streamState === 'connecting') scope.setStreamState('open')
    } catch (error) {
      const known = call ? toKnownError(error, call) : error
      this.#finish(known)
      throw known
    }
  }

  /** One slow step after the other, however many `next()` are waiting. */
  #queue(step: () => Promise<IteratorResult<Message>>): Promise<IteratorResult<Message>> {
    const result = this.#pull ? this.#pull.then(step, step) : step()
    this.#pull = result
    const clear = () => {
      if (this.#pull === result) this.#pull = undefined
    }
    result.then(clear, clear)
    return result
  }

  async #advance(): Promise<IteratorResult<Message>> {
    this.#consumed = this.#delivered
    if (!this.#reply && !this.#isClosed) await this.#open().catch(() => {})
    for (;;) {
      const item = this.#batch[this.#index]
      if (item !== undefined) return { value: await this.#convert(this.#hand(item)), done: false }
      if (this.#failure) return this.#throwOnce()
      if (this.#isClosed || !this.#reply) return done
      await this.#refill(this.#reply)
    }
  }

  async #refill({ messages }: StreamReply): Promise<void> {
    const batch = messages.take()
    if (batch) {
      this.#batch = batch
      this.#index = 0
    } else if (messages.end) {
      this.#finish(messages.end.kind === 'failed' ? messages.end.error : undefined)
    } else {
      // All that came is consumed: skipped messages too, whose cursors count.
      this.#consumed = this.#delivered = messages.cursor ?? this.#delivered
      await messages.ready()
    }
  }

  #hand(item: Item): unknown {
    this.#index++
    if (item.cursor !== undefined) this.#delivered = item.cursor
    if (this.#index === this.#batch.length) {
      this.#batch = []
      this.#index = 0
    }
    return item.message
  }

  async #convert(message: unknown): Promise<Message> {
    const { convert } = this.#start
    if (!convert || isGap(message)) return message as Message
    try {
      return (await convert(message)) as Message
    } catch (error) {
      this.#finish(undefined)
      throw error
    }
  }

  #throwOnce(): never {
    const error = this.#failure?.error
    this.#failure = undefined
    throw error
  }

  /** Abort, absolute deadline or the client's end: what is queued is dropped, a waiting `next()` wakes. */
  #fail(reason: unknown): void {
    this.#drop()
    this.#finish(reason)
  }

  /** Who has left, or was told that it is over, gets nothing more. */
  #drop(): void {
    this.#batch = []
    this.#index = 0
  }

  #finish(error: unknown): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (error !== undefined) this.#failure = { error }
    this.#start.outbox?.close(error)
    this.#reply?.messages.close(error)
    this.#start.scope.setStreamState('closed')
    this.#start.scope.end()
    this.#start.scope.root.onStreamState = undefined
  }

  #tellState(state: StreamState): void {
    const { telemetry } = this.#start.scope.services
    if (this.#call) telemetry?.event?.({ type: 'state', call: this.#call, state })
    for (const observer of this.#observers) observer.state?.(state)
  }

  #error(code: 'failed_precondition', message: string): CallError {
    return new CallError({ code, message, phase: 'resolve', sent: 'no' }, this.#call)
  }
}

function rejected(scope: Scope): Promise<never> {
  return new Promise((_resolve, reject) => scope.onAbort(reject))
}

function untilAborted(sent: Promise<void>, signal: NonNullable<SendOptions['signal']>): Promise<void> {
  if (signal.aborted) return Promise.reject(signal.reason)
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort)
    sent.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
