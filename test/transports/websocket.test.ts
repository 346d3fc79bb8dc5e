import { createClient, type } from 'polywire'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { RealtimeServer, type WebSocketServerOptions } from '../support/servers/websocket-server.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const chat = channel('chat:{room}', { send: type<{ text: string }>(), receive: type<{ text: string }>() })
const add = request('math.add', { input: type<{ a: number; b: number }>(), output: type<number>(), idempotent: true })

async function setUp(options: WebSocketServerOptions = {}, transport: object = {}) {
  const server = await RealtimeServer.start(options)
  closers.push(() => server.close())
  const client = createClient({ transports: { websocket: websocketTransport({ url: server.url, ...transport }) } })
  closers.push(() => client.close())
  return { server, client }
}

describe('a channel', () => {
  it('sends and receives', async () => {
    const { client } = await setUp()
    await using room = client.call(chat, { room: 'lobby' })
    await room.opened
    await room.send({ text: 'hi' })
    for await (const said of room) {
      expect(said).toEqual({ text: 'hi' })
      break
    }
  })

  it('answers a request', async () => {
    const { client } = await setUp({ reply: ({ data }) => ({ type: 'data', data: data.a + data.b }) })
    expect(await client.call(add, { a: 1, b: 2 })).toBe(3)
  })
})
