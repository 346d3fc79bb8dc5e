import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import WsSocket from 'ws'
import { chooseSocketDriver, type LoadSocketDriver } from '../../../../transports/socket/driver/choose.ts'
import type {
  SocketDriver,
  SocketEnd,
  SocketHandle,
  WebSocketClass,
} from '../../../../transports/socket/driver/driver.ts'
import { webSocketDriver } from '../../../../transports/socket/driver/web.ts'
import { nodeSocketDriver } from '../../../../transports/socket/driver/ws.ts'
import { closeAll, onClose, settle } from '../../../support/realtime.ts'
import { RealtimeServer, type WebSocketServerOptions } from '../../../support/servers/websocket-server.ts'
import { TcpProxy } from '../../../support/tcp-proxy.ts'

afterEach(closeAll)

const native = (globalThis as { WebSocket: WebSocketClass }).WebSocket

/** Opens a socket and notes all that it reports. */
function dial(driver: SocketDriver, url: string, more: object = {}) {
  const frames: (string | Uint8Array)[] = []
  const log: string[] = []
  let end: (end: SocketEnd) => void = () => {}
  let open: (value: true) => void = () => {}
  const opened = new Promise<true>((resolve) => (open = resolve))
  const ended = new Promise<SocketEnd>((resolve) => (end = resolve))
  const handle: SocketHandle = driver.open(
    { url, subprotocols: [], headers: {}, maxFrameBytes: 1 << 20, ...more },
    {
      onOpen: () => {
        log.push('open')
        open(true)
      },
      onFrame: (frame) => {
        log.push('frame')
        frames.push(frame)
      },
      onAlive: () => log.push('alive'),
      onEnd: (each) => {
        log.push('end')
        end(each)
      },
    },
  )
  onClose(() => handle.terminate())
  return { handle, frames, log, opened, ended }
}

async function start(options: WebSocketServerOptions = {}) {
  const server = await RealtimeServer.start(options)
  onClose(() => server.close())
  return server
}

const drivers: [string, SocketDriver][] = [
  ['ws', nodeSocketDriver()],
  ['the native class', webSocketDriver(native)],
  ['ws as if it were a browser’s class', webSocketDriver(WsSocket as unknown as WebSocketClass)],
]

describe.each(drivers)('%s', (_, driver) => {
  it('opens, sends and receives text and bytes', async () => {
    const server = await start()
    const { handle, frames, opened } = dial(driver, server.url)
    expect(handle.send('too early')).toBe(false)
    await opened
    expect(handle.send('{"type":"ping"}')).toBe(true)
    await server.until(() => server.frames.length === 1)
    server.client.socket.send('text')
    server.client.socket.send(new Uint8Array([1, 2]))
    while (frames.length < 3) await settle(1)
    expect(frames[1]).toBe('text')
    expect(Array.from(frames[2] as Uint8Array)).toEqual([1, 2])
  })

  it('reports a close by the server once, with its code and reason', async () => {
    const server = await start()
    const { opened, ended, log, handle } = dial(driver, server.url)
    await opened
    server.closeAll(4321, 'because')
    expect(await ended).toMatchObject({ code: 4321, reason: 'because', wasClean: true, phase: 'open' })
    await settle()
    expect(log.filter((each) => each === 'end')).toHaveLength(1)
    expect(handle.send('too late')).toBe(false)
  })

  it('reports a lost connection as 1006', async () => {
    const server = await start()
    const proxy = await TcpProxy.start({ port: server.port })
    onClose(() => proxy.close())
    const { opened, ended } = dial(driver, `ws://127.0.0.1:${proxy.port}`)
    await opened
    proxy.reset()
    expect(await ended).toMatchObject({ code: 1006, wasClean: false, phase: 'open' })
  })

  it('reports a refused connection once', async () => {
    const unused = createServer()
    await new Promise<void>((resolve) => unused.listen(0, '127.0.0.1', resolve))
    const { port } = unused.address() as { port: number }
    await new Promise((resolve) => unused.close(resolve))
    const { ended, log } = dial(driver, `ws://127.0.0.1:${port}`)
    expect(await ended).toMatchObject({ code: 1006, phase: 'connect' })
    await settle()
    expect(log).toEqual(['end'])
  })

  it('reports the end at once when it is terminated, and nothing afterwards', async () => {
    const server = await start()
    const { handle, opened, ended, log } = dial(driver, server.url)
    await opened
    handle.terminate()
    expect(await ended).toMatchObject({ code: 1006 })
    server.publish('x', 1)
    await settle()
    expect(log.filter((each) => each === 'end')).toHaveLength(1)
  })

  it('refuses a message that is too large', async () => {
    const server = await start()
    const { opened, ended, frames } = dial(driver, server.url, { maxFrameBytes: 1000 })
    await opened
    server.client.socket.send('x'.repeat(2000))
    expect(await ended).toMatchObject({ code: 1009 })
    expect(frames).toEqual([])
  })

  it('can be closed while it connects', async () => {
    const server = await start({ isMute: true })
    const { handle, ended } = dial(driver, server.url)
    await server.until(() => server.upgrades.length === 1)
    handle.close(1000, '')
    expect(await ended).toMatchObject({ phase: 'connect' })
  })
})

