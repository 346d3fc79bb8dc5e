import { CallError, isCallError } from 'polywire'
import { expect, it } from 'vitest'
import { unaryOperation } from '../../support/memory-client.ts'

const declared = unaryOperation({ errors: { 404: undefined, OUT_OF_STOCK: undefined } as never })
const of = (name: string, status?: number, reason?: string) =>
  new CallError(
    { code: 'not_found', message: 'no', status, reason },
    { operation: { name, protocol: 'memory', via: 'memory' } },
  )

it.each([
  ['a declared status of the operation', of('GET /thing', 404), true],
  ['a declared reason of the operation, under any status', of('GET /thing', 410, 'OUT_OF_STOCK'), true],
  ['a declared reason without a status', of('GET /thing', undefined, 'OUT_OF_STOCK'), true],
  ['another status of the operation', of('GET /thing', 410), false],
  ['another reason of the operation', of('GET /thing', 410, 'constructor'), false],
  ['a failure of the operation without a status', of('GET /thing'), false],
  ['the same status of another operation', of('GET /other', 404), false],
  ['no error of ours', new Error('no'), false],
])('%s', (_, error, isDeclared) => {
  expect(isCallError(error, declared as never)).toBe(isDeclared)
})

it('what a description declares is told by its status', () => {
  const described = unaryOperation({ name: 'GET /thing' }) as never
  expect(isCallError(of('GET /thing', 418, 'TEAPOT'), described)).toBe(true)
  expect(isCallError(of('GET /thing', undefined, 'body_not_replayable'), described)).toBe(false)
})

it('nothing is declared by what is no operation', () => {
  expect(isCallError(of('GET /thing', 404), {} as never)).toBe(false)
})
