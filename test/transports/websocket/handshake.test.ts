import { createServer as createHttp2 } from 'node:http2'
import { createServer } from 'node:net'
import { plainJson, type WebSocketClass } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { closeAll, feed, onClose, passUntil, setUp, setUpTimed, take } from '../../support/realtime.ts'

afterEach(closeAll)

/** A server that picks a sub-protocol of its own liking, and counts who asks. */
async function picky(pick: (offered: Set<string>) => string | false) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: pick })
  await new Promise((resolve) => server.on('listening', resolve))
  onClose(() => {
    for (const each of server.clients) each.terminate()
    server.close()
  })
  let asked = 0
  server.on('connection', () => asked++)
  const { port } = server.address() as { port: number }
  return {
    url: `ws://127.0.0.1:${port}`,
    get asked() {
      return asked
    },
  }
}

const wanted = { ...plainJson(), subprotocols: ['shop.v2'] }

describe('a server without the sub-protocol', () => {
  it.each([
    ['names none', () => false as const],
    ['names another', () => 'shop.v1'],
  ])('that %s is one clear error, after one attempt', async (_, pick) => {
    const server = await picky(pick)
    const { client } = await setUp({ transport: { url: server.url, adapter: wanted } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
      attempt: 1,
      message: expect.stringContaining('sub-protocol'),
    })
    expect(server.asked).toBe(1)
  })

  it('is told so by 4406, where the class of the socket lets it pass', async () => {
    const server = await picky(() => false)
    const closes: number[] = []
    const lenient = class {
      protocol = ''
      readyState = 0
      bufferedAmount = 0
      binaryType = ''
      onopen: (() => void) | null = null
      onmessage = null
      onerror = null
      onclose = null
      constructor() {
        queueMicrotask(() => {
          this.readyState = 1
          this.onopen?.()
        })
      }
      send(): void {}
      close(code: number): void {
        closes.push(code)
      }
    } as unknown as WebSocketClass
    const { client } = await setUp({ transport: { url: server.url, adapter: wanted, webSocket: lenient } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({ code: 'failed_precondition' })
    expect(closes).toEqual([4406])
  })
})

describe('what goes on the wire when the client gives a socket up', () => {
  it.each(['{"type":', '5', 'null', '"data"'])('is 4400 for the malformed frame %s', async (frame) => {
    const { client, server } = await setUp()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.client.send(frame)
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal', phase: 'stream', sent: 'yes' })
    await server.until(() => server.closes.length === 1)
    expect(server.closes[0]?.code).toBe(4400)
  })

  it('is 4400 for a binary frame without its header', async () => {
    const { client, server } = await setUp()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.client.socket.send(new Uint8Array([1, 2]))
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal' })
    await server.until(() => server.closes.length === 1)
    expect(server.closes[0]?.code).toBe(4400)
  })

  it('is the code of the protocol where the hello is not answered', async () => {
    const plain = plainJson({ acks: true })
    const { client, server, clock } = await setUpTimed({
      server: { intercept: ({ type }) => type === 'auth' },
      transport: {
        authIn: 'message',
        auth: { name: 'test', credential: () => ({ secret: 's' }) },
        adapter: { ...plain, traits: { ...plain.traits, helloTimeoutCode: 4504 } },
      },
      client: { retry: false },
    })
    const { opened } = client.call(feed, { name: 'a' })
    opened.catch(() => {})
    await server.until(() => server.framesOf('auth').length === 1)
    await passUntil(clock, () => server.closes.length === 1)
    expect(server.closes[0]?.code).toBe(4504)
  })
})

describe('a socket that cannot be opened', () => {
  /** A port that nobody listens on. */
  async function deadPort(): Promise<number> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    return port
  }

  it('says that nobody listens, and what to check', async () => {
    const { client } = await setUp({ transport: { url: `ws://127.0.0.1:${await deadPort()}/secret` } })
    const error = await client.call(feed, { name: 'a' }).opened.catch((each: Error) => each)
    expect(error).toMatchObject({ code: 'unavailable', sent: 'no', phase: 'connect', isRetryable: true })
    expect((error as Error).message).toContain('connection refused. Check the address and that the server is up')
    expect((error as Error).message).not.toContain('secret')
  })

  it('says that the host is unknown', async () => {
    const { client } = await setUp({ transport: { url: 'ws://nobody.invalid' }, client: { retry: false } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toThrow(/host name .*(not found|looked up)/)
  })

  it('says what a browser can know', async () => {
    const url = `ws://127.0.0.1:${await deadPort()}`
    const { client } = await setUp({
      transport: { url, webSocket: WebSocket as WebSocketClass },
      client: { retry: false },
    })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toThrow('check that the server is up')
  })
})

it('a server that speaks HTTP/2 alone is one clear error, after one attempt', async () => {
  const server = createHttp2().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  onClose(() => void server.close())
  const { port } = server.address() as { port: number }
  const { client } = await setUp({ transport: { url: `ws://127.0.0.1:${port}` } })
  await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
    code: 'failed_precondition',
    sent: 'no',
    attempt: 1,
    message: expect.stringContaining('HTTP/2 alone'),
  })
})
