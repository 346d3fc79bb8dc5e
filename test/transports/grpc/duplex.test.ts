import type { ServiceImpl } from '@connectrpc/connect'
import { Code, ConnectError } from '@connectrpc/connect'
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from '@connectrpc/connect-node'
import { createClient } from 'polywire'
import { connectTransport, rpc, service } from 'polywire/grpc-web'
import { describe, expect, it } from 'vitest'
import { hasteClock, rejection } from '../../support/grpc-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'

type Options = Omit<Parameters<typeof createClient>[0], 'transports'>
type Make = (options: {
  baseUrl: string
  sessionManager: Http2SessionManager
}) => ReturnType<typeof createGrpcTransport>

const ways: readonly [name: string, make: Make][] = [
  ['gRPC', createGrpcTransport],
  ['gRPC-Web', (options) => createGrpcWebTransport({ ...options, httpVersion: '2' })],
  ['Connect', (options) => createConnectTransport({ ...options, httpVersion: '2' })],
]

/** A server on h2c, and a client that speaks to it. */
async function pair(make: Make, implementation: Partial<ServiceImpl<typeof ShopService>>, options: Options = {}) {
  const server = await GrpcServer.start(implementation, 'h2c')
  const sessionManager = new Http2SessionManager(server.url)
  const transport = make({ baseUrl: server.url, sessionManager })
  const transports = { 'grpc-web': connectTransport({ transport, origin: server.url }) }
  const client = createClient({ clock: hasteClock, ...options, transports })
  const api = client.bind({
    shop: service(ShopService),
    blocking: rpc(ShopService.method.chat, { sendQueue: { maxMessages: 4, overflow: 'block' } }),
  })
  return {
    server,
    ...api,
    async [Symbol.asyncDispose]() {
      await client.close()
      sessionManager.abort()
      await server[Symbol.asyncDispose]()
    },
  }
}

function gate() {
  let open = (): void => undefined
  const passed = new Promise<void>((resolve) => (open = resolve))
  return { open, passed }
}

/** Resolves once a number has not changed for many turns of the loop. */
async function settled(value: () => number): Promise<number> {
  for (let last = -1, turns = 0; ; turns = value() === last ? turns + 1 : 0) {
    if (turns === 300) return last
    last = value()
    await new Promise(setImmediate)
  }
}