describe('ws', () => {
  const driver = nodeSocketDriver()

  it('shows status and headers of a refused upgrade', async () => {
    const server = await start({ refuse: { status: 503, headers: { 'retry-after': '7' } } })
    const { ended, log } = dial(driver, server.url)
    const end = await ended
    expect(end).toMatchObject({ code: 1006, phase: 'connect', status: 503, refusal: { minDelayMs: 7000 } })
    await settle()
    expect(log).toEqual(['end'])
  })

  it('sends headers, and offers no compression', async () => {
    const server = await start()
    await dial(driver, server.url, { headers: { authorization: 'Bearer x' } }).opened
    expect(server.upgrades[0]?.headers.authorization).toBe('Bearer x')
    expect(server.upgrades[0]?.headers['sec-websocket-extensions']).toBeUndefined()
  })

  it('pings by the protocol itself', async () => {
    const server = await start()
    const { handle, opened, log } = dial(driver, server.url)
    await opened
    handle.ping?.()
    while (!log.includes('alive')) await settle(1)
    expect(server.frames).toHaveLength(0)
  })

  it('stops reading and goes on', async () => {
    const server = await start()
    const { handle, opened, frames } = dial(driver, server.url)
    await opened
    handle.pause?.()
    server.client.socket.send('held')
    await settle()
    expect(frames).toEqual([])
    handle.resume?.()
    while (frames.length === 0) await settle(1)
  })

  it('is asked to hold the process by thousands, and a connection that is gone keeps none of that', async () => {
    let raw: Socket | undefined
    class Watched extends WsSocket {
      constructor(...given: ConstructorParameters<typeof WsSocket>) {
        super(...given)
        this.on('upgrade', ({ socket }) => (raw = socket))
      }
    }
    const server = await start()
    const { handle, opened, ended } = dial(nodeSocketDriver({}, Watched as never), server.url)
    await opened
    server.drop()
    await ended
    for (let n = 0; n < 20; n++) handle.hold?.(n % 2 === 0)
    expect(raw?.listenerCount('connect')).toBe(0)
  })

  it('keeps a code that the server closed with although it then reset the connection', async () => {
    const server = await start()
    const { opened, ended } = dial(driver, server.url)
    await opened
    server.client.close(1013, 'busy')
    server.client.socket.terminate()
    expect((await ended).code).toBeOneOf([1013, 1006])
  })
})

describe('the choice of a driver', () => {
  const loadNative: LoadSocketDriver = async (options, like) => nodeSocketDriver(options, like)
  const withGlobal = async (replacement: unknown, run: () => unknown) => {
    const descriptor = Object.getOwnPropertyDescriptor(globalThis, 'WebSocket') as PropertyDescriptor
    Object.defineProperty(globalThis, 'WebSocket', { ...descriptor, value: replacement })
    try {
      return await run()
    } finally {
      Object.defineProperty(globalThis, 'WebSocket', descriptor)
    }
  }
  const chosen = async (choice: Partial<Parameters<typeof chooseSocketDriver>[0]> = {}) =>
    (await chooseSocketDriver({ loadNative, ...choice })).name

  it('is ws in Node, where the global class is Node’s own', async () => {
    expect(await chosen()).toBe('ws')
  })

  it('is ws in Node without a global class', async () => {
    expect(await withGlobal(undefined, () => chosen())).toBe('ws')
  })

  it.each([
    ['a proxy, as msw makes one', new Proxy(native, {})],
    ['a class', class WebSocket extends EventTarget {}],
    ['a function', function WebSocket() {}],
    ['a bound function, whose text says nothing', function WebSocket() {}.bind(undefined)],
  ])('is the global class where it was replaced by %s', async (_, replacement) => {
    expect(await withGlobal(replacement, () => chosen())).toBe('web')
    expect(await chosen()).toBe('ws')
  })

  it('is the global class where the platform has nothing better', async () => {
    expect(await chosen({ loadNative: undefined })).toBe('web')
  })

  it('is always the option', async () => {
    expect(await chosen({ webSocket: native })).toBe('web')
    expect(await chosen({ webSocket: WsSocket as unknown as WebSocketClass })).toBe('ws')
    expect(await chosen({ webSocket: WsSocket as unknown as WebSocketClass, loadNative: undefined })).toBe('web')
  })

  it('fails where there is none', async () => {
    await withGlobal(undefined, () =>
      expect(() => chooseSocketDriver({ loadNative: undefined })).toThrow(/no WebSocket/),
    )
  })
})

describe('a class that stands in for the platform’s', () => {
  it('may give no data, and no event: a frame of nothing, and an end without a code', async () => {
    let made: any
    class Mock {
      readyState = 1
      bufferedAmount = 0
      constructor() {
        made = this
      }
      send(): void {}
      close(): void {}
    }
    const { opened, ended, frames } = dial(webSocketDriver(Mock as unknown as WebSocketClass), 'ws://a.example')
    await opened
    made.onmessage({})
    made.onmessage()
    expect(frames).toEqual(['', ''])
    made.onclose()
    expect(await ended).toMatchObject({ code: 1006, reason: '', wasClean: false })
  })

  it('tells of a socket that the page’s policy forbids by an error alone, as Chromium does: that is its end', async () => {
    let made: any
    class Forbidden {
      readyState = 3
      constructor() {
        made = this
      }
      close(): void {}
    }
    const { ended } = dial(webSocketDriver(Forbidden as unknown as WebSocketClass), 'ws://a.example')
    const error = new Error('forbidden')
    made.onerror({ error })
    expect(await ended).toMatchObject({ code: 1006, phase: 'connect', cause: error })
  })
})
