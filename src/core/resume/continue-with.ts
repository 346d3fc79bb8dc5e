import { Call } from '../call/call.ts'
import type { Args, Stream } from '../call/call-types.ts'
import { noHeaders } from '../call/header-map.ts'
import { compose, type Next, placeOf } from '../call/interceptor.ts'
import { type Operation, type OperationInfo, operationInfo } from '../call/operation.ts'
import { identityOf, inputOf, ownPlan, type Plan, type PlansItself } from '../call/plan.ts'
import type { Item, Reply, StreamReply, Tap } from '../call/reply.ts'
import { CallError, failureOf, isAnyCallError } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'
import { decide, guard } from '../guard.ts'
import { callable, flag, has, type RulesOf, takes, wrongOption } from '../options.ts'
import type { Continuity } from '../stream/state.ts'
import { opensFirst, type Streaming } from '../stream/streaming.ts'
import type { Continuation } from './continuation.ts'
import { cursorText, inputAfter } from './cursors.ts'
import type { Hold } from './hold.ts'
import type { ResumeOptions } from './options.ts'
import { type Place, type StreamPlace, streamPlaceOf } from './place.ts'
import { type Prepared, ReopenedStream, type Reopener } from './reopener.ts'

/** How a stream that another operation continues is read. */
export interface ContinueOptions<Message> {
  /** The cursor in a message of either operation, after `adapt`. @defaultValue each wire's own ids, which must be one series */
  readonly cursor?: ((message: Message) => string | number | undefined) | undefined
  /** `true`: this message is given, and the stream ends; an end before it is a drop. @defaultValue the end that the operation being read declares */
  readonly until?: ((message: Message) => boolean) | undefined
  /** For cursors that come after their data: made by `hold()`. @defaultValue messages are given as they come */
  readonly hold?: Hold | undefined
  /**
   * The second operation begins at the start of the run, whatever it is asked: what was received is skipped, by count.
   * Cursors are the counts. @defaultValue false
   */
  readonly replays?: boolean | undefined
}

type Mapped = (place: Place<any, any>) => unknown

const rules: RulesOf<ContinueOptions<never>> = {
  cursor: callable,
  until: callable,
  hold: /* @__PURE__ */ takes('what hold() makes', /* @__PURE__ */ has('start')),
  replays: flag,
}

/**
 * Continues a stream by another operation, on any transport, once its own was answered: a run that a POST has started goes
 * on by a GET, a channel or polls, and is never started twice.
 *
 * At each drop `input` is asked what the other operation is called with; undefined says that the stream cannot go on. Its
 * messages must be those of the first operation: see `adapt`.
 *
 * @throws {TypeError} where the second operation does not stream, or is continued by another one itself.
 * @example
 * const watch = events('/responses/{id}', map, { query: type<{ starting_after?: string }>(), resume: false, until: 'done' })
 * const run = events('/responses', map, {
 *   method: 'POST',
 *   body: type<Prompt>(),
 *   until: 'done',
 *   resume: continueWith(watch, ({ first, cursor }) =>
 *     first?.type === 'created' ? { id: first.data.id, starting_after: cursor } : undefined),
 * })
 */
export function continueWith<In, Message, V extends string, In2, M2 extends Message>(
  operation: Operation<V, (...args: Args<In2>) => Stream<M2>>,
  input: (place: Place<In, Message>) => NoInfer<In2> | undefined,
  options?: ContinueOptions<Message>,
): Continuation<V, In, Message>
export function continueWith(operation: unknown, input: Mapped, options: ContinueOptions<any> = {}): never {
  const second = operationInfo(operation)
  const refuse = (what: string): never => {
    throw new TypeError(`continueWith(${second ? second.name : 'operation'}, …): ${what}`)
  }
  if (second?.kind !== 'server_stream' && second?.kind !== 'bidi_stream')
    return refuse('it takes an operation that streams, made by a builder such as events(), or poll() of a list')
  if ((second.streaming as Streaming).isContinued)
    return refuse('it is continued by another operation itself: declare all on the first one')
  if (typeof input !== 'function') return refuse('the second argument is a function of the place: ({ first }) => …')
  const wrong = wrongOption(options, rules)
  if (wrong) return refuse(wrong)
  return { declare: (info: OperationInfo) => declared(info, second, input, options) } as never
}

/** Its messages are checked where they come in, since the place is made of them, and not where they are read. */
function declared(first: OperationInfo, second: OperationInfo, input: Mapped, options: ContinueOptions<any>) {
  const { decodeOutput: _checked, resume: _own, ...info } = first
  const streaming: Streaming = {
    ...(first.streaming as Streaming),
    isContinued: true,
    resume: (call, next, resume) => new Continuing(call, next, resume, { first, second, input, options }).start(resume),
  }
  return { ...info, streaming, others: [...(info.others ?? []), second] }
}

