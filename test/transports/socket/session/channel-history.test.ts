import { describe, expect, it } from 'vitest'
import { ChannelHistory, type IdKind } from '../../../../transports/socket/session/channel-history.ts'
import type { Acceptance, WireCursor } from '../../../../transports/socket/wire-adapter.ts'

/** What a reader gets of a series of messages: ids, and gaps by their reason. */
function read(history: ChannelHistory, places: readonly (WireCursor | undefined)[]): unknown[] {
  return places.flatMap((at) => {
    if (!history.admit(at)) return []
    const { gap } = history
    return gap ? [gap.lost === undefined ? gap.reason : `${gap.reason} ${gap.lost}`, at?.id] : [at?.id]
  })
}
const ids = (...list: (string | number)[]) => list.map((id) => ({ id }))
const in2 = (...list: (string | number)[]) => list.map((id) => ({ id, epoch: 'e2' }))

/** A history that was opened after `since` and accepted. */
function opened(since: string | undefined, acceptance?: Acceptance, kind: IdKind = 'auto') {
  const history = new ChannelHistory(since, kind)
  return { history, lost: acceptance && history.accepted(acceptance) }
}

describe('offsets', () => {
  it('drops repeats, shows gaps, and gives what was missing late', () => {
    const { history } = opened('5', { recovered: true })
    expect(read(history, ids(4, 5, 6, 6, 7, 10, 9, 9, 11))).toEqual([6, 7, 'offset 2', 10, 9, 11])
    expect(history.continuity).toBe('exact')
  })

  it('knows nothing before the first message, unless the server says where the channel is', () => {
    expect(read(opened(undefined).history, ids(7, 8))).toEqual([7, 8])
    expect(read(opened(undefined, { at: { id: 5 } }).history, ids(7, 8))).toEqual(['offset 1', 7, 8])
    expect(opened(undefined, { at: { id: 5 } }).history.cursor).toBe('5')
  })

  it('sees a gap over a resume that nobody confirmed', () => {
    const { history, lost } = opened('5', { at: { id: 9 } })
    expect(lost).toBeUndefined()
    expect(read(history, ids(10))).toEqual(['offset 4', 10])
  })

  it('sees none over a resume that was replayed without a word', () => {
    expect(read(opened('5').history, ids(6, 7))).toEqual([6, 7])
  })

  it('loses what the server says it could not recover, and goes on from there', () => {
    const { history, lost } = opened('5', { recovered: false, at: { id: 90 } })
    expect(lost).toEqual({ kind: 'gap', reason: 'not_recovered', from: '5', to: '90', lost: 85 })
    expect(read(history, ids(91, 93))).toEqual([91, 'offset 1', 93])
  })

  it('counts no loss across epochs, nor where nothing tells how much', () => {
    for (const at of [{ id: 90, epoch: 'b' }, { id: 'x' }, { id: 5 }, undefined]) {
      expect(opened('5', { recovered: false, ...(at && { at }) }).lost).not.toHaveProperty('lost')
    }
  })

  it('takes a channel that is behind the cursor for one that began anew', () => {
    const { history, lost } = opened('50', { at: { id: 3 } })
    expect(lost).toMatchObject({ reason: 'epoch', from: '50', to: '3' })
    expect(read(history, ids(4))).toEqual([4])
  })

  it('ends with the safe integers', () => {
    expect(opened(undefined, { at: { id: 2 ** 60 } }).history.continuity).toBe('at-least-once')
  })

  it('that grow beyond them, or are no whole numbers at all, are names of messages: each is given', () => {
    const last = Number.MAX_SAFE_INTEGER
    const { history } = opened(undefined)
    expect(read(history, ids(last, last + 1, last + 3, last + 5, last + 7))).toHaveLength(5)
    expect(read(opened(undefined).history, ids(Infinity, Infinity, -Infinity, 1.5, 2.5))).toHaveLength(5)
  })

  it('are told by a glance at a message, however deep somebody has nested it', () => {
    const { history } = opened(undefined)
    const nested = (n: number) => JSON.parse(`${'['.repeat(n)}${']'.repeat(n)}`)
    expect(history.admit({ id: 1 }, nested(50_000))).toBe(true)
    expect(history.admit({ id: 2 }, { a: nested(50_000) })).toBe(true)
    expect(history.admit({ id: 1 }, nested(50_000))).toBe(false)
  })
})

describe('epochs', () => {
  it('another one at the subscription is a loss', () => {
    const { history, lost } = opened('e1:5', { at: { id: 2, epoch: 'e2' } })
    expect(lost).toMatchObject({ reason: 'epoch', from: 'e1:5', to: 'e2:2' })
    expect(read(history, in2(3))).toEqual([3])
  })

  it('another one is a loss, too, where its places are further on', () => {
    expect(opened('e1:5', { at: { id: 9, epoch: 'e2' } }).lost).toMatchObject({ reason: 'epoch', to: 'e2:9' })
    expect(opened('e1:5', { at: { id: 9, epoch: 'e1' } }).lost).toBeUndefined()
  })

  it('another one among the messages is a gap, and lower offsets are no repeats', () => {
    const { history } = opened('e1:5')
    expect(read(history, in2(1, 2))).toEqual(['epoch', 1, 2])
    expect(history.cursor).toBe('e2:2')
  })

  it('stands for the messages after it, where they do not repeat it', () => {
    const { history } = opened(undefined, { at: { id: 5, epoch: 'e2' } })
    expect(read(history, ids(6, 7))).toEqual([6, 7])
    expect(history.cursor).toBe('e2:7')
  })
})

describe('opaque ids', () => {
  it('tell no gap and no repeat', () => {
    const { history } = opened('b')
    expect(read(history, ids('c', 'x', 'c'))).toEqual(['c', 'x', 'c'])
    expect(history.continuity).toBe('at-least-once')
  })

  it('tell of a new epoch', () => {
    expect(read(opened('e1:b').history, in2('c'))).toEqual(['epoch', 'c'])
  })

  it('skip a replay that is meant for another reader', () => {
    const { history } = opened(undefined, { at: { id: 'c' } })
    history.skipReplay({ id: '0' })
    expect(read(history, ids('a', 'b', 'c', 'd'))).toEqual(['d'])
    // One that begins where this reader is brings nothing.
    history.skipReplay({ id: 'd' })
    expect(read(history, ids('e', 'f'))).toEqual(['e', 'f'])
  })

  it('numbers are opaque where the channel says so', () => {
    const { history } = opened('5', undefined, 'opaque')
    expect(read(history, ids(90, 17))).toEqual([90, 17])
  })

  it('digits are offsets where the channel says so', () => {
    const { history } = opened(':5', undefined, 'offset')
    expect(read(history, ids('5', '6', '9'))).toEqual(['6', 'offset 2', '9'])
    expect(history.continuity).toBe('exact')
  })
})

describe('no ids', () => {
  it('promise nothing', () => {
    const { history } = opened(undefined)
    expect(read(history, [undefined, undefined])).toEqual([undefined, undefined])
    expect(history.continuity).toBe('unknown')
    expect(history.cursor).toBeUndefined()
  })

  it('leave the cursor where it was', () => {
    const { history } = opened('5')
    expect(history.admit(undefined)).toBe(true)
    expect(read(history, ids(5, 6))).toEqual([6])
  })
})

describe('an answer that comes late', () => {
  it('does not turn the place back', () => {
    const { history } = opened(undefined)
    read(history, ids(6, 7))
    expect(history.accepted({ at: { id: 5 } })).toBeUndefined()
    expect(read(history, ids(7, 8))).toEqual([8])
  })
})
