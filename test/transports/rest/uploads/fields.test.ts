import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import {
  booleanField,
  byteCount,
  inlineDisposition,
  uploadLimits,
  uploadMetadata,
} from '../../../../transports/rest/uploads/fields.ts'

const of = (value: string) => HeaderMap.from([['x', value]])

describe('headers of uploads', () => {
  it('reads structured integers, and nothing else', () => {
    fc.assert(fc.property(fc.nat(), (count) => byteCount(of(`${count}`), 'x') === count))
    for (const wrong of ['', '-1', '1.5', '1e3', '0x10', '1, 2', 'one', '9999999999999999', '1 2', ' '])
      expect(byteCount(of(wrong), 'x'), wrong).toBeUndefined()
    expect(byteCount(of(' 7;a=b '), 'x')).toBe(7)
    expect(byteCount(HeaderMap.empty, 'x')).toBeUndefined()
  })

  it('reads structured booleans, and nothing else', () => {
    expect([of('?1'), of('?0'), of(' ?1;a')].map((each) => booleanField(each, 'x'))).toEqual([true, false, true])
    for (const wrong of ['1', 'true', '?2', '', '?1?', '?10', '?1, ?0'])
      expect(booleanField(of(wrong), 'x'), wrong).toBeUndefined()
  })

  it('never throws, whatever a server writes', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const limits = Object.values(uploadLimits(text))
        expect(limits.every((each) => Number.isSafeInteger(each) && each >= 0)).toBe(true)
      }),
    )
    const near = fc.string({ unit: fc.constantFrom(...'max-size=0123,; append?:"') })
    fc.assert(fc.property(near, (text) => Object.values(uploadLimits(text)).every(Number.isSafeInteger)))
  })

  it('reads limits, leaves out what is unknown, and lets one of a wrong type void all', () => {
    expect(uploadLimits('max-size=10, min-append-size=2;a=1 ,max-append-size=5, new=?1, max-age=60')).toEqual({
      maxSize: 10,
      minAppendSize: 2,
      maxAppendSize: 5,
      maxAge: 60,
    })
    for (const wrong of [
      'max-size="10", max-age=6',
      'max-size=1.5, max-age=6',
      'max-size, max-age=6',
      'max-size=10,, max-age=6',
    ])
      expect(uploadLimits(wrong), wrong).toEqual({})
    expect(uploadLimits(null)).toEqual({})
  })

  it('writes metadata that comes back as it was', () => {
    const name = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.!'), minLength: 1 })
    fc.assert(
      fc.property(fc.dictionary(name, fc.string({ unit: 'grapheme' })), (metadata) => {
        const written = uploadMetadata(metadata) as string
        const pairs = written === '' ? [] : written.split(',').map((pair) => pair.split(' '))
        const read = pairs.map(([key, value = '']) => [key, Buffer.from(value, 'base64').toString()])
        expect(read).toEqual(Object.entries(metadata))
      }),
    )
    for (const wrong of ['', 'a b', 'a,b', 'ä']) expect(uploadMetadata({ [wrong]: 'x' })).toBeUndefined()
  })

  it('writes a name of any script as a header may hold it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const written = inlineDisposition(name)
        expect(written).toMatch(/^[\x20-\x7e]*$/)
        const [, coded] = /filename\*=UTF-8''(.*)$/.exec(written) ?? []
        const [, plain] = /filename="([^"]*)"/.exec(written) ?? []
        expect(coded === undefined ? plain : decodeURIComponent(coded)).toBe(name.replace(/\p{Surrogate}/gu, '\ufffd'))
      }),
    )
  })
})
