import { CallError, type ErrorOrigin } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'
import type { Check } from './operation.ts'
import { type Checked, checkSchema } from './schema.ts'
import type { Services } from './services.ts'

/** Which way the checked value goes. */
export type Direction = 'input' | 'output'

/** What a failed check does: throws, warns and lets the value pass, or there is no check. */
export type ValidateMode = 'error' | 'warn' | false

/** Makes the function that validates by a schema, asynchronous only where the schema is. */
export function makeChecker(direction: Direction, mode: ValidateMode, services: Services, origin: ErrorOrigin): Check {
  if (mode === false) return (_schema, value) => value
  const settle = (checked: Checked, value: unknown): unknown => {
    if ('value' in checked) return checked.value
    const failure = mismatch(direction, checked)
    if (mode === 'error') throw new CallError(failure, origin)
    services.telemetry?.event?.({
      type: 'warning',
      call: undefined,
      message: `${origin.operation.name}: ${failure.message}`,
    })
    return value
  }
  return (schema, value) => {
    const checked = checkSchema(schema, value)
    return checked instanceof Promise ? checked.then((done) => settle(done, value)) : settle(checked, value)
  }
}

function mismatch(direction: Direction, { violations }: Extract<Checked, { violations: unknown }>): Failure {
  const fields = violations.map(({ field }) => (field ? `'${field}'` : 'the whole')).join(', ')
  return direction === 'input'
    ? {
        code: 'invalid_argument',
        message: `the input does not fit its schema at ${fields}: see violations; nothing was sent`,
        phase: 'resolve',
        sent: 'no',
        violations,
      }
    : {
        code: 'internal',
        message: `the reply does not fit its schema at ${fields}: see violations, or set validate: 'warn'`,
        phase: 'body',
        sent: 'yes',
        violations,
      }
}
