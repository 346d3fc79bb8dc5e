import { CallError, createClient, type TelemetryEvent, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import {
  channel,
  type Handshake,
  type Incoming,
  plainJson,
  request,
  type WebSocketTransportOptions,
  type Wire,
  type WireAdapter,
  websocketTransport,
} from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import type { Clock } from '../../../src/core/time/clock.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { nestingClock } from '../../support/nesting-clock.ts'
import { closeAll, onClose, settle, take, untilLost } from '../../support/realtime.ts'

afterEach(closeAll)

interface Seen {
  readonly url: string
  readonly authorization: string | undefined
  readonly protocol: string | undefined
}

/** A server that speaks as the test tells it. */
async function serve(
  onFrame: (frame: any, send: (frame: object) => void) => void,
  onOpen?: (send: (frame: object) => void) => void,
) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.on('listening', resolve))
  const seen: Seen[] = []
  const frames: (string | Buffer)[] = []
  server.on('connection', (socket, { url = '', headers }) => {
    seen.push({ url, authorization: headers.authorization, protocol: headers['sec-websocket-protocol'] })
    const send = (frame: object) => socket.send(JSON.stringify(frame))
    onOpen?.(send)
    socket.on('message', (data: Buffer, isBinary) => {
      frames.push(isBinary ? data : String(data))
      if (!isBinary) onFrame(JSON.parse(String(data)), send)
    })
  })
  onClose(() => {
    for (const each of server.clients) each.terminate()
    server.close()
  })
  return { server, seen, frames, url: `ws://127.0.0.1:${(server.address() as { port: number }).port}/base` }
}

const plain = (frame: any, send: (frame: object) => void) => {
  if (frame.type === 'subscribe') send({ type: 'subscribed', channel: frame.channel, ref: frame.ref })
  if (frame.type === 'message') send({ type: 'data', channel: frame.channel, data: frame.data })
}

interface SetUp {
  readonly transport?: Partial<WebSocketTransportOptions>
  readonly clock?: Clock
  readonly events?: TelemetryEvent[]
}

function clientOf(
  url: string,
  adapter: WireAdapter | ((wire: Wire) => WireAdapter),
  { transport, clock, events }: SetUp = {},
) {
  const reconnect = { baseDelayMs: 1, maxDelayMs: 5 }
  const websocket = websocketTransport({ url, adapter, reconnect, ...transport })
  const telemetry = events && { event: (event: TelemetryEvent) => events.push(event) }
  const client = createClient({ transports: { websocket }, ...(clock && { clock }), ...(telemetry && { telemetry }) })
  onClose(() => client.close())
  return client
}

const base = plainJson({ acks: false })
const acked = { ...base, traits: { ...base.traits, subscribed: true } }
const room = channel('room', { send: type<unknown>(), receive: type<unknown>() })

describe('the handshake of an adapter', () => {
  const moved = (more: Partial<Handshake> = {}) => ({
    ...acked,
    handshake: ({ url, ...rest }: Handshake) => ({ ...rest, url: `${url}/moved?token=1`, ...more }),
  })

  it('changes the URL, the headers and the sub-protocols; what is left of the credential is placed as ever', async () => {
    const { url, seen } = await serve(plain)
    const adapter = moved({ headers: { 'x-a': '1' } })
    await clientOf(url, adapter, { transport: { auth: bearerAuth('t') } }).call(room).opened
    expect(seen).toMatchObject([{ url: '/base/moved?token=1', authorization: 'Bearer t' }])
  })

  it('may place the credential itself, and then nobody else does', async () => {
    const { url, seen } = await serve(plain)
    await clientOf(url, moved({ credential: undefined }), { transport: { auth: bearerAuth('t') } }).call(room).opened
    expect(seen[0]?.authorization).toBeUndefined()
  })

  it('is asked for each connection, and may take its time', async () => {
    const { url, seen, server } = await serve(plain)
    let asked = 0
    const adapter = {
      ...acked,
      async handshake(handshake: Handshake) {
        await new Promise(setImmediate)
        return { ...handshake, url: `${handshake.url}/${++asked}` }
      },
    }
    const stream = clientOf(url, adapter).call(room)
    await stream.opened
    for (const each of server.clients) each.terminate()
    await untilLost(stream)
    while (stream.state !== 'open') await new Promise(setImmediate)
    expect(seen.map((each) => each.url)).toEqual(['/base/1', '/base/2'])
  })

  it('that fails is one clear error, with its own code where it has one; an unauthenticated one asks for another credential', async () => {
    const { url, seen } = await serve(plain)
    const failing = (cause: unknown) => ({ ...acked, handshake: () => Promise.reject(cause) })
    await expect(clientOf(url, failing(new Error('no'))).call(room).opened).rejects.toMatchObject({
      code: 'invalid_argument',
      sent: 'no',
      cause: { message: 'no' },
    })
    const missing = new CallError({ code: 'not_found', message: 'no such hub' })
    await expect(clientOf(url, failing(missing)).call(room).opened).rejects.toMatchObject({ code: 'not_found' })
    const tokens = ['old', 'new']
    const auth = bearerAuth(() => tokens.shift(), { identity: () => 'me' })
    const adapter = {
      ...acked,
      handshake(handshake: Handshake) {
        if (handshake.credential?.secret === 'old') throw new CallError({ code: 'unauthenticated', message: 'old' })
        return handshake
      },
    }
    await clientOf(url, adapter, { transport: { auth } }).call(room).opened
    expect(seen).toMatchObject([{ authorization: 'Bearer new' }])
  })

  it('is bounded by connectTimeoutMs, and told by its signal that nobody wants it any more', async () => {
    const { url } = await serve(plain)
    const clock = manualClock()
    let signal: AbortSignal | undefined
    const adapter = {
      ...acked,
      handshake(handshake: Handshake) {
        signal = handshake.signal
        return new Promise<Handshake>(() => {})
      },
    }
    const client = clientOf(url, adapter, { clock, transport: { connectTimeoutMs: 1000, opening: { maxAttempts: 1 } } })
    const opened = client.call(room).opened.catch((error: CallError) => error)
    while (!signal) await new Promise(setImmediate)
    await clock.advance(1000)
    expect(await opened).toMatchObject({ code: 'unavailable', sent: 'no' })
    expect(signal.aborted).toBe(true)
  })

  it('the protocol may name where the credential goes, and the option has the last word', async () => {
    const { url, seen } = await serve(plain)
    const adapter = { ...acked, traits: { ...acked.traits, authIn: 'query' } as const }
    await clientOf(url, adapter, { transport: { auth: bearerAuth('t') } }).call(room).opened
    await clientOf(url, adapter, { transport: { auth: bearerAuth('t'), authIn: 'header' } }).call(room).opened
    expect(seen).toEqual([
      { url: '/base?access_token=t', authorization: undefined, protocol: undefined },
      { url: '/base', authorization: 'Bearer t', protocol: undefined },
    ])
  })
})

