import { createClient, type } from 'polywire'
import { graphqlTransport, subscription } from 'polywire/graphql'
import { afterEach, describe, expect, it } from 'vitest'
import { Burst } from '../../../../transports/socket/link/flow.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { closeAll, feed, onClose, passUntil, settle, setUpTimed } from '../../../support/realtime.ts'
import { GraphQLWsServer } from '../../../support/servers/graphql-ws-server.ts'

afterEach(closeAll)

describe('a burst', () => {
  it('lets 50 in, and 50 more each 50 ms', async () => {
    const clock = manualClock()
    const burst = new Burst(clock)
    let served = 0
    const go = () => {
      while (served < 120 && burst.pass(go)) served++
    }
    go()
    go()
    const seen = [served]
    for (let step = 0; step < 3; step++) {
      await clock.advance(50)
      seen.push(served)
    }
    expect(seen).toEqual([50, 100, 120, 120])
    expect(clock.timers).toBe(0)
  })

  it('that is stopped calls nobody', async () => {
    const clock = manualClock()
    const burst = new Burst(clock)
    while (burst.pass(() => expect.unreachable()));
    burst.stop()
    await clock.advance(1000)
    expect(clock.timers).toBe(0)
  })
})

describe('after a reconnect', () => {
  it('1,000 subscriptions of GraphQL are sent again by groups', { timeout: 30_000 }, async () => {
    const server = await GraphQLWsServer.start()
    onClose(() => server[Symbol.asyncDispose]())
    const clock = manualClock()
    const graphql = graphqlTransport({ url: server.url.replace('ws', 'http'), subscriptionUrl: server.url })
    const client = createClient({ transports: { graphql }, clock, timeoutMs: Number.POSITIVE_INFINITY })
    onClose(() => client.close())
    const live = subscription('subscription { live { n } }', { output: type<object>() })
    const streams = Array.from({ length: 1000 }, () => client.call(live))
    await Promise.all(streams.map(({ opened }) => opened))
    const subscribed = () => server.frames.filter(({ type }) => type === 'subscribe').length
    while (subscribed() < 1000) await settle(1)

    server.drop()
    await passUntil(clock, () => server.connections === 2 && subscribed() > 1000, 10)
    await settle(50)
    const counts = [subscribed() - 1000]
    while (counts.at(-1) !== 1000) {
      await clock.advance(50)
      await settle(50)
      counts.push(subscribed() - 1000)
    }
    expect(counts.map((count, index) => count - (counts[index - 1] ?? 0)).every((group) => group <= 50)).toBe(true)
    expect(counts).toHaveLength(20)
    expect(streams.every(({ state }) => state === 'open')).toBe(true)
  })

  it('channels, too; who leaves meanwhile is not subscribed', async () => {
    const { client, server, clock } = await setUpTimed({ client: { timeoutMs: Number.POSITIVE_INFINITY } })
    const rooms = Array.from({ length: 120 }, (_, index) => client.call(feed, { name: `n${index}` }))
    await Promise.all(rooms.map(({ opened }) => opened))
    const subscribed = () => server.framesOf('subscribe').length - 120
    server.drop()
    await passUntil(clock, () => subscribed() > 0, 10)
    await settle()
    expect(subscribed()).toBe(50)
    await Promise.all(rooms.slice(100).map((room) => room.close()))
    await clock.advance(50)
    await settle()
    expect(subscribed()).toBe(100)
    await clock.advance(1000)
    await settle()
    expect(subscribed()).toBe(100)
    expect(rooms.filter(({ state }) => state === 'open')).toHaveLength(100)
  })

  it('a drop in the middle begins anew', async () => {
    const { client, server, clock } = await setUpTimed({ client: { timeoutMs: Number.POSITIVE_INFINITY } })
    const rooms = Array.from({ length: 80 }, (_, index) => client.call(feed, { name: `n${index}` }))
    await Promise.all(rooms.map(({ opened }) => opened))
    const subscribed = () => server.framesOf('subscribe').length
    server.drop()
    await passUntil(clock, () => subscribed() > 80, 10)
    await settle()
    expect(subscribed()).toBe(130)
    server.drop()
    await passUntil(clock, () => rooms.every(({ state }) => state === 'open') && subscribed() === 210)
    await client.close()
    expect(clock.timers).toBe(0)
  })
})
