import { CallError, isCallError } from 'polywire'
import { expect, it } from 'vitest'
import { unaryOperation } from '../../support/memory-client.ts'

const declared = unaryOperation({ errors: { 404: undefined } as never })
const of = (name: string, status?: number) =>
  new CallError(
    { code: 'not_found', message: 'no', status },
    { operation: { name, protocol: 'memory', via: 'memory' } },
  )

it.each([
  ['a declared status of the operation', of('GET /thing', 404), true],
  ['another status of the operation', of('GET /thing', 410), false],
  ['a failure of the operation without a status', of('GET /thing'), false],
  ['the same status of another operation', of('GET /other', 404), false],
  ['no error of ours', new Error('no'), false],
])('%s', (_, error, isDeclared) => {
  expect(isCallError(error, declared as never)).toBe(isDeclared)
})

it('nothing is declared by what is no operation', () => {
  expect(isCallError(of('GET /thing', 404), {} as never)).toBe(false)
})
