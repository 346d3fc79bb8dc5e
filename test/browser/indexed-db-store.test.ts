import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { RealtimeServer } from '../support/servers/websocket-server.ts'

const executablePath = inject('chromium')
const root = resolve(import.meta.dirname, '../..')

/** What the page offers to the tests. */
const program = `
  import { createClient, indexedDbStore, storedCursor, type } from 'polywire'
  import { channel, websocketTransport } from 'polywire/websocket'

  const store = indexedDbStore()
  Object.assign(window, {
    store,
    indexedDbStore,
    items: [],
    /** Tries to be the first at each of many keys; says where it was. */
    async claim(me, count) {
      const won = []
      for (let n = 0; n < count; n++) if (await store.add('claim ' + n, me)) won.push(n)
      return won
    },
    /** Adds one to a counter, time and again, with nothing but compareAndSet. */
    async increment(times) {
      while (times > 0) {
        const old = await store.get('counter')
        if (await store.compareAndSet('counter', old, String(Number(old) + 1))) times--
      }
    },
    read(url) {
      const client = createClient({ transports: { websocket: websocketTransport({ url }) } })
      const feed = channel('feed:a', { receive: type() })
      const stream = client.call(feed, undefined, { cursor: storedCursor(store, 'tab', { everyMs: 10 }) })
      stream.subscribe({ next: (item) => items.push(item) })
      return stream.opened
    },
  })
`

const why = executablePath ? '' : ' (skipped: no Chromium here)'

