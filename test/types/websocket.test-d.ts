import { createClient, type Duplex, type Gap, isGap, type PathValue, type Stream, type } from 'polywire'
import { channel, request, type WebSocketClass, websocketTransport } from 'polywire/websocket'
import WebSocketOfWs from 'ws'

interface Say {
  text: string
}
interface Said extends Say {
  from: string
}

const transport = websocketTransport({ url: 'wss://example.com/ws' })
const client = createClient({ transports: { websocket: transport, other: transport } })

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_equal: Equal<A, B>): void => {}

// A channel: names in the template are the input, both directions are typed.
const api = client.bind({
  chat: channel('chat:{room}', { send: type<Say>(), receive: type<Said>() }),
  prices: channel('prices', { input: type<{ symbols: string[] }>(), receive: type<number>() }),
  lossy: channel('feed', { receive: type<number>(), gaps: 'yield' }),
  place: request('orders.place', { input: type<{ sku: string }>(), output: type<{ id: number }>(), idempotent: true }),
  rename: request('room:{id}.rename', { input: type<{ to: string }>() }),
  now: request('now', { output: type<number>() }),
  elsewhere: channel('chat:{room}', { via: 'other', send: type<Say>() }),
})
const room = api.chat({ room: 'lobby' })
same<typeof room, Duplex<Say, Said>>(true)
same<Parameters<typeof api.chat>[0], { room: PathValue }>(true)
void room.send({ text: 'hi' }, { key: 'k' })
const asStream: Stream<Said> = room
void asStream

// @ts-expect-error: a message of another type
void room.send({ txt: 'hi' })
// @ts-expect-error: the name's placeholder is missing
api.chat({})
// @ts-expect-error: … and so is the whole input
api.chat()
// @ts-expect-error: an unknown name
api.chat({ room: 'a', rom: 'b' })
// @ts-expect-error: nothing can be sent where nothing was declared
void api.prices({ symbols: [] }).send('x')
// @ts-expect-error: the input of the subscription is wrong
api.prices({ symbols: [1] })

// Gaps are among the messages only where they were asked for.
async function read(): Promise<void> {
  for await (const item of api.lossy()) {
    same<typeof item, number | Gap>(true)
    if (!isGap(item)) item.toFixed()
  }
  for await (const price of api.prices({ symbols: ['X'] })) same<typeof price, number>(true)
}
void read

// A request is a unary call.
async function ask(): Promise<void> {
  same<Awaited<ReturnType<typeof api.place>>, { id: number }>(true)
  same<Awaited<ReturnType<typeof api.rename>>, unknown>(true)
  same<number, Awaited<ReturnType<typeof api.now>>>(true)
  await api.now()
  await api.rename({ id: 1, to: 'hall' })
  const { attempts } = await api.place.reply({ sku: 'tea' })
  same<typeof attempts, number>(true)
}
void ask

// @ts-expect-error: the transport is missing
createClient({ transports: { other: transport } }).bind({ chat: channel('chat:{room}', { send: type<Say>() }) })
const hoisted = { chat: channel('chat:{room}', { via: 'nowhere', send: type<Say>() }) }
// @ts-expect-error: hoisted, it is missing too
client.bind(hoisted)

// The platform's class, and the one of `ws`, fit without a cast.
websocketTransport({ url: 'wss://example.com', webSocket: WebSocket })
const ws: WebSocketClass = WebSocketOfWs
void ws
