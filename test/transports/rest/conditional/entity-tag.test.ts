import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseEntityTag, writeEntityTag } from '../../../../transports/rest/conditional/entity-tag.ts'

describe('an entity tag', () => {
  it.each([
    ['"v1"', { opaque: '"v1"', isWeak: false }],
    ['W/"v1"', { opaque: '"v1"', isWeak: true }],
    ['w/"v1"', { opaque: '"v1"', isWeak: true }],
    [' "v1" ', { opaque: '"v1"', isWeak: false }],
    ['""', { opaque: '""', isWeak: false }],
    ['"a,b"', { opaque: '"a,b"', isWeak: false }],
    [`W/"datetime'2026-01-01T00%3A00'"`, { opaque: `"datetime'2026-01-01T00%3A00'"`, isWeak: true }],
    ['"a", "b"', undefined],
    ['"a"b"', undefined],
    ['"a', undefined],
    ['v1', undefined],
    ['', undefined],
    ['*', undefined],
    ['W/', undefined],
    ['"a\n"', undefined],
  ])('%j', (text, tag) => {
    expect(parseEntityTag(text)).toEqual(tag)
  })

  it('without quotes is taken from a server that writes so, and none else', () => {
    expect(parseEntityTag('v1', true)).toEqual({ opaque: 'v1', isWeak: false })
    for (const text of ['*', 'W/v1', 'a,b', 'a b', '"a", "b"', '']) expect(parseEntityTag(text, true)).toBeUndefined()
  })

  it('is written as it was read, and whatever stands there is a tag or none (random)', () => {
    const character = fc.integer({ min: 0, max: 0xff }).map((code) => String.fromCharCode(code))
    const text = fc
      .array(fc.oneof(character, fc.constantFrom('"', 'W', '/', ',', ' ', '*', '\\')))
      .map((all) => all.join(''))
    fc.assert(
      fc.property(text, fc.boolean(), (text, isLenient) => {
        const tag = parseEntityTag(text, isLenient)
        if (!tag) return
        expect(writeEntityTag(tag).toLowerCase()).toBe(text.trim().toLowerCase())
        expect(parseEntityTag(writeEntityTag(tag), isLenient)).toEqual(tag)
        // One tag is never taken for two by a server, nor two for one by us.
        expect(tag.opaque.slice(1, -1)).not.toContain('"')
      }),
    )
  })
})
