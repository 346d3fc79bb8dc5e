import { isGap, type } from 'polywire'
import { channel } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, feed, setUp, take, untilLost } from '../../support/realtime.ts'

afterEach(closeAll)

const news = channel('news:{name}', { receive: type<string>(), gaps: 'yield' })
/** What is read, with gaps by their reason. */
const said = (items: readonly unknown[]) => items.map((each) => (isGap(each) ? `gap: ${each.reason}` : each))
/** A server that gives numbers, says nothing of where its history stands, and begins to count anew when it restarts. */
const mute = () => ({ answersSubscribe: false, saysRecovered: false })

describe('a server whose numbers begin at 1 again', () => {
  it.each([
    ['texts', (n: number, run: string) => `${run} ${n}`],
    ['objects', (n: number, run: string) => ({ kind: 'news', body: { run, n } })],
    ['numbers', (n: number, run: string) => (run === 'old' ? n : n / 7)],
    ['lists', (n: number, run: string) => [1, [run, n]]],
    ['objects that differ in the middle of a text', (n: number, run: string) => ({ text: `of the ${run} run, ${n}` })],
    [
      'objects that differ in their ninth member',
      (n: number, run: string) => ({ ...[1, 2, 3, 4, 5, 6, 7, 8], run, n }),
    ],
  ] as [string, (n: number, run: string) => unknown][])(
    'loses none of its new %s, on a socket that stays',
    async (_, make) => {
      const { client, server } = await setUp({ server: mute() })
      const room = client.call(news, { name: 'a' })
      await room.opened
      // It may be taken for open before the server has read that, since it does not answer.
      await server.until(() => server.framesOf('subscribe').length === 1)
      for (const n of [1, 2, 3]) server.publish('news:a', make(n, 'old'))
      expect(await take(room, 3)).toEqual([1, 2, 3].map((n) => make(n, 'old')))
      server.forget()
      for (const n of [1, 2, 3, 4]) server.publish('news:a', make(n, 'new'))
      expect(said(await take(room, 5))).toEqual(['gap: epoch', ...[1, 2, 3, 4].map((n) => make(n, 'new'))])
    },
  )

  it('loses none of them after a drop', async () => {
    const { client, server } = await setUp({ server: mute() })
    const room = client.call(news, { name: 'a' })
    await room.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    for (const n of [1, 2, 3]) server.publish('news:a', `old ${n}`)
    await take(room, 3)
    server.forget()
    server.drop()
    await untilLost(room)
    await server.until(() => server.framesOf('subscribe').length === 2)
    for (const n of [1, 2, 3, 4]) server.publish('news:a', `new ${n}`)
    expect(said(await take(room, 5))).toEqual(['gap: epoch', 'new 1', 'new 2', 'new 3', 'new 4'])
    expect(room.cursor).toBe('3')
  })

  it('fails the stream that wants no gaps, and says so', async () => {
    const { client, server } = await setUp({ server: mute() })
    const room = client.call(channel('news:{name}', { receive: type<string>() }), { name: 'a' })
    await room.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    server.publish('news:a', 'old')
    expect(await take(room, 1)).toEqual(['old'])
    server.forget()
    server.publish('news:a', 'new')
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'data_loss' })
  })
})

describe('a replay', () => {
  it('of everything, from 1 on, repeats nothing', async () => {
    const { client, server } = await setUp({ server: mute() })
    const room = client.call(news, { name: 'a' })
    await room.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    for (const n of [1, 2, 3]) server.publish('news:a', `${n}`)
    expect(await take(room, 3)).toEqual(['1', '2', '3'])
    server.options.intercept = ({ type, channel = '' }, each) => {
      if (type !== 'subscribe') return false
      each.channels.add(channel)
      for (const n of [1, 2, 3, 4]) each.send({ type: 'data', channel, id: n, data: `${n}` })
      return true
    }
    server.drop()
    expect(await take(room, 1)).toEqual(['4'])
    server.client.send({ type: 'data', channel: 'news:a', id: 5, data: '5' })
    expect(await take(room, 1)).toEqual(['5'])
  })

  it('behind a live message loses nothing: what was missing comes late', async () => {
    const { client, server } = await setUp({ server: mute() })
    const room = client.call(news, { name: 'a' })
    await room.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    server.publish('news:a', '1')
    expect(await take(room, 1)).toEqual(['1'])
    server.options.intercept = ({ type, channel = '' }, each) => {
      if (type !== 'subscribe') return false
      for (const n of [4, 1, 2, 3, 5]) each.send({ type: 'data', channel, id: n, data: `${n}` })
      return true
    }
    server.drop()
    expect(said(await take(room, 5))).toEqual(['gap: offset', '4', '2', '3', '5'])
  })

  it('for one who joins later is none for those who are there, however far it goes back', async () => {
    const { client, server } = await setUp({ server: { saysRecovered: false } })
    for (const n of [1, 2, 3, 4, 5]) server.publish('feed:a', n)
    const first = client.call(feed, { name: 'a' })
    await first.opened
    server.publish('feed:a', 6)
    expect(await take(first, 1)).toEqual([6])
    const second = client.call(feed, { name: 'a' }, { cursor: '2' })
    await second.opened
    const third = client.call(feed, { name: 'a' })
    await third.opened
    server.publish('feed:a', 7)
    expect(await take(second, 5)).toEqual([3, 4, 5, 6, 7])
    expect(await take(first, 1)).toEqual([7])
    expect(await take(third, 1)).toEqual([7])
  })
})
