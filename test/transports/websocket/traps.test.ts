import { createClient } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { type WebSocketLike, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { closeAll, feed, onClose, passUntil, settle, setUp, take } from '../../support/realtime.ts'

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
