import { createServer, type Server, type Socket } from 'node:net'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openBody } from '../../../../transports/http/body.ts'
import { toReadable } from '../../../../transports/http/bytes.ts'
import { requestBuffered } from '../../../../transports/http/collect.ts'
import type { FetchLike, HttpEngine, HttpRequest } from '../../../../transports/http/contract.ts'
import { explainByCode } from '../../../../transports/http/engine/fault-codes.ts'
import { FetchEngine } from '../../../../transports/http/engine/fetch/engine.ts'
import { UndiciEngine } from '../../../../transports/http/engine/undici/engine.ts'
import { openUpload } from '../../../../transports/http/upload.ts'
import { CountingScope, exchange, newScope, turns } from '../../../support/recording-sink.ts'
import { FaultServer } from '../../../support/servers/fault-server.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const engines: readonly (readonly [name: string, make: () => HttpEngine])[] = [
  ['undici', () => new UndiciEngine()],
  ['fetch', () => new FetchEngine()],
  ["a user's fetch", () => new FetchEngine(((url, init) => fetch(url, init as RequestInit)) as FetchLike)],
]

describe.each(engines)('%s', (name, make) => {
  let server: FaultServer
  let engine: HttpEngine
  const isUndici = name === 'undici'

  beforeAll(async () => {
    server = await FaultServer.start()
    engine = make()
  })
  afterAll(async () => {
    await engine.close()
    await server.close()
  })
  afterEach(() => {
    server.exchanges.length = 0
  })

  const get = (path: string) =>
    requestBuffered(engine, { method: 'GET', url: server.url + path, headers: {} }, newScope())

  it('gets status, headers, body and where they came from', async () => {
    server.on('/cookies', (each) => each.reply(201, { a: 'ü' }, { 'set-cookie': ['a=1', 'b=2'], 'x-one': '1' }))
    const response = await get('/cookies?q=1')
    expect(response.status).toBe(201)
    expect(JSON.parse(response.text())).toEqual({ a: 'ü' })
    expect(response.headers.get('X-One')).toBe('1')
    expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect(response.url).toBe(`${server.url}/cookies?q=1`)
  })

  it.each([
    ['a string', '{"a":"ü"}'],
    ['bytes', utf8('{"a":"ü"}')],
    ['part of a buffer', utf8('xx{"a":"ü"}').subarray(2)],
    [
      'an async generator',
      async function* () {
        yield utf8('{"a":')
        yield utf8('"ü"}')
      },
    ],
    ['a ReadableStream', () => new Blob(['{"a":', '"ü"}']).stream()],
  ])('posts %s', async (_kind, body) => {
    const headers = { 'content-type': 'application/json', authorization: 'Bearer x' }
    const response = await requestBuffered(
      engine,
      {
        method: 'POST',
        url: `${server.url}/echo`,
        headers,
        body,
        ...(typeof body === 'function' && { open: openUpload }),
      },
      newScope(),
    )
    const echo = JSON.parse(response.text())
    expect(echo).toMatchObject({ method: 'POST', headers, body: Buffer.from('{"a":"ü"}').toString('latin1') })
  })

  it('sends an empty body as one', async () => {
    const response = await requestBuffered(
      engine,
      { method: 'POST', url: `${server.url}/echo`, headers: {}, body: '' },
      newScope(),
    )
    expect(JSON.parse(response.text())).toMatchObject({ body: '', headers: { 'content-length': '0' } })
  })

  it('reports the progress of an upload, of a whole body too', async () => {
    const url = `${server.url}/echo`
    const seen: number[] = []
    const onUploadProgress = (bytes: number) => void seen.push(bytes)
    const whole = { method: 'POST', url, headers: {}, body: new Uint8Array(200_000), onUploadProgress }
    expect(JSON.parse((await requestBuffered(engine, whole, newScope())).text()).headers).toMatchObject({
      'content-length': '200000',
    })
    expect(seen.at(-1)).toBe(200_000)
    seen.length = 0
    const body = async function* () {
      for (let at = 0; at < 4; at++) yield new Uint8Array(1000)
    }
    await requestBuffered(
      engine,
      { method: 'POST', url, headers: {}, body, open: openUpload, onUploadProgress },
      newScope(),
    )
    expect(seen).toEqual([1000, 2000, 3000, 4000])
  })

  it('has no body on 204, 304 and HEAD', async () => {
    expect(await get('/status/204')).toMatchObject({ status: 204, body: new Uint8Array(0) })
    expect(await get('/status/304')).toMatchObject({ status: 304, body: new Uint8Array(0) })
    const head = await requestBuffered(engine, { method: 'HEAD', url: `${server.url}/json`, headers: {} }, newScope())
    expect(head).toMatchObject({ status: 200, body: new Uint8Array(0) })
    expect(head.headers.get('content-length')).toBe('11')
  })

  it('decompresses', async () => {
    const response = await get('/encoded')
    expect(JSON.parse(response.text())).toMatchObject({ ok: true })
    expect(response.body.byteLength).toBeGreaterThan(10_000)
  })

  it('passes over early hints', async () => {
    expect(await get('/hints')).toMatchObject({ status: 200 })
  })

  it.runIf(isUndici)('gives trailers', async () => {
    const response = await get('/trailers')
    expect([...response.trailers]).toEqual([['x-checksum', '1']])
    expect([...(await get('/json')).trailers]).toEqual([])
  })

  it.each(['/bytes?size=1000000', '/bytes?size=1000000&chunked'])('downloads %s as it comes', async (path) => {
    const { body, status } = await openBody(engine, { method: 'GET', url: server.url + path, headers: {} }, newScope())
    let size = 0
    for await (const chunk of body) size += chunk.byteLength
    expect([status, size]).toEqual([200, 1_000_000])
    await expect(body.finished).resolves.toBeDefined()
    const again = await openBody(engine, { method: 'GET', url: server.url + path, headers: {} }, newScope())
    const text = await new Response(toReadable(again.body, () => again.body.cancel())).text()
    expect(text).toBe('x'.repeat(1_000_000))
  })

  it('hands over each piece of a dripping body when it comes', async () => {
    let drip: (text: string) => Promise<void> = () => Promise.resolve()
    let end = () => {}
    server.on('/drip', (each) => {
      each.head(200)
      drip = (text) => each.write(text)
      end = () => each.end()
    })
    const { body } = await openBody(engine, { method: 'GET', url: `${server.url}/drip`, headers: {} }, newScope())
    for (const piece of ['a', 'b', 'c']) {
      const next = body.next()
      await drip(piece)
      expect(Buffer.from((await next).value ?? []).toString()).toBe(piece)
    }
    const next = body.next()
    end()
    expect(await next).toEqual({ done: true, value: undefined })
  })

  it('pauses the wire and goes on', async () => {
    const size = 64 * 1024 * 1024
    const sink = exchange(engine, { url: `${server.url}/bytes?size=${size}` })
    sink.react = (event) => event === 'data' && sink.chunks.length === 1 && sink.control?.pause()
    await sink.on('data')
    await turns()
    const read = sink.size
    await turns()
    expect(sink.size).toBe(read)
    expect(server.exchanges[0]?.response.writableEnded).toBe(false)
    sink.react = () => undefined
    sink.control?.resume()
    await sink.on('end')
    expect(sink.size).toBe(size)
  })

  it('leaves the wire alone until somebody reads', async () => {
    const url = `${server.url}/bytes?size=${64 * 1024 * 1024}`
    const { body } = await openBody(engine, { method: 'GET', url, headers: {} }, newScope())
    await turns()
    expect(server.exchanges[0]?.response.writableEnded).toBe(false)
    expect((await body.bytes()).byteLength).toBe(64 * 1024 * 1024)
  })

  it('marks how far it came', async () => {
    const scope = newScope()
    expect([scope.phase, scope.sent]).toEqual(['resolve', 'no'])
    const sink = exchange(engine, { url: `${server.url}/stall` }, scope)
    await turns(1)
    expect(scope.phase).not.toBe('resolve')
    await server.until(() => server.exchanges.length > 0)
    expect(scope.sent).toBe('maybe')
    await sink.on('data')
    expect([scope.phase, scope.sent]).toEqual(['body', 'yes'])
    scope.abort(new Error('enough'))
  })

  describe('abort', () => {
    it('before anything was sent', async () => {
      const scope = newScope()
      const reason = new Error('changed my mind')
      scope.abort(reason)
      const sink = exchange(engine, { url: `${server.url}/json` }, scope)
      expect(sink.events).toEqual(['abort'])
      expect(sink.reason).toBe(reason)
      await turns(5)
      expect(server.exchanges).toHaveLength(0)
    })

    it('starts nothing for a call that is over', async () => {
      const scope = newScope()
      scope.end()
      const sink = exchange(engine, { url: `${server.url}/json` }, scope)
      expect(sink.fault).toMatchObject({ sent: 'no', code: 'failed_precondition' })
      await turns(5)
      expect(server.exchanges).toHaveLength(0)
    })

    it.each([
      ['while the server thinks', '/never', 'request'],
      ['in the body', '/stall', 'data'],
    ] as const)('%s', async (_name, path, moment) => {
      const scope = newScope()
      const sink = exchange(engine, { url: server.url + path }, scope)
      if (moment === 'data') await sink.on('data')
      else await server.until(() => server.exchanges.length > 0)
      const closed = server.exchanges[0]?.closed()
      scope.abort('enough')
      expect(sink.events.at(-1)).toBe('abort')
      expect(sink.reason).toBe('enough')
      const count = sink.events.length
      await closed
      await turns(5)
      expect(sink.events).toHaveLength(count)
    })

    it('while it uploads: the source is told, and the server does not take the part for the whole', async () => {
      let isEnded = false
      server.on('/upload', (each) => {
        each.request
          .on('data', () => undefined)
          .on('end', () => {
            isEnded = true
          })
      })
      let isReturned = false
      const body = () => ({
        pulls: 0,
        [Symbol.asyncIterator]() {
          return this
        },
        next(): Promise<IteratorResult<Uint8Array>> {
          return this.pulls++ === 0
            ? Promise.resolve({ done: false, value: utf8('part') })
            : new Promise(() => undefined)
        },
        async return() {
          isReturned = true
          return { done: true as const, value: undefined }
        },
      })
      const scope = newScope()
      const sink = exchange(engine, { method: 'POST', url: `${server.url}/upload`, body, open: openUpload }, scope)
      await server.until(() => server.exchanges.length > 0)
      const closed = server.exchanges[0]?.closed()
      scope.abort('enough')
      expect(sink.events).toEqual(['abort'])
      await closed
      await turns(5)
      expect({ isReturned, isEnded }).toEqual({ isReturned: true, isEnded: false })
    })

    it('while it connects', async () => {
      const { server: silent, port, sockets } = await silentServer()
      const scope = newScope()
      const sink = exchange(engine, { url: `https://127.0.0.1:${port}/` }, scope)
      await sockets.first
      scope.abort('enough')
      expect(sink.events).toEqual(['abort'])
      // fetch leaves the connection to its own timer of 10 s; ours is closed since nobody waits for it.
      if (isUndici) await sockets.closed
      for (const socket of sockets.open) socket.destroy()
      silent.close()
    })

    it('while it connects, without harm to another call that waits for the same host', async () => {
      const slow = await silentServer()
      const [first, second] = [newScope(), newScope()]
      const url = `https://127.0.0.1:${slow.port}/`
      const sinks = [exchange(engine, { url }, first), exchange(engine, { url }, second)]
      await slow.sockets.first
      first.abort('enough')
      await turns(5)
      expect(sinks[1]?.events).toEqual([])
      second.abort('enough')
      for (const socket of slow.sockets.open) socket.destroy()
      slow.server.close()
      expect(sinks.map(({ events }) => events)).toEqual([['abort'], ['abort']])
    })

    it('after the end changes nothing', async () => {
      const scope = newScope()
      const sink = exchange(engine, { url: `${server.url}/json` }, scope)
      await sink.on('end')
      scope.abort('late')
      expect(sink.events.filter((event) => event !== 'data')).toEqual(['head', 'end'])
    })

    it.each(['head', 'data'])('by the sink, in on%s', async (moment) => {
      const sink = exchange(engine, { url: `${server.url}/stall` })
      sink.react = (event) => event === moment && sink.control?.cancel()
      await sink.on(moment as 'head')
      await server.exchanges[0]?.closed()
      await turns(5)
      expect(sink.events).toEqual(moment === 'head' ? ['head'] : ['head', 'data'])
    })

    it('while it is paused', async () => {
      const scope = newScope()
      const sink = exchange(engine, { url: `${server.url}/bytes?size=50000000` }, scope)
      sink.react = (event) => event === 'head' && sink.control?.pause()
      await sink.on('head')
      await server.until(() => server.exchanges.length > 0)
      scope.abort('enough')
      await server.exchanges[0]?.closed()
      expect(sink.events.at(-1)).toBe('abort')
    })

    it('by close: what is under way fails, and says that it was sent perhaps', async () => {
      const mine = make()
      const sink = exchange(mine, { url: `${server.url}/never` })
      await server.until(() => server.exchanges.length > 0)
      await mine.close()
      if (isUndici) await sink.over()
      if (isUndici) expect(sink.fault).toMatchObject({ sent: 'maybe', code: 'failed_precondition' })
      server.exchanges[0]?.reset()
      await sink.over()
    })

    it('settles what waits for a body, and for the next piece of one', async () => {
      const scope = newScope()
      const waiting = requestBuffered(engine, { method: 'GET', url: `${server.url}/stall`, headers: {} }, scope)
      const { body } = await openBody(engine, { method: 'GET', url: `${server.url}/stall`, headers: {} }, scope)
      await body.next()
      const next = body.next()
      scope.abort('enough')
      await expect(waiting).rejects.toBe('enough')
      await expect(next).rejects.toBe('enough')
      await expect(body.finished).rejects.toBe('enough')
    })
  })

  describe('sockets and listeners', () => {
    it('serves 100 calls at once', async () => {
      const responses = await Promise.all(Array.from({ length: 100 }, (_, at) => get(`/echo?n=${at}`)))
      expect(responses.map((each) => JSON.parse(each.text()).query.n)).toEqual(
        Array.from({ length: 100 }, (_, at) => String(at)),
      )
    })

    it('keeps connections, and leaves nothing on a scope that outlives 10,000 calls', async () => {
      const fresh = await FaultServer.start()
      const scope = new CountingScope()
      let left = isUndici ? 10_000 : 1000
      const worker = async () => {
        while (left-- > 0)
          await requestBuffered(engine, { method: 'GET', url: `${fresh.url}/json`, headers: {} }, scope)
      }
      await Promise.all(Array.from({ length: 16 }, worker))
      expect(scope.listeners).toBe(0)
      expect(fresh.connections).toBeLessThanOrEqual(40)
      await fresh.close()
    }, 30_000)

    it.each(['/reset', '/stall', '/redirect/302?to=/json', '/loop'])('leaves nothing after %s either', async (path) => {
      const scope = new CountingScope()
      const sink = exchange(engine, { url: server.url + path }, scope)
      if (path === '/stall') await sink.on('data').then(() => sink.control?.cancel())
      else await sink.over()
      expect(scope.listeners).toBe(0)
    })

    it('releases the socket of a response that nobody reads', async () => {
      const fresh = await FaultServer.start()
      fresh.on('/large', async (each) => {
        each.head(503)
        await each.write(new Uint8Array(4 * 1024 * 1024))
      })
      for (let nth = 0; nth < 2; nth++) {
        const { body } = await openBody(engine, { method: 'GET', url: `${fresh.url}/large`, headers: {} }, newScope())
        body.cancel()
      }
      await fresh.until(() => fresh.openSockets === 0)
      await fresh.close()
    })

    it('is shut by close: nothing stays open, and a later call is refused unsent', async () => {
      const fresh = await FaultServer.start()
      const mine = make()
      await requestBuffered(mine, { method: 'GET', url: `${fresh.url}/json`, headers: {} }, newScope())
      await mine.close()
      if (isUndici) await fresh.until(() => fresh.openSockets === 0)
      const sink = exchange(mine, { url: `${fresh.url}/json` })
      await sink.over()
      expect(sink.fault).toMatchObject({
        sent: 'no',
        code: 'failed_precondition',
        what: expect.stringContaining('closed'),
      })
      expect(fresh.hits('/json')).toBe(1)
      await mine.close()
      await fresh.close()
    })
  })
})

