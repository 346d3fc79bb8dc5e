import { isCallError, type } from 'polywire'
import { channel, plainJson, request, type WireAdapter, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { add, chat, closeAll, feed, passUntil, place, settle, setUp, setUpTimed, take } from '../../support/realtime.ts'

afterEach(closeAll)

describe('a channel', () => {
  it('sends and receives', async () => {
    const { client, server } = await setUp()
    const room = client.call(chat, { room: 'lobby' })
    await room.opened
    expect(room.state).toBe('open')
    await room.send({ text: 'hi' })
    expect(await take(room, 1)).toEqual([{ text: 'hi' }])
    expect(server.frames.map(({ type, channel }) => [type, channel])).toEqual([
      ['subscribe', 'chat:lobby'],
      ['message', 'chat:lobby'],
    ])
  })

  it('opens with its first send, next or subscribe, and not before', async () => {
    const { client, server } = await setUp()
    client.call(feed, { name: 'a' })
    await settle()
    expect(server.upgrades).toHaveLength(0)
    await client.call(chat, { room: 'a' }).send({ text: 'hi' })
    expect(server.upgrades).toHaveLength(1)
  })

  it('shares one socket with all others', async () => {
    const { client, server } = await setUp()
    const feeds = Array.from({ length: 50 }, (_, n) => client.call(feed, { name: `${n}` }))
    await Promise.all(feeds.map((each) => each.opened))
    expect(server.upgrades).toHaveLength(1)
    for (let n = 0; n < 50; n++) server.publish(`feed:${n}`, n)
    expect((await Promise.all(feeds.map((each) => take(each, 1)))).flat()).toEqual(feeds.map((_, n) => n))
  })

  it('shares one subscription among its readers, each from its own start on', async () => {
    const { client, server } = await setUp()
    const first = client.call(feed, { name: 'a' })
    await first.opened
    server.publish('feed:a', 1)
    expect(await take(first, 1)).toEqual([1])
    const second = client.call(feed, { name: 'a' })
    await second.opened
    server.publish('feed:a', 2)
    expect(await take(first, 1)).toEqual([2])
    expect(await take(second, 1)).toEqual([2])
    expect(server.framesOf('subscribe')).toHaveLength(1)
    await first.close()
    server.publish('feed:a', 3)
    expect(await take(second, 1)).toEqual([3])
    expect(server.framesOf('unsubscribe')).toHaveLength(0)
  })

  it('is left after a grace, in which a remount costs nothing', async () => {
    const { client, server, clock } = await setUpTimed()
    const first = client.call(feed, { name: 'a' })
    await first.opened
    await first.close()
    await clock.advance(99)
    const second = client.call(feed, { name: 'a' })
    await second.opened
    await second.close()
    await clock.advance(100)
    await server.until(() => server.framesOf('unsubscribe').length === 1)
    expect(server.framesOf('subscribe')).toHaveLength(1)
  })

  it('that is joined within the grace goes on for who joined', async () => {
    const { client, server, clock } = await setUpTimed()
    const first = client.call(feed, { name: 'a' })
    await first.opened
    await first.close()
    await clock.advance(99)
    const second = client.call(feed, { name: 'a' })
    await second.opened
    await clock.advance(10_000)
    server.publish('feed:a', 1)
    expect(await take(second, 1)).toEqual([1])
    expect(server.framesOf('unsubscribe')).toHaveLength(0)
  })

  it('keeps the socket that somebody took over while it idled', async () => {
    const { client, server, clock } = await setUpTimed()
    const first = client.call(feed, { name: 'a' })
    await first.opened
    await first.close()
    await clock.advance(999)
    const second = client.call(feed, { name: 'b' })
    await second.opened
    await clock.advance(10_000)
    await settle()
    server.publish('feed:b', 1)
    expect(await take(second, 1)).toEqual([1])
    expect(server.upgrades).toHaveLength(1)
    expect(server.closes).toHaveLength(0)
  })

  it('closes the socket with 1000 when nobody has needed it for a second, and leaves no timer', async () => {
    const { client, server, clock } = await setUpTimed({ client: { timeoutMs: Number.POSITIVE_INFINITY } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    await room.close()
    await clock.advance(1000)
    await server.until(() => server.closes.length === 1)
    expect(server.closes).toEqual([{ code: 1000, reason: '' }])
    expect(clock.timers).toBe(0)
    const again = client.call(feed, { name: 'a' })
    await again.opened
    expect(server.upgrades).toHaveLength(2)
  })

  it('takes `break` for a close that the server sees', async () => {
    const { client, server, clock } = await setUpTimed()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    for await (const _ of room) break
    await clock.advance(100)
    await server.until(() => server.framesOf('unsubscribe').length === 1)
  })

  it('drops late frames of a subscription that was left', async () => {
    const { client, server, clock } = await setUpTimed({ transport: { adapter: plainJson({ acks: true }) } })
    const first = client.call(feed, { name: 'a' })
    await first.opened
    await first.close()
    await clock.advance(100)
    const held: (() => void)[] = []
    server.options.intercept = (frame, each) => {
      if (frame.type !== 'subscribe') return false
      held.push(() => each.send({ type: 'subscribed', channel: frame.channel, ref: frame.ref, id: 7 }))
      return true
    }
    const second = client.call(feed, { name: 'a' })
    const opened = second.opened
    await server.until(() => held.length === 1)
    server.client.send({ type: 'data', channel: 'feed:a', id: 7, data: 7 })
    held[0]?.()
    await opened
    server.client.send({ type: 'data', channel: 'feed:a', id: 8, data: 8 })
    expect(await take(second, 1)).toEqual([8])
  })

  it('sends what a subscription needs to know, and refuses another need under the same name', async () => {
    const { client, server } = await setUp()
    const prices = channel('prices', { input: type<{ symbols: string[] }>(), receive: type<number>() })
    await client.call(prices, { symbols: ['X'] }).opened
    expect(server.framesOf('subscribe')[0]).toMatchObject({ channel: 'prices', data: { symbols: ['X'] } })
    await client.call(prices, { symbols: ['X'] }).opened
    await expect(client.call(prices, { symbols: ['Y'] }).opened).rejects.toMatchObject({ code: 'failed_precondition' })
  })

  it('without a name is the socket itself: frames without a channel', async () => {
    const { client, server } = await setUp()
    const raw = channel('', { send: type<string>(), receive: type<string>() })
    const all = client.call(raw)
    await all.opened
    server.client.send({ type: 'data', data: 'to everybody' })
    expect(await take(all, 1)).toEqual(['to everybody'])
    await all.send('hi')
    await server.until(() => server.frames.length === 1)
    expect(server.frames[0]).toEqual({ type: 'message', data: 'hi' })
  })

  it('carries bytes', async () => {
    const { client, server } = await setUp()
    const blobs = channel('blobs', { send: type<Uint8Array>(), receive: type<Uint8Array>() })
    const both = client.call(blobs)
    await both.opened
    await both.send(new Uint8Array([1, 2, 3]))
    expect(await take(both, 1)).toEqual([new Uint8Array([1, 2, 3])])
    expect(server.framesOf('message')[0]?.data).toEqual(new Uint8Array([1, 2, 3]))
  })

  it('ends when the server ends it', async () => {
    const { client, server } = await setUp()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    server.client.send({ type: 'end', channel: 'feed:a' })
    expect(await take(room, 5)).toEqual([1])
    await settle()
    expect(server.framesOf('subscribe')).toHaveLength(1)
    expect(server.framesOf('unsubscribe')).toHaveLength(0)
  })

  it('fails alone when the server refuses or ends it with an error', async () => {
    const { client, server } = await setUp({
      server: {
        intercept: ({ type, channel, ref }, each) => {
          if (type !== 'subscribe' || channel !== 'feed:secret') return false
          each.send({ type: 'error', ref, channel, error: { code: 'permission_denied', message: 'not yours' } })
          return true
        },
      },
    })
    const fine = client.call(feed, { name: 'a' })
    await fine.opened
    const secret = client.call(feed, { name: 'secret' })
    await expect(secret.opened).rejects.toMatchObject({ code: 'permission_denied', serverMessage: 'not yours' })
    server.publish('feed:a', 1)
    server.client.send({ type: 'error', channel: 'feed:a', error: { code: 'internal' } })
    expect(await take(fine, 1)).toEqual([1])
    await expect(fine[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'internal', phase: 'stream' })
  })

  it('refuses values that make no name', async () => {
    const { client, server } = await setUp()
    for (const room of ['', 'a\nb', undefined, Number.NaN])
      await expect(client.call(chat, { room: room as string }).opened).rejects.toMatchObject({
        code: 'invalid_argument',
      })
    expect(server.upgrades).toHaveLength(0)
    expect(() => channel('chat:{room')).toThrow(TypeError)
  })

  it('tells of errors that concern no call by telemetry, and goes on', async () => {
    const { client, server, events } = await setUp()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.client.send({ type: 'error', error: { code: 'SLOW_DOWN', message: 'hunter2' } })
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    const warnings = events.filter(({ type }) => type === 'warning')
    expect(warnings).toHaveLength(1)
    expect(JSON.stringify(warnings)).toContain('SLOW_DOWN')
    expect(JSON.stringify(warnings)).not.toContain('hunter2')
  })

  it('answers pings of the server with their payload', async () => {
    const { client, server } = await setUp()
    await client.call(feed, { name: 'a' }).opened
    server.client.send({ type: 'ping', data: 7 })
    await server.until(() => server.framesOf('pong').length === 1)
    expect(server.framesOf('pong')[0]).toEqual({ type: 'pong', data: 7 })
  })
})

describe('a server that speaks the base protocol only', () => {
  const base = { answersSubscribe: false, acks: false, ids: 'none' } as const

  it('is enough: the first message opens the channel', async () => {
    const { client, server } = await setUpTimed({ server: base })
    const room = client.call(chat, { room: 'a' })
    await room.send({ text: 'hi' })
    expect(await take(room, 1)).toEqual([{ text: 'hi' }])
    expect(room.continuity).toBe('unknown')
    expect(server.framesOf('message')[0]).toEqual({ type: 'message', channel: 'chat:a', data: { text: 'hi' } })
  })

  it('opens for who comes back within the grace of who left before that was known', async () => {
    const { client, server, clock } = await setUpTimed({ server: base })
    const first = client.call(feed, { name: 'a' })
    const { opened } = first
    opened.catch(() => {})
    await server.until(() => server.framesOf('subscribe').length === 1)
    await first.close()
    await clock.advance(50)
    const second = client.call(feed, { name: 'a' })
    let isOpen = false
    const done = second.opened.then(() => {
      isOpen = true
    })
    await passUntil(clock, () => isOpen || clock.now() > 2000)
    expect(isOpen).toBe(true)
    await done
    expect(server.framesOf('subscribe')).toHaveLength(1)
  })

  it('is told from a busy process: a timer that comes late gives the answer another moment, once', async () => {
    const timed = manualClock()
    let stalledMs = 0
    const clock = { ...timed, now: () => timed.now() + stalledMs }
    const { client, server } = await setUp({ server: base, client: { clock } })
    const room = client.call(feed, { name: 'a' })
    const opened = room.opened
    await server.until(() => server.framesOf('subscribe').length === 1)
    await settle()
    stalledMs = 300
    await timed.advance(250)
    expect(room.state).toBe('connecting')
    stalledMs = 600
    await timed.advance(250)
    await opened
  })

  it('is waited for a moment, once', async () => {
    const { client, clock, server } = await setUpTimed({ server: base })
    const first = client.call(feed, { name: 'a' }).opened
    let isOpen = false
    void first.then(() => (isOpen = true))
    await server.until(() => server.framesOf('subscribe').length === 1)
    await clock.advance(249)
    expect(isOpen).toBe(false)
    await clock.advance(1)
    await first
    await client.call(feed, { name: 'b' }).opened
  })

  it('is not waited for with acks: false', async () => {
    const { client } = await setUpTimed({ server: base, transport: { adapter: plainJson({ acks: false }) } })
    await client.call(feed, { name: 'a' }).opened
  })
})

describe('a server that answers subscriptions', () => {
  it('is waited for from then on, however long it takes', async () => {
    const { client, server, clock } = await setUpTimed({ client: { timeoutMs: Number.POSITIVE_INFINITY } })
    await client.call(feed, { name: 'a' }).opened
    await clock.advance(1000)
    const held: (() => void)[] = []
    server.options.intercept = ({ type, ref, channel }, each) => {
      if (type !== 'subscribe') return false
      held.push(() => each.send({ type: 'error', ref, channel, error: { code: 'permission_denied' } }))
      return true
    }
    const opened = client.call(feed, { name: 'b' }).opened
    opened.catch(() => {})
    await server.until(() => held.length === 1)
    await clock.advance(5000)
    held[0]?.()
    await expect(opened).rejects.toMatchObject({ code: 'permission_denied' })
  })
})

describe('a request', () => {
  const reply = ({ channel, data }: { channel?: string; data?: any }) =>
    channel === 'math.add' ? { type: 'data', data: data.a + data.b } : undefined

  it('is answered by ref, whatever the order', async () => {
    const held: (() => void)[] = []
    const { client, server } = await setUp({
      server: {
        intercept: ({ ref, data }, each) => {
          held.push(() => each.send({ type: 'data', ref, data: data.a + data.b }))
          return true
        },
      },
    })
    const sums = [1, 2, 3].map((n) => client.call(add, { a: n, b: n }))
    await server.until(() => held.length === 3)
    for (const answer of held.reverse()) answer()
    expect(await Promise.all(sums)).toEqual([2, 4, 6])
    expect(new Set(server.frames.map(({ ref }) => ref)).size).toBe(3)
  })

  it('passes the chain: deadline in the frame, key, headers, attempts', async () => {
    const { client, server } = await setUp({
      server: { reply },
      transport: { idempotency: 'idempotency-key' },
    })
    const result = client.call(
      add,
      { a: 1, b: 2 },
      { timeoutMs: 5000, idempotencyKey: 'k', headers: { 'x-trace': 't' } },
    )
    expect(await result).toBe(3)
    expect(server.frames[0]).toMatchObject({ key: 'k', headers: { 'x-trace': 't' } })
    expect(server.frames[0]?.timeoutMs).toBeGreaterThan(4000)
    expect(server.frames[0]?.timeoutMs).toBeLessThanOrEqual(5000)
  })

  it('fails with what the server says', async () => {
    const { client } = await setUp({
      server: {
        reply: () => ({
          type: 'error',
          error: { code: 'invalid_argument', violations: [{ field: 'a', message: 'no' }] },
        }),
      },
    })
    const error = await client.call(add, { a: 1, b: 2 }).catch((each: unknown) => each)
    expect(isCallError(error)).toBe(true)
    expect(error).toMatchObject({
      code: 'invalid_argument',
      sent: 'yes',
      protocol: 'websocket',
      operation: 'request math.add',
      violations: [{ field: 'a', message: 'no' }],
    })
  })

  it('fails with what of an error is one, whatever else stands in it', async () => {
    const broken = {
      code: { a: 1 },
      message: 5,
      violations: [null, 5, 'a', { field: 'b', message: 'no' }],
      retryAfterMs: -1,
    }
    for (const error of [broken, null, 5, [], { code: 1e300 }, { code: 'constructor' }, { code: '' }]) {
      const { client } = await setUp({ server: { reply: () => ({ type: 'error', error }) } })
      const caught = await client.call(add, { a: 1, b: 2 }).catch((each: unknown) => each)
      expect(caught).toMatchObject({ sent: 'yes', code: expect.stringMatching(/^(?:unknown|unavailable)$/) })
      expect(caught).not.toHaveProperty('retryAfterMs', expect.anything())
      if (error === broken) expect(caught).toMatchObject({ violations: [{ field: 'b', message: 'no' }] })
    }
  })

  it('carries the headers of its call, but none that the call says is undefined', async () => {
    const { client, server } = await setUp({
      server: { reply: ({ data }) => ({ type: 'data', data: data.a + data.b }) },
    })
    const headers = { 'x-own': 'mine', 'x-none': undefined }
    expect(await client.call(add, { a: 1, b: 2 }, { headers })).toBe(3)
    expect(server.framesOf('message')[0]?.headers).toEqual({ 'x-own': 'mine' })
    expect(await client.call(add, { a: 1, b: 2 }, { headers: { 'x-none': undefined } })).toBe(3)
    expect(server.framesOf('message')[1]).not.toHaveProperty('headers')
  })

  it('is called back when its caller has gone', async () => {
    const { client, server } = await setUp({ server: { intercept: ({ type }) => type === 'message' } })
    const controller = new AbortController()
    const sum = client.call(add, { a: 1, b: 2 }, { signal: controller.signal })
    await server.until(() => server.frames.length === 1)
    controller.abort('gone')
    await expect(sum).rejects.toBe('gone')
    await server.until(() => server.framesOf('cancel').length === 1)
    expect(server.framesOf('cancel')[0]?.ref).toBe(server.frames[0]?.ref)
  })

  it('keeps to its deadline', async () => {
    const { client, clock, server } = await setUpTimed({ server: { intercept: ({ type }) => type === 'message' } })
    const sum = client.call(add, { a: 1, b: 2 }, { timeoutMs: 1000 })
    sum.catch(() => {})
    await server.until(() => server.frames.length === 1)
    await clock.advance(1000)
    await expect(sum).rejects.toMatchObject({ code: 'deadline_exceeded', sent: 'maybe' })
  })

  it('is sent again after a drop only where that is safe', async () => {
    const { client, server } = await setUp({
      server: {
        intercept: ({ type }, each) => {
          if (type !== 'message' || server.frames.length > 2) return false
          each.drop()
          return true
        },
        reply,
      },
    })
    const error = await client.call(place, { sku: 'tea' }).catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'unavailable', sent: 'maybe', notRetried: 'not_idempotent' })
    expect(await client.call(add, { a: 1, b: 2 })).toBe(3)
    expect(server.framesOf('message').map(({ channel }) => channel)).toEqual(['orders.place', 'math.add', 'math.add'])
  })

  it('with a name of its own and input beside it', async () => {
    const { client, server } = await setUp({ server: { reply: () => ({ type: 'data', data: true }) } })
    const rename = request('room:{id}.rename', { input: type<{ to: string }>(), output: type<boolean>() })
    expect(await client.call(rename, { id: 7, to: 'hall' })).toBe(true)
    expect(server.frames[0]).toMatchObject({ channel: 'room:7.rename', data: { to: 'hall' } })
  })

  it('cannot be written down: nothing is sent', async () => {
    const { client, server } = await setUp()
    const loop: Record<string, unknown> = {}
    loop.self = loop
    const any = request('any', { input: type<object>() })
    await expect(client.call(any, loop)).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect(server.frames).toHaveLength(0)
  })
})

describe('an adapter that throws', () => {
  const loop: Record<string, unknown> = {}
  loop.self = loop
  const broken = (changes: Partial<WireAdapter>) => ({ transport: { adapter: { ...plainJson(), ...changes } } })
  const fault = () => {
    throw new Error('a fault of the adapter')
  }

  it('fails the channel whose input cannot be written down, and no other', async () => {
    const { client, server } = await setUp()
    const any = channel('any', { input: type<object>(), receive: type<number>() })
    const fine = client.call(feed, { name: 'a' })
    await fine.opened
    await expect(client.call(any, loop).opened).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
    server.publish('feed:a', 1)
    expect(await take(fine, 1)).toEqual([1])
    expect(server.framesOf('unsubscribe')).toHaveLength(0)
    server.publish('any', 7)
    const again = client.call(any, {})
    await again.opened
  })

  it.each([
    ['hello', broken({ hello: fault }), 'invalid_argument'],
    ['subscribe', broken({ subscribe: fault }), 'invalid_argument'],
    ['decode', broken({ decode: fault }), 'internal'],
  ])('in %s fails the call', async (_, options, code) => {
    const { client } = await setUp(options)
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({ code })
  })

  it('in classifyClose fails the streams', async () => {
    const { client, server } = await setUp(broken({ classifyClose: fault }))
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.closeAll(1001)
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'internal', phase: 'stream' })
  })
})

