import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { virtualClock } from 'polywire/testing'
import { describe, expect, it, vi } from 'vitest'
import { framings, hasteClock, rejection, shopClient } from '../../support/grpc-client.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'
import { answer, frame, trailers } from '../../support/servers/grpc-server.ts'

const getPath = '/polywire.test.v1.ShopService/GetItem'
const watchPath = '/polywire.test.v1.ShopService/WatchItems'
const addPath = '/polywire.test.v1.ShopService/AddItem'
/** Item { id: 7 } */
const item = frame(Uint8Array.of(8, 7))
const ok = trailers('grpc-status: 0')

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const messages: T[] = []
  for await (const message of stream) messages.push(message)
  return messages
}

/** As if this were a page of that origin, until it is disposed. */
function onPage(href: string): Disposable {
  const before = Object.getOwnPropertyDescriptor(globalThis, 'location')
  Object.defineProperty(globalThis, 'location', { value: new URL(href), configurable: true })
  return {
    [Symbol.dispose]() {
      if (before) Object.defineProperty(globalThis, 'location', before)
      else Reflect.deleteProperty(globalThis, 'location')
    },
  }
}

describe.each(framings)('framed by %s', (framing) => {
  /** What a unary call rejects with, when the server does this; no retries unless asked for. */
  async function failure(route: (exchange: Exchange) => void | Promise<void>, options = {}, transport = {}) {
    await using server = await FaultServer.start()
    server.on(getPath, route)
    await using api = shopClient(server.url, { framing, ...transport }, { retry: false, ...options })
    return await rejection(api.shop.getItem())
  }

  describe('a connection', () => {
    it('that is refused: nothing was sent', async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      const { port } = server.address() as AddressInfo
      await new Promise((resolve) => server.close(resolve))
      await using api = shopClient(`http://127.0.0.1:${port}`, { framing })
      const error = await rejection(api.shop.addItem({}))
      expect(error).toMatchObject({ code: 'unavailable', phase: 'connect', sent: 'no', isRetryable: true })
      expect(error.failures).toHaveLength(2)
    })

    it('that is reset before the headers: perhaps it ran', async () => {
      const error = await failure((exchange) => exchange.reset())
      expect(error).toMatchObject({ code: 'unavailable', phase: 'headers', sent: 'maybe', isRetryable: true })
    })

    it('that is reset, or ends, within the body: the answer is lost', async () => {
      for (const how of ['reset', 'cut'] as const) {
        const error = await failure(async (exchange) => {
          exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
          await exchange.write(item.subarray(0, 6))
          // The client has it before the connection goes.
          setTimeout(() => exchange[how](), 20)
        })
        expect(error, how).toMatchObject({ code: 'data_loss', phase: 'body', sent: 'yes', isRetryable: true })
      }
    })

    it('is used for another attempt of what may be repeated', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => (exchange.nth < 3 ? exchange.reset() : answer(exchange, [item, ok])))
      server.on(addPath, (exchange) => exchange.reset())
      await using api = shopClient(server.url, { framing })
      expect((await api.shop.getItem.reply()).attempts).toBe(3)
      expect(await rejection(api.shop.addItem({}))).toMatchObject({ sent: 'maybe', notRetried: 'not_idempotent' })
    })

    it('to garbage is no gRPC server', async () => {
      const error = await failure((exchange) => exchange.raw('this is no HTTP\r\n\r\n'))
      expect(error).toMatchObject({ code: 'unavailable', phase: 'headers', isRetryable: true })
    })

    it('that breaks behind the trailers takes nothing away', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, async (exchange) => {
        exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
        await exchange.write(Buffer.concat([item, ok]))
        setTimeout(() => exchange.reset(), 20)
      })
      await using api = shopClient(server.url, { framing }, { retry: false })
      expect((await api.shop.getItem()).id).toBe(7n)
    })
  })

  describe('an HTTP answer', () => {
    it.each([
      [401, 'unauthenticated'],
      [404, 'unimplemented'],
      [502, 'unavailable'],
    ] as const)('of a gateway, %s with HTML, is %s', async (status, code) => {
      const error = await failure((exchange) =>
        exchange.reply(status, '<html>gateway</html>', { 'content-type': 'text/html' }),
      )
      expect(error).toMatchObject({ code, status, phase: 'headers', sent: 'yes' })
      expect(error.headers.get('content-type')).toBe('text/html')
    })

    it('leaves the connection as it is', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => exchange.reply(404, 'x'.repeat(1000)))
      await using api = shopClient(server.url, { framing })
      for (let n = 0; n < 4; n++) {
        await rejection(api.shop.getItem())
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      expect(server.connections).toBe(1)
    })

    it('that never ends is not read to its end', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, async (exchange) => {
        exchange.head(500)
        while (!exchange.response.destroyed) await exchange.write(Buffer.alloc(16_384))
      })
      await using api = shopClient(server.url, { framing })
      expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'unknown', status: 500 })
      await server.exchanges[0]?.closed()
    })

    it('with a wait is waited for', async () => {
      const error = await failure((exchange) => exchange.reply(503, '', { 'retry-after': '7' }))
      expect(error).toMatchObject({ code: 'unavailable', retryAfterMs: 7000 })
    })

    it('with a wait is repeated, even where the method is not idempotent', async () => {
      await using server = await FaultServer.start()
      server.on(addPath, (exchange) =>
        exchange.nth === 1 ? exchange.reply(429, '', { 'retry-after-ms': '1' }) : answer(exchange, [item, ok]),
      )
      await using api = shopClient(server.url, { framing })
      expect((await api.shop.addItem.reply({})).attempts).toBe(2)
    })

    it('that redirects is not followed', async () => {
      const error = await failure((exchange) => exchange.reply(307, '', { location: 'http://other.test/' }))
      expect(error.isRetryable).toBe(false)
      expect(error.message).not.toContain('other.test')
    })

    it.each([201, 299])('of %s is taken like 200', async (status) => {
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => {
        exchange.head(status, { 'content-type': 'application/grpc-web' })
        exchange.end(Buffer.concat([item, ok]))
      })
      await using api = shopClient(server.url, { framing })
      expect(await api.shop.getItem.reply()).toMatchObject({ status, message: { id: 7n } })
    })

    it('of another kind with 200 is told by its content type, before its body is taken for frames', async () => {
      const page = (exchange: Exchange) =>
        exchange.reply(200, '<html><body>log in</body></html>', { 'content-type': 'text/html' })
      const error = await failure(page)
      expect(error).toMatchObject({ code: 'unknown', status: 200, isRetryable: false })
      expect(error.message).toContain('content type')
      const plain = await failure((exchange) => exchange.reply(200, 'x', { 'content-type': 'application/grpc+proto' }))
      expect(plain.code).toBe('unknown')
    })

    it('without a content type is taken by its frames', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => {
        exchange.head(200, {})
        exchange.end(Buffer.concat([item, ok]))
      })
      await using api = shopClient(server.url, { framing })
      expect((await api.shop.getItem()).id).toBe(7n)
    })

    it('in another format is told so', async () => {
      const error = await failure((exchange) =>
        answer(exchange, [frame('{}'), ok], { 'content-type': 'application/grpc-web+json' }),
      )
      expect(error).toMatchObject({ code: 'internal' })
      expect(error.message).toContain('useBinaryFormat')
    })
  })

  describe('a body', () => {
    it.each([
      ['HTML frames', [Buffer.from('<html>')], 'internal', 'not framed'],
      ['a compressed message', [frame('x', 1), ok], 'internal', 'compressed'],
      ['compressed trailers', [item, frame('x', 0x81)], 'internal', 'compressed'],
      ['two messages', [item, item, ok], 'unimplemented', 'several'],
      ['no message', [ok], 'unimplemented', 'no message'],
      ['something behind the trailers', [item, ok, item], 'internal', 'behind its trailers'],
      ['trailers twice', [item, ok, ok], 'internal', 'behind its trailers'],
      ['a message that is none', [frame(Uint8Array.of(0xff, 0xff)), ok], 'internal', 'does not decode'],
      ['trailers without a status', [item, trailers('x: y')], 'unknown', 'no grpc-status'],
      ['nothing at all', [], 'unknown', 'neither message nor grpc-status'],
    ] as const)('with %s', async (_, frames, code, text) => {
      const error = await failure((exchange) => answer(exchange, frames))
      expect(error).toMatchObject({ code, isRetryable: false, sent: 'yes' })
      expect(error.message).toContain(text)
    })

    it.each([
      ['within a prefix', item.subarray(0, 3)],
      ['within a message', item.subarray(0, 6)],
      ['before the trailers', item],
      ['within the trailers', Buffer.concat([item, ok.subarray(0, 9)])],
    ])('that ends %s is cut, and tried again', async (_, body) => {
      const error = await failure((exchange) => answer(exchange, [body]))
      expect(error).toMatchObject({ code: 'data_loss', phase: 'body', sent: 'yes', isRetryable: true })
    })

    it.each([
      ['a status of two digits', ['grpc-status: 00']],
      ['a status that a proxy has added to', ['grpc-status: 0, 0']],
      ['a status that stands twice', ['grpc-status: 0', 'grpc-status: 0']],
      ['names and values that are no headers', ['grpc-status: 0', 'ä: b', 'a b: c', 'note: 日本', '\u0001: x']],
    ])('whose trailers have %s is whole', async (_, lines) => {
      await using server = await FaultServer.start()
      const tail = trailers(...lines, 'x-tail: t')
      server.on(getPath, (exchange) => answer(exchange, [item, tail]))
      server.on(watchPath, (exchange) => answer(exchange, [item, tail], { 'grpc-status-details-bin': 'CAUSAWE=' }))
      await using api = shopClient(server.url, { framing })
      const { message, trailers: got } = await api.shop.getItem.reply()
      expect([message.id, got.get('x-tail')]).toEqual([7n, 't'])
      expect(await all(api.shop.watchItems({}))).toHaveLength(1)
    })

    it.each([
      ['nothing', ''],
      // message: "x", and no code
      ['no code', 'EgF4'],
      // code: 7, message: "x"
      ['another code', 'CAcSAXg='],
    ])('with a status, and details that say %s, is that error', async (_, details) => {
      await using server = await FaultServer.start()
      const tail = trailers('grpc-status: 3', `grpc-status-details-bin: ${details}`)
      for (const path of [getPath, watchPath]) server.on(path, (exchange) => answer(exchange, [item, tail]))
      await using api = shopClient(server.url, { framing }, { retry: false })
      const expected = { code: 'invalid_argument', status: 3 }
      expect(await rejection(api.shop.getItem())).toMatchObject(expected)
      expect(await rejection(all(api.shop.watchItems({})))).toMatchObject(expected)
    })

    it('has a status that is a number', async () => {
      const error = await failure((exchange) => answer(exchange, [trailers(`grpc-status: ${'9'.repeat(400)}`)]))
      expect(error).toMatchObject({ code: 'unknown', status: 2 })
    })

    it('is over with its trailers, though the connection stays open, which is closed then', async () => {
      await using server = await FaultServer.start()
      const closed: Promise<unknown>[] = []
      const open = async (exchange: Exchange) => {
        closed.push(exchange.closed())
        exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
        await exchange.write(Buffer.concat([item, ok]))
      }
      server.on(getPath, open)
      server.on(watchPath, open)
      const clock = virtualClock()
      await using api = shopClient(server.url, { framing }, { clock })
      const done: unknown[] = []
      const unary = api.shop.getItem().then((message) => done.push(message))
      const stream = all(api.shop.watchItems({})).then((messages) => done.push(...messages))
      await vi.waitFor(async () => {
        await clock.advance(500)
        expect(done).toHaveLength(2)
      })
      await Promise.all([unary, stream, ...closed])
    })

    it('that announces four gigabytes is refused by its first five bytes', async () => {
      const seen = vi.fn()
      const error = await failure(async (exchange) => {
        exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
        void exchange.closed().then(seen)
        await exchange.write(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff))
      })
      expect(error).toMatchObject({ code: 'resource_exhausted', isRetryable: false, phase: 'body' })
      expect(error.message).toContain('maxMessageBytes')
    })

    it('is bounded by maxMessageBytes, not one byte less', async () => {
      const name = (length: number) => frame(Buffer.concat([Buffer.from([0x12, length]), Buffer.alloc(length, 'x')]))
      const limit = { maxMessageBytes: 102 }
      expect(await failure((exchange) => answer(exchange, [name(101), ok]), {}, limit)).toMatchObject({
        code: 'resource_exhausted',
      })
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => answer(exchange, [name(100), ok]))
      await using api = shopClient(server.url, { framing, ...limit })
      expect((await api.shop.getItem()).name).toHaveLength(100)
    })

    it('is read in whatever pieces it comes', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, async (exchange) => {
        exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
        for (const byte of Buffer.concat([item, trailers('grpc-status: 0', 'x-tail: t')])) {
          await exchange.write(Uint8Array.of(byte))
          await new Promise((resolve) => setImmediate(resolve))
        }
        exchange.end()
      })
      await using api = shopClient(server.url, { framing })
      const reply = await api.shop.getItem.reply()
      expect(reply.message.id).toBe(7n)
      expect(reply.trailers.get('x-tail')).toBe('t')
    })
  })

  describe('a request from a page of another origin', () => {
    it('carries nothing that interceptors added, unless it is allowed', async () => {
      using _page = onPage('https://page.test/')
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => (exchange.nth === 1 ? exchange.reply(503) : answer(exchange, [item, ok])))
      const traced = (call: any, next: any) =>
        next(call.withHeaders({ traceparent: 't', 'x-allowed': 'a', 'x-mine': 'interceptor' }))
      const interceptors = [traced]
      const transport = { framing, headers: { 'x-app': 'app' }, crossOriginHeaders: ['X-Allowed'] }
      await using api = shopClient(server.url, transport, { interceptors })
      await api.shop.getItem({}, { headers: { 'x-mine': 'mine' } })
      const { headers } = server.exchanges[1] ?? {}
      expect(headers).toMatchObject({ 'x-app': 'app', 'x-allowed': 'a', 'x-mine': 'interceptor', 'x-grpc-web': '1' })
      expect(headers).not.toHaveProperty('traceparent')
      expect(headers).not.toHaveProperty('grpc-previous-rpc-attempts')
      expect(headers).toHaveProperty('grpc-timeout')
    })
  })

  describe('trailers', () => {
    it.each([
      [
        'in the body',
        (exchange: Exchange) =>
          answer(exchange, [trailers('Grpc-Status: 9', 'gRPC-Message: no%20way', 'X-Key: a', 'x-key: b')]),
      ],
      [
        'in the headers',
        (exchange: Exchange) => answer(exchange, [], { 'grpc-status': '9', 'grpc-message': 'no way', 'x-key': 'a, b' }),
      ],
    ])('%s tell the status, in any case, with duplicates', async (_, route) => {
      const error = await failure(route)
      expect(error).toMatchObject({ code: 'failed_precondition', serverMessage: 'no way', status: 9 })
      expect((error.trailers ?? error.headers).get('x-key')).toBe('a, b')
    })

    it.each([
      ['an empty frame of trailers', trailers()],
      ['a frame of other trailers', trailers('x-tail: t')],
    ])('in the headers count where %s follows', async (_, behind) => {
      const refusing = (lines: Record<string, string>) => failure((exchange) => answer(exchange, [behind], lines))
      expect(await refusing({ 'grpc-status': '9', 'grpc-message': 'no%20way', 'x-key': 'k' })).toMatchObject({
        code: 'failed_precondition',
        status: 9,
        serverMessage: 'no way',
        sent: 'yes',
      })
      const busy = await refusing({ 'grpc-status': '14', 'grpc-retry-pushback-ms': '30' })
      expect(busy).toMatchObject({ code: 'unavailable', isRetryable: true, retryAfterMs: 30 })
      expect(busy.trailers.get('grpc-status')).toBe('14')
      expect(await refusing({ 'grpc-status': '0' })).toMatchObject({ code: 'unimplemented' })
    })

    it('in the headers let a message pass that an empty frame of trailers follows', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => answer(exchange, [item, trailers()], { 'grpc-status': '0', 'x-tail': 't' }))
      await using api = shopClient(server.url, { framing }, { retry: false })
      const reply = await api.shop.getItem.reply()
      expect(reply.message.id).toBe(7n)
      expect(reply.trailers.get('x-tail')).toBe('t')
    })

    it('of HTTP itself count where the body has none', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, (exchange) => {
        exchange.head(200, { 'content-type': 'application/grpc-web+proto', trailer: 'grpc-status' })
        exchange.response.write(item)
        exchange.response.addTrailers({ 'grpc-status': exchange.nth === 1 ? '0' : '7' })
        exchange.response.end()
      })
      await using api = shopClient(server.url, { framing }, { retry: false })
      expect((await api.shop.getItem()).id).toBe(7n)
      expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'permission_denied', status: 7 })
    })

    it.each([
      ['headers', { 'grpc-status': '0' }, {}],
      ['the trailers of HTTP', {}, { 'grpc-status': '0' }],
    ])('in %s make no whole answer of a message that was cut', async (_, headers, behind) => {
      await using server = await FaultServer.start()
      const cut = (exchange: Exchange) => {
        exchange.head(200, { 'content-type': 'application/grpc-web+proto', ...headers, trailer: 'grpc-status' })
        exchange.response.write(Buffer.concat([item, item.subarray(0, 6)]))
        exchange.response.addTrailers(behind)
        exchange.response.end()
      }
      server.on(watchPath, cut)
      server.on(getPath, cut)
      await using api = shopClient(server.url, { framing }, { retry: false })
      expect(await rejection(all(api.shop.watchItems({})))).toMatchObject({
        code: 'unavailable',
        phase: 'stream',
        sent: 'yes',
        isRetryable: true,
      })
      expect(await rejection(api.shop.getItem())).toMatchObject({ code: 'data_loss', phase: 'body', isRetryable: true })
    })

    it('in the body win over headers', async () => {
      expect(
        await failure((exchange) => answer(exchange, [trailers('grpc-status: 9')], { 'grpc-status': '8' })),
      ).toMatchObject({
        code: 'failed_precondition',
      })
    })

    it('with a message that no decoder takes are read all the same', async () => {
      const error = await failure((exchange) =>
        answer(exchange, [trailers('grpc-status: 5', 'grpc-message: 100% %zz')]),
      )
      expect(error).toMatchObject({ code: 'not_found', serverMessage: '100% %zz' })
      const inHeaders = await failure((exchange) => answer(exchange, [], { 'grpc-status': '5', 'grpc-message': '%' }))
      expect(inHeaders).toMatchObject({ code: 'not_found', serverMessage: '%' })
      const refused = await failure((exchange) => exchange.reply(500, '', { 'grpc-message': '%' }))
      expect(refused).toMatchObject({ code: 'unknown', status: 500 })
    })

    it('with a pushback that stands in headers and trailers', async () => {
      const error = await failure((exchange) =>
        answer(exchange, [trailers('grpc-status: 14', 'grpc-retry-pushback-ms: 250', 'grpc-retry-pushback-ms: 300')], {
          'grpc-retry-pushback-ms': '250',
        }),
      )
      expect(error).toMatchObject({ code: 'unavailable', retryAfterMs: 300 })
    })

    it('hidden by a browser are diagnosed', async () => {
      using _page = onPage('https://page.test/')
      const error = await failure((exchange) => answer(exchange, []))
      expect(error.message).toContain('Access-Control-Expose-Headers')
    })
  })

  describe('a cancel of the server', () => {
    /** What a call of 1,000 ms ends with whose server calls it off after this time. */
    async function canceledAt(ms: number, cancel: (exchange: Exchange) => void, transport = {}) {
      let now = 0
      const route = (exchange: Exchange) => {
        now = ms
        cancel(exchange)
      }
      return failure(route, { clock: { ...hasteClock, now: () => now }, timeoutMs: 1000 }, transport)
    }
    const byStatus = (exchange: Exchange) => answer(exchange, [trailers('grpc-status: 1')])

    it('at the deadline is the deadline’s', async () => {
      for (const ms of [950, 975, 1000])
        expect(await canceledAt(ms, byStatus)).toMatchObject({
          code: 'deadline_exceeded',
          sent: 'yes',
          isRetryable: false,
        })
      expect(await canceledAt(900, byStatus)).toMatchObject({ code: 'canceled' })
    })

    it('by a reset of HTTP/2 likewise, told by its cause', async () => {
      const reset = (message: string, ms: number) => {
        let now = 0
        const http = async () => {
          now = ms
          throw new TypeError('fetch failed', { cause: new Error(message) })
        }
        const clock = { ...hasteClock, now: () => now }
        const api = shopClient('http://127.0.0.1:1', { framing, http }, { retry: false, clock })
        return rejection(api.shop.getItem({}, { timeoutMs: 1000 })).finally(() => api.client.close())
      }
      const text = 'Stream closed with error code NGHTTP2_CANCEL'
      expect(await reset(text, 960)).toMatchObject({ code: 'deadline_exceeded', sent: 'maybe', isRetryable: false })
      expect(await reset(text, 940)).toMatchObject({ code: 'unavailable', isRetryable: true })
      expect(await reset('Stream closed with error code NGHTTP2_INTERNAL_ERROR', 960)).toMatchObject({
        code: 'unavailable',
      })
    })

    it('of a call without a deadline on the wire is a cancel', async () => {
      const options = { timeoutMs: Number.POSITIVE_INFINITY }
      expect(await failure(byStatus, options)).toMatchObject({ code: 'canceled' })
    })
  })

  it.each([
    [5, false],
    [10, false],
    [13, false],
    [8, true],
    [14, true],
  ])('a wait beside status %s holds later calls: %s', async (status, isHeld) => {
    await using server = await FaultServer.start()
    server.on(getPath, (exchange) =>
      answer(
        exchange,
        exchange.nth === 1 ? [trailers(`grpc-status: ${status}`, 'grpc-retry-pushback-ms: 5000')] : [item, ok],
      ),
    )
    await using api = shopClient(server.url, { framing })
    await rejection(api.shop.getItem({}, { timeoutMs: 1000 }))
    const isSent = await api.shop.getItem({}, { timeoutMs: 1000 }).then(
      () => true,
      () => false,
    )
    expect([isSent, server.hits(getPath)]).toEqual([!isHeld, isHeld ? 1 : 2])
  })

  describe('an abort', () => {
    const phases: [string, (exchange: Exchange) => void | Promise<void>][] = [
      ['before the headers', () => {}],
      ['before the body', (exchange) => exchange.head(200, { 'content-type': 'application/grpc-web+proto' })],
      [
        'within the body',
        (exchange) => {
          exchange.head(200, { 'content-type': 'application/grpc-web+proto' })
          return exchange.write(item.subarray(0, 6))
        },
      ],
    ]
    it.each(phases)('%s rejects with its own reason and closes the wire', async (_, route) => {
      await using server = await FaultServer.start()
      server.on(getPath, route)
      await using api = shopClient(server.url, { framing })
      const controller = new AbortController()
      const reason = new DOMException('gone', 'AbortError')
      const calling = rejection(api.shop.getItem({}, { signal: controller.signal }))
      await server.until(() => server.exchanges.length === 1)
      await new Promise((resolve) => setTimeout(resolve, 10))
      controller.abort(reason)
      expect(await calling).toBe(reason)
      await server.until(() => server.openSockets === 0)
    })

    it('before it began sends nothing', async () => {
      await using server = await FaultServer.start()
      await using api = shopClient(server.url, { framing })
      const error = await rejection(api.shop.getItem({}, { signal: AbortSignal.abort('no') }))
      expect(error).toBe('no')
      expect(server.connections).toBe(0)
    })

    it('by the deadline is deadline_exceeded, and closes the wire', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, () => {})
      await using api = shopClient(server.url, { framing })
      const error = await rejection(api.shop.getItem({}, { timeoutMs: 30 }))
      expect(error).toMatchObject({ code: 'deadline_exceeded', phase: 'headers', sent: 'maybe' })
      await server.until(() => server.openSockets === 0)
    })

    it('by AbortSignal.timeout is that signal’s own reason', async () => {
      await using server = await FaultServer.start()
      server.on(getPath, () => {})
      await using api = shopClient(server.url, { framing })
      const error = await rejection(api.shop.getItem({}, { signal: AbortSignal.timeout(30) }))
      expect(error.name).toBe('TimeoutError')
    })
  })
})

describe('an interceptor of Connect that throws', () => {
  const broken = new TypeError('undefined is no function')
  const before = () => () => {
    throw broken
  }
  const behind = (next: (request: unknown) => Promise<unknown>) => async (request: unknown) => {
    await next(request)
    throw broken
  }

  it.each([
    ['before the request', before, 'no', 0],
    ['behind the answer', behind, 'yes', 1],
  ])('%s is internal, not tried again, and its cause is kept', async (_, interceptor, sent, hits) => {
    await using server = await FaultServer.start()
    server.on(getPath, (exchange) => answer(exchange, [item, ok]))
    await using api = shopClient(server.url, { connectInterceptors: [interceptor] })
    const error = await rejection(api.shop.getItem())
    expect(error).toMatchObject({ code: 'internal', sent, isRetryable: false, failures: [] })
    expect(error.message).toContain('interceptor of Connect')
    expect(error.cause.cause ?? error.cause).toBe(broken)
    expect(server.hits(getPath)).toBe(hits)
  })
})
