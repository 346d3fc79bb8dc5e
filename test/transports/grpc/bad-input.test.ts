import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { create, toBinary } from '@bufbuild/protobuf'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { createClient, HeaderMap, isCallError } from 'polywire'
import { grpcDetails, grpcWebTransport, service } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { decodeStatusDetails } from '../../../transports/grpc/details.ts'
import { readGrpcStatus } from '../../../transports/grpc/errors.ts'
import { encodeFrame, FrameReader, parseTrailers } from '../../../transports/grpc/frames.ts'
import {
  decodeBinaryHeader,
  decodeGrpcMessage,
  encodeBinaryHeader,
  fromBase64,
} from '../../../transports/grpc/metadata.ts'
import { framings, rejection } from '../../support/grpc-client.ts'
import { StatusSchema } from '../../support/proto/gen/google/rpc/status_pb.ts'
import { ItemSchema, ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'

const bytes = fc.uint8Array({ maxLength: 40 })

/** Cuts a body wherever the numbers say. */
function cut(body: Uint8Array, places: readonly number[]): Uint8Array[] {
  const marks = [...places.map((place) => place % (body.length + 1)), 0, body.length].sort((a, b) => a - b)
  return marks.slice(1).map((end, at) => body.subarray(marks[at], end))
}

const places = fc.array(fc.nat(1000), { maxLength: 12 })

function read(pieces: readonly Uint8Array[], maxBytes = 1 << 16) {
  const frames: [flags: number, content: number[]][] = []
  const reader = new FrameReader({ onFrame: (flags, content) => frames.push([flags, [...content]]) }, maxBytes)
  let fault: string | undefined
  for (const piece of pieces) if (!fault) fault = reader.push(piece)
  return { frames, fault }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts))
}

describe('frames', () => {
  const frames = fc.array(fc.tuple(fc.constantFrom(0, 1, 0x80, 0x81), bytes), { maxLength: 8 })

  it('are read as they were written, wherever they are cut', () => {
    fc.assert(
      fc.property(frames, places, (written, marks) => {
        const body = joined(written.map(([flags, content]) => encodeFrame(flags, content)))
        const expected = written.map(([flags, content]) => [flags, [...content]])
        expect(read(cut(body, marks))).toEqual({ frames: expected, fault: undefined })
      }),
    )
  })

  it('that are cut off are not given; those before are', () => {
    fc.assert(
      fc.property(frames, fc.nat(1000), places, (written, end, marks) => {
        const body = joined(written.map(([flags, content]) => encodeFrame(flags, content)))
        const part = body.subarray(0, end % (body.length + 1))
        let rest = part.length
        const whole = written.filter(([, content]) => (rest -= content.length + 5) >= 0)
        expect(read(cut(part, marks)).frames).toEqual(whole.map(([flags, content]) => [flags, [...content]]))
      }),
    )
  })

  it('of any bytes say the same wherever they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), places, (body, marks) => {
        expect(read(cut(body, marks))).toEqual(read([body]))
      }),
    )
  })

  it('that announce more than is allowed are refused before their content', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 1), fc.integer({ min: 101, max: 2 ** 32 - 1 }), places, (flags, length, marks) => {
        const prefix = new Uint8Array(5)
        prefix[0] = flags
        new DataView(prefix.buffer).setUint32(1, length)
        expect(read(cut(prefix, marks), 100)).toEqual({ frames: [], fault: 'too_large' })
      }),
    )
  })
})

describe('a block of trailers', () => {
  const name = fc.stringMatching(/^[a-z0-9_.-]{1,12}$/)
  const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/)

  it('gives each value of each name, in any case and with either line end', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value, fc.boolean(), fc.constantFrom('\n', '\r\n'))), (lines) => {
        const block = lines.map(([key, text, isUpper, end]) => `${isUpper ? key.toUpperCase() : key}: ${text}${end}`)
        const read = parseTrailers(Buffer.from(block.join('')))
        for (const [key] of lines) {
          const values = lines.filter(([other]) => other === key).map(([, text]) => text)
          expect(read.get(key)).toBe(values.join(', '))
          expect(read.last(key)).toBe(values.at(-1))
        }
      }),
    )
  })

  it('of any bytes is read, and its status is one of the seventeen or unknown', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 100 }),
          fc.string({ unit: 'binary', maxLength: 60 }).map((text) => Buffer.from(`grpc-status: ${text}`)),
        ),
        (block) => {
          const status = readGrpcStatus(parseTrailers(block))
          if (status) expect(Number.isInteger(status.status)).toBe(true)
        },
      ),
    )
  })
})

