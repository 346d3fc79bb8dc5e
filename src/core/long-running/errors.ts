import type { OperationInfo } from '../call/operation.ts'
import { CallError, failureOf, isAnyCallError, withHistory } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'

/** An error as one of somebody else's, who is told of it, too. */
export function copyOf(error: CallError, { via }: OperationInfo, more?: Partial<Failure>): CallError {
  const { operation: name, protocol, attempt, failures, notRetried, runStatus } = error
  const origin = { operation: { name, protocol, via }, attempt }
  const copy = withHistory(new CallError({ ...failureOf(error), ...more }, origin), failures, notRetried)
  return runStatus ? Object.assign(copy, { runStatus }) : copy
}

/**
 * What a call fails with that starts a run and waits for it, and has started it: the server was told, whatever a later
 * request has come to, and calling it again starts another one.
 */
export function begunError(error: unknown, info: OperationInfo): unknown {
  if (!isAnyCallError(error) || error.sent === 'yes') return error
  return copyOf(error, info, { sent: 'yes', isRetryable: false })
}

/** What those are told who wait no longer. */
export function lateError(operation: OperationInfo, retryAfterMs?: number): CallError {
  const why = retryAfterMs === undefined ? 'the time to wait is over' : 'the server asks for a longer wait than is left'
  const message = `${why}, and the run goes on at the server: call result() again, or keep JSON.stringify(run)`
  const failure = { code: 'deadline_exceeded', message, phase: 'body', sent: 'yes', retryAfterMs } as const
  return Object.assign(new CallError(failure, { operation }), { runStatus: 'running' })
}

/** The same of a run that is over. */
export function lateResult(operation: OperationInfo): CallError {
  const message = 'the run has succeeded, and its result did not come in time: call result() again'
  const error = new CallError({ code: 'deadline_exceeded', message, phase: 'body', sent: 'yes' }, { operation })
  return Object.assign(error, { runStatus: 'succeeded' })
}