interface Sockets {
  readonly open: Socket[]
  readonly first: Promise<void>
  readonly closed: Promise<void>
}

/** Accepts, and says nothing: TLS waits for ever. */
async function silentServer(): Promise<{ server: Server; port: number; sockets: Sockets }> {
  const open: Socket[] = []
  const server = createServer()
  const first = new Promise<void>((resolve) => server.once('connection', () => resolve()))
  const closed = new Promise<void>((resolve) => {
    server.on('connection', (socket) => {
      open.push(socket)
      socket
        .on('error', () => undefined)
        .on('close', resolve)
        .resume()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  return { server, port, sockets: { open, first, closed } }
}

describe.each(engines)('%s, as fetch does it', (name, make) => {
  let server: FaultServer
  let engine: HttpEngine
  beforeAll(async () => {
    server = await FaultServer.start()
    engine = make()
  })
  afterAll(async () => {
    await engine.close()
    await server.close()
  })
  afterEach(() => {
    server.exchanges.length = 0
  })
  const text = 'hello '.repeat(500)
  const send = (path: string, headers: Record<string, string> = {}, more: Partial<HttpRequest> = {}) =>
    requestBuffered(engine, { method: 'GET', url: server.url + path, headers, ...more }, newScope())

  it.each([
    ['gzip', gzipSync],
    ['x-gzip', gzipSync],
    ['deflate', deflateSync],
    ['deflate', deflateRawSync],
    ['br', brotliCompressSync],
    ...(name === 'undici' ? [['zstd', zstdCompressSync] as const, ['GZIP', gzipSync] as const] : []),
  ] as const)('reads %s', async (coding, compress) => {
    server.on('/compressed', (each) => each.reply(200, compress(text), { 'content-encoding': coding }))
    expect((await send('/compressed')).text()).toBe(text)
  })

  it('says who it is and what it can decompress, unless the caller does', async () => {
    const { headers } = JSON.parse((await send('/echo')).text())
    expect(headers['user-agent']).toMatch(/^(polywire|node|undici)/)
    expect(headers['accept-encoding']).toContain('gzip')
    if (name === 'undici') expect(headers['accept-encoding']).toBe('gzip, br, zstd')
    const own = { 'user-agent': 'mine/1.0', 'accept-encoding': 'identity' }
    expect(JSON.parse((await send('/echo', own)).text()).headers).toMatchObject(own)
  })

  it('asks for a range, and for events, of what is not compressed', async () => {
    const { headers } = JSON.parse((await send('/echo', { range: 'bytes=0-9' })).text())
    expect(headers['accept-encoding']).toMatch(/identity/)
    if (name !== 'undici') return
    const stream = JSON.parse((await send('/echo', { accept: 'text/event-stream' })).text())
    expect(stream.headers['accept-encoding']).toBe('identity')
  })

  it('421: once more on a fresh connection, whatever the method', async () => {
    const ports: (number | undefined)[] = []
    let refusals = 1
    server.on('/misdirected', async (each) => {
      ports.push(each.socket.remotePort)
      const body = String(await each.body())
      each.reply(refusals-- > 0 ? 421 : 200, body)
    })
    // Two connections: while one is answered with 421, the other lies idle, and is as wrong.
    await Promise.all([send('/json'), send('/json')])
    const used = new Set(server.exchanges.map(({ socket }) => socket.remotePort))
    const body = async function* () {
      yield utf8('hello')
    }
    for (const more of [{}, { method: 'POST', body: 'hello' }, { method: 'PATCH', body, open: openUpload }]) {
      refusals = 1
      ports.length = 0
      expect((await send('/misdirected', {}, more)).status).toBe(200)
      expect(ports).toHaveLength(2)
      if (name === 'undici') expect([...used, ports[0]]).not.toContain(ports[1])
      used.add(ports[1])
    }
    refusals = 9
    ports.length = 0
    expect((await send('/misdirected', {}, { method: 'POST', body: 'hello' })).status).toBe(421)
    expect(ports).toHaveLength(2)
    ports.length = 0
    expect(
      (await send('/misdirected', {}, { method: 'POST', body, open: openUpload, isBodyReplayable: false })).status,
    ).toBe(421)
    expect(ports).toHaveLength(1)
  })

  it('what is read in small pieces keeps no more memory than it is', async () => {
    const { body } = await openBody(engine, { method: 'GET', url: `${server.url}/json`, headers: {} }, newScope())
    for await (const chunk of body) {
      expect(chunk.constructor).toBe(Uint8Array)
      expect(chunk.buffer.byteLength).toBeLessThan(2 * chunk.byteLength + 1)
    }
  })

  it('two readers at once each get their own', async () => {
    let drip: (text: string) => Promise<void> = () => Promise.resolve()
    let end = () => {}
    server.on('/two', (each) => {
      each.head(200)
      drip = (each_) => each.write(each_)
      end = () => each.end()
    })
    const { body } = await openBody(engine, { method: 'GET', url: `${server.url}/two`, headers: {} }, newScope())
    const reads = [body.next(), body.next(), body.next(), body.next()]
    await drip('one')
    expect(Buffer.from((await reads[0])?.value as Uint8Array).toString()).toBe('one')
    await drip('two')
    expect(Buffer.from((await reads[1])?.value as Uint8Array).toString()).toBe('two')
    end()
    expect(await Promise.all(reads.slice(2))).toEqual([
      { done: true, value: undefined },
      { done: true, value: undefined },
    ])
    const broken = await openBody(engine, { method: 'GET', url: `${server.url}/cut-body`, headers: {} }, newScope())
    const all = await Promise.allSettled([broken.body.next(), broken.body.next(), broken.body.next()])
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  })
})

describe('code that is not ours', () => {
  const coded = Object.assign(new TypeError('odd'), { code: 'ECONNRESET' })
  const own = new TypeError("Cannot read properties of undefined (reading 'x')")
  const unreadable = (member: string) =>
    Object.defineProperty(new Error('odd'), member, {
      get() {
        throw new Error('unreadable')
      },
    })
  const network = { what: expect.stringContaining('') }
  const mistake = { code: 'internal', cause: own }

  it.each<[string, unknown, { readonly code?: string; readonly what?: unknown }]>([
    ['a TypeError that is no network error', own, mistake],
    ['a ReferenceError', new ReferenceError('x is not defined'), { code: 'internal' }],
    ['Chrome', new TypeError('Failed to fetch'), network],
    ['Chrome with a host', new TypeError('Failed to fetch (api.example.com)'), network],
    ['Firefox', new TypeError('NetworkError when attempting to fetch resource.'), network],
    ['Safari', Object.assign(new TypeError('Load failed'), { stack: undefined }), network],
    ['Safari, said by somebody else', new TypeError('Load failed'), { code: 'internal' }],
    ['Node', new TypeError('fetch failed', { cause: new Error('x') }), network],
    ['Deno', new TypeError('error sending request for url (http://a.example/)'), network],
    ['workerd', new TypeError('Network connection lost'), network],
    ['a TypeError with a code of the network', coded, network],
    ['what has a name that cannot be read', unreadable('name'), { code: 'internal' }],
    ['what has a code that cannot be read', unreadable('code'), { code: 'internal' }],
    ['an Error', new Error('odd'), network],
    ['a text', 'odd', network],
    ['nothing', undefined, network],
  ])('a fetch of the user that throws %s', async (_, error, expected) => {
    for (const fetch of [
      () => Promise.reject(error),
      () => {
        throw error
      },
    ]) {
      const sink = exchange(new FetchEngine(fetch as FetchLike, explainByCode), { url: 'http://a.example/' })
      await sink.over()
      expect(sink.fault).toMatchObject({ ...expected, sent: 'maybe', cause: error })
      expect(sink.fault?.code).toBe(expected.code)
    }
  })

  it('is told by a fetch that was replaced, too; what the platform throws is the network', async () => {
    const spy = vi.spyOn(globalThis, 'fetch').mockRejectedValue(own)
    const sink = exchange(new FetchEngine(), { url: 'http://a.example/' })
    await sink.over()
    expect(sink.fault).toMatchObject(mistake)
    spy.mockRestore()
    vi.stubGlobal(
      'fetch',
      Object.assign(async () => Promise.reject(own), { toString: undefined }),
    )
    vi.spyOn(Function.prototype, 'toString').mockReturnValue('function fetch() { [native code] }')
    const stock = exchange(new FetchEngine(), { url: 'http://a.example/' })
    await stock.over()
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
    expect(stock.fault).toMatchObject({ what: 'network error' })
    expect(stock.fault?.code).toBeUndefined()
  })

  it('a dispatcher that throws, at once or later, or is asynchronous and rejects', async () => {
    for (const error of [own, unreadable('name'), unreadable('code')])
      for (const dispatch of [
        () => {
          throw error
        },
        async () => Promise.reject(error),
        (_: unknown, handler: { onResponseError(controller: unknown, error: unknown): void }) =>
          void setImmediate(() => handler.onResponseError(undefined, error)),
      ]) {
        const sink = exchange(new UndiciEngine({ dispatcher: { dispatch } as never }), { url: 'http://a.example/' })
        await sink.over()
        expect(sink.fault).toMatchObject({ code: 'internal', cause: error, sent: 'no' })
      }
  })
})

describe('a response of a replaced fetch', () => {
  it.each<[string, unknown]>([
    ['a text', '{"a":1}'],
    ['a number', 7],
    ['an object', { a: 1 }],
    ['undefined', undefined],
  ])('whose body gives %s is told, where it was lost', async (_name, chunk) => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('1'))
        controller.enqueue(chunk)
        controller.close()
      },
    })
    const sink = exchange(new FetchEngine(async () => new Response(body)), { url: 'http://a.example/' })
    await sink.over()
    expect(sink.fault).toMatchObject({ what: 'fetch gave no bytes', code: 'internal', phase: 'body', sent: 'yes' })
  })
})
