import { createServer, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import OpenAI from 'openai'
import { createClient } from 'polywire'
import { createFetch, type PolywireFetch } from 'polywire/fetch'
import { get, restTransport } from 'polywire/rest'
import { afterEach, describe, expect, it } from 'vitest'
import { type LibraryServer, startLibraryServer } from '../../support/libraries/library-server.ts'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0)) await close()
})

const retry = { baseDelayMs: 1, throttleDelayMs: 1 }
const routes = { 'POST /v1/chat/completions': { idempotent: true } } as const
const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }
const openai = (fetch: PolywireFetch, origin: string) =>
  new OpenAI({ apiKey: 'k', baseURL: `${origin}/v1`, fetch: fetch as typeof globalThis.fetch })

async function serve(): Promise<LibraryServer> {
  const server = await startLibraryServer()
  open.push(() => server[Symbol.asyncDispose]())
  return server
}

/** A server that resets each connection as soon as a request comes, and counts them. */
async function resetting(): Promise<{ url: string; requests: () => number }> {
  let requests = 0
  const server: Server = createServer((request) => {
    requests++
    ;(request.socket as Socket & { resetAndDestroy(): void }).resetAndDestroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  open.push(() => new Promise((resolve) => server.close(resolve)))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests }
}

describe('an SDK with retries of its own over a dead server makes three requests', () => {
  it('where the server answers 503', async () => {
    const server = await serve()
    server.answer((_seen, response) => void response.writeHead(503).end('{}'))
    const fetch = createFetch({ origin: server.url, retry, routes })
    await expect(openai(fetch, server.url).chat.completions.create(chat)).rejects.toThrow('503')
    expect(server.seen).toHaveLength(3)
  })

  it('where it cuts the connection', async () => {
    const server = await resetting()
    const fetch = createFetch({ origin: server.url, retry, routes })
    const call = openai(fetch, server.url).chat.completions.create(chat)
    const error = await call.catch((cause: Error) => cause)
    expect((error as Error).cause).toMatchObject({ cause: { notRetried: 'attempts_exhausted', attempt: 3 } })
    expect(server.requests()).toBe(3)
  })

  it('where the request may not be sent again by us', async () => {
    const server = await resetting()
    const fetch = createFetch({ origin: server.url, retry })
    await expect(openai(fetch, server.url).chat.completions.create(chat)).rejects.toThrow()
    expect(server.requests()).toBe(3)
  })
})

describe('a call that repeats one whose attempts are used up', () => {
  const marks = [
    { 'x-stainless-retry-count': '1' },
    { 'x-retry-count': '2' },
    { 'amz-sdk-request': 'attempt=2; max=3' },
    { 'idempotency-key': 'same' },
  ]
  it.each(marks)('is told the same at once, where it says so by %o', async (headers) => {
    const server = await resetting()
    const fetch = createFetch({ origin: server.url, retry })
    const first = headers['idempotency-key'] ? { headers: headers as HeadersInit } : {}
    const failed = (await fetch(`${server.url}/a`, first).catch((error: Error) => error)) as Error
    const again = (await fetch(`${server.url}/a`, { headers: headers as HeadersInit }).catch(
      (error: Error) => error,
    )) as Error
    expect(server.requests()).toBe(3)
    expect(again).toBeInstanceOf(TypeError)
    expect(again.cause).toBe(failed.cause)
  })

  it('is tried in full where it does not say so, names another URL, or comes a minute later', async () => {
    const server = await resetting()
    const fetch = createFetch({ origin: server.url, retry })
    const send = (path: string, headers = {}) => fetch(server.url + path, { headers }).catch(() => undefined)
    await send('/a')
    await send('/a')
    expect(server.requests()).toBe(6)
    await send('/b', { 'x-stainless-retry-count': '1' })
    expect(server.requests()).toBe(9)
    await send('/a', { 'x-stainless-retry-count': '0' })
    expect(server.requests()).toBe(12)
  })

  it('gets an answer by one request, where there was one', async () => {
    const server = await serve()
    server.answer((_seen, response) => void response.writeHead(503).end('busy'))
    const fetch = createFetch({ origin: server.url, retry })
    await (await fetch(`${server.url}/a`)).text()
    const again = await fetch(`${server.url}/a`, { headers: { 'x-retry-count': '1' } })
    expect(await again.text()).toBe('busy')
    expect(server.seen).toHaveLength(4)
  })
})

describe('Polywire inside of Polywire', () => {
  it('makes one attempt in each attempt of the outer call', async () => {
    const server = await serve()
    server.answer((_seen, response) => void response.writeHead(503, { 'x-should-retry': 'x' }).end('busy'))
    const inner = createFetch({ retry })
    // A wrapper that awaits first, and hides that the inner one has tried.
    const http = async (url: string, init: object) => {
      await new Promise(setImmediate)
      const { status, body } = await inner(url, init)
      return new Response(body, { status })
    }
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url, http }) }, retry })
    await expect(client.call(get('/a'))).rejects.toMatchObject({ status: 503, attempt: 3 })
    expect(server.seen).toHaveLength(3)
    await (await inner(`${server.url}/a`)).text()
    expect(server.seen).toHaveLength(6)
  })

  it('does not multiply behind a gateway: SDK, face and gateway make at most 3.6 requests a call', async () => {
    const upstream = await serve()
    upstream.answer((_seen, response) => void response.writeHead(503).end('{}'))
    const gateway = await serve()
    const forward = createFetch({ origin: upstream.url, retry, routes })
    gateway.answer(async ({ method, path, headers, body }, response) => {
      const type = String(headers['content-type'])
      const answer = await forward(upstream.url + path, {
        method,
        body: new Uint8Array(body),
        headers: { 'content-type': type },
      })
      response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
    })
    const fetch = createFetch({ origin: gateway.url, retry, routes })
    const calls = 25
    for (let call = 0; call < calls; call++)
      await openai(fetch, gateway.url)
        .chat.completions.create(chat)
        .catch(() => undefined)
    expect(upstream.seen.length / calls).toBeLessThanOrEqual(3.6)
    expect(upstream.seen.length).toBeGreaterThanOrEqual(calls)
    expect(gateway.seen).toHaveLength(calls)
  })

  it('obeys and passes on that a server forbids another attempt', async () => {
    const server = await serve()
    server.answer((_seen, response) => void response.writeHead(503, { 'x-should-retry': 'false' }).end('no'))
    const response = await createFetch({ origin: server.url, retry })(`${server.url}/a`)
    expect(response.headers.get('x-should-retry')).toBe('false')
    expect(await response.text()).toBe('no')
    expect(server.seen).toHaveLength(1)
  })
})

