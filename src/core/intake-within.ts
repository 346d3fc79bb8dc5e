import { unlessAborted } from './aborted.ts'
import type { CallOptions } from './call-options.ts'
import { CallError } from './error.ts'
import type { OperationInfo } from './operation.ts'
import type { Scope } from './scope.ts'

/** What a call is bounded by before there is one. */
export interface IntakeBounds {
  readonly scope: Scope
  readonly info: OperationInfo
  readonly options: CallOptions
  /** Where the caller says nothing; ms. */
  readonly timeoutMs: number | undefined
}

/** An input that took its time, and until when the call that it is for may last. */
export interface Taken {
  readonly input: unknown
  readonly deadline: number
}

/** Waits for an input that is validated asynchronously, for as long as the call may last; the rest is what is left. */
export async function intakeWithin(work: Promise<unknown>, bounds: IntakeBounds): Promise<Taken> {
  const { scope, info, options, timeoutMs = 30_000 } = bounds
  const { clock, deadlines } = scope.services
  const { deadline = Number.POSITIVE_INFINITY } = options
  const absolute = (typeof deadline === 'number' ? deadline : deadline.getTime()) - clock.wallNow()
  const at = clock.now() + Math.min(options.timeoutMs ?? timeoutMs, absolute)
  const expire = () => {
    const message = 'the deadline passed while the input was validated; nothing was sent'
    const failure = { code: 'deadline_exceeded', message, phase: 'resolve', sent: 'no' } as const
    scope.abort(new CallError(failure, { operation: info }))
  }
  // What is no number is refused later, by name.
  const armed = at < Number.POSITIVE_INFINITY ? deadlines.add(at, expire) : undefined
  try {
    const input = await unlessAborted(scope, work)
    return { input, deadline: armed ? at : Number.POSITIVE_INFINITY }
  } finally {
    if (armed) deadlines.remove(armed)
  }
}
