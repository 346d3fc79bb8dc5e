import { HttpResponse } from 'msw/http'
import { setupServer } from 'msw/node'
import { CallError, createClient, type } from 'polywire'
import {
  fileUploads,
  getQueries,
  graphqlTransport,
  mutation,
  persistedQueries,
  query,
  sseSubscriptions,
  subscription,
} from 'polywire/graphql'
import { mock, mockStream } from 'polywire/msw'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Resolvable } from './support/resolvable.ts'

interface Order {
  order: { id: string; total: number }
}
const contract = {
  order: query('query Order($id: ID!) { order(id: $id) { id total } }', {
    variables: type<{ id: string; first?: number }>(),
    output: type<Order>(),
  }),
  anonymous: query('{ me { name } }', { output: type<{ me: { name: string } }>() }),
  partial: query('query Partial { order { id } }', { output: type<Order>(), errorPolicy: 'all' }),
  place: mutation('mutation Place($file: Upload) { place(file: $file) { id } }', {
    variables: type<{ file?: File }>(),
    output: type<{ place: { id: string } }>(),
  }),
  ticks: subscription('subscription Ticks($to: Int!) { tick(to: $to) }', {
    variables: type<{ to: number }>(),
    output: type<{ tick: number }>(),
  }),
}
const server = setupServer()
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterEach(() => server.resetHandlers())
afterAll(() => server.close())

const url = 'https://api.test/graphql'
const clientWith = (features: Parameters<typeof graphqlTransport>[0]['features'] = []) => {
  const client = createClient({ transports: { graphql: graphqlTransport({ url, features }) } })
  return { client, api: client.bind(contract), [Symbol.asyncDispose]: () => client.close() }
}

describe('mock() of GraphQL', () => {
  it('gives variables and answers with data', async () => {
    await using made = clientWith()
    server.use(mock(contract.order, ({ input }) => ({ order: { id: input.id, total: input.first ?? 3 } })))
    server.use(mock(contract.anonymous, () => ({ me: { name: 'Ada' } })))
    expect(await made.api.order({ id: '7' })).toEqual({ order: { id: '7', total: 3 } })
    expect(await made.api.order({ id: '7', first: 5 })).toEqual({ order: { id: '7', total: 5 } })
    expect(await made.api.anonymous()).toEqual({ me: { name: 'Ada' } })
  })

  it('by the policy "all" the message is the result', async () => {
    await using made = clientWith()
    const errors = [{ message: 'no total', path: ['order', 'total'] }]
    server.use(mock(contract.partial, () => ({ data: null, errors })))
    expect(await made.api.partial()).toMatchObject({ data: null, errors })
  })

  it('throws errors with codes, and answers with a Response', async () => {
    await using made = clientWith()
    server.use(
      mock(contract.order, ({ input }) => {
        if (input.id === '1')
          throw new CallError({ code: 'permission_denied', reason: 'FORBIDDEN', message: 'not yours' })
        if (input.id === '4') throw new CallError({ code: 'not_found', reason: 'NO_SUCH_ORDER', message: 'none' })
        if (input.id === '5') {
          const violations = [{ field: 'order.id', message: 'is odd' }]
          throw new CallError({ code: 'invalid_argument', message: 'refused', violations })
        }
        if (input.id === '2') throw new CallError({ code: 'not_found', message: 'none', details: { hint: 'h' } })
        throw HttpResponse.json({ errors: [{ message: 'bad', extensions: { code: 'BAD_USER_INPUT' } }] })
      }),
    )
    await expect(made.api.order({ id: '1' })).rejects.toMatchObject({ code: 'permission_denied', reason: 'FORBIDDEN' })
    await expect(made.api.order({ id: '2' })).rejects.toMatchObject({ code: 'not_found', serverMessage: 'none' })
    await expect(made.api.order({ id: '4' })).rejects.toMatchObject({ code: 'not_found', reason: 'NO_SUCH_ORDER' })
    const violations = [{ field: 'order.id', message: 'is odd' }]
    await expect(made.api.order({ id: '5' })).rejects.toMatchObject({ code: 'invalid_argument', violations })
    await expect(made.api.order({ id: '3' })).rejects.toMatchObject({ code: 'invalid_argument' })
  })

  it.each(['canceled', 'out_of_range', 'unavailable', 'unauthenticated'] as const)(
    'throws %s, whose code stays',
    async (code) => {
      await using made = clientWith()
      server.use(
        mock(contract.order, () => {
          throw new CallError({ code, message: 'no' })
        }),
      )
      await expect(made.api.order({ id: '1' }, { retry: false })).rejects.toMatchObject({
        code,
        reason: code.toUpperCase(),
      })
    },
  )

  it('is retried, once, and tells errors that are none of an answer', async () => {
    await using made = clientWith()
    server.use(
      mock(contract.order, () => HttpResponse.error(), { once: true }),
      mock(contract.order, () => ({ order: { id: '1', total: 1 } })),
    )
    expect((await made.api.order.reply({ id: '1' })).attempts).toBe(2)
    let attempts = 0
    server.use(
      mock(contract.order, () => {
        if (++attempts === 1) throw new CallError({ code: 'resource_exhausted', message: 'slow down', retryAfterMs: 1 })
        return { order: { id: '1', total: attempts } }
      }),
    )
    expect((await made.api.order({ id: '1' })).order.total).toBe(2)
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    server.use(
      mock(contract.place, () => {
        throw new RangeError('a slip')
      }),
    )
    await expect(made.api.place()).rejects.toMatchObject({ code: 'internal' })
    expect(told.mock.calls.flat().map(String).join()).toContain('a slip')
    told.mockRestore()
  })

  it('understands GET, persisted queries and files', async () => {
    await using made = clientWith([persistedQueries(), getQueries(), fileUploads()])
    const seen: string[] = []
    server.use(
      mock(contract.order, ({ input, request }) => {
        seen.push(request.method)
        return { order: { id: input.id, total: 1 } }
      }),
      mock(contract.place, async ({ input }) => ({ place: { id: (await input.file?.text()) ?? '' } })),
    )
    expect(await made.api.order({ id: '7' })).toMatchObject({ order: { id: '7' } })
    expect(await made.api.place({ file: new File(['text'], 'a.txt') })).toEqual({ place: { id: 'text' } })
    expect(seen).toEqual(['GET'])
  })

  it('is narrowed to the URL of an endpoint', async () => {
    await using made = clientWith()
    const answer = (id: string) => () => ({ order: { id, total: 1 } })
    server.use(
      mock(contract.order, answer('other'), { baseUrl: 'https://other.test/graphql' }),
      mock(contract.order, answer('this'), { baseUrl: url }),
    )
    expect((await made.api.order({ id: '' })).order.id).toBe('this')
  })
})

