import { createClient } from 'polywire'
import { apiKeyAuth, basicAuth, bearerAuth } from 'polywire/auth'
import { type CreateFetchOptions, createFetch, operationOf, type PolywireFetch } from 'polywire/fetch'
import { restTransport } from 'polywire/rest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import { FetchOperations } from '../../../transports/fetch/operation.ts'
import { FetchInput } from '../../../transports/fetch/request.ts'
import { type LibraryServer, startLibraryServer } from '../../support/libraries/library-server.ts'

let here: LibraryServer
let there: LibraryServer
const open: { close(): Promise<void> }[] = []
beforeEach(async () => {
  here = await startLibraryServer()
  there = await startLibraryServer()
  for (const each of [here, there]) each.answer((_seen, response) => void response.end('fine'))
})
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
  await here[Symbol.asyncDispose]()
  await there[Symbol.asyncDispose]()
})

function make(options: CreateFetchOptions): PolywireFetch {
  const fetch = createFetch({ retry: { baseDelayMs: 1, throttleDelayMs: 1 }, ...options })
  open.push(fetch)
  return fetch
}

describe.each(['undici', 'fetch'] as const)('credentials by %s', (http) => {
  it('go to their own origin only', async () => {
    const origins = {
      [here.url]: { auth: bearerAuth('mine') },
      [`${there.url}/`]: { auth: apiKeyAuth('theirs', { header: 'x-key' }) },
    }
    await using other = await startLibraryServer()
    other.answer((_seen, response) => void response.end())
    const fetch = make({ http, origins })
    for (const { url } of [here, there, other]) await (await fetch(`${url}/a`)).text()
    const seen = [here, there, other].map(({ seen: [first] }) => [
      first?.headers.authorization,
      first?.headers['x-key'],
    ])
    expect(seen).toEqual([
      ['Bearer mine', undefined],
      [undefined, 'theirs'],
      [undefined, undefined],
    ])
  })

  it.each([
    ['bearer', () => bearerAuth('mine')],
    ['basic', () => basicAuth({ username: 'me', password: 'secret' })],
    ['a key in a header', () => apiKeyAuth('mine', { header: 'x-key' })],
  ])('do not follow a redirect to another origin (%s)', async (_what, auth) => {
    here.answer((_seen, response) => void response.writeHead(302, { location: `${there.url}/b` }).end())
    const response = await make({ http, origin: here.url, auth: auth() })(`${here.url}/a`)
    expect([response.status, response.url, response.redirected]).toEqual([200, `${there.url}/b`, true])
    expect(response.clone().redirected).toBe(true)
    expect(here.seen[0]?.headers).toMatchObject(/key/.test(_what) ? { 'x-key': 'mine' } : {})
    expect(there.seen[0]?.headers.authorization).toBeUndefined()
    expect(there.seen[0]?.headers['x-key']).toBeUndefined()
  })

  it('of the caller win, and are not renewed', async () => {
    here.answer((_seen, response) => void response.writeHead(401).end('no'))
    let refreshes = 0
    const auth = bearerAuth('mine', {
      refresh: async () => {
        refreshes++
      },
    })
    const response = await make({ http, origin: here.url, auth })(`${here.url}/a`, {
      headers: { Authorization: 'Own x' },
    })
    expect([response.status, await response.text(), refreshes]).toEqual([401, 'no', 0])
    expect(here.seen.map(({ headers }) => headers.authorization)).toEqual(['Own x'])
  })

  it('of the caller, in the header of a key, do not follow a redirect to another origin', async () => {
    here.answer((_seen, response) => void response.writeHead(307, { location: `${there.url}/b` }).end())
    const fetch = make({ http, origin: here.url, auth: apiKeyAuth('mine', { header: 'x-key' }) })
    const own = { 'X-Key': 'own', authorization: 'Bearer own' }
    for (const headers of [{ 'X-Key': 'own' }, own]) await (await fetch(`${here.url}/a`, { headers })).text()
    expect(here.seen.map(({ headers }) => headers['x-key'])).toEqual(['own', 'own'])
    expect(there.seen.length).toBe(2)
    for (const { headers } of there.seen)
      expect([headers['x-key'], headers.authorization]).toEqual([undefined, undefined])
  })

  it('in the query go beside what stands there', async () => {
    const auth = apiKeyAuth('k&1', { query: 'key' })
    await (await make({ http, origin: here.url, auth })(`${here.url}/a?b=1%202#c`)).text()
    expect(here.seen[0]?.path).toMatch(/^\/a\?b=1(%20|\+)2&key=k%261$/)
  })

  it('redirects as the caller says', async () => {
    here.answer((_seen, response) => void response.writeHead(302, { location: '/b' }).end())
    const fetch = make({ http })
    const manual = await fetch(`${here.url}/a`, { redirect: 'manual' })
    expect([manual.status, manual.headers.get('location'), manual.redirected]).toEqual([302, '/b', false])
    await expect(fetch(`${here.url}/a`, { redirect: 'error' })).rejects.toThrow(TypeError)
  })
})

