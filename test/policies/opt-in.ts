import { bulkhead, circuitBreaker, hedging, inFlightDedupe, rateLimiter } from 'polywire'
import { expect } from 'vitest'
import { eventually, turns } from '../conformance/support/eventually.ts'
import { failureOf, inWorld } from '../conformance/support/world.ts'
import type { Row } from './faces.ts'

/** Policies that a client is given as values. */
export const optIn: readonly Row[] = [
  {
    name: 'a circuit breaker opens for a server that is ill, refuses unsent, and closes when a probe works',
    run: (harness) =>
      inWorld(harness, { retry: false, breaker: circuitBreaker({ failures: 3 }) }, async (world) => {
        const { api, peer, clock, errors, events } = world
        peer.plan(...Array.from({ length: 3 }, () => ({ do: 'refuse', as: harness.unavailable }) as const))
        for (let n = 0; n < 5; n++) await failureOf(api.read(`${n}`))
        expect(peer.seen).toHaveLength(3)
        expect(errors.slice(3)).toMatchObject([
          { code: 'unavailable', sent: 'no', retryAfterMs: 11_250 },
          { code: 'unavailable', sent: 'no', retryAfterMs: 11_250 },
        ])
        await clock.advance(11_250)
        expect(await api.read('well')).toBe('well')
        expect(await api.read('again')).toBe('again')
        const states = events.flatMap((event) => (event.type === 'breaker' ? [event.state] : []))
        expect(states).toEqual(['open', 'half_open', 'closed'])
      }),
  },
  {
    name: 'a bulkhead lets so many go at once; who leaves makes room for who waits',
    run: (harness) =>
      inWorld(harness, { retry: false, limiter: bulkhead({ maxConcurrent: 1, maxQueue: 1 }) }, async (world) => {
        const { api, peer, errors } = world
        peer.plan({ do: 'hang' })
        const controller = world.controller()
        const first = failureOf(api.read('first', { signal: controller.signal }))
        await world.served()
        const second = api.read('second')
        await turns()
        await failureOf(api.read('third'))
        expect(errors[0]).toMatchObject({ code: 'resource_exhausted', sent: 'no' })
        expect(peer.seen).toHaveLength(1)
        controller.abort(new Error('left'))
        await first
        expect(await second).toBe('second')
      }),
  },
  {
    name: 'a hedge answers for an attempt that takes long, whose wire is closed',
    isFor: ({ isStreamOnly }) => !isStreamOnly,
    run: (harness) =>
      inWorld(harness, { hedge: hedging({ delayMs: 100 }) }, async (world) => {
        const { api, peer, clock, attempts, events } = world
        peer.plan({ do: 'hang' })
        const call = api.read('hedged')
        await world.served()
        await clock.advance(100)
        expect(await call).toBe('hedged')
        expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2])
        expect(events.filter(({ type }) => type === 'hedge')).toHaveLength(1)
        // Where calls share a connection it stays for the others.
        if (!harness.isMultiplexed) await eventually(() => peer.openExchanges === 0, 'the slow attempt is closed')
        expect(peer.seen).toHaveLength(2)
      }),
  },
  {
    name: 'a call that is not idempotent is never hedged',
    isFor: ({ has }) => has.includes('write'),
    run: (harness) =>
      inWorld(harness, { hedge: hedging({ delayMs: 100 }) }, async (world) => {
        const { api, peer, clock } = world
        peer.plan({ do: 'hang' })
        const controller = world.controller()
        const call = failureOf(api.write?.('once', { signal: controller.signal }) as Promise<string>)
        await world.served()
        await clock.advance(1000)
        await turns()
        controller.abort(new Error('left'))
        await call
        expect(peer.seen).toHaveLength(1)
      }),
  },
  {
    name: 'a rate limit of our own is kept: who comes too early waits',
    run: (harness) =>
      inWorld(harness, { limiter: rateLimiter({ own: { requests: 2, windowMs: 1000 } }) }, async (world) => {
        const { api, peer, clock } = world
        const calls = ['a', 'b', 'c'].map((text) => api.read(text))
        await world.served(2)
        await turns()
        expect(peer.seen).toHaveLength(2)
        await clock.advance(2000)
        expect(await Promise.all(calls)).toEqual(['a', 'b', 'c'])
      }),
  },
  {
    name: 'equal calls at once make one request; whoever leaves takes nobody along',
    isFor: ({ isStreamOnly, isFace }) => !isStreamOnly && !isFace,
    run: (harness) =>
      inWorld(harness, { dedupe: inFlightDedupe({ isShared: () => true }) }, async (world) => {
        const { api, peer, clock } = world
        peer.plan({ do: 'refuse', as: harness.unavailable })
        const controller = world.controller()
        const left = failureOf(api.read('same', { signal: controller.signal }))
        const calls = [api.read('same'), api.read('same'), api.read('other')]
        await world.announcedWait()
        controller.abort(new Error('left'))
        await left
        await clock.advance(1000)
        expect(await Promise.all(calls)).toEqual(['same', 'same', 'other'])
        // One of them was refused, and tried once more.
        expect(peer.seen).toHaveLength(3)
      }),
  },
]