describe.each(['a socket', 'events'])('mockStream() of a subscription over %s', (way) => {
  const make = () => clientWith(way === 'events' ? [sseSubscriptions()] : [])

  it('gives results to the end', async () => {
    await using made = make()
    server.use(
      mockStream(contract.ticks, async function* ({ input }) {
        for (let tick = 1; tick <= input.to; tick++) yield { tick }
      }),
    )
    const seen: number[] = []
    for await (const { tick } of made.api.ticks({ to: 3 })) seen.push(tick)
    expect(seen).toEqual([1, 2, 3])
  })

  it('fails at the start and on its way, with the code', async () => {
    await using made = make()
    server.use(
      mockStream(contract.ticks, async function* ({ input }) {
        if (input.to > 0) yield { tick: 1 }
        throw new CallError({ code: 'permission_denied', message: 'no' })
      }),
    )
    const read = async (to: number) => {
      for await (const { tick } of made.api.ticks({ to })) expect(tick).toBe(1)
    }
    await expect(read(0)).rejects.toMatchObject({ code: 'permission_denied' })
    await expect(read(1)).rejects.toMatchObject({ code: 'permission_denied' })
  })

  it('comes back after a broken connection', async () => {
    await using made = make()
    let runs = 0
    server.use(
      mockStream(contract.ticks, async function* () {
        yield { tick: ++runs }
        await new Promise((resolve) => setImmediate(resolve))
        if (runs < 2) throw HttpResponse.error()
      }),
    )
    const seen: number[] = []
    for await (const { tick } of made.api.ticks({ to: 3 })) seen.push(tick)
    expect(seen).toEqual([1, 2])
  })

  it('ends the handler where the caller leaves', async () => {
    await using made = make()
    const ended = new Resolvable<boolean>()
    server.use(
      mockStream(contract.ticks, async function* ({ signal }) {
        try {
          for (let tick = 1; ; tick++) {
            yield { tick }
            await new Promise((resolve) => setImmediate(resolve))
          }
        } finally {
          ended.resolve(signal.aborted)
        }
      }),
    )
    for await (const { tick } of made.api.ticks({ to: 3 })) if (tick === 2) break
    expect(await ended.promise).toBe(true)
  })

  it('ends what a handler gives after the caller has left', async () => {
    await using made = make()
    const ended = new Resolvable<string>()
    const asked = new Resolvable<void>()
    const messages = {
      [Symbol.asyncIterator]: () => messages,
      next: async () => ({ done: false, value: { tick: 1 } }),
      return(): never {
        ended.resolve('ended')
        throw new Error('of the clean-up')
      },
    }
    server.use(
      mockStream(contract.ticks, async ({ signal }) => {
        asked.resolve()
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
        return messages as AsyncIterable<{ tick: number }>
      }),
    )
    const controller = new AbortController()
    const opened = made.api.ticks({ to: 3 }, { signal: controller.signal })[Symbol.asyncIterator]().next()
    await asked.promise
    controller.abort('left')
    await expect(opened).rejects.toBe('left')
    expect(await ended.promise).toBe('ended')
  })

  it('answers once where it is to', async () => {
    await using made = make()
    server.use(
      mockStream(contract.ticks, () => [{ tick: 1 }], { once: true }),
      mockStream(contract.ticks, () => [{ tick: 2 }]),
    )
    const seen: number[] = []
    for (let run = 0; run < 3; run++) for await (const { tick } of made.api.ticks({ to: 1 })) seen.push(tick)
    expect(seen).toEqual([1, 2, 2])
  })
})

it('a Response of HTTP is none over a socket: the tester is told, and the client, too', async () => {
  await using made = clientWith()
  const told = vi.spyOn(console, 'error').mockImplementation(() => {})
  server.use(mockStream(contract.ticks, () => HttpResponse.json({}, { status: 403 })))
  const next = made.api.ticks({ to: 1 })[Symbol.asyncIterator]().next()
  await expect(next).rejects.toMatchObject({ code: 'internal' })
  expect(told).toHaveBeenCalledOnce()
  told.mockRestore()
})

it('a subscription that nobody mocks is refused by the socket of another one, and says which', async () => {
  await using made = clientWith()
  const other = subscription('subscription Other { tick }', { output: type<{ tick: number }>() })
  server.use(mockStream(other, () => []))
  const read = async () => {
    for await (const _ of made.api.ticks({ to: 1 }));
  }
  await expect(read()).rejects.toMatchObject({
    code: 'unimplemented',
    serverMessage: "no mockStream() that this socket knows answers 'Ticks'",
  })
})
