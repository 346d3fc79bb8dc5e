import { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Next } from '../../src/core/call/interceptor.ts'
import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { MessageSource, Reply, StreamReply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError, failureOf, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { openWithin } from '../../src/core/resume/opening.ts'
import { LateTrailers } from '../../src/core/stream/late-trailers.ts'
import { type Item, Source, type SourceOptions } from '../../src/core/stream/source.ts'
import type { Armed } from '../../src/core/time/clock.ts'
import type { RequestParts } from '../http/input.ts'
import { type DurableBatch, noJson } from './durable-batch.ts'
import { isNotOffered, type LiveWay } from './live-way.ts'

/** How a stream is followed once all that was there has been read; `false`: it ends there. */
export type DurableLive = 'sse' | 'long-poll' | false

/** The way in which one request asks. */
export type DurableMode = 'catch-up' | Exclude<DurableLive, false>

/** What a request of a durable stream is made of. */
export interface DurableInput extends RequestParts {
  readonly mode: DurableMode
}

/** How one durable stream is read. */
export interface DurableSettings {
  readonly live: DurableLive
  readonly way: LiveWay
  /** Of one request of it. */
  readonly operation: OperationInfo
  /** Bounds each request but a long poll; ms. */
  readonly timeoutMs: number
}

/** A long poll is answered when something comes, or when the server is tired of waiting; ms. */
const longPollMs = 120_000
/** An event stream says at once where it stands; one that says nothing for so long is held back, or dead; ms. */
const firstWordMs = 5000
/** Between two live requests of which the first has brought nothing: a server that waits takes longer than that; ms. */
const leastMs = 1000
/** More than this without a word of where the stream goes on: UTF-16 units. */
const maxHeld = 16_777_216

/**
 * Opens one run of a durable stream: requests that follow one another, each through the rest of the chain, read as one
 * stream. What breaks any of them breaks the run, which is opened again behind the last offset.
 */
export async function openDurable(call: Call, next: Next, settings: DurableSettings): Promise<Reply> {
  const session = new DurableSession(call, next, settings)
  const reply = await session.open()
  if (reply.kind === 'stream') session.start(reply)
  return reply.kind === 'stream' ? session : reply
}

class DurableSession implements StreamReply, SourceOptions {
  readonly kind = 'stream'
  readonly call: Call
  readonly sifted = { isExact: true }
  readonly messages: Source
  status = 200
  headers = HeaderMap.empty
  readonly #next: Next
  readonly #settings: DurableSettings
  readonly #trailers = new LateTrailers()
  /** Where the run begins, and the next request of it. */
  readonly #begin: string
  #offset: string
  #cursor: string | undefined
  /** Of the request under way. */
  #mode: DurableMode = 'catch-up'
  #askedAt = 0
  /** What has come without a word of where the stream goes on behind it: a drop brings it again. */
  #held: unknown[] = []
  #heldSize = 0
  #current: MessageSource | undefined
  #scope: Scope | undefined
  /** Until when an event stream is to say something, while it has not. */
  #first: Armed | undefined
  #isHeldBack = false
  #isPaused = false
  #resume: (() => void) | undefined

  constructor(call: Call, next: Next, settings: DurableSettings) {
    this.call = call
    this.#next = (each) => next(each).catch(this.#refused)
    this.#settings = settings
    const { offset } = (call.input as RequestParts).query as { readonly offset?: string }
    this.#begin = this.#offset = call.cursor ?? offset ?? '-1'
    this.messages = new Source(this)
  }

  get trailers(): Promise<HeaderMap> {
    return this.#trailers.promise
  }

  continuity(): 'exact' {
    return 'exact'
  }

  /** The first request. */
  open(): Promise<Reply> {
    // A live event stream begins with what was missed; a long poll would hold the opening up.
    if (this.call.isReopen && this.#live === 'sse') return this.#askFor('sse')
    return this.#next(this.#asking(this.call))
  }

  /** The call of one request. */
  #asking(call: Call): Call {
    const mode = this.#mode
    const { params, query, headers } = call.input as RequestParts
    const live = mode === 'catch-up' ? undefined : mode
    const input: DurableInput = {
      mode,
      params,
      query: { ...query, offset: this.#offset, live, cursor: live && this.#cursor },
      headers: mode === 'sse' ? headers : { ...headers, accept: 'application/json' },
      body: undefined,
    }
    return new Call({ ...call, operation: this.#settings.operation, input, cursor: undefined })
  }

  start(reply: StreamReply): void {
    this.status = reply.status
    this.headers = reply.headers
    this.#run(reply)
      .then(
        () => this.messages.finish(),
        (error: unknown) => this.messages.fail(error),
      )
      .finally(() => this.#trailers.settle(() => HeaderMap.empty))
  }

  onPause(): void {
    this.#isPaused = true
  }

  onResume(): void {
    this.#isPaused = false
    this.#resume?.()
  }

  /** The reader has left. */
  onClose(reason: unknown): void {
    this.#heard()
    this.#resume?.()
    this.#current?.close(reason)
    this.#scope?.abort(reason ?? new Error('the stream was left'))
  }

  /** Request after request, until the stream is closed, or read as far as it is to be read. */
  async #run(first: StreamReply): Promise<void> {
    for (let reply = first; ; ) {
      const before = this.#offset
      const last = await this.#read(reply)
      this.#scope?.end()
      this.#scope = undefined
      if (last?.isClosed || this.messages.isSettled) return
      if (last?.isUpToDate && this.#settings.live === false) return
      if (this.#isHeldBack) reply = await this.#askOtherwise(heldBack)
      else {
        // Where nothing has moved, the next request would say the same: a server, or a cache, that answers at once.
        const isStill = this.#offset === before
        if (isStill && !last?.isUpToDate) throw this.#error(still)
        if (isStill && this.#mode !== 'catch-up') await this.#sleep(this.#askedAt + leastMs - this.#now())
        const isLive = last?.isUpToDate || this.#mode !== 'catch-up'
        reply = await this.#askFor((isLive && this.#live) || 'catch-up')
      }
    }
  }

  get #live(): DurableLive {
    return this.#settings.way.at(this.#now())
  }

  /** Asks by server-sent events only where they get through. */
  async #askFor(mode: DurableMode): Promise<StreamReply> {
    if (mode !== 'sse') return this.#ask(mode)
    try {
      return await this.#ask(mode)
    } catch (error) {
      if (this.call.scope.isOver || !isAnyCallError(error)) throw error
      if (isNotOffered(error)) return this.#askOtherwise('are not offered')
      if (error.code === 'deadline_exceeded' && error.isRetryable) return this.#askOtherwise(heldBack)
      throw error
    }
  }

  /** What is there is to be had: it was the event stream that did not get through, and not the network. */
  async #askOtherwise(why: string): Promise<StreamReply> {
    const reply = await this.#ask('catch-up')
    this.#settings.way.leave(this.call, why)
    return reply
  }

  async #ask(mode: DurableMode): Promise<StreamReply> {
    const { call } = this
    const { timeoutMs: most } = this.#settings
    const scope = call.scope.fork()
    this.#scope = scope
    this.#mode = mode
    this.#isHeldBack = false
    this.#askedAt = this.#now()
    const timeoutMs =
      mode === 'catch-up' ? most : mode === 'sse' ? Math.min(firstWordMs, most) : Math.max(longPollMs, most)
    const deadline = Math.min(this.#askedAt + timeoutMs, call.wireDeadline)
    const again = call.with({ scope, isReopen: true, attempt: 1, deadline })
    const reply = await openWithin(this.#asking(again), this.#next, 'opened again', timeoutMs)
    return reply as StreamReply
  }

  /** Retention: what stood behind the offset is not kept any more. A run that has moved on is opened with it, to be told so. */
  readonly #refused = (error: unknown): never => {
    if (!isAnyCallError(error) || error.status !== 410 || this.#offset === '-1') throw error
    const isRetryable = this.#offset !== this.#begin
    throw new CallError({ ...failureOf(error), code: 'out_of_range', isRetryable }, this.call)
  }

  /** Passes on what one request brings; gives the last word of where the stream stands. */
  async #read({ messages, headers }: StreamReply): Promise<DurableBatch | undefined> {
    const isEvents = this.#mode === 'sse'
    if (isEvents && headers.last('stream-sse-data-encoding')) throw this.#error(noJson(headers))
    this.#current = messages
    const openedAt = this.#now()
    if (isEvents) this.#awaitFirst()
    let last: DurableBatch | undefined
    for (;;) {
      const items = messages.take()
      if (items) this.#heard()
      for (const { message } of items ?? []) last = this.#pass(message as DurableBatch) ?? last
      if (last?.isClosed || this.messages.isSettled) messages.close(undefined)
      const { end } = messages
      if (isEvents && end?.kind === 'ended' && !last?.isClosed && !this.#isHeldBack)
        this.#settings.way.ended(openedAt, this.call)
      if (end?.kind === 'failed') throw end.error
      if (end || this.#isHeldBack) break
      if (this.#isPaused) await new Promise<void>((resolve) => (this.#resume = resolve))
      else if (!items) await messages.ready()
    }
    this.#heard()
    this.#current = undefined
    // It comes again with the next request.
    this.#held = []
    this.#heldSize = 0
    return last
  }

  /** An event stream that is open says nothing, though it should: something in between holds it back. */
  #awaitFirst(): void {
    const { deadlines } = this.call.scope.services
    this.#first = deadlines.add(this.#now() + firstWordMs, () => {
      if (this.#isPaused) return this.#awaitFirst()
      this.#first = undefined
      this.#isHeldBack = true
      this.#current?.close(undefined)
    })
  }

  #heard(): void {
    if (this.#first) this.call.scope.services.deadlines.remove(this.#first)
    this.#first = undefined
  }

  /** Gives what was held, where the batch says how the stream goes on behind it. */
  #pass(batch: DurableBatch): DurableBatch | undefined {
    const { messages, size, next, cursor } = batch
    for (const message of messages) this.#held.push(message)
    this.#heldSize += size
    if (this.#heldSize > maxHeld) throw this.#error(unmarked)
    if (next === undefined) return undefined
    const held = this.#held
    const heldSize = this.#heldSize
    this.#held = []
    this.#heldSize = 0
    this.#offset = next
    this.#cursor = cursor
    const items: Item[] = held.map((message) => ({ message }))
    const end = items.length - 1
    if (end >= 0) {
      items[end] = { message: held[end], cursor: next }
      this.messages.pushAll(items, heldSize)
    } else this.messages.advance(next)
    return batch
  }

  #sleep(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve()
    const { scope } = this.call
    return new Promise((resolve) => {
      const wake = () => {
        timer.clear()
        off()
        resolve()
      }
      const timer = scope.services.clock.setTimer(wake, ms)
      const off = scope.onAbort(wake)
      this.#resume = wake
    })
  }

  #now(): number {
    return this.call.scope.services.clock.now()
  }

  #error(failure: Failure): CallError {
    return new CallError(failure, this.call)
  }
}

const heldBack = 'bring nothing for 5 s, as where a proxy holds them back'

const still: Failure = {
  code: 'unavailable',
  message: 'the durable stream was answered without a word of where it goes on',
  phase: 'stream',
  sent: 'yes',
  isRetryable: true,
}

const unmarked: Failure = {
  code: 'resource_exhausted',
  message: 'the durable stream has sent more than 16 MiB without a control event',
  phase: 'stream',
  sent: 'yes',
}
