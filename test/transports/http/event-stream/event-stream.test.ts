import { describe, expect, it } from 'vitest'
import {
  EventParsers,
  EventStream,
  type EventStreamSink,
  type ServerEvent,
  toEvent,
} from '../../../../transports/http/event-stream/event-stream.ts'
import { freshSeed, seeded } from '../../../support/seeded.ts'

/** What a stream says: events, `cursor x`, `retry n`, `comment`, `overflow`. */
function read(chunks: readonly (string | Uint8Array)[], maxEventBytes = 1 << 24): unknown[] {
  const said: unknown[] = []
  const stream = new EventStream(saying(said), new EventParsers(maxEventBytes))
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

/** Facts of WHATWG HTML §9.2.6 and of web-platform-tests/eventsource, one line each: name, stream, what is said. */
const corpus: readonly (readonly [name: string, text: string, said: readonly unknown[]])[] = [
  ['data', 'data: one\n\n', [{ type: 'message', data: 'one' }]],
  ['several lines of data', 'data: YHOO\ndata: +2\ndata: 10\n\n', [{ type: 'message', data: 'YHOO\n+2\n10' }]],
  [
    'data without a space',
    'data:test\n\ndata: test\n\n',
    [
      { type: 'message', data: 'test' },
      { type: 'message', data: 'test' },
    ],
  ],
  ['one leading space is taken away, not two', 'data:  third\n\n', [{ type: 'message', data: ' third' }]],
  ['a tab is no space', 'data:\ttest\rdata: \ndata:test\n\n', [{ type: 'message', data: '\ttest\n\ntest' }]],
  [
    'empty data',
    'data:\n\ndata\ndata\n\ndata:test\n\n',
    [
      { type: 'message', data: '' },
      { type: 'message', data: '\n' },
      { type: 'message', data: 'test' },
    ],
  ],
  ['bare data', 'data\n\n', [{ type: 'message', data: '' }]],
  ['a block without data is no event', 'event: x\n\ndata: y\n\n', [{ type: 'message', data: 'y' }]],
  [
    'the type is of its block only',
    'event:test\ndata:x\n\ndata:x\n\n',
    [
      { type: 'test', data: 'x' },
      { type: 'message', data: 'x' },
    ],
  ],
  ['an empty type is message', 'event: \ndata:data\n\n', [{ type: 'message', data: 'data' }]],
  ['a type that is reset', 'event:a\nevent:\ndata:x\n\n', [{ type: 'message', data: 'x' }]],
  ['field names are case-sensitive', 'Data: x\nDATA: y\ndata: z\n\n', [{ type: 'message', data: 'z' }]],
  [
    'unknown fields',
    'data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\ndata:test\n\n',
    ['comment', { type: 'message', data: 'test\n\ntest' }],
  ],
  [
    'names with prefix, suffix and NUL',
    'data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n',
    [{ type: 'message', data: '\0\n 2\n1\n3\n\n4' }],
  ],
  [
    'comments',
    'data:1\r:\0\n:\r\ndata:2\n:comment\rdata:3\n:data:fail\r:x\ndata:4\n\n',
    ['comment', 'comment', 'comment', 'comment', 'comment', { type: 'message', data: '1\n2\n3\n4' }],
  ],
  [
    'a long comment',
    `data:1\r:${'long string '.repeat(1000)}\ndata:2\n\n`,
    ['comment', { type: 'message', data: '1\n2' }],
  ],
  ['LF, CR and CRLF mixed', 'data:test\r\ndata\ndata:test\r\n\r', [{ type: 'message', data: 'test\n\ntest' }]],
  [
    'CR only',
    'data: a\r\rdata: b\r\r',
    [
      { type: 'message', data: 'a' },
      { type: 'message', data: 'b' },
    ],
  ],
  [
    'CRLF only',
    'data: a\r\n\r\ndata: b\r\n\r\n',
    [
      { type: 'message', data: 'a' },
      { type: 'message', data: 'b' },
    ],
  ],
  ['NUL in data', 'data:\0\n\n', [{ type: 'message', data: '\0' }]],
  [
    'one byte order mark is taken away',
    '\uFEFFdata:1\n\ndata:2\n\n',
    [
      { type: 'message', data: '1' },
      { type: 'message', data: '2' },
    ],
  ],
  ['a second one spoils its line', '\uFEFF\uFEFFdata:1\n\ndata:2\n\n', [{ type: 'message', data: '2' }]],
  [
    'one in the middle spoils its line',
    'data:1\n\n\uFEFFdata:2\n\ndata:3\n\n',
    [
      { type: 'message', data: '1' },
      { type: 'message', data: '3' },
    ],
  ],
  ['what looks like a mangled one is text', 'ï»¿data:1\n\ndata:2\n\n', [{ type: 'message', data: '2' }]],
  ['always UTF-8', 'data:okei ✓ 😀\n\n', [{ type: 'message', data: 'okei ✓ 😀' }]],
  ['an id', 'id: 7\ndata: x\n\n', [{ type: 'message', data: 'x', id: '7', cursor: '7' }]],
  [
    'an id is not of the next event',
    'id: 7\ndata: x\n\ndata: y\n\n',
    [
      { type: 'message', data: 'x', id: '7', cursor: '7' },
      { type: 'message', data: 'y' },
    ],
  ],
  ['the last id of a block', 'id: 1\nid: 2\ndata: x\n\n', [{ type: 'message', data: 'x', id: '2', cursor: '2' }]],
  ['an id without data moves the cursor', 'id: 9\n\n', ['cursor 9']],
  ['and is the cursor of the next event', 'id: 9\n\ndata: x\n\n', [{ type: 'message', data: 'x', cursor: '9' }]],
  [
    'an empty id resets',
    'id: 1\ndata: x\n\nid:\ndata: y\n\nid\n\n',
    [
      { type: 'message', data: 'x', id: '1', cursor: '1' },
      { type: 'message', data: 'y', id: '', cursor: '' },
      'cursor ',
    ],
  ],
  [
    'an id with NUL is ignored',
    'id: a\0b\ndata: x\n\nid:\0\n\nid: \0\n\nid: 1\0\n\nid: \0 2\n\n',
    [{ type: 'message', data: 'x' }],
  ],
  ['an id of any characters', 'id: …\ndata: x\n\n', [{ type: 'message', data: 'x', id: '…', cursor: '…' }]],
  ['retry', 'retry: 03000\n\n', ['retry 3000']],
  ['retry is effective at once', 'retry: 5\n', ['retry 5']],
  [
    'retry with anything but digits is ignored',
    'retry: 1000x\nretry: 1 \nretry: -1\nretry: 1e3\nretry: ٣\nretry:\nretry\n\n',
    [],
  ],
  ['retry of any size', 'retry: 9999999999\nretry: 0\n\n', ['retry 9999999999', 'retry 0']],
  ['an unterminated block is dropped, with its id', 'data: x\nid: 4\n', []],
  [
    'so is an unterminated line',
    'id: 1\ndata: a\n\nid: 2\ndata: b',
    [{ type: 'message', data: 'a', id: '1', cursor: '1' }],
  ],
]

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
  })

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
        return { bytes, at: 0, said, stream: new EventStream(saying(said), parsers) }
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
    const one = new EventStream(saying(said), parsers)
    one.feed(new TextEncoder().encode(`data: ${'x'.repeat(11)}\n\n`))
    new EventStream(saying(said), parsers).feed(new TextEncoder().encode('data: a\n\n'))
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
