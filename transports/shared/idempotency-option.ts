import { idempotencyProfiles } from '../../src/core/call/idempotency.ts'

/** Whether a value may stand where an idempotency profile is named. */
export function isIdempotencyOption(value: unknown): boolean {
  return (
    value === undefined || value === false || (typeof value === 'string' && Object.hasOwn(idempotencyProfiles, value))
  )
}
