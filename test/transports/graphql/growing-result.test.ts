import fc from 'fast-check'
import {
  buildSchema,
  experimentalExecuteIncrementally,
  legacyExecuteIncrementally,
  parse as parseOf17,
} from 'graphql17'
import { describe, expect, it, test } from 'vitest'
import { GrowingResult, MisplacedPart } from '../../../transports/graphql/growing-result.ts'
import { recordedAnswers } from '../../support/incremental-answers.ts'

/** The result behind each part. */
function grow(parts: readonly unknown[]) {
  const growing = new GrowingResult()
  return parts.map((part) => {
    growing.add(part)
    return { ...growing.result, hasNext: growing.hasNext }
  })
}
const order = { id: 'o1' }

const orders = buildSchema(`
  directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
  directive @stream(if: Boolean! = true, label: String, initialCount: Int = 0) on FIELD
  type Query { order: Order }
  type Order { id: ID! total: Int slow: String bad: String! owner: Owner items: [Item!] }
  type Owner { name: String address: Address }
  type Address { city: String zip: String }
  type Item { name: String price: Int note: String! }
`)
const whole = {
  id: 'o1',
  total: 7,
  slow: async () => 'slow',
  bad: () => Promise.reject(new Error('it broke')),
  owner: async () => ({ name: 'Ada', address: { city: 'Paris', zip: '75' } }),
  items: () =>
    [...'abc'].map((name) => ({
      name,
      price: 1,
      note: () => (name === 'b' ? Promise.reject(new Error('no note of b')) : `n-${name}`),
    })),
}

