import { type Finish, guardTelemetry, type Telemetry } from '../core/call/telemetry.ts'
import { refusal } from '../core/errors/refusal.ts'

/**
 * Several telemetry hooks in the place of one; the first is outermost. What one throws keeps the word from no other, and
 * `undefined` is none.
 *
 * @throws {CallError} `invalid_argument` where one is no telemetry.
 * @example
 * createClient({ transports, telemetry: combineTelemetry(otel(), logTo(pino())) })
 */
export function combineTelemetry(...hooks: readonly (Telemetry | undefined)[]): Telemetry {
  const given = hooks.filter((each) => each !== undefined)
  if (given.some((each) => Object(each) !== each))
    throw refusal('combineTelemetry() takes telemetry, such as logTo(pino())', undefined)
  const all = given.map(guardTelemetry)
  const beginners = (member: 'call' | 'attempt') => all.flatMap((each) => each[member] ?? [])
  const around = (member: 'call' | 'attempt') => {
    const found = all.flatMap((each) => each.around?.[member] ?? [])
    return found.length === 0
      ? undefined
      : found.reduceRight((inner, outer) => (call, next) => outer(call, (own) => inner(own, next)))
  }
  const calls = beginners('call')
  const attempts = beginners('attempt')
  const listeners = all.flatMap((each) => each.event ?? [])
  const call = around('call')
  const attempt = around('attempt')
  return {
    ...(calls.length > 0 && { call: (begun) => finishAll(calls.map((begin) => begin(begun))) }),
    ...(attempts.length > 0 && { attempt: (begun) => finishAll(attempts.map((begin) => begin(begun))) }),
    ...(listeners.length > 0 && {
      event: (event) => {
        for (const listen of listeners) listen(event)
      },
    }),
    ...((call || attempt) && { around: { ...(call && { call }), ...(attempt && { attempt }) } }),
  }
}

/** Nothing where nobody waits for the end; the last that began is told first. */
function finishAll(finishes: readonly (Finish | undefined)[]): Finish | undefined {
  const waiting = finishes.filter((each) => each !== undefined).reverse()
  if (waiting.length < 2) return waiting[0]
  return (error, reply) => {
    for (const finish of waiting) finish(error, reply)
  }
}
