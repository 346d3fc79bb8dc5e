import { expect, it } from 'vitest'
import { EventParsers } from '#platform'
import { EventBoundary } from '../../../../transports/http/event-stream/boundary.ts'
import type { EventStreams } from '../../../../transports/http/event-stream/event-stream.ts'
import { freshSeed, seeded } from '../../../support/seeded.ts'

function reader(datas: string[]): ReturnType<EventStreams['open']> {
  const nothing = () => {}
  const onEvent = (_type: string, data: string) => datas.push(data)
  const sink = { onEvent, onCursor: nothing, onRetry: nothing, onComment: nothing, onOverflow: nothing }
  return new EventParsers(1 << 20).open(sink)
}

it('who begins in the middle gets whole events from the next one on, whatever the line ends and the cuts', () => {
  const seed = freshSeed()
  const random = seeded(seed)
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
  for (let round = 0; round < 2000; round++) {
    const events = Array.from({ length: 4 }, (_, n) => {
      const end = pick(['\n', '\r', '\r\n'])
      return `${pick(['', `: note${end}`])}id: ${n}${end}data: ${n}😀${end}${pick(['', `data: more${end}`])}${end}`
    })
    const bytes = new TextEncoder().encode(events.join(''))
    const join = Math.floor(random() * bytes.length)
    const [all, joined] = [[], []] as [string[], string[]]
    const [whole, late] = [reader(all), reader(joined)]
    const boundary = new EventBoundary()
    let seenAtJoin = -1
    let isWaiting = true
    for (let at = 0; at < bytes.length; ) {
      const to = at < join ? Math.min(join, at + 1 + Math.floor(random() * 9)) : at + 1 + Math.floor(random() * 9)
      const chunk = bytes.subarray(at, to)
      if (at >= join) {
        if (seenAtJoin < 0) [seenAtJoin, isWaiting] = [all.length, !boundary.isBetweenEvents]
        const from = isWaiting ? boundary.next(chunk) : 0
        if (from >= 0) {
          isWaiting = false
          late.feed(chunk.subarray(from))
        }
      }
      whole.feed(chunk)
      boundary.passed(chunk)
      at = to
    }
    const missed = all.length - joined.length
    expect(joined, `seed ${seed}`).toEqual(all.slice(missed))
    expect(missed - seenAtJoin, `seed ${seed}: at most the event in whose middle it came`).toBeLessThanOrEqual(1)
  }
})
