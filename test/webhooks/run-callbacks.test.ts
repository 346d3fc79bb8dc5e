import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { createClient, memoryStore, type } from 'polywire'
import { longRunning, post, restTransport } from 'polywire/rest'
import { type RunCallbacks, runCallbacks, standardWebhooks, webhook, webhookReceiver } from 'polywire/webhooks'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { afterEach, describe, expect, it, vi } from 'vitest'

const secret = `whsec_${Buffer.from('a secret of ours, of 32 bytes...').toString('base64')}`
const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

async function listen(app: FastifyInstance): Promise<string> {
  closers.push(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** A server of jobs that polls find running until it has called back, and what delivers its webhooks. */
async function jobServer() {
  const app = Fastify({ forceCloseConnections: true })
  const polls: string[] = []
  const callbackUrls: string[] = []
  let isDone = false
  app.post('/reports', async (request, reply) => {
    callbackUrls.push((request.body as { callback_url: string }).callback_url)
    return reply
      .code(202)
      .header('location', '/jobs/j1')
      .header('retry-after', '600')
      .send({ id: 'j1', status: 'queued' })
  })
  app.get('/jobs/:id', async (request) => {
    polls.push(request.url)
    return isDone ? { id: 'j1', status: 'succeeded', result: { rows: 3 } } : { id: 'j1', status: 'running' }
  })
  const url = await listen(app)
  const callBack = async (data: object = { id: 'j1', status: 'succeeded', result: { rows: 3 } }): Promise<number> => {
    isDone = true
    const body = JSON.stringify({ type: 'job.done', data })
    const now = new Date()
    const id = `msg_${Math.floor(now.getTime())}`
    const headers = {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
      'webhook-signature': new StandardWebhook(secret).sign(id, now, body),
    }
    return (await fetch(callbackUrls[0] as string, { method: 'POST', headers, body })).status
  }
  return { url, polls, callbackUrls, callBack }
}

/** A process of ours that receives webhooks. */
async function hookServer(make: (url: string) => RunCallbacks): Promise<RunCallbacks> {
  let callbacks: RunCallbacks | undefined
  const receiver = webhookReceiver({
    scheme: standardWebhooks({ secrets: secret }),
    store: memoryStore(),
    events: { done: webhook('job.done', type<{ id: string }>()) },
    handle: (event) => callbacks?.deliver(event),
    answerAfter: 'handled',
  })
  const app = Fastify({ forceCloseConnections: true })
  app.register(receiver.fastify, { path: '/hooks/jobs' })
  callbacks = make(`${await listen(app)}/hooks/jobs`)
  return callbacks
}

function connect(url: string, callbacks: RunCallbacks) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl: url }) } })
  closers.push(() => client.close())
  const report = longRunning(post('/reports', { body: type<{ month: string }>() }), {
    result: type<{ rows: number }>(),
    callbacks,
  })
  return client.bind({ report })
}

