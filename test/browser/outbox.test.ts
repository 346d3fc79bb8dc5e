import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { freshSeed, seeded } from '../support/seeded.ts'

const executablePath = inject('chromium')
const root = resolve(import.meta.dirname, '../..')

/** A page with an outbox in IndexedDB; its query says how. */
const program = `
  import { createClient, indexedDbStore, type } from 'polywire'
  import { durable, outbox, settledBy } from 'polywire/outbox'
  import { get, post, restTransport } from 'polywire/rest'

  const leaseMs = Number(new URL(location).searchParams.get('lease'))
  const body = { body: type(), output: type() }
  const find = get('/a/orders', { query: type(), output: type() })
  const contract = {
    k: durable('k', post('/k/orders', { ...body, idempotency: 'idempotency-key' })),
    a: durable('a', post('/a/orders', body), {
      settle: settledBy(find, ({ key }) => ({ reference: key }), (orders) => orders[0], { absentAfterMs: 1500 }),
    }),
  }
  const box = outbox(indexedDbStore(), { contract, leaseMs, maxSends: 1000 })
  const client = createClient({ transports: { rest: restTransport({ baseUrl: '/' }) }, outbox: box, retry: { budget: false } })
  const api = client.bind(contract)
  Object.assign(window, {
    shown: [],
    enqueue: (kind, key) => box.enqueue(contract[kind], { sku: key }, { idempotencyKey: key }).then(({ id }) => id),
    place: (kind, key) => api[kind]({ sku: key }, { idempotencyKey: key }),
    entries: () => box.entries(),
  })
  box.subscribe((entries) => (window.shown = entries.map(({ state }) => state)))
`

/** Carries orders out, and makes faults. */
class Shop {
  readonly carriedOut = new Map<string, number>()
  readonly #answers = new Set<string>()
  random: () => number = () => 0.5
  /** Answers nothing as long as it is set; what comes is carried out all the same. */
  isMute = false

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for await (const _ of request);
    const url = new URL(request.url ?? '', 'http://localhost')
    const key = String(request.headers['idempotency-key'])
    const chance = this.random()
    if (chance < 0.1) return void request.socket.destroy()
    if (chance < 0.2) return void response.writeHead(503).end()
    if (request.method === 'GET') {
      const reference = url.searchParams.get('reference') ?? ''
      return answer(response, this.carriedOut.has(reference) ? [{ key: reference }] : [])
    }
    if (url.pathname === '/a/orders' || !this.#answers.has(key))
      this.carriedOut.set(key, (this.carriedOut.get(key) ?? 0) + 1)
    this.#answers.add(key)
    // No reset: Chromium sends a POST again by itself where a connection that it had used before is cut.
    if (chance > 0.95) return void response.writeHead(504).end()
    if (!this.isMute) answer(response, { key })
  }
}

