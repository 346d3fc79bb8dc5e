import { createHmac } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { serve } from '@hono/node-server'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { memoryStore, type Store, type } from 'polywire'
import { virtualClock } from 'polywire/testing'
import {
  hmacWebhooks,
  openapiWebhooks,
  standardWebhooks,
  type WebhookNotice,
  type WebhookReceiverOptions,
  type Webhooks,
  webhook,
  webhookReceiver,
} from 'polywire/webhooks'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { afterEach, describe, expect, it, vi } from 'vitest'
import * as z from 'zod'
import { HeaderMap } from '../../src/core/call/header-map.ts'

const secret = `whsec_${Buffer.from('a secret of ours, of 32 bytes...').toString('base64')}`
const shipped = webhook('order.shipped', type<{ n: number }>())
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

function delivery(id: string, payload: unknown = { type: 'order.shipped', data: { n: 1 } }, now = Date.now()) {
  const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': new StandardWebhook(secret).sign(id, new Date(now), body),
  }
  return { method: 'POST', headers, body }
}

/** A receiver on a clock of its own, and what it was told. */
function setUp<Events extends Webhooks = { shipped: typeof shipped }>(
  options: Partial<WebhookReceiverOptions<Events>> = {},
  clock = virtualClock(),
) {
  const notices: WebhookNotice[] = []
  const runs: string[] = []
  const receiver = webhookReceiver<Webhooks>({
    scheme: standardWebhooks({ secrets: secret }),
    store: memoryStore({ clock }),
    events: { shipped },
    handle: ({ id, attempt }) => runs.push(`${id} ${attempt}`),
    onEvent: (notice) => notices.push(notice),
    clock,
    ...(options as object),
  } as WebhookReceiverOptions<Webhooks>)
  const receive = async (id: string, payload?: unknown) => {
    const { method, headers, body } = delivery(id, payload, clock.wallNow())
    const request = { method, headers: new HeaderMap(headers), body: new TextEncoder().encode(body) }
    const answer = await receiver.receive(request)
    return { http: answer.status, ...JSON.parse(answer.body) }
  }
  return { receiver, receive, clock, notices, runs, said: () => notices.map(({ type }) => type) }
}

/** A handler that a test lets go on. */
function gate() {
  let open = () => {}
  let fail = (_error: Error) => {}
  const promise = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  promise.catch(() => undefined)
  return { wait: () => promise, open: () => open(), fail: (error: Error) => fail(error) }
}

