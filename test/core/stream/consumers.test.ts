import { runInNewContext } from 'node:vm'
import { CallError, isGap, type Stream } from 'polywire'
import { withCursor } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { gap } from '../../../src/core/stream/gap.ts'
import { memoryClient, streamOperation } from '../../support/memory-client.ts'

/** A stream whose messages a test pushes, and that says when it was left. */
function pushed(options: object = {}) {
  const queue: unknown[] = []
  let wake = () => {}
  let isEnded = false
  const log: string[] = []
  const { client, clock } = memoryClient(async function* () {
    log.push('opened')
    try {
      for (;;) {
        while (queue.length > 0) {
          const item = queue.shift()
          if (item instanceof Error) throw item
          yield item
        }
        if (isEnded) return
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    } finally {
      log.push('left')
    }
  })
  const stream: Stream<any> = client.call(streamOperation(options))
  const go = () => clock.advance(0)
  const push = (...items: unknown[]) => {
    queue.push(...items)
    wake()
    return go()
  }
  const end = () => {
    isEnded = true
    wake()
    return go()
  }
  return { stream, push, end, go, log, client }
}

/** An observer that writes down what it is told. */
function scribe() {
  const told: unknown[] = []
  return {
    told,
    next: (message: unknown) => told.push(message),
    gap: () => told.push('gap'),
    error: (error: unknown) => told.push(error instanceof Error ? error.message : error),
    end: () => told.push('end'),
  }
}

const broken = new CallError({ code: 'unavailable', message: 'broken' })

describe('several observers of one stream', () => {
  it('are each told everything from when they joined', async () => {
    const { stream, push, end, log } = pushed({ gaps: 'yield' })
    const [one, two, three] = [scribe(), scribe(), scribe()]
    stream.subscribe(one)
    stream.subscribe(two)
    await push(1, 2)
    stream.subscribe(three)
    await push(gap({ reason: 'offset', from: '2', to: '4', lost: 1 }), 4)
    await end()
    expect(one.told.map((each) => (isGap(each) ? 'gap' : each))).toEqual([1, 2, 'gap', 4, 'end'])
    expect(two.told).toEqual(one.told)
    expect(three.told).toEqual(one.told.slice(2))
    expect(log).toEqual(['opened', 'left'])
  })

  it('leave one by one; the last one closes the stream', async () => {
    const { stream, push } = pushed()
    const [one, two] = [scribe(), scribe()]
    const leaveOne = stream.subscribe(one)
    const leaveTwo = stream.subscribe(two)
    await push(1)
    leaveOne()
    leaveOne()
    await push(2)
    expect([stream.state, one.told, two.told]).toEqual(['open', [1], [1, 2]])
    leaveTwo()
    await push(3)
    expect([stream.state, two.told]).toEqual(['closed', [1, 2]])
  })

  it('one that throws is told so and leaves the others alone', async () => {
    const { stream, push, log } = pushed()
    const good = scribe()
    const told: unknown[] = []
    stream.subscribe({
      next: () => {
        throw new Error('mine')
      },
      error: (error) => told.push((error as Error).message),
    })
    stream.subscribe(good)
    await push(1)
    await push(2)
    expect([told, good.told, stream.state, log]).toEqual([['mine'], [1, 2], 'open', ['opened']])
  })

  it.each<[string, () => unknown]>([
    ['promise', () => Promise.reject(new Error('mine'))],
    ['promise of another realm', () => runInNewContext('(error) => Promise.reject(error)')(new Error('mine'))],
  ])('one whose %s rejects is told so and leaves the others alone', async (_kind, reject) => {
    const { stream, push, log } = pushed()
    const good = scribe()
    const told: unknown[] = []
    stream.subscribe({
      next: (message) => (message === 2 ? reject() : undefined) as undefined,
      error: (error) => told.push((error as Error).message),
    })
    stream.subscribe(good)
    for (const message of [1, 2, 3]) await push(message)
    expect([told, good.told, stream.state, log]).toEqual([['mine'], [1, 2, 3], 'open', ['opened']])
  })

  it('the last one whose promise rejects closes the stream', async () => {
    const { stream, push } = pushed()
    stream.subscribe({ next: (async () => Promise.reject(new Error('mine'))) as () => void })
    await push(1)
    expect(stream.state).toBe('closed')
  })

  it.each(['at once', 'later'])('harm nobody by what they throw %s in error, end, gap and state', async (when) => {
    const unhandled: unknown[] = []
    const onUnhandled = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', onUnhandled)
    const fail = (
      when === 'at once'
        ? () => {
            throw new Error('mine')
          }
        : async () => Promise.reject(new Error('mine'))
    ) as () => never
    for (const last of [broken, undefined]) {
      const { stream, push, end } = pushed()
      const good = scribe()
      stream.subscribe({ next: () => {}, state: fail, error: fail, end: fail })
      stream.subscribe(good)
      await push(1)
      if (last) await push(last)
      else await end()
      expect(good.told).toEqual([1, last ? broken.message : 'end'])
    }
    await new Promise(setImmediate)
    process.off('unhandledRejection', onUnhandled)
    expect(unhandled).toEqual([])
  })

  it('hear of the failure, all of them, and who comes after it, too', async () => {
    const { stream, push, go } = pushed()
    const [one, two, late] = [scribe(), scribe(), scribe()]
    stream.subscribe(one)
    stream.subscribe(two)
    await push(1)
    await push(broken)
    stream.subscribe(late)
    await go()
    expect(one.told).toEqual([1, broken.message])
    expect(two.told).toEqual(one.told)
    expect(late.told).toEqual([broken.message])
  })

  it('hear of a message that could not be converted', async () => {
    const { stream, push } = pushed({
      adapted: {
        output: () => {
          throw new Error('odd')
        },
      },
    })
    const [one, two] = [scribe(), scribe()]
    stream.subscribe(one)
    stream.subscribe(two)
    await push(1)
    expect(one.told).toEqual([expect.stringMatching(/could not be converted/)])
    expect(two.told).toEqual(one.told)
  })

  it('hear of an end that came before them, unless they have gone again', async () => {
    const { stream, go } = pushed()
    await stream.close()
    const [one, gone] = [scribe(), scribe()]
    stream.subscribe(one)
    stream.subscribe(gone)()
    await go()
    expect([one.told, gone.told]).toEqual([['end'], []])
  })

  it('may be one object twice', async () => {
    const { stream, push } = pushed()
    const one = scribe()
    const leave = stream.subscribe(one)
    stream.subscribe(one)
    await push(1)
    leave()
    await push(2)
    expect(one.told).toEqual([1, 1, 2])
  })

  it('may keep their state in themselves', async () => {
    const { stream, push } = pushed()
    class Sum {
      #total = 0
      next(n: number) {
        this.#total += n
      }
      get total() {
        return this.#total
      }
    }
    const sum = new Sum()
    stream.subscribe(sum)
    await push(1, 2)
    expect(sum.total).toBe(3)
  })
})

describe('loops over one stream', () => {
  it('may follow each other: the next one goes on where the one before stopped', async () => {
    const { stream, push } = pushed()
    await Promise.all([push(1, 2, 3, 4), stream.opened])
    const first = stream[Symbol.asyncIterator]()
    expect((await first.next()).value).toBe(1)
    const seen: unknown[] = []
    for await (const message of stream) {
      seen.push(message)
      if (message === 3) break
    }
    expect(seen).toEqual([2, 3])
    expect(stream.state).toBe('closed')
    expect(await first.next()).toMatchObject({ done: true })
  })

  it('never share its messages: a second one beside the first is refused', async () => {
    const { stream, push, end } = pushed()
    const seen: unknown[] = []
    const loop = (async () => {
      for await (const message of stream) seen.push(message)
    })()
    await push(1)
    const second = stream[Symbol.asyncIterator]()
    await expect(second.next()).rejects.toMatchObject({ code: 'failed_precondition', message: /read already/ })
    await second.return?.()
    await push(2)
    await end()
    await loop
    expect(seen).toEqual([1, 2])
  })

  it('one that was taken over from is told so, and cannot close it', async () => {
    const { stream, push } = pushed()
    await Promise.all([push(1, 2, 3), stream.opened])
    const [first, second, third] = [0, 1, 2].map(() => stream[Symbol.asyncIterator]())
    expect((await first?.next())?.value).toBe(1)
    expect((await second?.next())?.value).toBe(2)
    await expect(first?.next()).rejects.toMatchObject({ code: 'failed_precondition' })
    await first?.return?.()
    expect((await third?.next())?.value).toBe(3)
    await expect(second?.next()).rejects.toMatchObject({ code: 'failed_precondition' })
    expect(stream.state).toBe('open')
    await third?.return?.()
    expect(stream.state).toBe('closed')
  })

  it('are refused beside observers, and observers of messages beside them', async () => {
    const { stream, push, go } = pushed()
    const one = scribe()
    stream.subscribe(one)
    await push(1)
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'failed_precondition' })
    await push(2)
    expect(one.told).toEqual([1, 2])
    await stream.close()

    const other = pushed()
    const waiting = other.stream[Symbol.asyncIterator]().next()
    await go()
    expect(() => other.stream.subscribe(scribe())).toThrow(/read already/)
    await other.push(3)
    expect((await waiting).value).toBe(3)
  })

  it('may be watched: who asks for no messages hears of state and end', async () => {
    const { stream, push, end, go } = pushed()
    const seen: unknown[] = []
    const loop = (async () => {
      for await (const message of stream) seen.push(message)
    })()
    await go()
    const told: unknown[] = []
    stream.subscribe({ state: (state) => told.push(state), end: () => told.push('end') })
    stream.subscribe({ state: () => told.push('never') })()
    await push(1, 2)
    expect(stream.state).toBe('open')
    await end()
    await loop
    expect([seen, told]).toEqual([
      [1, 2],
      ['closed', 'end'],
    ])
  })

  it('count what the one before has consumed', async () => {
    const { stream, push } = pushed()
    await Promise.all([push(withCursor('a', '1'), withCursor('b', '2'), withCursor('c', '3')), stream.opened])
    await stream[Symbol.asyncIterator]().next()
    const second = stream[Symbol.asyncIterator]()
    await second.next()
    await second.next()
    expect(stream.cursor).toBe('2')
  })
})
