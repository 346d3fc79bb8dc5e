import type { SetupServer } from 'msw/node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { hits, host } from './handlers.ts'

/** The modules of Polywire, imported before or after msw began to listen. */
export async function loadPolywire() {
  const [core, auth, rest, graphql, grpcWeb, sse, websocket, msw] = await Promise.all([
    import('polywire'),
    import('polywire/auth'),
    import('polywire/rest'),
    import('polywire/graphql'),
    import('polywire/grpc-web'),
    import('polywire/sse'),
    import('polywire/websocket'),
    import('polywire/msw'),
  ])
  return { ...core, ...auth, ...rest, ...graphql, ...grpcWeb, ...sse, ...websocket, ...msw }
}
type Polywire = Awaited<ReturnType<typeof loadPolywire>>

/** A client as users make it: addresses, nothing else. */
function makeApi(polywire: Polywire) {
  const { createClient, type, bearerAuth, get, post, query, mutation, rpc, events, channel } = polywire
  const client = createClient({
    transports: {
      rest: polywire.restTransport({ baseUrl: `https://${host}` }),
      graphql: polywire.graphqlTransport({ url: `https://${host}/graphql` }),
      'grpc-web': polywire.grpcWebTransport({ baseUrl: `https://${host}` }),
      sse: polywire.sseTransport({ baseUrl: `https://${host}` }),
      websocket: polywire.websocketTransport({ url: `wss://${host}/ws` }),
    },
    auth: bearerAuth('token'),
  })
  const order = {
    variables: type<{ id: string }>(),
    output: type<{ order: { id: string; total: number } }>(),
  }
  const api = client.bind({
    users: {
      get: get('/users/{id}', { output: type<{ id: number; token: string }>() }),
      create: post('/users', { body: type<{ name: string }>(), output: type<{ id: number; name: string }>() }),
    },
    busy: get('/busy', { output: type<{ ok: true }>() }),
    broken: get('/broken', { output: type<{ ok: true }>() }),
    never: get('/never'),
    order: query('query Order($id: ID!) { order(id: $id) { id total } }', order),
    place: mutation('mutation Place { place { id } }', { output: type<unknown>() }),
    item: rpc(ShopService.method.getItem),
    items: rpc(ShopService.method.watchItems),
    ticks: events('/ticks', { tick: type<number>() }),
    room: channel('room:{room}', { send: type<{ text: string }>(), receive: type<{ said: string }>() }),
  })
  return { client, api }
}

/** Each of the five protocols against plain msw handlers. */
export function describeMocked(name: string, load: () => Promise<Polywire>, server: SetupServer): void {
  describe(name, () => {
    let made: ReturnType<typeof makeApi>
    beforeEach(async () => {
      hits.clear()
      made = makeApi(await load())
    })
    afterEach(() => made.client.close())

    it('REST', async () => {
      const { api } = made
      expect(await api.users.get({ id: 42 })).toEqual({ id: 42, token: 'Bearer token' })
      expect(await api.users.create({ name: 'Ada' })).toEqual({ id: 1, name: 'Ada' })
      const refused = { code: 'not_found', status: 404, reason: 'NO_SUCH_USER' }
      await expect(api.users.get({ id: 404 })).rejects.toMatchObject(refused)
    })

    it('REST retried after 503 with Retry-After, and after a network error', async () => {
      const { api } = made
      expect(await api.busy.reply()).toMatchObject({ message: { ok: true }, attempts: 2 })
      expect(await api.broken.reply()).toMatchObject({ message: { ok: true }, attempts: 2 })
    })

    it('REST aborted', async () => {
      const controller = new AbortController()
      const call = made.api.never({}, { signal: controller.signal })
      controller.abort('left')
      await expect(call).rejects.toBe('left')
    })

    it('GraphQL', async () => {
      const { api } = made
      expect(await api.order({ id: '7' })).toEqual({ order: { id: '7', total: 3 } })
      await expect(api.place()).rejects.toMatchObject({ code: 'permission_denied' })
    })

    it('gRPC-Web', async () => {
      const { api } = made
      expect(await api.item({ id: 7n })).toMatchObject({ id: 7n, name: 'tea' })
      await expect(api.item({ id: 404n })).rejects.toMatchObject({ code: 'not_found', status: 5 })
      const sequences: bigint[] = []
      for await (const { sequence } of api.items({ count: 3 })) sequences.push(sequence)
      expect(sequences).toEqual([1n, 2n, 3n])
    })

    it('SSE, resumed after an error', async () => {
      const ticks: number[] = []
      for await (const { data } of made.api.ticks()) {
        ticks.push(data)
        if (ticks.length === 6) break
      }
      expect(ticks).toEqual([1, 2, 3, 4, 5, 6])
      expect(hits.get('ticks')).toBe(2)
    })

    it('WebSocket', async () => {
      await using room = made.api.room({ room: 'lobby' })
      await room.send({ text: 'hello' })
      for await (const message of room) {
        expect(message).toEqual({ said: 'hello' })
        break
      }
      expect(hits.get('socket')).toBe(1)
    })

    it('mocks of operations come before handlers by hand', async () => {
      const { mock, mockStream, get, rpc, channel, type, mockChannel, events } = await load()
      const { client } = made
      const user = get('/users/{id}', { output: type<{ id: string }>() })
      const ticks = events('/ticks', { tick: type<number>() })
      const room = channel('other', { receive: type<string>() })
      const item = rpc(ShopService.method.getItem)
      server.use(
        mock(user, ({ input }) => ({ id: `mock ${input.id}` })),
        mock(item, () => ({ name: 'mock' })),
        mockStream(ticks, () => [{ type: 'tick', data: 7 }]),
        mockChannel(room, ({ send }) => send('mock')),
      )
      expect(await client.call(user, { id: 1 })).toEqual({ id: 'mock 1' })
      expect((await client.call(item, {})).name).toBe('mock')
      for await (const { data } of client.call(ticks, {})) {
        expect(data).toBe(7)
        break
      }
      for await (const message of client.call(room, {})) {
        expect(message).toBe('mock')
        break
      }
      server.resetHandlers()
    })
  })
}
