import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { TcpProxy } from './tcp-proxy.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** An echo server behind a proxy, and a client in front of it. */
async function setUp() {
  const peers: Socket[] = []
  const server = createServer((socket) => {
    peers.push(socket)
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => new Promise((resolve) => server.close(resolve)))
  const proxy = await TcpProxy.start({ port: (server.address() as AddressInfo).port })
  closers.push(() => proxy.close())
  return { proxy, peers }
}

function client(proxy: TcpProxy) {
  const socket = connect(proxy.port, '127.0.0.1')
  let text = ''
  const waiting: { readonly wanted: string; readonly resolve: () => void }[] = []
  socket.on('data', (chunk) => {
    text += chunk
    for (const each of waiting) if (text.includes(each.wanted)) each.resolve()
  })
  const ended = new Promise<string>((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'))
    socket.on('close', () => resolve('closed'))
  })
  const seen = (wanted: string) =>
    new Promise<void>((resolve) => {
      if (text.includes(wanted)) resolve()
      waiting.push({ wanted, resolve })
    })
  closers.push(() => socket.destroy())
  return { socket, ended, seen, text: () => text }
}

describe('TcpProxy', () => {
  it('forwards both ways', async () => {
    const { proxy } = await setUp()
    const { socket, seen } = client(proxy)
    socket.write('hello')
    await seen('hello')
    expect(proxy.open).toBe(1)
    expect(proxy.bytes).toEqual({ up: 5, down: 5 })
  })

  it('drops: the client sees an end', async () => {
    const { proxy } = await setUp()
    const { socket, seen, ended } = client(proxy)
    socket.write('a')
    await seen('a')
    proxy.drop()
    expect(await ended).toBe('closed')
    expect(proxy.open).toBe(0)
  })

  it('resets: the client sees ECONNRESET', async () => {
    const { proxy } = await setUp()
    const { socket, seen, ended } = client(proxy)
    socket.write('a')
    await seen('a')
    proxy.reset()
    expect(await ended).toBe('ECONNRESET')
  })

  it('refuses new connections until told otherwise', async () => {
    const { proxy } = await setUp()
    proxy.refuse()
    const first = client(proxy)
    expect(await first.ended).toBe('ECONNRESET')
    proxy.accept()
    const { socket, seen } = client(proxy)
    socket.write('b')
    await seen('b')
    expect(proxy.accepted).toBe(2)
  })

  it('half-open: swallows all, and what it swallowed stays lost', async () => {
    const { proxy } = await setUp()
    const { socket, seen, text } = client(proxy)
    socket.write('a')
    await seen('a')
    proxy.halfOpen()
    await new Promise<void>((resolve) => socket.write('lost', () => resolve()))
    while (proxy.bytes.up < 5) await new Promise(setImmediate)
    proxy.pass()
    socket.write('z')
    await seen('z')
    expect(text()).toBe('az')
  })

  it('stalls and goes on without a loss', async () => {
    const { proxy } = await setUp()
    const { socket, seen, text } = client(proxy)
    socket.write('a')
    await seen('a')
    proxy.stall()
    socket.write('b')
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    expect(text()).toBe('a')
    proxy.pass()
    await seen('ab')
  })

  it('drips, a few bytes at a time, to the end', async () => {
    const { proxy, peers } = await setUp()
    const { socket, seen, ended, text } = client(proxy)
    let chunks = 0
    socket.on('data', () => chunks++)
    socket.write('a')
    await seen('a')
    proxy.drip(1)
    socket.write('bcdef')
    peers[0]?.on('data', () => peers[0]?.end())
    expect(await ended).toBe('closed')
    expect(text()).toBe('abcdef')
    expect(chunks).toBeGreaterThan(1)
  })
})