describe('runCallbacks()', () => {
  it('ends a run by a signed webhook: the server is told the URL, and asked at once what came of it', async () => {
    const server = await jobServer()
    const callbacks = await hookServer((url) => runCallbacks({ url }))
    const run = await connect(server.url, callbacks).report.start({ month: '2026-11' })
    expect(server.callbackUrls).toEqual([callbacks.url])
    const result = run.result()
    expect(await server.callBack({ id: 'j1' })).toBe(200)
    expect(await result).toEqual({ rows: 3 })
    expect(server.polls).toEqual(['/jobs/j1'])
  })

  it('takes the document of the event for the answer where it is told to', async () => {
    const server = await jobServer()
    const callbacks = await hookServer((url) => runCallbacks({ url, document: ({ data }) => data }))
    const run = await connect(server.url, callbacks).report.start({ month: '2026-11' })
    const result = run.result()
    await server.callBack()
    expect(await result).toEqual({ rows: 3 })
    expect(server.polls).toEqual([])
  })

  it('keeps a callback that comes before anybody waits', async () => {
    const server = await jobServer()
    const callbacks = await hookServer((url) => runCallbacks({ url, document: ({ data }) => data }))
    const run = await connect(server.url, callbacks).report.start({ month: '2026-11' })
    await server.callBack()
    expect(await run.result()).toEqual({ rows: 3 })
    expect(server.polls).toEqual([])
  })

  it('wakes who waits in another process, by the store that both share', async () => {
    const server = await jobServer()
    const store = memoryStore()
    const document = ({ data }: { data: unknown }) => data
    const receiving = await hookServer((url) => runCallbacks({ url, store, document }))
    const waiting = runCallbacks({ url: receiving.url, store, document })
    const run = await connect(server.url, waiting).report.start({ month: '2026-11' })
    const revived = connect(server.url, waiting).report.revive(JSON.stringify(run))
    // A revived run is asked for at once: that it still runs is known before the callback comes.
    const results = [run.result(), revived.result()]
    await server.callBack()
    expect(await Promise.all(results)).toEqual([{ rows: 3 }, { rows: 3 }])
  })

  it('is heard of where its store fails, or answers with bytes, when it is read: the server is asked', async () => {
    for (const kind of ['fails', 'gives bytes'] as const) {
      const server = await jobServer()
      const store = memoryStore()
      const read = vi.spyOn(store, 'get')
      const callbacks = await hookServer((url) => runCallbacks({ url, store, document: ({ data }) => data }))
      const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url }) } })
      closers.push(() => client.close())
      const spec = { result: type<{ rows: number }>(), callbacks, poll: false } as const
      const { report } = client.bind({
        report: longRunning(post('/reports', { body: type<{ month: string }>() }), spec),
      })
      const run = await report.start({ month: '2026-11' })
      const result = run.result()
      await vi.waitFor(() => expect(read).toHaveBeenCalled())
      const { calls } = read.mock
      read.mockReset()
      const inner = memoryStore()
      vi.spyOn(store, 'set').mockImplementation((...all) => inner.set(...all))
      const answer = async () => Buffer.from((await inner.get(calls[0]?.[0] as string)) as string) as never
      read.mockImplementation(kind === 'fails' ? () => Promise.reject(new Error('away')) : answer)
      await server.callBack()
      expect(await result).toEqual({ rows: 3 })
      expect(server.polls).toHaveLength(kind === 'fails' ? 1 : 0)
    }
  })

  it('leaves an event about no run alone, and one that cannot be read to the polls', async () => {
    const server = await jobServer()
    const callbacks = await hookServer((url) => runCallbacks({ url, document: ({ data }) => data }))
    const run = await connect(server.url, callbacks).report.start({ month: '2026-11' })
    const result = run.result()
    expect(await server.callBack({ other: 1 })).toBe(200)
    await callbacks.deliver({ data: { id: 'j1', nonsense: true } } as never)
    await run.update()
    expect(await result).toEqual({ rows: 3 })
  })

  it('refuses what tells of a run and cannot, by an error that names it', async () => {
    const url = 'https://app.example.com/hooks'
    const event = { data: { id: 'j1' } } as never
    const broken: readonly [object, RegExp][] = [
      [{ document: () => ({ rows: 1n }) }, /document\(\) of runCallbacks\(\) threw/],
      [{ id: async () => Promise.reject(new Error('no')) }, /id\(\) of runCallbacks\(\) threw/],
      [{ id: () => 7 }, /id\(\) of runCallbacks\(\) gives a text/],
      [{ store: { set: () => Promise.reject('full') } }, /store.set\(\) of runCallbacks\(\) threw/],
    ]
    for (const [options, words] of broken)
      await expect(runCallbacks({ url, ...options }).deliver(event)).rejects.toThrow(words)
  })

  it('has a place for every name that a server can give a run', async () => {
    const callbacks = runCallbacks({ url: 'https://app.example.com/hooks', document: ({ data }) => data })
    for (const id of ['\ud800', '../a', '', '__proto__']) {
      const told = new Promise((resolve) => callbacks.subscribe(id, resolve))
      await callbacks.deliver({ data: { id } } as never)
      expect(await told).toEqual({ id })
    }
  })

  it('gives up a store that never answers: the receiver tries again', async () => {
    vi.useFakeTimers()
    closers.push(() => vi.useRealTimers())
    const store = memoryStore()
    vi.spyOn(store, 'set').mockReturnValue(new Promise(() => {}) as never)
    const callbacks = runCallbacks({ url: 'https://app.example.com/hooks', store })
    const delivered = expect(callbacks.deliver({ data: { id: 'j1' } } as never)).rejects.toMatchObject({
      code: 'unavailable',
      isRetryable: true,
    })
    await vi.advanceTimersByTimeAsync(10_000)
    await delivered
  })

  it('keeps no listener where the store cannot listen', () => {
    const store = {
      set: () => undefined,
      get: () => undefined,
      listen(): never {
        throw new Error('no connection')
      },
    }
    const callbacks = runCallbacks({ url: 'https://app.example.com/hooks', store: store as never })
    expect(() => callbacks.subscribe('j1', () => expect.fail('nobody is told'))).toThrow(/store.listen\(\)/)
  })

  it('refuses a URL that no server can call', () => {
    expect(() => runCallbacks({ url: '/hooks' })).toThrow('absolute URL')
    expect(() => runCallbacks({ url: 'https://a.example', keepFor: 1 } as never)).toThrow("unknown option 'keepFor'")
  })
})
