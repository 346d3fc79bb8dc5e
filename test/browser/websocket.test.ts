import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { RealtimeServer, type WebSocketServerOptions } from '../support/servers/websocket-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'

/** What the page offers to the tests. */
const program = `
  import { createClient, isGap, type } from 'polywire'
  import { bearerAuth } from 'polywire/auth'
  import { channel, plainJson, request, websocketTransport } from 'polywire/websocket'

  const feed = channel('feed:{name}', { receive: type() })
  const add = request('math.add', { idempotent: true })
  let client, stream
  window.born = Math.random()
  Object.assign(window, {
    items: [],
    states: [],
    failure: undefined,
    make(options, token) {
      client = createClient({
        transports: { websocket: websocketTransport({ reconnect: { baseDelayMs: 200 }, ...options }) },
        ...(token && { auth: bearerAuth(token) }),
      })
    },
    open(name) {
      stream = client.call(feed, { name })
      stream.subscribe({
        next: (item) => items.push(item instanceof Uint8Array ? [...item] : item),
        state: (state) => states.push(state),
        error: (error) => { window.failure = { code: error.code, phase: error.phase } },
      })
      return stream.opened.catch(() => {})
    },
    state: () => stream.state,
    cursor: () => stream.cursor,
    add: (a, b) => client.call(add, { a, b }).catch((error) => error.code),
    close: () => client.close(),
  })
`

describe.skipIf(!chromium)(`WebSocket in Chromium${why}`, () => {
  let site: BrowserSite
  let context: BrowserContext
  let page: Page
  let server: RealtimeServer
  let proxy: TcpProxy

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
  })
  afterAll(() => site?.close())

  beforeEach(async () => {
    server = await RealtimeServer.start()
    proxy = await TcpProxy.start({ port: server.port })
    ;({ context, page } = await site.visit())
  })
  afterEach(async () => {
    await context.close()
    await proxy.close()
    await server.close()
  })

  /** Runs in the page. */
  const run = <T>(expression: string): Promise<T> => page.evaluate(expression) as Promise<T>
  const open = async (options: object = {}, token?: string) => {
    await run(
      `make(${JSON.stringify({ url: `ws://127.0.0.1:${proxy.port}/ws`, ...options })}, ${JSON.stringify(token)})`,
    )
    await run(`open('a')`)
  }
  const seen = (count: number) => page.waitForFunction(`items.length >= ${count}`, undefined, { polling: 20 })
  const untilState = (state: string) => page.waitForFunction(`state() === '${state}'`, undefined, { polling: 20 })
  const change = (options: Partial<WebSocketServerOptions>) => Object.assign(server.options, options)

  it('receives, sends the credential in the first message, and asks', async () => {
    change({
      tokens: new Set(['secret']),
      authIn: 'message',
      reply: ({ data }) => data && { type: 'data', data: data.a + data.b },
    })
    await open({}, 'secret')
    server.publish('feed:a', { n: 1 })
    server.publish('feed:a', new Uint8Array([1, 2]))
    await seen(2)
    expect(await run('items')).toEqual([{ n: 1 }, [1, 2]])
    expect(await run('add(1, 2)')).toBe(3)
    expect(server.frames[0]).toMatchObject({ type: 'auth', token: 'secret' })
    expect(server.upgrades[0]?.url).toBe('/ws')
  })

  it('takes a burst of 8,000 messages without an overflow, in order', async () => {
    await open()
    for (let n = 0; n < 8_000; n++) server.publish('feed:a', n)
    await seen(8_000)
    expect(await run('items.every((item, index) => item === index)')).toBe(true)
  })

  it('comes back after a drop, from the last id on', async () => {
    await open()
    server.publish('feed:a', 1)
    await seen(1)
    proxy.reset()
    server.publish('feed:a', 2)
    await seen(2)
    expect(await run('items')).toEqual([1, 2])
    expect(server.framesOf('subscribe')[1]).toMatchObject({ since: 1 })
  })

  it('sees a refused upgrade as unavailable: browsers hide the status', async () => {
    change({ refuse: { status: 403 } })
    await run(`make({ url: 'ws://127.0.0.1:${proxy.port}/ws' })`)
    expect(await run('add(1, 2)')).toBe('unavailable')
  })

  it('is told of a refusal that was accepted first', async () => {
    change({
      intercept: ({ type }, client) => {
        if (type === 'message') client.close(4403)
        return type === 'message'
      },
    })
    await run(`make({ url: 'ws://127.0.0.1:${proxy.port}/ws' })`)
    expect(await run('add(1, 2)')).toBe('permission_denied')
  })

  it('offline, waits; online, is back at once', async () => {
    await open({ reconnect: { baseDelayMs: 8_000 } })
    server.publish('feed:a', 1)
    await seen(1)
    await context.setOffline(true)
    proxy.reset()
    await untilState('suspended')
    server.publish('feed:a', 2)
    const { accepted } = proxy
    await context.setOffline(false)
    await seen(2)
    expect(proxy.accepted).toBe(accepted + 1)
  })

  it('frozen, stands still; resumed, catches up', async () => {
    const bare = await site.visitBare()
    try {
      await bare.run(`make({ url: 'ws://127.0.0.1:${proxy.port}/ws' }), open('a')`)
      server.publish('feed:a', 1)
      await bare.until('items.length === 1')
      await bare.freeze()
      const turns = await bare.turns()
      proxy.reset()
      server.publish('feed:a', 2)
      expect(await bare.turns()).toBe(turns)
      expect(server.framesOf('subscribe')).toHaveLength(1)
      await bare.thaw()
      await bare.until('items.length === 2')
      expect(await bare.run('items')).toEqual([1, 2])
      expect(server.framesOf('subscribe')[1]).toMatchObject({ since: 1 })
    } finally {
      await bare.close()
    }
  })

  it('half-open, is live again soon after a wake', async () => {
    await open()
    server.publish('feed:a', 1)
    await seen(1)
    proxy.halfOpen()
    server.publish('feed:a', 2)
    const { up } = proxy.bytes
    // What Chromium says after a freeze.
    await run(`document.dispatchEvent(new Event('resume'))`)
    while (proxy.bytes.up === up) await new Promise(setImmediate)
    proxy.pass()
    await seen(2)
    expect(await run('items')).toEqual([1, 2])
  }, 15_000)

  it('goes into the back/forward cache without its socket, and comes out with one', async () => {
    await open()
    server.publish('feed:a', 1)
    await seen(1)
    const born = await run('born')
    await page.goto(`${site.url}other`)
    await server.until(() => server.clients.size === 0)
    server.publish('feed:a', 2)
    // No load event follows: the page is the same.
    await page.goBack({ waitUntil: 'commit' })
    expect(await run('born')).toBe(born)
    await seen(2)
    expect(await run('items')).toEqual([1, 2])
    expect(server.framesOf('subscribe')[1]).toMatchObject({ since: 1 })
  })

  it('leaves no socket when the client closes', async () => {
    await open()
    await run('close()')
    await server.until(() => server.closes.length === 1)
    expect(server.closes[0]?.code).toBe(1000)
  })
})
