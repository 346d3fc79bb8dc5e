import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { Continuity } from '../../src/core/stream/state.ts'

/** What one event stream has learned over all its connections. */
export class SseLife {
  /** What the server last wrote as `retry:`; ms. */
  reconnectMs: number | undefined
  /** The server sends comments: silence means that the connection is dead. */
  hasComments = false
  /** Of events that were taken in, some had an id of their own … */
  hasIds = false
  /** … and some had none. */
  hasEventsWithoutId = false

  /**
   * What the ids allow to promise. Opaque ones tell a repeat only while they are remembered; events without an id of
   * their own come again after a resume.
   */
  continuity(cursors: OperationInfo['cursors']): Continuity {
    if (!this.hasIds) return 'unknown'
    return cursors === 'offset' && !this.hasEventsWithoutId ? 'exact' : 'at-least-once'
  }

  /** The longer of two waits, where there is one. */
  waitMs(retryAfterMs: number | undefined): number | undefined {
    if (this.reconnectMs === undefined) return retryAfterMs
    return Math.max(this.reconnectMs, retryAfterMs ?? 0)
  }
}
