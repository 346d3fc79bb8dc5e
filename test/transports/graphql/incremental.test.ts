import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { type CallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { incremental, jsonCodec, mutation, query, socketRequests, subscription } from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { recordedAnswers } from '../../support/incremental-answers.ts'
import { multipart, startIncrementalYoga, startScripted } from '../../support/servers/incremental-servers.ts'

interface Data {
  readonly order: {
    readonly id?: string
    readonly total?: number
    readonly slow?: string
    readonly items?: readonly { readonly name: string }[]
    readonly owner?: { readonly name: string; readonly city?: string }
  }
}
const output = type<Data>()
const ask = (selection: string) => `query Page { order { ${selection} } }`
const deferred = incremental(ask('id ... @defer(label: "slow") { slow total }'), { output })

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of stream) found.push(each)
  return found
}

describe('on graphql-yoga', () => {
  let server: Awaited<ReturnType<typeof startIncrementalYoga>>
  let client: ReturnType<typeof graphqlClient>
  beforeEach(async () => {
    server = await startIncrementalYoga()
    client = graphqlClient(server.url)
  })
  afterEach(async () => {
    await client.close()
    await server[Symbol.asyncDispose]()
  })

  it('@defer gives first what is there, then all of it', async () => {
    const stream = client.call(deferred)
    const messages = stream[Symbol.asyncIterator]()
    const first = await messages.next()
    expect(first.value).toEqual({ order: { id: 'o1' } })
    server.gates.slow.open()
    expect((await messages.next()).value).toEqual({ order: { id: 'o1', slow: 'slow é🎉', total: 7 } })
    expect(await messages.next()).toMatchObject({ done: true })
    expect(first.value).toEqual({ order: { id: 'o1' } })
    expect(server.requests[0]?.accept).toContain(
      'multipart/mixed;incrementalSpec=v0.2, multipart/mixed;deferSpec=20220824',
    )
  })

  it('@stream gives a list that grows', async () => {
    const listed = incremental(ask('items @stream(initialCount: 1) { name }'), { output })
    const messages = client.call(listed)[Symbol.asyncIterator]()
    const names = async () => ((await messages.next()).value as Data).order.items?.map(({ name }) => name).join('')
    expect(await names()).toBe('a')
    server.gates.items[0]?.open()
    expect(await names()).toBe('ab')
    server.gates.items[1]?.open()
    expect(await names()).toBe('abc')
    while (!(await messages.next()).done);
  })

  it('fragments within fragments, and what several of them hold, are put together', async () => {
    const nested = incremental(
      ask('... @defer { owner { name ... @defer { city } } } ... @defer { slow owner { name } }'),
      { output },
    )
    for (const gate of [server.gates.slow, server.gates.owner]) gate.open()
    const all = await collect(client.call(nested))
    expect(all.at(-1)).toEqual({ order: { owner: { name: 'Ada', city: 'Paris' }, slow: 'slow é🎉' } })
  })

  it('by events, where the server offers nothing else', async () => {
    const events = async (url: string, init: Record<string, unknown>) =>
      fetch(url, { ...init, headers: { ...(init.headers as object), accept: 'text/event-stream' } })
    await using own = graphqlClient(server.url, { http: events })
    server.gates.slow.open()
    const all = await collect(own.call(deferred))
    expect(all).toEqual([{ order: { id: 'o1' } }, { order: { id: 'o1', slow: 'slow é🎉', total: 7 } }])
  })

  it('over the socket, where requests go there', async () => {
    await using own = graphqlClient(server.url, { features: [socketRequests()] })
    const messages = own.call(deferred)[Symbol.asyncIterator]()
    expect((await messages.next()).value).toEqual({ order: { id: 'o1' } })
    server.gates.slow.open()
    expect((await messages.next()).value).toEqual({ order: { id: 'o1', slow: 'slow é🎉', total: 7 } })
    expect(await messages.next()).toMatchObject({ done: true })
    expect(server.requests).toEqual([])
    const strict = own.call(incremental(ask('id ... @defer { bad }'), { output }))
    const seen: Data[] = []
    const error = await failureOf(
      (async () => {
        for await (const each of strict) seen.push(each)
      })(),
    )
    expect([seen[0], error.code, error.reason]).toEqual([{ order: { id: 'o1' } }, 'not_found', 'NOT_FOUND'])
    const refused = incremental('query Q { nothing }', { output })
    expect(await failureOf(collect(own.call(refused)))).toMatchObject({ code: 'invalid_argument' })
  })

  it('that defers nothing gives one message', async () => {
    server.gates.slow.open()
    const off = incremental('query Q($d: Boolean!) { order { id ... @defer(if: $d) { slow } } }', {
      variables: type<{ d: boolean }>(),
      output,
    })
    expect(await collect(client.call(off, { d: false }))).toEqual([{ order: { id: 'o1', slow: 'slow é🎉' } }])
  })

  it('leaving ends the request', async () => {
    const listed = incremental(ask('items @stream(initialCount: 1) { name }'), { output })
    for await (const { order } of client.call(listed)) {
      expect(order.items).toHaveLength(1)
      break
    }
    await server.cut
  })

  it('errors follow the policy: none ends behind what came before, all gives them with the data', async () => {
    const selection = 'id ... @defer { bad } ... @defer { owner { name } }'
    for (const gate of [server.gates.owner, server.gates.slow]) gate.open()
    const seen: Data[] = []
    const strict = client.call(incremental(ask(selection), { output }))
    const error = await failureOf(
      (async () => {
        for await (const each of strict) seen.push(each)
      })(),
    )
    expect(seen[0]).toEqual({ order: { id: 'o1' } })
    expect(error).toMatchObject({
      code: 'not_found',
      reason: 'NOT_FOUND',
      sent: 'yes',
      isRetryable: false,
      phase: 'stream',
    })
    expect(error.body).toMatchObject({ data: { order: { id: 'o1' } }, errors: [{ path: ['order', 'bad'] }] })
    const all = await collect(client.call(incremental(ask(selection), { output, errorPolicy: 'all' })))
    expect(all[0]).toEqual({ data: { order: { id: 'o1' } }, errors: [], hasNext: true })
    expect(all.at(-1)).toMatchObject({
      data: { order: { id: 'o1', owner: { name: 'Ada' } } },
      errors: [{ path: ['order', 'bad'] }],
      hasNext: false,
    })
    const lax = await collect(client.call(incremental(ask(selection), { output, errorPolicy: 'ignore' })))
    expect(lax.at(-1)).toEqual({ order: { id: 'o1', owner: { name: 'Ada' } } })
  })

  it('what is refused with the first part is tried again as a call is: a credential, throttling', async () => {
    let refreshes = 0
    const auth = bearerAuth('old', { refresh: () => `${++refreshes && 'good'}` })
    await using own = graphqlClient(server.url, { auth })
    const secret = incremental('query S { secret }', { output: type<{ secret: string }>() })
    expect(await collect(own.call(secret))).toEqual([{ secret: 'told' }])
    expect(server.tokens()).toEqual(['Bearer old', 'Bearer good'])
    server.gates.slow.open()
    const limited = incremental('query L { limited { id ... @defer { slow } } }', { output: type<unknown>() })
    expect((await collect(own.call(limited))).at(-1)).toEqual({ limited: { id: 'o1', slow: 'slow é🎉' } })
  })

  it('query() of such a document is one clear unimplemented', async () => {
    const error = await failureOf(client.call(query(ask('id ... @defer { slow }'), { output })))
    expect(error).toMatchObject({ code: 'unimplemented', isRetryable: false })
    expect(error.message).toContain('declare it by incremental()')
  })
})

