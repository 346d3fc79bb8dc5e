import type { CallOptions } from '../call/call-options.ts'
import type { Unary } from '../call/call-types.ts'
import type { Next } from '../call/interceptor.ts'
import { type Operation, type OperationInfo, operationInfo } from '../call/operation.ts'
import type { Plan } from '../call/plan.ts'
import type { StreamReply } from '../call/reply.ts'
import type { Scope } from '../call/scope.ts'
import { CallError } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'
import { guard } from '../guard.ts'
import type { StreamHandle } from '../stream/handle.ts'
import type { Item, MessageSource, SourceEnd, Tap } from '../stream/source.ts'
import type { Streaming } from '../stream/streaming.ts'
import { bounded } from '../time/bounded.ts'
import type { Stop } from './continuation.ts'
import { type Place, type StreamPlace, streamPlaceOf } from './place.ts'

/** How long the server's own last messages are waited for; ms. */
const lingerMs = 5000
const defaultTimeoutMs = 30_000

type Mapped = (place: Place<any, any>) => unknown

/**
 * Says how the server is told that the caller has had enough: one call of another operation, made by `stream.stop()`.
 * Leaving a stream, by `break` or otherwise, tells the server nothing.
 *
 * `input` is asked what the operation is called with; undefined says that the stream has not told it yet.
 *
 * @throws {TypeError} where the operation is none with one message each way.
 * @example
 * const cancel = post('/responses/{id}/cancel')
 * const run = events('/responses', map, {
 *   method: 'POST',
 *   stop: stopWith(cancel, ({ first }) => (first?.type === 'created' ? { id: first.data.id } : undefined)),
 * })
 * await client.call(run, { input: 'hi' }).stop()
 */
export function stopWith<In, Message, V extends string, In2>(
  operation: Operation<V, Unary<In2, any>>,
  input: (place: Place<In, Message>) => NoInfer<In2> | undefined,
): Stop<V, In, Message>
export function stopWith(operation: unknown, input: Mapped): never {
  const stop = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`stopWith(${stop ? stop.name : 'operation'}, …): ${what}`)
  }
  if (stop?.kind !== 'unary') return refuse('it takes an operation with one message each way, such as post() makes')
  if (typeof input !== 'function') return refuse('the second argument is a function of the place: ({ first }) => …')
  return { declare: (info: OperationInfo) => declared(info, stop, input) } as never
}

function declared(info: OperationInfo, stop: OperationInfo, input: Mapped): OperationInfo {
  const streaming = info.streaming as Streaming
  const stoppable: Streaming = {
    ...streaming,
    handle(plan, scope, prepare) {
      const handle = streaming.handle(plan, scope, prepare)
      const stopping = new Stopping(handle, scope, { info, stop, input })
      return Object.assign(handle, { stop: (options?: CallOptions) => stopping.stop(options) })
    },
    async resume(call, next, options) {
      const place = streamPlaceOf(call.scope)
      place.options = call.options
      let source: StoppableSource | undefined
      const watched: Next = async (each) => {
        const reply = await next(each)
        if (reply.kind !== 'stream') return reply
        place.head ??= { status: reply.status, headers: reply.headers }
        if (!streaming.isContinued) reply.messages.tap((item) => place.noted(item))
        // Told before it is opened again.
        reply.messages.onSettled(() => place.isStopped && source?.finish())
        return reply
      }
      const reply = await streaming.resume(call, watched, options)
      if (reply.kind !== 'stream') return reply
      source = place.source = new StoppableSource(reply.messages)
      return stoppableReply(reply, source)
    },
  }
  return { ...info, streaming: stoppable, others: [...(info.others ?? []), stop] }
}

function stoppableReply(reply: StreamReply, messages: MessageSource): StreamReply {
  return {
    kind: 'stream',
    messages,
    status: reply.status,
    headers: reply.headers,
    get trailers() {
      return reply.trailers
    },
    continuity: () => reply.continuity(),
  }
}

/** The messages of a stream that may be ended from outside, without an error, behind what has come. */
class StoppableSource implements MessageSource {
  readonly #inner: MessageSource
  #rest: Item[] | undefined
  #isFinished?: boolean

  constructor(inner: MessageSource) {
    this.#inner = inner
  }

  get cursor(): string | undefined {
    return this.#inner.cursor
  }

