import { describe, expect, it } from 'vitest'
import { cursorTap, cursorText, StreamCursors } from '../../../src/core/resume/cursors.ts'
import { RecentOffsets, readOffset } from '../../../src/core/resume/offsets.ts'
import type { Item } from '../../../src/core/stream/source.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

const item = (cursor: string | undefined, message: unknown = cursor): Item => ({ message, cursor }) as Item
/** What passes, gaps as their reasons. */
const passed = (cursors: StreamCursors, ...items: Item[]): unknown[] =>
  cursors.sift(items).map(({ message, isGap }) => (isGap ? (message as { reason: string }).reason : message))

describe('an offset', () => {
  it.each([
    ['0', { epoch: '', offset: 0 }],
    ['12', { epoch: '', offset: 12 }],
    ['e1:12', { epoch: 'e1', offset: 12 }],
    ['a:b:3', { epoch: 'a:b', offset: 3 }],
  ])('is read of %s', (text, offset) => {
    expect(readOffset(text)).toEqual({ ...offset, text })
  })

  it.each(['', 'e1:', 'a', '-1', '1.5', '9007199254740993', 'NaN', 'Infinity'])('is not %j', (text) => {
    expect(readOffset(text)).toBeUndefined()
  })
})

describe('offsets that come again', () => {
  it('are told as far back as they are remembered, and no further', () => {
    const recent = new RecentOffsets(4, 0)
    for (let offset = 1; offset <= 10; offset++) recent.add(offset, offset)
    expect([7, 8, 9, 10].map((offset) => recent.recall(offset, offset))).toEqual(Array(4).fill('repeat'))
    expect(recent.recall(6, 6)).toBe('anew')
    expect(recent.recall(8, 99)).toBe('anew')
  })

  it('are late where they were missing, once', () => {
    const recent = new RecentOffsets(8, 0)
    recent.add(1, 1)
    recent.add(5, 5)
    expect([recent.recall(3, 3), recent.recall(3, 3), recent.recall(2, 2)]).toEqual([undefined, 'repeat', undefined])
  })
})

describe('opaque cursors', () => {
  it('are forgotten where the stream begins anew: what comes then is no repeat', () => {
    const cursors = new StreamCursors({})
    cursors.sift([item('a'), item('b')])
    cursors.clear()
    cursors.resumed('c')
    expect(passed(cursors, item('a'), item('b'))).toEqual(['a', 'b'])
  })

  // Long batches are looked at when the next one comes, and then only as far back as there is room for.
  it.each([
    ['long batches', [300, 400, 500, 600]],
    ['a long batch between short ones', [3, 900, 200, 7]],
    ['a long batch that fills all', [500, 1024, 1, 1]],
    ['batches that are longer than all', [1500, 2000, 1024]],
  ])('are remembered to the number that is asked for, over %s, and where some have none', (_, sizes) => {
    const cursors = new StreamCursors({}, 1000)
    let count = 0
    for (const size of sizes) {
      const batch: Item[] = []
      while (batch.length < size) {
        batch.push({ message: count, cursor: `${count}`, mark: `text ${count}` })
        // One of four is told without a cursor.
        if (count++ % 3 === 2) batch.push({ message: 'none', cursor: undefined })
      }
      cursors.sift(batch)
    }
    const known = Math.min(count, 1000)
    const from = (n: number) => ({ message: n, cursor: `${n}`, mark: `text ${n}` })
    cursors.resumed(`${count - 1}`)
    expect(passed(cursors, ...Array.from({ length: known }, (_, n) => from(count - known + n)))).toEqual([])
    cursors.resumed(`${count - 1}`)
    if (count > known) expect(passed(cursors, from(count - known - 1))).toEqual([count - known - 1])
  })
})

describe('declared offsets', () => {
  it('in another epoch are another history, even where the numbers go on', () => {
    const cursors = new StreamCursors({ cursors: 'offset' })
    expect(passed(cursors, item('a:1'), item('a:2'), item('b:3'), item('b:4'))).toEqual([
      'a:1',
      'a:2',
      'epoch',
      'b:3',
      'b:4',
    ])
    expect(cursors.sawGap).toBe(true)
    expect(passed(cursors, item('b:5'))).toEqual(['b:5'])
    expect(cursors.sawGap).toBe(false)
  })

  it('that are none pass as they are', () => {
    const cursors = new StreamCursors({ cursors: 'offset' })
    expect(passed(cursors, item('1'), item('x'), item(undefined, 'bare'), item('2'))).toEqual(['1', 'x', 'bare', '2'])
  })
})

