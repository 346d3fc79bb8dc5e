import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { adapt, continueWith, createClient, failover, isCallError, type Operation, poll, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { query as graphql, graphqlTransport } from 'polywire/graphql'
import { at, cursorPages, get, openapi, post, put, type RestTransportOptions, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { memoryTransport } from 'polywire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'

interface Seen {
  readonly line: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}
type Answer = (request: IncomingMessage, response: ServerResponse) => void

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const json = (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

/** A server of its own origin, and what it was asked. */
async function serve(answer: Answer = (request, response) => json(response, { url: request.url })) {
  const seen: Seen[] = []
  const made = { origin: '', seen, answer, lines: () => seen.map(({ line }) => line) }
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url, headers } = request
      seen.push({ line: `${method} ${url}`, headers, body: String(Buffer.concat(chunks)) })
      made.answer(request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  made.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  closers.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return made
}

let api: Awaited<ReturnType<typeof serve>>
let other: Awaited<ReturnType<typeof serve>>
beforeEach(async () => {
  api = await serve()
  other = await serve()
})

interface Job {
  url: string
}
const job = get('/jobs/{id}', { query: type<{ full?: boolean }>(), output: type<Job>() })
const start = post('/jobs', { body: type<{ name: string }>(), output: type<object>() })

async function refused(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw new Error(`no CallError but ${String(error)}`)
  return error
}

describe.each(['undici', 'fetch'] as const)('at(), by %s', (http) => {
  let refreshes = 0
  function connect(options: Partial<RestTransportOptions> = {}) {
    refreshes = 0
    const client = createClient({
      transports: {
        rest: restTransport({ baseUrl: `${api.origin}/v1`, http, ...options }),
        sse: sseTransport({ baseUrl: `${api.origin}/v1`, http, origins: [other.origin], headers: { 'x-own': '1' } }),
      },
      retry: { baseDelayMs: 1, throttleDelayMs: 1 },
      auth: bearerAuth(() => 'good', { refresh: () => `newer ${++refreshes}` }),
    })
    closers.push(() => client.close())
    return client
  }

  it('calls the Location of a reply, relative or not, in place of the input', async () => {
    api.answer = (request, response) =>
      request.method === 'POST'
        ? json(response, {}, 202, { location: '/elsewhere/7?token=a%2Fb+c' })
        : json(response, { url: request.url })
    const { jobs } = connect().bind({ jobs: { start, get: job } })
    const { headers } = await jobs.start.reply({ name: 'x' })
    const location = headers.get('location') as string
    expect(location).toBe(`${api.origin}/elsewhere/7?token=a%2Fb+c`)
    expect(await jobs.get(at(location))).toEqual({ url: '/elsewhere/7?token=a%2Fb+c' })
    expect(await jobs.get(at(new URL(location)))).toEqual({ url: '/elsewhere/7?token=a%2Fb+c' })
    expect(api.seen.map((each) => each.headers.authorization)).toEqual(['Bearer good', 'Bearer good', 'Bearer good'])
  })

  it('resolves what is relative against baseUrl, and leaves a fragment out', async () => {
    const { get } = connect().bind({ get: job })
    await get(at('/v1/jobs/7#top'))
    await get(at('jobs/8'))
    await get(at('?page=2'))
    await get(at(`${api.origin}/a/../b`))
    expect(api.lines()).toEqual(['GET /v1/jobs/7', 'GET /v1/jobs/8', 'GET /v1/?page=2', 'GET /b'])
  })

  it('the rest wins over parameters of the URL, the defaults of the transport only fill in', async () => {
    const client = connect({ query: { api: '3', page: '1' } })
    await client.call(job, at('/jobs?page=7&full=x&sig=%2f%2F'))
    await client.call(job, at('/jobs?page=7&full=x&sig=%2f%2F', { full: true }))
    expect(api.lines()).toEqual([
      'GET /jobs?page=7&full=x&sig=%2f%2F&api=3',
      'GET /jobs?page=7&sig=%2f%2F&api=3&full=true',
    ])
  })

  it('a PUT takes its body from the rest, validated', async () => {
    const rename = put('/jobs/{id}', { body: z.object({ name: z.string().trim() }) })
    const client = connect()
    await client.call(rename, at('/jobs/9', { name: ' x ' }))
    expect([api.seen[0]?.line, api.seen[0]?.body]).toEqual(['PUT /jobs/9', '{"name":"x"}'])
    const error = await refused(client.call(rename, at('/jobs/9', { name: 1 as never })))
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(error.violations).toHaveLength(1)
    expect(api.seen).toHaveLength(1)
  })

  it('a schema of the query is not asked for what the URL holds', async () => {
    const find = get('/find', { query: z.object({ q: z.string() }) })
    await connect().call(find, at('/find?q=x'))
    expect(api.lines()).toEqual(['GET /find?q=x'])
  })

  it('pages() and items() begin at a URL and go on from there by cursor', async () => {
    const list = get('/users', {
      query: type<{ size?: number }>(),
      output: type<{ users: number[]; next_cursor?: string }>(),
      paginate: cursorPages({ items: 'users', next: 'next_cursor' }),
    })
    api.answer = (request, response) =>
      json(response, request.url?.includes('cursor=c') ? { users: [3] } : { users: [1, 2], next_cursor: 'c' })
    const bound = connect().bind({ list })
    const all: number[] = []
    for await (const user of bound.list.items(at('/v1/users?size=2&cursor=b'))) all.push(user)
    for await (const page of bound.list.pages(at('/v1/users?size=2&cursor=b'))) all.push(...page.users)
    expect(all).toEqual([1, 2, 3, 1, 2, 3])
    expect(api.lines().slice(0, 2)).toEqual(['GET /v1/users?size=2&cursor=b', 'GET /v1/users?size=2&cursor=c'])
  })

  it('nested inputs, adapted ones and those of a description take it too', async () => {
    const nested = put('/jobs/{id}', { shape: 'nested', body: type<string>(), query: type<{ dry?: boolean }>() })
    const adapted = adapt(job, { input: ({ job }: { job: number }) => ({ id: job }), output: ({ url }) => url })
    const described = openapi<{
      '/jobs/{id}': {
        get: { parameters: { path: { id: string } }; responses: { 200: { content: { 'application/json': Job } } } }
      }
    }>().get('/jobs/{id}')
    const client = connect()
    await client.call(nested, at('/n', { body: 'text', query: { dry: true } }))
    expect([api.seen[0]?.line, api.seen[0]?.body]).toEqual(['PUT /n?dry=true', 'text'])
    expect(await client.call(adapted, at('/adapted'))).toBe('/adapted')
    expect(await client.call(described, at('/described'))).toEqual({ url: '/described' })
  })

  it('an event stream is opened at a URL, and again with its cursor', async () => {
    const feed = events('/feed/{id}', { tick: type<number>() }, { until: 'end' })
    api.answer = (request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      if (request.headers['last-event-id'] === '1') response.end('id: 2\nevent: tick\ndata: 2\n\nevent: end\ndata:\n\n')
      else response.write('retry: 1\nid: 1\nevent: tick\ndata: 1\n\n', () => request.socket.destroy())
    }
    const got: number[] = []
    for await (const { data } of connect().call(feed, at('/live?run=9'))) got.push(data)
    expect(got).toEqual([1, 2])
    expect(api.lines()).toEqual(['GET /live?run=9', 'GET /live?run=9'])
  })

  it('a stream that one operation began goes on at the URL that its head has given', async () => {
    const watch = events('/runs/{id}', { tick: type<number>() }, { until: 'end' })
    const run = events(
      '/runs',
      { tick: type<number>() },
      {
        method: 'POST',
        body: type<{ name: string }>(),
        until: 'end',
        resume: continueWith(watch, ({ head }) => at(head?.headers.get('location') ?? '/')),
      },
    )
    api.answer = (request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', location: '/v1/runs/9?token=x' })
      if (request.method === 'GET') response.end('id: 2\nevent: tick\ndata: 2\n\nevent: end\ndata:\n\n')
      else response.write('retry: 1\nid: 1\nevent: tick\ndata: 1\n\n', () => request.socket.destroy())
    }
    const got: number[] = []
    for await (const { data } of connect().call(run, { name: 'x' })) got.push(data)
    expect(got).toEqual([1, 2])
    expect(api.lines()).toEqual(['POST /v1/runs', 'GET /v1/runs/9?token=x'])
    expect(api.seen[1]?.headers['last-event-id']).toBe('1')
  })

  it('a declared resume goes on at the same URL', async () => {
    const resume = {
      cursor: (event: { data: number }) => event.data,
      apply: (input: object, since: string) => ({ ...input, since }),
    }
    const feed = events(
      '/feed/{id}',
      { tick: type<number>() },
      { until: 'end', query: type<{ since?: string }>(), resume },
    )
    api.answer = (request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      if (request.url?.includes('since=1')) response.end('event: tick\ndata: 2\n\nevent: end\ndata:\n\n')
      else response.write('retry: 1\nevent: tick\ndata: 1\n\n', () => request.socket.destroy())
    }
    const got: number[] = []
    for await (const { data } of connect().call(feed, at('/live?run=9&since=0'))) got.push(data)
    expect(got).toEqual([1, 2])
    expect(api.lines()).toEqual(['GET /live?run=9&since=0', 'GET /live?run=9&since=1'])
  })

  it('another origin is refused, unsent, by name and without the URL', async () => {
    const client = connect()
    const url = `${other.origin}/jobs/7?secret=s3cret`
    const feed = events('/feed/{id}', { tick: type<number>() })
    for (const call of [
      () => client.call(job, at(url)),
      () => client.bind({ job }).job.reply(at(url)),
      () => client.call(job, at('//127.0.0.1:1/x')),
      () => client.call(feed, at('https://evil.example/x')).opened,
    ]) {
      const error = await refused(call())
      expect(error).toMatchObject({ code: 'permission_denied', sent: 'no', attempt: 0 })
      expect(error.message).toMatch(/Transport\(\{ origins: \['http/)
      expect(error.message).not.toContain('s3cret')
    }
    expect((await refused(client.call(job, at('https://evil')))).message).toContain('GET /jobs/{id}')
    expect([api.seen, other.seen]).toEqual([[], []])
  })

  it('a listed origin gets the call without credential, without headers and defaults of the transport', async () => {
    other.answer = (_request, response) => response.writeHead(401).end()
    const client = connect({
      origins: [other.origin],
      headers: { 'X-Tenant-Key': 'k', cookie: 'a=b' },
      query: { key: 'k' },
    })
    const error = await refused(
      client.call(job, at(`${other.origin}/jobs/7?a=1`, { full: true }), { headers: { 'x-mine': 'm' } }),
    )
    expect(error).toMatchObject({ code: 'unauthenticated', operation: 'GET /jobs/{id}' })
    expect(refreshes).toBe(0)
    expect(other.lines()).toEqual(['GET /jobs/7?a=1&full=true'])
    const { headers } = other.seen[0] as Seen
    expect(headers).toMatchObject({ 'x-mine': 'm', accept: 'application/json, */*;q=0.5' })
    for (const name of ['authorization', 'cookie', 'x-tenant-key']) expect(headers[name], name).toBeUndefined()
    const feed = events('/feed/{id}', { tick: type<number>() })
    await refused(client.call(feed, at(`${other.origin}/feed`)).opened as Promise<unknown>)
    expect(other.seen[1]?.headers).toMatchObject({ accept: 'text/event-stream' })
    expect([other.seen[1]?.headers.authorization, other.seen[1]?.headers['x-own']]).toEqual([undefined, undefined])
  })

  it('what an interceptor adds as a credential stays at home, what the call names goes along', async () => {
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: api.origin, http, origins: [other.origin] }) },
      interceptors: [(call, next) => next(call.withHeaders({ authorization: 'Bearer own', 'x-trace': 't' }))],
    })
    closers.push(() => client.close())
    await client.call(job, at(`${other.origin}/1`))
    const loud = client.call(job, at(`${other.origin}/2`), { headers: { 'X-Api-Key': 'meant' } })
    await loud
    expect(
      other.seen.map((each) => [each.headers.authorization, each.headers['x-api-key'], each.headers['x-trace']]),
    ).toEqual([
      [undefined, undefined, 't'],
      [undefined, 'meant', 't'],
    ])
  })

  it('a redirect from the URL to another origin gets no credential', async () => {
    api.answer = (_request, response) => response.writeHead(302, { location: `${other.origin}/there` }).end()
    await connect().call(job, at('/moved'))
    expect(other.lines()).toEqual(['GET /there'])
    expect(other.seen[0]?.headers.authorization).toBeUndefined()
  })

  it('retries go to the same URL', async () => {
    api.answer = (_request, response) => json(response, {}, api.seen.length < 3 ? 503 : 200)
    await connect().call(job, at('/jobs/1?x=1'))
    expect(api.lines()).toEqual(['GET /jobs/1?x=1', 'GET /jobs/1?x=1', 'GET /jobs/1?x=1'])
  })

  it.each([
    ['null', null, 'not null'],
    ['a number', 7, 'not number'],
    ['nothing', undefined, 'not undefined'],
    ['no URL', 'http://[', 'no URL'],
    ['another scheme', 'ftp://a.example/x', 'no http URL'],
    ['a script', 'javascript:alert(1)', 'no http URL'],
    ['a user name', 'http://user:pass@a.example/', 'no user name'],
  ])('refuses %s, unsent', async (_name, url, message) => {
    const error = await refused(connect().call(job, at(url as never)))
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(error.message).toContain(message)
    expect(error.message).not.toContain('pass@')
    expect(api.seen).toHaveLength(0)
  })

  it('refuses a path name beside the URL that holds it', async () => {
    const error = await refused(connect().call(job, at('/jobs/7', { id: 8 } as never)))
    expect(error.message).toContain("'id' stands in the URL already")
    expect(api.seen).toHaveLength(0)
  })
})

describe('at() elsewhere', () => {
  const connect = () => {
    const client = createClient({ transports: { rest: restTransport({ baseUrl: api.origin }) } })
    closers.push(() => client.close())
    return client
  }

  it('is refused by failover(), whose routes are of several servers', async () => {
    const either = failover(job, get('/jobs/{id}/copy', { query: type<{ full?: boolean }>(), output: type<Job>() }))
    const error = await refused(connect().call(either, at('/jobs/7')))
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(error.message).toContain('call the operation of one route')
    expect(api.seen).toHaveLength(0)
  })

  it('says where poll() begins', async () => {
    const list = get('/items', { query: type<{ after?: string }>(), output: type<{ items: number[] }>() })
    const items = poll(list, {
      messages: ({ items }) => items,
      cursor: (item) => item,
      apply: (input, after) => ({ ...input, after }),
      until: ({ items }) => items.includes(2),
      everyMs: 0,
    })
    api.answer = (request, response) => json(response, { items: request.url?.includes('after=1') ? [2] : [1] })
    const got: number[] = []
    for await (const item of connect().call(items, at('/elsewhere?run=9'))) got.push(item)
    expect(got).toEqual([1, 2])
    expect(api.lines()).toEqual(['GET /elsewhere?run=9', 'GET /elsewhere?run=9&after=1'])
  })

  it('is refused by protocols whose calls have no URL of their own', async () => {
    const client = createClient({ transports: { graphql: graphqlTransport({ url: `${api.origin}/graphql` }) } })
    closers.push(() => client.close())
    const users = graphql('query Users { users }', { output: type<object>() })
    const error = await refused(client.call(users as Operation<'graphql', never>, at('/x')) as Promise<unknown>)
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(api.seen).toHaveLength(0)
  })

  it('whatever URL a server gives: a call at home, or one error that sends nothing (random)', async () => {
    const asked: [url: string, headers: Record<string, string>][] = []
    const http = async (url: string, init: Record<string, unknown>) => {
      asked.push([url, init.headers as Record<string, string>])
      return Response.json({ url })
    }
    const listed = 'https://files.example'
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: 'https://api.example/v1', origins: [listed], http }) },
      auth: bearerAuth('s3cret'),
      retry: false,
    })
    closers.push(() => client.close())
    const mark = fc.constantFrom(
      '/',
      '//',
      '\\',
      '..',
      '?',
      '#',
      '@',
      ':',
      '%2e',
      '%2F',
      ' ',
      '\t',
      '\n',
      '.',
      '&full=x',
      '=',
    )
    const begin = fc.constantFrom(
      '',
      'https:',
      'https://',
      'https://api.example',
      listed,
      'http://api.example',
      'javascript:',
      'data:',
    )
    const url = fc.oneof(
      fc
        .tuple(begin, fc.array(fc.oneof(mark, fc.string({ maxLength: 3 })), { maxLength: 8 }))
        .map(([a, b]) => a + b.join('')),
      fc.webUrl({ withQueryParameters: true, withFragments: true }),
      fc.string(),
    )
    await fc.assert(
      fc.asyncProperty(url, fc.boolean(), async (href, full) => {
        asked.length = 0
        const outcome = await client.call(job, full ? at(href, { full }) : at(href)).catch((error: unknown) => error)
        if (isCallError(outcome)) {
          expect([outcome.sent, asked.length]).toEqual(['no', 0])
          expect(['invalid_argument', 'permission_denied']).toContain(outcome.code)
          return
        }
        const [to = '', headers = {}] = asked[0] ?? []
        const { origin, pathname, hash, username, searchParams } = new URL(to)
        const meant = new URL(href, 'https://api.example/v1/')
        expect([origin, pathname, hash, username]).toEqual([meant.origin, meant.pathname, '', ''])
        expect(['https://api.example', listed]).toContain(origin)
        expect(headers.authorization).toBe(origin === listed ? undefined : 'Bearer s3cret')
        if (full) expect(searchParams.getAll('full')).toEqual(['true'])
      }),
      { numRuns: 2000 },
    )
  })

  it('reaches a transport without a wire, which sees the URL', async () => {
    const inputs: unknown[] = []
    const rest = memoryTransport({
      protocol: 'rest',
      handle: ({ input }) => {
        inputs.push((input as { params: unknown }).params)
        return { url: '' }
      },
    })
    const client = createClient({ transports: { rest } })
    closers.push(() => client.close())
    await client.call(job, at('https://api.example/jobs/7'))
    expect(inputs).toEqual([{ at: 'https://api.example/jobs/7' }])
  })

  it('a transport on a console shows none of its options', () => {
    const transport = restTransport({ baseUrl: api.origin, headers: { 'x-key': 's3cret' } })
    expect(JSON.stringify(transport)).not.toContain('s3cret')
  })
})
