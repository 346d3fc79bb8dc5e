import { bearerAuth } from 'polywire/auth'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../conformance/support/eventually.ts'
import type { Harness } from '../conformance/support/harness.ts'
import { failureOf, World, type WorldOptions } from '../conformance/support/world.ts'
import { faces } from '../policies/faces.ts'
import { freePort } from '../support/free-port.ts'
import { type Conduct, Gateway, type GatewayName, gateways, pageMark } from '../support/servers/gateways.ts'

const closers: (() => PromiseLike<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

type Behind = World & { readonly gateway: Gateway }

/** A client whose server stands behind a gateway. */
async function behind(
  name: GatewayName,
  harness: Harness,
  conduct: (url: string) => Conduct | Promise<Conduct>,
  options: WorldOptions = {},
): Promise<Behind> {
  const peer = await harness.start()
  closers.push(() => peer.close())
  const gateway = await Gateway.start(name, await conduct(peer.origin))
  closers.push(() => gateway[Symbol.asyncDispose]())
  const world = new World(harness, peer, { skipsWaits: true, ...options, origin: gateway.url })
  closers.push(() => world.client.close())
  return Object.assign(world, { gateway })
}

/** The outcome of a call, while time goes on for a link that keeps its distance; faster than here, slowly enough for gateways. */
async function outcomeOf<T>(world: Behind, call: Promise<T>): Promise<T> {
  if (world.harness.protocol !== 'websocket' && !world.harness.has.includes('feed')) return call
  const ticking = setInterval(() => void world.clock.advance(20), 5)
  try {
    return await call
  } finally {
    clearInterval(ticking)
  }
}

/** What a call failed with; the fetch face shows a Response, and tells the rest. */
async function failed(world: Behind, call: Promise<unknown>) {
  const error = await outcomeOf(world, failureOf(call))
  return world.harness.isFace && !('code' in error) ? world.errors.at(-1) : error
}

const socket = ({ protocol }: Harness) => protocol === 'websocket'
const noPage = (error: { message: string }) => expect(error.message).not.toContain(pageMark)

describe.each(gateways)('$title', ({ name, binary }) => {
  describe.skipIf(!binary).each(Object.entries(faces))('%s', (_face, harness) => {
    it('calls and streams pass, one after the other and at once, by kept connections and by one for each', async () => {
      for (const isOneShot of [false, true]) {
        const { api, peer } = await behind(name, harness, (url) => ({ do: 'proxy', url, isOneShot }))
        for (let n = 0; n < 3; n++) expect(await api.read(`one ${n}`)).toBe(`one ${n}`)
        const all = Array.from({ length: 8 }, (_, n) => api.read(`all ${n}`))
        expect(await Promise.all(all)).toEqual(all.map((_, n) => `all ${n}`))
        if (api.write) expect(await api.write('written')).toBe('written')
        expect(peer.seen.length).toBeGreaterThanOrEqual(11)
      }
    })

    it.runIf(harness.has.includes('feed'))(
      'a stream that a restart of the gateway cuts goes on where it was',
      async () => {
        const world = await behind(name, harness, (url) => ({ do: 'proxy', url }))
        const got: number[] = []
        const stream = world.api.feed?.() as AsyncIterable<number>
        const reading = (async () => {
          for await (const message of stream) {
            got.push(message)
            if (message === 3) {
              await world.gateway.stop()
              await world.gateway.restart()
            }
            if (message === 10) return
          }
        })()
        await outcomeOf(world, reading)
        expect(got).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      },
    )

    it('a server that is down: a read is tried again, and the page is in no text', async () => {
      const dead = await freePort()
      const world = await behind(name, harness, () => ({ do: 'proxy', url: `http://127.0.0.1:${dead}` }))
      const error = await failed(world, world.api.read('dead', { retry: { maxAttempts: 3 } }))
      expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
      expect(world.attempts).toHaveLength(3)
      noPage(error)
    })

    it.runIf(!socket(harness))('a server that does not answer in time: 504, and a write may have run', async () => {
      const world = await behind(name, harness, (url) => ({ do: 'proxy', url, isPatient: false }))
      world.peer.plan({ do: 'hang' }, { do: 'hang' })
      expect(await outcomeOf(world, world.api.read('slow', { retry: { maxAttempts: 3 } }))).toBe('slow')
      expect(world.peer.seen).toHaveLength(3)
      if (!world.api.write) return
      world.peer.plan({ do: 'hang' })
      const error = await failed(world, world.api.write('slow'))
      expect(error.sent).not.toBe('no')
      expect(world.peer.seen).toHaveLength(4)
      noPage(error)
    })

    it.each([
      [429, 'resource_exhausted'],
      [502, 'unavailable'],
      [503, 'unavailable'],
    ])('%i with a page and without Retry-After is %s, and passes', async (status, code) => {
      const world = await behind(name, harness, () => ({ do: 'answer', status }))
      const error = await failed(world, world.api.read('refused', { retry: { maxAttempts: 2 } }))
      // gRPC takes 429 for UNAVAILABLE, by its table of HTTP statuses.
      const expected = harness.protocol === 'grpc-web' ? 'unavailable' : code
      expect(error).toMatchObject({ code: expected, isRetryable: true })
      expect(world.attempts).toHaveLength(2)
      if (!socket(harness)) expect(error.status).toBe(status)
      noPage(error)
      if (world.api.write) {
        const sent = await failed(world, world.api.write('refused', { retry: { maxAttempts: 2 } }))
        expect(sent.code).toBe(expected)
        noPage(sent)
      }
    })

    it.runIf(name !== 'caddy' && !socket(harness))(
      'what its limiter refuses is resource_exhausted, what it lets pass is served',
      async () => {
        const world = await behind(name, harness, (url) => ({ do: 'limit', url }))
        expect(await outcomeOf(world, world.api.read('first'))).toBe('first')
        const error = await failed(world, world.api.read('second', { retry: false }))
        expect(error).toMatchObject({ isRetryable: true, status: 429 })
        expect(error.code).toBe(harness.protocol === 'grpc-web' ? 'unavailable' : 'resource_exhausted')
        expect(world.peer.seen).toHaveLength(1)
      },
    )

    it.each(harness.isFace ? [401, 403, 404] : [401, 403, 404, 200])(
      '%i with a page is one clear error',
      async (status) => {
        const world = await behind(name, harness, () => ({ do: 'answer', status }))
        const error = await failed(world, world.api.read('page', { retry: { maxAttempts: 2 } }))
        const codes: Record<number, readonly string[]> = {
          401: ['unauthenticated'],
          403: ['permission_denied'],
          // gRPC takes a path that is not there for a method that is not there.
          404: ['not_found', 'unimplemented'],
          200: ['internal', 'unknown', 'unavailable', 'data_loss', 'invalid_response', 'failed_precondition'],
        }
        expect(codes[status]).toContain(error.code)
        noPage(error)
      },
    )

    it.runIf(!socket(harness))('a head that is too large is one clear error, and is not sent again', async () => {
      const world = await behind(name, harness, (url) => ({ do: 'proxy', url }))
      const headers = { 'x-large': 'x'.repeat(200_000) }
      const error = await failed(world, world.api.read('large', { headers, retry: { maxAttempts: 3 } }))
      expect(world.peer.seen).toHaveLength(0)
      expect(world.attempts).toHaveLength(1)
      expect([400, 431]).toContain(error.status)
      expect(['invalid_argument', 'resource_exhausted', 'internal', 'unknown']).toContain(error.code)
      noPage(error)
    })

    it('a redirect to another origin takes no credential along', async () => {
      const other = await harness.start()
      closers.push(() => other.close())
      const auth = bearerAuth(() => 'canary-77')
      const world = await behind(name, harness, () => ({ do: 'redirect', to: other.origin }), { auth })
      const outcome = await outcomeOf(
        world,
        world.api.read('moved', { retry: { maxAttempts: 2 } }).then(
          (text) => ({ text, error: undefined }),
          (error: unknown) => ({ text: undefined, error }),
        ),
      )
      for (const { token } of other.seen) expect(token ?? '').not.toContain('canary-77')
      expect(outcome.text ?? 'moved').toBe('moved')
    })

    it.runIf(!socket(harness))('what it compresses on the way is read', async () => {
      const world = await behind(name, harness, (url) => ({ do: 'compress', url }))
      const text = 'compressed '.repeat(100)
      expect(await outcomeOf(world, world.api.read(text))).toBe(text)
    })

    it('connections that it cuts while they are idle cost no read', async () => {
      const world = await behind(name, harness, (url) => ({ do: 'proxy', url }))
      expect(await world.api.read('before')).toBe('before')
      await world.gateway.stop()
      await world.gateway.restart()
      expect(await outcomeOf(world, world.api.read('after', { retry: { maxAttempts: 3 } }))).toBe('after')
      await eventually(() => world.peer.seen.length >= 2)
    })
  })
})