describe('opaque cursors', () => {
  const opened = (window: number, ...cursors: string[]) => {
    const seen = new StreamCursors({}, window)
    seen.sift(cursors.map((cursor) => item(cursor)))
    return seen
  }

  it('that were seen are repeats after a resume, and only then', () => {
    const cursors = opened(8, 'a', 'b')
    expect(passed(cursors, item('a'))).toEqual(['a'])
    cursors.resumed('a')
    expect(passed(cursors, item('b'), item('c'))).toEqual(['c'])
  })

  it('that came after one resume are repeats after the next', () => {
    const cursors = opened(8, 'a')
    cursors.resumed('a')
    expect(passed(cursors, item('a'), item('b'))).toEqual(['b'])
    cursors.resumed('b')
    expect(passed(cursors, item('a'), item('b'), item('c'))).toEqual(['c'])
  })

  it('are remembered to the number that is asked for, the last ones', () => {
    const cursors = opened(3, 'a', 'b', 'c', 'd', 'e')
    cursors.resumed('e')
    expect(passed(cursors, item('c'), item('d'), item('e'), item('f'))).toEqual(['f'])
    const others = opened(3, 'a', 'b', 'c', 'd', 'e')
    others.resumed('e')
    expect(passed(others, item('a'))).toEqual(['a'])
  })

  it('with other data are a new history: a gap, then delivery', () => {
    const cursors = opened(8, 'a', 'b')
    cursors.resumed('b')
    expect(passed(cursors, item('b', 'other'), item('c'))).toEqual(['epoch', 'other', 'c'])
  })
})

describe('the text of a message on the wire', () => {
  /** With the text beside it, as event streams keep it. */
  const event = (n: number, run: string): Item => ({ cursor: String(n), message: `${run} ${n}`, mark: textOf(n, run) })
  const textOf = (n: number, run: string) => `${'-'.repeat((n * 37) % 300)} ${run} ${n}`

  it.each(['old', 'new'])('tells the %s history, however many came in one read', (run) => {
    const seed = freshSeed()
    const random = seeded(seed)
    for (let round = 0; round < 40; round++) {
      const replayWindow = 1 + Math.floor(random() * 300)
      const cursors = new StreamCursors({}, replayWindow)
      let n = 0
      for (let read = 0; read < 6; read++) {
        const length = Math.floor(random() ** 3 * 500)
        cursors.sift(Array.from({ length }, () => event(++n, 'old')))
      }
      cursors.resumed(String(n))
      for (let at = Math.max(1, n - replayWindow + 1); at <= n; at++) {
        const given = passed(cursors, event(at, run))
        // Of a long text the places that tell may lie between those that are looked at.
        const isUnseen = run === 'new' && textOf(at, run).length > 64 && given.length === 0
        const isTold = run === 'new' && !isUnseen
        expect(given, `seed ${seed}: ${at} of ${n}`).toEqual(isTold ? ['epoch', `new ${at}`] : [])
        if (isTold) break
      }
    }
  })
})

describe('a cursor that is read in a message', () => {
  it('is none where the message says null: that is no name that all such messages share', () => {
    const read = cursorTap(({ id }: { id: unknown }) => id as never, undefined, { fail() {} })
    const of = (id: unknown) => read(item(undefined, { id }))?.cursor
    expect([null, undefined, 0, '', 'a', 7n].map(of)).toEqual([undefined, undefined, '0', '', 'a', '7'])
  })
})

it.each<[string, () => unknown]>([
  ['NaN', () => Number.NaN],
  ['Infinity', () => Number.POSITIVE_INFINITY],
  ['a number that JSON has rounded', () => 2 ** 53],
  ['true', () => true],
  ['false', () => false],
  ['an object', () => ({})],
  ['a symbol', () => Symbol.iterator],
  ['a function', () => String],
  ['a promise that fails', () => Promise.reject(new Error('late'))],
])('a cursor that no server can be asked to go on after is told, and not sent: %s', (_, make) => {
  const cursor = make()
  let thrown: unknown
  try {
    cursorText(cursor)
  } catch (itself) {
    thrown = itself
  }
  // A promise comes as one whose failure is heard; two of them may differ by what follows them.
  if (cursor instanceof Promise) expect(thrown).toBeInstanceOf(Promise)
  else expect(thrown).toEqual(cursor)
})

it('a cursor is a text, a number or a bigint; null and undefined are none', () => {
  expect(['a', '', 0, -1.5, 2 ** 53 - 1, 2n ** 64n].map(cursorText)).toEqual([
    'a',
    '',
    '0',
    '-1.5',
    '9007199254740991',
    '18446744073709551616',
  ])
  expect([null, undefined].map(cursorText)).toEqual([undefined, undefined])
})