describe('an event', () => {
  it('is written down, answered, and handled behind the answer', async () => {
    const door = gate()
    const { receiver, receive, said } = setUp({ handle: () => door.wait() })
    expect(await receive('e1')).toMatchObject({ http: 200 })
    expect(await receiver.entries()).toMatchObject([
      { id: 'e1', type: 'order.shipped', state: 'received', attempts: 0 },
    ])
    door.open()
    await receiver.idle()
    expect(await receiver.entries()).toMatchObject([{ state: 'handled', attempts: 1 }])
    expect(said()).toEqual(['received', 'handled'])
  })

  it('is handled once, under 50 deliveries at once over receivers that share a store', async () => {
    const store = memoryStore()
    const door = gate()
    let runs = 0
    const handle = () => {
      runs++
      return door.wait()
    }
    const clock = virtualClock()
    const receivers = Array.from({ length: 5 }, () => setUp({ store, handle }, clock))
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, nth) => (receivers[nth % 5] as (typeof receivers)[0]).receive('e1')),
    )
    expect(answers.every(({ http }) => http === 200)).toBe(true)
    door.open()
    await Promise.all(receivers.map(({ receiver }) => receiver.idle()))
    expect(runs).toBe(1)
    expect(await receivers[0]?.receive('e1')).toMatchObject({ status: 'duplicate' })
    expect(runs).toBe(1)
  })

  it('that had failed, and is handled while a further delivery looks at it, is handled once', async () => {
    const clock = virtualClock()
    const store = memoryStore({ clock })
    const door = gate()
    const runs: number[] = []
    const handle = ({ attempt }: { attempt: number }) => {
      runs.push(attempt)
      if (attempt === 1) throw new TypeError('down')
      return door.wait()
    }
    const one = setUp({ store, handle, maxAttempts: 1 }, clock)
    await one.receive('e1')
    await one.receiver.idle()
    // The other process has read that it failed, and is slow from then on.
    const slow = gate()
    const other: Store = {
      traits: store.traits,
      get: (...args) => store.get(...args),
      set: (...args) => store.set(...args),
      delete: (...args) => store.delete(...args),
      compareAndSet: (...args) => store.compareAndSet(...args),
      add: async (key, ...rest) => {
        if (key.includes('/claim/')) await slow.wait()
        return store.add(key, ...rest)
      },
    }
    const late = setUp({ store: other, handle, maxAttempts: 1 }, clock)
    await one.receive('e1')
    expect(await late.receive('e1')).toMatchObject({ http: 200 })
    door.open()
    await one.receiver.idle()
    slow.open()
    await late.receiver.idle()
    expect(runs).toEqual([1, 2])
  })

  it.each([
    ['an id that no key can be made of', { id: '\ud800', type: 'order.shipped', data: { n: 1 } }, 400],
    ['a type that is no text', { id: 'e1', type: { toString: 1 }, data: { n: 1 } }, 200],
  ])('of %s is answered for good: it is not delivered again', async (_, payload, status) => {
    const { receiver, clock } = setUp({ scheme: hmacWebhooks({ secrets: 's', header: 'x-signature' }) })
    const body = JSON.stringify(payload)
    const headers = new HeaderMap({ 'x-signature': createHmac('sha256', 's').update(body).digest('hex') })
    const answer = await receiver.receive({ method: 'POST', headers, body: new TextEncoder().encode(body) })
    expect([answer.status, clock.timers]).toEqual([status, 0])
  })

  it('of a worker that takes no more work is received all the same', async () => {
    const { receiver, clock, said } = setUp()
    const { headers, body, method } = delivery('e1', undefined, clock.wallNow())
    const request = { method, headers: new HeaderMap(headers), body: new TextEncoder().encode(body) }
    const answer = await receiver.receive(request, () => {
      throw new TypeError('too late')
    })
    await receiver.idle()
    expect([answer.status, said()]).toEqual([200, ['received', 'handled']])
  })

  it('is a duplicate as long as it is remembered, and not of another receiver', async () => {
    const clock = virtualClock()
    const store = memoryStore({ clock })
    const one = setUp({ store, keepMs: 1000 }, clock)
    const other = setUp({ store, name: 'other' }, clock)
    for (const { receive, receiver } of [one, one, other]) {
      await receive('e1')
      await receiver.idle()
    }
    expect([one.runs, other.runs]).toEqual([['e1 1'], ['e1 1']])
    await clock.advance(1001)
    await one.receive('e1')
    await one.receiver.idle()
    expect(one.runs).toEqual(['e1 1', 'e1 1'])
  })

  it('of a type that nobody defines is answered and not kept', async () => {
    const { receiver, receive, runs, said } = setUp()
    expect(await receive('e1', { type: 'order.lost', data: {} })).toMatchObject({ status: 'skipped' })
    expect([runs, await receiver.entries(), said()]).toEqual([[], [], ['skipped']])
  })

  it.each([
    ['no JSON', '{', 'malformed_payload'],
    ['no object', '"text"', 'malformed_payload'],
    ['null', 'null', 'malformed_payload'],
    ['an id that is too long', { type: 'order.shipped' }, 'missing_id'],
  ])('that is %s is refused', async (name, payload, reason) => {
    const { receive, runs } = setUp()
    const answer = await receive(name.includes('too long') ? 'x'.repeat(300) : 'e1', payload)
    expect(answer).toMatchObject({ error: { code: reason } })
    expect(runs).toEqual([])
  })

  it('larger than allowed is refused before its signature is looked at', async () => {
    const { receive, said } = setUp({ maxBodyBytes: 100 })
    expect(await receive('e1', { type: 'order.shipped', data: 'x'.repeat(100) })).toMatchObject({
      error: { code: 'too_large' },
    })
    expect(said()).toEqual(['refused'])
  })

  it('is delivered by POST only', async () => {
    const { receiver } = setUp()
    const answer = await receiver.receive({ method: 'GET', headers: HeaderMap.empty, body: new Uint8Array() })
    expect(answer).toMatchObject({ status: 405, headers: { allow: 'POST' } })
  })
})

