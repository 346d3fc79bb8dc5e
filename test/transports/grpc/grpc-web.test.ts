import { create, isMessage } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import { adapt, createClient, inFlightDedupe, isCallError, logTo } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import {
  connectWeb,
  cursorPages,
  decodeBinaryHeader,
  encodeBinaryHeader,
  grpcDetails,
  grpcWebTransport,
  rpc,
  service,
  unaryRpc,
} from 'polywire/grpc-web'
import { batched } from 'polywire/loader'
import { describe, expect, it, vi } from 'vitest'
import { framings, hasteClock, rejection, shopClient } from '../../support/grpc-client.ts'
import { BadRequestSchema, RetryInfoSchema } from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { ItemSchema, ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

describe.each(framings)('a unary call framed by %s', (framing) => {
  it('gives a message back, of any length', async () => {
    await using server = await GrpcServer.start({ addItem: (item) => ({ ...item, stock: item.stock + 1 }) })
    await using api = shopClient(server.url, { framing })
    for (const size of [0, 1, 1000, 100_000, 1_000_000]) {
      const picture = new Uint8Array(size).fill(7)
      const item = await api.shop.addItem({ id: 2n ** 53n + 1n, name: 'grün', picture, stock: 2 })
      expect(item).toMatchObject({ $typeName: 'polywire.test.v1.Item', id: 2n ** 53n + 1n, name: 'grün', stock: 3 })
      expect(Buffer.from(item.picture).equals(picture)).toBe(true)
    }
  })

  it('is the same by unaryRpc, which brings nothing of streams', async () => {
    await using server = await GrpcServer.start({ addItem: (item) => ({ ...item, stock: item.stock + 1 }) })
    const transports = { 'grpc-web': grpcWebTransport({ baseUrl: server.url, framing }) }
    const client = createClient({ transports })
    expect(await client.call(unaryRpc(ShopService.method.addItem), { name: 'tea', stock: 1 })).toMatchObject({
      name: 'tea',
      stock: 2,
    })
    await client.close()
  })

  it('takes a message as well as its init, and may be called without any', async () => {
    await using server = await GrpcServer.start({ getItem: ({ id }) => ({ id }), addItem: (item) => item })
    await using api = shopClient(server.url, { framing })
    expect((await api.shop.addItem(create(ItemSchema, { name: 'tea' }))).name).toBe('tea')
    expect((await api.shop.getItem()).id).toBe(0n)
  })

  it('carries metadata both ways, headers and trailers apart, binary ones too', async () => {
    const bytes = Uint8Array.of(0, 1, 254, 255)
    await using server = await GrpcServer.start({
      getItem: (_, context) => {
        context.responseHeader.set('x-head', 'h')
        context.responseHeader.set('x-both', '250')
        context.responseTrailer.set('x-tail', 't')
        context.responseTrailer.set('x-both', '250')
        context.responseTrailer.set('echo-bin', context.requestHeader.get('data-bin') ?? '')
        return {}
      },
    })
    await using api = shopClient(server.url, { framing, headers: { 'X-Tenant': 'a', 'x-app': 'base' } })
    const headers = { 'data-bin': encodeBinaryHeader(bytes), 'X-App': 'call' }
    const reply = await api.shop.getItem.reply({ id: 1n }, { headers })
    expect(reply.status).toBe(200)
    expect(reply.headers.get('x-head')).toBe('h')
    expect(reply.headers.has('x-tail')).toBe(false)
    expect(reply.trailers.get('x-tail')).toBe('t')
    expect(reply.trailers.get('x-both')).toBe('250')
    expect(decodeBinaryHeader(reply.trailers, 'echo-bin')).toEqual([bytes])
    const seen = server.calls[0]?.headers
    expect(seen?.get('x-tenant')).toBe('a')
    expect(seen?.get('x-app')).toBe('call')
    expect(seen?.get('content-type')).toBe('application/grpc-web+proto')
    expect(seen?.get('x-grpc-web')).toBe('1')
    expect(seen?.get('x-user-agent')).toMatch(/^(connect-es|polywire)/)
  })

  it('tells the code, the details, the metadata and never the server’s text', async () => {
    await using server = await GrpcServer.start({
      addItem: () => {
        const details = [
          { desc: BadRequestSchema, value: { fieldViolations: [{ field: 'name', description: 'is empty' }] } },
          { desc: ItemSchema, value: { id: 7n } },
        ]
        throw new ConnectError(
          'secret text',
          Code.InvalidArgument,
          { 'x-why': 'because', 'x-request-id': 'r1' },
          details,
        )
      },
    })
    await using api = shopClient(server.url, { framing })
    const error = await rejection(api.shop.addItem({ name: '' }))
    expect(isCallError(error)).toBe(true)
    expect(error).toMatchObject({
      code: 'invalid_argument',
      protocol: 'grpc-web',
      operation: 'polywire.test.v1.ShopService/AddItem',
      status: 3,
      phase: 'body',
      sent: 'yes',
      isRetryable: false,
      serverMessage: 'secret text',
      requestId: 'r1',
      violations: [{ field: 'name', message: 'is empty' }],
    })
    expect(error.message).toMatch(/^\[invalid_argument\] polywire\.test\.v1\.ShopService\/AddItem via grpc-web: /)
    expect(`${error.message}${JSON.stringify(error)}`).not.toContain('secret')
    expect(error.trailers.get('x-why')).toBe('because')
    const [, detail] = grpcDetails(error)
    expect(detail).toMatchObject({ type: 'polywire.test.v1.Item', bytes: Uint8Array.of(8, 7) })
  })

  it.each([
    ['a percent sign', '100% of it'],
    ['umlauts and emoji', 'größe 💥'],
    ['line ends', 'a\r\nb'],
  ])('reads a message with %s', async (_, text) => {
    await using server = await GrpcServer.start({
      getItem: () => {
        throw new ConnectError(text, Code.NotFound)
      },
    })
    await using api = shopClient(server.url, { framing })
    expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'not_found', serverMessage: text })
  })

  it.each([
    ['a text', '7'],
    ['a list of messages', [{ id: 7n }]],
    ['bytes', Uint8Array.of(8, 7)],
    ['a Map', new Map([['id', 7n]])],
    ['null', null],
  ])('that is given %s is refused, since no message comes of it', async (_, input) => {
    await using server = await GrpcServer.start({})
    await using api = shopClient(server.url, { framing })
    for (const call of [() => api.shop.getItem(input as never), () => api.shop.watchItems(input as never).opened]) {
      const error = await rejection(call())
      expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
      expect(error.message).toContain('an object with the fields of polywire.test.v1.')
    }
    expect(server.connections).toBe(0)
  })

  it('whose message does not encode is refused before anything is sent', async () => {
    await using server = await GrpcServer.start({})
    await using api = shopClient(server.url, { framing })
    const error = await rejection(api.shop.addItem({ stock: -1 }))
    expect(error).toMatchObject({ code: 'invalid_argument', phase: 'resolve', sent: 'no' })
    expect(error.message).toContain('polywire.test.v1.Item')
    expect(server.connections).toBe(0)
  })

  it('of a method that the server lacks is unimplemented', async () => {
    await using server = await GrpcServer.start({})
    await using api = shopClient(server.url, { framing })
    expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'unimplemented', status: 12 })
  })

  it('goes with its credential, which is renewed once when it is refused', async () => {
    let token = 'old'
    await using server = await GrpcServer.start({
      addItem: (item, context) => {
        if (context.requestHeader.get('authorization') !== 'Bearer new')
          throw new ConnectError('no', Code.Unauthenticated)
        return item
      },
    })
    const refresh = vi.fn(() => (token = 'new'))
    await using api = shopClient(server.url, { framing, auth: bearerAuth(() => token, { refresh }) })
    const names = await Promise.all(['a', 'b', 'c'].map((name) => api.shop.addItem({ name }).then((item) => item.name)))
    expect(names).toEqual(['a', 'b', 'c'])
    expect(refresh).toHaveBeenCalledTimes(1)
  })

  it('carries a credential in the query where the API wants it there', async () => {
    const seen: (string | undefined)[] = []
    await using server = await GrpcServer.start({
      getItem: (_, context) => {
        seen.push(new URL(context.url ?? '', 'http://x').search)
        return {}
      },
    })
    const auth = { name: 'key', credential: () => ({ query: { key: 'a&b' } }) }
    await using api = shopClient(server.url, { framing, auth })
    await api.shop.getItem()
    expect(seen).toEqual(['?key=a%26b'])
  })
})

