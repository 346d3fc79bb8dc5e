import type { OverflowPolicy } from '../../../src/core/stream/overflow.ts'
import type { IdKind } from './channel-history.ts'

/** One stream to be opened over a session. */
export interface StreamSpec {
  /** The channel; undefined where the subscription is the call's own. */
  readonly topic: string | undefined
  /** What is sent along with the subscription. */
  readonly payload: unknown
  /** Whether cursors are taken, shown and sent. @defaultValue true */
  readonly isRecoverable?: boolean | undefined
  readonly ids?: IdKind | undefined
  readonly overflow?: OverflowPolicy | undefined
  /** Messages that may wait for the reader. @defaultValue 4_096 */
  readonly maxQueued?: number | undefined
}