describe('what it carries', () => {
  it('is typed by its definition, and told apart by its type', async () => {
    const events = { shipped, refunded: webhook('order.refunded', z.object({ cents: z.number() })) }
    const seen: number[] = []
    const receiver = webhookReceiver({
      scheme: standardWebhooks({ secrets: secret }),
      store: memoryStore(),
      events,
      handle: (event) => {
        if (event.type === 'order.refunded') seen.push(event.data.cents)
        else seen.push(event.data.n)
        expect(event.payload).toMatchObject({ type: event.type })
        expect(JSON.parse(new TextDecoder().decode(event.body))).toEqual(event.payload)
        expect(event.receivedAt).toBeInstanceOf(Date)
        expect(event.sentAt).toBeInstanceOf(Date)
      },
    })
    for (const [id, payload] of [
      ['e1', { type: 'order.shipped', data: { n: 1 } }],
      ['e2', { type: 'order.refunded', data: { cents: 250 } }],
    ] as const) {
      const { method, headers, body } = delivery(id, payload)
      await receiver.receive({ method, headers: new HeaderMap(headers), body: new TextEncoder().encode(body) })
    }
    await receiver.idle()
    expect(seen).toEqual([1, 250])
  })

  it('that does not fit its schema is kept as failed, tried no second time, and replayed once the schema is mended', async () => {
    const store = memoryStore()
    const strict = { shipped: webhook('order.shipped', z.object({ n: z.string() })) }
    const { receiver, receive, notices } = setUp({ store, events: strict })
    await receive('e1')
    await receiver.idle()
    expect(await receiver.entries()).toMatchObject([{ state: 'failed', attempts: 1, error: 'invalid_argument' }])
    expect(notices.at(-1)).toMatchObject({ type: 'failed', error: { violations: [{ field: 'n' }] } })
    const mended = setUp({ store })
    expect(await mended.receiver.replay({ state: 'failed' })).toBe(1)
    expect(mended.runs).toEqual(['e1 2'])
  })

  it('by an OpenAPI description is the whole payload', async () => {
    interface webhooks {
      newPet: { post: { requestBody?: { content: { 'application/json': { type: string; name: string } } } } }
    }
    const hook = openapiWebhooks<webhooks>()
    const names: string[] = []
    const receiver = webhookReceiver({
      scheme: standardWebhooks({ secrets: secret }),
      store: memoryStore(),
      events: { newPet: hook('newPet', { type: 'pet.new' }) },
      handle: ({ data }) => names.push(data.name),
    })
    const { headers, body } = delivery('e1', { type: 'pet.new', name: 'Rex' })
    await receiver.receive({ headers: new HeaderMap(headers), body: new TextEncoder().encode(body) })
    await receiver.idle()
    expect(names).toEqual(['Rex'])
  })
})

describe('a handler that fails', () => {
  it('is tried again with waits between, and the claim is kept all the while', async () => {
    const clock = virtualClock()
    const store = memoryStore({ clock })
    let runs = 0
    const handle = () => {
      runs++
      if (runs < 3) throw new Error('down')
    }
    const options = { store, handle, leaseMs: 300, backoff: { baseDelayMs: 4000 } }
    const { receive, receiver, said } = setUp(options, clock)
    const other = setUp(options, clock)
    await receive('e1')
    await clock.advance(1000)
    expect(runs).toBe(1)
    await other.receive('e1')
    await other.receiver.idle()
    expect(runs).toBe(1)
    await clock.advance(60_000)
    await receiver.idle()
    expect(runs).toBe(3)
    expect(said()).toEqual(['received', 'retried', 'retried', 'handled'])
    expect(await receiver.entries()).toMatchObject([{ state: 'handled', attempts: 3 }])
    expect(clock.timers).toBe(0)
  })

  it('in all its attempts leaves the event in the log; a further delivery is another try', async () => {
    let isDown = true
    const { receive, receiver, said } = setUp({
      maxAttempts: 1,
      handle: () => {
        if (isDown) throw new TypeError('down')
      },
    })
    await receive('e1')
    await receiver.idle()
    expect(await receiver.entries()).toMatchObject([{ state: 'failed', attempts: 1, error: 'TypeError' }])
    isDown = false
    await receive('e1')
    await receiver.idle()
    expect(await receiver.entries()).toMatchObject([{ state: 'handled', attempts: 2 }])
    expect(said()).toEqual(['received', 'failed', 'duplicate', 'handled'])
  })

  it('answers 202 after answerWithinMs, where the sender waits no longer than that', async () => {
    const clock = virtualClock()
    const door = gate()
    const { receive, receiver, runs } = setUp(
      {
        answerAfter: 'handled',
        answerWithinMs: 500,
        handle: async ({ id }) => {
          runs.push(id)
          await door.wait()
        },
      },
      clock,
    )
    const slow = receive('e1')
    await vi.waitFor(() => expect(runs).toEqual(['e1']))
    let answer: unknown
    void slow.then((given) => (answer = given))
    await clock.advance(499)
    expect(answer).toBeUndefined()
    await clock.advance(1)
    expect(await slow).toMatchObject({ http: 202, status: 'received' })
    door.open()
    await receiver.idle()
  })

  it('answers 500 where the answer waits for it, and 202 where it takes longer than the sender may wait', async () => {
    const clock = virtualClock()
    const doors = [gate(), gate(), gate()]
    let nth = 0
    const options = { answerAfter: 'handled', maxAttempts: 1, handle: () => doors[nth++]?.wait() } as const
    const { receive, receiver } = setUp(options, clock)
    const failing = receive('e1')
    doors[0]?.fail(new Error('down'))
    expect(await failing).toMatchObject({ http: 500, error: { code: 'internal' } })
    const fine = receive('e2')
    doors[1]?.open()
    expect(await fine).toMatchObject({ status: 'handled' })
    const slow = receive('e3')
    await vi.waitFor(async () => {
      expect(nth).toBe(3)
      await clock.advance(1000)
    })
    await clock.advance(8000)
    expect(await slow).toMatchObject({ http: 202, status: 'received' })
    doors[2]?.open()
    await receiver.idle()
    expect(await receiver.entries({ state: 'handled' })).toHaveLength(2)
    expect(clock.timers).toBe(0)
  })
})

