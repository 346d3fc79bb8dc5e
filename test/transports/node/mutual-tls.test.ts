import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import nodeTls, { type TLSSocket } from 'node:tls'
import { type CallError, createClient, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { type MutualTls, mutualTls } from 'polywire/node'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { eventually } from '../../conformance/support/eventually.ts'
import { authority } from '../../support/certificates.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const hasOpenSsl = spawnSync('openssl', ['version']).status === 0
type Authority = Awaited<ReturnType<typeof authority>>
let trusted: Authority
let files: { cert: string; key: string; ca: string }
let write: (name: 'cert' | 'key' | 'ca', text: string) => void
beforeEach(async () => {
  trusted = await authority()
  const folder = mkdtempSync(join(tmpdir(), 'polywire-tls-'))
  closing.push(() => rmSync(folder, { recursive: true }))
  files = { cert: join(folder, 'client.pem'), key: join(folder, 'client.key'), ca: join(folder, 'ca.pem') }
  write = (name, text) => writeFileSync(files[name], text)
  write('ca', trusted.ca)
})

async function rotate(common: string, validDays?: number): Promise<void> {
  const { cert, key } = await trusted.issue(common, validDays)
  write('cert', cert)
  write('key', key)
}

/** A server that demands a client certificate, and says whose it got. */
async function demanding() {
  const server: Server = createServer({
    ...(await trusted.issue('server')),
    ca: trusted.ca,
    requestCert: true,
    rejectUnauthorized: true,
  })
  let connections = 0
  server.on('secureConnection', () => connections++)
  const held: (() => void)[] = []
  server.on('request', (request, response) => {
    const common = (request.socket as TLSSocket).getPeerCertificate().subject.CN
    response.setHeader('content-type', 'application/json')
    if (request.url === '/events') {
      response.setHeader('content-type', 'text/event-stream').write(`data: "${common}"\n\n`)
      held.push(() => response.end(`data: "${common} to the end"\n\n`))
    } else if (request.url === '/graphql') response.end(JSON.stringify({ data: { who: common } }))
    else if (request.url === '/held') held.push(() => response.end(JSON.stringify(common)))
    else response.end(JSON.stringify(common))
  })
  const sockets = new WebSocketServer({ server, path: '/ws' })
  sockets.on('connection', (socket, request) => {
    const common = (request.socket as TLSSocket).getPeerCertificate().subject.CN
    socket.on('message', (text) => {
      const { type: kind, channel: name } = JSON.parse(String(text))
      if (kind === 'subscribe') socket.send(JSON.stringify({ type: 'message', channel: name, data: common }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    server.close()
  })
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return { host, url: `https://${host}`, held, connections: () => connections }
}

function clientOf(tls: MutualTls, { host, url }: { host: string; url: string }) {
  const { dispatcher, wsOptions } = tls
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: url, dispatcher }),
      graphql: graphqlTransport({ url: `${url}/graphql`, dispatcher }),
      sse: sseTransport({ baseUrl: url, dispatcher }),
      websocket: websocketTransport({ url: `wss://${host}/ws`, wsOptions }),
    },
    retry: false,
  })
  closing.push(
    () => tls.close(),
    () => client.close(),
  )
  return client
}

const who = get('/', { output: type<string>(), response: 'json' })
const heldWho = get('/held', { output: type<string>(), response: 'json' })
const greeting = events('/events', { message: type<string>() })