interface Declared {
  readonly first: OperationInfo
  readonly second: OperationInfo
  readonly input: Mapped
  readonly options: ContinueOptions<any>
}

/**
 * One stream that is begun by one operation and continued by another. Once the first opening was answered, the first
 * operation is never sent again.
 */
class Continuing implements Reopener {
  readonly hold: Hold | undefined
  readonly first: Next
  readonly #call: Call
  readonly #of: Declared
  readonly #place: StreamPlace
  #stream!: ReopenedStream
  /** How the second operation is called. */
  #second!: Plan
  /** The same for the opening that comes next: by its path, or by a URL that the first one has given (`at(url)`). */
  #next!: Plan
  /** What the second operation is opened with next. */
  #input: unknown
  #droppedAt = 0
  /** Of the attempt that is open, or was last; of the second operation once there was a drop. */
  #reply: StreamReply | undefined
  #isSecond?: boolean
  /** The last message of all has come in. */
  #last: { readonly message: unknown } | undefined
  /** Some message had no cursor. */
  #isBare?: boolean

  constructor(call: Call, next: Next, options: ResumeOptions, of: Declared) {
    this.#call = call
    this.#of = of
    this.#place = streamPlaceOf(call.scope)
    this.hold = of.options.hold
    const first = opensFirst(call, next, options)
    this.first = async (each) => this.#opened(await first(each), planOf(call, of.first), 0)
  }

  /** Opens the stream by the first operation. */
  async start(options: ResumeOptions): Promise<Reply> {
    const call = this.#call
    if (call.cursor !== undefined && !call.operation.isIdempotent) throw this.#error(startsAnother)
    // Where the client lacks its transport, nothing is begun.
    this.#second = planOf(call, this.#of.second)
    this.#stream = new ReopenedStream(call, options, this)
    this.#stream.messages.tap((item) => this.#admitted(item))
    return this.#stream.open()
  }