describe('a face in the place of the global fetch', () => {
  const platform = globalThis.fetch
  afterEach(() => {
    globalThis.fetch = platform
  })

  it.each(['undici', 'fetch', 'auto'] as const)('goes on by what was there (%s)', async (http) => {
    const server = await serve()
    server.answer((_seen, response) => void response.end('fine'))
    globalThis.fetch = createFetch({ origin: server.url, http }) as typeof globalThis.fetch
    expect(await (await fetch(`${server.url}/a`)).text()).toBe('fine')
    // Another transport is not sent through it: its own chain is enough.
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.url, http: 'fetch' }) } })
    expect(await client.call(get('/a', { response: 'text' }))).toBe('fine')
    expect(server.seen).toHaveLength(2)
  })

  it.each(['fetch', 'auto'] as const)('may be wrapped there (%s)', async (http) => {
    const server = await serve()
    server.answer((_seen, response) => void response.end('fine'))
    const face = createFetch({ origin: server.url, http })
    const urls: unknown[] = []
    globalThis.fetch = (async (url: string, init: object) => {
      urls.push(url)
      await new Promise(setImmediate)
      return face(url, init)
    }) as typeof globalThis.fetch
    expect(await (await fetch(`${server.url}/a`)).text()).toBe('fine')
    expect(server.seen).toHaveLength(1)
    expect(urls.length).toBeLessThanOrEqual(2)
  })
})
