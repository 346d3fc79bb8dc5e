import { bearerAuth } from 'polywire/auth'
import { expect } from 'vitest'
import { eventually } from '../conformance/support/eventually.ts'
import type { Deed } from '../conformance/support/harness.ts'
import { failureOf, inWorld, type World } from '../conformance/support/world.ts'
import { answer, type Row, write } from './faces.ts'

const forbidden = { 'x-should-retry': 'false', 'retry-after': '1' }
/** The keys that the server has seen, one for each request. */
function keys({ peer }: World): (string | undefined)[] {
  return peer.seen.map(({ key }) => key)
}

export const safety: readonly Row[] = [
  ...[429, 503].map(
    (status): Row => ({
      name: `${status} with x-should-retry: false is the last attempt`,
      run: (harness) =>
        inWorld(harness, { skipsWaits: true }, async ({ api, peer, errors }) => {
          peer.plan(answer(status, forbidden))
          await failureOf(api.read('once'))
          expect(errors.at(-1)).toMatchObject({ notRetried: 'forbidden_by_server' })
          expect(peer.seen).toHaveLength(1)
        }),
    }),
  ),
  {
    name: 'a stored failure that is replayed under its key is the last attempt, and the error names the key',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, idempotency: 'stripe' }, async (world) => {
        world.peer.plan(answer(503), answer(503, { 'idempotent-replayed': 'true' }))
        await failureOf(write(world, 'once'))
        const error = world.errors.at(-1)
        expect(error).toMatchObject({ notRetried: 'forbidden_by_server', isRetryable: false, attempt: 2 })
        expect(error?.idempotencyKey).toMatch(/^[\da-f-]{36}$/)
        expect(world.peer.seen).toHaveLength(2)
        if (!harness.isMultiplexed) expect(keys(world)).toEqual([error?.idempotencyKey, error?.idempotencyKey])
      }),
  },
  ...(['reset', 'cut'] as const).map(
    (deed): Row => ({
      name: `a ${deed} of what is not idempotent leaves the outcome open, and is sent once`,
      isFor: ({ cannot = [], isStreamOnly }) => !cannot.includes(deed) && !(isStreamOnly && deed === 'cut'),
      run: (harness) =>
        inWorld(harness, { skipsWaits: true }, async (world) => {
          world.peer.plan({ do: deed })
          await failureOf(write(world, 'once'))
          const error = world.errors.at(-1)
          // Whoever has the Response reads its body, which the call has nothing more to do with.
          if (!harness.isFace || deed === 'reset') {
            expect(error).toMatchObject({ notRetried: 'not_idempotent', isRetryable: true })
            expect(error?.sent).not.toBe('no')
          }
          expect(world.peer.seen).toHaveLength(1)
        }),
    }),
  ),
  {
    name: 'a key is one and the same on every attempt, hop and connection, and after a new credential',
    run: (harness) => {
      const auth = bearerAuth(() => 'old', { refresh: async () => 'new' })
      return inWorld(harness, { skipsWaits: true, auth, idempotency: 'idempotency-key' }, async (world) => {
        world.peer.accept('new')
        // A gRPC client follows no redirect.
        const isGrpc = harness.protocol === 'grpc-web'
        const moved = harness.isMultiplexed || isGrpc ? [] : [answer(307, { location: 'self' })]
        const survivable: Deed[] = [{ do: 'reset' }, ...moved, answer(503, { 'retry-after': '1' })]
        world.peer.plan(...survivable)
        expect(await world.played(write(world, 'thrice'))).toBe('thrice')
        const sent = keys(world).filter((key) => key !== undefined)
        expect(sent.length).toBeGreaterThanOrEqual(harness.isMultiplexed ? 2 : isGrpc ? 4 : 5)
        expect(new Set(sent).size).toBe(1)
        expect(sent[0]).toMatch(/^[\da-f-]{36}$/)
      })
    },
  },
  {
    name: "the caller's own key wins, and is the one that an error names",
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, idempotency: 'idempotency-key' }, async (world) => {
        world.peer.plan(answer(503), answer(503), answer(503))
        await failureOf(write(world, 'never', { idempotencyKey: 'order-7' }))
        expect(world.errors.at(-1)).toMatchObject({ idempotencyKey: 'order-7', notRetried: 'attempts_exhausted' })
        if (!harness.isMultiplexed) expect(keys(world)).toEqual(['order-7', 'order-7', 'order-7'])
      }),
  },
  {
    name: 'a key in flight (409 and Retry-After) holds that key, and no other call of the operation',
    run: (harness) =>
      inWorld(harness, { idempotency: 'idempotency-key' }, async (world) => {
        const { peer, clock } = world
        await harnessWarm(world)
        peer.plan({ do: 'keyInFlight', waitMs: 2000 })
        const first = write(world, 'first', { idempotencyKey: 'one' })
        const waitMs = await world.announcedWait()
        expect(waitMs).toBeGreaterThanOrEqual(2000)
        expect(await write(world, 'other', { idempotencyKey: 'two' })).toBe('other')
        const again = write(world, 'again', { idempotencyKey: 'one' })
        const seen = peer.seen.length
        await clock.advance(1999)
        expect(peer.seen).toHaveLength(seen)
        await clock.advance(2000)
        expect(await Promise.all([first, again])).toEqual(['first', 'again'])
      }),
  },
  {
    name: '422 for a key that was used with another payload is never sent again',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true, idempotency: 'idempotency-key' }, async (world) => {
        await harnessWarm(world)
        const before = world.peer.seen.length
        world.peer.plan(answer(422, { 'retry-after': '1' }))
        await failureOf(write(world, 'once', { idempotencyKey: 'used' }))
        expect(world.errors.at(-1)?.isRetryable).toBe(false)
        expect(world.peer.seen).toHaveLength(before + 1)
      }),
  },
  {
    name: '409 without a key in flight is an answer, and no reason to send again',
    run: (harness) =>
      inWorld(harness, { skipsWaits: true }, async (world) => {
        await harnessWarm(world)
        const before = world.peer.seen.length
        world.peer.plan(answer(409))
        await failureOf(world.api.read('conflict'))
        expect(world.errors.at(-1)?.isRetryable).toBe(false)
        expect(world.peer.seen).toHaveLength(before + 1)
      }),
  },
]

/** An answered call first: sockets are open then, and what is planned next answers a request, not a handshake. */
async function harnessWarm({ api, peer }: World): Promise<void> {
  expect(await api.read('warm')).toBe('warm')
  await eventually(() => peer.openExchanges === 0)
}