describe.each(framings)('attempts framed by %s', (framing) => {
  const failing = (times: number, code: Code, metadata: Record<string, string> = {}) => {
    let calls = 0
    return () => {
      if (++calls <= times) throw new ConnectError('not now', code, metadata)
      return {}
    }
  }

  it('are made again for methods without side effects and idempotent ones only', async () => {
    const fail = () => failing(1, Code.Unavailable)
    await using server = await GrpcServer.start({ getItem: fail(), putItem: fail(), addItem: fail() })
    await using api = shopClient(server.url, { framing })
    expect((await api.shop.getItem.reply()).attempts).toBe(2)
    expect((await api.shop.putItem.reply()).attempts).toBe(2)
    expect(await rejection(api.shop.addItem({}))).toMatchObject({ code: 'unavailable', notRetried: 'not_idempotent' })
  })

  it('can be declared safe, or keyed by a header or a field of the message', async () => {
    await using server = await GrpcServer.start({ addItem: failing(3, Code.Unavailable) })
    const client = createClient({
      clock: hasteClock,
      transports: { 'grpc-web': grpcWebTransport({ baseUrl: server.url, framing }) },
    })
    const safe = rpc(ShopService.method.addItem, { idempotent: true })
    const keyed = rpc(ShopService.method.addItem, { idempotency: 'idempotency-key' })
    const fielded = rpc(ShopService.method.addItem, { idempotency: 'google' })
    await rejection(client.call(safe, {}))
    await client.call(keyed, {})
    const keys = server.calls.map(({ headers }) => headers.get('idempotency-key'))
    expect(keys.slice(0, 3)).toEqual([null, null, null])
    expect(keys[3]).toMatch(/^[0-9a-f-]{36}$/)
    expect(await rejection(client.call(fielded, {}))).toMatchObject({ code: 'failed_precondition', sent: 'no' })
    await client.close()
  })

  it('tell the server what is left of the deadline, less each time', async () => {
    let now = 0
    const clock = { ...hasteClock, now: () => now }
    await using server = await GrpcServer.start({
      getItem: () => {
        now += 300.25
        throw new ConnectError('later', Code.Unavailable)
      },
    })
    await using api = shopClient(server.url, { framing }, { clock })
    await rejection(api.shop.getItem({}, { timeoutMs: 1000 }))
    expect(server.calls.map(({ timeout }) => timeout)).toEqual(['1000m', '700m', '400m'])
    const earlier = server.calls.map(({ headers }) => headers.get('grpc-previous-rpc-attempts'))
    expect(earlier).toEqual([null, '1', '2'])
  })

  it.each([
    [1500.7, '1501m'],
    [1e9 + 0.5, '1000001S'],
    [1e12, '2147483S'],
  ])('send a timeout of %s ms as %s, which the server understands', async (timeoutMs, header) => {
    const clock = { ...hasteClock, now: () => 0 }
    await using server = await GrpcServer.start({ getItem: () => ({}) })
    await using api = shopClient(server.url, { framing }, { clock })
    await api.shop.getItem({}, { timeoutMs })
    expect(server.calls[0]?.timeout).toBe(header)
  })

  it('send no timeout where nothing bounds the call', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({}) })
    await using api = shopClient(server.url, { framing }, { timeoutMs: Number.POSITIVE_INFINITY })
    await api.shop.getItem()
    expect(server.calls[0]?.timeout).toBeNull()
  })

  it('stop where the server pushes back with less than nothing', async () => {
    await using server = await GrpcServer.start({
      getItem: failing(9, Code.Unavailable, { 'grpc-retry-pushback-ms': '-1' }),
    })
    await using api = shopClient(server.url, { framing })
    expect(await rejection(api.shop.getItem())).toMatchObject({ notRetried: 'forbidden_by_server', isRetryable: false })
    expect(server.calls).toHaveLength(1)
  })

  it('wait as long as pushed back, even where the call is not idempotent', async () => {
    await using server = await GrpcServer.start({
      addItem: failing(1, Code.ResourceExhausted, { 'grpc-retry-pushback-ms': '1' }),
    })
    const waits: number[] = []
    const telemetry = { event: (event: any) => event.type === 'retry' && waits.push(event.waitMs) }
    await using api = shopClient(server.url, { framing }, { telemetry })
    expect((await api.shop.addItem.reply({})).attempts).toBe(2)
    expect(waits).toEqual([1])
  })

  it('fail at once where RetryInfo asks for more time than there is', async () => {
    const details = [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: 60n } } }]
    await using server = await GrpcServer.start({
      getItem: () => {
        throw new ConnectError('busy', Code.Unavailable, {}, details)
      },
    })
    await using api = shopClient(server.url, { framing })
    expect(await rejection(api.shop.getItem({}, { timeoutMs: 5000 }))).toMatchObject({
      notRetried: 'wait_exceeds_deadline',
      retryAfterMs: 60_000,
    })
  })
})