function left(signal: AbortSignal): Promise<void> {
  return signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

async function outcomes(sends: readonly Promise<void>[]): Promise<string[]> {
  const results = await Promise.allSettled(sends)
  return results.map((each) => (each.status === 'fulfilled' ? 'sent' : `${each.reason.code} ${each.reason.sent}`))
}

describe.each(ways)('a bidi stream over %s by connect-node', (_, make) => {
  it('goes on to be read when the caller has said all', async () => {
    await using on = await pair(make, {
      async *chat(messages) {
        const heard: string[] = []
        for await (const { text } of messages) heard.push(text)
        for (const text of heard) yield { text: text.toUpperCase() }
      },
    })
    const chat = on.shop.chat()
    await chat.send({ text: 'a' })
    await chat.send({ text: 'b' })
    await chat.end()
    const seen: string[] = []
    for await (const { text } of chat) seen.push(text)
    expect(seen).toEqual(['A', 'B'])
  })

  it('holds the server back while nobody reads', async () => {
    const total = 10_000
    let made = 0
    await using on = await pair(make, {
      async *chat() {
        for (; made < total; made++) yield { text: `${made}`.padEnd(1000) }
      },
    })
    const reader = on.shop.chat()[Symbol.asyncIterator]()
    expect((await reader.next()).value?.text.trim()).toBe('0')
    const held = await settled(() => made)
    expect(held).toBeLessThan(total / 2)
    let count = 1
    while (!(await reader.next()).done) count++
    expect(count).toBe(total)
  })

  it('holds the caller back while the server does not read, and loses nothing', async () => {
    const { open, passed } = gate()
    const heard: number[] = []
    await using on = await pair(make, {
      async *chat(messages) {
        yield { text: 'here' }
        await passed
        for await (const { text } of messages) heard.push(text.length)
        yield { text: 'done' }
      },
    })
    const chat = on.blocking()
    const reader = chat[Symbol.asyncIterator]()
    await reader.next()
    let sent = 0
    const sends = Array.from({ length: 100 }, (_, n) => chat.send({ text: 'x'.repeat(64_000 + n) }).then(() => sent++))
    expect(await settled(() => sent)).toBeLessThan(60)
    open()
    await Promise.all(sends)
    await chat.end()
    expect((await reader.next()).value?.text).toBe('done')
    expect(heard).toEqual(Array.from({ length: 100 }, (_, n) => 64_000 + n))
  })

  it('gives what came before an error, then the error; what was not sent is told', async () => {
    await using on = await pair(make, {
      async *chat() {
        yield { text: 'one' }
        yield { text: 'two' }
        throw new ConnectError('no more', Code.OutOfRange, { 'x-tail': 't' })
      },
    })
    const chat = on.shop.chat()
    const seen: string[] = []
    const error = await rejection(
      (async () => {
        for await (const { text } of chat) seen.push(text)
      })(),
    )
    expect(seen).toEqual(['one', 'two'])
    expect(error).toMatchObject({ code: 'out_of_range', phase: 'stream', serverMessage: 'no more', sent: 'yes' })
    expect(error.trailers.get('x-tail')).toBe('t')
    expect(await rejection(chat.send({ text: 'late' }))).toMatchObject({ sent: 'no' })
  })

  it('tells what waits that the server has ended first', async () => {
    const { open, passed } = gate()
    await using on = await pair(make, {
      async *chat() {
        yield { text: 'hi' }
        await passed
      },
    })
    const chat = on.shop.chat()
    const reader = chat[Symbol.asyncIterator]()
    await reader.next()
    const sends = Array.from({ length: 300 }, () => chat.send({ text: 'x'.repeat(64_000) }))
    for (const send of sends) send.catch(() => undefined)
    let taken = 0
    for (const send of sends) void send.then(() => taken++).catch(() => undefined)
    await settled(() => taken)
    open()
    expect((await reader.next()).done).toBe(true)
    const told = await outcomes(sends)
    // In order: what was written, one that may have been, and what never left.
    const unsent = told.filter((each) => each.endsWith(' no')).length
    expect(unsent).toBeGreaterThan(200)
    expect(told.slice(-unsent).every((each) => each.endsWith(' no'))).toBe(true)
    expect(told.slice(0, -unsent).filter((each) => each !== 'sent').length).toBeLessThanOrEqual(1)
    expect(await rejection(chat.send({ text: 'late' }))).toMatchObject({ sent: 'no' })
  })

  it('ends with the reason of the caller’s abort, which the server sees', async () => {
    let signal: AbortSignal | undefined
    await using on = await pair(make, {
      async *chat(_messages, context) {
        signal = context.signal
        yield { text: 'hi' }
        await left(context.signal)
      },
    })
    const controller = new AbortController()
    const chat = on.shop.chat(undefined, { signal: controller.signal })
    const reader = chat[Symbol.asyncIterator]()
    await reader.next()
    const reading = rejection(reader.next())
    controller.abort('mine')
    expect(await reading).toBe('mine')
    expect(await rejection(chat.send({ text: 'late' }))).toBeDefined()
    await left(signal as AbortSignal)
  })

  it('ends at its deadline, which the server is told', async () => {
    let signal: AbortSignal | undefined
    const clock = manualClock()
    await using on = await pair(
      make,
      {
        async *chat(_messages, context) {
          signal = context.signal
          yield { text: 'hi' }
          await left(context.signal)
        },
      },
      { clock },
    )
    const chat = on.shop.chat(undefined, { deadline: clock.wallNow() + 60_000 })
    const reader = chat[Symbol.asyncIterator]()
    await reader.next()
    const told = on.server.calls[0]?.headers
    expect(told?.get('grpc-timeout') ?? told?.get('connect-timeout-ms')).toMatch(/^(60000m?|60S)$/)
    const reading = rejection(reader.next())
    await clock.advance(60_000)
    expect(await reading).toMatchObject({ code: 'deadline_exceeded' })
    await left(signal as AbortSignal)
  })
})

describe.each(ways)('a client stream over %s by connect-node', (_, make) => {
  /** Endless, and knows that it was left. */
  function source() {
    const state = { isLeft: false, given: 0 }
    async function* items() {
      try {
        for (; ; state.given++) {
          yield { name: 'x'.repeat(1000) }
          await new Promise(setImmediate)
        }
      } finally {
        state.isLeft = true
      }
    }
    return { state, items: items() }
  }

  it('gives the reply of a server that answers before the caller has said all, and leaves the caller’s iterable', async () => {
    await using on = await pair(make, {
      async importItems(items) {
        for await (const _ of items) break
        return { count: 1 }
      },
    })
    const { state, items } = source()
    expect((await on.shop.importItems(items)).count).toBe(1)
    await expect.poll(() => state.isLeft).toBe(true)
  })

  it('takes from the caller’s iterable only as fast as the server reads', async () => {
    const { open, passed } = gate()
    await using on = await pair(make, {
      async importItems(items) {
        await passed
        let count = 0
        for await (const _ of items) if (++count === 3000) break
        return { count }
      },
    })
    const { state, items } = source()
    const calling = on.shop.importItems(items)
    expect(await settled(() => state.given)).toBeLessThan(2000)
    open()
    expect((await calling).count).toBe(3000)
  })

  it('ends at its deadline and by the caller’s abort, and leaves the caller’s iterable', async () => {
    const clock = manualClock()
    const seen: AbortSignal[] = []
    await using on = await pair(
      make,
      {
        async importItems(_items, { signal }) {
          seen.push(signal)
          await left(signal)
          return {}
        },
      },
      { clock },
    )
    const late = source()
    const calling = rejection(on.shop.importItems(late.items, { timeoutMs: 60_000 }))
    await expect.poll(() => seen.length).toBe(1)
    await clock.advance(60_000)
    expect(await calling).toMatchObject({ code: 'deadline_exceeded' })
    await expect.poll(() => late.state.isLeft).toBe(true)

    const aborted = source()
    const controller = new AbortController()
    const other = rejection(on.shop.importItems(aborted.items, { signal: controller.signal }))
    await expect.poll(() => seen.length).toBe(2)
    controller.abort('mine')
    expect(await other).toBe('mine')
    await expect.poll(() => aborted.state.isLeft).toBe(true)
    await Promise.all(seen.map(left))
  })

  it('of which the connection is lost says that it may have been carried out, and is not sent again', async () => {
    let calls = 0
    await using on = await pair(make, {
      async importItems(items) {
        calls++
        for await (const _ of items) on.server.dropConnections()
        return {}
      },
    })
    const { state, items } = source()
    const error = await rejection(on.shop.importItems(items))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'maybe' })
    await expect.poll(() => state.isLeft).toBe(true)
    expect(calls).toBe(1)
  })
})
