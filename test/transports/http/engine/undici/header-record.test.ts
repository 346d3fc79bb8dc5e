import { describe, expect, it } from 'vitest'
import { foreignDispatcher, toRecord } from '../../../../../transports/http/engine/undici/dispatcher.ts'

describe('headers as older dispatchers give them', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)

  it('names and values in turn, as bytes or text, become a record by lower-case name', () => {
    const record = toRecord([bytes('Content-Type'), bytes('text/plain'), 'X-A', '1'])
    expect({ ...record }).toEqual({ 'content-type': 'text/plain', 'x-a': '1' })
  })

  it('a name that comes again keeps all its values, in order', () => {
    const record = toRecord(['set-cookie', 'a=1', 'Set-Cookie', 'b=2', 'set-cookie', ['c=3', bytes('d=4')]])
    expect(record['set-cookie']).toEqual(['a=1', 'b=2', 'c=3', 'd=4'])
  })

  it('nothing, and a name without a value, give nothing', () => {
    expect({ ...toRecord(null) }).toEqual({})
    expect({ ...toRecord(['x-a', '1', 'x-b']) }).toEqual({ 'x-a': '1' })
  })
})

describe('a global dispatcher', () => {
  it('is nobody else’s where there is none, or where it cannot dispatch', () => {
    expect(foreignDispatcher(undefined, {}, null)).toBeUndefined()
    const mine = { dispatch: () => true }
    expect(foreignDispatcher(undefined, mine)).toBe(mine)
  })
})
