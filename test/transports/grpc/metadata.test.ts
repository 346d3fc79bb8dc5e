import { HeaderMap } from 'polywire'
import { describe, expect, it } from 'vitest'
import {
  decodeBinaryHeader,
  decodeGrpcMessage,
  encodeBinaryHeader,
  fromBase64,
  lastValue,
  toBase64,
} from '../../../transports/grpc/metadata.ts'

describe('grpc-message', () => {
  it.each([
    ['plain', 'plain'],
    ['a%20b', 'a b'],
    ['caf%C3%A9', 'café'],
    ['%E2%82%AC', '€'],
    ['100%', '100%'],
    ['%', '%'],
    ['%4', '%4'],
    ['%zz', '%zz'],
    ['%zz%41', '%zzA'],
    ['%ff', '\uFFFD'],
    ['€%41', '€A'],
    ['', ''],
  ])('%j is read as %j, whatever it holds', (encoded, text) => {
    expect(decodeGrpcMessage(encoded)).toBe(text)
  })
})

describe('binary headers', () => {
  const bytes = (...values: number[]) => Uint8Array.from(values)

  it('are written as base64 without padding and read with or without', () => {
    expect(encodeBinaryHeader(bytes(0, 255, 16))).toBe('AP8Q')
    expect(encodeBinaryHeader(bytes(1))).toBe('AQ')
    const headers = HeaderMap.from([
      ['x-bin', 'AQ, AQ=='],
      ['x-bin', 'AP8Q'],
    ])
    expect(decodeBinaryHeader(headers, 'x-bin')).toEqual([bytes(1), bytes(1), bytes(0, 255, 16)])
  })

  it('that are no base64 are left out', () => {
    expect(decodeBinaryHeader(HeaderMap.from([['x-bin', '!!!,AQ']]), 'x-bin')).toEqual([bytes(1)])
    expect(decodeBinaryHeader(HeaderMap.empty, 'x-bin')).toEqual([])
  })

  it('come back as they went, whatever the bytes', () => {
    const seed = Date.now()
    console.info(`seed ${seed}`)
    let state = seed >>> 0
    const random = () => (state = (state * 1_664_525 + 1_013_904_223) >>> 0) / 2 ** 32
    for (let i = 0; i < 200; i++) {
      const value = Uint8Array.from({ length: Math.floor(random() * 40) + 1 }, () => Math.floor(random() * 256))
      const headers = HeaderMap.from([['k-bin', encodeBinaryHeader(value)]])
      expect(decodeBinaryHeader(headers, 'k-bin')).toEqual([value])
    }
  })
})

it('whole messages are base64 like any other bytes, also where a block of them ends', () => {
  for (const length of [8191, 8192, 8193, 100_000]) {
    const value = Uint8Array.from({ length }, (_, at) => at * 31)
    expect(toBase64(value)).toBe(Buffer.from(value).toString('base64'))
    expect(fromBase64(toBase64(value))).toEqual(value)
  }
})

describe('a duplicated key', () => {
  it('gives its last value, several times or joined by a comma', () => {
    expect(
      lastValue(
        HeaderMap.from([
          ['k', '250'],
          ['k', '300'],
        ]),
        'k',
      ),
    ).toBe('300')
    expect(lastValue(HeaderMap.from([['k', '250, 250']]), 'k')).toBe('250')
    expect(lastValue(HeaderMap.empty, 'k')).toBeUndefined()
  })
})