describe('grpc-message', () => {
  it('comes back as it went, and is never refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(decodeGrpcMessage(encodeURIComponent(text))).toBe(text)
      }),
    )
    const odd = fc.array(fc.constantFrom('%', 'a', 'F', '4', '1', 'é', '\ud800', 'z', '%E2', '%zz'))
    fc.assert(
      fc.property(odd, (parts) => {
        expect(typeof decodeGrpcMessage(parts.join(''))).toBe('string')
      }),
    )
  })
})

describe('binary headers', () => {
  it('come back as they went: several, padded or not', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(bytes, fc.boolean()), { minLength: 1 }), (values) => {
        const written = values.map(([value, isPadded]) =>
          isPadded ? Buffer.from(value).toString('base64') : encodeBinaryHeader(value),
        )
        const expected = values.map(([value]) => value)
        const apart = HeaderMap.from(written.map((text) => ['k-bin', text] as const))
        expect(decodeBinaryHeader(apart, 'k-bin')).toEqual(expected)
        expect(decodeBinaryHeader(HeaderMap.from([['k-bin', written.join(',')]]), 'k-bin')).toEqual(expected)
      }),
    )
  })

  it('of any text are bytes or none', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const read = fromBase64(text)
        expect(read === undefined || read instanceof Uint8Array).toBe(true)
      }),
    )
  })
})

describe('google.rpc.Status', () => {
  const status = fc.record({
    code: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    message: fc.string({ unit: 'grapheme' }),
    details: fc.array(fc.record({ typeUrl: fc.stringMatching(/^[a-z./]{0,20}$/), value: bytes })),
  })

  it('is decoded as protobuf-es decodes it', () => {
    fc.assert(
      fc.property(status, ({ code, message, details }) => {
        const init = { code, message, details: details.map((each) => create(AnySchema, each)) }
        const decoded = decodeStatusDetails(toBinary(StatusSchema, create(StatusSchema, init)))
        const expected = details.map(({ typeUrl, value }) => ({ type: typeUrl.split('/').at(-1), bytes: value }))
        expect(decoded).toEqual({ code, message, details: expected })
      }),
    )
  })

  it('of any bytes is read, or is none', () => {
    const googles = ['ErrorInfo', 'RetryInfo', 'BadRequest', 'QuotaFailure', 'Help', 'DebugInfo']
    const odd = fc.tuple(fc.constantFrom(...googles), fc.uint8Array({ maxLength: 30 })).map(([type, value]) => {
      const detail = create(AnySchema, { typeUrl: `type.googleapis.com/google.rpc.${type}`, value })
      return toBinary(StatusSchema, create(StatusSchema, { details: [detail] }))
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), odd), (noise) => {
        const decoded = decodeStatusDetails(noise)
        if (!decoded) return
        expect(decoded.code).toBe(decoded.code | 0)
        for (const { bytes } of decoded.details) expect(bytes.length).toBeLessThanOrEqual(noise.length)
      }),
      { numRuns: 500 },
    )
  })
})

it.each(framings)(
  'details of a type that is named as what every object has fail one call, framed by %s',
  async (framing) => {
    const details = ['constructor', 'toString', '__proto__'].map((name) =>
      create(AnySchema, { typeUrl: `type.googleapis.com/google.rpc.${name}`, value: Uint8Array.of(10, 1, 97) }),
    )
    const status = toBinary(StatusSchema, create(StatusSchema, { code: 3, details }))
    const block = `grpc-status: 3\r\ngrpc-status-details-bin: ${encodeBinaryHeader(status)}\r\n`
    const headers = { 'content-type': 'application/grpc-web+proto' }
    const server = createServer((_, response) => {
      response.writeHead(200, headers).end(encodeFrame(0x80, Buffer.from(block)))
    }).listen(0)
    await once(server, 'listening')
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createClient({ transports: { 'grpc-web': grpcWebTransport({ baseUrl, framing, http: 'undici' }) } })
    const { shop } = client.bind({ shop: service(ShopService) })
    const error = await rejection(shop.getItem({ id: 1n }))
    expect(error).toMatchObject({ code: 'invalid_argument', status: 3 })
    expect(grpcDetails(error).map(({ type }) => type)).toContain('google.rpc.constructor')
    await client.close()
    server.close()
  },
)

