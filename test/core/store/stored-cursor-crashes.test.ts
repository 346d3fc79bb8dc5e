import {
  CallError,
  createClient,
  defineStream,
  memoryStore,
  type Operation,
  type ServerStream,
  type Store,
  storedCursor,
} from 'polywire'
import { memoryTransport, withCursor } from 'polywire/testing'
import { expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

const total = 3000

const watch: Operation<'memory', ServerStream<object, number>> = defineStream({
  name: 'watch',
  protocol: 'memory',
  via: 'memory',
  kind: 'server_stream',
  isIdempotent: true,
  isResumable: true,
  binding: undefined,
})

/** The store as one process has it: after its crash nothing that it still says arrives. */
function cuttable(store: Store): { store: Store; crash: () => void } {
  let isUp = true
  const guard = <T>(run: () => T): T | Promise<never> => (isUp ? run() : new Promise<never>(() => {}))
  return {
    crash: () => {
      isUp = false
    },
    store: {
      traits: store.traits,
      get: (key) => guard(() => store.get(key)),
      set: (key, value) => guard(() => store.set(key, value)),
      add: (key, value) => guard(() => store.add(key, value)),
      compareAndSet: (key, expected, next) => guard(() => store.compareAndSet(key, expected, next)),
      delete: (key, condition) => guard(() => store.delete(key, condition)),
    },
  }
}

it('dozens of crashes and drops: nothing is lost, and only what was not yet kept comes again', async () => {
  const seed = freshSeed()
  const random = seeded(seed)
  const clock = manualClock(random)
  const shared = memoryStore()
  const kept = async () => Number((await shared.get('cursor:["me","memory","watch",""]{}')) ?? 0)
  /** The server has all of them, and drops the connection now and then. */
  const handle = async function* ({ cursor }: { cursor: string | undefined }) {
    for (let n = Number(cursor ?? 0) + 1; n <= total; n++) {
      if (random() < 0.02)
        throw new CallError({
          code: 'unavailable',
          message: 'dropped',
          phase: 'stream',
          sent: 'yes',
          isRetryable: true,
        })
      yield withCursor(n, String(n))
    }
  }
  const handled = new Set<number>()
  let repeats = 0
  let processes = 0
  while (!handled.has(total)) {
    processes++
    const begin = await kept()
    const { store, crash } = cuttable(shared)
    const client = createClient({ transports: { memory: memoryTransport({ handle: handle as never }) }, clock })
    const stream = client.call(watch, {}, { cursor: storedCursor(store, 'me', { everyMs: 5 }) })
    const life = 10 + Math.floor(random() * 60)
    let last = begin
    const iterator = stream[Symbol.asyncIterator]()
    for (let count = 0; count < life; count++) {
      const result = iterator.next()
      await clock.advance(random() * 3)
      let isHere = false
      const seen = result.then((step) => {
        isHere = true
        return step
      })
      while (!isHere) await clock.advance(200)
      const { value, done } = await seen
      if (done) break
      expect(value, `seed ${seed}`).toBe(last + 1)
      last = value
      if (handled.has(value)) repeats++
      handled.add(value)
    }
    crash()
    void client.close()
    await clock.advance(6000)
  }
  expect([...handled].sort((one, other) => one - other)).toEqual(Array.from({ length: total }, (_, n) => n + 1))
  expect(processes).toBeGreaterThan(40)
  // Each process repeats what it had in hand, and what came within everyMs.
  expect(repeats, `seed ${seed}`).toBeLessThan(processes * 20)
})
