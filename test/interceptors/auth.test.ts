import { CallError, createClient, type } from 'polywire'
import { apiKeyAuth, basicAuth, bearerAuth } from 'polywire/auth'
import { mutation, query, subscription } from 'polywire/graphql'
import { rpc } from 'polywire/grpc-web'
import { del, get, patch, post, put, restTransport } from 'polywire/rest'
import { events } from 'polywire/sse'
import { channel, request } from 'polywire/websocket'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { operationInfo } from '../../src/core/call/operation.ts'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { echoServer } from '../support/servers/echo-server.ts'

const output = type<object>()

describe('auth: false', () => {
  const operations = {
    get: get('/x', { auth: false }),
    post: post('/x', { auth: false }),
    put: put('/x', { auth: false }),
    patch: patch('/x', { auth: false }),
    del: del('/x', { auth: false }),
    query: query('query A { a }', { auth: false, output }),
    mutation: mutation('mutation A { a }', { auth: false, output }),
    subscription: subscription('subscription A { a }', { auth: false, output }),
    rpc: rpc(ShopService.method.getItem, { auth: false }),
    events: events('/x', { message: output }, { auth: false }),
    channel: channel('x', { auth: false }),
    request: request('x', { auth: false }),
  }
  it.each(Object.entries(operations))('is an option of %s', (_name, operation) => {
    expect(operationInfo(operation)?.auth).toBe(false)
  })

  it('asks no source and sends no credential', async () => {
    let asked = 0
    const seen: unknown[] = []
    const { client } = memoryClient(
      (call) => {
        seen.push(call.credential)
        return 1
      },
      { auth: bearerAuth(() => `token ${++asked}`) },
    )
    await client.call(unaryOperation({ auth: false }))
    expect(seen).toEqual([undefined])
    expect(asked).toBe(0)
  })
})

describe("a call's own header, over HTTP", () => {
  let server: Awaited<ReturnType<typeof echoServer>>
  beforeEach(async () => {
    server = await echoServer()
  })
  afterEach(() => server.close())

  const thing = get('/thing', { output: type<{ headers: Record<string, string>; url: string }>() })
  const connect = (auth: ReturnType<typeof bearerAuth>) =>
    createClient({ transports: { rest: restTransport({ baseUrl: server.origin }) }, auth })

  it.each([
    ['bearerAuth', bearerAuth('ours'), 'authorization', 'Bearer mine'],
    ['basicAuth', basicAuth({ username: 'me', password: 'ours' }), 'authorization', 'Basic bWU6bWluZQ=='],
    ['apiKeyAuth', apiKeyAuth('ours'), 'x-api-key', 'mine'],
    ['apiKeyAuth with a header', apiKeyAuth('ours', { header: 'X-Key' }), 'x-key', 'mine'],
  ])('wins over %s', async (_name, auth, header, value) => {
    const client = connect(auth)
    const own = await client.call(thing, {}, { headers: { [header]: value } })
    expect(own.headers[header]).toBe(value)
    const ordinary = await client.call(thing)
    expect(ordinary.headers[header]).not.toBe(value)
    expect(ordinary.headers[header]).toBeDefined()
    await client.close()
  })

  it('among a nested input counts as well, however it is written', async () => {
    let asked = 0
    const client = connect(bearerAuth(() => `asked ${++asked}`))
    const nested = get('/thing', {
      shape: 'nested',
      headers: type<{ Authorization?: string }>(),
      output: type<{ headers: Record<string, string> }>(),
    })
    const own = await client.call(nested, { headers: { Authorization: 'Bearer mine' } })
    expect(own.headers.authorization).toBe('Bearer mine')
    expect(asked).toBe(0)
    const ordinary = await client.call(nested, { headers: {} })
    expect(ordinary.headers.authorization).toBe('Bearer asked 1')
    await client.close()
  })

  it('authorization keeps an API key at home, in a header or in the query', async () => {
    for (const auth of [apiKeyAuth('ours'), apiKeyAuth('ours', { query: 'key' })]) {
      const client = connect(auth)
      const { headers, url } = await client.call(thing, {}, { headers: { authorization: 'Bearer mine' } })
      expect(headers.authorization).toBe('Bearer mine')
      expect(headers['x-api-key']).toBeUndefined()
      expect(url).toBe('/thing')
      await client.close()
    }
  })
})

describe('a source of the user', () => {
  it('may give what is no promise of this realm', async () => {
    // biome-ignore lint/suspicious/noThenProperty: a promise of somebody else's is meant.
    const later = (credential: object | undefined) => ({ then: (give: (value: unknown) => void) => give(credential) })
    const seen: unknown[] = []
    const credential = () => later({ headers: { authorization: 'mine' } }) as never
    const { client } = memoryClient((call) => seen.push(call.credential?.headers?.authorization), {
      auth: { name: 'mine', credential },
    })
    await client.call(unaryOperation())
    expect(seen).toEqual(['mine'])
  })

  it('that fails is named, whatever it fails with', async () => {
    for (const credential of [() => Promise.reject(new Error('no')), () => raise('no')]) {
      const { client } = memoryClient(() => 1, { auth: { name: 'mine', credential } })
      await expect(client.call(unaryOperation())).rejects.toMatchObject({
        code: 'unauthenticated',
        sent: 'no',
        message: expect.stringContaining("'mine'"),
      })
    }
  })
})

function raise(what: unknown): never {
  throw what
}

describe('what a redirect has to do with a credential', () => {
  it.each([
    ['a hop that was sent none', { isForeignRefusal: true }],
    ['a request that a redirect has made a GET of', { isMoved: true }],
  ])('a refusal by %s renews nothing and replays nothing', async (_name, facts) => {
    let refreshes = 0
    const sends: unknown[] = []
    const { client } = memoryClient(
      (call) => {
        sends.push(call.credential?.secret)
        throw new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes', ...facts }, call)
      },
      { auth: bearerAuth(() => 'good', { refresh: () => `other ${++refreshes}` }) },
    )
    for (const isIdempotent of [true, false])
      await expect(client.call(unaryOperation({ isIdempotent }))).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(sends).toEqual(['good', 'good'])
    expect(refreshes).toBe(0)
  })
})

describe('a refused credential', () => {
  /** A source that can renew its token, and a server that refuses whatever it gets. */
  function refused(reason: string | undefined) {
    let renewals = 0
    const auth = {
      name: 'test',
      credential: () => ({ secret: 'old' }),
      refresh: async () => ({ secret: `new ${++renewals}` }),
    }
    const seen: unknown[] = []
    const { client } = memoryClient(
      (call) => {
        seen.push(call.credential?.secret)
        throw new CallError({ code: 'unauthenticated', message: 'no', reason, sent: 'yes' }, call)
      },
      { auth, retry: false },
    )
    return { seen, call: client.call(unaryOperation()), renewals: () => renewals }
  }

  it('is renewed once, and the call sent once more', async () => {
    const { call, seen, renewals } = refused(undefined)
    await expect(call).rejects.toMatchObject({ code: 'unauthenticated' })
    expect([seen, renewals()]).toEqual([['old', 'new 1'], 1])
  })

  it('is not renewed where the server asks for another login (RFC 9470)', async () => {
    const { call, seen, renewals } = refused('insufficient_user_authentication')
    await expect(call).rejects.toMatchObject({ reason: 'insufficient_user_authentication' })
    expect([seen, renewals()]).toEqual([['old'], 0])
  })
})