describe('a process that stands still for longer than its claim', () => {
  it('tries no more, and leaves what another has made of the event', async () => {
    const clock = virtualClock()
    const door = gate()
    const store = memoryStore({ clock })
    // The clock of a process that stands still stands still, too: it keeps no claim.
    const frozen = setUp({ store, handle: () => door.wait(), leaseMs: 1000, maxAttempts: 3 }, virtualClock())
    await frozen.receive('e1')
    await clock.advance(1001)
    const next = setUp({ store, leaseMs: 1000 }, clock)
    expect(await next.receiver.recover()).toBe(1)
    expect(next.runs).toEqual(['e1 1'])
    door.fail(new Error('down'))
    await frozen.receiver.idle()
    expect(frozen.said()).toEqual(['received'])
    expect(await next.receiver.entries()).toMatchObject([{ state: 'handled', attempts: 1 }])
    expect(await next.receiver.recover()).toBe(0)
  })
})

describe('a process that dies', () => {
  it('loses nothing: another one takes up what it had received, once its claim is over', async () => {
    const clock = virtualClock()
    const store = memoryStore({ clock })
    const dead = setUp({ store, handle: () => new Promise(() => undefined), leaseMs: 1000 }, clock)
    await dead.receive('e1')
    const next = setUp({ store, leaseMs: 1000 }, clock)
    await next.receiver.recover()
    expect(next.runs).toEqual([])
    // Its timers die with it: nobody keeps the claim.
    vi.spyOn(store, 'compareAndSet').mockReturnValue(false)
    await clock.advance(1001)
    vi.restoreAllMocks()
    expect(await next.receiver.recover()).toBe(1)
    expect(next.runs).toEqual(['e1 1'])
    expect(await next.receiver.recover()).toBe(0)
  })
})