describe('websocketTransport', () => {
  it.each([
    ['', 'absolute'],
    ['/ws', 'absolute'],
    ['ftp://example.com', "'ws:' or 'wss:'"],
    ['wss://example.com/#x', 'fragment'],
    ['wss://user:pass@example.com', 'auth option'],
  ])('refuses the URL %s', (url, hint) => {
    expect(() => websocketTransport({ url })).toThrow(hint)
  })

  it.each([
    ['https://example.com/ws', 'wss://example.com'],
    ['http://example.com:8080/ws', 'ws://example.com:8080'],
  ])('takes %s', (url, origin) => {
    expect(websocketTransport({ url }).origin).toBe(origin)
  })

  it.each([
    [{ uri: 'ws://localhost' }, "unknown option 'uri': did you mean 'url'?"],
    [{ idelMs: 5 }, "did you mean 'idleMs'?"],
    [{ connectTimeout: 5 }, "did you mean 'connectTimeoutMs'?"],
    [{ heartbeat: { idle: 5 } }, "unknown option 'heartbeat.idle': did you mean 'idleMs'?"],
    [{ reconnect: { maxDelayMs: '5' } }, 'reconnect.maxDelayMs takes'],
    [{ authIn: 'cookie' }, "authIn takes 'header'"],
    [{ webSocket: 'ws' }, 'webSocket takes a function'],
    [{ adapter: 'json' }, 'adapter takes'],
    [{ idempotency: 'key' }, 'idempotency takes'],
    [{ maxFrameBytes: Number.NaN }, 'maxFrameBytes takes'],
  ])('refuses the options %j with the name that is meant, or what is taken', (options, words) => {
    const make = () => websocketTransport({ url: 'ws://localhost', ...options } as never)
    expect(make).toThrow(words)
    expect(make).toThrow(expect.objectContaining({ code: 'invalid_argument' }))
  })

  it('needs options', () => {
    expect(() => (websocketTransport as () => unknown)()).toThrow('options are an object')
  })

  it('and its operations refuse what they do not know', () => {
    const declare = (run: () => unknown) => {
      try {
        return run()
      } catch (error) {
        return (error as Error).message
      }
    }
    const spec = (each: object) => each as never
    expect(declare(() => channel('a', spec({ recieve: type() })))).toBe(
      "channel('a', …): unknown option 'recieve': did you mean 'receive'?",
    )
    expect(declare(() => channel('a', spec({ sendQueue: { maxMessage: 5 } })))).toContain(
      "'sendQueue.maxMessage': did you mean 'maxMessages'?",
    )
    expect(declare(() => channel('a', spec({ overflow: 'drop' })))).toContain('overflow takes')
    expect(declare(() => channel('a', spec({ send: {} })))).toContain('send takes a schema')
    expect(declare(() => request('a', spec({ idempotnt: true })))).toContain("'idempotent'")
    expect(declare(() => request('a', spec({ retry: { maxAttempts: Number.NaN } })))).toContain(
      'retry.maxAttempts takes',
    )
  })

  it('closed, ends what is running and refuses more', async () => {
    const { client, server } = await setUp({ server: { intercept: ({ type }) => type === 'message' } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const sum = client.call(add, { a: 1, b: 2 })
    sum.catch(() => {})
    await server.until(() => server.framesOf('message').length === 1)
    await client.close()
    await expect(sum).rejects.toMatchObject({ code: 'canceled' })
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'canceled' })
    await server.until(() => server.closes.length === 1)
    expect(server.closes[0]?.code).toBe(1000)
  })
})

