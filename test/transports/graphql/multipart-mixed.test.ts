import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { boundaryOf, MixedReader } from '../../../transports/graphql/multipart-mixed.ts'

const encoder = new TextEncoder()
const read = (text: string) => {
  try {
    return { value: JSON.parse(text) as unknown }
  } catch {
    return undefined
  }
}

/** What stands in a body that comes in these chunks. */
function readAll(chunks: readonly Uint8Array[], boundary = '-') {
  const reader = new MixedReader(boundary, read)
  const parts: unknown[] = []
  for (const chunk of chunks) reader.feed(chunk, (part) => parts.push(part))
  return { parts, isOver: reader.isOver, isWhole: reader.end() }
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  let at = 0
  for (const length of lengths) {
    if (at >= bytes.length) break
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  if (at < bytes.length) chunks.push(bytes.subarray(at))
  return chunks
}

const type = 'Content-Type: application/json; charset=utf-8'
/** As graphql-yoga, Apollo Server and the RFC write it, and with bare line feeds, no headers, a preamble, an epilogue. */
const dialects: readonly (readonly [name: string, write: (parts: readonly string[], boundary: string) => string])[] = [
  [
    'graphql-yoga',
    (parts, b) =>
      `\r\n--${b}${parts
        .map((part) => `\r\n${type}\r\nContent-Length: ${encoder.encode(part).length}\r\n\r\n${part}\r\n--${b}`)
        .join('')}--\r\n`,
  ],
  [
    'Apollo Server',
    (parts, b) =>
      `\r\n--${b}\r\n${parts.map((part) => `content-type: application/json\r\n\r\n${part}\r\n--${b}`).join('\r\n')}--\r\n`,
  ],
  [
    'the RFC',
    (parts, b) => `${parts.map((part) => `\r\n--${b}\r\n${type}\r\n\r\n${part}\r\n`).join('')}\r\n--${b}--\r\n`,
  ],
  ['bare line feeds', (parts, b) => `${parts.map((part) => `--${b}\n${type}\n\n${part}\n`).join('')}--${b}--`],
  ['no headers', (parts, b) => `--${b}${parts.map((part) => `\r\n\r\n${part}\r\n--${b}`).join('')}--`],
  [
    'a preamble, padding and an epilogue',
    (parts, b) =>
      `This is a message in parts.\r\n--${b} \t${parts.map((part) => `\r\n${type}\r\n\r\n${part}\r\n--${b}`).join('  ')}--\r\nbye\r\n--${b}\r\n\r\n{}`,
  ],
]
const json = fc.jsonValue().filter((value) => typeof value === 'object' && value !== null)
const boundaries = fc.constantFrom('-', 'graphql', 'a b', '----WebKitFormBoundary7', "'()+_,./:=?")

describe('a body in parts', () => {
  test.each(dialects)('as %s writes it gives the same parts by any chunking', (_name, write) => {
    fc.assert(
      fc.property(
        fc.array(json, { minLength: 1, maxLength: 5 }),
        boundaries,
        fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 200 }),
        fc.boolean(),
        (values, boundary, lengths, isPretty) => {
          const texts = values.map((value) => JSON.stringify(value, null, isPretty ? 2 : 0))
          const bytes = encoder.encode(write(texts, boundary))
          const expected = {
            parts: values.map((value) => JSON.parse(JSON.stringify(value))),
            isOver: true,
            isWhole: true,
          }
          expect(readAll([bytes], boundary)).toEqual(expected)
          expect(readAll(cut(bytes, lengths), boundary)).toEqual(expected)
        },
      ),
    )
  })

  it('is the same byte by byte, with characters of four bytes and texts that look like its boundary', () => {
    const values = [{ a: '🎉 --- \r\n--- é' }, { b: '-----' }, { 'c\n---': ['\u2028'] }]
    for (const [, write] of dialects) {
      const bytes = encoder.encode(
        write(
          values.map((value) => JSON.stringify(value)),
          '-',
        ),
      )
      expect(readAll([...bytes].map((byte) => Uint8Array.of(byte)))).toMatchObject({ parts: values, isWhole: true })
    }
  })

  it('gives a part as soon as it is whole, although the line that ends it comes with the next one', () => {
    const reader = new MixedReader('-', read)
    const parts: unknown[] = []
    const feed = (text: string) => reader.feed(encoder.encode(text), (part) => parts.push(part))
    feed(`\r\n---\r\n${type}\r\n\r\n{"data":{"a":1}`)
    expect(parts).toEqual([])
    feed(',"hasNext":true}')
    expect(parts).toEqual([{ data: { a: 1 }, hasNext: true }])
    feed('\r\n')
    feed(`\r\n---\r\n${type}\r\n\r\n{"hasNext":false}\r\n-----`)
    expect(parts).toHaveLength(2)
    expect(reader.isOver).toBe(true)
  })

  it('gives a part with the delimiter behind it, or a beginning of one, before what follows that is known', () => {
    for (const end of ['', '\r', '\r\n', '\r\n-', '\r\n--', '\r\n---', '\r\n---\r', '\n---', '\n---  ']) {
      const parts: unknown[] = []
      const reader = new MixedReader('-', read)
      reader.feed(encoder.encode(`\r\n---\r\n${type}\r\n\r\n{"a":"é"}${end}`), (part) => parts.push(part))
      expect(parts, JSON.stringify(end)).toEqual([{ a: 'é' }])
    }
  })

  it('that is cut says so, and gives what was whole', () => {
    const whole = `---\r\n\r\n{"a":1}\r\n---\r\n\r\n{"b":`
    expect(readAll([encoder.encode(whole)])).toEqual({ parts: [{ a: 1 }], isOver: false, isWhole: false })
    expect(readAll([encoder.encode('---\r\n\r\n{"a":1}')])).toEqual({ parts: [{ a: 1 }], isOver: false, isWhole: true })
    expect(readAll([])).toMatchObject({ parts: [], isOver: false })
  })

  it('with a part that is no JSON throws, never gives half of it', () => {
    const body = encoder.encode('---\r\n\r\n{"a":1}\r\n---\r\n\r\n{"b":\r\n-----')
    const parts: unknown[] = []
    expect(() => new MixedReader('-', read).feed(body, (part) => parts.push(part))).toThrow(SyntaxError)
    expect(parts).toEqual([{ a: 1 }])
  })

  it('is read in time that grows with its size', () => {
    const list = JSON.stringify({ data: 'x'.repeat(4_000_000) })
    const bytes = encoder.encode(`---\r\n\r\n${list}\r\n-----`)
    const chunks = cut(
      bytes,
      Array.from({ length: 4000 }, () => 1024),
    )
    expect(readAll(chunks).parts).toHaveLength(1)
  })

  it('of random bytes neither hangs nor gives what is no JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('-', '\r', '\n', '{}', ' ', '--', 'a', ':', '{"a":1}')), (pieces) => {
        const run = () => readAll(pieces.map((piece) => encoder.encode(piece)))
        try {
          for (const part of run().parts) expect(part).toBeTypeOf('object')
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError)
        }
      }),
    )
  })
})