describe('the log', () => {
  it('is read and replayed by id, type, state and time', async () => {
    const clock = virtualClock()
    const { receive, receiver, runs } = setUp({}, clock)
    for (let nth = 0; nth < 250; nth++) await receive(`e${nth}`)
    await receiver.idle()
    const since = new Date(clock.wallNow() + 500)
    await clock.advance(1000)
    await receive('late')
    await receiver.idle()
    expect(await receiver.entries()).toHaveLength(251)
    expect(await receiver.entries({ since })).toMatchObject([{ id: 'late' }])
    runs.length = 0
    expect(await receiver.replay({ since })).toBe(1)
    expect(await receiver.replay({ id: 'e7' })).toBe(1)
    expect(await receiver.replay({ id: 'nobody' })).toBe(0)
    expect(await receiver.replay({ type: 'order.lost' })).toBe(0)
    expect(runs).toEqual(['late 2', 'e7 2'])
  })

  it('of a store without list() is replayed by id only', async () => {
    const { list: _, ...store } = Object.fromEntries(
      ['get', 'set', 'add', 'compareAndSet', 'delete'].map((name) => {
        const inner = memory as unknown as Record<string, (...args: unknown[]) => unknown>
        return [name, (...args: unknown[]) => inner[name]?.(...args)]
      }),
    ) as Record<string, unknown>
    const { receive, receiver, runs } = setUp({ store: { ...store, traits: memory.traits } as unknown as Store })
    await receive('e1')
    await receiver.idle()
    await receiver.replay({ id: 'e1' })
    expect(runs).toEqual(['e1 1', 'e1 2'])
    await expect(receiver.entries()).rejects.toMatchObject({ code: 'failed_precondition' })
  })

  it('that cannot be written is answered 503: the sender delivers again, and nobody has handled it', async () => {
    const store = memoryStore()
    const { receive, runs, notices } = setUp({ store })
    vi.spyOn(store, 'add').mockRejectedValueOnce(new Error('secret of the store'))
    const answer = await receive('e1')
    expect(answer).toMatchObject({ http: 503, error: { code: 'unavailable' } })
    expect(JSON.stringify(answer)).not.toContain('secret of the store')
    expect(runs).toEqual([])
    expect(notices).toMatchObject([{ type: 'refused', error: { code: 'unavailable' } }])
  })

  it('that the store never answers for is answered 503 in time', async () => {
    const store = memoryStore()
    const { receive, receiver, clock, runs } = setUp({ store })
    const asked = vi.spyOn(store, 'add').mockReturnValueOnce(new Promise(() => {}) as never)
    const answer = receive('e1')
    await vi.waitFor(() => expect(asked).toHaveBeenCalled())
    await clock.advance(10_000)
    expect(await answer).toMatchObject({ http: 503, error: { code: 'unavailable' } })
    expect(await receive('e1')).toMatchObject({ http: 200, status: 'received' })
    await receiver.idle()
    expect(runs).toEqual(['e1 1'])
    expect(clock.timers).toBe(0)
  })

  it('is handled, and listed, where the store answers with bytes', async () => {
    const inner = memoryStore()
    const store = memoryStore()
    const bytes = async (text: unknown) => (typeof text === 'string' ? Buffer.from(text) : text) as never
    vi.spyOn(store, 'add').mockImplementation((...all) => inner.add(...all))
    vi.spyOn(store, 'compareAndSet').mockImplementation((...all) => inner.compareAndSet(...all))
    vi.spyOn(store, 'get').mockImplementation(async (key) => bytes(await inner.get(key)))
    const list: Store['list'] = async (...all) => {
      const page = (await inner.list?.(...all)) ?? []
      return Promise.all(page.map(async ({ key, value }) => ({ key, value: await bytes(value) })))
    }
    Object.assign(store, { list })
    const { receive, receiver, runs } = setUp({ store })
    await receive('ü1')
    await receiver.idle()
    expect(runs).toEqual(['ü1 1'])
    expect(await receive('ü1')).toMatchObject({ status: 'duplicate' })
    expect(await receiver.entries()).toMatchObject([{ id: 'ü1', state: 'handled', attempts: 1 }])
  })

  it('is not looked for without end in a store that gives one page for ever', async () => {
    const store = memoryStore()
    const { receiver } = setUp({ store })
    const page = Array.from({ length: 100 }, (_, n) => ({ key: `webhooks/default/event/${n}`, value: '{}' }))
    Object.assign(store, { list: () => page })
    await expect(receiver.entries()).rejects.toMatchObject({ code: 'unavailable' })
    await expect(receiver.recover()).rejects.toMatchObject({ code: 'unavailable' })
  })

  it.each(['written', 'handled'] as const)(
    'that cannot be read, or has gone, is not taken for received or handled (answerAfter: %s)',
    async (answerAfter) => {
      const store = memoryStore()
      const { receive, receiver, runs, said } = setUp({ store, answerAfter })
      const place = 'webhooks/default/event/e1'
      for (const text of ['no record', JSON.stringify({ v: 2, id: 'e1', state: 'handled' })]) {
        await store.set(place, text)
        expect(await receive('e1')).toMatchObject({ http: 503, error: { code: 'unavailable' } })
      }
      await store.delete(place)
      vi.spyOn(store, 'add').mockResolvedValueOnce(false as never)
      expect(await receive('e1')).toMatchObject({ http: 503 })
      expect(runs).toEqual([])
      expect(said()).toEqual(['refused', 'refused', 'refused'])
      await receive('e1')
      await receiver.idle()
      expect(runs).toEqual(['e1 1'])
    },
  )

  it('whose record goes before its handler runs is delivered again', async () => {
    const store = memoryStore()
    const added = vi.spyOn(store, 'add')
    const { receive, receiver, runs } = setUp({
      store,
      answerAfter: 'handled',
      onEvent: ({ type }) =>
        void (type === 'received' && added.mock.calls.length === 1 && store.delete('webhooks/default/event/e1')),
    })
    expect(await receive('e1')).toMatchObject({ http: 500 })
    expect(runs).toEqual([])
    expect(await receive('e1')).toMatchObject({ http: 200, status: 'handled' })
    expect(await receiver.entries()).toMatchObject([{ state: 'handled' }])
    expect(runs).toEqual(['e1 1'])
  })

  it('is not written without end into a store that takes no change', async () => {
    const store = memoryStore()
    const { receive, receiver, said } = setUp({ store, answerAfter: 'handled' })
    vi.spyOn(store, 'compareAndSet').mockResolvedValue(false as never)
    expect(await receive('e1')).toMatchObject({ http: 500 })
    await receiver.idle()
    expect(said()).toEqual(['received', 'failed'])
  })

  it('that was handled is not told as failed where its claim cannot be given back', async () => {
    const store = memoryStore()
    const { receive, said } = setUp({ store, answerAfter: 'handled' })
    vi.spyOn(store, 'delete').mockRejectedValue(new Error('away'))
    expect(await receive('e1')).toMatchObject({ http: 200, status: 'handled' })
    expect(said()).toEqual(['received', 'handled'])
  })

  const memory = memoryStore()
})

