import type { RetryLimits } from '../retry/limits.ts'
import type { Clock } from '../time/clock.ts'
import type { DeadlineList } from '../time/deadline-list.ts'
import type { LiveScopes } from './scope.ts'
import type { Telemetry } from './telemetry.ts'

/** What all calls of one client share. */
export interface Services {
  readonly clock: Clock
  readonly deadlines: DeadlineList
  /** Budgets and waits, by origin and operation. */
  readonly limits: RetryLimits
  readonly telemetry: Telemetry | undefined
  /** The calls that are not over. */
  readonly live?: LiveScopes
  /** What calls that are over still do, and the client's `close()` waits for. */
  readonly lastWork?: Set<Promise<unknown>>
}
