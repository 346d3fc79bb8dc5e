import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import Fastify from 'fastify'
import { createClient, type } from 'polywire'
import { type ApiVersion, apiVersion, at, get, post, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A server that routes by its versions, each in its way. */
const app = Fastify({ forceCloseConnections: true })
let url = ''
beforeAll(async () => {
  const told = (version: string) => async (request: { url: string }) => ({ version, url: request.url })
  // Fastify's own way: `accept-version`.
  app.get('/by-header/users', { constraints: { version: '1.0.0' } }, told('1.0.0'))
  app.get('/by-header/users', { constraints: { version: '2.0.0' } }, told('2.0.0'))
  for (const version of ['v1', 'v2']) app.get(`/api/${version}/users`, told(version))
  app.get('/by-query/users', async ({ query, url }) => ({
    version: (query as Record<string, string>)['api-version'],
    url,
  }))
  app.get('/by-type/users', async ({ headers }, reply) => {
    const version = /application\/vnd\.example\.(\w+)\+json/.exec(headers.accept ?? '')?.[1] ?? 'none'
    return reply
      .type(`application/vnd.example.${version}+json`)
      .send(JSON.stringify({ version, accept: headers.accept }))
  })
  app.post('/by-type/users', async ({ headers }) => ({ type: headers['content-type'], accept: headers.accept }))
  await app.listen({ host: '127.0.0.1', port: 0 })
  url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
})
afterAll(() => app.close())

const output = type<{ version: string; url?: string; accept?: string }>()
const users = get('/users', { query: type<{ page?: number; 'api-version'?: string }>(), output })

async function ask(
  base: string,
  version: ApiVersion | undefined,
  operation: typeof users = users,
  options: Partial<RestTransportOptions> = {},
) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: `${url}${base}`, version, ...options }) },
  })
  try {
    return await client.call(operation, { page: 1 })
  } finally {
    await client.close()
  }
}