describe.skipIf(!executablePath)(`a store in the IndexedDB of Chromium${why}`, () => {
  let site: Server
  let browser: Browser
  let context: BrowserContext
  let tabs: Page[]

  beforeAll(async () => {
    const bundle = await build({
      stdin: { contents: program, resolveDir: root },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      conditions: ['polywire-source'],
      alias: { '#platform': resolve(root, 'transports/platform/browser.ts') },
    })
    const script = bundle.outputFiles[0]?.text ?? ''
    site = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end(`<script type="module">${script}</script>`)
    })
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
    context = await browser.newContext()
    tabs = await Promise.all([1, 2, 3].map(() => context.newPage()))
    const { port } = site.address() as AddressInfo
    for (const tab of tabs) await tab.goto(`http://127.0.0.1:${port}/`)
  })

  afterAll(async () => {
    await browser?.close()
    site?.closeAllConnections()
    await new Promise((done) => site?.close(done))
  })

  /** Runs an expression in a tab. */
  const run = <T>(tab: Page | undefined, expression: string): Promise<T> =>
    (tab as Page).evaluate(expression) as Promise<T>

  it('does what a store does', async () => {
    const steps = `
      get a, add a 1, add a 2, get a, compareAndSet a 2 3, compareAndSet a 1 2, get a, delete a, delete a, get a`
    const told = await run<unknown[]>(
      tabs[0],
      `(async () => {
        const told = []
        for (const step of ${JSON.stringify(steps)}.split(',')) {
          const [name, ...values] = step.trim().split(' ')
          told.push((await store[name](...values)) ?? 'none')
        }
        await store.set('b', 'old')
        await store.set('b', 'x', { ttlMs: 0 })
        told.push((await store.get('b')) ?? 'none', await store.compareAndSet('b', 'x', 'y'), await store.delete('b'))
        told.push(await store.add('b', 'z'), await store.delete('b', { ifValue: 'y' }))
        told.push(await store.delete('b', { ifValue: 'z' }), (await store.get('b')) ?? 'none')
        return told
      })()`,
    )
    const first = ['none', true, false, '1', false, true, '2', true, false, 'none']
    expect(told).toEqual([...first, 'none', false, false, true, false, true, 'none'])
    const traits = { isAtomic: true, isShared: true, isDurable: true, isOfOrigin: true }
    expect(await run(tabs[0], 'store.traits')).toEqual(traits)
  })

  it('goes on after its database was deleted', async () => {
    await run(tabs[0], `store.set('c', '1')`)
    await run(tabs[0], `new Promise((done) => { indexedDB.deleteDatabase('polywire').onsuccess = () => done() })`)
    expect(await run(tabs[0], `store.add('c', '2')`)).toBe(true)
  })

  it('rejects what cannot be written', async () => {
    const failed = await run<string>(tabs[0], `store.set('d', () => {}).then(() => 'done', (error) => error.name)`)
    expect(failed).toBe('DataCloneError')
    expect(await run(tabs[0], `store.add('d', '1')`)).toBe(true)
  })

  it('is atomic across tabs', async () => {
    const won = await Promise.all(tabs.map((tab, index) => run<number[]>(tab, `claim('tab ${index}', 200)`)))
    expect(won.flat().sort((one, other) => one - other)).toEqual(Array.from({ length: 200 }, (_, n) => n))
    await run(tabs[0], `store.set('counter', '0')`)
    await Promise.all(tabs.map((tab) => run(tab, 'increment(200)')))
    expect(await run(tabs[0], `store.get('counter')`)).toBe('600')
  })

  it('lists by key, in pages, what is not over, while others write', async () => {
    const listed = await run<string[][]>(
      tabs[0],
      `(async () => {
        const write = { isListed: true }
        for (const n of [3, 1, 2, 10]) await store.set('list/' + n, 'of ' + n, write)
        await store.set('list/0', 'over', { isListed: true, ttlMs: 0 })
        await store.set('other/1', 'x', write)
        const [first, , last] = await Promise.all([
          store.list('list/', { limit: 2 }), store.set('list/2', 'new', write), store.list('list/', { after: 'list/10' })])
        return [first, last].map((page) => page.map(({ key, value }) => key + ' ' + value))
      })()`,
    )
    expect(listed).toEqual([
      ['list/1 of 1', 'list/10 of 10'],
      ['list/2 new', 'list/3 of 3'],
    ])
    const left = `new Promise((done) => {
      const request = indexedDB.open('polywire')
      request.onsuccess = () => {
        const keys = request.result.transaction('entries').objectStore('entries').getAllKeys()
        keys.onsuccess = () => done(keys.result.filter((key) => key.startsWith('list/')).sort())
      }
    })`
    expect(await run(tabs[0], left)).toEqual(['list/1', 'list/10', 'list/2', 'list/3'])
  })

  it('tells every tab, the one that tells included', async () => {
    for (const tab of tabs) await run(tab, `{ window.heard = []; store.listen('t', (text) => heard.push(text)) }`)
    await run(tabs[0], `store.tell('other', 'x'), store.tell('t', '1')`)
    for (const tab of tabs) {
      await tab.waitForFunction('heard.length > 0')
      expect(await run(tab, 'heard')).toEqual(['1'])
    }
  })

  it('waits for the disk where an entry is listed or deleted, or where it is told to', async () => {
    const asked = await run<string[]>(
      tabs[0],
      `(async () => {
        const asked = []
        const { transaction } = IDBDatabase.prototype
        IDBDatabase.prototype.transaction = function (...all) {
          const made = transaction.apply(this, all)
          asked.push(made.durability)
          return made
        }
        await store.set('e', '1')
        await store.set('e', '2', { isListed: true })
        await store.delete('e')
        const strict = indexedDbStore({ durability: 'strict' })
        await strict.set('e', '3')
        IDBDatabase.prototype.transaction = transaction
        return asked
      })()`,
    )
    expect(asked).toEqual(['default', 'strict', 'strict', 'strict'])
  })

  it('keeps the place of a stream over a reload', async () => {
    await using server = await RealtimeServer.start()
    const [tab] = tabs
    const seen = (count: number) => (tab as Page).waitForFunction(`items.length >= ${count}`)
    await run(tab, `read('${server.url}')`)
    for (const n of [1, 2, 3]) server.publish('feed:a', n)
    await seen(3)
    const key = 'cursor:["tab","websocket","channel feed:a",""]{"name":"feed:a"}'
    while ((await run(tab, `store.get('${key}')`)) !== '3') await seen(3)
    await (tab as Page).reload()
    for (const n of [4, 5]) server.publish('feed:a', n)
    await run(tab, `read('${server.url}')`)
    server.publish('feed:a', 6)
    await seen(3)
    expect(await run(tab, 'items')).toEqual([4, 5, 6])
  })
})