describe('a channel that nobody reads for a moment', () => {
  it.each([true, false])('is another one’s at once who has another input (answered: %s)', async (isAnswered) => {
    const filtered = channel('news', { input: type<{ topic: string }>(), receive: type<string>() })
    const { client, server } = await setUp({
      transport: { adapter: plainJson({ acks: true }) },
      server: { intercept: ({ data }) => !isAnswered && data?.topic === 'tea' },
    })
    const tea = client.call(filtered, { topic: 'tea' })
    const { opened } = tea
    opened.catch(() => {})
    await server.until(() => server.framesOf('subscribe').length === 1)
    if (isAnswered) await opened
    await tea.close()
    const milk = client.call(filtered, { topic: 'milk' })
    await milk.opened
    expect(server.frames.map(({ type, data }) => data?.topic ?? type)).toEqual(['tea', 'unsubscribe', 'milk'])
    await expect(client.call(filtered, { topic: 'tea' }).opened).rejects.toMatchObject({ code: 'failed_precondition' })
    server.publish('news', 'white')
    expect(await take(milk, 1)).toEqual(['white'])
  })

  it('is kept for the next reader, who gets what comes after the grace, too', async () => {
    const { client, server, clock } = await setUpTimed()
    const first = client.call(feed, { name: 'a' })
    await first.opened
    await first.close()
    await clock.advance(50)
    const second = client.call(feed, { name: 'a' })
    await second.opened
    for (let step = 0; step < 10; step++) {
      await clock.advance(100)
      await settle(5)
    }
    expect([server.framesOf('subscribe').length, server.framesOf('unsubscribe').length]).toEqual([1, 0])
    server.publish('feed:a', 7)
    expect(await take(second, 1)).toEqual([7])
  })
})