describe('a certificate of files', () => {
  it('proves the client over REST, GraphQL, SSE and WebSocket', async () => {
    await rotate('first')
    const client = clientOf(mutualTls(files), await demanding())
    expect(await client.call(who)).toBe('first')
    expect(await client.call(query<{ who: string }, {}>('{ who }'))).toEqual({ who: 'first' })
    for await (const { data } of client.call(greeting)) {
      expect(data).toBe('first')
      break
    }
    await using room = client.call(channel('room', { send: type<string>(), receive: type<string>() }))
    for await (const name of room) {
      expect(name).toBe('first')
      break
    }
  })

  it('is renewed for new connections, and what runs on older ones goes on to its end', async () => {
    await rotate('first')
    const server = await demanding()
    const tls = mutualTls(files, { checkEveryMs: 0 })
    const client = clientOf(tls, server)
    const held = client.call(heldWho)
    const stream = client.call(greeting)[Symbol.asyncIterator]()
    expect((await stream.next()).value).toMatchObject({ data: 'first' })
    expect(await client.call(who)).toBe('first')
    await rotate('second')
    await tls.reload()
    expect(await client.call(who)).toBe('second')
    await using room = client.call(channel('room', { send: type<string>(), receive: type<string>() }))
    for await (const name of room) {
      expect(name).toBe('second')
      break
    }
    for (const release of server.held) release()
    expect(await held).toBe('first')
    expect((await stream.next()).value).toMatchObject({ data: 'first to the end' })
    await stream.return?.()
  })

  it('is seen without a word, when calls are made; the same one keeps its connections', async () => {
    await rotate('first')
    const server = await demanding()
    const client = clientOf(mutualTls(files, { checkEveryMs: 0 }), server)
    for (let n = 0; n < 20; n++) expect(await client.call(who)).toBe('first')
    // undici opens a second one where the first has but now been given back.
    expect(server.connections()).toBeLessThanOrEqual(2)
    await rotate('second')
    let name = ''
    while (name !== 'second') name = await client.call(who)
    expect(server.connections()).toBeLessThanOrEqual(4)
  })

  it('half written, or none: the one before stays, and who asks is told', async () => {
    await rotate('first')
    const errors: string[] = []
    const tls = mutualTls(files, { checkEveryMs: 0, onError: (error) => errors.push((error as Error).message) })
    const client = clientOf(tls, await demanding())
    expect(await client.call(who)).toBe('first')
    write('cert', (await trusted.issue('second')).cert)
    await expect(tls.reload()).rejects.toThrow(/^the client certificate cannot be used \(.*key values mismatch/)
    write('cert', 'nothing')
    await expect(tls.reload()).rejects.toThrow('cert of mutualTls() holds no certificate')
    expect(await client.call(who)).toBe('first')
    await eventually(() => errors.includes('cert of mutualTls() holds no certificate'))
    expect(await client.call(who)).toBe('first')
  })
})

describe('the code that gives a certificate, or hears of it', () => {
  it('onError that throws, or fails later, harms no call and no socket', async () => {
    for (const onError of [
      () => {
        throw new Error('mine')
      },
      (async () => Promise.reject(new Error('mine, later'))) as () => void,
    ]) {
      await rotate('first')
      const client = clientOf(mutualTls(files, { checkEveryMs: 0, onError }), await demanding())
      expect(await client.call(who)).toBe('first')
      write('cert', 'nothing')
      for (let n = 0; n < 3; n++) expect(await client.call(who)).toBe('first')
      await using room = client.call(channel('room', { send: type<string>(), receive: type<string>() }))
      for await (const name of room) {
        expect(name).toBe('first')
        break
      }
    }
  })

  it('a function that is silent once is given up, and asked again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    closing.push(() => vi.useRealTimers())
    const { cert, key } = await trusted.issue('late')
    let asked = 0
    const tls = mutualTls(() => (++asked === 1 ? new Promise(() => {}) : { cert, key }))
    closing.push(() => tls.close())
    const reloaded = tls.reload().catch((error: Error) => error.message)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await reloaded).toBe('the function of mutualTls() cannot be read (Error)')
    await tls.reload()
    expect(asked).toBe(2)
  })

  it.each([undefined, null, 'a text'])('what it throws may be %s', async (thrown) => {
    const tls = mutualTls(() => Promise.reject(thrown))
    await expect(tls.reload()).rejects.toThrow('the function of mutualTls() cannot be read (')
  })
})

