import type { Call } from '../call/call.ts'
import type { ServerStream, Unary, UnaryResult } from '../call/call-types.ts'
import { HeaderMap } from '../call/header-map.ts'
import { defineOperation, type Operation, type OperationInfo, operationInfo } from '../call/operation.ts'
import type { Reply } from '../call/reply.ts'
import { CallError, failureOf, isAnyCallError } from '../errors/error.ts'
import { parseRetryAfter } from '../errors/retry-after.ts'
import { decide, guard } from '../guard.ts'
import { callable, notNegative, type RulesOf, wrongOption } from '../options.ts'
import { Source } from '../stream/source.ts'
import { receiving, type Streaming } from '../stream/streaming.ts'
import { cursorText, inputAfter } from './cursors.ts'

/** How a list becomes a stream. */
export interface PollOptions<In, Out, Message> {
  /** What is new in an answer. */
  readonly messages: (page: Out) => readonly Message[]
  /** The cursor in a message; undefined where it has none. */
  readonly cursor: (message: Message) => string | number | undefined
  /** The input that asks for what comes after a cursor. */
  readonly apply: (input: In, cursor: string) => In
  /** `true`: nothing follows. @defaultValue polled until the reader leaves */
  readonly until?: ((page: Out) => boolean) | undefined
  /** From one answer to the next question, give or take a quarter; a Retry-After in an answer is a floor; ms, 0 where the server holds its answer back. @defaultValue 1_000 */
  readonly everyMs?: number | undefined
}

type AnyPoll = PollOptions<any, any, any>

const rules: RulesOf<AnyPoll> = {
  messages: callable,
  cursor: callable,
  apply: callable,
  until: callable,
  everyMs: notNegative,
}

/** A server that answers at once, though it should hold its answer back, is not asked more often than this; ms. */
const spacingMs = 100
/** A server that asks for a longer wait than this has told a moment, or a fault of its own; ms. */
const maxAskedMs = 3_600_000

/**
 * Makes a server stream of a list that is asked again and again: where a server has no other way to tell what is new, and
 * where a stream is to go on whatever becomes of its wire, see `continueWith`.
 *
 * Each poll is a call of its own through the whole chain: credentials, retries, deadlines, not-before.
 *
 * @throws {TypeError} where the operation is none with one message each way, or an option is not what it takes.
 * @example
 * const news = poll(get('/news', { query: type<{ after?: string }>(), output: type<News[]>() }), {
 *   messages: (page) => page,
 *   cursor: (news) => news.id,
 *   apply: (input, after) => ({ ...input, after }),
 * })
 * for await (const each of client.call(news)) show(each)
 */
export function poll<V extends string, In, Out, Message>(
  operation: Operation<V, Unary<In, Out>>,
  options: PollOptions<In, Out, Message>,
): Operation<V, ServerStream<In, Message>>
export function poll(operation: unknown, options: AnyPoll): never {
  const list = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`poll(${list ? list.name : 'operation'}, …): ${what}`)
  }
  if (list?.kind !== 'unary') return refuse('it takes an operation with one message each way, such as get() makes')
  const wrong = wrongOption(options, rules)
  if (wrong) return refuse(wrong)
  const missing = (['messages', 'cursor', 'apply'] as const).find((name) => typeof options[name] !== 'function')
  if (missing) return refuse(`${missing} takes a function`)
  const open = (call: Call) => new Polling(call, list, options).open()
  const streaming: Streaming = {
    ...receiving,
    resume: (call, _next, resume) => receiving.resume(call, open, resume),
    open,
  }
  const { via, protocol, isIdempotent } = list
  const { cursor, apply } = options
  const info: OperationInfo = {
    name: `poll ${list.name}`,
    protocol,
    via,
    kind: 'server_stream',
    isIdempotent,
    binding: undefined,
    isResumable: true,
    // Each poll is tried again by itself.
    retry: false,
    resume: { cursor, apply },
    streaming,
  }
  return defineOperation<Operation<never>>(info) as never
}

/** The polls of one attempt: a poll that fails for good ends it, and the stream waits for the next one. */
class Polling {
  readonly #call: Call
  readonly #list: OperationInfo
  readonly #options: AnyPoll
  readonly #source: Source
  #after: string | undefined
  #isLeft = false
  #wake: (() => void) | undefined
  #isPaused = false

