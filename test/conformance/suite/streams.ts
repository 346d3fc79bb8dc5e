import { HeaderMap, memoryStore, type Stream, storedCursor } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { collect, eventually } from '../support/eventually.ts'
import { type Api, feedLength, type Harness } from '../support/harness.ts'
import { itIf } from '../support/it-if.ts'
import { failureOf, inWorld } from '../support/world.ts'

const all = Array.from({ length: feedLength }, (_, index) => index + 1)
const feedOf = ({ feed }: Api): NonNullable<Api['feed']> => feed as NonNullable<Api['feed']>

/** Reads `count` messages and leaves by `break`. */
async function take(stream: Stream<number>, count = feedLength): Promise<number[]> {
  const taken: number[] = []
  for await (const message of stream) {
    taken.push(message)
    if (taken.length === count) break
  }
  return taken
}

/** What came before the failure, and the failure. */
async function readToFailure(stream: Stream<number> | undefined): Promise<{ taken: number[]; error: unknown }> {
  const taken: number[] = []
  const reading = async () => {
    for await (const message of stream ?? []) taken.push(message)
  }
  return { error: await failureOf(reading()), taken }
}

/** How a stream is left, broken, resumed and ended. */
export function streams(harness: Harness): void {
  if (!harness.has.includes('feed')) return
  const exits: Record<string, (stream: Stream<number>) => Promise<unknown>> = {
    break: (stream) => take(stream, 3),
    return: (stream) =>
      (async () => {
        for await (const message of stream) if (message === 3) return
      })(),
    throw: (stream) =>
      failureOf(
        (async () => {
          for await (const message of stream) if (message === 3) throw new Error('the reader failed')
        })(),
      ),
    close: async (stream) => {
      await stream.opened
      await stream.close()
    },
    dispose: async (stream) => {
      await using held = stream
      await held.opened
    },
    unsubscribe: (stream) =>
      new Promise<void>((resolve, reject) => {
        const leave = stream.subscribe({
          error: reject,
          next(message) {
            if (message !== 3) return
            leave()
            resolve()
          },
        })
      }),
  }

  describe('a stream', () => {
    it('gives every message in order, and its cursor', () =>
      inWorld(harness, {}, async ({ api, peer }) => {
        const stream = feedOf(api)()
        expect(await take(stream)).toEqual(all)
        expect(stream.cursor).toBe(String(feedLength - 1))
        expect(peer.seen).toHaveLength(1)
      }))

    it('tells status and headers when it is open, and gives what came with them', () =>
      inWorld(harness, {}, async ({ api, peer: { origin } }) => {
        const stream = feedOf(api)()
        const { status, headers } = await stream.opened
        expect(status).toBe(200)
        // A subscription on a socket has none of its own.
        const type = { sse: /event-stream/, 'grpc-web': /grpc-web/ }[harness.transport(origin, {}).protocol as 'sse']
        if (type) expect(headers.get('Content-Type')).toMatch(type)
        expect(await take(stream)).toEqual(all)
        expect(await (await stream.opened).trailers).toBeInstanceOf(HeaderMap)
      }))

    it('tells several observers every message, over one request', () =>
      inWorld(harness, {}, async ({ api, peer }) => {
        const stream = feedOf(api)()
        const heard = [0, 1].map(
          () =>
            new Promise<number[]>((resolve, error) => {
              const messages: number[] = []
              const next = (message: number) => messages.push(message) === feedLength && resolve(messages)
              stream.subscribe({ next, error })
            }),
        )
        expect(await Promise.all(heard)).toEqual([all, all])
        expect(peer.seen).toHaveLength(1)
      }))

    it('refuses a second loop beside the first, which goes on', () =>
      inWorld(harness, {}, async ({ api }) => {
        const stream = feedOf(api)()
        const first = take(stream)
        const second = await failureOf(take(stream, 1))
        expect(second).toMatchObject({ code: 'failed_precondition' })
        expect(await first).toEqual(all)
      }))

    it('goes on from a place that is kept in a store', () =>
      inWorld(harness, {}, async ({ api, peer }) => {
        const options = { cursor: storedCursor(memoryStore(), 'me') }
        expect(await take(feedOf(api)(options), 5)).toEqual(all.slice(0, 5))
        expect(await take(feedOf(api)(options), 6)).toEqual(all.slice(4))
        expect(peer.seen).toHaveLength(2)
      }))

    it.each(Object.keys(exits))('left by %s is closed at the server', (exit) =>
      inWorld(harness, {}, async (world) => {
        const stream = feedOf(world.api)()
        await exits[exit]?.(stream)
        await world.released()
        expect(stream.state).toBe('closed')
        expect(await collect(stream)).toEqual([])
        // Where it had opened, whoever waits for its trailers is not kept.
        expect((await (await stream.opened.catch(() => undefined))?.trailers) ?? HeaderMap.empty).toEqual(
          HeaderMap.empty,
        )
      }),
    )

    it('that is never read opens nothing', () =>
      inWorld(harness, {}, async ({ api, peer }) => {
        const stream = feedOf(api)()
        expect(stream.state).toBe('idle')
        await stream.close()
        expect(peer.seen).toEqual([])
      }))

    it('resumes after its cursor when it is reset: nothing lost, nothing twice', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer, events }) => {
        peer.plan({ do: 'drop', after: 4 })
        expect(await take(feedOf(api)())).toEqual(all)
        expect(peer.seen.map((seen) => seen.cursor)).toEqual([undefined, '4'])
        expect(events.filter((event) => event.type === 'resumed')).toHaveLength(1)
      }))

    it('resumes as often as it must', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        peer.plan(
          { do: 'drop', after: 1 },
          { do: 'drop', after: 0 },
          { do: 'drop', after: 3 },
          { do: 'drop', after: 2 },
        )
        expect(await take(feedOf(api)())).toEqual(all)
        expect(peer.seen.map((seen) => seen.cursor)).toEqual([undefined, '1', '1', '4', '6'])
      }))

    it('resumes without being read', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        peer.plan({ do: 'drop', after: 4 })
        const stream = feedOf(api)()
        await stream.opened
        await eventually(() => peer.seen.length === 2, 'opened again')
        expect(await take(stream)).toEqual(all)
      }))

    it('asks for a fresh token when it is opened again', () => {
      let n = 0
      return inWorld(harness, { skipsWaits: true, auth: bearerAuth(() => `token ${++n}`) }, async ({ api, peer }) => {
        peer.plan({ do: 'drop', after: 4 })
        expect(await take(feedOf(api)())).toEqual(all)
        expect(peer.seen.map((seen) => seen.token)).toEqual(['token 1', 'token 2'])
      })
    })

    it('waits for a token source that fails for a moment when it is opened again', () => {
      let n = 0
      const auth = bearerAuth(async () => {
        if (++n > 1 && n < 5) throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
        return `token ${n}`
      })
      return inWorld(harness, { skipsWaits: true, auth }, async ({ api, peer }) => {
        peer.plan({ do: 'drop', after: 4 })
        expect(await take(feedOf(api)())).toEqual(all)
        expect(peer.seen.map((seen) => seen.token)).toEqual(['token 1', 'token 5'])
      })
    })

    it('ends where the token source refuses when it is opened again', () => {
      let n = 0
      const auth = bearerAuth(async () => {
        if (++n > 1) throw new Error('logged out')
        return 'token'
      })
      return inWorld(harness, { skipsWaits: true, auth }, async ({ api, peer }) => {
        peer.plan({ do: 'drop', after: 4 })
        const { taken, error } = await readToFailure(feedOf(api)())
        expect(error).toMatchObject({ code: 'unauthenticated', isRetryable: false })
        expect(taken).toEqual([1, 2, 3, 4])
      })
    })

    it('whose first opening fails is opened again', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer, attempts }) => {
        peer.plan({ do: 'refuse', as: harness.unavailable })
        expect(await take(feedOf(api)())).toEqual(all)
        // By retry; by resume where the protocol says nothing when a stream is open.
        expect(attempts).toHaveLength(2)
      }))

    it('that is refused for good when it is opened again fails behind its messages', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        const terminal = harness.refusals.find((row) => row.code === 'permission_denied')
        peer.plan({ do: 'drop', after: 4 }, { do: 'refuse', as: terminal?.name ?? '' })
        const { taken, error } = await readToFailure(feedOf(api)())
        expect(error).toMatchObject({ code: 'permission_denied' })
        expect(taken).toEqual([1, 2, 3, 4])
      }))

    itIf(harness.has.includes('live') && !harness.carriesOn)('without cursors fails behind its messages', () =>
      inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
        peer.plan({ do: 'drop', after: 4 })
        const { taken, error } = await readToFailure(api.live?.())
        expect(error).toMatchObject({ code: 'unavailable', phase: 'stream', sent: 'yes' })
        expect(taken).toEqual([1, 2, 3, 4])
        expect(peer.seen).toHaveLength(1)
      }),
    )

    itIf(harness.has.includes('live') && harness.carriesOn === true)(
      'without cursors goes on, and does not pretend',
      () =>
        inWorld(harness, { skipsWaits: true }, async ({ api, peer }) => {
          peer.plan({ do: 'drop', after: 4 })
          const stream = (api.live as NonNullable<Api['live']>)()
          expect(await take(stream, 4 + feedLength)).toEqual([1, 2, 3, 4, ...all])
          expect(stream.continuity).toBe('unknown')
          expect(peer.seen.map((seen) => seen.cursor)).toEqual([undefined, undefined])
        }),
    )

    it('ends with the reason of an abort', () =>
      inWorld(harness, {}, async (world) => {
        const controller = world.controller()
        const reason = new Error('the user left')
        const stream = feedOf(world.api)({ signal: controller.signal })
        const reading = failureOf(collect(stream))
        await world.reached('stream')
        controller.abort(reason)
        expect(await reading).toBe(reason)
        await world.released()
      }))

    it('aborted while it waits to be opened again stays closed', () =>
      inWorld(harness, {}, async (world) => {
        const controller = world.controller()
        world.peer.plan({ do: 'drop', after: 2 })
        const reading = failureOf(collect(feedOf(world.api)({ signal: controller.signal })))
        await world.announcedWait()
        controller.abort('left')
        expect(await reading).toBe('left')
        await world.clock.advance(60_000)
        expect(world.peer.seen).toHaveLength(1)
      }))

    it('is not bounded by timeoutMs once it is open, but by an absolute deadline', () =>
      inWorld(harness, {}, async (world) => {
        const { api, clock } = world
        const stream = feedOf(api)({ timeoutMs: 1000, deadline: clock.wallNow() + 9000 })
        const messages = stream[Symbol.asyncIterator]()
        for (const expected of all) expect((await messages.next()).value).toBe(expected)
        await clock.advance(5000)
        expect(stream.state).toBe('open')
        const rest = failureOf(messages.next())
        await clock.advance(4000)
        expect(await rest).toMatchObject({ code: 'deadline_exceeded', phase: 'stream', sent: 'yes' })
        await world.released()
      }))
  })
}
