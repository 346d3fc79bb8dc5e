import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { parse } from 'graphql'
import { isCallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { mutation, query, subscription } from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest'
import { type ServerOptions, type WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { startYoga } from '../../support/servers/graphql-servers.ts'
import { GraphQLWsServer } from '../../support/servers/graphql-ws-server.ts'

const count = 'subscription Count($to: Int!) { count(to: $to) }'
const counted = subscription(count, { variables: type<{ to: number }>(), output: type<{ count: number }>() })
const live = subscription('subscription Live { live { n } }', { output: type<{ live: { n: number } }>() })
const guarded = subscription('subscription Guarded { guarded }', { output: type<{ guarded: number }>() })

let server: GraphQLWsServer
beforeEach(async () => {
  server = await GraphQLWsServer.start()
})
afterEach(() => server[Symbol.asyncDispose]())

type Options = NonNullable<Parameters<typeof graphqlClient>[1]>
const connect = ({ socket, ...options }: Options = {}, url = server.url) =>
  graphqlClient(url, {
    url: 'http://127.0.0.1:1/graphql',
    subscriptionUrl: url,
    socket: { reconnect: { baseDelayMs: 1 }, ...socket },
    ...options,
  })

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const message of stream) all.push(message)
  return all
}

/** A WebSocket server that does as the test says. */
async function scripted(
  onFrame: (type: string, send: (frame: unknown) => void, nth: number, socket: WebSocket) => void,
  options: ServerOptions = {},
) {
  const sockets = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options })
  let nth = 0
  const closeCodes: number[] = []
  sockets.on('connection', (socket) => {
    const connection = ++nth
    const send = (frame: unknown) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame))
    socket.on('message', (data) => onFrame(JSON.parse(String(data)).type, send, connection, socket))
    socket.on('close', (code) => closeCodes.push(code))
  })
  await new Promise((resolve) => sockets.once('listening', resolve))
  return {
    url: `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}`,
    connections: () => nth,
    /** What clients closed with. */
    closeCodes,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets.clients) socket.terminate()
      return new Promise<void>((resolve) => sockets.close(() => resolve()))
    },
  }
}