it('ids of int64 are keys like any other, and stand in no log', async () => {
  const asked: bigint[] = []
  await using server = await GrpcServer.start({
    getItem: async ({ id }) => {
      asked.push(id)
      await new Promise((resolve) => setImmediate(resolve))
      if (id === 404n) throw new ConnectError('none', Code.NotFound)
      return { id, name: String(id), picture: Uint8Array.of(1) }
    },
  })
  const logged: unknown[] = []
  const log = (fields: object) => void logged.push(JSON.stringify(fields))
  const logger = { trace: log, debug: log, info: log, warn: log, error: log }
  const telemetry = logTo(logger)
  await using api = shopClient(server.url, {}, { dedupe: inFlightDedupe(), telemetry })
  const ids = [1n, 1n, 2n ** 53n, 2n ** 53n + 1n, 1n]
  const items = await Promise.all(ids.map((id) => api.shop.getItem({ id })))
  expect(items.map(({ id }) => id)).toEqual(ids)
  expect(asked.sort()).toEqual([1n, 2n ** 53n, 2n ** 53n + 1n])
  expect(items[1]).not.toBe(items[0])
  expect(isMessage(items[1], ItemSchema)).toBe(true)
  const error = await rejection(api.shop.getItem({ id: 404n }))
  expect(JSON.stringify(error)).toContain('not_found')
  expect(logged.length).toBeGreaterThan(ids.length)
  expect(logged.join()).not.toContain('9007199254740993')

  const one = batched(
    adapt(rpc(ShopService.method.listItems), {
      input: (keys: readonly bigint[]) => ({ pageToken: keys.join() }),
      output: ({ items: found }) => found,
    }),
    { input: (keys: readonly bigint[]) => keys, by: 'id' },
  )
  await using lists = await GrpcServer.start({
    listItems: ({ pageToken }) => ({ items: pageToken.split(',').map((id) => ({ id: BigInt(id), name: id })) }),
  })
  await using other = shopClient(lists.url)
  const found = await Promise.all([1n, 2n ** 53n + 1n].map((id) => other.client.call(one, id)))
  expect(found.map(({ name }) => name)).toEqual(['1', '9007199254740993'])
  expect(lists.calls).toHaveLength(1)
})

