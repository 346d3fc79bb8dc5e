import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { type ClientOptions, createClient, createContextKey } from 'polywire'
import { bearerAuth, sessionAuth } from 'polywire/auth'
import { cookieJar } from 'polywire/cookies'
import { del, get, type HttpCacheOptions, type HttpCacheStore, httpCache, post, restTransport } from 'polywire/rest'
import { cacheStores } from 'undici'
import { afterEach, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

type Handler = (request: IncomingMessage, response: ServerResponse, nth: number) => void

/** A server that counts, and a client whose answers are kept. */
async function world(handle: Handler, options: HttpCacheOptions = {}, more: Partial<ClientOptions<never>> = {}) {
  const seen: string[] = []
  const server = createServer((request, response) => {
    const { authorization = '-', 'if-none-match': tag } = request.headers
    seen.push(`${request.method} ${request.url} ${authorization}${tag ? ` ${tag}` : ''}`)
    handle(request, response, seen.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const cache = httpCache(options)
  const client = createClient({
    transports: { rest: restTransport({ baseUrl, cache }) },
    retry: false,
    ...more,
  } as never)
  closing.push(
    () => client.close(),
    () => new Promise((resolve) => server.close(resolve)),
  )
  return { client, seen, baseUrl, cache }
}

const json = (response: ServerResponse, body: unknown, headers: Record<string, string>, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body))

const thing = get('/thing')

it('an answer is used again while it is fresh, and the call sees no difference but its age', async () => {
  const { client, seen } = await world((_request, response, nth) =>
    json(response, { nth }, { 'cache-control': 'max-age=60' }),
  )
  expect(await client.call(thing)).toEqual({ nth: 1 })
  const { message, status, headers } = await client.bind({ thing }).thing.reply()
  expect([message, status]).toEqual([{ nth: 1 }, 200])
  expect(headers.get('age')).toMatch(/^\d+$/)
  expect(seen).toEqual(['GET /thing -'])
})

it('without httpCache() nothing is kept', async () => {
  const { client, baseUrl, seen } = await world((_request, response, nth) =>
    json(response, { nth }, { 'cache-control': 'max-age=60' }),
  )
  const plain = createClient({ transports: { rest: restTransport({ baseUrl }) } })
  await plain.call(thing)
  await plain.call(thing)
  await plain.close()
  await client.call(thing)
  expect(seen).toHaveLength(3)
})

const validators: readonly [string, Record<string, string>][] = [
  ['ETag', { etag: '"v1"', 'cache-control': 'no-cache' }],
  ['Last-Modified and no lifetime: no heuristics', { etag: '"v1"', 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }],
]
it.each(validators)(
  '%s: it is validated each time, and a 304 gives the message that is kept',
  async (_name, headers) => {
    const { client, seen } = await world((request, response, nth) =>
      request.headers['if-none-match'] === '"v1"'
        ? response.writeHead(304, headers).end()
        : json(response, { nth }, headers),
    )
    expect(await client.call(thing)).toEqual({ nth: 1 })
    expect(await client.call(thing)).toEqual({ nth: 1 })
    expect(seen).toEqual(['GET /thing -', 'GET /thing - "v1"'])
  },
)

it('heuristics: true uses what names no lifetime for a tenth of its age', async () => {
  const headers = { 'last-modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }
  const { client, seen } = await world((_request, response, nth) => json(response, { nth }, headers), {
    heuristics: true,
  })
  await client.call(thing)
  await client.call(thing)
  expect(seen).toHaveLength(1)
})

it.each([
  ['no-store', { 'cache-control': 'no-store, max-age=60' }],
  ['Vary: *', { 'cache-control': 'max-age=60', vary: '*' }],
  ['what names neither a lifetime nor a date', { etag: '"v1"' }],
  ['max-age=0 without a validator', { 'cache-control': 'max-age=0' }],
])('%s is not used again', async (_name, headers) => {
  const { client, seen } = await world((_request, response, nth) => json(response, { nth }, headers))
  await client.call(thing)
  expect(await client.call(thing)).toEqual({ nth: 2 })
  expect(seen).toHaveLength(2)
})

it('s-maxage is for shared caches: it says nothing here', async () => {
  const { client } = await world((_request, response, nth) =>
    json(response, { nth }, { 'cache-control': 's-maxage=60, max-age=0' }),
  )
  await client.call(thing)
  expect(await client.call(thing)).toEqual({ nth: 2 })
})

it('private answers are kept: this cache is private', async () => {
  const { client } = await world((_request, response, nth) =>
    json(response, { nth }, { 'cache-control': 'private, max-age=60' }),
  )
  await client.call(thing)
  expect(await client.call(thing)).toEqual({ nth: 1 })
})

it('Vary: another header is another answer', async () => {
  const { client, seen } = await world((request, response) =>
    json(response, request.headers['x-lang'], { 'cache-control': 'max-age=60', vary: 'x-lang' }),
  )
  const in_ = (lang: string) => client.call(thing, {}, { headers: { 'x-lang': lang } })
  expect([await in_('de'), await in_('en'), await in_('de'), await in_('en')]).toEqual(['de', 'en', 'de', 'en'])
  expect(seen).toHaveLength(2)
})

it('stale-if-error: what is kept stands in for a server that fails', async () => {
  const { client, seen } = await world((_request, response, nth) =>
    nth === 1
      ? json(response, { nth }, { etag: '"v1"', 'cache-control': 'max-age=0, stale-if-error=60' })
      : json(response, {}, {}, 500),
  )
  await client.call(thing)
  expect(await client.call(thing)).toEqual({ nth: 1 })
  expect(seen).toHaveLength(2)
})

const stale = { etag: '"v1"', 'cache-control': 'max-age=0, stale-while-revalidate=60' }

it('stale-while-revalidate: what is kept is given at once, and read anew behind it, by the same credential', async () => {
  const auth = { name: 'tokens', credential: () => ({ headers: { authorization: 'Bearer x' } }) }
  const { client, seen } = await world((_request, response, nth) => json(response, { nth }, stale), {}, { auth })
  await client.call(thing)
  expect(await client.call(thing)).toEqual({ nth: 1 })
  while (((await client.call(thing)) as { nth: number }).nth < 2) await new Promise(setImmediate)
  expect(seen.slice(0, 2)).toEqual(['GET /thing Bearer x', 'GET /thing Bearer x "v1"'])
})

it('stale-while-revalidate: a server is asked once at a time, and given up where it does not answer', async () => {
  const clock = manualClock()
  let closed = 0
  const { client, seen } = await world(
    (request, response, nth) => {
      if (nth === 1) json(response, { nth }, stale)
      else request.socket.once('close', () => closed++)
    },
    {},
    { clock },
  )
  for (let call = 0; call < 20; call++) expect(await client.call(thing)).toEqual({ nth: 1 })
  while (seen.length < 2) await new Promise(setImmediate)
  expect([seen.length, closed]).toEqual([2, 0])
  await clock.advance(30_000)
  while (closed < 1) await new Promise(setImmediate)
  expect(clock.timers).toBe(0)
  // From then on the next call asks again.
  await client.call(thing)
  while (seen.length < 3) await new Promise(setImmediate)
})

it.each(['synchronous', 'asynchronous'])('what a 304 renews is of its own answer alone: a %s store', async (kind) => {
  const memory = new cacheStores.MemoryCacheStore()
  const store: HttpCacheStore = {
    get: (key) => (kind === 'synchronous' ? memory.get(key) : Promise.resolve(memory.get(key))),
    createWriteStream: (key, value) => memory.createWriteStream(key, value),
    delete: (key) => memory.delete(key),
  }
  const { client } = await world(
    (request, response) => {
      // The last one is fresh, so that nothing mends what another one has written there.
      const hold = request.url === '/c' ? 'max-age=60' : stale['cache-control']
      const own = { etag: `"${request.url}"`, 'x-of': String(request.url), 'cache-control': hold }
      if (request.headers['if-none-match']) response.writeHead(304, own).end()
      else json(response, request.url, own)
    },
    { store: () => store },
  )
  const calls = ['a', 'b', 'c'].map((name) => client.bind({ read: get(`/${name}`) }).read)
  for (let round = 0; round < 5; round++) {
    const read = await Promise.all(calls.map((call) => call.reply()))
    expect(read.map(({ headers }) => headers.get('x-of'))).toEqual(['/a', '/b', '/c'])
    expect(read.map(({ headers }) => headers.get('etag'))).toEqual(['"/a"', '"/b"', '"/c"'])
    await new Promise(setImmediate)
  }
})

it.each([
  ['POST', post('/thing')],
  ['DELETE', del('/thing')],
])('%s makes what is kept of its URL invalid, where it succeeds', async (_name, change) => {
  let status = 500
  const { client } = await world((request, response, nth) =>
    json(response, { nth }, { 'cache-control': 'max-age=60' }, request.method === 'GET' ? 200 : status),
  )
  expect(await client.call(thing)).toEqual({ nth: 1 })
  await client.call(change as typeof thing).catch(() => {})
  expect(await client.call(thing)).toEqual({ nth: 1 })
  status = 200
  await client.call(change as typeof thing)
  expect(await client.call(thing)).toEqual({ nth: 4 })
})

const user = createContextKey('a')
const byContext = {
  name: 'tokens',
  identity: ({ context }: { context: { get(key: typeof user): string } }) => context.get(user),
  credential: ({ context }: { context: { get(key: typeof user): string } }) => ({
    headers: { authorization: `Bearer ${context.get(user)}` },
    secret: context.get(user),
  }),
}
const whoami = (request: IncomingMessage, response: ServerResponse) =>
  json(response, request.headers.authorization ?? 'nobody', { 'cache-control': 'max-age=60', etag: '"same"' })

it('no answer of one identity is given to another, whatever the server forgets to say', async () => {
  const { client, seen } = await world(whoami, {}, { auth: byContext as never })
  for (const name of ['a', 'b', 'a', 'b'])
    expect(await client.call(thing, {}, { context: user.with(name) })).toBe(`Bearer ${name}`)
  expect(seen).toEqual(['GET /thing Bearer a', 'GET /thing Bearer b'])
})

it('a 401 is of its credential, which the cache does not see: the renewed one is asked with', async () => {
  const { client, seen } = await world(
    (request, response) =>
      request.headers.authorization === 'Bearer new'
        ? json(response, 'welcome', { 'cache-control': 'max-age=60' })
        : json(response, {}, { 'cache-control': 'max-age=60' }, 401),
    {},
    { auth: bearerAuth(() => 'old', { refresh: () => 'new', identity: () => 'ada' }) },
  )
  expect(await client.call(thing)).toBe('welcome')
  expect(seen).toEqual(['GET /thing Bearer old', 'GET /thing Bearer new'])
})

it('without identity() each credential is somebody; a credential or a cookie of a call is nobody that comes again', async () => {
  let token = 'a'
  const auth = { name: 'token', credential: () => ({ headers: { authorization: `Bearer ${token}` }, secret: token }) }
  const { client, seen } = await world(whoami, {}, { auth: auth as never })
  await client.call(thing)
  token = 'b'
  expect(await client.call(thing)).toBe('Bearer b')
  const own = { headers: { authorization: 'Bearer mine' } }
  await client.call(thing, {}, own)
  await client.call(thing, {}, own)
  expect(seen).toEqual([
    'GET /thing Bearer a',
    'GET /thing Bearer b',
    'GET /thing Bearer mine',
    'GET /thing Bearer mine',
  ])
  const cookies = await world((request, response) =>
    json(response, request.headers.cookie, { 'cache-control': 'max-age=60' }),
  )
  const as = (cookie: string) => cookies.client.call(thing, {}, { headers: { cookie } })
  expect([await as('s=1'), await as('s=2'), await as('s=1')]).toEqual(['s=1', 's=2', 's=1'])
  expect(cookies.seen).toHaveLength(2)
})

it('what one identity changes is read anew by all', async () => {
  const { client, seen } = await world(whoami, {}, { auth: byContext as never })
  const as = (name: string) => ({ context: user.with(name) })
  await client.call(thing, {}, as('a'))
  await client.call(thing, {}, as('b'))
  await client.call(post('/thing'), {}, as('a'))
  await client.call(thing, {}, as('b'))
  expect(seen.filter((line) => line.startsWith('GET'))).toHaveLength(3)
})

it('of identities beyond maxIdentities nothing is kept', async () => {
  const { client, seen } = await world(whoami, { maxIdentities: 2 }, { auth: byContext as never })
  for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await client.call(thing, {}, { context: user.with(name) })
  // b was the one that had not called for longest when c came.
  expect(seen.map((line) => line.at(-1))).toEqual(['a', 'b', 'c', 'b'])
})

it('an answer larger than maxEntryBytes is given and not kept', async () => {
  const { client, seen } = await world(
    (_request, response) => json(response, 'x'.repeat(5000), { 'cache-control': 'max-age=60' }),
    { maxEntryBytes: 1000 },
  )
  expect(await client.call(thing)).toHaveLength(5000)
  expect(await client.call(thing)).toHaveLength(5000)
  expect(seen).toHaveLength(2)
})

it('a store of the user is given each identity', async () => {
  const asked: string[] = []
  const entries = new Map<string, unknown>()
  const { client } = await world(whoami, {
    store: (identity) => {
      asked.push(identity)
      return {
        get: (key) => void entries.get(key.path),
        createWriteStream: (key, value) => void entries.set(key.path, value),
        delete: () => {},
      }
    },
  })
  await client.call(thing)
  expect(asked).toHaveLength(1)
  expect([...entries.keys()]).toEqual(['/thing'])
})

it('abort, connections and compressed answers are as without it', async () => {
  const { client, seen } = await world((request, response) => {
    if (request.url === '/hang') return
    json(response, 'ok', { 'cache-control': 'max-age=60' })
  })
  const controller = new AbortController()
  const hanging = client.call(get('/hang'), {}, { signal: controller.signal })
  while (seen.length === 0) await new Promise(setImmediate)
  controller.abort('left')
  await expect(hanging).rejects.toBe('left')
  expect(await Promise.all([1, 2, 3].map(() => client.call(thing)))).toEqual(['ok', 'ok', 'ok'])
  expect(await client.call(thing)).toBe('ok')
})

it('modes of the platform fetch are taken as before', () => {
  expect(() => restTransport({ baseUrl: 'https://a.example', cache: 'no-store' })).not.toThrow()
  expect(() => httpCache({ maxByte: 1 } as never)).toThrow(/did you mean 'maxBytes'/)
})

it.each([{ maxBytes: Number.POSITIVE_INFINITY }, { maxEntryBytes: Number.POSITIVE_INFINITY, maxBytes: 1e6 + 0.5 }])(
  'its limits may be switched off, or be no whole number: %j',
  async (options) => {
    const { client, seen } = await world(
      (_request, response, nth) => json(response, { nth }, { 'cache-control': 'max-age=60' }),
      options,
    )
    expect([await client.call(thing), await client.call(thing)]).toEqual([{ nth: 1 }, { nth: 1 }])
    expect(seen).toHaveLength(1)
  },
)

const failing = (member: string, how: () => unknown): HttpCacheOptions['store'] => {
  const store = { get: () => undefined, createWriteStream: () => undefined, delete: () => undefined }
  return () => ({ ...store, [member]: how })
}
const thrown = (): never => {
  throw new Error('the disk is full')
}

it.each<[string, HttpCacheOptions['store']]>([
  ['get', failing('get', thrown)],
  ['get', failing('get', async () => thrown())],
  ['createWriteStream', failing('createWriteStream', thrown)],
])('a store that fails harms no call, and is a warning: %s()', async (member, store) => {
  const warnings: string[] = []
  const { client, seen } = await world(
    (_request, response, nth) => json(response, { nth }, { 'cache-control': 'max-age=60' }),
    { store },
    { telemetry: { event: (event) => event.type === 'warning' && warnings.push(event.message) } },
  )
  expect([await client.call(thing), await client.call(thing)]).toEqual([{ nth: 1 }, { nth: 2 }])
  expect(seen).toHaveLength(2)
  expect(warnings).toEqual(Array(2).fill(expect.stringContaining(`${member}() of the store of httpCache() threw`)))
})

it.each<[string, unknown, string]>([
  ['throws', thrown, 'store of httpCache() threw'],
  ['gives no store', () => ({}), 'makes a store of undici'],
  ['gives a promise of one', async () => ({ get() {} }), 'makes a store of undici'],
])('what makes the stores is told where it %s, and nothing is sent', async (_, store, words) => {
  const { client, seen } = await world((_request, response) => json(response, 1, {}), { store: store as never })
  for (let turn = 0; turn < 2; turn++)
    await expect(client.call(thing)).rejects.toMatchObject({
      code: 'internal',
      sent: 'no',
      cause: { message: expect.stringContaining(words) },
    })
  expect(seen).toEqual([])
})

it.each([408, 429, 500, 503])(
  'what a retry asks again is not kept: the retry of a %i is answered by the server',
  async (status) => {
    const { client, seen } = await world(
      (_request, response, nth) => json(response, { nth }, { 'cache-control': 'max-age=60' }, nth === 1 ? status : 200),
      {},
      { retry: { maxAttempts: 2, baseDelayMs: 1, throttleDelayMs: 1 } },
    )
    expect(await client.call(thing)).toEqual({ nth: 2 })
    expect(await client.call(thing)).toEqual({ nth: 2 })
    expect(seen).toHaveLength(2)
  },
)

it.each([
  ['sessionAuth()', () => sessionAuth()],
  ['cookieJar()', () => cookieJar()],
])('a cookie that a kept answer set is not set again: a login behind it stands (%s)', async (_name, auth) => {
  const sent: unknown[] = []
  const { client } = await world(
    (request, response, nth) => {
      sent.push(request.headers.cookie)
      const hold = request.url === '/thing' ? 'max-age=60' : 'no-store'
      json(response, { nth }, { 'cache-control': hold, ...(nth < 3 && { 'set-cookie': `sid=${nth}` }) })
    },
    {},
    { auth: auth() },
  )
  const first = await client.bind({ thing }).thing.reply()
  expect(first.headers.getSetCookie()).toEqual(['sid=1'])
  await client.call(post('/login'))
  expect(await client.call(thing)).toEqual({ nth: 1 })
  await client.call(get('/other'))
  expect(sent).toEqual([undefined, 'sid=1', 'sid=2'])
})

function deferred() {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

it.each(['head', 'body'])(
  'what was asked before a change, and is answered behind it, is not kept: its %s comes late',
  async (late) => {
    const gate = deferred()
    const first = deferred()
    const { client } = await world(async (request, response, nth) => {
      const isFirst = nth === 1
      if (isFirst && late === 'head') first.resolve()
      if (isFirst && late === 'head') await gate.promise
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=60' })
      response.write(request.method === 'GET' ? '{"nth"' : '{"changed"')
      if (isFirst && late === 'body') await gate.promise
      response.end(`:${nth}}`)
    })
    const asked = late === 'head' ? client.call(thing) : client.call(get('/thing', { response: 'stream' }))
    if (late === 'head') await first.promise
    else await asked
    await client.call(post('/thing'))
    gate.resolve()
    if (late === 'head') expect(await asked).toEqual({ nth: 1 })
    else for await (const _bytes of (await asked) as AsyncIterable<unknown>);
    expect(await client.call(thing)).toEqual({ nth: 3 })
  },
)

const entry = {
  statusCode: 200,
  statusMessage: 'OK',
  headers: { 'content-type': 'application/json' },
  cachedAt: Date.now(),
  staleAt: Date.now() + 3_600_000,
  deleteAt: Date.now() + 3_600_000,
}
const chunks = (...given: (string | Error)[]) =>
  Readable.from(
    (function* () {
      for (const each of given) {
        if (each instanceof Error) throw each
        yield Buffer.from(each)
      }
    })(),
  )

it.each<[string, unknown]>([
  ['a text', 'x'],
  ['nothing of an entry', {}],
  ['no headers', { ...entry, headers: undefined }],
  ['headers that are no texts', { ...entry, headers: { 'content-type': 5 } }],
  ['a body that is none', { ...entry, body: 5 }],
  ['a body that breaks off', { ...entry, body: chunks('{"kept"', new Error('the disk is gone')) }],
])('what a store gives that is no answer is none, and a warning: %s', async (_name, given) => {
  for (const get of [() => given, async () => given]) {
    const warnings: string[] = []
    const { client } = await world(
      (_request, response, nth) => json(response, { nth }, {}),
      { store: failing('get', get) },
      { telemetry: { event: (event) => event.type === 'warning' && warnings.push(event.message) } },
    )
    expect(await client.call(thing)).toEqual({ nth: 1 })
    expect(warnings).toEqual([expect.stringContaining('get() of the store of httpCache() threw')])
  }
})

it.each<[string, unknown]>([
  ['a buffer', Buffer.from('{"kept":1}')],
  ['a text', '{"kept":1}'],
  ['a stream', chunks('{"ke', 'pt":1}')],
])('a store may give a body as %s', async (_name, body) => {
  const { client, seen } = await world((_request, response) => json(response, {}, {}), {
    store: failing('get', () => ({ ...entry, body })),
  })
  expect(await client.call(thing)).toEqual({ kept: 1 })
  expect(seen).toEqual([])
})

it.each<[string, unknown]>([
  ['an entry', new Promise(() => {})],
  ['a body', { ...entry, body: new Readable({ read() {} }) }],
])('a store that never gives %s is asked for a second, and then the server', async (_name, given) => {
  const clock = manualClock()
  const read = deferred()
  const store = failing('get', () => {
    read.resolve()
    return given
  })
  const { client } = await world((_request, response, nth) => json(response, { nth }, {}), { store }, { clock })
  const asked = client.call(thing)
  await read.promise
  await clock.advance(1000)
  expect(await asked).toEqual({ nth: 1 })
})

it.each<[string, () => unknown]>([
  ['takes nothing', () => new Writable({ highWaterMark: 1, write() {} })],
  ['is full', () => new Writable({ write: (_chunk, _encoding, done) => done(new Error('full')) })],
  ['is no stream', () => ({})],
  ['is the promise of one', async () => new Writable()],
])('an answer comes whole where what it is written to %s', async (_name, made) => {
  const text = 'x'.repeat(400_000)
  const { client } = await world((_request, response) => json(response, text, { 'cache-control': 'max-age=60' }), {
    store: failing('createWriteStream', made),
    maxEntryBytes: 100_000,
  })
  expect(await client.call(thing)).toBe(text)
})

it('what was kept before the clock was set back is validated', async () => {
  const later = Date.now() + 3_600_000
  const { client, seen } = await world((_request, response) => response.writeHead(304).end(), {
    store: failing('get', () => ({
      ...entry,
      etag: '"v1"',
      cachedAt: later,
      staleAt: later + 60_000,
      deleteAt: later + 60_000,
    })),
  })
  await client.call(thing).catch(() => {})
  expect(seen).toEqual(['GET /thing - "v1"'])
})