it('over a client has the credentials of its transports by origin, and those that are said here', async () => {
  const client = createClient({
    transports: {
      a: restTransport({ baseUrl: `${here.url}/v1`, auth: bearerAuth('of the transport') }),
      b: restTransport({ baseUrl: `${there.url}/v2` }),
    },
    auth: bearerAuth('of the client'),
  })
  open.push(client)
  const fetch = createFetch(client)
  const other = createFetch(client, { origins: { [there.url]: { auth: false } } })
  await fetch(`${here.url}/x`)
  await fetch(`${there.url}/x`)
  await other(`${there.url}/x`)
  await other(`${here.url}/x`)
  expect(here.seen.map(({ headers }) => headers.authorization)).toEqual(Array(2).fill('Bearer of the transport'))
  expect(there.seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer of the client', undefined])
  await other.close()
  expect((await fetch(`${here.url}/x`)).status).toBe(200)
  await expect(other(`${here.url}/x`)).rejects.toThrow(TypeError)
})

describe('names', () => {
  const named = (path: string) => operationOf({ method: 'GET', path })
  it.each([
    ['/users/7/posts', '/users/{n}/posts'],
    ['/users/1c9e6679-7425-40de-944b-e07fc1f90ae7', '/users/{n}'],
    ['/blobs/0123456789abcdef', '/blobs/{n}'],
    ['/runs/run_abcdefghijkl0mnopqr', '/runs/{n}'],
    ['/v1/chat/completions', '/v1/chat/completions'],
    ['/a-rather-long-name-of-words', '/a-rather-long-name-of-words'],
    ['/', '/'],
  ])('of %s is %s', (path, name) => {
    expect(named(path)).toBe(`GET ${name}`)
  })

  const inputOf = (url: string, method = 'GET') =>
    new FetchInput(new URL(url), { method, record: {}, body: undefined, signal: undefined, init: {} })

  it('are a thousand for 100,000 URLs, whatever the origins', () => {
    const operations = new FetchOperations({}, () => undefined)
    const names = new Set<object>()
    const words = (n: number) => String(n).replace(/\d/g, (digit) => 'abcdefghij'[Number(digit)] as string)
    for (let n = 0; n < 100_000; n++)
      names.add(operations.of(inputOf(`https://${n % 2 ? 'api' : words(n)}.example.com/${words(n)}`)))
    expect(names.size).toBeLessThanOrEqual(1_001)
  })

  it('come from routes, else from operationOf, which may say what a route is', () => {
    const operations = new FetchOperations(
      {
        origins: {
          'https://a.test': { routes: { 'POST /charges/{id}/refund': { idempotency: 'stripe', timeoutMs: 5 } } },
        },
        operationOf: ({ path, method, headers }) =>
          path === '/search'
            ? { name: 'search', idempotent: true }
            : `${method} x ${(headers as HeaderMap).get('x') ?? ''}`,
      },
      () => undefined,
    )
    expect(operations.of(inputOf('https://a.test/charges/7/refund?q=1', 'POST'))).toMatchObject({
      name: 'POST /charges/{id}/refund',
      idempotency: 'stripe',
      isIdempotent: false,
      binding: { timeoutMs: 5 },
    })
    expect(operations.of(inputOf('https://b.test/charges/7/refund', 'POST'))).toMatchObject({ name: 'POST x ' })
    expect(operations.of(inputOf('https://a.test/search', 'POST'))).toMatchObject({
      name: 'search',
      isIdempotent: true,
    })
  })
})

it('rejects where operationOf throws or gives no name, and sends nothing', async () => {
  const thrown = new Error('no name')
  const failing = make({
    operationOf: () => {
      throw thrown
    },
  })
  const error = await failing(`${here.url}/a`).catch((cause: Error) => cause)
  expect(error).toBeInstanceOf(TypeError)
  expect((error as Error).cause).toMatchObject({ code: 'internal', cause: thrown })
  await expect(make({ operationOf: () => undefined as never })(`${here.url}/a`)).rejects.toThrow(
    /operationOf\(request\)/,
  )
  expect(here.seen).toHaveLength(0)
})

it('keeps two methods of one name apart', async () => {
  here.answer((_seen, response) => void response.writeHead(500).end())
  const fetch = make({ operationOf: () => 'one for all', maxOperations: 2 })
  for (const method of ['GET', 'POST', 'PATCH', 'PUT']) {
    here.seen.length = 0
    await (await fetch(`${here.url}/a`, { method })).text()
    expect(here.seen).toHaveLength(method === 'GET' || method === 'PUT' ? 3 : 1)
  }
})

it.each([
  [{ origin: 'api.example.com' }, /createFetch\(\{ origin \}\)/],
  [{ origin: 'self' }, /createFetch\(\{ origin \}\)/],
  [{ orgin: 'https://a.test' }, /did you mean 'origin'/],
  [{ origin: 'https://a.test', routes: { 'post /x': {} } }, /write 'post \/x' as/],
  [{ origin: 'https://a.test', routes: { 'POST /x': { idempotnt: true } } }, /idempotent/],
  [{ origin: 'https://a.test', idempotency: 'aws' }, /idempotency takes/],
  [{ maxOperations: 0 }, /maxOperations takes/],
])('refuses %o', (options, message) => {
  expect(() => createFetch(options as CreateFetchOptions)).toThrow(message)
})

it.each([
  [{ timeout: 5 }, "with(): unknown option 'timeout': did you mean 'timeoutMs'?"],
  [{ retry: 3 }, 'with(): retry takes an object'],
  [{ retry: { maxAttempt: 3 } }, "with(): unknown option 'retry.maxAttempt': did you mean 'maxAttempts'?"],
  [{ idempotencyKey: 3 }, 'with(): idempotencyKey takes a text'],
])('refuses with(%o)', (options, message) => {
  expect(() => createFetch().with(options as never)).toThrow(message)
})

it('takes what with() takes, and nothing that says nothing', () => {
  const all = { headers: {}, signal: undefined, deadline: 1, idempotencyKey: 'k', retry: false, timeoutMs: 0 } as const
  expect(createFetch().with(all).with({})).toBeTypeOf('function')
})
