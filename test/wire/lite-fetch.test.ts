import { create, createFileRegistry } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema, type StringValue, StringValueSchema } from '@bufbuild/protobuf/wkt'
import { createClient } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { createGrpcWebTransport } from '@connectrpc/connect-web'
import { GraphQLClient } from 'graphql-request'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FetchEngine } from '../../transports/wire/fetch-engine.ts'
import type { HttpEngine } from '../../transports/wire/http.ts'
import { HttpFaultError } from '../../transports/wire/http-fault.ts'
import { liteFetch } from '../../transports/wire/lite-fetch.ts'
import { UndiciEngine } from '../../transports/wire/undici-engine.ts'
import { CountingScope, newScope } from '../support/recording-sink.ts'
import { FaultServer } from '../support/servers/fault-server.ts'

/** `service Echo { rpc Say (StringValue) returns (StringValue); rpc Repeat (StringValue) returns (stream StringValue) }` */
function echoService() {
  const type = '.google.protobuf.StringValue'
  const method = (name: string, serverStreaming: boolean) => ({
    name,
    inputType: type,
    outputType: type,
    serverStreaming,
  })
  const file = {
    name: 'echo.proto',
    package: 'test',
    syntax: 'proto3',
    dependency: ['google/protobuf/wrappers.proto'],
    service: [{ name: 'Echo', method: [method('Say', false), method('Repeat', true)] }],
  }
  const set = create(FileDescriptorSetSchema, { file: [StringValueSchema.file.proto, file] })
  const service = createFileRegistry(set).getService('test.Echo')
  if (!service) throw new Error('no service')
  return service
}

interface Echo {
  say(message: { value: string }, options?: { signal?: AbortSignal }): Promise<StringValue>
  repeat(message: { value: string }): AsyncIterable<StringValue>
}