function answer(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

const why = executablePath ? '' : ' (skipped: no Chromium here)'

describe.skipIf(!executablePath)(`tabs of Chromium with an outbox in IndexedDB${why}`, () => {
  let site: Server
  let browser: Browser
  let shop: Shop

  beforeAll(async () => {
    const { outputFiles } = await build({
      stdin: { contents: program, resolveDir: root },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      conditions: ['polywire-source'],
      alias: { '#platform': `${root}/transports/platform/browser.ts` },
      tsconfigRaw: '{}',
    })
    const script = outputFiles[0]?.text
    site = createServer((request, response) => {
      if (/\/orders/.test(request.url ?? '')) void shop.serve(request, response).catch(() => response.destroy())
      else response.setHeader('content-type', 'text/html').end(`<script type="module">${script}</script>`)
    })
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
  })
  afterAll(async () => {
    await browser?.close()
    site?.closeAllConnections()
    await new Promise((done) => site.close(done))
  })

  const open = async (context: BrowserContext, leaseMs: number): Promise<Page> => {
    const page = await context.newPage()
    await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/?lease=${leaseMs}`)
    await page.waitForFunction('window.entries')
    return page
  }
  /** Looks until all entries are in a state: a promise alone would be taken for yes. */
  const isAll = (state: string, count: number) =>
    `(entries().then((all) => (window.all = all.map(({ state }) => state).join())), window.all === '${Array(count).fill(state)}')`

  it('three tabs, closed and crashed while they send: no order is lost, none is made twice', async () => {
    shop = new Shop()
    const seed = freshSeed()
    const random = (shop.random = seeded(seed))
    const context = await browser.newContext()
    const tabs = await Promise.all([1, 2, 3].map(() => open(context, 4000)))
    const keys = Array.from({ length: 40 }, (_, n) => `${n % 2 ? 'a' : 'k'}-${n}`)
    for (const [n, key] of keys.entries()) {
      const at = Math.floor(random() * tabs.length)
      // Written is what was said to be; the rest is said again.
      for (let isWritten = false; !isWritten; )
        isWritten = await (tabs[at] as Page)
          .evaluate(([kind, name]) => (window as any).enqueue(kind, name), [key[0], key])
          .then(
            () => true,
            () => false,
          )
      if (n % 5 !== 4) continue
      const gone = tabs[at] as Page
      if (n % 10 === 9) await gone.goto('chrome://crash').catch(() => {})
      await gone.close()
      tabs[at] = await open(context, 4000)
    }
    await (tabs[0] as Page).waitForFunction(isAll('confirmed', keys.length), undefined, {
      timeout: 50_000,
      polling: 200,
    })
    expect({ seed, orders: keys.map((key) => shop.carriedOut.get(key)) }).toEqual({ seed, orders: keys.map(() => 1) })
    // A subscription of each tab has seen the end, whoever has sent.
    for (const tab of tabs)
      await tab.waitForFunction(`shown.length === ${keys.length} && shown.every((s) => s === 'confirmed')`)
    await context.close()
  })

  it('what a closed tab was sending is taken over at once: its lock is free', async () => {
    shop = new Shop()
    shop.isMute = true
    const context = await browser.newContext()
    // Nobody would wait for such a lease.
    const [first, second] = [await open(context, 3_600_000), await open(context, 3_600_000)]
    await first.evaluate(() => void (window as any).place('k', 'k-1'))
    await second.waitForFunction(isAll('sending', 1), undefined, { polling: 50 })
    shop.isMute = false
    await first.close()
    await second.waitForFunction(isAll('confirmed', 1), undefined, { timeout: 40_000, polling: 100 })
    expect(shop.carriedOut.get('k-1')).toBe(1)
    await context.close()
  })

  it('what is called offline is written, sends nothing, spins nothing, and goes when the network is back', async () => {
    shop = new Shop()
    const context = await browser.newContext()
    const page = await open(context, 60_000)
    await context.setOffline(true)
    await page.evaluate(() => {
      const { setTimeout } = window as any
      Object.assign(window, { timers: 0 })
      window.setTimeout = ((...args: unknown[]) => {
        ;(window as any).timers++
        return setTimeout(...args)
      }) as never
    })
    const answer = page.evaluate(() => (window as any).place('k', 'k-1'))
    await page.waitForFunction(isAll('queued', 1), undefined, { polling: 50 })
    await page.waitForFunction(isAll('queued', 1), undefined, { polling: 50 })
    expect(await page.evaluate(() => (window as any).timers)).toBeLessThan(30)
    expect(shop.carriedOut.size).toBe(0)
    await context.setOffline(false)
    expect(await answer).toEqual({ key: 'k-1' })
    expect(await page.evaluate(() => (window as any).entries())).toMatchObject([{ state: 'confirmed', sends: 1 }])
    await context.close()
  })

  it('a reloaded page goes on, and a double click in two tabs is one order', async () => {
    shop = new Shop()
    shop.isMute = true
    const context = await browser.newContext()
    const [first, second] = [await open(context, 3_600_000), await open(context, 3_600_000)]
    await first.evaluate(() => void (window as any).place('k', 'k-1'))
    await second.waitForFunction(isAll('sending', 1), undefined, { polling: 50 })
    const answer = second.evaluate(() => (window as any).place('k', 'k-1'))
    shop.isMute = false
    await first.reload()
    expect(await answer).toEqual({ key: 'k-1' })
    await first.waitForFunction('window.entries')
    await first.waitForFunction(isAll('confirmed', 1), undefined, { timeout: 40_000, polling: 100 })
    expect(shop.carriedOut.get('k-1')).toBe(1)
    await context.close()
  })
})