describe('operations', () => {
  it('are made of a whole service, on any transport', async () => {
    await using server = await GrpcServer.start({ getItem: ({ id }) => ({ id }) })
    const client = createClient({ transports: { shop: grpcWebTransport({ baseUrl: server.url }) } })
    const api = client.bind({ nested: { shop: service(ShopService, { via: 'shop' }) } })
    expect(Object.keys(api.nested.shop).sort()).toEqual(Object.keys(ShopService.method).sort())
    expect((await api.nested.shop.getItem({ id: 5n })).id).toBe(5n)
    await client.close()
  })

  it('are refused where they are written wrongly', () => {
    expect(() => rpc({} as never)).toThrow('rpc(…) takes a method')
    expect(() => rpc(undefined as never)).toThrow(TypeError)
    expect(() => service({} as never)).toThrow('service(…) takes a generated service')
    const resume = { cursor: () => '1', apply: (input: unknown) => input }
    expect(() => rpc(ShopService.method.getItem, { resume } as never)).toThrow("'resume' is for server_stream")
    expect(() => rpc(ShopService.method.watchItems, { paginate: cursorPages({ next: 'x' }) } as never)).toThrow(
      "'paginate' is for unary",
    )
  })

  it('page by token', async () => {
    await using server = await GrpcServer.start({
      listItems: ({ pageToken }) => {
        const from = Number(pageToken || 0)
        const items = [from, from + 1].map((id) => ({ id: BigInt(id) }))
        return { items, nextPageToken: from < 4 ? String(from + 2) : '' }
      },
    })
    await using api = shopClient(server.url)
    const list = rpc(ShopService.method.listItems, { paginate: cursorPages({ items: 'items', next: 'nextPageToken' }) })
    const { items, pages } = api.client.bind({ list }).list
    const ids: bigint[] = []
    for await (const item of items({ pageSize: 2 })) ids.push(item.id)
    expect(ids).toEqual([0n, 1n, 2n, 3n, 4n, 5n])
    let count = 0
    for await (const page of pages()) count += page.items.length
    expect(count).toBe(6)
  })

  it.each(['importItems', 'chat', 'send'] as const)(
    'that stream requests (%s) are unimplemented, with advice',
    async (name) => {
      await using api = shopClient('http://127.0.0.1:9')
      const chat = api.shop.chat()
      const call = { importItems: () => api.shop.importItems([]), chat: () => chat.opened, send: () => chat.send({}) }[
        name
      ]()
      const error = await rejection(call as Promise<unknown>)
      expect(error).toMatchObject({ code: 'unimplemented', phase: 'resolve', sent: 'no' })
      expect(error.message).toContain('connectTransport')
    },
  )
})