describe.each([
  ['undici', () => new UndiciEngine()],
  ['fetch', () => new FetchEngine()],
] as const)('%s', (_name, make) => {
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

  it('carries graphql-request', async () => {
    server.on('/graphql', async (each) => {
      const { query, variables } = JSON.parse((await each.body()).toString())
      if (query.includes('fail')) each.reply(200, { errors: [{ message: 'no' }] })
      else each.reply(200, { data: { hello: variables.name } }, { 'content-type': 'application/graphql-response+json' })
    })
    const client = new GraphQLClient(`${server.url}/graphql`, {
      fetch: liteFetch(engine, newScope()) as never,
      headers: { authorization: 'Bearer x' },
    })
    expect(await client.request('query ($name: String!) { hello(name: $name) }', { name: 'Ada' })).toEqual({
      hello: 'Ada',
    })
    expect(server.exchanges.at(-1)?.headers).toMatchObject({
      authorization: 'Bearer x',
      'content-type': 'application/json',
    })
    await expect(client.request('{ fail }')).rejects.toThrow('no')
    const raw = await client.rawRequest('query ($name: String!) { hello(name: $name) }', { name: 'Ada' })
    expect(raw.headers.get('content-type')).toBe('application/graphql-response+json')
  })

  it('carries connect-web, unary and streams', async () => {
    const service = echoService()
    const handler = connectNodeAdapter({
      routes: (router) =>
        router.service(service, {
          say: (message: StringValue) => ({ value: `${message.value}!` }),
          async *repeat(message: StringValue) {
            for (let nth = 0; nth < 100; nth++) yield { value: message.value + nth }
          },
        } as never),
    })
    for (const path of ['/test.Echo/Say', '/test.Echo/Repeat'])
      server.on(path, (each) => handler(each.request, each.response))
    const transport = createGrpcWebTransport({ baseUrl: server.url, fetch: liteFetch(engine, newScope()) as never })
    const client = createClient(service, transport) as unknown as Echo
    expect((await client.say({ value: 'hi' })).value).toBe('hi!')
    const got: string[] = []
    for await (const { value } of client.repeat({ value: 'n' })) got.push(value)
    expect(got).toEqual(Array.from({ length: 100 }, (_, nth) => `n${nth}`))
    const aborted = new AbortController()
    aborted.abort(new Error('enough'))
    await expect(client.say({ value: 'hi' }, { signal: aborted.signal })).rejects.toThrow('enough')
  })

  it('reads as a Response does', async () => {
    const fetch = liteFetch(engine, newScope())
    const response = await fetch(new URL('/json', server.url))
    expect(response).toMatchObject({
      status: 200,
      ok: true,
      statusText: '',
      url: `${server.url}/json`,
      bodyUsed: false,
    })
    expect(await response.json()).toEqual({ ok: true })
    expect(response.bodyUsed).toBe(true)
    await expect(response.text()).rejects.toThrow(TypeError)
    expect(await (await fetch(`${server.url}/json`)).text()).toBe('{"ok":true}')
    expect(new TextDecoder().decode(await (await fetch(`${server.url}/json`)).arrayBuffer())).toBe('{"ok":true}')
    expect((await (await fetch(`${server.url}/json`)).bytes()).byteLength).toBe(11)
    const { body } = await fetch(`${server.url}/json`)
    expect(body).toBeInstanceOf(ReadableStream)
    expect(await new Response(body).text()).toBe('{"ok":true}')
    expect(await fetch(`${server.url}/status/204`)).toMatchObject({ status: 204, body: null })
    expect((await fetch(`${server.url}/status/500`)).ok).toBe(false)
  })

  it.each([
    ['a string', 'hello', 'text/plain;charset=UTF-8', 'hello'],
    ['bytes', new TextEncoder().encode('hello'), undefined, 'hello'],
    ['an ArrayBuffer', new TextEncoder().encode('hello').buffer, undefined, 'hello'],
    ['a view', new DataView(new TextEncoder().encode('hello').buffer, 1, 3), undefined, 'ell'],
    ['URLSearchParams', new URLSearchParams({ a: '1' }), 'application/x-www-form-urlencoded;charset=UTF-8', 'a=1'],
    ['a Blob', new Blob(['hello'], { type: 'text/x' }), 'text/x', 'hello'],
    ['a ReadableStream', new Blob(['hello']).stream(), undefined, 'hello'],
    ['nothing', undefined, undefined, ''],
  ])('sends %s', async (_kind, body, type, text) => {
    const init = { method: 'post', headers: new Headers({ 'X-A': '1' }), body }
    const echo = (await (await liteFetch(engine, newScope())(`${server.url}/echo`, init)).json()) as {
      headers: Record<string, string>
    }
    expect(echo).toMatchObject({ method: 'POST', body: text, headers: { 'x-a': '1' } })
    expect(echo.headers['content-type']).toBe(type)
  })

  it('sends a form with its boundary', async () => {
    const body = new FormData()
    body.set('file', new Blob(['content']), 'a.txt')
    const echo = (await (
      await liteFetch(engine, newScope())(`${server.url}/echo`, { method: 'POST', body })
    ).json()) as { body: string; headers: Record<string, string> }
    const boundary = /^multipart\/form-data; boundary=(.+)$/.exec(echo.headers['content-type'] ?? '')?.[1]
    expect(echo.body).toContain(`--${boundary}`)
    expect(echo.body).toContain('content')
  })

  it('rejects with the fault, and with the reason of whoever aborts', async () => {
    const scope = newScope()
    const fetch = liteFetch(engine, scope)
    await expect(fetch(`${server.url}/reset`)).rejects.toBeInstanceOf(HttpFaultError)
    await expect((await fetch(`${server.url}/cut-body`)).text()).rejects.toMatchObject({ fault: { phase: 'body' } })
    const mine = new AbortController()
    const waiting = fetch(`${server.url}/never`, { signal: mine.signal })
    const reading = fetch(`${server.url}/stall`, { signal: mine.signal }).then((response) => response.text())
    await server.until(() => server.hits('/stall') === 1 && server.hits('/never') === 1)
    mine.abort('mine')
    await expect(waiting).rejects.toBe('mine')
    await expect(reading).rejects.toBe('mine')
    await expect(fetch(`${server.url}/json`, { signal: mine.signal })).rejects.toBe('mine')
    const last = fetch(`${server.url}/never`)
    scope.abort('the call')
    await expect(last).rejects.toBe('the call')
    await expect(fetch(`${server.url}/json`, { signal: new AbortController().signal })).rejects.toBe('the call')
  })

  it('follows no redirect where told so', async () => {
    const fetch = liteFetch(engine, newScope(), { fetchOptions: { redirect: 'error' } })
    await expect(fetch(`${server.url}/redirect/302?to=/json`)).rejects.toMatchObject({
      fault: { code: 'failed_precondition' },
    })
    const manual = await fetch(`${server.url}/redirect/302?to=/json`, { redirect: 'manual' })
    expect(manual.status).toBe(302)
  })

  it('leaves nothing on a signal or scope that outlives 100 calls', async () => {
    const scope = new CountingScope()
    let listeners = 0
    const signal = {
      aborted: false,
      addEventListener: () => void listeners++,
      removeEventListener: () => void listeners--,
    }
    const fetch = liteFetch(engine, scope)
    for (let nth = 0; nth < 100; nth++) {
      const path = nth % 10 === 0 ? '/reset' : '/json'
      await fetch(server.url + path, { signal }).then(
        (response) => response.text(),
        () => undefined,
      )
    }
    await Promise.resolve()
    expect({ listeners, scope: scope.listeners }).toEqual({ listeners: 0, scope: 0 })
  })
})
