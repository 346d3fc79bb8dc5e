import { HttpResponse } from 'msw/http'
import { setupServer } from 'msw/node'
import { CallError, createClient, type } from 'polywire'
import { mock, mockChannel } from 'polywire/msw'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Resolvable } from './support/resolvable.ts'

const contract = {
  chat: channel('chat:{room}', {
    input: type<{ as?: string }>(),
    send: type<{ text: string }>(),
    receive: type<string>(),
  }),
  bytes: channel('bytes', { send: type<Uint8Array>(), receive: type<Uint8Array>() }),
  prices: channel('prices', { receive: type<number>() }),
  place: request('orders:{shop}', { input: type<{ total: number }>(), output: type<{ id: string; total: number }>() }),
}
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const url = 'wss://api.test/ws'
const make = () => {
  const client = createClient({ transports: { websocket: websocketTransport({ url }) } })
  return { api: client.bind(contract), client, [Symbol.asyncDispose]: () => client.close() }
}

describe('mockChannel()', () => {
  it('gives the input and messages, and sends; each message is acknowledged', async () => {
    await using made = make()
    server.use(
      mockChannel(contract.prices, ({ send }) => send(1)),
      mockChannel(contract.chat, async ({ input, messages, send }) => {
        send(`welcome ${input.as}`)
        for await (const { text } of messages) send(`${input.room}: ${text}`)
      }),
    )
    await using room = made.api.chat({ room: 'lobby', as: 'ada' })
    await room.send({ text: 'hello' })
    const seen: string[] = []
    for await (const said of room) {
      seen.push(said)
      if (seen.length === 2) break
    }
    expect(seen).toEqual(['welcome ada', 'lobby: hello'])
    for await (const price of made.api.prices()) {
      expect(price).toBe(1)
      break
    }
  })

  it('leaves no listeners for each of many mocks: Node warns of nothing', async () => {
    await using made = make()
    const warned: unknown[] = []
    const hear = (warning: Error) => warned.push(warning.message)
    process.on('warning', hear)
    server.use(
      ...Array.from({ length: 20 }, (_, n) => mockChannel(channel(`room ${n}`, { receive: type<number>() }), () => {})),
      mockChannel(contract.prices, ({ send }) => send(1)),
    )
    for await (const price of made.api.prices()) {
      expect(price).toBe(1)
      break
    }
    await new Promise(setImmediate)
    process.off('warning', hear)
    expect(warned).toEqual([])
  })

  it('sends what a generator yields, ends with it, and ends it where the client leaves', async () => {
    await using made = make()
    const ended = new Resolvable<void>()
    server.use(
      mockChannel(contract.chat, async function* ({ input }) {
        try {
          yield 'one'
          while (input.room === 'endless') yield 'more'
        } finally {
          if (input.room === 'endless') ended.resolve()
        }
      }),
    )
    const seen: string[] = []
    for await (const said of made.api.chat({ room: 'short' })) seen.push(said)
    expect(seen).toEqual(['one'])
    for await (const said of made.api.chat({ room: 'endless' })) if (said === 'more') break
    await ended.promise
  })

  it('carries bytes both ways', async () => {
    await using made = make()
    server.use(
      mockChannel(contract.bytes, async ({ messages, send }) => {
        for await (const bytes of messages) send(bytes.map((each) => each + 1))
      }),
    )
    await using channel = made.api.bytes()
    await channel.send(Uint8Array.of(1, 2))
    for await (const bytes of channel) {
      expect([...bytes]).toEqual([2, 3])
      break
    }
  })

  it('ends by close(), fails by what it throws, and is continued after drop() behind the last id', async () => {
    await using made = make()
    const places: unknown[] = []
    server.use(
      mockChannel(contract.chat, async ({ input, send, close }) => {
        send('one')
        if (input.room === 'odd') throw new CallError({ code: 'permission_denied', message: 'not here' })
        close()
      }),
      mockChannel(contract.prices, async ({ since, send, drop, close }) => {
        places.push(since)
        const next = Number(since ?? 0) + 1
        send(next, { id: next })
        if (next < 2) drop()
        else close()
      }),
    )
    const read = async <T>(stream: AsyncIterable<T>) => {
      const seen: T[] = []
      for await (const each of stream) seen.push(each)
      return seen
    }
    expect(await read(made.api.chat({ room: 'even' }))).toEqual(['one'])
    await expect(read(made.api.chat({ room: 'odd' }))).rejects.toMatchObject({
      code: 'permission_denied',
      serverMessage: 'not here',
    })
    expect(await read(made.api.prices())).toEqual([1, 2])
    expect(places).toEqual([undefined, 1])
  })

  it('breaks where it returns a broken connection, and tells of a Response, which no socket has', async () => {
    await using made = make()
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    let runs = 0
    server.use(
      mockChannel(contract.prices, async ({ send, close }) => {
        if (++runs === 1) return HttpResponse.error()
        send(runs)
        return close()
      }),
      mockChannel(contract.chat, async () => HttpResponse.json({}, { status: 403 })),
    )
    for await (const price of made.api.prices()) expect(price).toBe(2)
    const next = made.api.chat({ room: 'a' })[Symbol.asyncIterator]().next()
    await expect(next).rejects.toMatchObject({ code: 'internal' })
    expect(told).toHaveBeenCalledOnce()
    told.mockRestore()
  })

  it('ends what a handler gives after the client has left, whatever its clean-up throws', async () => {
    await using made = make()
    const ended = new Resolvable<string>()
    const messages: AsyncIterableIterator<number> = {
      [Symbol.asyncIterator]: () => messages,
      next: async () => ({ done: false, value: 1 }),
      return(): never {
        ended.resolve('ended')
        throw new Error('of the clean-up')
      },
    }
    server.use(
      mockChannel(contract.prices, async ({ send, signal }) => {
        send(0)
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        return messages
      }),
    )
    for await (const price of made.api.prices()) if (price === 0) break
    expect(await ended.promise).toBe('ended')
  })

  it('tells the handler that the client has left: by unsubscribing, by its socket, by resetHandlers()', async () => {
    const lefts: string[] = []
    const handler = (all: Resolvable<void>[]) =>
      mockChannel(contract.chat, async ({ input, messages, signal, send }) => {
        send('in')
        signal.addEventListener('abort', () => lefts.push(`aborted ${input.room}`))
        for await (const _ of messages);
        lefts.push(`ended ${input.room}`)
        all.shift()?.resolve()
      })
    const waits = [new Resolvable<void>(), new Resolvable<void>(), new Resolvable<void>()]
    server.use(handler([...waits]))
    {
      await using made = make()
      for await (const _ of made.api.chat({ room: 'a' })) break
      await waits[0]?.promise
      const stays = made.api.chat({ room: 'b' })
      await stays.opened
    }
    await waits[1]?.promise
    await using made = make()
    await made.api.chat({ room: 'c' }).opened
    server.resetHandlers()
    await waits[2]?.promise
    expect(lefts).toEqual(['aborted a', 'ended a', 'aborted b', 'ended b', 'aborted c', 'ended c'])
  })

  it('a channel and a request that nobody mocks are refused by the socket of another one', async () => {
    await using made = make()
    server.use(mockChannel(contract.prices, () => {}))
    const serverMessage = "no mockChannel() that this socket knows answers the channel 'chat:x'"
    await expect(made.api.chat({ room: 'x' }).opened).rejects.toMatchObject({ code: 'unimplemented', serverMessage })
    await expect(made.api.place({ shop: 's', total: 1 })).rejects.toMatchObject({ code: 'unimplemented' })
  })

  it('is narrowed by baseUrl, and answers once where it is to', async () => {
    server.use(
      mockChannel(contract.prices, ({ send }) => send(1), { baseUrl: 'wss://other.test/ws' }),
      mockChannel(contract.prices, ({ send }) => send(2), { baseUrl: url, once: true }),
      mockChannel(contract.prices, ({ send }) => send(3), { baseUrl: '/ws' }),
    )
    const seen: number[] = []
    for (let run = 0; run < 3; run++) {
      await using made = make()
      for await (const price of made.api.prices()) {
        seen.push(price)
        break
      }
    }
    expect(seen).toEqual([2, 3, 3])
  })
})