  get end(): SourceEnd | undefined {
    if (!this.#isFinished) return this.#inner.end
    return this.#rest ? undefined : { kind: 'ended' }
  }

  take(): Item[] | undefined {
    if (!this.#isFinished) return this.#inner.take()
    const rest = this.#rest
    this.#rest = undefined
    return rest
  }

  ready(): Promise<void> {
    return this.#inner.ready()
  }

  tap(tap: Tap): void {
    this.#inner.tap(tap)
  }

  onSettled(listener: (end: SourceEnd) => void): void {
    this.#inner.onSettled(listener)
  }

  close(reason: unknown): void {
    this.#rest = undefined
    this.#inner.close(reason)
  }

  finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#rest = this.#inner.take()
    // Wakes its reader, too.
    this.#inner.close(undefined)
  }
}

interface Declared {
  /** Of the stream. */
  readonly info: OperationInfo
  readonly stop: OperationInfo
  readonly input: Mapped
}

/** What `stop()` of one stream does. */
class Stopping {
  readonly #handle: StreamHandle<unknown>
  readonly #scope: Scope
  readonly #of: Declared
  readonly #place: StreamPlace
  #running: Promise<void> | undefined

  constructor(handle: StreamHandle<unknown>, scope: Scope, of: Declared) {
    this.#handle = handle
    this.#scope = scope
    this.#of = of
    this.#place = streamPlaceOf(scope)
  }

  /** One call, however often it is asked for; one that failed may be asked for again. */
  stop(options: CallOptions = {}): Promise<void> {
    this.#running ??= this.#run(options).catch((error: unknown) => {
      this.#running = undefined
      throw error
    })
    return this.#running
  }

  async #run(options: CallOptions): Promise<void> {
    const { clock, callable } = this.#scope.services
    const { state } = this.#handle
    if (state === 'idle') await this.#handle.close()
    if (state === 'idle' || state === 'closed') return
    const { timeoutMs = this.#place.options?.timeoutMs ?? defaultTimeoutMs } = options
    const at = clock.now() + timeoutMs
    const input = await this.#inputBy(at)
    if (input === undefined) return
    const left = { ...options, timeoutMs: Math.max(0, at - clock.now()) }
    await callable?.(this.#of.stop)(input, { context: this.#place.options?.context, ...left })
    this.#stopped()
  }

  /** What the operation is called with, once the stream has told it; undefined where the stream is over by itself. */
  async #inputBy(at: number): Promise<unknown> {
    const waiting = this.#scope.fork()
    const expired = () => this.#error(notTold)
    try {
      return await bounded(waiting, () => this.#input(), { at, expired })
    } finally {
      waiting.end()
    }
  }

  async #input(): Promise<unknown> {
    const scope = this.#scope
    const over = new Promise<void>((resolve) => scope.onEnd(resolve))
    await this.#handle.opened
    for (;;) {
      const place = await this.#placeNow()
      const ask = () => this.#of.input(place)
      const input = guard('the input function of stopWith()', ask, { operation: this.#of.info })
      if (input !== undefined || (scope.isOver && scope.failure === undefined)) return input
      if (scope.isOver) throw this.#error(notTold)
      await Promise.race([this.#place.next(), over])
    }
  }

  /** Its messages as the schemas of the stream make them. */
  async #placeNow(): Promise<Place<never, never>> {
    const { info } = this.#of
    const place = this.#place
    const at = place.at(place.source?.cursor)
    if ((info.streaming as Streaming).isContinued) return at
    const plan = this.#scope.services.planOf?.(info) as Plan | undefined
    const read = async (message: unknown) =>
      message === undefined ? message : ((await plan?.convert?.(message)) ?? message)
    return { ...at, first: await read(at.first), last: await read(at.last) } as never
  }

  #stopped(): void {
    const { source } = this.#place
    this.#place.isStopped = true
    if (this.#handle.state !== 'open') {
      source?.finish()
      return
    }
    const timer = this.#scope.services.clock.setTimer(() => source?.finish(), lingerMs)
    this.#scope.onEnd(() => timer.clear())
  }

  #error(failure: Failure): CallError {
    return new CallError(failure, { operation: this.#of.stop })
  }
}

const notTold: Failure = {
  code: 'deadline_exceeded',
  message: 'the stream has not told in time what the operation that stops it takes; nothing was sent',
  phase: 'resolve',
  sent: 'no',
}
