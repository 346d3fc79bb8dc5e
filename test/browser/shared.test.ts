import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { build } from 'esbuild'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { TokenServer } from '../support/servers/token-server.ts'

const executablePath = inject('chromium')
const root = resolve(import.meta.dirname, '../..')
const count = 20

/** What each page offers to the tests. */
const program = `
  import { createClient, indexedDbStore, processes, tabs } from 'polywire'
  import { bearerAuth } from 'polywire/auth'
  import { get, restTransport } from 'polywire/rest'
  import { storeConformance } from 'polywire/testing'
  import { systemClock } from './src/core/time/clock.ts'
  import { TabStore } from './src/core/shared/tab-store.ts'

  const read = get('/orders/{id}')
  const kinds = {
    tabs: (name, options) => tabs(name, options),
    indexedDb: (name, options) => processes(indexedDbStore({ name }), name, options),
  }
  const outcomesOf = async (calls) => {
    const outcomes = {}
    for (const outcome of await Promise.all(calls)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    return outcomes
  }
  const wordOf = (error) => error.code + ' ' + error.reason
  const session = { token: 't0', refresh: 'r0' }
  Object.assign(window, {
    /** The conformance suite: what fails in which case. */
    async judge(kind, count) {
      const made = []
      const make = () => {
        const store = kind === 'indexedDb' ? indexedDbStore({ name: 'judged' }) : new TabStore('judged', systemClock)
        made.push(store)
        return store
      }
      const cases = storeConformance(make, { without: kind === 'tabs' ? ['list'] : [], close: (store) => store.close?.() })
      const failed = []
      for (const { name, run } of cases) await run().catch((error) => failed.push(name + ': ' + error.message))
      return [cases.length, failed]
    },
    /** Tries to be the first at each of many keys; says where it was. */
    async claim(me, count) {
      const store = (window.claimed ??= new TabStore('claims', systemClock))
      const won = []
      for (let n = 0; n < count; n++) if (await store.add('claim ' + n, me)) won.push(n)
      return won
    },
    async increment(times) {
      const store = (window.claimed ??= new TabStore('claims', systemClock))
      while (times > 0) {
        const old = await store.get('counter')
        const next = String(Number(old ?? 0) + 1)
        if (await (old === undefined ? store.add('counter', next) : store.compareAndSet('counter', old, next))) times--
      }
      return store.get('counter')
    },
    login() {
      Object.assign(session, { token: 't0', refresh: 'r0' })
    },
    /** Calls at once with a token that is over. */
    async callAll(kind, name, baseUrl, calls, options) {
      const client = createClient({
        transports: { rest: restTransport({ baseUrl }) },
        shared: kinds[kind](name, options),
        auth: bearerAuth(() => session.token, {
          async refresh() {
            const body = JSON.stringify({ refresh: session.refresh })
            const response = await fetch(baseUrl + '/token', { method: 'POST', body })
            if (!response.ok) throw new Error('refused: ' + response.status)
            Object.assign(session, await response.json())
            return { token: session.token, session: session.refresh }
          },
          adopt: ({ token, session: refresh }) => Object.assign(session, { token, refresh }),
        }),
      })
      // Of a few URLs: a browser asks before each new one whether it may.
      const all = Array.from({ length: calls }, (_, n) => client.call(read, { id: n % 4 }, { timeoutMs: 55_000 }).then(() => 'ok', wordOf))
      const outcomes = await outcomesOf(all)
      await client.close()
      return { outcomes, token: session.token + ' ' + session.refresh }
    },
    /** Calls one after the other where nobody answers well. */
    async callDead(kind, name, baseUrl, calls) {
      const client = createClient({
        transports: { rest: restTransport({ baseUrl }) },
        shared: kinds[kind](name),
        retry: { baseDelayMs: 1 },
      })
      for (let id = 0; id < calls; id++) await client.call(read, { id }).catch(() => {})
      await client.close()
    },
  })
`

const why = executablePath ? '' : ' (skipped: no Chromium here)'

