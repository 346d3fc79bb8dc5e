import type { CallRunner } from './call-runner.ts'
import { type Contract, labelOperation, type OperationInfo, operationInfo } from './core/call/operation.ts'
import { refusal } from './core/errors/refusal.ts'
import { isObject } from './core/tag.ts'

/** Makes of one operation the function that users call. */
export function bindOperation(info: OperationInfo, runner: CallRunner): object {
  return labelOperation(runner.callable(info), info)
}

/**
 * Makes of a contract the object that users hold: plain functions in plain objects, so that spies, console and `await`
 * behave.
 *
 * @throws {CallError} `invalid_argument` when something in it is no operation, `failed_precondition` when an operation
 * needs a transport that the client lacks or that speaks another protocol.
 */
export function bindContract(contract: Contract, runner: CallRunner, path = ''): object {
  if (!isObject(contract))
    throw refusal(
      `${path || 'the contract'} is no operation: make it with a builder such as get(), rpc() or service()`,
      undefined,
    )
  const bound: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(contract)) {
    const info = operationInfo(value)
    const place = path ? `${path}.${name}` : name
    if (info) runner.route(info, place)
    const member = info ? bindOperation(info, runner) : bindContract(value as Contract, runner, place)
    Object.defineProperty(bound, name, { value: member, enumerable: true, configurable: true, writable: true })
  }
  return bound
}