describe('opening', () => {
  it('fails where connection_ack does not come in time', async () => {
    await using mute = await scripted(() => {})
    await using client = connect({ socket: { connectTimeoutMs: 20 }, client: { retry: false } }, mute.url)
    const error = await failureOf(client.call(live).opened)
    expect(error).toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', isRetryable: true })
  })

  it('is bounded by timeoutMs, and leaves nothing behind', async () => {
    await using mute = await scripted(() => {})
    await using client = connect({ socket: { idleMs: 0 } }, mute.url)
    const error = await failureOf(client.call(live, {}, { timeoutMs: 20 }).opened)
    expect(error).toMatchObject({ code: 'deadline_exceeded', sent: 'no' })
  })

  it('may be left before the acknowledgement: nothing rejects but what waits for it, and the socket goes', async () => {
    let initiated = () => {}
    const begun = new Promise<void>((resolve) => (initiated = resolve))
    let gone = () => {}
    const closed = new Promise<void>((resolve) => (gone = resolve))
    await using mute = await scripted((_type, _send, _nth, socket) => {
      socket.once('close', () => gone())
      initiated()
    })
    await using client = connect({ socket: { idleMs: 0 } }, mute.url)
    const stream = client.call(live)
    const next = stream[Symbol.asyncIterator]().next()
    await begun
    await stream.close()
    expect(await next).toMatchObject({ done: true })
    await closed
    expect(mute.connections()).toBe(1)
  })

  it('is tried again where nobody listens', async () => {
    const { url } = server
    await server[Symbol.asyncDispose]()
    await using client = connect({ client: { retry: { maxAttempts: 2, baseDelayMs: 1 } } }, url)
    const error = await failureOf(client.call(live).opened)
    expect(error).toMatchObject({ code: 'unavailable', sent: 'no', notRetried: 'attempts_exhausted' })
    expect(error.failures).toHaveLength(1)
    server = await GraphQLWsServer.start()
  })

  it('refreshes a credential that the upgrade is refused for', async () => {
    let upgrades = 0
    const http = createServer()
    http.on('upgrade', (request, socket) => {
      upgrades++
      socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n')
      void request
    })
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`
    await using client = connect({ auth: bearerAuth('old', { refresh: () => 'new' }) }, url)
    expect(await failureOf(client.call(live).opened)).toMatchObject({ code: 'unauthenticated', status: 401 })
    expect(upgrades).toBe(2)
    await new Promise((resolve) => http.close(resolve))
  })

  it('understands Hasura, which refuses the init outside of the protocol', async () => {
    await using hasura = await scripted((kind, send, nth) => {
      if (kind === 'connection_init')
        send(nth === 1 ? { type: 'connection_error', payload: { message: 'expired' } } : { type: 'connection_ack' })
      if (kind === 'subscribe') send({ type: 'complete', id: '1' })
    })
    await using client = connect({ auth: bearerAuth('old', { refresh: () => 'new' }) }, hasura.url)
    await client.call(live).opened
    expect(hasura.connections()).toBe(2)
  })
})

describe('a connection_init that is refused by a close', () => {
  test.each([1000, 1002, 1008])('%s is a refused credential: another one is asked for, once', async (code) => {
    await using refusing = await scripted((kind, send, nth, socket) => {
      if (kind === 'connection_init') nth === 1 ? socket.close(code, 'no') : send({ type: 'connection_ack' })
      if (kind === 'subscribe') send({ type: 'complete', id: '1' })
    })
    await using client = connect({ auth: bearerAuth('old', { refresh: () => 'new' }) }, refusing.url)
    await client.call(live).opened
    expect(refusing.connections()).toBe(2)
  })

  it('again, or without a credential, is unauthenticated', async () => {
    await using refusing = await scripted((_kind, _send, _nth, socket) => socket.close(1000))
    await using client = connect({ auth: bearerAuth('old', { refresh: () => 'new' }) }, refusing.url)
    expect(await failureOf(client.call(live).opened)).toMatchObject({ code: 'unauthenticated', status: 1000 })
    expect(refusing.connections()).toBe(2)
    await using anonymous = connect({}, refusing.url)
    expect(await failureOf(anonymous.call(live).opened)).toMatchObject({ code: 'unauthenticated', sent: 'no' })
    expect(refusing.connections()).toBe(3)
  })

  it('is not meant by the same code on a live socket', async () => {
    let refreshes = 0
    await using restarting = await scripted((kind, send, nth, socket) => {
      if (kind === 'connection_init') send({ type: 'connection_ack' })
      if (kind === 'subscribe' && nth === 1) socket.close(1000)
    })
    const auth = bearerAuth('old', { refresh: () => `${++refreshes}` })
    await using client = connect({ auth }, restarting.url)
    await client.call(live).opened
    await expect.poll(() => restarting.connections()).toBe(2)
    expect(refreshes).toBe(0)
  })
})

describe('connectionParams', () => {
  it('may be made asynchronously, anew for each connection', async () => {
    let nth = 0
    const connectionParams = async () => {
      await new Promise(setImmediate)
      return { ticket: `t${++nth}` }
    }
    await using client = connect({ connectionParams })
    await collect(client.call(counted, { to: 1 }))
    expect(server.params).toEqual([{ ticket: 't1' }])
  })

  test.each([
    ['reject', () => Promise.reject(new Error('no ticket for canary'))],
    [
      'throw',
      () => {
        throw new Error('no ticket for canary')
      },
    ],
    ['throw later', async () => JSON.parse('canary')],
  ])('that %s are one clear error, and nothing is sent', async (_, connectionParams) => {
    await using client = connect({ connectionParams })
    const error = await failureOf(client.call(counted, { to: 1 }).opened)
    expect(error).toMatchObject({ code: 'internal', sent: 'no', cause: expect.any(Error), failures: [] })
    expect(error.message).toContain('connectionParams() failed')
    expect(error.message).not.toContain('canary')
    expect(server.params).toEqual([])
  })

  it('that JSON cannot write are refused', async () => {
    await using client = connect({ connectionParams: { big: 1n } })
    expect(await failureOf(client.call(counted, { to: 1 }).opened)).toMatchObject({ code: 'invalid_argument' })
  })

  it('that never come are bounded by connectTimeoutMs', async () => {
    await using client = connect({
      connectionParams: () => new Promise(() => {}),
      socket: { connectTimeoutMs: 20 },
      client: { retry: false },
    })
    expect(await failureOf(client.call(live).opened)).toMatchObject({ code: 'unavailable', sent: 'no' })
  })
})

describe('what the client closes a socket with', () => {
  test.each([
    ['no JSON', 'garbage', 4400],
    ['a list', '[]', 4400],
    ['a message without type', {}, 4400],
    ['a result without id', { type: 'next', payload: { data: { n: 1 } } }, 4004],
  ])('%s', async (_, frame, closeCode) => {
    await using odd = await scripted((kind, send) => {
      if (kind === 'connection_init') send({ type: 'connection_ack' })
      if (kind === 'subscribe') send(frame)
    })
    await using client = connect({}, odd.url)
    const stream = client.call(live)
    await stream.opened
    expect(await failureOf(collect(stream))).toMatchObject({ code: 'internal', isRetryable: false })
    await expect.poll(() => odd.closeCodes).toEqual([closeCode])
  })

  it('no connection_ack in time', async () => {
    await using mute = await scripted(() => {})
    await using client = connect({ socket: { connectTimeoutMs: 20 }, client: { retry: false } }, mute.url)
    await failureOf(client.call(live).opened)
    await expect.poll(() => mute.closeCodes).toEqual([4504])
  })
})

describe('a server that hangs up on a client which says nothing, however much it says itself (async-graphql: keepalive_timeout)', () => {
  test.each([
    ['often enough for half a minute', {}, 1],
    ['as often as a silent socket is asked, where that is said', { heartbeat: { idleMs: 5000 } }, 6],
    ['unless there is to be none', { heartbeat: false as const }, 0],
  ])('hears the ping of the protocol, %s', async (_, socket, times) => {
    const clock = manualClock()
    await using client = connect({ socket, client: { clock, timeoutMs: Number.POSITIVE_INFINITY } })
    const stream = client.call(live)
    const messages = stream[Symbol.asyncIterator]()
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    for (let n = 1; n <= 6; n++) {
      server.ledger.live.push({ n })
      expect((await messages.next()).value).toEqual({ live: { n } })
      await clock.advance(5000)
    }
    // Frames keep their order: what was to come before this one has come.
    const last = client.call(live)
    await last.opened
    await server.until(() => server.framesOf('subscribe').length === 2)
    expect(server.framesOf('ping')).toHaveLength(times)
    expect(server.connections).toBe(1)
    await last.close()
    await stream.close()
    await client.close()
    expect(clock.timers).toBe(0)
  })
})

describe('a server of another sub-protocol', () => {
  test.each([
    ['none', () => false as const],
    ['an older one', () => 'graphql-ws'],
  ])('%s: one clear error', async (_, handleProtocols) => {
    let upgrades = 0
    await using other = await scripted(() => {}, {
      handleProtocols: () => {
        upgrades++
        return handleProtocols()
      },
    })
    await using client = connect({}, other.url)
    const error = await failureOf(client.call(live).opened)
    expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no', isRetryable: false, failures: [] })
    expect(error.message).toContain('sub-protocol')
    expect(upgrades).toBe(1)
  })
})

it('a subscription refused with UNAUTHENTICATED gets a socket with another credential', async () => {
  let refreshes = 0
  await using client = connect({ auth: bearerAuth('old', { refresh: () => `${++refreshes && 'good'}` }) })
  expect(await collect(client.call(guarded))).toEqual([{ guarded: 1 }, { guarded: 2 }])
  expect(refreshes).toBe(1)
  expect(server.params.map((params) => params?.authorization)).toEqual(['Bearer old', 'Bearer good'])
})

it('a subscription that stays refused is no loop, nor one that has no credential', async () => {
  let refreshes = 0
  await using client = connect({ auth: bearerAuth('old', { refresh: () => `bad${++refreshes}` }) })
  expect(await failureOf(collect(client.call(guarded)))).toMatchObject({ code: 'unauthenticated', isRetryable: false })
  expect(refreshes).toBe(1)
  const { length } = server.framesOf('subscribe')
  await using anonymous = connect()
  expect(await failureOf(collect(anonymous.call(guarded)))).toMatchObject({
    code: 'unauthenticated',
    isRetryable: false,
  })
  const stream = anonymous.call(live)
  await stream.opened
  await server.until(() => server.ledger.live.subscribers === 1)
  const errors = [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }]
  server.say({ type: 'error', id: server.framesOf('subscribe').at(-1)?.id, payload: errors })
  expect(await failureOf(collect(stream))).toMatchObject({ code: 'unauthenticated', isRetryable: false })
  expect(server.framesOf('subscribe')).toHaveLength(length + 2)
})

it('close() of the client leaves no socket', async () => {
  const client = connect()
  const stream = client.call(live)
  await stream.opened
  const reading = collect(stream)
  await client.close()
  expect(await failureOf(reading)).toMatchObject({ code: 'canceled' })
  await server.until(() => server.open === 0)
})

it('takes documents as DocumentNodes and boxed strings', async () => {
  await using client = connect()
  const node = subscription(parse(count) as never)
  expect(await collect(client.call(node, { to: 1 } as never))).toEqual([{ count: 1 }])
  const boxed = subscription(new String(count) as never)
  expect(await collect(client.call(boxed, { to: 1 } as never))).toEqual([{ count: 1 }])
})

it('a queue that is full follows its policy', async () => {
  await using client = connect({ socket: { webSocket: globalThis.WebSocket as never } })
  const bounded = subscription(count, {
    variables: type<{ to: number }>(),
    output: type<{ count: number }>(),
    maxQueued: 3,
    overflow: 'drop-oldest',
  })
  const stream = client.call(bounded, { to: 100 })
  const iterator = stream[Symbol.asyncIterator]()
  await stream.opened
  await server.until(() => server.ledger.left.length === 1)
  await collect(client.call(counted, { to: 1 }))
  const rest: number[] = []
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) rest.push(next.value.count)
  expect(rest).toEqual([98, 99, 100])
})

describe('schemas', () => {
  it('validate what comes and what goes, on HTTP and on the socket', async () => {
    await using yoga = await startYoga()
    await using client = connect({ url: yoga.url })
    const strict = { variables: z.object({ to: z.number() }), output: z.object({ count: z.number().max(2) }) }
    const seen: unknown[] = []
    const stream = client.call(subscription(count, strict), { to: 3 })
    const error = await failureOf(
      (async () => {
        for await (const message of stream) seen.push(message)
      })(),
    )
    expect(seen).toEqual([{ count: 1 }, { count: 2 }])
    expect(error).toMatchObject({ code: 'internal', sent: 'yes', violations: [{ field: 'count' }] })
    expect(await failureOf(client.call(subscription(count, strict), { to: 'x' } as never).opened)).toMatchObject({
      code: 'invalid_argument',
      sent: 'no',
    })
    const hello = query('query H($name: String!) { hello(name: $name) }', {
      variables: z.object({ name: z.string().transform((name) => name.toUpperCase()) }),
      output: z.object({ hello: z.string().transform((text) => text.length) }),
    })
    expect(await client.call(hello, { name: 'ada' })).toEqual({ hello: 9 })
    expect(await failureOf(client.call(hello, { name: 1 } as never))).toMatchObject({
      code: 'invalid_argument',
      sent: 'no',
    })
  })

  it('leave incomplete data alone, since it lacks what they ask for', async () => {
    await using yoga = await startYoga()
    await using client = connect({ url: yoga.url })
    const output = z.object({ fail: z.string(), viewer: z.object({ id: z.string() }) })
    const document = '{ fail viewer { id } }'
    const all = await client.call(query(document, { output, errorPolicy: 'all' }))
    expect(all).toMatchObject({ data: { fail: null, viewer: { id: '1' } }, errors: [{}] })
    const lax = await client.call(query(document, { output, errorPolicy: 'ignore' }))
    expect(lax).toEqual({ fail: null, viewer: { id: '1' } })
    const whole = query('{ viewer { id } }', {
      output: z.object({ viewer: z.object({ id: z.number() }) }),
      errorPolicy: 'all',
    })
    expect(await failureOf(client.call(whole))).toMatchObject({
      code: 'internal',
      violations: [{ field: 'viewer.id' }],
    })
  })
})

describe('builders', () => {
  test.each([
    [
      () => query('mutation Add { a }', { output: type() }),
      "query() was given a mutation 'Add': make it with mutation()",
    ],
    [() => mutation('{ a }', { output: type() }), 'mutation() was given a query: make it with query()'],
    [() => query(parse('subscription S { a }') as never), "query() was given a subscription 'S'"],
    [() => subscription('query Q { a }', { output: type() }), "subscription() was given a query 'Q'"],
    [() => query('query A { a } query B { b }', { output: type() }), 'operationName is one of'],
    [() => query(undefined as never), 'a GraphQL document is a string'],
  ])('%s refuse at once', (build, message) => {
    expect(build).toThrow(TypeError)
    expect(build).toThrow(message)
  })

  test.each(['ftp://x/graphql', '/graphql', 'http://user:secret@127.0.0.1/graphql', 'nonsense', 7])(
    'a transport refuses the url %s',
    (url) => {
      expect(() => graphqlClient(url as string)).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
      expect(() => graphqlClient(url as string)).not.toThrow('secret')
    },
  )
})

it('secrets stand in no error of a subscription, whatever the server echoes', async () => {
  for (const kind of ['error', 'next', 'close'] as const) {
    const [token, variable] = [0, 1].map(() => `canary-${Math.random().toString(36).slice(2)}`) as [string, string]
    const echoing = subscription('subscription Live { live { n } }', {
      variables: type<{ secret: string }>(),
      output: type(),
    })
    await using client = connect({ auth: bearerAuth(token) })
    const stream = client.call(echoing, { secret: variable })
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    const echo = JSON.stringify([...server.params, ...server.frames])
    expect(echo).toContain(token)
    expect(echo).toContain(variable)
    const errors = [{ message: echo, path: [echo], extensions: { code: echo, echo } }]
    const id = server.framesOf('subscribe').at(-1)?.id
    if (kind === 'close') server.closeAll(4400, `${token} ${variable}`)
    else server.say({ type: kind, id, payload: kind === 'error' ? errors : { errors, data: null } })
    const error = await collect(stream).catch((reason: unknown) => reason)
    if (!isCallError(error)) throw error
    for (const shown of [
      error.message,
      String(error),
      error.stack,
      JSON.stringify(error),
      inspect(error, { depth: 9 }),
    ]) {
      for (const canary of [token, variable]) expect(shown, kind).not.toContain(canary)
    }
    await client.close()
    await server.until(() => server.open === 0)
  }
})