describe('a result that comes in parts', () => {
  test.each(recordedAnswers.map((each) => [each.name, each] as const))(
    'is the same in both forms, as recorded of graphql 17: %s',
    (_name, { of2022, of2023 }) => {
      const [old, current] = [grow(of2022), grow(of2023)]
      expect(current.at(-1)).toEqual(old.at(-1))
      expect(current.at(-1)?.hasNext).toBe(false)
    },
  )

  // What was recorded is what graphql 17 says: other parts at other times, and the same end.
  test.each(recordedAnswers.map((each) => [each.name, each] as const))(
    '%s, as graphql 17 executes it now, ends as the recorded one, in both forms',
    async (_name, { document, of2022, of2023 }) => {
      const end = (parts: readonly unknown[]) => {
        const growing = new GrowingResult()
        for (const part of parts) growing.add(JSON.parse(JSON.stringify(part)))
        expect(growing.hasNext).toBe(false)
        const { data, errors = [] } = growing.result
        return { data, errors: errors.map(({ message, path }) => ({ message, path })) }
      }
      for (const [execute, recorded] of [
        [legacyExecuteIncrementally, of2022],
        [experimentalExecuteIncrementally, of2023],
      ] as const) {
        const live: unknown[] = []
        const result = await execute({ schema: orders, document: parseOf17(document), rootValue: { order: whole } })
        if ('initialResult' in result) {
          live.push(result.initialResult)
          for await (const part of result.subsequentResults) live.push(part)
        } else live.push(result)
        expect(end(live)).toEqual(end(recorded))
      }
    },
  )

  it('grows part by part, to what it would have been at once', () => {
    const at = (name: string) => grow(recordedAnswers.find((each) => each.name === name)?.of2023 ?? [])
    expect(at('defer').map(({ data }) => data)).toEqual([{ order }, { order: { ...order, slow: 'slow', total: 7 } }])
    expect(at('stream').map(({ data }) => (data as any).order.items.map(({ name }: any) => name).join(''))).toEqual([
      'a',
      'ab',
      'abc',
    ])
    expect(at('overlap').at(-1)?.data).toEqual({
      order: { owner: { name: 'Ada', address: { city: 'Paris', zip: '75' } }, total: 7 },
    })
    expect(at('failed').at(-1)).toEqual({
      data: { order: { id: 'o1', slow: 'slow' } },
      errors: [{ message: 'it broke', path: ['order', 'bad'] }],
      hasNext: false,
    })
  })

  it('never changes what it gave before, and shares what did not change', () => {
    const parts = [
      { data: { a: { n: 1 }, list: [{ x: 1 }], other: { big: [] } }, hasNext: true },
      {
        incremental: [
          { path: ['a'], data: { m: 2 } },
          { path: ['list', 0], data: { y: 2 } },
        ],
        hasNext: true,
      },
      { incremental: [{ path: ['list', 1], items: [{ x: 2 }] }], hasNext: false },
    ]
    const [first, second, third] = grow(structuredClone(parts)) as any[]
    expect(first.data).toEqual(parts[0]?.data)
    expect(second.data).toEqual({ a: { n: 1, m: 2 }, list: [{ x: 1, y: 2 }], other: { big: [] } })
    expect(third.data.list).toEqual([{ x: 1, y: 2 }, { x: 2 }])
    expect(third.data.other).toBe(first.data.other)
    expect(third.data.a).toBe(second.data.a)
  })

  it('in the form of 2020, where each part is a patch', () => {
    const [, second, third] = grow([
      { data: { hello: 'Rob', list: ['a'] }, hasNext: true },
      {
        data: { test: 'World' },
        path: [],
        label: 'x',
        hasNext: true,
        errors: [{ message: 'e' }],
        extensions: { cost: 1 },
      },
      { data: 'b', path: ['list', 1], hasNext: false },
    ])
    expect(second).toEqual({
      data: { hello: 'Rob', list: ['a'], test: 'World' },
      errors: [{ message: 'e' }],
      extensions: { cost: 1 },
      hasNext: true,
    })
    expect(third?.data).toEqual({ hello: 'Rob', list: ['a', 'b'], test: 'World' })
  })

  it('of lists of lists, with items of an id, and with indexes that a parser made objects of', () => {
    expect(
      grow([
        {
          data: { m: [[1]] },
          pending: [
            { id: '0', path: ['m'] },
            { id: '1', path: ['m', 0] },
          ],
          hasNext: true,
        },
        {
          incremental: [
            { id: '0', items: [[3]] },
            { id: '1', items: [2] },
          ],
          completed: [{ id: '0' }],
          hasNext: false,
        },
      ]).at(-1)?.data,
    ).toEqual({ m: [[1, 2], [3]] })
    expect(
      grow([
        { data: { m: [[1]] }, hasNext: true },
        { incremental: [{ path: ['m', 1n], items: [[2]] }], hasNext: false },
      ]).at(-1)?.data,
    ).toEqual({ m: [[1], [2]] })
  })

  it('keeps numbers of a parser of the user as they are', () => {
    class Lossless {
      value = '9007199254740993'
    }
    const number = new Lossless()
    const last = grow([
      { data: { a: { n: number } }, hasNext: true },
      { incremental: [{ path: ['a'], data: { n: number, m: number } }], hasNext: false },
    ]).at(-1)
    expect((last as any).data.a.n).toBe(number)
    expect((last as any).data.a.m).toBe(number)
  })

  it('takes __proto__ for a name like any other', () => {
    const part = (text: string) => JSON.parse(text) as unknown
    const [, last] = grow([
      part('{"data":{"a":{"__proto__":{"x":1}}},"hasNext":true}'),
      part('{"incremental":[{"path":["a"],"data":{"__proto__":{"y":2},"constructor":{"z":1}}}],"hasNext":false}'),
    ])
    const { a } = (last as any).data
    expect(Object.getPrototypeOf(a)).toBe(Object.prototype)
    expect(JSON.stringify(a)).toBe('{"__proto__":{"x":1,"y":2},"constructor":{"z":1}}')
    expect(({} as any).y).toBeUndefined()
    const [, added] = grow([
      part('{"data":{"a":{"n":1}},"hasNext":true}'),
      part('{"incremental":[{"path":["a"],"data":{"__proto__":{"y":2}}}],"hasNext":false}'),
    ])
    expect(JSON.stringify((added as any).data.a)).toBe('{"n":1,"__proto__":{"y":2}}')
    expect((added as any).data.a.y).toBeUndefined()
    const poison = part('{"incremental":[{"path":["__proto__"],"data":{"polluted":1}}],"hasNext":false}')
    expect(() => grow([{ data: { a: 1 }, hasNext: true }, poison])).toThrow(MisplacedPart)
    expect(({} as any).polluted).toBeUndefined()
  })

  test.each<[string, unknown]>([
    ['a path that does not exist', { incremental: [{ path: ['b'], data: { x: 1 } }] }],
    ['a path to no object', { incremental: [{ path: ['a', 'n'], data: { x: 1 } }] }],
    ['a path into null', { incremental: [{ path: ['nothing', 'x'], data: { x: 1 } }] }],
    ['a path beyond a list', { incremental: [{ path: ['list', 5], data: { x: 1 } }] }],
    ['a negative index', { incremental: [{ path: ['list', -1], data: { x: 1 } }] }],
    ['an index that is none', { incremental: [{ path: ['list', 0.5], data: { x: 1 } }] }],
    ['items behind a hole', { incremental: [{ path: ['list', 7], items: [1] }] }],
    ['items of no list', { incremental: [{ path: ['a'], items: [1] }] }],
    ['an id that was not announced', { incremental: [{ id: '9', data: { x: 1 } }] }],
    ['no object', 5],
  ])('with %s is refused', (_what, part) => {
    const first = { data: { a: { n: 1 }, list: [1], nothing: null }, hasNext: true }
    expect(() => grow([first, part])).toThrow(MisplacedPart)
  })

  it('passes over what says nothing, and refuses a first part that is no GraphQL', () => {
    const growing = new GrowingResult()
    expect(growing.add({})).toBe(false)
    expect(() => growing.add({ hasNext: true })).toThrow(MisplacedPart)
    expect(growing.add({ data: { a: 1 }, hasNext: true })).toBe(true)
    expect(growing.add({})).toBe(false)
    expect(growing.hasNext).toBe(true)
    growing.add({ hasNext: false })
    expect(growing).toMatchObject({ result: { data: { a: 1 } }, hasNext: false })
  })

  it('of any shape and any order of its parts ends as the whole', () => {
    const leaf = fc.oneof(fc.integer(), fc.string(), fc.constant(null))
    const tree = fc.letrec((tie) => ({
      node: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.oneof({ depthSize: 'small' }, leaf, tie('node'))),
    })).node as fc.Arbitrary<Record<string, unknown>>
    const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null
    fc.assert(
      fc.property(tree, fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (whole, isDeferred) => {
        const patches: { path: string[]; data: Record<string, unknown> }[] = []
        let at = 0
        // Each member is sent with its object, or deferred, by itself, behind it.
        const split = (value: Record<string, unknown>, path: string[]): Record<string, unknown> => {
          const now: Record<string, unknown> = {}
          for (const [key, member] of Object.entries(value)) {
            if (isDeferred[at++ % 40]) patches.push({ path, data: { [key]: member } })
            else now[key] = isObject(member) ? split(member, [...path, key]) : member
          }
          return now
        }
        const first = { data: split(whole, []), hasNext: true }
        const parts = patches.map((patch, n) => ({ incremental: [patch], hasNext: n < patches.length - 1 }))
        expect(grow([first, ...parts]).at(-1)?.data).toEqual(whole)
      }),
    )
  })
})
