import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { method, options, query, type RestTransportOptions, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'

interface Seen {
  readonly line: string
  readonly body: string
  readonly type: string | undefined
}
type Answer = (request: IncomingMessage, response: ServerResponse, seen: Seen) => void

let server: Server
let origin: string
let answer: Answer
const seen: Seen[] = []
const clients: { close(): Promise<void> }[] = []

const echo: Answer = (_request, response, one) => json(response, one)

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { method, url, headers } = request
      const one = { line: `${method} ${url}`, body: String(Buffer.concat(chunks)), type: headers['content-type'] }
      seen.push(one)
      answer(request, response, one)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})
afterEach(async () => {
  answer = echo
  seen.length = 0
  for (const client of clients.splice(0)) await client.close()
})

const search = query('/contacts/{book}', { body: type<{ name: string }>(), output: type<Seen>() })
const propfind = method('PROPFIND', '/files/{path}')
const lines = () => seen.map(({ line }) => line)

describe.each(['undici', 'fetch'] as const)('by %s', (http) => {
  const connect = (options: Partial<RestTransportOptions> = {}) => {
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: origin, http, ...options }) },
      retry: { baseDelayMs: 1, throttleDelayMs: 1 },
      auth: bearerAuth(() => 'good'),
    })
    clients.push(client)
    return client
  }

  it('a QUERY goes out with its body, path names apart', async () => {
    answer = echo
    expect(await connect().call(search, { book: 'a b', name: 'Ann' })).toEqual({
      line: 'QUERY /contacts/a%20b',
      body: '{"name":"Ann"}',
      type: 'application/json',
    })
  })

  it('a QUERY is sent again like a GET, also after an answer that may have been carried out', async () => {
    answer = (_request, response, one) => (seen.length < 3 ? json(response, {}, 502) : json(response, one))
    await connect().call(search, { book: '1', name: 'Ann' })
    expect(seen).toHaveLength(3)
    expect(new Set(seen.map(({ body }) => body))).toEqual(new Set(['{"name":"Ann"}']))
  })

  it('a QUERY whose connection breaks after it was written is sent again', async () => {
    answer = (request, response, one) => (seen.length < 2 ? request.socket.destroy() : json(response, one))
    await connect().call(search, { book: '1', name: 'Ann' })
    expect(lines()).toEqual(['QUERY /contacts/1', 'QUERY /contacts/1'])
  })

  it.each([301, 302, 307, 308])('%i keeps method and body of a QUERY', async (status) => {
    answer = (request, response, one) => {
      if (request.url === '/there') json(response, one)
      else response.writeHead(status, { location: '/there' }).end()
    }
    const came = await connect().call(search, { book: '1', name: 'Ann' })
    expect(came).toEqual({ line: 'QUERY /there', body: '{"name":"Ann"}', type: 'application/json' })
  })

  it('303 makes a GET of a QUERY, without its body', async () => {
    answer = (request, response, one) => {
      if (request.url === '/there') json(response, one)
      else response.writeHead(303, { location: '/there' }).end()
    }
    expect(await connect().call(search, { book: '1', name: 'Ann' })).toEqual({ line: 'GET /there', body: '' })
  })

  it('a QUERY that 303 has sent elsewhere is asked again as a whole, since it changes nothing', async () => {
    answer = (request, response, one) => {
      if (request.url !== '/there') response.writeHead(303, { location: '/there' }).end()
      else if (seen.length < 3) json(response, {}, 503)
      else json(response, one)
    }
    await connect().call(search, { book: '1', name: 'Ann' })
    expect(lines()).toEqual(['QUERY /contacts/1', 'GET /there', 'QUERY /contacts/1', 'GET /there'])
  })

  it('an OPTIONS gives its headers by .reply(), and its input goes to the query', async () => {
    answer = (_request, response) => response.writeHead(204, { allow: 'GET, QUERY' }).end()
    const api = connect().bind({ options: options('/contacts', { query: type<{ of?: string }>() }) })
    const { headers, message } = await api.options.reply({ of: 'x' })
    expect([headers.get('allow'), message, lines()]).toEqual(['GET, QUERY', undefined, ['OPTIONS /contacts?of=x']])
  })

  it('another method is sent as it is written, its rest as the body', async () => {
    answer = (_request, response, one) => {
      response.writeHead(207, { 'content-type': 'application/xml' }).end(`<multistatus>${one.line}</multistatus>`)
    }
    expect(await connect().call(propfind, { path: 'a/b' })).toBe('<multistatus>PROPFIND /files/a%2Fb</multistatus>')
  })

  it('another method is not sent again where it may have run, unless it is said to be idempotent', async () => {
    answer = (_request, response) => json(response, {}, 502)
    const client = connect()
    await expect(client.call(propfind, { path: 'a' })).rejects.toMatchObject({ code: 'unavailable', sent: 'yes' })
    expect(seen).toHaveLength(1)
    const said = method('PROPFIND', '/files/{path}', { idempotent: true })
    await expect(client.call(said, { path: 'a' })).rejects.toMatchObject({ notRetried: 'attempts_exhausted' })
    expect(seen).toHaveLength(4)
  })

  it('undefined says nothing: it is no promise that twice does what once does', async () => {
    answer = (_request, response) => json(response, {}, 502)
    const silent = method('PROPFIND', '/files/{path}', { idempotent: undefined })
    await expect(connect().call(silent, { path: 'a' })).rejects.toMatchObject({ code: 'unavailable', sent: 'yes' })
    expect(seen).toHaveLength(1)
  })
})

describe('what only a caller without types can write', () => {
  it.each([
    ['propfind', "method('propfind', '/a', …): write 'PROPFIND'"],
    ['CONNECT', 'no client may send CONNECT'],
    ['TRACE', 'no client may send TRACE'],
    ['TRACK', 'no client may send TRACK'],
    ['GET', "write get('/a', …)"],
    ['DELETE', "write del('/a', …)"],
    ['QUERY', "write query('/a', …)"],
    ['A B', 'a method is a word such as PROPFIND'],
    ['', 'a method is a word such as PROPFIND'],
    ['X\r\nY', 'a method is a word such as PROPFIND'],
  ])('method(%j) is refused where it is written', (name, message) => {
    expect(() => method(name as never, '/a')).toThrow(message)
  })

  it('a QUERY without a body is refused where it is written', () => {
    expect(() => query('/a', undefined as never)).toThrow("query('/a', …): a QUERY carries its question in the body")
    expect(() => query('/a', { output: type<object>() } as never)).toThrow("write 'body'")
  })
})
