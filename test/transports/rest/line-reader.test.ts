import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JsonLineReader } from '../../../transports/rest/line-reader.ts'

const encoder = new TextEncoder()
type Read = {
  readonly values: unknown[]
  readonly isWhole: boolean | undefined
  readonly failed: boolean
  readonly isOverflown: boolean
}

/** Reads bytes that come in pieces of these sizes, over and over. */
function read(bytes: Uint8Array, sizes: readonly number[], { isSequence = false, max = 1 << 24 } = {}): Read {
  const reader = new JsonLineReader(isSequence, max)
  const values: unknown[] = []
  const give = (value: unknown) => void values.push(value)
  try {
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const size = sizes[turn % sizes.length] || 1
      reader.feed(bytes.subarray(at, at + size), give)
      at += size
    }
    if (reader.isOverflown) return { values, isWhole: undefined, failed: false, isOverflown: true }
    return { values, isWhole: reader.end(give), failed: false, isOverflown: reader.isOverflown }
  } catch {
    return { values, isWhole: undefined, failed: true, isOverflown: false }
  }
}

const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown)
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })
const end = fc.constantFrom('\n', '\r\n', '\n\n', ' \r\n\t\n')
const whole = { isWhole: true, failed: false, isOverflown: false }

describe('lines of JSON', () => {
  it('are the same records however the bytes are cut, whatever their line ends, behind a byte order mark or not', () => {
    fc.assert(
      fc.property(fc.array(json, { maxLength: 8 }), end, sizes, fc.boolean(), (values, lineEnd, cuts, hasMark) => {
        const text = (hasMark ? '\ufeff' : '') + values.map((value) => JSON.stringify(value) + lineEnd).join('')
        expect(read(encoder.encode(text), cuts)).toEqual({ values, ...whole })
      }),
    )
  })

  it('may leave out the last line end, where what stands there can be nothing longer', () => {
    fc.assert(
      fc.property(fc.array(json, { minLength: 1, maxLength: 5 }), sizes, (values, cuts) => {
        const bytes = encoder.encode(values.map((value) => JSON.stringify(value)).join('\n'))
        const last = values.at(-1)
        const isTold = typeof last !== 'number'
        expect(read(bytes, cuts)).toEqual({ ...whole, isWhole: isTold, values: isTold ? values : values.slice(0, -1) })
      }),
    )
  })

  it('that are cut anywhere give the records before, and are no end', () => {
    const record = fc.record({
      text: fc.string({ unit: 'grapheme' }),
      n: fc.double({ noNaN: true, noDefaultInfinity: true }),
    })
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 5 }), fc.nat(), sizes, (given, at, cuts) => {
        const values = given.map((value) => JSON.parse(JSON.stringify(value)) as unknown)
        const bytes = encoder.encode(values.map((value) => `${JSON.stringify(value)}\n`).join(''))
        const cut = at % bytes.length
        const before = bytes.subarray(0, cut)
        const { values: got, isWhole, failed } = read(before, cuts)
        expect(failed).toBe(false)
        expect(got).toEqual(values.slice(0, got.length))
        const ended = before.filter((byte) => byte === 10).length
        // A record whose line end alone was cut off is whole.
        expect(got.length === ended || (got.length === ended + 1 && isWhole)).toBe(true)
        if (got.length === ended && cut > 0 && bytes[cut - 1] !== 10) expect(isWhole).toBe(false)
      }),
    )
  })

  it('are never read with bytes that are no UTF-8: what came before is given, and that fails', () => {
    const broken = fc.constantFrom([0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98], [0xc0, 0xaf])
    fc.assert(
      fc.property(
        fc.array(json, { maxLength: 4 }),
        fc.array(json, { maxLength: 2 }),
        broken,
        sizes,
        (before, after, wrong, cuts) => {
          const lines = (values: unknown[]) =>
            encoder.encode(values.map((value) => `${JSON.stringify(value)}\n`).join(''))
          const bytes = Uint8Array.of(...lines(before), 0x22, ...wrong, 0x22, 10, ...lines(after))
          expect(read(bytes, cuts)).toEqual({ values: before, isWhole: undefined, failed: true, isOverflown: false })
        },
      ),
    )
  })

  it('are bounded in bytes, ended or not, and what came before is given', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 60 }), fc.boolean(), sizes, (max, isEnded, cuts) => {
        // Two bytes a character.
        const fits = `"${'ä'.repeat((max - 2) >> 1)}"`
        const larger = `"${'ä'.repeat(max >> 1)}"`
        const bytes = encoder.encode(`1\n${fits}\n${larger}${isEnded ? '\n3\n' : ''}`)
        expect(read(bytes, cuts, { max })).toEqual({
          values: [1, JSON.parse(fits)],
          isWhole: undefined,
          failed: false,
          isOverflown: true,
        })
      }),
    )
  })
})

describe('sequences of JSON texts (RFC 7464)', () => {
  const framed = (values: readonly unknown[], space?: number) =>
    encoder.encode(values.map((value) => `\u001e${JSON.stringify(value, null, space)}\n`).join(''))

  it('are the same records however the bytes are cut, of several lines too', () => {
    fc.assert(
      fc.property(fc.array(json, { maxLength: 8 }), fc.constantFrom(0, 2), sizes, (values, space, cuts) => {
        expect(read(framed(values, space), cuts, { isSequence: true })).toEqual({ values, ...whole })
      }),
    )
  })

  it('fail at a text that was cut before the next one, a number too, which might have been longer', () => {
    for (const torn of ['{"a":', '12', '-', 'tru', '"x'])
      fc.assert(
        fc.property(fc.array(json, { maxLength: 3 }), sizes, (values, cuts) => {
          const bytes = Uint8Array.of(...framed(values), ...encoder.encode(`\u001e${torn}`), ...framed([1]))
          expect(read(bytes, cuts, { isSequence: true })).toEqual({
            values,
            isWhole: undefined,
            failed: true,
            isOverflown: false,
          })
        }),
      )
  })

  it('are looked at once, however many lines they have', () => {
    const decoded: number[] = []
    const { parse } = JSON
    JSON.parse = (text: string) => {
      decoded.push(text.length)
      return parse(text)
    }
    const reader = new JsonLineReader(true, 1 << 24)
    const values: unknown[] = []
    const give = (value: unknown) => void values.push(value)
    try {
      const lines = ['\u001e{"rows":[\n', ...Array(1000).fill('{"a":"]}\\"\\\\"},\n'), '1]}\n']
      for (const line of lines) reader.feed(encoder.encode(line), give)
      // What is closed, and no JSON, is not looked at again.
      reader.feed(encoder.encode('\u001eno JSON\n'), give)
      for (let line = 0; line < 1000; line++) reader.feed(encoder.encode('more of it\n'), give)
    } finally {
      JSON.parse = parse
    }
    expect(values).toHaveLength(1)
    expect(decoded).toHaveLength(2)
    expect(reader.end(give)).toBe(false)
  })

  it('pass over separators with nothing between them, and tell a cut at the end', () => {
    const bytes = encoder.encode('\u001e\u001e\n\u001e{"a":1}\n\u001e\u001e[2]\n\u001e12')
    fc.assert(
      fc.property(sizes, (cuts) => {
        expect(read(bytes, cuts, { isSequence: true })).toEqual({ ...whole, isWhole: false, values: [{ a: 1 }, [2]] })
      }),
    )
  })
})
