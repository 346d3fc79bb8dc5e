import {
  conflate,
  type Item,
  isGap,
  makeBound,
  type OverflowOptions,
  type OverflowPolicy,
  Source,
  type SourceOptions,
} from 'polywire'
import { describe, expect, it } from 'vitest'
import { gap } from '../../../src/core/stream/gap.ts'

const item = (n: number, size?: number): Item => ({
  message: n,
  cursor: String(n),
  ...(size !== undefined && { size }),
})
const items = (count: number, from = 1): Item[] => Array.from({ length: count }, (_, index) => item(from + index))

/** Messages of what can be taken; a gap as text. */
function taken(source: Source): unknown[] {
  return (source.take() ?? []).map(({ message }) =>
    isGap(message) ? `gap ${message.from}→${message.to} ${message.lost}` : message,
  )
}

describe('a source', () => {
  it('gives what was pushed in one batch, then its end', () => {
    const source = new Source()
    source.push(item(1))
    source.pushAll(items(2, 2))
    source.finish()
    expect(source.end).toBeUndefined()
    expect(taken(source)).toEqual([1, 2, 3])
    expect(source.end).toEqual({ kind: 'ended' })
    expect(source.take()).toBeUndefined()
  })

  it('puts a failure behind what came before it, and tells it at once', () => {
    const source = new Source()
    const settled: unknown[] = []
    source.onSettled((end) => settled.push(end))
    source.push(item(1))
    source.fail('broken')
    source.push(item(2))
    expect(settled).toEqual([{ kind: 'failed', error: 'broken' }])
    expect(source.end).toBeUndefined()
    expect(taken(source)).toEqual([1])
    expect(source.end).toEqual({ kind: 'failed', error: 'broken' })
  })

  it('wakes its reader once for a batch, and for the end', async () => {
    const source = new Source()
    let wakes = 0
    const wait = () => source.ready().then(() => wakes++)
    const first = wait()
    source.pushAll(items(3))
    await first
    source.take()
    const second = wait()
    source.finish()
    await second
    expect(wakes).toBe(2)
  })

  it('pauses its wire at the high-water mark of messages and goes on when all is taken', () => {
    const calls: string[] = []
    const source = new Source({
      highWaterMark: 4,
      onPause: () => calls.push('pause'),
      onResume: () => calls.push('resume'),
    })
    source.pushAll(items(3))
    expect(calls).toEqual([])
    source.pushAll(items(3))
    source.push(item(7))
    expect(calls).toEqual(['pause'])
    source.take()
    expect(calls).toEqual(['pause', 'resume'])
  })

  it('pauses its wire at the high-water mark of bytes, counted by item or by batch', () => {
    for (const fill of [
      (source: Source) => source.push(item(1, 1000)),
      (source: Source) => source.pushAll(items(1), 1000),
    ]) {
      let pauses = 0
      const source = new Source({ highWaterBytes: 1500, onPause: () => pauses++ })
      fill(source)
      expect(pauses).toBe(0)
      fill(source)
      expect(pauses).toBe(1)
      source.take()
      fill(source)
      expect(pauses).toBe(1)
    }
  })

  it('pauses its wire as often as its reader falls behind', () => {
    const calls: string[] = []
    const source = new Source({
      highWaterMark: 2,
      onPause: () => calls.push('pause'),
      onResume: () => calls.push('resume'),
    })
    for (let round = 0; round < 3; round++) {
      source.pushAll(items(2), 10)
      source.take()
    }
    expect(calls).toEqual(['pause', 'resume', 'pause', 'resume', 'pause', 'resume'])
  })

  it.each([
    ['one by one', (source: Source) => source.push(item(1, 1 << 20))],
    ['in batches', (source: Source) => source.pushAll(items(4), 1 << 20)],
  ])('counts no byte of what its taps drop, pushed %s', (_, push) => {
    const calls: string[] = []
    const source = new Source({ onPause: () => calls.push('pause'), onResume: () => calls.push('resume') })
    source.tap(() => undefined)
    for (let round = 0; round < 64; round++) push(source)
    expect([calls, source.bytes, source.cursor]).toEqual([[], 0, expect.any(String)])
  })

  it('goes on where a tap that comes later drops all that was queued', () => {
    const calls: string[] = []
    const source = new Source({
      highWaterBytes: 100,
      onPause: () => calls.push('pause'),
      onResume: () => calls.push('resume'),
    })
    source.pushAll(items(3), 120)
    source.tap((each) => (each.message === 3 ? each : undefined))
    expect([calls, source.bytes]).toEqual([['pause'], 40])
    source.tap(() => undefined)
    expect([calls, source.bytes, source.take()]).toEqual([['pause', 'resume'], 0, undefined])
  })

  it('counts each byte once, by whatever policy it is bounded', () => {
    for (const policy of ['error', 'drop-oldest', 'drop-newest', conflate((n: unknown) => n)] as const) {
      const source = new Source({ overflow: makeBound({ policy, maxMessages: 3, toError: () => 'full' }) })
      for (let n = 1; n <= 3; n++) source.push(item(n, 10))
      expect(source.bytes).toBe(30)
      if (policy !== 'error') source.push(item(3, 5))
      const queued = source.items.reduce((sum, { size = 0 }) => sum + size, 0)
      expect([policy, source.bytes]).toEqual([policy, queued])
      source.take()
      expect(source.bytes).toBe(0)
    }
  })

  it('fails where a tap throws, behind what came before, and closes its wire', () => {
    const cause = new Error('mine')
    const closed: unknown[] = []
    const source = new Source({ onClose: (reason) => closed.push(reason) })
    source.tap((each) => {
      if (each.message === 2) throw cause
      return each
    })
    source.pushAll(items(3), 30)
    expect(taken(source)).toEqual([1])
    expect(source.end).toMatchObject({
      kind: 'failed',
      error: { code: 'internal', phase: 'stream', sent: 'yes', cause },
    })
    expect(closed).toHaveLength(1)
  })

  it('tells any number of listeners how it settled, whatever one of them throws', () => {
    const source = new Source()
    const told: unknown[] = []
    source.onSettled((end) => told.push(['first', end.kind]))
    source.onSettled(() => {
      throw new Error('mine')
    })
    source.onSettled((end) => told.push(['third', end.kind]))
    source.fail('broken')
    source.onSettled((end) => told.push(['late', end.kind]))
    expect(told).toEqual([
      ['first', 'failed'],
      ['third', 'failed'],
      ['late', 'failed'],
    ])
  })

  it('closes its wire once when the reader leaves, and not after its own end', () => {
    const reasons: unknown[] = []
    const onClose = (reason: unknown) => reasons.push(reason)
    const source = new Source({ onClose })
    source.push(item(1))
    source.close('left')
    source.close('again')
    expect(reasons).toEqual(['left'])
    expect(source.take()).toBeUndefined()
    expect(source.end).toEqual({ kind: 'ended' })
    const ended = new Source({ onClose })
    ended.finish()
    ended.close('late')
    expect(reasons).toEqual(['left'])
  })

  it('knows the last cursor received: of messages that taps drop, and of skipped ones', () => {
    const source = new Source()
    source.tap((each) => (each.message === 2 ? undefined : each))
    source.pushAll(items(2))
    expect(source.cursor).toBe('2')
    source.advance('5')
    expect(source.cursor).toBe('5')
    expect(source.take()).toEqual([{ message: 1, cursor: '5' }])
    source.advance('')
    expect(source.cursor).toBe('')
    expect(source.take()).toBeUndefined()
  })

  it('applies taps in order, to what is queued too, and knows the cursors that they set', () => {
    const source = new Source()
    source.push({ message: 1 })
    source.tap((each) => ({ ...each, cursor: `c${each.message}` }))
    expect(source.cursor).toBe('c1')
    source.tap((each) => ({ ...each, message: `${each.message}!` }))
    source.push({ message: 2 })
    expect(source.take()).toEqual([
      { message: '1!', cursor: 'c1' },
      { message: '2!', cursor: 'c2' },
    ])
  })
})

