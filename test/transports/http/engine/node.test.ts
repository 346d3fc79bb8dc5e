import { existsSync } from 'node:fs'
import { createServer, request as forward, type Server } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Entry, entries, specifier } from '../../../../scripts/entries.ts'
import { nodes, run } from '../../../support/nodes.ts'
import { FaultServer } from '../../../support/servers/fault-server.ts'

let server: FaultServer
let proxy: Server
let proxied: string[]
beforeAll(async () => {
  server = await FaultServer.start()
  proxied = []
  proxy = createServer((request, response) => {
    proxied.push(`${request.method} ${request.url}`)
    const { method, url = '', headers } = request
    const upstream = forward(url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.on('error', () => response.destroy()).pipe(response)
    })
    upstream.on('error', () => response.destroy())
    request.pipe(upstream)
  })
  proxy.on('connect', (request, socket) => {
    proxied.push(`CONNECT ${request.url}`)
    const [host, port] = (request.url ?? '').split(':')
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      upstream.pipe(socket).pipe(upstream)
    })
    socket.on('error', () => upstream.destroy())
    upstream.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
})
afterAll(async () => {
  await server.close()
  proxy.closeAllConnections()
  proxy.close()
})

const say = 'const say = (value) => console.log(JSON.stringify(value));'
const load = `
  const { selectEngine } = await import('./transports/http/choose.ts')
  const { requestBuffered } = await import('./transports/http/collect.ts')
  const { Scope } = await import('./src/core/call/scope.ts')
  const { systemClock } = await import('./src/core/time/clock.ts')
  const get = async (engine, url) => {
    const response = await requestBuffered(engine, { method: 'GET', url, headers: {} }, new Scope({ clock: systemClock }))
    return JSON.parse(response.text())
  };
`
/** What anybody can see of the built-in fetch: its own text, what dispatches for it, what it sends. */
const look = `
  const globals = () => [1, 2].map((n) => {
    const dispatcher = globalThis[Symbol.for('undici.globalDispatcher.' + n)]
    return dispatcher ? dispatcher.constructor.name : null
  })
  const before = globalThis.fetch
  const inspect = async (url) => {
    const { headers } = await (await fetch(url)).json()
    return { globals: globals(), headers, isSame: before === fetch, text: Function.prototype.toString.call(fetch) }
  };
`

