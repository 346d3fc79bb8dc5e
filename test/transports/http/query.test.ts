import fc from 'fast-check'
import { isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { encodeQuery, joinQuery, type QueryStyle } from '../../../transports/http/query.ts'

const read = (query: string) => decodeURIComponent(query)

describe('a query', () => {
  it.each<[object, string]>([
    [{}, ''],
    [{ a: 1, b: 'x' }, 'a=1&b=x'],
    [{ a: undefined, b: 1 }, 'b=1'],
    [{ a: '' }, 'a='],
    [{ a: 0, b: false, c: true, d: 9007199254740993n }, 'a=0&b=false&c=true&d=9007199254740993'],
    [{ at: new Date(0) }, 'at=1970-01-01T00:00:00.000Z'],
    [{ at: { toJSON: () => '2020-01-01' } }, 'at=2020-01-01'],
    [{ to: new URL('https://example.com/?a=b') }, 'to=https://example.com/?a=b'],
    [{ a: [1, 2] }, 'a=1&a=2'],
    [{ a: [] }, ''],
    [{ a: [undefined, 1] }, 'a=1'],
    [{ filter: { status: 'active', age: { gt: 3 } } }, 'filter[status]=active&filter[age][gt]=3'],
    [{ a: [{ b: 1 }, { b: 2 }] }, 'a[0][b]=1&a[1][b]=2'],
    [{ a: { b: [1, 2] } }, 'a[b]=1&a[b]=2'],
    [
      new URLSearchParams([
        ['a', '1'],
        ['a', '2'],
      ]),
      'a=1&a=2',
    ],
  ])('%o → %s', (values, query) => {
    expect(read(encodeQuery(values))).toBe(query)
  })

  it('percent-encodes names and values, brackets too', () => {
    expect(encodeQuery({ 'a b': 'c&d=e', ä: '+ #' })).toBe('a%20b=c%26d%3De&%C3%A4=%2B%20%23')
    expect(encodeQuery({ a: { 'b]': 1 } })).toBe('a%5Bb%5D%5D=1')
  })

  it('writes null as an empty value: left out, it could widen what a call acts on', () => {
    expect(encodeQuery({ owner: null, a: [null, 1] })).toBe('owner=&a=&a=1')
    expect(encodeQuery({ owner: null, a: [null, 1] }, { nulls: 'omit' })).toBe('a=1')
  })

  it.each<[QueryStyle['arrays'], string]>([
    ['repeat', 'a=1&a=2&b[0][c]=3'],
    ['brackets', 'a[]=1&a[]=2&b[][c]=3'],
    ['indices', 'a[0]=1&a[1]=2&b[0][c]=3'],
    ['comma', 'a=1,2&b[0][c]=3'],
  ])('lists as %s', (arrays, query) => {
    expect(read(encodeQuery({ a: [1, 2], b: [{ c: 3 }] }, { arrays: arrays as 'repeat' }))).toBe(query)
  })

  it('a comma in a value is no comma between values', () => {
    expect(encodeQuery({ a: ['x,y', 'z'] }, { arrays: 'comma' })).toBe('a=x%2Cy,z')
    expect(encodeQuery({ a: [] }, { arrays: 'comma' })).toBe('')
  })

  it('takes names that objects inherit, and own ones only', () => {
    expect(encodeQuery(JSON.parse('{"__proto__":"x","constructor":"y"}'))).toBe('__proto__=x&constructor=y')
    expect(encodeQuery(Object.create({ inherited: 1 }))).toBe('')
  })

  it('joins', () => {
    expect([joinQuery('', ''), joinQuery('a=1', ''), joinQuery('', 'b=2'), joinQuery('a=1', 'b=2')]).toEqual([
      '',
      'a=1',
      'b=2',
      'a=1&b=2',
    ])
  })
})

describe('what has no text form is refused by name, without its value', () => {
  const loop: Record<string, unknown> = {}
  loop.self = loop
  it.each<[unknown]>([
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [new Date('canary')],
    [() => 'canary'],
    [Symbol('canary')],
    ['canary\ud800'],
    [loop],
    [{ deep: Number.NaN }],
    [['canary\udfff']],
  ])('%o', (value) => {
    let thrown: unknown
    try {
      encodeQuery({ since: value })
    } catch (error) {
      thrown = error
    }
    expect(isCallError(thrown) && thrown.code).toBe('invalid_argument')
    expect((thrown as Error).message).toContain(`'since' of the query`)
    expect((thrown as Error).message).not.toContain('canary')
  })

  it.each<[string, unknown, string, string]>([
    ['a Set', new Set(['canary']), "'since'", 'Set'],
    ['a Map in an object', { to: new Map([['canary', 1]]) }, "'since.to'", 'Map'],
    ['bytes in a list', [{ raw: Uint8Array.of(1) }], "'since.0.raw'", 'Uint8Array'],
    ['a File', new File(['canary'], 'a'), "'since'", 'File'],
    ['further parameters', new URLSearchParams('a=canary'), "'since'", 'URLSearchParams'],
  ])('%s, which would leave nothing', (_, value, path, kind) => {
    let message = ''
    try {
      encodeQuery({ since: value })
    } catch (error) {
      message = isCallError(error) && error.code === 'invalid_argument' ? error.message : ''
    }
    expect(message).toContain(`${path} of the query is a ${kind}`)
    expect(message).not.toContain('canary')
  })

  it('a Map as the whole query', () => {
    expect(() => encodeQuery(new Map([['a', 1]]))).toThrow('the query is a Map')
  })

  it('a name that is no text is not printed', () => {
    expect(() => encodeQuery({ '\ud800': 1 })).toThrow(`'?' of the query`)
  })
})

it('says what it was made of, or is refused by the name of the parameter (random)', () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.string({ unit: 'binary' }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }), tie('value'), { maxKeys: 3 }),
    ),
  }))
  /** As servers that know brackets read them. */
  const flat = (name: string, each: unknown): [string, string][] => {
    if (each === null) return [[name, '']]
    if (Array.isArray(each)) return each.flatMap((item, index) => flat(`${name}[${index}]`, item))
    if (typeof each === 'object')
      return Object.entries(each).flatMap(([key, member]) => flat(`${name}[${key}]`, member))
    return [[name, String(each)]]
  }
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: 'binary', minLength: 1, maxLength: 4 }), value, { maxKeys: 4 }),
      (values) => {
        let query: string
        try {
          query = encodeQuery(values, { arrays: 'indices' })
        } catch (error) {
          expect(isCallError(error) && error.code).toBe('invalid_argument')
          expect(JSON.stringify(values)).toMatch(/\\ud[89a-f]/)
          return
        }
        expect(query).toMatch(/^[\w.~!*'()%=&-]*$/)
        expect([...new URLSearchParams(query)]).toEqual(
          Object.entries(values).flatMap(([name, each]) => flat(name, each)),
        )
      },
    ),
    { numRuns: 2000 },
  )
})
