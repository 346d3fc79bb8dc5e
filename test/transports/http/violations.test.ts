import { describe, expect, it } from 'vitest'
import { readSentences, readViolations } from '../../../transports/http/violations.ts'

describe('the field of an entry', () => {
  it.each(['field', 'name', 'param', 'property', 'propertyPath', 'path', 'pointer', 'target', 'loc', 'instancePath'])(
    'is called %s',
    (name) => {
      expect(readViolations([{ [name]: 'age', message: 'is odd' }])).toEqual([{ field: 'age', message: 'is odd' }])
    },
  )

  it.each(['message', 'detail', 'description', 'reason', 'msg', 'defaultMessage', 'title', 'code'])(
    'and what is said of it is called %s',
    (name) => {
      expect(readViolations([{ field: 'age', [name]: 'is odd' }])).toEqual([{ field: 'age', message: 'is odd' }])
    },
  )

  it('is no error class, which stands under `name` alone', () => {
    expect(readViolations([{ name: 'ValidationError', message: 'no' }])).toBeUndefined()
    expect(readViolations([{ name: 'age', message: 'no' }])).toEqual([{ field: 'age', message: 'no' }])
    expect(readViolations([{ name: 'x', field: 'TypeError', message: 'no' }])).toEqual([
      { field: 'TypeError', message: 'no' },
    ])
  })
})

describe('the name of a member', () => {
  it.each([
    ['$.items', 'items'],
    ['$', ''],
    ['price$.usd', 'price$.usd'],
    ['#/items/0', 'items.0'],
    ['a/b', 'a/b'],
    ['/a~1b/c~0d', 'a/b.c~d'],
  ])('%s is the field %j', (name, field) => {
    expect(readViolations({ [name]: ['is odd'] })).toEqual([{ field, message: 'is odd' }])
  })

  it('that is about no field stands for the whole', () => {
    expect(readViolations({ address: { __all__: ['is odd'] }, base: ['is none'] })).toEqual([
      { field: 'address', message: 'is odd' },
      { field: '', message: 'is none' },
    ])
  })
})

describe('what is no list of violations', () => {
  it.each([
    [{}],
    [[]],
    [{ a: [] }],
    [{ a: 'word' }],
    [{ a: [1] }],
    [['text']],
    [null],
    [[{ message: 'of GraphQL', path: ['a'], locations: [] }]],
  ])('%j', (value) => {
    expect(readViolations(value)).toBeUndefined()
  })

  it('a bare sentence counts only where texts may', () => {
    expect(readViolations({ a: 'is odd' })).toEqual([{ field: 'a', message: 'is odd' }])
    expect(readViolations({ a: 'is odd' }, false)).toBeUndefined()
  })
})

describe('sentences', () => {
  it('begin with their field', () => {
    expect(readSentences(['age must be positive', 'each value in tags must be a string', 'too many'])).toEqual([
      { field: 'age', message: 'age must be positive' },
      { field: 'tags', message: 'each value in tags must be a string' },
      { field: '', message: 'too many' },
    ])
    expect(readSentences([])).toBeUndefined()
    expect(readSentences(['a', 1])).toBeUndefined()
    expect(readSentences('age must be')).toBeUndefined()
  })
})
