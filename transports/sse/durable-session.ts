import { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Next } from '../../src/core/call/interceptor.ts'
import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { MessageSource, Reply, StreamReply } from '../../src/core/call/reply.ts'
import type { Scope } from '../../src/core/call/scope.ts'
import { CallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { openWithin } from '../../src/core/resume/opening.ts'
import { LateTrailers } from '../../src/core/stream/late-trailers.ts'
import { type Item, Source, type SourceOptions } from '../../src/core/stream/source.ts'
import type { RequestParts } from '../http/input.ts'
import { type DurableBatch, noJson } from './durable-batch.ts'

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
  /** Of one request of it. */
  readonly operation: OperationInfo
  /** Bounds each request but a long poll; ms. */
  readonly timeoutMs: number
}

/** A long poll is answered when something comes, or when the server is tired of waiting; ms. */
const longPollMs = 120_000
/** Between two live requests of which the first has brought nothing: a server that waits takes longer than that; ms. */
const leastMs = 1000
/** More than this without a word of where the stream goes on: UTF-16 units. */
const maxHeld = 1 << 24

/**
 * Opens one run of a durable stream: requests that follow one another, each through the rest of the chain, read as one
 * stream. What breaks any of them breaks the run, which is opened again behind the last offset.
 */
export async function openDurable(call: Call, next: Next, settings: DurableSettings): Promise<Reply> {
  // A live event stream begins with what was missed; a long poll would hold the opening up.
  const mode = call.isReopen && settings.live === 'sse' ? 'sse' : 'catch-up'
  const session = new DurableSession(call, next, settings)
  const reply = await next(session.asking(call, mode))
  if (reply.kind === 'stream') session.start(reply, mode)
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
  /** Where the next request begins. */
  #offset: string
  #cursor: string | undefined
  #askedAt = 0
  /** What has come without a word of where the stream goes on behind it: a drop brings it again. */
  #held: unknown[] = []
  #heldSize = 0
  /** Of the request under way. */
  #current: MessageSource | undefined
  #scope: Scope | undefined
  #isPaused = false
  #resume: (() => void) | undefined

  constructor(call: Call, next: Next, settings: DurableSettings) {
    this.call = call
    this.#next = next
    this.#settings = settings
    const { offset } = (call.input as RequestParts).query as { readonly offset?: string }
    this.#offset = call.cursor ?? offset ?? '-1'
    this.messages = new Source(this)
  }

  get trailers(): Promise<HeaderMap> {
    return this.#trailers.promise
  }

  continuity(): 'exact' {
    return 'exact'
  }

  /** The call of one request. */
  asking(call: Call, mode: DurableMode): Call {
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

  start(reply: StreamReply, mode: DurableMode): void {
    this.status = reply.status
    this.headers = reply.headers
    this.#run(reply, mode)
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
    this.#resume?.()
    this.#current?.close(reason)
    this.#scope?.abort(reason ?? new Error('the stream was left'))
  }

  /** Request after request, until the stream is closed, or read as far as it is to be read. */
  async #run(first: StreamReply, firstMode: DurableMode): Promise<void> {
    let reply = first
    let mode = firstMode
    for (;;) {
      const before = this.#offset
      const last = await this.#read(reply, mode)
      this.#scope?.end()
      this.#scope = undefined
      if (last?.isClosed || this.messages.isSettled) return
      if (last?.isUpToDate && this.#settings.live === false) return
      // Where nothing has moved, the next request would say the same: a server, or a cache, that answers at once.
      const isStill = this.#offset === before
      if (isStill && !last?.isUpToDate) throw this.#error(still)
      if (isStill && mode !== 'catch-up') await this.#sleep(this.#askedAt + leastMs - this.#now())
      mode = last?.isUpToDate || mode !== 'catch-up' ? this.#settings.live || 'catch-up' : 'catch-up'
      reply = await this.#ask(mode)
    }
  }

  async #ask(mode: DurableMode): Promise<StreamReply> {
    const { call } = this
    const scope = call.scope.fork()
    this.#scope = scope
    const timeoutMs = mode === 'long-poll' ? Math.max(longPollMs, this.#settings.timeoutMs) : this.#settings.timeoutMs
    this.#askedAt = this.#now()
    const deadline = Math.min(this.#askedAt + timeoutMs, call.wireDeadline)
    const again = call.with({ scope, isReopen: true, attempt: 1, deadline })
    const reply = await openWithin(this.asking(again, mode), this.#next, 'opened again', timeoutMs)
    return reply as StreamReply
  }

  /** Passes on what one request brings; gives the last word of where the stream stands. */
  async #read({ messages, headers }: StreamReply, mode: DurableMode): Promise<DurableBatch | undefined> {
    if (mode === 'sse' && headers.last('stream-sse-data-encoding')) throw this.#error(noJson(headers))
    this.#current = messages
    let last: DurableBatch | undefined
    for (;;) {
      const items = messages.take()
      for (const { message } of items ?? []) last = this.#pass(message as DurableBatch) ?? last
      if (last?.isClosed || this.messages.isSettled) messages.close(undefined)
      const { end } = messages
      if (end?.kind === 'failed') throw end.error
      if (end) break
      if (this.#isPaused) await new Promise<void>((resolve) => (this.#resume = resolve))
      else if (!items) await messages.ready()
    }
    this.#current = undefined
    // It comes again with the next request.
    this.#held = []
    this.#heldSize = 0
    return last
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
