import { type OperationInfo, operationInfo } from '../../src/core/call/operation.ts'
import type { MockOptions } from './types.ts'

/** @throws {TypeError} where it is no operation that can be mocked as it stands. */
export function mockable(
  builder: string,
  operation: unknown,
  resolver: unknown,
  kinds: readonly string[],
  options: MockOptions,
): OperationInfo {
  const info = operationInfo(operation)
  if (!info)
    throw new TypeError(`${builder}(operation, …): the first argument is an operation of a contract, or a bound one`)
  const refuse = (what: string): never => {
    throw new TypeError(`${builder}(${info.name}): ${what}`)
  }
  if (typeof resolver !== 'function') refuse('the second argument is a function, which answers')
  if (info.adapted) refuse('adapt() changes it on this side only: mock the operation that it was given')
  if (info.failover) refuse('it has several routes, or gathers calls: mock the operations behind it')
  if (info.makeCallable) refuse('it is several calls: mock their requests with http of msw/http')
  if (!kinds.includes(info.kind)) refuse(`it is a ${info.kind}, which ${others[info.kind] ?? 'cannot be mocked'}`)
  for (const name in options)
    if (!/^(?:baseUrl|once)$/.test(name)) refuse(`unknown option '${name}'; there are baseUrl, once`)
  return info
}

const others: Readonly<Record<string, string>> = {
  unary: 'mock() mocks',
  server_stream: 'mockStream() mocks',
  bidi_stream: 'mockChannel() mocks where it is a channel of a WebSocket',
}
