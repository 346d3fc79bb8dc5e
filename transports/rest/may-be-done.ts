import type { Call } from '../../src/core/call/call.ts'
import { CallError, type FailedAttempt } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { RestBinding } from './operation.ts'

/** Makes the error of an answer, where the operation has more to say of it than its status. */
export type JudgeFailure = (call: Call, failure: Failure) => CallError | undefined

const lost = /^(?:DELETE4(?:04|1[02])|P(?:UT|ATCH)412)$/

/**
 * What is not there any more, or not as it was, where an earlier attempt may have been carried out: what that has done looks
 * the same. Brought by the builders of methods that can be so answered.
 */
export const mayBeDone: JudgeFailure = (call, failure) => {
  const { method } = call.operation.binding as RestBinding
  if (!lost.test(method + failure.status) || !call.scope.root.failures.some(mayHaveRun)) return undefined
  const message = `${failure.message}; an earlier attempt may have done it`
  return Object.assign(new CallError({ ...failure, message }, call), { mayBeDone: true as const })
}

/** Too many requests are told before anything is done. */
function mayHaveRun({ sent, status }: FailedAttempt): boolean {
  return sent !== 'no' && status !== 429
}