describe('apiVersion()', () => {
  it('stands in a header, the operation’s before the transport’s', async () => {
    const version = apiVersion({ in: 'header', name: 'Accept-Version', versions: ['1.0.0', '2.0.0'] })
    expect((await ask('/by-header', version('1.0.0'))).version).toBe('1.0.0')
    const second = get('/users', { query: type<{ page?: number }>(), output, version: version('2.0.0') })
    expect((await ask('/by-header', version('1.0.0'), second)).version).toBe('2.0.0')
    expect((await ask('/by-header', undefined, second)).version).toBe('2.0.0')
  })

  it('stands in the path behind baseUrl, and not in a URL that the server gave', async () => {
    const version = apiVersion({ in: 'path' })
    expect(await ask('/api', version('v2'))).toEqual({ version: 'v2', url: '/api/v2/users?page=1' })
    expect((await ask('/api/', version('v1'))).url).toBe('/api/v1/users?page=1')
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `${url}/api`, version: version('v2') }) },
    })
    expect((await client.call(users, at('/api/v1/users'))).url).toBe('/api/v1/users')
    await client.close()
  })

  it('goes to no other origin, where a link may lead: its server has versions of its own', async () => {
    const other = Fastify({ forceCloseConnections: true })
    other.get('/signed', async ({ url, headers }) => ({ url, versions: [headers['x-version'], headers.accept] }))
    const origin = await other.listen({ host: '127.0.0.1', port: 0 })
    for (const version of [
      apiVersion({ in: 'header', name: 'x-version' })('v2'),
      apiVersion({ in: 'media-type', type: 'application/vnd.example.{version}+json' })('v2'),
      apiVersion({ in: 'query' })('v2'),
      apiVersion({ in: 'path' })('v2'),
    ]) {
      const transports = { rest: restTransport({ baseUrl: url, version, origins: [origin] }) }
      const client = createClient({ transports })
      const told = await client.call(get('/any'), at(`${origin}/signed?signature=1`) as never)
      expect(told).toEqual({ url: '/signed?signature=1', versions: [null, 'application/json, */*;q=0.5'] })
      await client.close()
    }
    await other.close()
  })

  it('stands in the query, unless the call or the URL says it', async () => {
    const version = apiVersion({ in: 'query' })('2026-06-01')
    expect((await ask('/by-query', version)).url).toBe('/by-query/users?page=1&api-version=2026-06-01')
    const client = createClient({ transports: { rest: restTransport({ baseUrl: `${url}/by-query`, version }) } })
    expect((await client.call(users)).url).toBe('/by-query/users?api-version=2026-06-01')
    expect((await client.call(users, { 'api-version': 'mine' })).url).toBe('/by-query/users?api-version=mine')
    expect((await client.call(users, at('/by-query/users?api-version=old'))).url).toBe(
      '/by-query/users?api-version=old',
    )
    expect((await client.call(users, at('/by-query/users?x=1'))).url).toBe('/by-query/users?x=1&api-version=2026-06-01')
    await client.close()
  })

  it('stands in the media type that is asked for, and the reply is JSON of that type', async () => {
    const version = apiVersion({ in: 'media-type', type: 'application/vnd.example.{version}+json' })
    expect(await ask('/by-type', version('v3'))).toEqual({
      version: 'v3',
      accept: 'application/vnd.example.v3+json, */*;q=0.5',
    })
    const own = get('/users', { output, accept: 'text/csv', query: type<{ page?: number }>() })
    expect((await ask('/by-type', version('v3'), own)).accept).toBe('text/csv')
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: `${url}/by-type`, version: version('v3') }) },
    })
    const create = post('/users', { body: type<{ name: string }>(), output: type<{ type: string }>() })
    expect((await client.call(create, { name: 'a' })).type).toBe('application/json')
    await client.close()
    const parameter = apiVersion({ in: 'media-type', type: 'application/json; version={version}' })
    expect((await ask('/by-type', parameter('2'))).accept).toBe('application/json; version=2, */*;q=0.5')
  })

  it('is the call’s where the call has a header of that name', async () => {
    const version = apiVersion({ in: 'header', name: 'accept-version' })('1.0.0')
    const client = createClient({ transports: { rest: restTransport({ baseUrl: `${url}/by-header`, version }) } })
    expect((await client.call(users, {}, { headers: { 'accept-version': '2.0.0' } })).version).toBe('2.0.0')
    await client.close()
  })

  it('refuses versions that there are not, and texts that would lead elsewhere', () => {
    const version = apiVersion({ in: 'path', versions: ['v1', 'v2'] })
    // @ts-expect-error there is no such version
    expect(() => version('v3')).toThrow("there is no version 'v3', but v1, v2")
    for (const text of ['', '.', '..', '../admin', 'a/b', 'a b', 'a\r\nb', '%2e', 'é', 'a?b', 'a#b'])
      expect(() => apiVersion({ in: 'path' })(text)).toThrow('invalid_argument')
    expect(() => apiVersion({ in: 'body' } as never)).toThrow('in takes')
    expect(() => apiVersion({ in: 'media-type', type: 'application/json' })).toThrow('{version}')
    expect(() => apiVersion({ in: 'header', name: 'a b' })).toThrow('name of a header')
    expect(() => restTransport({ baseUrl: url, version: 'v1' as never })).toThrow(
      'version takes what apiVersion() makes',
    )
    expect(() => get('/users', { version: 'v1' as never })).toThrow('version takes what apiVersion() makes')
  })

  it('keeps every accepted version in its place', () => {
    const seed = Date.now() & 0xffff
    const any = fc.oneof(fc.string(), fc.stringMatching(/^[\w.~-]{1,12}$/))
    fc.assert(
      fc.property(any, any, (text, name) => {
        const request = { method: 'GET', url: 'https://api.example/v/users?x=1', headers: {} }
        let made: ApiVersion[]
        try {
          made = [apiVersion({ in: 'path' })(text), apiVersion({ in: 'query', name })(text)]
        } catch {
          return
        }
        const [path, query] = made.map((each) => new URL(each.apply(request, 'https://api.example/v').url))
        expect(path?.pathname).toBe(`/v/${text}/users`)
        expect([query?.pathname, query?.searchParams.get('x')]).toEqual(['/v/users', '1'])
        if (name !== 'x') expect(query?.searchParams.get(name)).toBe(text)
      }),
      { seed, numRuns: 500 },
    )
  })
})