describe('a certificate that cannot be used', () => {
  it('that has expired is not used by the first call after it was renewed', async () => {
    await rotate('old', -1)
    const client = clientOf(mutualTls(files, { checkEveryMs: 0 }), await demanding())
    await expect(client.call(who)).rejects.toThrow('expired')
    await rotate('new')
    expect(await client.call(who)).toBe('new')
  })

  it('of a function that fails, or a file that is not there: one error, nothing sent, and the next call asks again', async () => {
    const server = await demanding()
    const { cert, key } = await trusted.issue('late')
    let asked = 0
    const tls = mutualTls(() => {
      if (++asked === 1) throw new Error('vault is sealed: canary')
      return { cert, key, ca: trusted.ca }
    })
    const client = clientOf(tls, server)
    const error = await client.call(who).catch((each: unknown) => each as CallError)
    expect(error).toMatchObject({ code: 'failed_precondition', phase: 'connect', sent: 'no' })
    expect((error as CallError).message).toBe(
      '[failed_precondition] GET / via rest: the function of mutualTls() cannot be read (Error); nothing was sent',
    )
    expect(await client.call(who)).toBe('late')
    const missing = clientOf(mutualTls({ cert: '/nowhere.pem', key: '/nowhere.key' }), server)
    await expect(missing.call(who)).rejects.toThrow('cert of mutualTls() cannot be read (ENOENT)')
  })

  it('that has expired is not even tried, over HTTP and over a socket', async () => {
    await rotate('old', -1)
    const server = await demanding()
    const client = clientOf(mutualTls(files), server)
    const expired = {
      code: 'failed_precondition',
      phase: 'connect',
      sent: 'no',
      message: expect.stringMatching(/the client certificate expired on \d{4}-\d\d-\d\dT.*; nothing was sent$/),
    }
    await expect(client.call(who)).rejects.toMatchObject(expired)
    await expect(client.call(query<{ who: string }, {}>('{ who }'))).rejects.toMatchObject(expired)
    await expect(client.call(greeting).opened).rejects.toMatchObject(expired)
    await expect(client.call(channel('room', {})).opened).rejects.toMatchObject({
      code: 'failed_precondition',
      message: expect.stringContaining('the client certificate expired on'),
    })
    expect(server.connections()).toBe(0)
  })

  // Node 24.5 brings it.
  it.skipIf(!('setDefaultCACertificates' in nodeTls))(
    'without any, the server’s demand is one clear error, nothing sent',
    async () => {
      const server = await demanding()
      const before = nodeTls.getCACertificates('default')
      nodeTls.setDefaultCACertificates([...before, trusted.ca])
      closing.push(() => nodeTls.setDefaultCACertificates(before))
      const client = createClient({
        transports: { rest: restTransport({ baseUrl: server.url }) },
      })
      closing.push(() => client.close())
      await expect(client.call(who)).rejects.toMatchObject({
        code: 'failed_precondition',
        phase: 'connect',
        sent: 'no',
        failures: [],
        message: expect.stringContaining('the server refused the client certificate, or demands one; nothing was sent'),
      })
    },
  )

  it.skipIf(!hasOpenSsl)(
    'of another authority is refused by OpenSSL’s own server: one clear error, nothing sent',
    async () => {
      const stranger = await (await authority('Stranger')).issue('stranger')
      const folder = mkdtempSync(join(tmpdir(), 'polywire-s-server-'))
      closing.push(() => rmSync(folder, { recursive: true }))
      const { cert, key } = await trusted.issue('server')
      for (const [name, text] of Object.entries({ cert, key, ca: trusted.ca })) writeFileSync(join(folder, name), text)
      const port = await startOpenSsl(folder)
      const tls = mutualTls({ ...stranger, ca: trusted.ca })
      const client = clientOf(tls, { host: `127.0.0.1:${port}`, url: `https://127.0.0.1:${port}` })
      await expect(client.call(who)).rejects.toMatchObject({
        code: 'failed_precondition',
        phase: 'connect',
        sent: 'no',
        message: expect.stringContaining('the server refused the client certificate'),
      })
      await expect(client.call(channel('room', {})).opened).rejects.toMatchObject({ code: 'failed_precondition' })
    },
  )

  it('options that are none are named', () => {
    expect(() => mutualTls({ cert: 'a' } as never)).toThrow(/takes \{ cert, key \}/)
    expect(() => mutualTls({ cert: 'a', key: 'b', cert2: 1 } as never)).toThrow(/did you mean 'cert'/)
    expect(() => mutualTls(files, { checkEveryMs: -1 })).toThrow(/checkEveryMs takes/)
  })
})

/** `openssl s_server` ends a handshake by the alert that the standard names. */
async function startOpenSsl(folder: string): Promise<number> {
  const files = ['-cert', 'cert', '-key', 'key', '-CAfile', 'ca']
  const server = spawn(
    'openssl',
    ['s_server', '-accept', '0', '-Verify', '2', '-verify_return_error', '-www', ...files],
    { cwd: folder },
  )
  closing.push(() => server.kill())
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    let text = ''
    server.stdout.on('data', (chunk: Buffer) => {
      text += chunk
      const port = /ACCEPT .*:(\d+)/.exec(text)?.[1]
      if (port) resolve(Number(port))
    })
  })
}
