import type { DeclaredError, Fails } from '../call/call-types.ts'
import { operationInfo } from '../call/operation.ts'
import { type CallError, isAnyCallError } from './error.ts'

/**
 * Whether an error is a CallError, of this or another copy of the package; with an operation, whether it is one of the
 * errors that the operation declares, whose `body` is then typed by `status`, or by `reason`.
 *
 * @example
 * if (isCallError(error, api.users.get) && error.status === 404) console.log(error.body)
 */
export function isCallError<Bodies>(error: unknown, of: Fails<Bodies>): error is DeclaredError<Bodies>
export function isCallError(error: unknown): error is CallError
export function isCallError(error: unknown, of?: object): boolean {
  if (!isAnyCallError(error)) return false
  if (of === undefined) return true
  const info = operationInfo(of)
  if (info?.name !== error.operation) return false
  const { status = '', reason = '' } = error
  return info.errors ? Object.hasOwn(info.errors, status) || Object.hasOwn(info.errors, reason) : status !== ''
}