describe.each([...nodes])('Node %s', { timeout: 30_000 }, (version, node) => {
  it('the built-in fetch is the same before and after the import, and after a call', async () => {
    const url = `${server.url}/echo`
    const without = await run(node, `${say}${look} say(globals()); say(await inspect('${url}'))`)
    const after = await run(
      node,
      `${say}${look}${load} const engine = selectEngine({}); await get(engine, '${url}'); say(globals()); say(await inspect('${url}')); await engine.close()`,
    )
    expect(after.lines).toEqual(without.lines)
    expect(after.lines[0]).toEqual([null, null])
  })

  it('no entry of the package sets a global dispatcher or another fetch', async () => {
    // msw extends Node's own Response, at which Node sets the dispatcher of its own fetch.
    const written = Object.entries(entries).filter(([entry, source]) => existsSync(source) && entry !== 'msw')
    const specifiers = written.map(([entry]) => specifier(entry as Entry))
    const { lines } = await run(
      node,
      `${say}${look} for (const entry of ${JSON.stringify(specifiers)}) await import(entry); say(globals()); say(before === fetch)`,
    )
    expect(lines).toEqual([[null, null], true])
  })

  it('uses its own Agent beside a stock global one, and one that the user has set', async () => {
    const { lines } = await run(
      node,
      `${say}
      const { foreignDispatcher, globalDispatchers } = await import('./transports/http/engine/undici/dispatcher.ts')
      const finder = { get: () => foreignDispatcher(...globalDispatchers.map((symbol) => globalThis[symbol])) }
      const found = () => finder.get()?.constructor.name ?? null
      say(found())
      await fetch('${server.url}/json').then((response) => response.text())
      say(found())
      const undici = await import('undici')
      say(found())
      undici.setGlobalDispatcher(new undici.Agent())
      say(found())
      undici.setGlobalDispatcher(new undici.Agent({ connections: 1 }))
      say(found())
      undici.setGlobalDispatcher(new undici.Agent({ factory: (origin, options) => new undici.Pool(origin, options) }))
      say(found())
      undici.setGlobalDispatcher(new undici.Agent().compose(undici.interceptors.dump()))
      say(found())
      undici.setGlobalDispatcher(new undici.ProxyAgent('http://127.0.0.1:9'))
      say(found())
      undici.setGlobalDispatcher(new undici.EnvHttpProxyAgent())
      say(found())
      undici.setGlobalDispatcher(new undici.Agent())
      say(found())`,
    )
    expect(lines).toEqual([null, null, null, null, 'Agent', 'Agent', 'Agent', 'ProxyAgent', 'EnvHttpProxyAgent', null])
  })

  it('is mocked by a MockAgent, global or given', async () => {
    const { lines } = await run(
      node,
      `${say}${load}
      const undici = await import('undici')
      const engine = selectEngine({})
      const mock = new undici.MockAgent()
      mock.disableNetConnect()
      mock.get('http://api.example').intercept({ path: '/x?y=1' }).reply(200, { from: 'mock' }).times(2)
      say(await get(engine, '${server.url}/json'))
      const old = undici.getGlobalDispatcher()
      undici.setGlobalDispatcher(mock)
      say(await get(engine, 'http://api.example/x?y=1'))
      undici.setGlobalDispatcher(old)
      say(await get(selectEngine({ http: 'fetch', dispatcher: mock }), 'http://api.example/x?y=1'))
      say(await get(engine, '${server.url}/json'))`,
    )
    expect(lines).toEqual([{ ok: true }, { from: 'mock' }, { from: 'mock' }, { ok: true }])
  })

  // Node reads the variable since 22.21 and 24.5.
  it.skipIf(version.startsWith('v22.19'))(
    'goes through the proxy that NODE_USE_ENV_PROXY names, by whatever undici this Node has',
    async () => {
      proxied.length = 0
      const address = proxy.address() as { port: number }
      const url = `http://127.0.0.1:${address.port}`
      const env = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: url, http_proxy: url, NO_PROXY: '', no_proxy: '' }
      const script = `${say}${load}
      const engine = selectEngine({})
      say((await get(engine, '${server.url}/echo?n=1')).query)
      const big = await requestBuffered(engine, { method: 'GET', url: '${server.url}/bytes?size=3000000', headers: {} }, new Scope({ clock: systemClock }))
      say(big.body.byteLength)
      const body = async function* () { yield new TextEncoder().encode('hel'); yield new TextEncoder().encode('lo') }
      const posted = await requestBuffered(engine, { method: 'POST', url: '${server.url}/echo', headers: {}, body }, new Scope({ clock: systemClock }))
      say(JSON.parse(posted.text()).body)
      const fault = await requestBuffered(engine, { method: 'GET', url: '${server.url}/reset-body', headers: {} }, new Scope({ clock: systemClock })).catch((error) => error.fault)
      say([fault.phase, fault.sent])
      const trailers = await requestBuffered(engine, { method: 'GET', url: '${server.url}/trailers', headers: {} }, new Scope({ clock: systemClock }))
      say(trailers.text())
      const moved = await requestBuffered(engine, { method: 'GET', url: '${server.url}/redirect/302?to=/json', headers: {} }, new Scope({ clock: systemClock }))
      say(moved.text())`
      const { lines } = await run(node, script, env)
      expect(lines).toEqual([{ n: '1' }, 3_000_000, 'hello', ['body', 'yes'], 'hello', '{"ok":true}'])
      expect(proxied.length).toBeGreaterThan(0)
    },
  )

  it('tells a fetch that was replaced, whatever its name', async () => {
    const { lines } = await run(
      node,
      `${say}
      const { isFetchReplaced } = await import('./transports/http/engine/stock-fetch.ts')
      const { fn, spyOn } = await import('@vitest/spy')
      const own = globalThis.fetch
      const as = (fetch) => { globalThis.fetch = fetch; const is = isFetchReplaced(); globalThis.fetch = own; return is }
      say(isFetchReplaced())
      say(as(fn()))
      const spy = spyOn(globalThis, 'fetch')
      say([fetch.name === 'fetch' || fetch.name, isFetchReplaced()])
      spy.mockRestore()
      say(isFetchReplaced())
      say(as(own.bind(undefined)))
      say(as(new Proxy(own, {})))
      say(as(async function fetch(input, init = undefined) { return own(input, init) }))
      const undici = await import('undici')
      say(as(undici.fetch))
      say(isFetchReplaced())`,
    )
    expect(lines).toEqual([false, true, [true, true], false, true, true, true, true, false])
  })

  it('goes to msw, listened to before and after the import, and to the network when it has closed', async () => {
    const script = (isFirst: boolean) => `${say}
      const { http, HttpResponse } = await import('msw')
      const { setupServer } = await import('msw/node')
      const msw = setupServer(http.get('http://api.example/x', () => HttpResponse.json({ from: 'msw' })))
      ${isFirst ? 'msw.listen()' : ''}
      ${load}
      const engine = selectEngine({})
      ${isFirst ? '' : 'msw.listen()'}
      say(await get(engine, 'http://api.example/x'))
      msw.close()
      say(await get(engine, '${server.url}/json'))
      process.exit(0)`
    for (const isFirst of [true, false]) {
      expect((await run(node, script(isFirst))).lines).toEqual([{ from: 'msw' }, { ok: true }])
    }
  })

  it('holds the process while a call waits to be sent again, though nothing else does, and lets it end then', async () => {
    server.on('/busy', (exchange) =>
      exchange.nth % 2 === 1
        ? exchange.reply(503, '', { 'retry-after-ms': '300', connection: 'close' })
        : exchange.reply(200, { done: true }),
    )
    const { lines, lingeredMs } = await run(
      node,
      `${say}
      const { createClient } = await import('polywire')
      const { get, restTransport } = await import('polywire/rest')
      const client = createClient({ transports: { rest: restTransport({ baseUrl: '${server.url}' }) }, timeoutMs: Infinity })
      say(await client.call(get('/busy')))`,
    )
    expect(lines).toEqual([{ done: true }])
    expect(lingeredMs).toBeLessThan(2000)
  })

  it('lets the process end at once after the last call, aborted ones included', async () => {
    const silent = createTcpServer()
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const { lingeredMs } = await run(
      node,
      `${say}${load}
      const engine = selectEngine({ http: 'undici' })
      const url = '${server.url}'
      await Promise.all(Array.from({ length: 10 }, () => get(engine, url + '/json')))
      const aborted = async (target) => {
        const scope = new Scope({ clock: systemClock })
        const request = requestBuffered(engine, { method: 'GET', url: target, headers: {} }, scope)
        setTimeout(() => scope.abort('enough'), 50)
        await request.catch(() => undefined)
      }
      await Promise.all([aborted(url + '/never'), aborted(url + '/stall'), aborted('https://127.0.0.1:${port}/')])
      say('done')`,
    )
    silent.close()
    // Its connections would live for 4 s, the unfinished one for 10.
    expect(lingeredMs).toBeLessThan(2000)
  })
})
