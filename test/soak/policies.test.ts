import { getEventListeners } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CallError, createClient, createContextKey, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, restTransport } from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { turns } from '../conformance/support/eventually.ts'
import type { Deed, Harness } from '../conformance/support/harness.ts'
import { muteServer } from '../conformance/support/origins.ts'
import { failureOf, inWorld, type World } from '../conformance/support/world.ts'
import { faces } from '../policies/faces.ts'
import { manualClock } from '../support/manual-clock.ts'
import { unaryOperation } from '../support/memory-client.ts'
import { freshSeed, seeded } from '../support/seeded.ts'

const calls = process.env.SOAK === 'short' ? 20_000 : 100_000
const identities = 30_000
setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** What is held when nothing is under way. */
async function heap(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    await turns(10)
    gc()
  }
  return process.memoryUsage().heapUsed
}

/** Runs `work` for each number below `count`, 32 at a time: what each of them leaves in the heap, the first tenth not counted. */
async function heaps(count: number, work: (n: number) => Promise<unknown>): Promise<{ readonly perItem: number }> {
  const run = async (from: number, to: number): Promise<void> => {
    let next = from
    const lane = async () => {
      while (next < to) await work(next++)
    }
    await Promise.all(Array.from({ length: 32 }, lane))
  }
  await run(0, count / 10)
  const before = await heap()
  await run(count / 10, count)
  return { perItem: ((await heap()) - before) / (count * 0.9) }
}

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

it(`${calls} calls of which every fifth attempt fails: fewer than 1 % fail, and nothing is left of them`, async () => {
  const seed = freshSeed()
  const random = seeded(seed)
  const server = createServer((request, response) => {
    const chance = random()
    if (chance < 0.1) response.writeHead(503).end()
    else if (chance < 0.2) request.socket.resetAndDestroy()
    else response.writeHead(200, { 'content-type': 'application/json' }).end('{"id":1}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const timersBefore = timers()
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }) },
    auth: bearerAuth(() => 'token'),
    retry: { baseDelayMs: 1 },
  })
  const user = get('/users/{id}', { output: type<{ id: number }>() })
  const { signal } = new AbortController()
  let failed = 0
  const call = (id: number) => client.call(user, { id }, { signal }).catch(() => failed++)
  const { perItem } = await heaps(calls, call)
  console.log(
    `seed ${seed}: ${((failed / calls) * 100).toFixed(2)} % failed, ${perItem.toFixed(1)} bytes of heap a call`,
  )
  expect(failed / calls, `seed ${seed}`).toBeLessThan(0.01)
  expect(perItem, `seed ${seed}: bytes a call`).toBeLessThan(10)
  expect(getEventListeners(signal, 'abort')).toEqual([])
  await client.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await turns(10)
  expect(timers()).toBeLessThanOrEqual(timersBefore)
})

it(`${identities} identities, each with a token of its own, and one of ten told to wait: forgotten when nobody uses them`, async () => {
  const seed = freshSeed()
  const random = seeded(seed)
  const clock = manualClock(random)
  const who = createContextKey('nobody')
  const client = createClient({
    transports: {
      memory: memoryTransport({
        handle(call) {
          if (random() >= 0.1) return 'ok'
          const failure = { code: 'unavailable', message: 'busy', status: 503, isRetryable: true } as const
          throw new CallError({ ...failure, retryAfterMs: 5000 }, call)
        },
      }),
    },
    auth: bearerAuth(({ identity }) => ({ token: `token of ${identity}`, expiresAt: clock.wallNow() + 600_000 }), {
      identity: ({ context }) => context.get(who),
    }),
    retry: { maxAttempts: 1 },
    clock,
  })
  const operation = unaryOperation()
  const { perItem } = await heaps(identities, async (n) => {
    await client.call(operation, {}, { context: who.with(`user ${n}`) }).catch(() => {})
    // Ten minutes for every thousand of them: who is not back by then is forgotten.
    if (n % 1000 === 999) await clock.advance(600_000)
  })
  console.log(`seed ${seed}: ${perItem.toFixed(1)} bytes of heap an identity`)
  expect(perItem, `seed ${seed}: bytes an identity`).toBeLessThan(50)
  await client.close()
  expect(clock.timers).toBe(0)
})

/** Where a call stands when it is aborted; gives what else must be closed. */
type Phase = (harness: Harness, run: (world: World, isThere: () => Promise<unknown>) => Promise<void>) => Promise<void>
const can = ({ cannot = [] }: Harness, deed: Deed['do']) => !cannot.includes(deed)
const phases: Readonly<Record<string, Phase>> = {
  auth: (harness, run) => {
    const auth = bearerAuth(() => new Promise<string>(() => {}))
    return inWorld(harness, { auth }, (world) => run(world, () => turns()))
  },
  connect: async (harness, run) => {
    const mute = await muteServer()
    const origin = `${harness.muteScheme ?? 'https'}://127.0.0.1:${mute.port}`
    await inWorld(harness, { origin }, (world) => run(world, () => world.connecting(mute)))
    await mute.close()
  },
  headers: (harness, run) =>
    inWorld(harness, {}, (world) => {
      world.peer.plan({ do: 'hang' })
      return run(world, () => world.served(world.peer.seen.length + 1))
    }),
  body: async (harness, run) => {
    if (!can(harness, 'stall')) return
    await inWorld(harness, {}, (world) => {
      world.peer.plan({ do: 'stall' })
      return run(world, () => world.reached(harness.isStreamOnly ? 'stream' : 'body'))
    })
  },
  wait: (harness, run) =>
    inWorld(harness, {}, (world) => {
      world.peer.plan({ do: 'busy', retryAfterS: 5 })
      return run(world, () => world.announcedWait())
    }),
}

describe('an abort settles its call', () => {
  it.each(Object.entries(faces))('%s: at once, in every phase', async (_face, harness) => {
    const took: Record<string, number[]> = {}
    for (const [name, enter] of Object.entries(phases))
      for (let n = 0; n < 20; n++)
        await enter(harness, async (world, isThere) => {
          const controller = world.controller()
          const call = failureOf(world.api.read('abort me', { signal: controller.signal }))
          await isThere()
          let turned = 0
          setImmediate(() => turned++)
          const begin = performance.now()
          controller.abort(new Error('the user left'))
          await call
          // No timer and no socket is waited for: that is what makes it soon on every machine.
          expect(turned, `${name}: turns of the event loop until it settles`).toBe(0)
          ;(took[name] ??= []).push(performance.now() - begin)
        })
    const text = Object.entries(took).map(([name, ms]) => {
      const sorted = ms.toSorted((a, b) => a - b)
      return `${name} ${[9, 17, 19].map((at) => sorted[at]?.toFixed(2)).join('/')}`
    })
    console.log(`ms from abort to settling, median, 90 % and longest of 20: ${text.join(', ')}`)
    expect(Object.keys(took).length).toBeGreaterThanOrEqual(4)
  })
})
