import { createClient, type } from 'polywire'
import { channel, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, feed, lossy, onClose, setUp, take } from '../../support/realtime.ts'

afterEach(closeAll)

const kinds = ['offset', 'opaque'] as const
const cursorOf = (ids: (typeof kinds)[number], n: number) => (ids === 'offset' ? String(n) : `id-${n}`)

describe('readers of one channel that begin at different cursors at once', () => {
  it.each(kinds)('each get what comes after theirs, the furthest first (%s ids)', async (ids) => {
    const { client, server } = await setUp({ server: { ids } })
    for (const n of [1, 2, 3, 4, 5, 6]) server.publish('feed:a', n)
    const at = (n: number) => client.call(feed, { name: 'a' }, { cursor: cursorOf(ids, n) })
    const readers = [at(4), at(2), at(6), at(2)]
    await Promise.all(readers.map(({ opened }) => opened))
    server.publish('feed:a', 7)
    const got = await Promise.all(readers.map((reader, index) => take(reader, [3, 5, 1, 5][index] as number)))
    expect(got).toEqual([[5, 6, 7], [3, 4, 5, 6, 7], [7], [3, 4, 5, 6, 7]])
    server.publish('feed:a', 8)
    expect(await Promise.all(readers.map((reader) => take(reader, 1)))).toEqual([[8], [8], [8], [8]])
  })

  it.each(kinds)('the furthest last (%s ids)', async (ids) => {
    const { client, server } = await setUp({ server: { ids } })
    for (const n of [1, 2, 3, 4]) server.publish('feed:a', n)
    const readers = [1, 3, 4].map((n) => client.call(feed, { name: 'a' }, { cursor: cursorOf(ids, n) }))
    await Promise.all(readers.map(({ opened }) => opened))
    server.publish('feed:a', 5)
    expect(await Promise.all(readers.map((reader, index) => take(reader, [4, 2, 1][index] as number)))).toEqual([
      [2, 3, 4, 5],
      [4, 5],
      [5],
    ])
  })

  it.each(kinds)('or at none: that one begins now (%s ids)', async (ids) => {
    const { client, server } = await setUp({ server: { ids } })
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const behind = client.call(feed, { name: 'a' }, { cursor: cursorOf(ids, 1) })
    const live = client.call(feed, { name: 'a' })
    await Promise.all([behind.opened, live.opened])
    server.publish('feed:a', 4)
    expect([await take(behind, 3), await take(live, 1)]).toEqual([[2, 3, 4], [4]])
  })

  it('share one frame where they begin at the same', async () => {
    const { client, server } = await setUp()
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const readers = [1, 1, 1].map((n) => client.call(feed, { name: 'a' }, { cursor: String(n) }))
    await Promise.all(readers.map(({ opened }) => opened))
    expect(await Promise.all(readers.map((reader) => take(reader, 2)))).toEqual([
      [2, 3],
      [2, 3],
      [2, 3],
    ])
    expect(server.framesOf('subscribe')).toHaveLength(1)
  })

  it('one whose cursor is forgotten is told so, and no other', async () => {
    const { client, server } = await setUp({ server: { historyLimit: 2 } })
    for (const n of [1, 2, 3, 4]) server.publish('feed:a', n)
    const [near, far] = ['3', '1'].map((cursor) => client.call(lossy, { name: 'a' }, { cursor }))
    await Promise.all([near?.opened, far?.opened])
    server.publish('feed:a', 5)
    expect(await take(near as never, 2)).toEqual([4, 5])
    expect(await take(far as never, 2)).toMatchObject([{ reason: 'not_recovered', from: '1' }, 5])
  })
})