it('leaves what other protocols say on sockets alone', async () => {
  server.use(mockChannel(contract.prices, () => {}))
  const told = vi.spyOn(console, 'error').mockImplementation(() => {})
  const said = new Resolvable<unknown>()
  const socket = new WebSocket('wss://other.test')
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  socket.addEventListener('message', ({ data }) => said.resolve(data))
  for (const frame of ['no json', 'null', '[]', '{"type":1}', Uint8Array.of(1)]) socket.send(frame)
  socket.send('{"type":"ping"}')
  expect(await said.promise).toBe('{"type":"pong"}')
  expect(told).not.toHaveBeenCalled()
  told.mockRestore()
  socket.close()
})

describe('mock() of a request over a socket', () => {
  it('answers, throws, is broken and retried, and tells what is none of an answer', async () => {
    await using made = make()
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    server.use(
      mock(contract.place, ({ input }) => {
        if (input.total === 1) throw new CallError({ code: 'not_found', reason: 'NO_SHOP', message: 'no shop' })
        if (input.total === 2) throw new RangeError('a slip')
        if (input.total === 3) return HttpResponse.error()
        if (input.total === 4) return HttpResponse.json({}, { status: 403 })
        return { id: input.shop, total: input.total }
      }),
    )
    const place = (total: number) => made.api.place({ shop: 's', total })
    expect(await place(9)).toEqual({ id: 's', total: 9 })
    await expect(place(1)).rejects.toMatchObject({ code: 'unknown', reason: 'NO_SHOP', serverMessage: 'no shop' })
    await expect(place(2)).rejects.toMatchObject({ code: 'internal' })
    expect(told.mock.calls.flat().map(String).join()).toContain('a slip')
    await expect(place(4)).rejects.toMatchObject({ code: 'internal' })
    expect(told).toHaveBeenCalledTimes(2)
    told.mockRestore()
    await expect(place(3)).rejects.toMatchObject({ code: 'unavailable', sent: 'maybe' })
  })
})
