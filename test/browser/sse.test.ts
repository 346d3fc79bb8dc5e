import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { CorsGateway } from '../support/servers/cors-gateway.ts'
import { SseServer } from '../support/servers/sse-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'

/** What the page offers to the tests. */
const program = `
  import { createClient, resume, retry } from 'polywire'
  import { events, sharing, sseTransport } from 'polywire/sse'

  const watch = events('/stream', {}, { data: 'text', undeclared: 'yield' })
  let client, stream
  Object.assign(window, {
    born: Math.random(),
    sharing,
    items: [],
    states: [],
    failure: undefined,
    open(options, again = { baseDelayMs: 200 }) {
      const interceptors = () => [resume(again), retry()]
      client = createClient({ transports: { sse: sseTransport(options) }, interceptors })
      stream = client.call(watch)
      stream.subscribe({
        next: ({ data }) => items.push(data),
        state: (state) => states.push(state),
        error: (error) => { window.failure = { code: error.code, message: error.message } },
      })
      return stream.opened.catch(() => {})
    },
    openMany(options, count) {
      client = createClient({ transports: { sse: sseTransport(options) } })
      window.many = Array.from({ length: count }, () => {
        const items = []
        const stream = client.call(watch)
        stream.subscribe({ next: ({ data }) => items.push(data) })
        return { items, stream }
      })
      return Promise.all(many.map(({ stream }) => stream.opened))
    },
    state: () => stream.state,
    cursor: () => stream.cursor,
    leave: () => stream.close(),
  })
`

describe.skipIf(!chromium)(`SSE in Chromium, from another origin${why}`, () => {
  let site: BrowserSite
  let context: BrowserContext
  let page: Page
  let server: SseServer
  let gateway: CorsGateway
  let proxy: TcpProxy

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
  })
  afterAll(() => site?.close())

  beforeEach(async () => {
    server = await SseServer.start()
    gateway = await CorsGateway.start(server.origin)
    proxy = await TcpProxy.start({ port: Number(new URL(gateway.origin).port) })
    ;({ context, page } = await site.visit())
  })
  afterEach(async () => {
    await context.close()
    await proxy.close()
    await gateway.close()
    await server.close()
  })

  /** Runs in the page. */
  const run = <T>(expression: string): Promise<T> => page.evaluate(expression) as Promise<T>
  const open = async (options: object = {}, resume?: object) => {
    const rest = [{ baseUrl: `http://127.0.0.1:${proxy.port}`, ...options }, resume].map((each) => JSON.stringify(each))
    await run(`open(${rest.join(', ')})`)
  }
  const until = (condition: string) => page.waitForFunction(condition, undefined, { polling: 20 })
  const seen = (count: number) => until(`items.length >= ${count}`)

  it('reads without a preflight, and the server sees it leave', async () => {
    await open()
    server.publish('a', 'b')
    await seen(2)
    expect(await run('items')).toEqual(['a', 'b'])
    expect(gateway.preflights).toEqual([])
    expect(server.requests[0]?.headers).toMatchObject({ accept: 'text/event-stream' })
    await run('leave()')
    await server.until(() => server.open === 0)
    expect(server.requests).toHaveLength(1)
  })

  it('comes back after a drop with Last-Event-ID, which costs a preflight', async () => {
    await open()
    server.publish('1')
    await seen(1)
    server.drop()
    await server.until(() => server.open === 0)
    server.publish('2')
    await seen(2)
    expect(await run('items')).toEqual(['1', '2'])
    expect(server.lastEventIds).toEqual([undefined, '1'])
    expect(gateway.preflights).toEqual([['last-event-id']])
  })

  it('comes back without a preflight where cursorQuery says so', async () => {
    await open({ cursorQuery: 'after' })
    server.publish('1')
    await seen(1)
    server.drop('end')
    await server.until(() => server.requests.length === 2)
    expect(server.requests.map(({ path }) => path)).toEqual(['/stream', '/stream?after=1'])
    expect(gateway.preflights).toEqual([])
  })

  it.each([
    ['who come together share', 'sharing()'],
    ['whoever comes shares where that is asked for', 'sharing({ live: true })'],
  ])('eight readers leave room for other requests: %s', async (_, share) => {
    const baseUrl = `http://127.0.0.1:${proxy.port}`
    await run(`openMany({ baseUrl: '${baseUrl}', share: ${share} }, 8)`)
    expect(server.open).toBe(1)
    server.publish('a')
    await until('many.every(({ items }) => items.length === 1)')
    expect(
      await run(`fetch('${baseUrl}/other').then((response) => response.body.cancel().then(() => response.status))`),
    ).toBe(200)
    await run('Promise.all(many.map(({ stream }) => stream.close()))')
    await server.until(() => server.open === 0)
    expect(server.requests.map(({ path }) => path)).toEqual(['/stream', '/other'])
  })

  it('offline, waits; online, is back at once', async () => {
    await open({}, { baseDelayMs: 20_000 })
    server.publish('1')
    await seen(1)
    await context.setOffline(true)
    server.drop()
    await until(`state() === 'suspended'`)
    server.publish('2')
    await context.setOffline(false)
    await seen(2)
    expect(await run('items')).toEqual(['1', '2'])
  })

  it('hidden, waits longer; looked at again, is back at once', async () => {
    await open({}, { baseDelayMs: 20_000 })
    server.publish('1')
    await seen(1)
    const show = (state: string) =>
      run(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))`)
    await show('hidden')
    server.drop()
    await until(`states.includes('waiting')`)
    server.publish('2')
    await show('visible')
    await seen(2)
    expect(server.lastEventIds).toEqual([undefined, '1'])
  })

  it('frozen, stands still; resumed, catches up', async () => {
    const bare = await site.visitBare()
    try {
      await bare.run(`open({ baseUrl: 'http://127.0.0.1:${proxy.port}' })`)
      server.publish('1')
      await bare.until('items.length === 1')
      await bare.freeze()
      const turns = await bare.turns()
      server.drop()
      await server.until(() => server.open === 0)
      server.publish('2')
      expect(await bare.turns()).toBe(turns)
      expect(server.requests).toHaveLength(1)
      await bare.thaw()
      await bare.until('items.length === 2')
      expect(await bare.run('items')).toEqual(['1', '2'])
      expect(await bare.turns()).toBeGreaterThan(turns)
      expect(server.lastEventIds).toEqual([undefined, '1'])
    } finally {
      await bare.close()
    }
  })

  it('goes into the back/forward cache without its connection, and comes out with one', async () => {
    await open()
    server.publish('1')
    await seen(1)
    const born = await run('born')
    await page.goto(`${site.url}other`)
    await server.until(() => server.open === 0)
    server.publish('2')
    // No load event follows: the page is the same.
    await page.goBack({ waitUntil: 'commit' })
    expect(await run('born')).toBe(born)
    await seen(2)
    expect(await run('items')).toEqual(['1', '2'])
    expect(server.lastEventIds).toEqual([undefined, '1'])
  })

  it('half-open after the sleep of the machine, is replaced soon', async () => {
    await open()
    server.publish('1')
    await seen(1)
    proxy.halfOpen()
    server.publish('2')
    // What a sleep leaves behind: a clock that has jumped.
    await run(`{ const now = Date.now; Date.now = () => now() + 60_000 }`)
    await until(`state() !== 'open'`)
    proxy.pass()
    // What was dialed meanwhile was swallowed, and stays so.
    proxy.reset()
    await seen(2)
    expect(await run('items')).toEqual(['1', '2'])
  }, 15_000)
})