describe('a reader that joins others later', () => {
  it.each(kinds)('with a cursor that they are about to reach stops none of them (%s ids)', async (ids) => {
    const { client, server } = await setUp({ server: { ids } })
    const live = client.call(feed, { name: 'a' })
    await live.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    expect(await take(live, 3)).toEqual([1, 2, 3])
    // Another process has seen 4 already; here it comes with the answer.
    server.options.intercept = ({ type }) => {
      if (type === 'subscribe') server.publish('feed:a', 4)
      return false
    }
    const ahead = client.call(feed, { name: 'a' }, { cursor: cursorOf(ids, 4) })
    await ahead.opened
    server.publish('feed:a', 5)
    expect([await take(live, 2), await take(ahead, 1)]).toEqual([[4, 5], [5]])
  })

  it('repeats nothing to them where numbers are opaque', async () => {
    const { client, server } = await setUp()
    const numbers = channel('feed:{name}', { receive: type<number>(), cursors: 'opaque' })
    const live = client.call(numbers, { name: 'a' })
    await live.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    expect(await take(live, 3)).toEqual([1, 2, 3])
    const behind = client.call(numbers, { name: 'a' }, { cursor: '1' })
    await behind.opened
    server.publish('feed:a', 4)
    expect([await take(behind, 3), await take(live, 1)]).toEqual([[2, 3, 4], [4]])
  })

  it('repeats nothing to one that has had no message yet', async () => {
    const { client, server } = await setUp({ server: { ids: 'opaque' } })
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const live = client.call(feed, { name: 'a' })
    await live.opened
    const behind = client.call(feed, { name: 'a' }, { cursor: 'id-1' })
    await behind.opened
    server.publish('feed:a', 4)
    expect([await take(behind, 3), await take(live, 1)]).toEqual([[2, 3, 4], [4]])
  })

  it('and leaves again before the answer, disturbs nobody', async () => {
    const { client, server } = await setUp()
    const live = client.call(feed, { name: 'a' })
    await live.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    expect(await take(live, 3)).toEqual([1, 2, 3])
    const behind = client.call(feed, { name: 'a' }, { cursor: '1' })
    behind.opened.catch(() => {})
    while (server.framesOf('subscribe').length < 1) await new Promise(setImmediate)
    await behind.close()
    server.publish('feed:a', 4)
    expect(await take(live, 1)).toEqual([4])
  })
})

describe('readers that come at once', () => {
  it('are all there, though the server answers nobody', async () => {
    const { client, server } = await setUp({ server: { answersSubscribe: false } })
    const readers = [1, 2, 3].map(() => client.call(feed, { name: 'a' }))
    await Promise.all(readers.map(({ opened }) => opened))
    server.publish('feed:a', 1)
    expect(await Promise.all(readers.map((reader) => take(reader, 1)))).toEqual([[1], [1], [1]])
  })

  it('are answered one by one where the server names the channel instead of the ref', async () => {
    const { client, server } = await setUp()
    server.options.intercept = (frame, from) => {
      if (frame.type !== 'subscribe') return false
      const send = from.send.bind(from)
      from.send = (sent) => send(typeof sent === 'object' ? { ...sent, ref: undefined } : sent)
      return false
    }
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const readers = ['2', '1'].map((cursor) => client.call(feed, { name: 'a' }, { cursor }))
    await Promise.all(readers.map(({ opened }) => opened))
    expect(await Promise.all(readers.map((reader, index) => take(reader, index + 1)))).toEqual([[3], [2, 3]])
  })

  it('one whose cursor is refused leaves the others alone', async () => {
    const { client, server } = await setUp()
    server.options.intercept = (frame, from) => {
      if (frame.type !== 'subscribe' || frame.since !== 99) return false
      from.send({ type: 'error', ref: frame.ref, channel: frame.channel, error: { code: 'out_of_range' } })
      return true
    }
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    const [odd, good] = ['99', '1'].map((cursor) => client.call(feed, { name: 'a' }, { cursor }))
    await expect(odd?.opened).rejects.toMatchObject({ code: 'data_loss' })
    expect(await take(good as never, 2)).toEqual([2, 3])
  })
})

describe('a cursor of another client', () => {
  it('goes on from the first message after it, over a restart of the process', async () => {
    const { client, server } = await setUp({ server: { ids: 'opaque', epoch: 'e' } })
    const first = client.call(feed, { name: 'a' })
    await first.opened
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    await take(first, 3)
    const { cursor } = first
    await client.close()
    const other = createClient({ transports: { websocket: websocketTransport({ url: server.url }) } })
    onClose(() => other.close())
    const second = other.call(feed, { name: 'a' }, { cursor })
    expect([cursor, await take(second, 1)]).toEqual(['e:id-2', [3]])
  })
})