describe('options', () => {
  const valid = {
    scheme: standardWebhooks({ secrets: secret }),
    store: memoryStore(),
    events: { shipped },
    handle: () => {},
  }

  it.each([
    [{ scheme: undefined }, 'scheme is missing'],
    [{ store: {} }, 'store takes'],
    [{ store: { ...memoryStore(), compareAndSet() {}, traits: { isAtomic: false } } }, 'not atomic'],
    [{ handle: 5 }, 'handle takes a function'],
    [{ events: { a: shipped, b: webhook('order.shipped', type<number>()) } }, "'order.shipped'"],
    [{ events: { a: {} } }, 'webhook()'],
    [{ maxAtempts: 2 }, "did you mean 'maxAttempts'"],
  ])('%j', (wrong, message) => {
    expect(() => webhookReceiver({ ...valid, ...wrong } as never)).toThrow(message)
  })

  it('a listener that throws harms nobody', async () => {
    const { receive, receiver, runs } = setUp({
      onEvent: () => {
        throw new Error('no')
      },
    })
    expect(await receive('e1')).toMatchObject({ status: 'received' })
    await receiver.idle()
    expect(runs).toEqual(['e1 1'])
  })
})

describe.each<[string, (receiver: ReturnType<typeof webhookReceiver>) => Promise<string>]>([
  [
    'node:http',
    async (receiver) => {
      const server = createServer((request, response) => void receiver.node(request, response))
      return listening(server)
    },
  ],
  [
    'Express',
    async (receiver) => {
      const app = express()
      app.post('/hooks', receiver.node)
      return listening(createServer(app))
    },
  ],
  [
    'Express behind express.raw()',
    async (receiver) => {
      const app = express()
      app.use(express.raw({ type: '*/*' }))
      app.post('/hooks', receiver.node)
      return listening(createServer(app))
    },
  ],
  [
    'Fastify',
    async (receiver) => {
      const app = fastify()
      app.register(receiver.fastify, { path: '/hooks' })
      app.post('/json', async ({ body }) => body)
      closers.push(() => app.close())
      const url = await app.listen({ port: 0, host: '127.0.0.1' })
      const echoed = await fetch(`${url}/json`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{"a":1}',
      })
      expect(await echoed.json()).toEqual({ a: 1 })
      return url
    },
  ],
  [
    'Hono',
    async (receiver) => {
      const app = new Hono()
      app.post('/hooks', receiver.hono)
      const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server
      closers.push(() => server.close())
      await new Promise((resolve) => server.once('listening', resolve))
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    },
  ],
])('on %s', (name, start) => {
  it('bytes are verified, handled once, and refused when they are others', async () => {
    const ids: string[] = []
    const receiver = webhookReceiver({
      scheme: standardWebhooks({ secrets: secret }),
      store: memoryStore(),
      events: { shipped },
      handle: ({ id }) => ids.push(id),
      maxBodyBytes: 10_000,
    })
    const url = `${await start(receiver)}/hooks`
    const sent = delivery('e1', '{ "type": "order.shipped",\n  "data": { "n": 1.0, "name": "ä😀" } }')
    const post = (body: string | Uint8Array<ArrayBuffer>) => fetch(url, { ...sent, body })
    expect((await post(sent.body)).status).toBe(200)
    expect(await (await post(sent.body)).json()).toMatchObject({ status: expect.stringMatching(/duplicate|received/) })
    await receiver.idle()
    expect(ids).toEqual(['e1'])
    expect((await post(JSON.stringify(JSON.parse(sent.body)))).status).toBe(401)
    expect((await post(new Uint8Array(20_000))).status).toBe(413)
    expect((await fetch(url, { method: 'POST' })).status).toBe(400)
    expect(name).toBeTruthy()
  })
})

