import { createClient } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type WebSocketLike, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, feed, onClose, passUntil, settle, setUp, setUpTimed, take } from '../../support/realtime.ts'

afterEach(closeAll)

type Handlers = Pick<WebSocketLike, 'onmessage' | 'onclose' | 'onerror'>

/** A socket as browsers have it, of a server that accepts every subscription; it never says that it has closed. */
class PuppetSocket implements WebSocketLike {
  static readonly made: PuppetSocket[] = []
  binaryType = ''
  readyState = 0
  readonly bufferedAmount = 0
  onopen: WebSocketLike['onopen'] = null
  onmessage: WebSocketLike['onmessage'] = null
  onerror: WebSocketLike['onerror'] = null
  onclose: WebSocketLike['onclose'] = null

  constructor() {
    PuppetSocket.made.push(this)
    queueMicrotask(() => {
      this.readyState = 1
      this.onopen?.({})
    })
  }

  get handlers(): Handlers {
    const { onmessage, onclose, onerror } = this
    return { onmessage, onclose, onerror }
  }

  send(data: string): void {
    const { type, channel, ref, since } = JSON.parse(data)
    const place = since === undefined ? { id: 0 } : { recovered: true }
    if (type === 'subscribe') queueMicrotask(() => this.say({ type: 'subscribed', channel, ref, ...place }))
  }

  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) })
  }

  close(): void {
    this.readyState = 2
  }
}

describe('an old socket', () => {
  it('that was given up cannot reach the new one, whatever it still reports', async () => {
    const clock = manualClock()
    const transport = websocketTransport({ url: 'ws://example.com', webSocket: PuppetSocket })
    const client = createClient({ transports: { websocket: transport }, clock })
    onClose(() => client.close())
    const stream = client.call(feed, { name: 'a' })
    await stream.opened
    const old = PuppetSocket.made.at(-1) as PuppetSocket
    const late = old.handlers
    old.say({ type: 'data', channel: 'feed:a', id: 1, data: 1 })
    expect(await take(stream, 1)).toEqual([1])
    await passUntil(clock, () => PuppetSocket.made.length === 2, 1000)
    expect(stream.state).toBe('open')
    late.onmessage?.({ data: JSON.stringify({ type: 'data', channel: 'feed:a', id: 9, data: 9 }) })
    late.onerror?.({})
    late.onclose?.({ code: 4403, reason: '', wasClean: true })
    await settle()
    expect(stream.state).toBe('open')
    PuppetSocket.made[1]?.say({ type: 'data', channel: 'feed:a', id: 2, data: 2 })
    expect(await take(stream, 1)).toEqual([2])
  })
})

describe('a token in the URL', () => {
  it.each([
    ['ws, which shows the status', undefined],
    ['a socket as browsers have it, which shows nothing', class extends (globalThis.WebSocket as any) {}],
  ])('that has expired while the server was away is replaced, over %s', async (_, webSocket) => {
    let token = 'first'
    let asked = 0
    const { client, server } = await setUp({
      server: { tokens: new Set(['first']) },
      transport: { authIn: 'query', reconnect: { baseDelayMs: 1, maxDelayMs: 1 }, webSocket: webSocket as never },
      client: { auth: bearerAuth(() => (++asked ? token : ''), { identity: () => 'me' }) },
    })
    const stream = client.call(feed, { name: 'a' })
    await stream.opened
    server.options.refuse = { status: 502 }
    server.drop()
    await server.until(() => server.upgrades.length === 3)
    token = 'second'
    server.options.tokens = new Set(['second'])
    delete server.options.refuse
    server.publish('feed:a', 1)
    expect(await take(stream, 1)).toEqual([1])
    expect(asked).toBeLessThan(6)
  })

  it('that is another one each time, which makes another principal, is no way round the backoff', async () => {
    let n = 0
    const { client, server, clock, events } = await setUpTimed({
      transport: { authIn: 'query', webSocket: class extends (globalThis.WebSocket as any) {} as never },
      client: { auth: bearerAuth(() => `ticket-${++n}`) },
    })
    const stream = client.call(feed, { name: 'a' })
    await stream.opened
    await clock.advance(10_000)
    server.options.refuse = { status: 502 }
    server.drop()
    await server.until(() => server.closes.length === 1)
    await passUntil(clock, () => server.upgrades.length === 9)
    const waits = events.flatMap((event) => (event.type === 'reconnect' ? [event.waitMs] : []))
    const most = [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]
    expect(waits.slice(0, 8).map((waitMs) => Math.floor(waitMs / 500) * 500)).toEqual(most)
    const tickets = server.upgrades.map(({ url = '' }) => new URL(url, 'ws://x').searchParams.get('access_token'))
    expect(new Set(tickets).size).toBe(9)
    delete server.options.refuse
    server.publish('feed:a', 1)
    const next = take(stream, 1)
    await passUntil(clock, () => server.clients.size === 1)
    expect(await next).toEqual([1])
  })

  it('that has expired does not cost the place in the channel', async () => {
    let token = 'first'
    const { client, server } = await setUp({
      server: { tokens: new Set(['first']) },
      transport: { authIn: 'query' },
      client: { auth: bearerAuth(() => token) },
    })
    const stream = client.call(feed, { name: 'a' })
    await stream.opened
    server.publish('feed:a', 1)
    expect(await take(stream, 1)).toEqual([1])
    token = 'second'
    server.options.tokens = new Set(['second'])
    server.drop()
    server.publish('feed:a', 2)
    expect(await take(stream, 1)).toEqual([2])
    expect(server.framesOf('subscribe')[1]).toMatchObject({ since: 1 })
    expect(server.upgrades.at(-1)?.url).toContain('access_token=second')
  })
})
