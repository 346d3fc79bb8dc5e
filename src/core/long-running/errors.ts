import type { OperationInfo } from '../call/operation.ts'
import { CallError, failureOf, isAnyCallError, withHistory } from '../errors/error.ts'
import type { Failure } from '../errors/failure.ts'

/** An error as one of somebody else's, who is told of it, too. */
export function copyOf(error: CallError, { via }: OperationInfo, more?: Partial<Failure>): CallError {
  const { operation: name, protocol, attempt, failures, notRetried, runStatus, phase, sent } = error
  const origin = { operation: { name, protocol, via }, attempt }
  const copy = withHistory(new CallError({ ...failureOf(error), phase, sent, ...more }, origin), failures, notRetried)
  return Object.assign(copy, runStatus && { runStatus })
}

/**
 * What a call fails with that starts a run and waits for it, and has started it: the server was told, whatever a later
 * request has come to, and calling it again starts another one.
 */
export function begunError(error: unknown, info: OperationInfo): unknown {
  if (!isAnyCallError(error) || error.sent === 'yes') return error
  return copyOf(error, info, { sent: 'yes', isRetryable: false })
}