describe.skipIf(!executablePath)(`${count} tabs of Chromium${why}`, () => {
  let site: Server
  let browser: Browser
  let context: BrowserContext
  let tabs: Page[]
  let url: string
  /** Requests to the dead part of the site. */
  let dead = 0

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
    site = createServer((request, response) => {
      if (request.url?.startsWith('/dead')) {
        dead++
        response.writeHead(503).end()
        return
      }
      response.setHeader('content-type', 'text/html')
      response.end(`<script type="module">${script}</script>`)
    })
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
    url = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
    browser = await chromium.launch({ executablePath: executablePath as string, args: ['--no-sandbox'] })
    context = await browser.newContext()
    tabs = await Promise.all(Array.from({ length: count }, () => context.newPage()))
    await Promise.all(tabs.map((tab) => tab.goto(url)))
  })

  afterAll(async () => {
    await browser?.close()
    site?.closeAllConnections()
    await new Promise((done) => site?.close(done))
  })

  /** Runs an expression in a tab. */
  const run = <T>(tab: Page | undefined, expression: string): Promise<T> =>
    (tab as Page).evaluate(expression) as Promise<T>

  it.each(['tabs', 'indexedDb'])('hold to what a store must hold: %s', async (kind) => {
    const [cases, failed] = await run<[number, string[]]>(tabs[0], `judge('${kind}')`)
    expect(failed).toEqual([])
    expect(cases).toBeGreaterThan(10)
  })

  it('have one winner for each key of the store that lives in their memory, and count right', async () => {
    const won = await Promise.all(tabs.map((tab, index) => run<number[]>(tab, `claim('tab ${index}', 20)`)))
    expect(won.flat().sort((one, other) => one - other)).toEqual(Array.from({ length: 20 }, (_, n) => n))
    await Promise.all(tabs.map((tab) => run(tab, 'increment(5)')))
    expect(await run(tabs[3], 'claimed.get("counter")')).toBe(String(5 * count))
  })

  // Five hundred calls of twenty pages, over the six connections that a browser has for a server, and the refresh among them.
  it.each(['tabs', 'indexedDb'])('with 25 refused calls each cause one refresh: %s', async (kind) => {
    await using server = await TokenServer.start()
    server.delayMs = 200
    await Promise.all(tabs.map((tab) => run(tab, 'login()')))
    const ends = await Promise.all(
      tabs.map((tab) =>
        run(tab, `callAll('${kind}', '${kind} refresh', '${server.url}', 25, { refreshTimeoutMs: 50_000 })`),
      ),
    )
    expect(server.refreshes).toEqual(['r0'])
    expect(ends).toEqual(Array(count).fill({ outcomes: { ok: 25 }, token: 't1 r1' }))
  })

  it.each(['tabs', 'indexedDb'])('on a dead server make at most 1.35 requests a call in all: %s', async (kind) => {
    dead = 0
    await Promise.all(tabs.map((tab) => run(tab, `callDead('${kind}', '${kind} dead', '${url}/dead', 50)`)))
    console.log(`${kind}: ${dead / (count * 50)} requests a call`)
    expect(dead / (count * 50)).toBeLessThanOrEqual(1.35)
    expect(dead).toBeGreaterThan(count * 50)
  })

  it('of which one is closed in the middle of a refresh bring the token once: the others are told to log in', async () => {
    await using server = await TokenServer.start()
    server.delayMs = 600_000
    const isAsked = new Promise<void>((asked) => {
      server.onRefresh = asked
    })
    const [lost, ...others] = tabs as [Page, ...Page[]]
    await Promise.all(tabs.map((tab) => run(tab, 'login()')))
    // Long enough that it ends in the middle: one that is late already keeps its lease longer than others wait.
    const options = '{ refreshTimeoutMs: 10_000 }'
    const call = (tab: Page, calls: number) =>
      run(tab, `callAll('tabs', 'lost', '${server.url}', ${calls}, ${options})`)
    const left = call(lost, 1).catch(() => 'closed')
    await isAsked
    const refused = new Promise<void>((done) => {
      server.onCall = () => server.calls === 1 + others.length * 5 && done()
    })
    const all = Promise.all(others.map((tab) => call(tab, 5)))
    await refused
    await lost.close()
    expect(await left).toBe('closed')
    const ends = await all
    expect(ends).toEqual(Array(count - 1).fill({ outcomes: { 'unauthenticated refresh_lost': 5 }, token: 't0 r0' }))
    expect(server.refreshes).toEqual(['r0'])
  })
})
