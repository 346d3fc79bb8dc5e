/** The code of the pages about what runs elsewhere (a function, a framework, behind a proxy, over TLS), run by what stands for that here. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { join, resolve } from 'node:path'
import { getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { authority } from '../support/certificates.ts'
import { SseServer } from '../support/servers/sse-server.ts'
import { programsOf } from './support/programs.ts'

const root = resolve(import.meta.dirname, '../..')
/** Inside the package, so that `polywire/rest` and the peers resolve as they do for a user. */
const folder = join(root, 'test/docs/.elsewhere')
mkdirSync(folder, { recursive: true })
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** The nth program of a page, as a module, with some of its text replaced: hosts, files, what a user would add. */
async function moduleOf(page: string, nth: number, changes: readonly (readonly [string, string])[]): Promise<any> {
  const program = programsOf(root, `docs/${page}.md`)[nth - 1]
  let code = program?.code ?? ''
  for (const [from, to] of changes) {
    expect(code, `${page}: ${from}`).toContain(from)
    code = code.replaceAll(from, to)
  }
  const file = join(folder, `${page}-${nth}.ts`)
  writeFileSync(file, code)
  return import(file)
}

async function listening<S extends Server>(server: S): Promise<number> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  closers.push(() => {
    server.closeAllConnections()
    return new Promise((done) => server.close(done))
  })
  return (server.address() as AddressInfo).port
}

/** A server of JSON that notes what it is asked. */
async function jsonServer(body: unknown, isHanging = () => false) {
  const seen: IncomingMessage[] = []
  const server = createServer((incoming, response) => {
    seen.push(incoming)
    if (!isHanging()) response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
  })
  return { seen, port: await listening(server) }
}

describe('docs/lambda.md', () => {
  it('answers an event, with a credential, and gives up a second before the function is killed', async () => {
    let isHanging = false
    const { seen, port } = await jsonServer({ name: 'Ada' }, () => isHanging)
    const { handler } = await moduleOf('lambda', 1, [['https://api.example.com/v1', `http://127.0.0.1:${port}/v1`]])
    const context = (ms: number) => ({ getRemainingTimeInMillis: () => ms })
    expect(await handler({ id: '7' }, context(5_000))).toEqual({ name: 'Ada' })
    expect(seen[0]?.url).toBe('/v1/users/7')
    expect(seen[0]?.headers.authorization).toBe('Bearer from your secret store')
    isHanging = true
    await expect(handler({ id: '7' }, context(1_050))).rejects.toMatchObject({ code: 'deadline_exceeded' })
  })
})

describe('docs/nextjs.md', () => {
  it('its module calls, and streams', async () => {
    const { port } = await jsonServer({ name: 'Ada' })
    const before = process.env.API_URL
    process.env.API_URL = `http://127.0.0.1:${port}`
    closers.push(() => {
      if (before === undefined) delete process.env.API_URL
      else process.env.API_URL = before
    })
    const { api } = await moduleOf('nextjs', 1, [])
    expect(await api.user({ id: 7 })).toEqual({ name: 'Ada' })
    await expect(api.watch({ id: 7 }).opened).rejects.toMatchObject({ code: 'failed_precondition' })
  })

  it('its route handler passes a stream on, and lets go of the upstream with its reader', async () => {
    const upstream = await SseServer.start()
    closers.push(() => upstream.close())
    upstream.plan(
      { chunks: ['event: placed\ndata: {"total":7}\n\n', 'event: done\ndata: {}\n\n'] },
      { chunks: ['event: placed\ndata: {"total":8}\n\n'], after: 'stay' },
    )
    const { GET } = await moduleOf('nextjs', 2, [['https://api.example.com/v1', `${upstream.origin}/v1`]])
    const whole: Response = GET(new Request('http://app.test/api/orders/7'))
    expect(whole.headers.get('content-type')).toBe('text/event-stream')
    expect(await whole.text()).toBe('data: {"total":7}\n\n')
    const aborter = new AbortController()
    const left: Response = GET(new Request('http://app.test/api/orders/7', { signal: aborter.signal }))
    const reader = (left.body as ReadableStream<Uint8Array>).getReader()
    expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: {"total":8}\n\n')
    aborter.abort()
    await expect(reader.read()).rejects.toMatchObject({ name: 'AbortError' })
    await upstream.until(() => upstream.open === 0)
  })
})