it('on node:http a body that is too large is answered before it has come whole, and the connection stays', async () => {
  const { receiver } = setUp({ maxBodyBytes: 10_000 })
  const server = createServer((request, response) => receiver.node(request, response))
  const { port } = new URL(await listening(server))
  const socket = connect(Number(port), '127.0.0.1')
  closers.push(() => socket.destroy())
  let heard = ''
  socket.setEncoding('utf8').on('data', (text) => (heard += text))
  const head = (bytes: number) => `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: ${bytes}\r\n\r\n`
  socket.write(head(200_000) + ' '.repeat(100_000))
  await vi.waitFor(() => expect(heard).toContain('HTTP/1.1 413'))
  socket.write(' '.repeat(100_000) + head(2) + '{}')
  await vi.waitFor(() => expect(heard).toContain('HTTP/1.1 400'))
})

it.each([
  [
    'a plain object and a text, as AWS Lambda gives them',
    (headers: Record<string, string>, body: string) => ({ headers, body }),
  ],
  [
    'names in capitals',
    (headers: Record<string, string>, body: string) => ({
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value])),
      body: Buffer.from(body),
    }),
  ],
  [
    'WHATWG Headers and bytes',
    (headers: Record<string, string>, body: string) => ({
      headers: new Headers(headers),
      body: new TextEncoder().encode(body),
    }),
  ],
])('receive() takes %s', async (_, requestOf) => {
  const { receiver, runs, clock } = setUp()
  const { headers, body } = delivery('e1', { type: 'order.shipped', data: { n: 1, name: 'ä😀' } }, clock.wallNow())
  expect(await receiver.receive(requestOf(headers, body))).toMatchObject({ status: 200 })
  await receiver.idle()
  expect(runs).toEqual(['e1 1'])
})

it('receive() says what it takes where a parser has made an object of the body', async () => {
  const { receiver, notices } = setUp()
  const { headers } = delivery('e1')
  expect(await receiver.receive({ headers, body: { type: 'order.shipped' } as never })).toMatchObject({ status: 503 })
  expect(notices).toMatchObject([{ type: 'refused', error: { message: expect.stringContaining('as bytes or text') } }])
})

it('on Express behind a parser of JSON the answer says what to do', async () => {
  const { receiver } = setUp()
  const app = express()
  app.use(express.json())
  app.post('/hooks', receiver.node)
  const url = await listening(createServer(app))
  const response = await fetch(`${url}/hooks`, delivery('e1'))
  expect(response.status).toBe(500)
  expect(await response.text()).toContain('before express.json()')
})

it('a WHATWG Request is answered at once, and its context keeps what goes on', async () => {
  const kept: Promise<unknown>[] = []
  const door = gate()
  const { receiver, clock } = setUp({ handle: () => door.wait() })
  const { method, headers, body } = delivery('e1', undefined, clock.wallNow())
  const request = new Request('http://a.example/hooks', { method, headers, body })
  const response = await receiver.fetch(request, { waitUntil: (work) => kept.push(work) })
  expect(response.status).toBe(200)
  expect(kept).toHaveLength(1)
  door.open()
  expect(await kept[0]).toBe('handled')
  const used = new Request('http://a.example/hooks', { method, headers, body })
  await used.text()
  expect((await receiver.fetch(used)).status).toBe(500)
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => server.close(resolve)))
  closers.push(() => server.closeAllConnections())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
