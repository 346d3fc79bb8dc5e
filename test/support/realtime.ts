import { type ClientOptions, createClient, type TelemetryEvent, type } from 'polywire'
import { channel, request, type WebSocketTransportOptions, websocketTransport } from 'polywire/websocket'
import { type ManualClock, manualClock } from './manual-clock.ts'
import { RealtimeServer, type WebSocketServerOptions } from './servers/websocket-server.ts'

/** A channel of numbers, a channel of texts, and two requests. */
export const feed = channel('feed:{name}', { receive: type<number>() })
export const lossy = channel('feed:{name}', { receive: type<number>(), gaps: 'yield' })
export const chat = channel('chat:{room}', { send: type<{ text: string }>(), receive: type<{ text: string }>() })
export const add = request('math.add', {
  input: type<{ a: number; b: number }>(),
  output: type<number>(),
  idempotent: true,
})
export const place = request('orders.place', { input: type<{ sku: string }>(), output: type<{ id: number }>() })

/** What a test opens; closed in reverse order by `closeAll`. */
const closers: (() => unknown)[] = []

export function onClose(close: () => unknown): void {
  closers.push(close)
}

export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close()
}

interface SetUp {
  readonly server?: WebSocketServerOptions
  readonly transport?: Partial<WebSocketTransportOptions>
  readonly client?: Partial<Omit<ClientOptions<never>, 'transports'>>
}

/** A server, and a client of it with the host's clock and short waits. */
export async function setUp({ server: serverOptions, transport, client: clientOptions }: SetUp = {}) {
  const server = await RealtimeServer.start(serverOptions)
  onClose(() => server.close())
  const events: TelemetryEvent[] = []
  const client = createClient({
    transports: {
      websocket: websocketTransport({ url: server.url, reconnect: { baseDelayMs: 1 }, ...transport }),
    },
    telemetry: { event: (event) => events.push(event) },
    ...clientOptions,
  })
  onClose(() => client.close())
  return { server, client, events }
}

/** The same with a clock that the test moves on. */
export async function setUpTimed(options: SetUp = {}, random: () => number = () => 0.5) {
  const clock = manualClock(random)
  const transport = { reconnect: {}, ...options.transport }
  return { clock, ...(await setUp({ ...options, transport, client: { clock, ...options.client } })) }
}

/** The next `count` items of a stream. */
export async function take<T>(stream: AsyncIterator<T> | AsyncIterable<T>, count: number): Promise<T[]> {
  const iterator = Symbol.asyncIterator in stream ? stream[Symbol.asyncIterator]() : stream
  const items: T[] = []
  while (items.length < count) {
    const result = await iterator.next()
    if (result.done) break
    items.push(result.value)
  }
  return items
}

/** Lets what is under way on the loopback arrive, without a timer. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
}

/** Moves the clock on in small steps, with time for the loopback between them, until `isMet` holds. */
export async function passUntil(clock: ManualClock, isMet: () => boolean, stepMs = 250): Promise<void> {
  await settle(5)
  while (!isMet()) {
    await clock.advance(stepMs)
    await settle(5)
  }
}

/** The client has seen that its socket is gone. */
export async function untilLost(stream: { readonly state: string }): Promise<void> {
  while (stream.state === 'open') await new Promise(setImmediate)
}