describe('what an adapter says', () => {
  it('waits for a server that speaks first, and answers what it says', async () => {
    const { url, frames } = await serve(plain, (send) => send({ type: 'welcome' }))
    const adapter: WireAdapter = {
      ...acked,
      traits: { ...acked.traits, isHelloAwaited: true },
      hello: () => [],
      decode(frame) {
        const { type: kind } = JSON.parse(String(frame))
        if (kind !== 'welcome') return acked.decode(frame)
        return [{ kind: 'answer', frames: ['{"type":"thanks"}', '{"type":"more"}'] }, { kind: 'ready' }]
      },
    }
    await clientOf(url, adapter).call(room).opened
    expect(frames.slice(0, 2)).toEqual(['{"type":"thanks"}', '{"type":"more"}'])
  })

  it('may be several frames, texts and bytes, in their order', async () => {
    const { url, frames } = await serve(plain)
    const adapter: WireAdapter = {
      ...acked,
      publish: (publish) => [Uint8Array.of(1), base.publish(publish) as string, Uint8Array.of(2)],
    }
    const stream = clientOf(url, adapter).call(room)
    await stream.send('hi')
    expect(await take(stream, 1)).toEqual(['hi'])
    while (frames.length < 4) await new Promise(setImmediate)
    expect(frames.map((frame) => (typeof frame === 'string' ? 'text' : frame[0]))).toEqual(['text', 1, 'text', 2])
  })

  it('an answer that is no frame ends the socket with one clear error', async () => {
    const { url } = await serve(plain)
    const adapter: WireAdapter = { ...acked, decode: () => ({ kind: 'answer', frames: 5 as never }) }
    const error = await clientOf(url, adapter)
      .call(room)
      .opened.catch((error: CallError) => error)
    expect(error).toMatchObject({ code: 'internal' })
  })

  it('may say what no frame has brought, and remember over a drop, for each principal its own', async () => {
    const { url, server } = await serve(plain)
    const memory = new WeakMap<object, number>()
    const adapter = (wire: Wire): WireAdapter => ({
      ...acked,
      subscribe({ ref }) {
        const count = (memory.get(wire.session) ?? 0) + 1
        memory.set(wire.session, count)
        queueMicrotask(() => {
          wire.receive({ kind: 'ack', ref })
          wire.receive({ kind: 'data', ref, message: count })
        })
        return []
      },
    })
    const client = clientOf(url, adapter)
    const stream = client.call(room)
    expect(await take(stream, 1)).toEqual([1])
    for (const each of server.clients) each.terminate()
    expect(await take(stream, 1)).toEqual([2])
    expect(await take(clientOf(url, adapter).call(room), 1)).toEqual([1])
  })

  it('what is said to a socket that is over reaches nobody', async () => {
    const { url } = await serve(plain)
    const wires: Wire[] = []
    const adapter = (wire: Wire): WireAdapter => {
      wires.push(wire)
      return acked
    }
    const stream = clientOf(url, adapter).call(room)
    await stream.opened
    await stream.close()
    const events: Incoming[] = [{ kind: 'ready' }, { kind: 'data', topic: 'room', message: 1 }]
    for (const each of events) wires[0]?.receive(each)
  })

  it('a stream that is not shared has a subscription of its own, known by its ref', async () => {
    const refs: number[] = []
    const { url } = await serve((frame, send) => {
      if (frame.type !== 'subscribe') return
      refs.push(frame.ref)
      send({ type: 'ack', ref: frame.ref })
      send({ type: 'data', ref: frame.ref, data: frame.data })
    })
    const adapter: WireAdapter = { ...acked, traits: { ...acked.traits, isShared: false } }
    const asked = channel('count', { input: type<{ from: number }>(), receive: type<unknown>() })
    const client = clientOf(url, adapter)
    const streams = [1, 2].map((from) => client.call(asked, { from }))
    expect(await Promise.all(streams.map((each) => take(each, 1)))).toEqual([[{ from: 1 }], [{ from: 2 }]])
    expect(new Set(refs).size).toBe(2)
  })
})