describe('overflow', () => {
  const lost: number[] = []
  const overflowing = (
    policy: OverflowPolicy,
    options: Partial<OverflowOptions> & Pick<SourceOptions, 'onClose'> = {},
  ) => {
    const { onClose, ...rest } = options
    lost.length = 0
    return new Source({
      ...(onClose && { onClose }),
      overflow: makeBound({
        policy,
        maxMessages: 3,
        gaps: 'yield',
        toError: (cause) => cause ?? 'overrun',
        onLost: () => lost.push(1),
        ...rest,
      }),
    })
  }

  it('error: fails behind what is queued, and closes the wire', () => {
    const closed: unknown[] = []
    const source = overflowing('error', { onClose: (reason) => closed.push(reason) })
    source.pushAll(items(5))
    expect(closed).toEqual(['overrun'])
    expect(taken(source)).toEqual([1, 2, 3])
    expect(source.end).toEqual({ kind: 'failed', error: 'overrun' })
  })

  it('drop-oldest: keeps the newest behind a gap that counts', () => {
    const source = overflowing('drop-oldest')
    source.pushAll(items(2))
    expect(taken(source)).toEqual([1, 2])
    source.pushAll(items(6, 3))
    expect(taken(source)).toEqual(['gap 2→6 3', 6, 7, 8])
    expect(lost).toHaveLength(3)
    source.push(item(9))
    expect(taken(source)).toEqual([9])
    expect(source.cursor).toBe('9')
  })

  it('drop-newest: keeps the oldest before a gap that counts', () => {
    const source = overflowing('drop-newest')
    source.pushAll(items(5))
    expect(taken(source)).toEqual([1, 2, 3, 'gap 3→undefined 2'])
    source.push(item(6))
    expect(taken(source)).toEqual([6])
    expect(lost).toHaveLength(2)
  })

  it('drop-newest: lets nothing in behind what it dropped, even where there is room for it', () => {
    const source = overflowing('drop-newest', { maxBytes: 10 })
    for (const one of [item(1, 8), item(2, 8), item(3, 1)]) source.push(one)
    expect(taken(source)).toEqual([1, 'gap 1→undefined 2'])
    source.push(item(4, 8))
    expect(taken(source)).toEqual([4])
  })

  it('drop-oldest: counts no gap that it drops among the lost', () => {
    const source = overflowing('drop-oldest')
    source.lose(gap({ reason: 'not_recovered', from: undefined, to: undefined }))
    source.pushAll(items(4))
    expect(taken(source)).toEqual(['gap undefined→2 1', 2, 3, 4])
    expect(lost).toHaveLength(1)
  })

  it.each(['drop-oldest', 'drop-newest'] as const)('%s: leaves no gap where none is declared, but tells', (policy) => {
    const source = overflowing(policy, { gaps: 'fail' })
    source.pushAll(items(5))
    expect(taken(source)).toHaveLength(3)
    expect(lost).toHaveLength(2)
  })

  it('conflate: keeps the newest of each key once it is full, in the order of their last change', () => {
    const source = overflowing(conflate((message: number) => message % 3))
    source.pushAll(items(20))
    expect(taken(source)).toEqual([18, 19, 20])
    source.pushAll(items(2))
    expect(taken(source)).toEqual([1, 2])
    source.pushAll([3, 6, 1, 9, 2].map((n) => item(n)))
    expect(taken(source)).toEqual([1, 9, 2])
    expect(lost).toEqual([])
  })

  it('conflate: costs little however often a key changes, and never grows', () => {
    const source = overflowing(
      conflate(() => 'one'),
      { maxMessages: 1000 },
    )
    for (let n = 1; n <= 100_000; n++) source.push(item(n))
    expect(source.size).toBeLessThanOrEqual(2001)
    expect(taken(source)).toEqual([100_000])
  })

  it('conflate: fails where there are more keys than room, or the key cannot be told', () => {
    const many = overflowing(conflate((message: number) => message))
    many.pushAll(items(4))
    expect(taken(many)).toEqual([1, 2, 3])
    expect(many.end).toEqual({ kind: 'failed', error: 'overrun' })
    const throwing = overflowing(
      conflate(() => {
        throw 'oops'
      }),
    )
    throwing.pushAll(items(4))
    taken(throwing)
    expect(throwing.end).toEqual({ kind: 'failed', error: 'oops' })
  })

  it('bounds bytes, and lets one that is larger than all into an empty queue', () => {
    const source = overflowing('drop-oldest', { maxBytes: 100, maxMessages: 10 })
    source.push(item(1, 500))
    expect(taken(source)).toEqual([1])
    for (const [n, size] of [
      [2, 50],
      [3, 50],
      [4, 50],
      [5, 100],
    ] as const)
      source.push(item(n, size))
    expect(taken(source)).toEqual(['gap 1→5 3', 5])
  })
})