describe('as graphql 17 answers', () => {
  test.each(
    recordedAnswers.flatMap((each) => [
      [each.name, '2022', each.of2022, each] as const,
      [each.name, '2023', each.of2023, each] as const,
    ]),
  )(
    '%s, in the form of %s: the same parts late and early, by parts and by events',
    async (_name, _form, parts, { document }) => {
      const operation = incremental(document, { output: type<unknown>(), errorPolicy: 'all' })
      const outcomes: unknown[] = []
      for (const write of ['early', 'late', 'events', 'bytes']) {
        await using server = await startScripted(async (response) => {
          if (write === 'events') {
            response.setHeader('content-type', 'text/event-stream')
            for (const part of parts) response.write(`event: next\ndata: ${JSON.stringify(part)}\n\n`)
            response.end('event: complete\ndata:\n\n')
            return
          }
          response.setHeader('content-type', 'multipart/mixed; boundary="-"; deferSpec=20220824')
          const texts = multipart(parts, { late: write === 'late' })
          for (const text of write === 'bytes' ? [...texts.join('')] : texts) response.write(text)
          response.end()
        })
        await using client = graphqlClient(server.url)
        outcomes.push(await collect(client.call(operation)))
      }
      for (const outcome of outcomes) expect(outcome).toEqual(outcomes[0])
      expect(outcomes[0]).toHaveLength(parts.length)
    },
  )
})

