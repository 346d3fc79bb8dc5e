import { describe, expect, it } from 'vitest'
import { EventParsers } from '#platform'
import {
  type EventStreamSink,
  type ServerEvent,
  toEvent,
} from '../../../../transports/http/event-stream/event-stream.ts'
import { corpus } from '../../../support/event-stream-corpus.ts'
import { freshSeed, seeded } from '../../../support/seeded.ts'

/** What a stream says: events, `cursor x`, `retry n`, `comment`, `overflow`. */
function read(chunks: readonly (string | Uint8Array)[], maxEventBytes = 1 << 24): unknown[] {
  const said: unknown[] = []
  const stream = new EventParsers(maxEventBytes).open(saying(said))
  for (const chunk of chunks) stream.feed(typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk)
  return said
}

function saying(said: unknown[]): EventStreamSink {
  return {
    onEvent: (type, data, id, cursor) =>
      said.push({ ...toEvent(type, data, id), ...(cursor !== undefined && { cursor }) }),
    onCursor: (cursor) => said.push(`cursor ${cursor}`),
    onRetry: (ms) => said.push(`retry ${ms}`),
    onComment: () => said.push('comment'),
    onOverflow: () => said.push('overflow'),
  }
}

const events = (chunks: readonly (string | Uint8Array)[]) =>
  read(chunks).filter((each): each is ServerEvent => typeof each === 'object')
const data = (text: string) => events([text]).map((event) => event.data)

describe('an event stream', () => {
  it.each(corpus)('%s', (_, text, said) => {
    expect(read([text])).toEqual(said)
  })

  it.each(corpus)('%s, byte by byte', (_, text) => {
    const bytes = new TextEncoder().encode(text)
    expect(timeline(read(Array.from(bytes, (byte) => Uint8Array.of(byte))))).toEqual(timeline(read([bytes])))
  })

  it('says the same however it is cut', () => {
    const seed = freshSeed()
    const random = seeded(seed)
    for (let round = 0; round < 2000; round++) {
      const [name, text] = corpus[Math.floor(random() * corpus.length)] as (typeof corpus)[number]
      const bytes = new TextEncoder().encode(`${text}\n\n${text}`)
      const chunks: Uint8Array[] = []
      for (let at = 0; at < bytes.length; ) {
        const to = at + Math.floor(random() * 9)
        chunks.push(bytes.subarray(at, to))
        at = to
      }
      expect(timeline(read(chunks)), `seed ${seed}, '${name}'`).toEqual(timeline(read([bytes])))
    }
    // `npm run mutate` counts each branch taken, which makes this fifty times as slow.
  }, 60_000)

  it('decodes characters that are cut, and replaces what is no UTF-8', () => {
    const bytes = new TextEncoder().encode('data: a😀ü\n\n')
    for (let cut = 0; cut <= bytes.length; cut++)
      expect(events([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual([{ type: 'message', data: 'a😀ü' }])
    expect(events([Uint8Array.of(100, 97, 116, 97, 58, 0xff, 0xc3, 10, 10)])).toEqual([
      { type: 'message', data: '\ufffd\ufffd' },
    ])
  })

  it('dispatches at once after CR, and takes a LF that follows for the same line end', () => {
    expect(read(['data: a\r\r', '\ndata: b\r\n', '\r'])).toEqual([
      { type: 'message', data: 'a' },
      { type: 'message', data: 'b' },
    ])
    expect(read(['data: a\r', '\ndata: b\n\n'])).toEqual([{ type: 'message', data: 'a\nb' }])
  })
})

describe('streams that take turns', () => {
  it('read what each would read alone, through parsers that they share', () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const parsers = new EventParsers(1 << 24)
    for (let round = 0; round < 300; round++) {
      const streams = Array.from({ length: 5 }, () => {
        const [, text] = corpus[Math.floor(random() * corpus.length)] as (typeof corpus)[number]
        const said: unknown[] = []
        const bytes = new TextEncoder().encode(`${text}\n\n\u{feff}${text}\r\n\r\n${text}`)
        return { bytes, at: 0, said, stream: parsers.open(saying(said)) }
      })
      for (let left = streams; left.length > 0; left = left.filter(({ at, bytes }) => at < bytes.length)) {
        const each = left[Math.floor(random() * left.length)] as (typeof left)[number]
        const to = each.at + 1 + Math.floor(random() * 20)
        each.stream.feed(each.bytes.subarray(each.at, to))
        each.at = to
      }
      for (const { bytes, said } of streams) expect(timeline(said), `seed ${seed}`).toEqual(timeline(read([bytes])))
    }
  })

  it('give back no parser that has overflown', () => {
    const parsers = new EventParsers(10)
    const said: unknown[] = []
    const one = parsers.open(saying(said))
    one.feed(new TextEncoder().encode(`data: ${'x'.repeat(11)}\n\n`))
    parsers.open(saying(said)).feed(new TextEncoder().encode('data: a\n\n'))
    expect(said).toEqual(['overflow', { type: 'message', data: 'a' }])
  })
})

describe('the size of an event', () => {
  const large = 'x'.repeat(1001)

  it.each([
    ['whole', [`data: a\n\ndata: ${large}\n\ndata: b\n\n`]],
    ['in lines', ['data: a\n\n', ...Array.from({ length: 30 }, () => `data: ${'x'.repeat(50)}\n`), '\n']],
    ['never ended', ['data: a\n\n', 'data: ', large, large]],
    ['a comment without end', ['data: a\n\n', ':', large, large]],
  ])('is bounded: %s', (_, chunks) => {
    expect(read(chunks, 1000)).toEqual([{ type: 'message', data: 'a' }, 'overflow'])
  })

  it('does not count one event with another, nor lines that are no field', () => {
    expect(data(`data: ${'x'.repeat(999)}\n\n`.repeat(5))).toHaveLength(5)
    expect(read([`nonsense ${large.repeat(5)}`, large, '\ndata: a\n\n'], 1000)).toEqual([
      { type: 'message', data: 'a' },
    ])
  })

  it('is read in linear time', () => {
    const chunk = new TextEncoder().encode('x'.repeat(1024))
    const [event] = events(['data: ', ...Array.from({ length: 4096 }, () => chunk), '\n\n'])
    expect(event?.data).toHaveLength(1 << 22)
  })
})

/**
 * The same whether a cursor was told with the next event or before it; one that another follows does not count.
 * Comments and reconnection times keep their order among themselves, whatever the events beside them.
 */
function timeline(said: readonly unknown[]): unknown[] {
  const asides = said.filter(isAside)
  const line = said
    .filter((each) => !isAside(each))
    .flatMap((each) => {
      if (typeof each !== 'object' || each === null) return [each]
      const { cursor, ...event } = each as ServerEvent & { cursor?: string }
      return cursor === undefined || cursor === event.id ? [event] : [`cursor ${cursor}`, event]
    })
  const isCursor = (each: unknown) => typeof each === 'string' && each.startsWith('cursor')
  const isMoot = (next: unknown) => isCursor(next) || (typeof next === 'object' && next !== null && 'id' in next)
  return [asides, line.filter((each, index) => !isCursor(each) || !isMoot(line[index + 1]))]
}

function isAside(each: unknown): boolean {
  return typeof each === 'string' && (each === 'comment' || each.startsWith('retry'))
}
