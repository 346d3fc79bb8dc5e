import { Agent, Pool, RetryAgent } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { requestBuffered } from '../../../../../transports/http/collect.ts'
import { UndiciEngine } from '../../../../../transports/http/engine/undici/engine.ts'
import { exchange, newScope, turns } from '../../../../support/recording-sink.ts'
import { FaultServer } from '../../../../support/servers/fault-server.ts'
import { localhostCertificate } from '../../../../support/servers/localhost-certificate.ts'

const connect = { ca: localhostCertificate.cert }

describe.each([
  ['HTTP/1.1 over TLS', 'h1', '1.1', () => new Agent({ connect })],
  ['HTTP/2', 'h2', '2.0', () => new Agent({ connect, allowH2: true })],
] as const)('%s by a dispatcher of the user', (_name, tls, version, make) => {
  let server: FaultServer
  let dispatcher: Agent
  let engine: UndiciEngine
  beforeAll(async () => {
    server = await FaultServer.start({ tls })
    dispatcher = make()
    engine = new UndiciEngine({ dispatcher })
  })
  afterAll(async () => {
    await engine.close()
    await dispatcher.destroy()
    await server.close()
  })
  const get = (path: string) =>
    requestBuffered(engine, { method: 'GET', url: server.url + path, headers: {} }, newScope())

  it('carries calls, streams, compression, trailers and redirects', async () => {
    expect((await get('/json')).text()).toBe('{"ok":true}')
    expect(server.exchanges[0]?.request.httpVersion).toBe(version)
    expect((await get('/bytes?size=1000000&chunked')).body).toHaveLength(1_000_000)
    expect(JSON.parse((await get('/encoded')).text())).toMatchObject({ ok: true })
    expect((await get('/trailers')).trailers.get('x-checksum')).toBe('1')
    expect((await get('/redirect/302?to=/json')).url).toBe(`${server.url}/json`)
    const body = async function* () {
      yield new TextEncoder().encode('hel')
      yield new TextEncoder().encode('lo')
    }
    const posted = await requestBuffered(
      engine,
      { method: 'POST', url: `${server.url}/echo`, headers: {}, body },
      newScope(),
    )
    expect(JSON.parse(posted.text()).body).toBe('hello')
    const all = await Promise.all(Array.from({ length: 50 }, (_, nth) => get(`/echo?n=${nth}`)))
    expect(all.map((each) => JSON.parse(each.text()).query.n)).toEqual(
      Array.from({ length: 50 }, (_, nth) => String(nth)),
    )
  })

  it('pauses, aborts, and hurts no other exchange by it', async () => {
    const sink = exchange(engine, { url: `${server.url}/bytes?size=50000000` })
    sink.react = (event) => event === 'data' && sink.control?.pause()
    await sink.on('data')
    await turns()
    const read = sink.size
    await turns()
    expect(sink.size).toBe(read)
    const scope = newScope()
    const other = exchange(engine, { url: `${server.url}/stall` }, scope)
    await other.on('data')
    scope.abort('enough')
    expect(other.events).toEqual(['head', 'data', 'abort'])
    sink.react = () => undefined
    sink.control?.resume()
    await sink.on('end')
    expect(sink.size).toBe(50_000_000)
  })

  it('tells of a connection that breaks', async () => {
    const before = exchange(engine, { url: `${server.url}/reset` })
    await before.over()
    expect(before.fault).toMatchObject({ phase: 'headers', sent: 'maybe', what: 'connection lost' })
    const half = exchange(engine, { url: `${server.url}/stall` })
    await half.on('data')
    server.dropConnections('rst')
    await half.over()
    expect(half.fault).toMatchObject({ phase: 'body', sent: 'yes' })
    expect((await get('/json')).status).toBe(200)
  })
})

describe('other dispatchers', () => {
  it('a Pool, and a RetryAgent that retries below us', async () => {
    await using server = await FaultServer.start()
    const pool = new Pool(server.url)
    const agent = new RetryAgent(new Agent(), { minTimeout: 1 })
    for (const dispatcher of [pool, agent]) {
      const engine = new UndiciEngine({ dispatcher })
      const response = await requestBuffered(
        engine,
        { method: 'GET', url: `${server.url}/flaky?failures=1`, headers: {} },
        newScope(),
      )
      expect(response.status).toBe(dispatcher === pool ? 503 : 200)
      server.on('/flaky', (each) => each.reply(each.nth < 3 ? 503 : 200))
      await dispatcher.close()
    }
  })

  it('is not closed with the engine: it is the user’s', async () => {
    await using server = await FaultServer.start()
    const dispatcher = new Agent()
    const engine = new UndiciEngine({ dispatcher })
    await requestBuffered(engine, { method: 'GET', url: `${server.url}/json`, headers: {} }, newScope())
    await engine.close()
    expect(dispatcher.closed).toBe(false)
    const other = new UndiciEngine({ dispatcher })
    expect(
      (await requestBuffered(other, { method: 'GET', url: `${server.url}/json`, headers: {} }, newScope())).status,
    ).toBe(200)
    await dispatcher.close()
  })
})
