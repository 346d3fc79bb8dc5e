import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import { firstByteOf, parseContentRange } from '../../../../transports/rest/downloads/content-range.ts'
import { digestsOf, readDigest } from '../../../../transports/rest/downloads/digest.ts'
import { Sha256 } from '../../../../transports/rest/downloads/sha-256.ts'

const count = fc.integer({ min: 0, max: 999_999_999_999_999 })

describe('Content-Range', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(count, count, fc.option(count), (a, b, total) => {
        const [first, last] = [Math.min(a, b), Math.max(a, b)]
        const read = parseContentRange(`bytes ${first}-${last}/${total ?? '*'}`)
        if (total !== null && last >= total) expect(read).toBeUndefined()
        else expect(read).toEqual({ range: { first, last }, total: total ?? undefined })
      }),
    )
    expect(parseContentRange('bytes */10')).toEqual({ range: undefined, total: 10 })
    expect(parseContentRange(' BYTES 0-0/1 ')).toEqual({ range: { first: 0, last: 0 }, total: 1 })
  })

  it('is nothing where it is malformed, and never an exception', () => {
    const near = fc.string({ unit: fc.constantFrom(...'bytes 0123456789-/*,') })
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) => {
        const read = parseContentRange(text)
        if (!read?.range) return
        expect(read.range.first).toBeLessThanOrEqual(read.range.last)
        if (read.total !== undefined) expect(read.range.last).toBeLessThan(read.total)
      }),
    )
    const wrong = [
      '',
      'bytes',
      'bytes 1-2',
      'bytes 2-1/5',
      'bytes 0-5/5',
      'bytes */*',
      'items 0-1/2',
      'bytes 0-1/2, bytes 3-4/5',
      'bytes -1/2',
      'bytes 0x1-2/3',
      'bytes 1-9999999999999999/*',
    ]
    for (const each of wrong) expect(parseContentRange(each), each).toBeUndefined()
    expect(parseContentRange(null)).toBeUndefined()
  })

  it('is asked for from a byte on', () => {
    fc.assert(fc.property(count, (first) => firstByteOf(`bytes=${first}-`) === first))
    fc.assert(fc.property(fc.string(), (text) => firstByteOf(text) === undefined || /\d/.test(text)))
  })
})

const bytes = fc.uint8Array({ maxLength: 300 })
const digestFields = (value: string) => digestsOf(HeaderMap.from([['repr-digest', value]]), 'repr-digest')

describe('digests', () => {
  it('are read as they were written, unknown algorithms passed over', () => {
    fc.assert(
      fc.property(bytes, (data) => {
        const value = createHash('sha256').update(data).digest('base64')
        const long = createHash('sha512').update(data).digest('base64')
        const read = digestFields(`md5=:AAAA:, sha-256=:${value}: , sha-512=:${long}:;q=1`)
        expect(read.map(({ algorithm, value: each }) => [algorithm, each])).toEqual([
          ['sha-256', value],
          ['sha-512', long],
        ])
      }),
    )
  })

  it('say nothing where they are malformed', () => {
    const near = fc.string({ unit: fc.constantFrom(...'sha-256=:AB+/,; ') })
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) =>
        digestFields(text).every(({ value }) => atob(value).length === 32),
      ),
    )
    const wrong = [
      'sha-256=AAAA',
      'sha-256=:AAAA:',
      'sha-256',
      'sha-256=::',
      'toString=:AAAA:',
      `sha-256=:${'A'.repeat(43)}=:,`,
    ]
    for (const each of wrong) expect(digestFields(each), each).toEqual([])
  })

  it('are taken in base64 and hex', () => {
    fc.assert(
      fc.property(bytes, (data) => {
        const hash = createHash('sha256').update(data)
        const hex = hash.copy().digest('hex')
        const base64 = hash.digest('base64')
        expect([hex, hex.toUpperCase(), base64].map((each) => readDigest('sha-256', each))).toEqual([
          base64,
          base64,
          base64,
        ])
      }),
    )
    fc.assert(fc.property(fc.string(), (text) => readDigest('sha-256', text) === undefined))
  })
})

describe('SHA-256 piece by piece', () => {
  it("is Node's, however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 8 }), (pieces) => {
        const own = new Sha256()
        const node = createHash('sha256')
        for (const each of pieces) {
          own.update(each)
          node.update(each)
        }
        expect(Buffer.from(own.digest()).toString('hex')).toBe(node.digest('hex'))
      }),
    )
    for (const length of [0, 55, 56, 63, 64, 65, 1_000_000]) {
      const own = new Sha256()
      own.update(new Uint8Array(length).fill(97))
      expect(Buffer.from(own.digest()).toString('hex')).toBe(
        createHash('sha256').update('a'.repeat(length)).digest('hex'),
      )
    }
  })
})
