import { CallError } from '../errors/error.ts'
import { unlessAborted } from './aborted.ts'
import type { Call } from './call.ts'

/**
 * The call with its input, which is validated asynchronously: for as long as the call may last. What is left then is
 * its deadline.
 */
export async function intakeWithin(call: Call, work: Promise<unknown>, timeoutMs = 30_000): Promise<Call> {
  const { scope, options } = call
  const { clock, deadlines } = scope.services
  const { deadline = Number.POSITIVE_INFINITY } = options
  const absolute = (typeof deadline === 'number' ? deadline : deadline.getTime()) - clock.wallNow()
  const at = clock.now() + Math.min(options.timeoutMs ?? timeoutMs, absolute)
  const message = 'the deadline passed while the input was validated; nothing was sent'
  const expire = () =>
    scope.abort(new CallError({ code: 'deadline_exceeded', message, phase: 'resolve', sent: 'no' }, call))
  // What is no number is refused later, by name.
  const armed = at < Number.POSITIVE_INFINITY && deadlines.add(at, expire)
  try {
    const input = await unlessAborted(scope, work)
    return call.with(armed ? { input, deadline: at } : { input })
  } finally {
    if (armed) deadlines.remove(armed)
  }
}
