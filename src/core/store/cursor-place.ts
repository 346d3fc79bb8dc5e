import type { Call } from '../call/call.ts'

/** Keeps the consumed cursor of one stream while it lives. */
export interface CursorKeeper {
  /** What was kept by the stream before: where this one begins. */
  readonly cursor: string | undefined
  /** The reader has a message. */
  given(): void
  /** It asks for another one: what it had is consumed. */
  progressed(): void
  /** The stream is over: `left` keeps its place, `ended` and `lost` give it up. Only the first word counts. */
  finish(how: 'left' | 'ended' | 'lost'): void
  /** Settles once the last place is kept. Rejects with a CallError where it is not. */
  flushed(): Promise<void>
}

/** Where a stream's place is kept beyond the stream; made by `storedCursor`. */
export interface CursorPlace {
  /**
   * Reads where `call` begins.
   *
   * @param consumed - the cursor of the last message that was consumed, any time; empty where the server took it back.
   */
  open(call: Call, consumed: () => string | undefined): Promise<CursorKeeper>
}

/** Tells the keeper of each read; whoever sees the end may end the process, so the last place is kept by then. */
export function kept<T>(read: Promise<IteratorResult<T>>, keeper: CursorKeeper): Promise<IteratorResult<T>> {
  keeper.progressed()
  const last = () => keeper.flushed().catch(() => {})
  return read.then(
    (result) => {
      if (result.done) return last().then(() => result)
      keeper.given()
      return result
    },
    (error: unknown) => last().then(() => Promise.reject(error)),
  )
}