describe('a part that is late with its delimiter', () => {
  it('is given when it is whole', async () => {
    let goOn: () => void = () => undefined
    await using server = await startScripted(async (response) => {
      response.setHeader('content-type', 'multipart/mixed; boundary=-')
      response.write('\r\n---\r\ncontent-type: application/json\r\n\r\n{"data":{"a":1},"hasNext":true}')
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
      response.end('\r\n---\r\n\r\n{"incremental":[{"path":[],"data":{"b":2}}],"hasNext":false}\r\n-----\r\n')
    })
    await using client = graphqlClient(server.url)
    const messages = client
      .call(incremental('{ a ... @defer { b } }', { output: type<unknown>() }))
      [Symbol.asyncIterator]()
    expect((await messages.next()).value).toEqual({ a: 1 })
    goOn()
    expect((await messages.next()).value).toEqual({ a: 1, b: 2 })
  })
})

describe('an answer that is wrong', () => {
  const operation = incremental('query Page { a ... @defer { b } }', { output: type<unknown>() })
  const first = { data: { a: 1 }, hasNext: true }
  /** What comes of a body, with the error that ends it. */
  async function outcome(
    body: string | readonly unknown[],
    contentType = 'multipart/mixed; boundary="-"',
    status = 200,
  ) {
    await using server = await startScripted((response) => {
      response.writeHead(status, { 'content-type': contentType })
      response.end(typeof body === 'string' ? body : multipart(body).join(''))
    })
    await using client = graphqlClient(server.url, { client: { retry: false } })
    const seen: unknown[] = []
    const error = await (async () => {
      for await (const each of client.call(operation)) seen.push(each)
    })().then(
      () => undefined,
      (reason: CallError) => reason,
    )
    return { seen, error, requests: server.requests() }
  }

  test.each<[what: string, body: string | readonly unknown[], code: string, words: string]>([
    [
      'ends before its last part',
      '---\r\n\r\n{"data":{"a":1},"hasNext":true}\r\n---\r\n',
      'unavailable',
      'before its last part',
    ],
    [
      'ends within a part',
      '---\r\n\r\n{"data":{"a":1},"hasNext":true}\r\n---\r\n\r\n{"incr',
      'unavailable',
      'before its last part',
    ],
    ['closes although more was promised', [first], 'unavailable', 'before its last part'],
    ['holds a part that is no JSON', [first, '{"incremental":'], 'data_loss', 'no JSON'],
    [
      'holds a path that leads nowhere',
      [first, { incremental: [{ path: ['x'], data: { b: 1 } }], hasNext: false }],
      'data_loss',
      'a path leads nowhere',
    ],
    [
      'holds an id that was not announced',
      [first, { incremental: [{ id: '1', data: { b: 1 } }], hasNext: false }],
      'data_loss',
      'an id was not announced',
    ],
  ])('and %s fails behind the parts that came before', async (_what, body, code, words) => {
    const { seen, error, requests } = await outcome(body)
    expect(seen).toEqual([{ a: 1 }])
    expect(error).toMatchObject({ code, sent: 'yes', phase: 'stream' })
    expect(error?.message).toContain(words)
    expect(requests).toBe(1)
  })

  test.each<[what: string, body: string | readonly unknown[], contentType: string, status: number, expected: object]>([
    ['nothing', '', 'multipart/mixed; boundary="-"', 200, { code: 'unavailable' }],
    ['no part', '\r\n-----\r\n', 'multipart/mixed; boundary="-"', 200, { code: 'unavailable' }],
    ['no boundary', '---\r\n\r\n{}', 'multipart/mixed', 200, { code: 'unimplemented' }],
    [
      'a first part that is no GraphQL',
      [{ hasNext: true }],
      'multipart/mixed; boundary="-"',
      200,
      { code: 'data_loss' },
    ],
    [
      'a refused document',
      [{ errors: [{ message: 'Unknown directive' }] }],
      'multipart/mixed; boundary="-"',
      400,
      { code: 'invalid_argument', status: 400 },
    ],
    [
      'the same as JSON',
      '{"errors":[{"message":"Unknown directive"}]}',
      'application/json',
      400,
      { code: 'invalid_argument', serverMessage: 'Unknown directive' },
    ],
    ['a gateway’s page', '<html>', 'text/html', 502, { code: 'unavailable', status: 502 }],
    ['a page', '<html>', 'text/html', 200, { code: 'internal' }],
    ['406', 'no', 'text/plain', 406, { code: 'unimplemented' }],
    ['401', '', 'text/plain', 401, { code: 'unauthenticated', status: 401 }],
    ['events that are no JSON', 'event: next\ndata: {\n\n', 'text/event-stream', 200, { code: 'data_loss' }],
    ['no events', '\n', 'text/event-stream', 200, { code: 'unavailable' }],
  ])('%s keeps it from opening', async (_what, body, contentType, status, expected) => {
    const { seen, error } = await outcome(body, contentType, status)
    expect(seen).toEqual([])
    expect(error).toMatchObject({ ...expected, sent: 'yes' })
  })

  it('heartbeats and other events are passed over', async () => {
    const body = `:hi\n\nevent: ping\ndata: 1\n\nevent: next\ndata: ${JSON.stringify({ data: { a: 1 } })}\n\nevent: complete\n\n`
    expect(await outcome(body, 'text/event-stream')).toMatchObject({ seen: [{ a: 1 }], error: undefined })
    expect(await outcome([{}, first, {}, { hasNext: false }])).toMatchObject({
      seen: [{ a: 1 }, { a: 1 }],
      error: undefined,
    })
  })

  it('of any parts settles: messages, then an end or one CallError', async () => {
    const path = fc.array(fc.oneof(fc.constantFrom('a', 'b', '__proto__'), fc.integer({ min: -1, max: 2 })), {
      maxLength: 3,
    })
    const data = fc.constantFrom<unknown>(null, 1, [], {}, { a: {} }, { b: [1] }, { a: { b: [{}] } })
    const patch = fc.record(
      {
        path,
        subPath: path,
        id: fc.constantFrom('0', '1'),
        data,
        items: fc.constantFrom(null, [], [1], 5),
        errors: fc.constantFrom(null, [{}]),
      },
      { requiredKeys: [] },
    )
    const part = fc.record(
      {
        data,
        hasNext: fc.boolean(),
        pending: fc.array(fc.record({ id: fc.constantFrom('0', '1'), path })),
        incremental: fc.array(patch, { maxLength: 2 }),
        completed: fc.array(fc.record({ id: fc.constantFrom('0', '1') })),
        path,
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 4 }), async (parts) => {
        const { error } = await outcome(parts)
        if (error) expect(error).toMatchObject({ name: 'CallError', sent: 'yes' })
      }),
      { numRuns: 60 },
    )
    expect(({} as any).b).toBeUndefined()
  })

  it('that is larger than maxBodyBytes is refused, however many parts it has', async () => {
    const parts = [
      first,
      ...Array.from({ length: 50 }, (_, n) => ({
        incremental: [{ path: [], data: { [`k${n}`]: 'x'.repeat(50) } }],
        hasNext: true,
      })),
    ]
    await using server = await startScripted((response) => {
      response.writeHead(200, { 'content-type': 'multipart/mixed; boundary="-"' })
      response.end(multipart(parts).join(''))
    })
    await using client = graphqlClient(server.url, { maxBodyBytes: 1000 })
    const error = await failureOf(collect(client.call(operation)))
    expect(error).toMatchObject({ code: 'resource_exhausted', sent: 'yes', isRetryable: false })
  })

  it('whose last part has come is over, though the connection stays open and no last boundary comes', async () => {
    await using server = await startScripted((response) => {
      response.writeHead(200, { 'content-type': 'multipart/mixed; boundary="-"' })
      const body = multipart([first, { incremental: [{ path: [], data: { b: 2 } }], hasNext: false }]).join('')
      response.write(body.slice(0, body.lastIndexOf('}') + 1))
    })
    await using client = graphqlClient(server.url)
    expect((await collect(client.call(operation))).at(-1)).toEqual({ a: 1, b: 2 })
  })

  it('that falls silent between two parts ends where a limit is declared', async () => {
    await using server = await startScripted((response) => {
      response.writeHead(200, { 'content-type': 'multipart/mixed; boundary="-"' })
      response.write(multipart([first, first])[0])
      response.write(multipart([first, first])[1])
    })
    await using client = graphqlClient(server.url)
    const watched = incremental('query Page { a ... @defer { b } }', { output: type<unknown>(), idleTimeoutMs: 30 })
    const error = await failureOf(collect(client.call(watched)))
    expect(error).toMatchObject({ code: 'unavailable', phase: 'stream', sent: 'yes' })
    expect(error.message).toContain('idleTimeoutMs')
    expect(() => incremental('{ a }', { output, idleTimeoutMs: 0 })).toThrow('idleTimeoutMs takes a number above 0')
  })

  it('that never comes ends at the deadline; an abort ends it with its reason', async () => {
    await using server = await startScripted(() => undefined)
    await using client = graphqlClient(server.url)
    expect(await failureOf(collect(client.call(operation, {}, { timeoutMs: 50 })))).toMatchObject({
      code: 'deadline_exceeded',
    })
    const controller = new AbortController()
    const call = collect(client.call(operation, {}, { signal: controller.signal }))
    controller.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
  })
})