describe('options', () => {
  it.each([
    ['no URL', { baseUrl: 'nonsense' }],
    ['a limit that is none', { baseUrl: 'http://x.test', maxMessageBytes: 0 }],
    ['a time that is none', { baseUrl: 'http://x.test', idleTimeoutMs: 0 }],
    ['own framing of JSON', { baseUrl: 'http://x.test', framing: 'own', useBinaryFormat: false }],
    [
      'own framing with Connect interceptors',
      { baseUrl: 'http://x.test', framing: 'own', connectInterceptors: [(next: unknown) => next] },
    ],
  ])('with %s are refused', (_, options) => {
    expect(() => grpcWebTransport(options as never)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  })

  it.each([
    ['which Node has at hand', {}],
    ['which is brought', { framing: connectWeb() }],
  ])('may ask for JSON, by connect-web, %s', async (_, framing) => {
    await using server = await GrpcServer.start({ addItem: (item) => item })
    await using api = shopClient(server.url, { useBinaryFormat: false, ...framing })
    expect((await api.shop.addItem({ id: 9n, name: 'tea' })).id).toBe(9n)
    expect(server.calls[0]?.headers.get('content-type')).toBe('application/grpc-web+json')
  })

  it('may bring Connect interceptors', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({}) })
    const seen: unknown[] = []
    const interceptor = (next: any) => async (request: any) => {
      request.header.set('x-intercepted', 'yes')
      const response = await next(request)
      seen.push(response.message.$typeName)
      return response
    }
    await using api = shopClient(server.url, { connectInterceptors: [interceptor] })
    await api.shop.getItem()
    expect(server.calls[0]?.headers.get('x-intercepted')).toBe('yes')
    expect(seen).toEqual(['polywire.test.v1.Item'])
  })

  it('may bring Connect interceptors that refuse a call', async () => {
    const refusing = () => async () => {
      throw new ConnectError('not you', Code.PermissionDenied)
    }
    await using api = shopClient('http://127.0.0.1:9', { connectInterceptors: [refusing] })
    expect(await rejection(api.shop.getItem())).toMatchObject({
      code: 'permission_denied',
      phase: 'resolve',
      sent: 'no',
    })
  })

  it('keep paths and slashes of the base URL', async () => {
    const urls: string[] = []
    const http = async (url: string) => {
      urls.push(url)
      throw new TypeError('stop')
    }
    for (const baseUrl of ['http://x.test/rpc', 'http://x.test/rpc/', 'http://x.test']) {
      await using api = shopClient(baseUrl, { http }, { retry: false })
      await rejection(api.shop.getItem())
    }
    const path = 'polywire.test.v1.ShopService/GetItem'
    expect(urls).toEqual([`http://x.test/rpc/${path}`, `http://x.test/rpc/${path}`, `http://x.test/${path}`])
  })

  it('follow a fetch that is replaced later', async () => {
    await using server = await GrpcServer.start({ getItem: () => ({ name: 'tea' }) })
    await using api = shopClient(server.url)
    await api.shop.getItem()
    const spy = vi.spyOn(globalThis, 'fetch')
    try {
      expect((await api.shop.getItem()).name).toBe('tea')
      expect(spy).toHaveBeenCalledTimes(1)
    } finally {
      spy.mockRestore()
    }
  })
})
