import { HttpResponse } from 'msw/http'
import { setupServer } from 'msw/node'
import { CallError, createClient, type } from 'polywire'
import { mock, mockStream } from 'polywire/msw'
import { jsonLines, restTransport } from 'polywire/rest'
import { durableStream, events, sseTransport } from 'polywire/sse'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Resolvable } from './support/resolvable.ts'

const contract = {
  orders: events('/orders/{id}/events', { placed: type<{ total: number }>(), done: type<string>() }, { until: 'done' }),
  tokens: events('/tokens', { message: type<string>() }, { data: 'text', until: ({ data }) => data === '[DONE]' }),
  lines: jsonLines('/lines', type<{ n: number }>(), { method: 'POST', body: type<{ upTo: number }>() }),
}
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())
const base = { baseUrl: 'https://api.test' }
const client = createClient({ transports: { sse: sseTransport(base), rest: restTransport(base) } })
const api = client.bind(contract)
afterAll(() => client.close())

describe('mockStream() over HTTP', () => {
  it('events, with ids and data as JSON', async () => {
    server.use(
      mockStream(contract.orders, async function* ({ input, params }) {
        yield { type: 'placed', id: '1', data: { total: Number(input.id) } }
        yield { type: 'done', data: params.id }
      }),
    )
    const seen: unknown[] = []
    for await (const event of api.orders({ id: 7 })) seen.push(event)
    expect(seen).toEqual([
      { type: 'placed', id: '1', data: { total: 7 } },
      { type: 'done', data: '7' },
    ])
  })

  it('events of text, over several lines, and a list in the place of a generator', async () => {
    server.use(
      mockStream(contract.tokens, () => [
        { type: 'message', data: '"a"\nb' },
        { type: 'message', data: '[DONE]' },
      ]),
    )
    const seen: unknown[] = []
    for await (const { data } of api.tokens()) seen.push(data)
    expect(seen).toEqual(['"a"\nb'])
  })

  it('lines', async () => {
    server.use(
      mockStream(contract.lines, function* ({ body }) {
        for (let n = 1; n <= body.upTo; n++) yield { n }
      }),
    )
    const seen: unknown[] = []
    for await (const line of api.lines({ upTo: 3 })) seen.push(line)
    expect(seen).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  it.each(['by a broken connection', 'by an error that events cannot say'])(
    'is resumed where it ends %s',
    async (how) => {
      const cursors: unknown[] = []
      server.use(
        mockStream(contract.orders, async function* ({ lastEventId }) {
          cursors.push(lastEventId)
          const first = Number(lastEventId ?? 0) + 1
          yield { type: 'placed', id: String(first), data: { total: first }, retry: 1 }
          if (first === 2) yield { type: 'done', data: 'all' }
          await new Promise((resolve) => setImmediate(resolve))
          throw how.includes('broken') ? HttpResponse.error() : new CallError({ code: 'unavailable', message: 'later' })
        }),
      )
      const seen: unknown[] = []
      for await (const { data } of api.orders({ id: 7 })) seen.push(data)
      expect(seen).toEqual([{ total: 1 }, { total: 2 }, 'all'])
      expect(cursors).toEqual([undefined, '1'])
    },
  )

  it('what is thrown at once is the answer', async () => {
    server.use(
      mockStream(contract.orders, async function* ({ input }) {
        if (input.id === '7') throw new CallError({ code: 'permission_denied', reason: 'NOT_YOURS', message: 'no' })
        yield { type: 'done', data: '' }
      }),
    )
    const opened = api.orders({ id: 7 }).opened
    await expect(opened).rejects.toMatchObject({ code: 'permission_denied', status: 403, reason: 'NOT_YOURS' })
  })

  it('is open before its first event, and ends the handler where the caller leaves', async () => {
    const ended = new Resolvable<boolean>()
    const go = new Resolvable<void>()
    server.use(
      mockStream(contract.orders, async function* ({ signal, reply }) {
        reply.headers.set('x-stream', 'yes')
        try {
          await go.promise
          for (let n = 1; ; n++) yield { type: 'placed', id: String(n), data: { total: n } }
        } finally {
          ended.resolve(signal.aborted)
        }
      }),
    )
    const stream = api.orders({ id: 7 })
    expect((await stream.opened).headers.get('x-stream')).toBe('yes')
    go.resolve()
    for await (const { id } of stream) if (id === '3') break
    expect(await ended.promise).toBe(true)
  })

  it('tells an error of the handler that is none of an answer', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    server.use(
      mockStream(contract.lines, async function* () {
        yield { n: 1 }
        await new Promise((resolve) => setImmediate(resolve))
        throw new RangeError('a slip')
      }),
    )
    const read = async () => {
      for await (const _ of api.lines({ upTo: 1 }));
    }
    const message = expect.not.stringContaining('without a byte')
    await expect(read()).rejects.toMatchObject({ sent: 'yes', message })
    expect(told.mock.calls.flat().map(String).join()).toContain('a slip')
    told.mockRestore()
  })

  it('ends a handler whose message cannot be written, and bears a clean-up that throws', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const ended = new Resolvable<string>()
    const left = new Resolvable<string>()
    const placed = {
      [Symbol.asyncIterator]: () => placed,
      next: async () => ({ done: false as const, value: { type: 'placed' as const, data: { total: 1 } } }),
      return(): never {
        left.resolve('left')
        throw new Error('of the clean-up')
      },
    }
    server.use(
      mockStream(contract.lines, function* () {
        try {
          yield { n: 1 }
          yield { n: 2n as never }
        } finally {
          ended.resolve('ended')
        }
      }),
      mockStream(contract.orders, () => placed),
    )
    const read = async () => {
      for await (const _ of api.lines({ upTo: 1 }));
    }
    await expect(read()).rejects.toMatchObject({ sent: 'yes' })
    expect(await ended.promise).toBe('ended')
    expect(told.mock.calls.flat().map(String).join()).toContain('a BigInt')
    told.mockRestore()
    for await (const _ of api.orders({ id: 7 })) break
    expect(await left.promise).toBe('left')
  })

  it('refuses what is no such stream', () => {
    const none = (() => []) as never
    expect(() => mock(contract.orders, none)).toThrow('mock(GET /orders/{id}/events): it is a server_stream')
    expect(() => mockStream(durableStream('/s/{id}', type<string>()), none)).toThrow('only streams that events()')
  })
})
