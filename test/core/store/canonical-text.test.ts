import { expect, it } from 'vitest'
import { canonicalText } from '../../../src/core/store/canonical-text.ts'

it.each<[string, unknown, unknown]>([
  ['members in another order', { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
  ['a member that is undefined', { a: 1 }, { a: 1, b: undefined }],
  ['a method', { a: 1 }, { a: 1, b() {} }],
  ['a Date, which says itself', new Date(5), new Date(5).toJSON()],
  ['a Map and its pairs', new Map([['a', 1]]), [['a', 1]]],
  ['bytes and their numbers', new Uint8Array([1, 2]), [1, 2]],
])('%s makes no other text', (_, one, other) => {
  expect(canonicalText(one)).toBe(canonicalText(other))
})

it.each<[unknown, unknown]>([
  [{ a: 1 }, { a: '1' }],
  [1n, 1],
  [new Date(5), new Date(6)],
  [new Uint8Array([1, 2, 3]).subarray(1), new Uint8Array([1, 2, 3]).subarray(0, 2)],
  [[1, [2]], [[1, 2]]],
  [{ a: {} }, { a: [] }],
  [null, 'null'],
  [new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
  [Number.NaN, null],
  [Number.NaN, Number.POSITIVE_INFINITY],
  [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
])('%o is another value than %o', (one, other) => {
  expect(canonicalText(one)).not.toBe(canonicalText(other))
})
