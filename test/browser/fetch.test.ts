import type { Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { type Handler, type LibraryServer, startLibraryServer } from '../support/libraries/library-server.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'

/** What the page offers to the tests: faces by name, and the class that Responses have. */
const program = `
  import { apiKeyAuth, bearerAuth } from 'polywire/auth'
  import { createFetch } from 'polywire/fetch'
  import { virtualClock } from 'polywire/testing'
  window.make = (origin, options = {}) =>
    createFetch({ origin, retry: { baseDelayMs: 1, throttleDelayMs: 1 }, routes: { 'POST /keyed': { idempotent: true } }, ...options })
  Object.assign(window, { apiKeyAuth, bearerAuth, virtualClock })
`

describe.skipIf(!chromium)(`a fetch face in Chromium${why}`, () => {
  let site: BrowserSite
  let page: Page
  let here: LibraryServer
  let there: LibraryServer

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
    // One page for all: each test has faces and servers of its own.
    ;({ page } = await site.visit())
  })
  afterAll(() => site?.close())
  beforeEach(async () => {
    here = await startLibraryServer()
    there = await startLibraryServer()
  })
  afterEach(async () => {
    await here[Symbol.asyncDispose]()
    await there[Symbol.asyncDispose]()
  })

  const allowed = {
    'access-control-allow-origin': '*',
    'access-control-allow-headers': 'authorization, x-key, content-type',
    'access-control-allow-methods': '*',
    'access-control-expose-headers': '*',
  }
  /** Answers preflights, and each request as it is told. */
  const answer = (server: LibraryServer, ...handlers: Handler[]): void =>
    server.answer((seen, response) => {
      for (const [name, value] of Object.entries(allowed)) response.setHeader(name, value)
      if (seen.method === 'OPTIONS') response.writeHead(204).end()
      else (handlers.length > 1 ? handlers.shift() : handlers[0])?.(seen, response)
    })
  const requests = ({ seen }: LibraryServer) => seen.filter(({ method }) => method !== 'OPTIONS')
  const busy: Handler = (_seen, response) => void response.writeHead(503).end('busy')
  const fine: Handler = (_seen, response) => void response.end('fine')
  const run = <T>(code: string): Promise<T> =>
    page.evaluate(`(async () => { const url = ${JSON.stringify(here.url)}; ${code} })()`)

  it('hides two 503, and gives the Response of the browser itself', async () => {
    answer(here, busy, busy, fine)
    const got = await run(`
      const response = await make(url)(url + '/a?b=1#c')
      return [response.constructor === Response, Object.keys(response), response.status, response.url, await response.text()]
    `)
    expect(got).toEqual([true, [], 200, `${here.url}/a?b=1`, 'fine'])
    expect(requests(here)).toHaveLength(3)
  })

  it('gives the last error whole, and says that it was tried', async () => {
    answer(here, busy)
    const got = await run(`
      const response = await make(url)(url + '/a')
      const clone = response.clone()
      return [response.status, response.url, clone.url, response.headers.get('x-should-retry'), await clone.text(), await response.text()]
    `)
    expect(got).toEqual([503, `${here.url}/a`, `${here.url}/a`, 'false', 'busy', 'busy'])
    expect(requests(here)).toHaveLength(3)
  })

  it('sends the body of a Request twice, over HTTP/1.1', async () => {
    answer(here, busy, fine)
    const got = await run(`
      const headers = { 'content-type': 'application/json' }
      const response = await make(url)(new Request(url + '/keyed', { method: 'POST', body: '{"a":1}', headers }))
      return await response.text()
    `)
    expect(got).toBe('fine')
    expect(requests(here).map(({ body, headers }) => [body.toString(), headers['content-type']])).toEqual(
      Array(2).fill(['{"a":1}', 'application/json']),
    )
  })

  it('ends with the reason of an abort before the head and behind it', async () => {
    answer(here, (seen, response) => {
      if (seen.path === '/silent') return
      response.writeHead(200)
      response.write('a')
    })
    const got = await run(`
      const fetch = make(url)
      const reasons = []
      for (const path of ['/silent', '/drip']) {
        const abort = new AbortController()
        const reason = new Error('enough')
        const pending = fetch(url + path, { signal: abort.signal })
        const reading = path === '/drip' ? (await pending).text() : pending
        abort.abort(reason)
        reasons.push((await reading.catch((error) => error)) === reason)
      }
      return reasons
    `)
    expect(got).toEqual([true, true])
  })

  it('is bounded by a deadline while a body is read', async () => {
    answer(here, (_seen, response) => {
      response.writeHead(200)
      response.write('a')
    })
    const got = await run(`
      const clock = virtualClock()
      const fetch = make(url, { clock })
      const within = (ms) => fetch.with({ deadline: clock.wallNow() + ms })
      const reader = (await within(300)(url + '/a')).body.getReader()
      const first = await reader.read()
      const error = reader.read().catch((error) => error)
      await clock.advance(300)
      // Of what a stream of the page's fails with, text() itself tells no more than that it failed.
      const told = (await within(300)(url + '/a')).text().catch((error) => error)
      await clock.advance(300)
      return [first.value.length, (await error).name, (await error).cause.code, (await told).name]
    `)
    expect(got).toEqual([1, 'TimeoutError', 'deadline_exceeded', 'TypeError'])
  })

  it('gives no credential to another origin behind a redirect', async () => {
    answer(here, (_seen, response) => void response.writeHead(302, { location: `${there.url}/b` }).end())
    answer(there, fine)
    const bearer = await run(`
      const response = await make(url, { auth: bearerAuth('mine') })(url + '/a')
      return [response.redirected, await response.text()]
    `)
    expect(bearer).toEqual([true, 'fine'])
    expect(requests(there).map(({ headers }) => headers.authorization)).toEqual([undefined])
    const key = await run(`
      const error = await make(url, { auth: apiKeyAuth('mine', { header: 'x-key' }) })(url + '/a').catch((error) => error)
      return [error.constructor.name, error.cause.message]
    `)
    expect(key).toEqual(['TypeError', expect.stringMatching(/redirect while a credential header is set/)])
    expect(requests(there)).toHaveLength(1)
  })

  it('rejects as a browser does where nothing answers, and takes relative URLs', async () => {
    const got = await run<unknown[]>(`
      const error = await make('http://127.0.0.1:9')('http://127.0.0.1:9/a').catch((error) => error)
      const self = make('self')
      return [error.constructor.name, error.message, error.cause.code, error.cause.attempt, (await self('/')).status]
    `)
    expect(got).toEqual(['TypeError', 'fetch failed', 'unavailable', 3, 200])
  })

  it('stands in the place of window.fetch', async () => {
    answer(here, busy, fine)
    const got = await run(`
      window.fetch = make(url)
      return await (await fetch(url + '/a')).text()
    `)
    expect(got).toBe('fine')
  })
})