/** A proxy that passes on what is asked of it, by CONNECT or by whole URLs. */
async function proxyServer() {
  const seen: { readonly what: string; readonly authorization: string | undefined }[] = []
  const note = ({ method, url, headers }: IncomingMessage) =>
    seen.push({ what: `${method} ${url}`, authorization: headers['proxy-authorization'] })
  const server = createServer((incoming, response) => {
    note(incoming)
    const passed = request(incoming.url ?? '', { method: incoming.method }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    incoming.pipe(passed)
  })
  server.on('connect', (incoming, socket, head) => {
    note(incoming)
    const [host, port] = (incoming.url ?? '').split(':')
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      upstream.write(head)
      upstream.pipe(socket).pipe(upstream)
    })
    for (const side of [upstream, socket]) side.on('error', () => {})
  })
  return { seen, port: await listening(server) }
}

describe('docs/proxies-and-tls.md', () => {
  it('calls through a proxy that wants a name and a password', async () => {
    const { seen, port } = await jsonServer({ name: 'Ada' })
    const proxy = await proxyServer()
    const before = getGlobalDispatcher()
    closers.push(() => setGlobalDispatcher(before))
    const { said } = await moduleOf('proxies-and-tls', 1, [
      ['http://proxy.internal:3128', `http://127.0.0.1:${proxy.port}`],
      ['https://api.example.com', `http://127.0.0.1:${port}`],
      ['import { restTransport }', 'import { get, restTransport }'],
      ['await client.close()', "export const said = await client.call(get('/users/7'))\nawait client.close()"],
    ])
    expect(said).toEqual({ name: 'Ada' })
    expect(seen).toHaveLength(1)
    expect(proxy.seen).toHaveLength(1)
    expect(proxy.seen[0]).toMatchObject({ authorization: 'Basic dXNlcjpwYXNz' })
    expect(proxy.seen[0]?.what).toContain(`127.0.0.1:${port}`)
  })

  it('trusts a certificate of its own, for calls and for sockets', async () => {
    const ca = await authority()
    const server = await ca.issue('localhost')
    writeFileSync(join(folder, 'ca.pem'), ca.ca)
    const tls = createTlsServer({ cert: server.cert, key: server.key }, (_request, response) =>
      response.setHeader('content-type', 'application/json').end('{"name":"Ada"}'),
    )
    const sockets = new WebSocketServer({ server: tls })
    sockets.on('connection', (socket) => {
      socket.on('message', (text) => {
        const { type, channel, ref } = JSON.parse(String(text))
        if (type === 'subscribe') socket.send(JSON.stringify({ type: 'subscribed', channel, ref }))
      })
    })
    const port = await listening(tls as unknown as Server)
    closers.push(() => {
      for (const socket of sockets.clients) socket.terminate()
    })
    const { said, state } = await moduleOf('proxies-and-tls', 2, [
      ["readFileSync('ca.pem')", `readFileSync(${JSON.stringify(join(folder, 'ca.pem'))})`],
      ['https://api.internal', `https://localhost:${port}`],
      ['wss://rt.internal/ws', `wss://localhost:${port}/ws`],
      ['import { restTransport }', 'import { get, restTransport }'],
      ['import { websocketTransport }', 'import { channel, websocketTransport }'],
      [
        'await client.close()',
        `export const said = await client.call(get('/users/7'))
const stream = client.call(channel('ticks'))
await stream.opened
export const state = stream.state
await client.close()`,
      ],
    ])
    expect([said, state]).toEqual([{ name: 'Ada' }, 'open'])
  })
})
