import { type Auth, createClient, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { post, restTransport } from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { channel, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { snapshot } from '../../../src/core/call/snapshot.ts'
import type { FetchLike } from '../../../transports/http/contract.ts'
import { unaryOperation } from '../../support/memory-client.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { closeAll, setUp } from '../../support/realtime.ts'

afterEach(closeAll)

describe('what was passed', () => {
  it('is plain objects, lists and dates as they are now, however deep', () => {
    const at = new Date(0)
    const value = { a: 1, list: [{ b: 2 }, [3]], at, none: null, missing: undefined }
    const kept = snapshot(value)
    value.a = 9
    ;(value.list[0] as { b: number }).b = 9
    ;(value.list[1] as number[]).push(9)
    at.setTime(1)
    expect(kept).toEqual({ a: 1, list: [{ b: 2 }, [3]], at: new Date(0), none: null, missing: undefined })
    expect(Object.keys(kept as object)).toContain('missing')
  })

  it.each([
    ['a Uint8Array', () => Uint8Array.of(1, 2, 3)],
    ['part of a buffer', () => Uint8Array.of(0, 1, 2, 3, 4).subarray(1, 4)],
    ['a Buffer', () => Buffer.from([1, 2, 3])],
    ['a DataView', () => new DataView(Uint8Array.of(1, 2, 3).buffer)],
    ['an ArrayBuffer', () => Uint8Array.of(1, 2, 3).buffer],
  ])('is the bytes of %s', (_, make) => {
    const bytes = make()
    const kept = (snapshot({ bytes }) as { bytes: ArrayBufferView | ArrayBuffer }).bytes
    const memory = (value: ArrayBufferView | ArrayBuffer) =>
      ArrayBuffer.isView(value)
        ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
        : new Uint8Array(value)
    memory(bytes).fill(9)
    expect([...memory(kept)]).toEqual([1, 2, 3])
  })

  it('is the fields of forms and parameters', () => {
    const form = new FormData()
    form.append('a', '1')
    form.append('file', new Blob(['x']), 'x.txt')
    const params = new URLSearchParams({ a: '1' })
    const kept = snapshot([form, params]) as [FormData, URLSearchParams]
    form.append('a', '2')
    params.append('a', '2')
    expect(kept[0].getAll('a')).toEqual(['1'])
    expect((kept[0].get('file') as File).name).toBe('x.txt')
    expect(String(kept[1])).toBe('a=1')
  })

  it('leaves alone what cannot be copied, and circles', () => {
    class Money {
      amount = 1
    }
    const parts = {
      blob: new Blob(['x']),
      money: new Money(),
      stream: new ReadableStream(),
      make: () => 1,
      map: new Map(),
    }
    const kept = snapshot(parts) as typeof parts
    for (const [name, part] of Object.entries(parts)) expect(kept[name as 'blob']).toBe(part)
    const circle: { self?: unknown; list: unknown[] } = { list: [] }
    circle.self = circle
    circle.list.push(circle)
    expect(() => JSON.stringify(snapshot(circle))).toThrow('circular')
  })

  it('keeps a member called __proto__ one', () => {
    const value = JSON.parse('{"__proto__": {"a": 1}, "b": {"c": 1}}')
    expect(JSON.stringify(snapshot(value))).toBe(JSON.stringify(value))
  })
})

describe('a member has the name that it has', () => {
  it.each([
    ['seal', 'wax'],
    ['seal', { seal: 1 }],
    ['~seal', 1],
    ['~seal', { '~seal': true }],
    ['~seal', { call: 1 }],
  ])('%s: %j is sent by a call like any other', async (name, value) => {
    const input = { [name]: value }
    const handle = vi.fn(() => 'ok')
    const client = createClient({ transports: { memory: memoryTransport({ handle }) } })
    expect(await client.call(unaryOperation(), input as never)).toBe('ok')
    expect(handle).toHaveBeenCalledWith(expect.objectContaining({ input }))
    await client.close()
  })

  it('an input that cannot be read fails its call alone', async () => {
    const get = (_: object, name: string | symbol) => {
      if (name !== Symbol.for('polywire.plan')) throw new Error('no')
    }
    const input = new Proxy({ a: 1 }, { get })
    const handle = vi.fn(() => 'ok')
    const client = createClient({ transports: { memory: memoryTransport({ handle }) } })
    // An unhandled rejection fails the run.
    await expect(client.call(unaryOperation(), input as never)).rejects.toMatchObject({
      cause: new Error('no'),
      sent: 'no',
    })
    expect(handle).not.toHaveBeenCalled()
    await client.close()
  })
})

describe('what the caller changes after the call is not what was passed', () => {
  const late: Auth = { name: 'late', credential: async () => ({ headers: { authorization: 'Bearer x' } }) }
  const sent: unknown[] = []
  /** Answers nothing of use: only what is sent counts here. */
  const http: FetchLike = async (_url, init) => {
    sent.push(typeof init.body === 'string' ? init.body : [...(init.body as Uint8Array)])
    return new Response('', { status: 404 })
  }

  it('over GraphQL', async () => {
    const client = createClient({
      transports: { graphql: graphqlTransport({ url: 'http://a.example/graphql', http }) },
      auth: late,
    })
    const find = query<unknown, { ids: number[] }>('query Find($ids: [Int!]) { find(ids: $ids) }')
    const input = { ids: [1] }
    const called = client.call(find, input).catch(() => undefined)
    input.ids.push(2)
    await called
    expect(sent.pop()).toContain('{"ids":[1]}')
    await client.close()
  })

  it('over gRPC-Web', async () => {
    const transport = grpcWebTransport({ baseUrl: 'http://a.example', http })
    const client = createClient({ transports: { 'grpc-web': transport }, auth: late })
    const find = rpc(ShopService.method.getItem)
    const call = async (change: boolean) => {
      const input = { id: 1n }
      const called = client.call(find, input as never).catch(() => undefined)
      if (change) input.id = 2n
      await called
      return sent.pop()
    }
    const plain = await call(false)
    expect(plain).toBeInstanceOf(Array)
    expect(await call(true)).toEqual(plain)
    await client.close()
  })

  it('over a WebSocket that is not open yet', async () => {
    const server = new WebSocketServer({ port: 0 })
    const received: unknown[] = []
    server.on('connection', (socket) =>
      socket.on('message', (data) => {
        const frame = JSON.parse(String(data))
        if (frame.type === 'subscribe') socket.send(JSON.stringify({ ...frame, type: 'subscribed' }))
        if (frame.type === 'message') received.push(frame.data)
      }),
    )
    const { port } = server.address() as { port: number }
    const client = createClient({ transports: { websocket: websocketTransport({ url: `ws://127.0.0.1:${port}` }) } })
    const chat = client
      .bind({ chat: channel('chat', { send: type<{ text: string[] }>(), receive: type<unknown>() }) })
      .chat()
    const message = { text: ['one'] }
    const sending = chat.send(message)
    message.text.push('two')
    await sending
    while (received.length === 0) await new Promise((resolve) => setImmediate(resolve))
    expect(received).toEqual([{ text: ['one'] }])
    await chat.close()
    await client.close()
    server.close()
  })

  describe('while a schema takes its time', () => {
    /** Gives what it was given, as many that are written by hand. */
    const slow: any = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: (value: unknown) => new Promise((resolve) => setImmediate(() => resolve({ value }))),
      },
    }
    const requests: { url: string; headers: Headers; body: unknown }[] = []
    const noting: FetchLike = async (url, init) => {
      requests.push({ url: String(url), headers: new Headers(init.headers as never), body: init.body })
      return new Response('', { status: 404 })
    }

    it.each<[string, any]>([
      ['of the body', { body: slow }],
      ['of all of it', { input: slow }],
      ['of the query', { query: slow, shape: 'nested' }],
      ['of the body of a nested input', { body: slow, shape: 'nested' }],
    ])('%s, over REST', async (_, spec) => {
      const isNested = spec.shape === 'nested'
      const client = createClient({
        transports: { rest: restTransport({ baseUrl: 'http://a.example', http: noting }) },
      })
      const put = post('/files/{name}', {
        ...(isNested ? { headers: type<object>() } : spec.input ? {} : { query: ['tags'] }),
        ...spec,
      })
      const flat = { name: 'a', tags: ['one'], deep: [{ n: 1 }] }
      const nested = {
        params: { name: 'a' },
        query: { tags: ['one'] },
        headers: { 'x-own': 'one' },
        body: { deep: [{ n: 1 }] },
      }
      const called = (client.call(put as never, (isNested ? nested : flat) as never) as Promise<unknown>).catch(
        () => undefined,
      )
      Object.assign(flat, { name: 'b' })
      flat.tags.push('two')
      Object.assign(flat.deep[0] as object, { n: 2 })
      nested.params.name = 'b'
      nested.query.tags.push('two')
      nested.headers['x-own'] = 'two'
      Object.assign(nested.body.deep[0] as object, { n: 2 })
      await called
      const { url, headers, body } = requests.pop() ?? {}
      expect(url).toMatch(spec.input ? /files\/a$/ : /files\/a\?tags=one$/)
      expect(String(body)).toContain('"deep":[{"n":1}]')
      expect(String(body)).not.toContain('two')
      if (isNested) expect(headers?.get('x-own')).toBe('one')
      await client.close()
    })

    it('over GraphQL', async () => {
      const client = createClient({
        transports: { graphql: graphqlTransport({ url: 'http://a.example/graphql', http }) },
      })
      const find = query<unknown, { ids: number[] }>('query Find($ids: [Int!]) { find(ids: $ids) }', {
        variables: slow,
      } as never)
      const input = { ids: [1] }
      const called = client.call(find, input).catch(() => undefined)
      input.ids.push(2)
      await called
      expect(sent.pop()).toContain('{"ids":[1]}')
      await client.close()
    })

    it('over a WebSocket: messages and requests', async () => {
      const { client, server } = await setUp()
      const room = client.call(channel('chat:{room}', { send: slow, receive: type<unknown>() }), { room: 'a' })
      const message = { text: 'one' }
      const sending = room.send(message)
      message.text = 'two'
      await sending
      await server.until(() => server.framesOf('message').length === 1)
      expect(server.framesOf('message')[0]?.data).toEqual({ text: 'one' })
    })
  })
})