  constructor(call: Call, list: OperationInfo, options: AnyPoll) {
    this.#call = call
    this.#list = list
    this.#options = options
    this.#source = new Source({
      call,
      onClose: () => this.#leave(),
      onPause: () => {
        this.#isPaused = true
      },
      onResume: () => this.#goOn(),
    })
  }

  async open(): Promise<Reply> {
    const { scope } = this.#call
    // The first poll has a scope of its own: whatever ends this one meanwhile, the server may have been asked.
    scope.mark('send', 'maybe')
    const { status, headers, trailers, waitMs } = await this.#poll()
    scope.mark('stream', 'yes')
    scope.onAbort((reason) => {
      this.#leave()
      this.#source.fail(reason)
    })
    if (waitMs !== undefined) void this.#go(waitMs)
    const continuity = () => 'at-least-once' as const
    return {
      kind: 'stream',
      messages: this.#source,
      status,
      headers,
      trailers: Promise.resolve(trailers ?? HeaderMap.empty),
      continuity,
    }
  }

  async #go(firstMs: number): Promise<void> {
    const { scope } = this.#call
    try {
      for (let waitMs: number | undefined = firstMs; waitMs !== undefined && !this.#isLeft; ) {
        await this.#wait(waitMs)
        while (this.#isPaused && !this.#isLeft) await this.#wait(Number.POSITIVE_INFINITY)
        if (this.#isLeft || scope.isOver) return
        ;({ waitMs } = await this.#poll())
      }
    } catch (error) {
      this.#source.fail(error)
    }
  }

  /** One call of its own; without `waitMs` it was the last. */
  async #poll(): Promise<UnaryResult<unknown> & { readonly waitMs: number | undefined }> {
    const { messages, until, everyMs = 1000, cursor, apply } = this.#options
    const call = this.#call
    const { clock, callable: callableOf } = call.scope.services
    const input = this.#after === undefined ? call.input : inputAfter({ cursor, apply }, call, this.#after)
    const { context, deadline, timeoutMs, headers } = call.options
    const list = callableOf?.(this.#list) as Unary<any, unknown>
    const startedAt = clock.now()
    const options = { context, deadline, timeoutMs, headers, signal: call.scope.signal }
    const result = await list.reply(input, options).catch((error: unknown) => this.#failed(error))
    const page = result.message
    const found = decide('the messages function of poll()', () => messages(page), this.#call, onStream)
    const items = this.#ask('messages', () =>
      found.map((message) => {
        const at = this.#ask('cursor', () => cursorText(cursor(message)))
        return { message, cursor: at }
      }),
    )
    this.#after = items.findLast((item) => item.cursor !== undefined)?.cursor ?? this.#after
    const isLast =
      until !== undefined && decide('the until function of poll()', () => until(page), this.#call, onStream)
    if (items.length > 0) this.#source.pushAll(items)
    if (isLast) this.#source.finish()
    const jittered = everyMs * (0.75 + clock.random() / 2)
    const spacing = items.length > 0 ? 0 : startedAt + spacingMs - clock.now()
    const askedMs = parseRetryAfter(result.headers, clock.wallNow()) ?? 0
    const waitMs = Math.max(jittered, spacing, askedMs <= maxAskedMs ? askedMs : 0)
    return { ...result, waitMs: isLast ? undefined : waitMs }
  }

  /** No answer in time is a drop, as of any stream, where it does no harm to ask again. */
  #failed(error: unknown): never {
    const isLate = isAnyCallError(error) && error.code === 'deadline_exceeded' && this.#list.isIdempotent
    throw isLate ? new CallError({ ...failureOf(error), isRetryable: true }, this.#call) : error
  }

  #ask<T>(what: string, run: () => T): T {
    return guard(`the ${what} function of poll()`, run, this.#call, onStream)
  }

  /** Until the time has come, or the reader has left or caught up. */
  #wait(waitMs: number): Promise<void> {
    const { clock } = this.#call.scope.services
    return new Promise((resolve) => {
      const timer = waitMs === Number.POSITIVE_INFINITY ? undefined : clock.setTimer(resolve, waitMs)
      this.#wake = () => {
        timer?.clear()
        resolve()
      }
    })
  }

  #leave(): void {
    this.#isLeft = true
    this.#wake?.()
  }

  #goOn(): void {
    this.#isPaused = false
    this.#wake?.()
  }
}

const onStream = { phase: 'stream', sent: 'yes' } as const
