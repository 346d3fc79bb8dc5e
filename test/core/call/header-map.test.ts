import { inspect } from 'node:util'
import { HeaderMap } from 'polywire'
import { expect, it } from 'vitest'
import { readHeaders } from '../../../src/core/call/header-map.ts'
import { RunHandle } from '../../../src/core/long-running/run.ts'
import { StreamHandle } from '../../../src/core/stream/handle.ts'
import { ResumableDownload } from '../../../transports/rest/downloads/resumable.ts'
import { UploadRun } from '../../../transports/rest/uploads/run.ts'

const headers = new HeaderMap({ 'x-one': 'a', 'x-many': ['a', 'b'], 'x-none': undefined, 'x-empty': [] })

it('headers of several values are joined by get(), and last() gives the last of them', () => {
  expect(headers.get('X-Many')).toBe('a, b')
  expect([headers.last('x-one'), headers.last('X-Many')]).toEqual(['a', 'b'])
  expect([headers.last('x-empty'), headers.last('x-none'), headers.last('x-absent')]).toEqual([null, null, null])
})

it('a name that comes a hundred thousand times is read as fast as so many names', () => {
  const headers = HeaderMap.from(Array.from({ length: 100_000 }, (_, index) => ['x', String(index)] as const))
  expect(headers.last('x')).toBe('99999')
  expect(headers.get('x')).toHaveLength(688_888)
})

it('a header without a value is none of those that are told', () => {
  expect([...headers]).toEqual([
    ['x-one', 'a'],
    ['x-many', 'a, b'],
    ['x-empty', ''],
  ])
  expect([headers.has('x-none'), headers.get('x-none')]).toEqual([false, null])
  expect([headers.has('constructor'), headers.get('constructor')]).toEqual([false, null])
})

it('request headers come as Headers, a Map, pairs or a plain object, and as nothing else', () => {
  const read = { a: '1', b: '2' }
  for (const init of [
    new Headers(read),
    new Map(Object.entries(read)),
    [
      ['A', '1'],
      ['b', '2'],
    ],
    { A: '1', b: 2 },
  ])
    expect(readHeaders(init as never)).toEqual(read)
  for (const init of [null, 'a: 1', 7, [['a']], ['ab'], [['a', '1', '2']], [null], new Map([[1, '\n']])])
    expect(() => readHeaders(init as never)).toThrow(/headers takes Headers, a Map|holds what no header may hold/)
})

it("Node's console shows which headers there are, and none of their values", () => {
  const reply = HeaderMap.from([
    ['Set-Cookie', 'session=canary'],
    ['X-Request-Id', 'r-1'],
  ])
  expect(inspect({ headers: reply })).toBe('{ headers: HeaderMap ["set-cookie","x-request-id"] }')
})

it.each([HeaderMap, StreamHandle, RunHandle, UploadRun, ResumableDownload])(
  '$name has a tag of its own, so that Vue makes no proxy of one in the state of a component',
  ({ prototype }) => {
    // The kinds that Vue's reactive() does make a proxy of.
    const kinds = ['Object', 'Array', 'Map', 'Set', 'WeakMap', 'WeakSet']
    expect(kinds).not.toContain(Object.prototype.toString.call(prototype).slice(8, -1))
  },
)