describe('over a socket that a server of its own mind holds', () => {
  /** Answers each `subscribe` with these payloads, then `complete`; or as it is told, of the `connection_init` and how often it was asked. */
  async function over(answer: readonly string[] | ((init: string, nth: number) => readonly string[] | undefined)) {
    let asked = 0
    const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'graphql-transport-ws' })
    await once(sockets, 'listening')
    sockets.on('connection', (socket) => {
      let init = ''
      socket.on('message', (data) => {
        const { type: kind, id, payload: params } = JSON.parse(String(data))
        if (kind === 'connection_init') {
          init = JSON.stringify(params)
          socket.send('{"type":"connection_ack"}')
        }
        if (kind !== 'subscribe') return
        const payloads = typeof answer === 'function' ? answer(init, ++asked) : answer
        if (!payloads) {
          socket.terminate()
          return
        }
        for (const payload of payloads) socket.send(`{"type":"next","id":"${id}","payload":${payload}}`)
        socket.send(`{"type":"complete","id":"${id}"}`)
      })
    })
    const { port } = sockets.address() as AddressInfo
    return {
      url: `http://127.0.0.1:${port}/graphql`,
      [Symbol.asyncDispose]: async () => {
        for (const socket of sockets.clients) socket.terminate()
        await new Promise((resolve) => sockets.close(resolve))
      },
    }
  }
  const page = incremental('query Page { a ... @defer { b } }', { output: type<unknown>() })

  it('an end before the last part fails behind what came', async () => {
    await using server = await over(['{"data":{"a":1},"hasNext":true}'])
    await using client = graphqlClient(server.url, { features: [socketRequests()] })
    const seen: unknown[] = []
    const read = async () => {
      for await (const each of client.call(page)) seen.push(each)
    }
    const error = await failureOf(read())
    expect(seen).toEqual([{ a: 1 }])
    expect(error).toMatchObject({ code: 'unavailable', phase: 'stream', sent: 'yes' })
  })

  it('what is refused with the first part is tried again as a call is: a credential, throttling, a drop', async () => {
    const whole = '{"data":{"a":1},"hasNext":false}'
    const refused = (code: string) => [`{"errors":[{"message":"no","extensions":{"code":"${code}"}}]}`]
    const tried = async (answer: Parameters<typeof over>[0]) => {
      await using server = await over(answer)
      const auth = bearerAuth('old', { refresh: () => 'good' })
      await using client = graphqlClient(server.url, { auth, features: [socketRequests()] })
      return await collect(client.call(page))
    }
    expect(await tried((init) => (init.includes('good') ? [whole] : refused('UNAUTHENTICATED')))).toEqual([{ a: 1 }])
    expect(await tried((_init, nth) => (nth > 1 ? [whole] : refused('THROTTLED')))).toEqual([{ a: 1 }])
    expect(await tried((_init, nth) => (nth > 1 ? [whole] : undefined))).toEqual([{ a: 1 }])
  })

  it('a part that has no place fails behind what came', async () => {
    await using server = await over(['{"data":{"a":1},"hasNext":true}', '{"incremental":[{"path":["x"],"data":{}}]}'])
    await using client = graphqlClient(server.url, { features: [socketRequests()] })
    expect(await failureOf(collect(client.call(page)))).toMatchObject({ code: 'data_loss' })
  })

  it('a JSON parser of the user reads data there, too, of subscriptions as well', async () => {
    const big = 9_007_199_254_740_993n
    const codec = jsonCodec({
      parse: (text) =>
        (JSON.parse as any)(text, (_key: string, value: unknown, { source }: { source: string }) =>
          Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(source) : value,
        ),
    })
    await using server = await over([
      `{"data":{"a":${big}},"hasNext":true}`,
      `{"incremental":[{"path":[],"data":{"b":${big}}}],"hasNext":false}`,
    ])
    await using client = graphqlClient(server.url, { features: [socketRequests(), codec] })
    expect(await collect(client.call(page))).toEqual([{ a: big }, { a: big, b: big }])
    await using other = await over([`{"data":{"a":${big}}}`])
    await using own = graphqlClient(other.url, { features: [codec] })
    const live = subscription('subscription S { a }', { output: type<unknown>() })
    for await (const each of own.call(live)) {
      expect(each).toEqual({ a: big })
      break
    }
  })

  it('the parser of one operation reads its data alone, over a socket of its own', async () => {
    const big = 9_007_199_254_740_993n
    const codec = jsonCodec({
      parse: (text) =>
        (JSON.parse as any)(text, (_key: string, value: unknown, { source }: { source: string }) =>
          Number.isInteger(value) && !Number.isSafeInteger(value) ? BigInt(source) : value,
        ),
    })
    await using server = await over([`{"data":{"a":${big}},"hasNext":false}`])
    await using client = graphqlClient(server.url)
    const output = type<unknown>()
    const [plain, own, part] = [
      subscription('subscription S { a }', { output }),
      subscription('subscription S { a }', { output, features: [codec] }),
      incremental('query Page { a ... @defer { b } }', { output, features: [codec, socketRequests()] }),
    ]
    expect(await collect(client.call(plain))).toEqual([{ a: Number(big) }])
    expect(await collect(client.call(own))).toEqual([{ a: big }])
    expect(await collect(client.call(part))).toEqual([{ a: big }])
    const asked = query('query Q { a }', { output, features: [codec, socketRequests()] })
    expect(await client.call(asked)).toEqual({ a: big })
    expect(await collect(client.call(plain))).toEqual([{ a: Number(big) }])
  })
})

describe('where it is declared', () => {
  it('only a query is asked for in parts, and has no pages', () => {
    expect(() => incremental('mutation { a }', { output })).toThrow('mutation')
    expect(() => incremental('{ a }', { output, resume: {} } as never)).toThrow("'resume' is for subscription()")
    expect(() => incremental('{ a }', { output, paginate: { of: () => undefined } } as never)).toThrow(
      "'paginate' is for query()",
    )
    expect(() => mutation('query { a }', { output })).toThrow('query')
  })
})