it('a large part in small chunks is read once, when it is whole, and given before its end is marked', () => {
  const items = Array.from({ length: 2000 }, (_, id) => ({ id, text: 'a } b ] " \\ c', list: [id, '{'] }))
  const bytes = encoder.encode(`---\r\n${type}\r\n\r\n${JSON.stringify({ data: { items } })}`)
  let reads = 0
  const reader = new MixedReader('-', (text) => {
    reads++
    return read(text)
  })
  const parts: unknown[] = []
  for (const chunk of cut(bytes, Array(bytes.length).fill(7))) reader.feed(chunk, (part) => parts.push(part))
  expect(parts).toEqual([{ data: { items } }])
  // A chunk of line ends before its first bracket may be tried.
  expect(reads).toBeLessThan(5)
})

it('headers of a part that do not end are none', () => {
  const chunks = Array.from({ length: 100 }, () => encoder.encode('x-more: of the same\r\n'.repeat(50)))
  expect(() => readAll([encoder.encode('---\r\n'), ...chunks])).toThrow('do not end')
})

test.each([
  ['multipart/mixed; boundary="-"', '-'],
  ['multipart/mixed; boundary=-', '-'],
  ['multipart/mixed;boundary=graphql;subscriptionSpec=1.0', 'graphql'],
  ['multipart/mixed; deferSpec=20220824; BOUNDARY = "a b"', 'a b'],
  ['multipart/mixed; boundary="a\\"b"', 'a"b'],
  ['multipart/mixed; boundary=""', undefined],
  ['multipart/mixed', undefined],
  ['multipart/mixed; xboundary=1', undefined],
])('the boundary of %s', (contentType, boundary) => {
  expect(boundaryOf(contentType)).toBe(boundary)
})