describe('who must speak, and who does', () => {
  it('keepAliveMs: a ping so often, whatever comes in, also where the socket pings by itself', async () => {
    const { url, frames, server } = await serve(plain)
    const clock = manualClock()
    const adapter: WireAdapter = { ...acked, traits: { ...acked.traits, keepAliveMs: 1000 } }
    const stream = clientOf(url, adapter, { clock, transport: { heartbeat: false } }).call(room)
    await stream.opened
    const pings = () => frames.filter((frame) => frame === '{"type":"ping"}').length
    for (let n = 1; n <= 3; n++) {
      for (const each of server.clients) each.send('{"type":"data","channel":"room"}')
      await settle()
      await clock.advance(1000)
      while (pings() !== n) await new Promise(setImmediate)
    }
    await stream.close()
    await clock.advance(5000)
    await settle()
    const all = pings()
    await clock.advance(60_000)
    await settle()
    expect(pings()).toBe(all)
    expect(clock.timers).toBe(0)
  })

  it('keepAliveMs: the next ping is timed from the answer, since browsers stretch long chains of timers', async () => {
    const { url, frames } = await serve((frame, send) => {
      plain(frame, send)
      if (frame.type === 'ping') send({ type: 'pong' })
    })
    const { clock, nesting, level } = nestingClock()
    const levels: number[] = []
    const traits = { ...acked.traits, keepAliveMs: 1000 }
    const ping = () => {
      levels.push(level())
      return acked.ping()
    }
    const adapter: WireAdapter = { ...acked, traits, ping }
    await clientOf(url, adapter, { clock: nesting, transport: { heartbeat: false } }).call(room).opened
    for (let n = 1; n <= 10; n++) {
      await clock.advance(1000)
      while (frames.filter((frame) => frame === '{"type":"ping"}').length !== n) await new Promise(setImmediate)
      await settle()
    }
    expect(Math.max(...levels)).toBeLessThan(5)
  })

  it('silenceMs: a server that pings so seldom is not called dead before', async () => {
    const clock = manualClock()
    const { url } = await serve(plain, (send) => send({ type: 'welcome' }))
    const adapter: WireAdapter = {
      ...acked,
      traits: { ...acked.traits, isHelloAwaited: true },
      hello: () => [],
      // No word to ask by, as in Engine.IO.
      ping: () => undefined,
      decode: (frame) =>
        String(frame).includes('welcome') ? { kind: 'ready', silenceMs: 120_000 } : acked.decode(frame),
    }
    const webSocket = class extends (globalThis.WebSocket as never as new () => object) {} as never
    const stream = clientOf(url, adapter, { clock, transport: { webSocket } }).call(room)
    await stream.opened
    for (let ms = 0; ms < 110_000; ms += 5000) {
      await clock.advance(5000)
      expect(stream.state).toBe('open')
    }
    await clock.advance(10_000)
    await settle()
    expect(stream.state).not.toBe('open')
  })

  it('a server that promises nothing, and cannot be asked, is not called dead for its silence', async () => {
    const clock = manualClock()
    const { url } = await serve(plain)
    const adapter: WireAdapter = { ...acked, ping: () => undefined }
    const webSocket = class extends (globalThis.WebSocket as never as new () => object) {} as never
    const stream = clientOf(url, adapter, { clock, transport: { webSocket } }).call(room)
    await stream.opened
    for (let ms = 0; ms < 120_000; ms += 5000) {
      await clock.advance(5000)
      await settle()
      expect(stream.state).toBe('open')
    }
  })
})

it('a request that the adapter says later is said by an answer, and its loss is an unknown outcome', async () => {
  const { url, server } = await serve(plain)
  const adapter: WireAdapter = { ...acked, request: () => [] }
  const asked = clientOf(url, adapter).call(request('later'), undefined as never, { retry: false } as never)
  while (server.clients.size === 0) await new Promise(setImmediate)
  await settle()
  for (const each of server.clients) each.terminate()
  await expect(asked).rejects.toMatchObject({ code: 'unavailable', sent: 'maybe' })
})
