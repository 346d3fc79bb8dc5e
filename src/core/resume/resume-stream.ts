import type { Call } from '../call/call.ts'
import { HeaderMap } from '../call/header-map.ts'
import type { Next } from '../call/interceptor.ts'
import { discardReply, type Reply, type StreamReply } from '../call/reply.ts'
import { toKnownError } from '../call/run-unary.ts'
import type { Scope } from '../call/scope.ts'
import { type CallError, isAnyCallError, withHistory } from '../errors/error.ts'
import { streamOf } from '../stream/handle.ts'
import { LateTrailers } from '../stream/late-trailers.ts'
import { ResyncSource } from '../stream/resync.ts'
import type { MessageSource, SourceEnd } from '../stream/source.ts'
import { type SpliceOwner, SpliceSource } from '../stream/splice.ts'
import type { Continuity, StreamState } from '../stream/state.ts'
import { Backoff } from '../time/backoff.ts'
import type { PageLife } from '../time/page-life.ts'
import { cursorTap, inputAfter, StreamCursors } from './cursors.ts'
import { StreamLosses } from './losses.ts'
import { openWithin } from './opening.ts'
import type { ResumeOptions } from './options.ts'
import { planWait, ResumeWait, type Waiting } from './wait.ts'

/**
 * One stream over all its attempts. Its states, told to the call's scope:
 *
 *     open ──failure──▶ waiting ──backoff──▶ connecting ──opened──▶ open      (the first opening: see `opening`)
 *                        │  ▲ ▲                 │
 *                  offline  online              │
 *                        ▼  │ └─transient failure─┘      anything else ──▶ over
 *                     suspended
 */
export class ResumingStream implements SpliceOwner, StreamReply, Waiting {
  readonly kind = 'stream'
  cursors: StreamCursors
  readonly messages: MessageSource
  readonly #call: Call
  readonly #openFirst: Next
  readonly #next: Next
  readonly #timeoutMs: number
  readonly #backoff: Backoff
  readonly #page: PageLife
  readonly losses: StreamLosses
  protected readonly splice: SpliceSource
  #first!: StreamReply
  protected reply!: StreamReply
  /** Of the attempt that is opening or open; the first one runs in the call's own. */
  #scope: Scope | undefined
  #waiting: ResumeWait | undefined
  /** Why it waits. */
  #interruption: CallError | undefined
  /** The cursor that the attempt under way was opened after. */
  #sentCursor: string | undefined
  readonly #trailers = new LateTrailers()

  /** @param first - opens it for the first time. */
  constructor(call: Call, next: Next, options: ResumeOptions, page: PageLife, first: Next = next) {
    this.#call = call
    this.#openFirst = first
    this.#next = next
    this.#timeoutMs = call.options.timeoutMs ?? options.timeoutMs ?? 30_000
    this.#backoff = new Backoff(call.scope.services.clock, options)
    this.#page = page
    this.cursors = new StreamCursors(call.operation, options.replayWindow, call.cursor)
    this.losses = new StreamLosses(call)
    this.splice = new SpliceSource(this, call)
    const { resync } = call.options
    this.messages = resync ? new ResyncSource(this.splice, resync, call) : this.splice
  }

  /** Of the first attempt. */
  get status(): number {
    return this.#first.status
  }

  get headers(): HeaderMap {
    return this.#first.headers
  }

  get operation(): string | undefined {
    return this.#first.operation
  }

  /** Of the last one. */
  get trailers(): Promise<HeaderMap> {
    return this.#trailers.promise
  }

  /** The last cursor that has come in. */
  get received(): string | undefined {
    return this.splice.cursor || undefined
  }

  continuity(): Continuity {
    return this.losses.isBroken ? 'unknown' : this.reply.continuity()
  }

  /** Opens the stream; `retry`, or its own policy, guards this opening. */
  async open(): Promise<Reply> {
    const reply = await this.#openAfter(this.#call.cursor)
    if (reply.kind !== 'stream') return reply
    this.#first = reply
    this.#opened(reply)
    return this
  }

  async #openAfter(cursor: string | undefined): Promise<Reply> {
    try {
      return await this.#openFirst(this.#attempted(this.#after(cursor)))
    } catch (error) {
      if (!this.#isRefused(error)) throw error
      // The cursor is of an earlier run, and the server has forgotten it.
      const lost = this.#forget()
      if (this.splice.settled) throw lost
      return this.#openFirst(this.#attempted(this.#call.with({ cursor: undefined })))
    }
  }