  async prepare(error: CallError, cursor: string | undefined): Promise<Prepared | undefined> {
    if (this.#last || this.#place.isStopped) return undefined
    const { first, second, input } = this.#of
    const { clock } = this.#call.scope.services
    const plan = this.#second
    if (identityOf(plan.route, this.#call.options, second) !== this.#call.identity) throw this.#error(otherIdentity)
    const ask = () => input(this.#place.at(cursor))
    const mapped = decide('the input function of continueWith()', ask, this.#call, onStream)
    if (mapped === undefined) throw Object.assign(error, { reason: 'not_continuable' })
    this.#next = (mapped as PlansItself)[ownPlan]?.(plan) ?? plan
    this.#input = await inputOf(this.#next, mapped)
    this.#droppedAt = clock.now()
    const failure = failureOf(error)
    // A socket is waited for by its link; this stream goes on elsewhere.
    if (!failure.connection || this.#isSecond || first.via === second.via) return { error }
    return { error: new CallError({ ...failure, connection: undefined }, this.#call) }
  }

  /** Opens the second operation, by the transport, the credentials and the chain that are its own. */
  readonly open: Next = async (call) => {
    const { info: second } = this.#next
    const { resume, streaming } = second
    const { cursor, scope, sendQueue } = call
    const { clock, telemetry } = scope.services
    const waitMs = Math.round(clock.now() - this.#droppedAt)
    telemetry?.event?.({ type: 'continued', call, operation: second.name, cursor, waitMs })
    const isNative = cursor !== undefined && (resume !== undefined || second.isResumable === true)
    const { headers: _headers, idempotencyKey: _key, ...options } = call.options
    const again = new Call({
      ...call,
      operation: second,
      options,
      input: isNative && resume ? inputAfter(resume, call.with({ input: this.#input }), cursor) : this.#input,
      headers: noHeaders,
      cursor: isNative ? cursor : undefined,
      sendQueue: second.kind === 'bidi_stream' ? sendQueue : undefined,
      idempotencyKey: undefined,
      isKeyHonoured: false,
    })
    this.#isSecond = true
    try {
      const { open: special, attempt } = streaming as Streaming
      const opening = openingOf(this.#next)
      const open = special ?? (attempt ? (each: Call) => attempt(each, opening) : opening)
      return this.#opened(await open(again), this.#next, Number(cursor ?? 0))
    } catch (error) {
      // The run is gone, and what it would have brought.
      if (isAnyCallError(error) && !error.isRetryable) this.#stream.losses.isBroken = true
      throw error
    }
  }

  explain(error: unknown): unknown {
    const { first, second } = this.#of
    if (!this.#next || !isAnyCallError(error) || error.operation !== second.name) return error
    const operation = { ...second, via: `${second.via}, continuing ${first.name}` }
    const { attempt, failures, notRetried, stack } = error
    const told = new CallError({ ...failureOf(error), sent: 'yes' }, { operation, attempt })
    return Object.assign(
      told,
      { failures, stack: stack?.replace(error.message, told.message) },
      notRetried && { notRetried },
    )
  }

  ended(): CallError | undefined {
    if (this.#last) return undefined
    if (this.#isSecond && this.#reply?.status === 204) this.#stream.miss()
    else if (this.#of.options.until) return this.#error(beforeUntil)
    return undefined
  }

  /** An attempt is open: what it brings is brought into the shape of the first operation's messages. */
  #opened(reply: Reply, plan: Plan, received: number): Reply {
    if (reply.kind !== 'stream') return reply
    const { status, headers, trailers, messages } = reply
    this.#reply = reply
    this.#place.head ??= { status, headers }
    this.#stream.markOpened()
    messages.tap(this.#reader(plan, received))
    const continuity = () => this.#continuity(reply)
    return { kind: 'stream', messages, status, headers, trailers, continuity, isWhole: this.#place.received === 0 }
  }

  /** @param skipped - how many are repeats, where each attempt begins with the first message. */
  #reader({ convert, info }: Plan, skipped: number): Tap {
    const { cursor: cursorOf = info.resume?.cursor, until, replays } = this.#of.options
    const isOwn = this.#of.options.cursor === undefined
    let count = 0
    return (item) => {
      if (item.isGap) return item
      if (this.#last || (replays && ++count <= skipped)) return undefined
      const message = convert ? this.#now(convert(item.message)) : item.message
      this.#place.arrived(message)
      let { cursor } = item
      if (replays) cursor = String(count)
      else if (cursorOf) cursor = this.#ask('cursor', () => cursorText(cursorOf(isOwn ? item.message : message)))
      if (cursor === undefined) this.#isBare = true
      if (until && decide('the until function of continueWith()', () => until(message), this.#call, onStream))
        this.#last = { message }
      // A mark is of one wire: across two, a repeat is told by its cursor alone.
      return { message, cursor, size: item.size, mark: 0 }
    }
  }

  #admitted(item: Item): Item {
    if (item.isGap) return item
    this.#place.admitted(item.message)
    if (this.#last && this.#last.message === item.message) void Promise.resolve().then(() => this.#stream.finish())
    return item
  }

  /** The place is made of what has come in, at once. */
  #now(message: unknown): unknown {
    if (!(message instanceof Promise)) return message
    message.catch(() => {})
    throw this.#error(asynchronous)
  }

  #ask<T>(what: string, run: () => T): T {
    return guard(`the ${what} function of continueWith()`, run, this.#call, onStream)
  }

  #continuity(reply: StreamReply): Continuity {
    const { cursor, replays } = this.#of.options
    if (!cursor && !replays) return reply.continuity()
    return cursor && !this.#isBare && this.#of.first.cursors === 'offset' ? 'exact' : 'at-least-once'
  }

  #error(failure: Failure): CallError {
    return new CallError(failure, this.#call)
  }
}

function planOf({ scope: { services } }: Call, info: OperationInfo): Plan {
  return services.planOf?.(info) as Plan
}

/** What each opening of an operation's stream passes: what stands inside of `resume`, or the whole chain where there is none. */
function openingOf({ route: { interceptors, send } }: Plan): Next {
  return compose(interceptors.slice(placeOf('resume', interceptors) + 1), send, true)
}

const onStream = { phase: 'stream', sent: 'yes' } as const

const startsAnother: Failure = {
  code: 'failed_precondition',
  message:
    'a cursor does not tell which run to go on with, and the operation would start another one; nothing was sent: call the operation that continues it',
}

const otherIdentity: Failure = {
  code: 'failed_precondition',
  message: 'the transport of the operation that continues the stream calls as somebody else (auth.identity)',
  phase: 'stream',
  sent: 'yes',
}

const beforeUntil: Failure = {
  code: 'unavailable',
  message: "the server ended the stream before the message of continueWith()'s 'until'",
  isRetryable: true,
  phase: 'stream',
  sent: 'yes',
}

const asynchronous: Failure = {
  code: 'failed_precondition',
  message: 'a schema that validates asynchronously cannot stand on a stream that another operation continues',
  phase: 'stream',
  sent: 'yes',
}
