import { describe, expect, it } from 'vitest'
import { encodeFrame, FrameReader, parseTrailers } from '../../../transports/grpc/frames.ts'
import { frame, trailers } from '../../support/servers/grpc-server.ts'

function read(pieces: readonly Uint8Array[], maxBytes = 1000) {
  const frames: [flags: number, content: string][] = []
  const reader = new FrameReader(
    { onFrame: (flags, bytes) => frames.push([flags, Buffer.from(bytes).toString()]) },
    maxBytes,
  )
  let fault: string | undefined
  for (const piece of pieces) fault ??= reader.push(piece)
  return { frames, fault }
}

describe('frames', () => {
  const body = Buffer.concat([frame('one'), frame(''), frame('three'), trailers('grpc-status: 0')])
  const expected = [
    [0, 'one'],
    [0, ''],
    [0, 'three'],
    [0x80, 'grpc-status: 0\r\n'],
  ]

  it('are the same wherever the body is cut', () => {
    for (let cut = 0; cut <= body.length; cut++) {
      expect(read([body.subarray(0, cut), body.subarray(cut)])).toEqual({
        frames: expected,
        fault: undefined,
      })
    }
    expect(read([...body].map((byte) => Uint8Array.of(byte))).frames).toEqual(expected)
  })

  it('that are cut off are not given', () => {
    for (let cut = 0; cut < 8; cut++) expect(read([body.subarray(0, cut)]).frames).toEqual([])
    expect(read([body.subarray(0, 8)]).frames).toEqual(expected.slice(0, 1))
  })

  it('whose length is too much are refused by their first five bytes', () => {
    expect(read([Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff)]).fault).toBe('too_large')
    expect(read([frame('x'.repeat(1001))]).fault).toBe('too_large')
    expect(read([frame('x'.repeat(1000))]).fault).toBeUndefined()
    expect(read([trailers(`k: ${'x'.repeat(2000)}`)]).fault).toBeUndefined()
    expect(read([Uint8Array.of(0x80, 0x7f, 0, 0, 0)]).fault).toBe('too_large')
  })

  it('that are none are refused', () => {
    expect(read([Buffer.from('<html><body>')]).fault).toBe('flags')
    expect(read([Uint8Array.of(2, 0, 0, 0, 0)]).fault).toBe('flags')
  })

  it('are written as any gRPC library writes them', () => {
    expect(Buffer.from(encodeFrame(0x80, Buffer.from('abc')))).toEqual(frame('abc', 0x80))
    const long = new Uint8Array(70_000)
    expect(Buffer.from(encodeFrame(0, long))).toEqual(frame(long))
  })
})

describe('trailers', () => {
  it.each([
    ['grpc-status: 0\r\n', [['grpc-status', '0']]],
    ['Grpc-Status:0\r\n', [['grpc-status', '0']]],
    [
      'grpc-status: 0\r\nx-key: a\r\n',
      [
        ['grpc-status', '0'],
        ['x-key', 'a'],
      ],
    ],
    ['grpc-status: 00\r\n', [['grpc-status', '00']]],
    ['x-grpc-status: 0\r\n', [['x-grpc-status', '0']]],
  ])('reads the block %j as any other', (text, pairs) => {
    expect([...parseTrailers(Buffer.from(text))]).toEqual(pairs)
  })

  it('are read in any case, with duplicates, with either line end', () => {
    const block = parseTrailers(Buffer.from('Grpc-Status: 9\r\nX-Key:a\nx-key:  b \r\nno colon\r\n: no name\r\n'))
    expect([...block]).toEqual([
      ['grpc-status', '9'],
      ['x-key', 'a, b'],
    ])
    expect(block.last('x-key')).toBe('b')
  })
})
