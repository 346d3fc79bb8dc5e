import { isGap, type } from 'polywire'
import { channel, conflate, plainJson } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { add, closeAll, feed, passUntil, settle, setUp, setUpTimed, take } from '../../support/realtime.ts'

afterEach(closeAll)

const reply = ({ channel, data }: { channel?: string; data?: any }) =>
  channel === 'math.add' ? { type: 'data', data: data.a + data.b } : undefined

/** What `publish` of many messages of 1 KiB has brought over the wire. */
const filler = 'x'.repeat(1024)
const many = 16_000
const maxQueued = 256
const texts = channel('texts', { receive: type<string>(), maxQueued })

/** Bytes that wait in the server, because the client does not read. */
const held = (server: { client: { socket: { bufferedAmount: number } } }) => server.client.socket.bufferedAmount

describe('a slow reader, over a socket that can be paused', () => {
  it('holds the server back, and loses nothing', async () => {
    const { client, server } = await setUp()
    const slow = client.call(texts)
    await slow.opened
    for (let n = 0; n < many; n++) server.publish('texts', filler)
    await settle(200)
    expect(held(server)).toBeGreaterThan(1 << 20)
    expect(await take(slow, many)).toHaveLength(many)
    expect(held(server)).toBe(0)
    expect(slow.state).toBe('open')
  })

  it('stalls others for a second at most: then its own policy decides', async () => {
    const { client, server, clock } = await setUpTimed({ server: { reply } })
    const slow = client.call(texts)
    await slow.opened
    const quick = client.call(feed, { name: 'a' })
    await quick.opened
    for (let n = 0; n < many; n++) server.publish('texts', filler)
    server.publish('feed:a', 7)
    await settle(200)
    expect(held(server)).toBeGreaterThan(1 << 20)
    await clock.advance(1000)
    expect(await take(quick, 1)).toEqual([7])
    const iterator = slow[Symbol.asyncIterator]()
    const read = await take(iterator, many).catch((error: unknown) => error)
    expect(read).toMatchObject({ code: 'resource_exhausted', phase: 'stream' })
  })

  it('stalls no request for longer either', async () => {
    const { client, server, clock } = await setUpTimed({ server: { reply } })
    const slow = client.call(channel('texts', { receive: type<string>(), maxQueued, overflow: 'drop-oldest' }))
    await slow.opened
    for (let n = 0; n < many; n++) server.publish('texts', filler)
    await settle(200)
    const sum = client.call(add, { a: 1, b: 2 })
    await passUntil(clock, () => held(server) === 0)
    expect(await sum).toBe(3)
    expect(slow.state).toBe('open')
  })

  it('does not stall its own acknowledgements for ever', async () => {
    const { client, server, clock } = await setUpTimed({ transport: { adapter: plainJson({ acks: true }) } })
    const both = channel('texts', { send: type<string>(), receive: type<string>(), maxQueued, overflow: 'drop-oldest' })
    const slow = client.call(both)
    await slow.opened
    for (let n = 0; n < many; n++) server.publish('texts', filler)
    await settle(200)
    let isSent = false
    const sent = slow.send('hi').then(() => (isSent = true))
    await passUntil(clock, () => isSent)
    await sent
  })

  it('is not taken for a dead socket', async () => {
    const { client, server, clock } = await setUpTimed()
    const slow = client.call(texts)
    await slow.opened
    for (let n = 0; n < many; n++) server.publish('texts', filler)
    await settle(200)
    await clock.advance(120_000)
    expect(slow.state).toBe('open')
    expect(server.upgrades).toHaveLength(1)
    expect(await take(slow, many)).toHaveLength(many)
  })
})

describe('a full queue, over a socket that cannot be paused', () => {
  const transport = { webSocket: WebSocket }

  /** Ten messages for a reader who takes none before all have come, with room for four. */
  async function overrun(spec: object) {
    const small = channel('feed:a', { receive: type<number>(), maxQueued: 4, gaps: 'yield', ...spec })
    const { client, server } = await setUp({ transport })
    const stream = client.call(small)
    await stream.opened
    const quick = client.call(feed, { name: 'b' })
    await quick.opened
    for (let n = 1; n <= 10; n++) server.publish('feed:a', n)
    server.publish('feed:b', 1)
    expect(await take(quick, 1)).toEqual([1])
    return { stream, server }
  }
  const shown = (items: unknown[]) => items.map((item) => (isGap(item) ? `${item.reason} ${item.lost}` : item))

  it('fails the stream by default, behind what was queued', async () => {
    const { stream } = await overrun({})
    expect(await take(stream, 4)).toEqual([1, 2, 3, 4])
    await expect(take(stream, 1)).rejects.toMatchObject({ code: 'resource_exhausted', phase: 'stream' })
  })

  it('drops the oldest', async () => {
    const { stream } = await overrun({ overflow: 'drop-oldest' })
    expect(shown(await take(stream, 5))).toEqual(['overflow 6', 7, 8, 9, 10])
  })

  it('drops the newest', async () => {
    const { stream, server } = await overrun({ overflow: 'drop-newest' })
    expect(shown(await take(stream, 5))).toEqual([1, 2, 3, 4, 'overflow 6'])
    server.publish('feed:a', 11)
    expect(await take(stream, 1)).toEqual([11])
  })

  it('keeps the newest of each key', async () => {
    const { stream } = await overrun({ overflow: conflate((n: number) => n % 3) })
    expect(shown(await take(stream, 3)).filter((item) => typeof item === 'number')).toEqual([8, 9, 10])
  })
})