  #opened(reply: StreamReply): void {
    this.reply = reply
    if (reply.isWithoutCursor) this.#loseUnknown()
    this.cursors.sifted = reply.sifted
    this.#backoff.opened()
    this.#call.scope.setStreamState('open')
    const { resume } = this.#call.operation
    if (resume) reply.messages.tap(cursorTap(resume.cursor, this.#call, this))
    this.splice.attach(reply.messages)
    reply.messages.onSettled((end) => this.settled(end))
  }

  /** An attempt is over: what it has left stays in the queue, and a failure leads to the next one. */
  protected settled(end: SourceEnd): void {
    this.splice.detach(end.kind === 'ended')
    this.#endAttempt()
    if (this.splice.hasProgressed) this.losses.progressed()
    const error = end.kind === 'ended' ? this.ended() : end.error
    if (end.kind === 'ended' && !error) this.splice.finish(end)
    else this.#failed(error)
  }

  /** An attempt has ended without an error: what is returned is a drop, and not the end. */
  protected ended(): CallError | undefined {
    return undefined
  }

  #failed(error: unknown): void {
    if (this.splice.settled) return
    if (this.#isRefused(error)) this.#forget()
    else if (!isAnyCallError(error) || !error.isRetryable) this.fail(toKnownError(error, this.#call))
    else if (this.#backoff.isExhausted) this.fail(withHistory(error, error.failures, 'attempts_exhausted'))
    this.dropped(error as CallError)
  }

  /**
   * The stream is to be opened again.
   *
   * @param fixedMs - the wait, whatever the backoff says.
   */
  protected dropped(error: CallError, fixedMs?: number): void {
    this.splice.whenRoom(() => this.#wait(error, fixedMs))
  }

  #wait(error: CallError, fixedMs: number | undefined): void {
    if (this.splice.settled) return
    const { clock, telemetry } = this.#call.scope.services
    const plan = planWait(clock, this.#backoff, this.#page, error, fixedMs)
    if (clock.now() + plan.waitMs >= this.#call.wireDeadline) {
      this.fail(withHistory(error, error.failures, 'wait_exceeds_deadline'))
      return
    }
    const { received: cursor } = this
    telemetry?.event?.({ type: 'resume', call: this.#call, cursor, waitMs: Math.round(plan.waitMs), error })
    this.#interruption = error
    this.#waiting = new ResumeWait(plan, this)
  }

  onWaiting(state: StreamState): void {
    this.#call.scope.setStreamState(state, this.#interruption)
  }

  onWaited(): void {
    this.#waiting = this.#interruption = undefined
    this.#call.scope.setStreamState('connecting')
    this.#call.scope.root.reopens++
    const scope = this.#call.scope.fork()
    this.#scope = scope
    Promise.resolve()
      .then(() => openWithin(this.#attempted(this.#again(scope)), this.#next, 'opened again', this.#timeoutMs))
      .then((reply) => this.#reopened(streamOf(reply, this.#call), scope))
      .catch((error: unknown) => {
        if (this.#scope !== scope) return
        this.#endAttempt()
        this.#failed(error)
      })
  }

  /** The call of the next attempt: through auth again, one attempt, a fresh opening deadline. */
  #again(scope: Scope): Call {
    const deadline = Math.min(scope.services.clock.now() + this.#timeoutMs, this.#call.wireDeadline)
    return this.#after(this.received).with({ scope, isReopen: true, attempt: 1, deadline })
  }

  /** The call that continues after a cursor. */
  #after(cursor: string | undefined): Call {
    const call = this.#call
    if (cursor === undefined && call.cursor === undefined) return call
    const { resume } = call.operation
    return call.with(resume && cursor !== undefined ? { cursor, input: inputAfter(resume, call, cursor) } : { cursor })
  }

  #reopened(reply: StreamReply, scope: Scope): void {
    if (this.#scope !== scope) {
      discardReply(reply)
      return
    }
    const cursor = this.#sentCursor
    const repeated = cursor === undefined ? undefined : this.cursors.resumed(cursor)
    if (repeated) this.splice.lose(repeated)
    if (cursor === undefined && !reply.isWhole) this.#loseUnknown()
    this.#call.scope.services.telemetry?.event?.({ type: 'resumed', call: this.#call, cursor })
    this.#opened(reply)
  }

  /** Nobody can tell whether messages are missing here. */
  #loseUnknown(): void {
    const lost = this.losses.unknown()
    if (lost) this.splice.lose(lost)
  }

  #isRefused(error: unknown): error is CallError {
    return this.#sentCursor !== undefined && isAnyCallError(error) && error.code === 'out_of_range'
  }

  /** The server does not know the cursor any more: without it from here, and what lies between is lost. */
  #forget(): CallError | undefined {
    const lost = this.losses.notRecovered(this.#sentCursor)
    this.splice.forget()
    this.splice.lose(lost)
    return this.losses.errorOf(lost)
  }

  #attempted(call: Call): Call {
    this.#sentCursor = call.cursor
    this.#backoff.attempted()
    return call
  }

  /** The stream is over; the reader still gets what is queued. */
  fail(error: unknown): void {
    this.splice.finish({ kind: 'failed', error })
  }

  /** Nothing is waiting, opening or open any more. */
  onEnd(reason: unknown): void {
    this.#waiting?.cancel()
    this.#trailers.settle(() => this.reply?.trailers ?? HeaderMap.empty)
    const scope = this.#scope
    this.#scope = undefined
    scope?.abort(reason)
  }

  #endAttempt(): void {
    const scope = this.#scope
    this.#scope = undefined
    scope?.end()
  }
}