describe.each(framings)('an answer framed by %s', (framing) => {
  const item = encodeFrame(0, toBinary(ItemSchema, create(ItemSchema, { id: 7n })))
  const text = (block: string) => encodeFrame(0x80, Buffer.from(block))
  const part = fc.oneof(
    fc.constantFrom(
      item,
      encodeFrame(0, new Uint8Array(0)),
      encodeFrame(0, Uint8Array.of(0xff, 0xff)),
      encodeFrame(1, Uint8Array.of(1, 2, 3)),
      encodeFrame(0x81, Uint8Array.of(1)),
      text('grpc-status: 0\r\n'),
      text('grpc-status: 5\r\ngrpc-message: %zz%\r\n'),
      text('grpc-status: 0\r\ngrpc-status: 14\r\n'),
      text(': x\r\n\0\xff'),
      text('grpc-status: 8\ngrpc-status-details-bin: !!\n'),
      item.subarray(0, 6),
      Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff),
    ),
    fc.uint8Array({ maxLength: 20 }),
  )
  const answer = fc.record({
    parts: fc.array(part, { maxLength: 5 }),
    marks: places,
    status: fc.constantFrom(200, 200, 200, 204, 400, 404, 429, 500, 503),
    headers: fc.dictionary(
      fc.constantFrom('content-type', 'grpc-status', 'grpc-message', 'grpc-retry-pushback-ms', 'retry-after'),
      fc.constantFrom('application/grpc-web+proto', 'application/grpc-web', 'text/html', '0', '9', 'x', '-1', '%', ''),
    ),
    isBroken: fc.boolean(),
  })

  function http({ parts, marks, status, headers, isBroken }: typeof answer extends fc.Arbitrary<infer A> ? A : never) {
    const pieces = cut(joined(parts), marks)
    const body = new ReadableStream({
      pull(controller) {
        const piece = pieces.shift()
        if (piece) controller.enqueue(piece)
        else if (isBroken) controller.error(new TypeError('terminated'))
        else controller.close()
      },
    })

    return async () => new Response(status === 204 ? null : body, { status, headers })
  }

  it('of any bytes is a message or one clear error, of a call and of a stream', async () => {
    await fc.assert(
      fc.asyncProperty(answer, async (given) => {
        const transport = grpcWebTransport({ baseUrl: 'http://rpc.test', framing, http: http(given) as never })
        const client = createClient({ retry: false, transports: { 'grpc-web': transport } })
        const { shop } = client.bind({ shop: service(ShopService) })
        await shop.getItem({ id: 1n }).then(
          (message) => expect(message.$typeName).toBe('polywire.test.v1.Item'),
          (error: unknown) => expectClear(error),
        )
        await client.close()
        const again = grpcWebTransport({ baseUrl: 'http://rpc.test', framing, http: http(given) as never })
        const other = createClient({ retry: false, transports: { 'grpc-web': again } })
        const { shop: streams } = other.bind({ shop: service(ShopService) })
        try {
          for await (const event of streams.watchItems({ count: 1 }))
            expect(event.$typeName).toBe('polywire.test.v1.ItemEvent')
        } catch (error) {
          expectClear(error)
        }
        await other.close()
      }),
      { numRuns: 150 },
    )
  })
})

function expectClear(error: unknown): void {
  if (!isCallError(error)) throw error
  expect(error.protocol).toBe('grpc-web')
  expect(error.message).toMatch(/^\[[a-z_]+\] polywire\.test\.v1\.ShopService\/\w+/)
  expect(error.message).not.toContain('please report')
  expect(['no', 'maybe', 'yes']).toContain(error.sent)
  expect(Array.isArray(grpcDetails(error))).toBe(true)
}
