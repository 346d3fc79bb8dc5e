import type { Call } from '../call/call.ts'
import type { Next } from '../call/interceptor.ts'
import { toKnownError } from '../call/run-unary.ts'
import type { CallError } from '../errors/error.ts'
import type { StreamState } from '../stream/state.ts'
import { pageLife } from '../time/page-life.ts'
import { CountingCursors, type Hold, type MakeCursors } from './hold.ts'
import type { ResumeOptions } from './options.ts'
import { ResumingStream } from './resume-stream.ts'

/**
 * What opens a stream again in the place of its own operation: another operation (`continueWith`), or another route
 * (`failover`). Made for one stream, and asked by its {@link ReopenedStream}, which keeps the queue, the cursors, the gaps,
 * the waits and the scopes:
 *
 *     attempt fails → its queue is sifted, what is held is dropped → prepare(error) → wait → open(call) → spliced in
 *
 * Whoever opens an attempt brings its messages into the shape of the first operation by a tap, before it gives the reply.
 */
export interface Reopener {
  /** Opens it for the first time. */
  readonly first: Next
  /**
   * Asked at each drop and each failed try, before the wait. What it throws ends the stream, behind what is queued; undefined
   * ends it without an error.
   *
   * @param cursor - the last one received.
   */
  prepare(error: CallError, cursor: string | undefined): Prepared | undefined | Promise<Prepared | undefined>
  /**
   * Opens an attempt. Its call is the first operation's, with `isReopen`, a scope and a deadline of its own and the cursor to
   * go on after; what is sent is the opener's to make of it.
   */
  readonly open: Next
  /** The source of the attempt that is open has ended without an error: what this gives is a drop, and not the end. */
  ended?(): CallError | undefined
  /** What becomes of messages behind the last cursor. @defaultValue they are given and counted, and a repeat is told */
  readonly hold?: Hold | undefined
  /** What the stream fails with, in its own words. @defaultValue the error as it is */
  explain?(error: unknown): unknown
}

/** How a stream waits before it is opened again. */
export interface Prepared {
  /** What is waited for: its Retry-After, and the shared connection that somebody else opens again. */
  readonly error: CallError
  /** Instead of the stream's own backoff; ms. */
  readonly waitMs?: number | undefined
}

const counting: MakeCursors = (call, stream, replayWindow) => new CountingCursors(call, stream, replayWindow)

/** A stream whose attempts are opened by a {@link Reopener}. */
export class ReopenedStream extends ResumingStream {
  readonly #call: Call
  readonly #by: Reopener
  /** The connection that is open, or has broken, is marked as open. */
  #isMarked?: boolean

  constructor(call: Call, options: ResumeOptions, by: Reopener) {
    super(call, by.open, options, pageLife(), by.first)
    this.cursors = (by.hold?.start ?? counting)(call, this, options.replayWindow)
    this.#call = call
    this.#by = by
  }

  /** Messages came again, or may have. */
  get isRepeating(): boolean {
    return (this.cursors as CountingCursors).isRepeating
  }

  /** Leaves the attempt that is open, as if it had failed: what it has brought stays. */
  leave(error: CallError): void {
    if (!this.splice.isAttached) return
    const { messages } = this.reply
    this.settled({ kind: 'failed', error })
    messages.close(error)
  }

  /** Puts in what its operation marks a new connection with. */
  markOpened(): void {
    const { marks } = this.#call.operation
    if (marks) this.splice.put(marks.opened())
    this.#isMarked = marks !== undefined
  }

  override onWaiting(state: StreamState): void {
    if (this.#isMarked) this.splice.put(this.#call.operation.marks?.dropped())
    this.#isMarked = false
    super.onWaiting(state)
  }

  /** The stream is over without an error, once what is queued has been read. */
  finish(): void {
    this.splice.finish({ kind: 'ended' })
  }

  /** The server has nothing more, though it should: what lies behind the last cursor is lost. */
  miss(): void {
    this.splice.lose(this.losses.notRecovered(this.received))
  }

  override fail(error: unknown): void {
    super.fail(this.#by.explain?.(error) ?? error)
  }

  protected override ended(): CallError | undefined {
    return this.#by.ended?.()
  }

  protected override dropped(error: CallError): void {
    void this.#prepare(error)
  }

  async #prepare(error: CallError): Promise<void> {
    if (this.splice.settled) return
    try {
      const prepared = await this.#by.prepare(error, this.received)
      if (prepared) super.dropped(prepared.error, prepared.waitMs)
      else this.finish()
    } catch (failure) {
      this.fail(toKnownError(failure, this.#call))
    }
  }
}
