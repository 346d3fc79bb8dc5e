import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CallError, type Client, createClient, type Interceptor } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import {
  detached,
  type ForwardOptions,
  forwardIncoming,
  type IncomingOptions,
  incoming,
  withIncoming,
} from 'polywire/node'
import { get, restTransport } from 'polywire/rest'
import { describe, expect, it, vi } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../../support/memory-client.ts'

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

interface Seen {
  headers: Readonly<Record<string, string | undefined>>
  /** Of the deadline that bounds the call. */
  remainingMs: number
  isDeadlineSent: boolean
}

/** A client that hands on, and what the innermost of its chain saw. */
function forwarding(options?: ForwardOptions, handle: () => unknown = () => 'ok') {
  const seen: Seen[] = []
  const look: Interceptor = (call, next) => {
    const { headers, remainingMs, isDeadlineSent } = call
    seen.push({ headers, remainingMs, isDeadlineSent })
    return next(call)
  }
  const made = memoryClient(handle as never, {
    interceptors: (defaults) => [forwardIncoming(options), ...defaults, look],
    retry: false,
  })
  return { ...made, seen }
}

/** A request whose client goes when it is told to. */
function request(headers: Record<string, string>) {
  const client = new AbortController()
  return { headers, signal: client.signal, leave: () => client.abort() }
}

describe('the deadline of a request', () => {
  it.each([
    ['grpc-timeout', '1500m', 1500],
    ['grpc-timeout', '2S', 2000],
    ['grpc-timeout', '1M', 60_000],
    ['grpc-timeout', '1H', 3_600_000],
    ['grpc-timeout', '5000u', 5],
    ['grpc-timeout', '9000000n', 9],
    ['grpc-timeout', '0m', 0],
    ['grpc-timeout', '1.5S', undefined],
    ['grpc-timeout', '123456789m', undefined],
    ['grpc-timeout', '5', undefined],
    ['connect-timeout-ms', '1500', 1500],
    ['connect-timeout-ms', '0', 0],
    ['connect-timeout-ms', '-1', undefined],
    ['connect-timeout-ms', 'soon', undefined],
    ['connect-timeout-ms', '', undefined],
    ['connect-timeout-ms', '1e3', undefined],
    ['x-envoy-expected-rq-timeout-ms', '1500', 1500],
    ['x-envoy-expected-rq-timeout-ms', '0', undefined],
    ['x-envoy-upstream-rq-timeout-ms', '250', 250],
    ['x-server-timeout', '1.5', 1500],
    ['x-stainless-timeout', '600', 600_000],
    ['x-stainless-timeout', '0', undefined],
  ])('%s: %s', (name, value, ms) => {
    const remaining = withIncoming({ headers: { [name]: value } }, () => incoming()?.remainingMs)
    if (ms === undefined) expect(remaining).toBe(Number.POSITIVE_INFINITY)
    else {
      expect(remaining).toBeLessThanOrEqual(ms)
      expect(remaining).toBeGreaterThan(ms - 1000)
    }
  })

  it.each([[['nonsense']], [[3]], [['https://a.example', '']], ['https://a.example']])(
    'takes no %j as origins',
    (origins) => {
      expect(() => forwardIncoming({ origins: origins as never })).toThrow(
        "[invalid_argument] polywire: forwardIncoming(): origins takes an array of origins such as 'https://api.example.com'",
      )
    },
  )

  it('the shortest of several counts, a name of the user’s is read with its unit, false reads none', () => {
    const remaining = (headers: Record<string, string>, options?: IncomingOptions) =>
      withIncoming({ headers }, () => Math.ceil((incoming()?.remainingMs ?? 0) / 1000), options)
    expect(remaining({ 'grpc-timeout': '90S', 'connect-timeout-ms': '30000' })).toBe(30)
    const at = { 'x-request-deadline': String(Date.now() + 20_000), 'x-until': String(Date.now() / 1000 + 40) }
    expect(remaining(at, { deadlineHeaders: [{ name: 'X-Request-Deadline', unit: 'unix-ms' }] })).toBe(20)
    expect(remaining(at, { deadlineHeaders: [{ name: 'x-until', unit: 'unix-s' }] })).toBe(40)
    expect(remaining({ 'x-left': '5' }, { deadlineHeaders: ['grpc-timeout', { name: 'x-left', unit: 's' }] })).toBe(5)
    expect(remaining({ 'grpc-timeout': '9S' }, { deadlineHeaders: false })).toBe(Number.POSITIVE_INFINITY)
    const wrong = { deadlineHeaders: [{ name: 'x-left', unit: 'minutes' }] } as never
    expect(() => withIncoming({ headers: {} }, () => 1, wrong)).toThrow(/deadlineHeaders takes/)
  })

  it('bounds a call where it is shorter than its own, and a stream for the whole of its life', async () => {
    const { client, clock, seen } = forwarding()
    await withIncoming({ headers: { 'grpc-timeout': '10S' } }, async () => {
      await client.call(unaryOperation())
      await client.call(unaryOperation(), {}, { timeoutMs: 2000 })
      await client.call(unaryOperation(), {}, { deadline: clock.wallNow() + 1000 })
    })
    await client.call(unaryOperation())
    expect(seen.map(({ remainingMs }) => Math.ceil(remainingMs / 1000))).toEqual([10, 2, 1, 30])

    const streaming = forwarding(undefined, async function* () {
      yield 1
    } as never)
    await withIncoming({ headers: { 'grpc-timeout': '10S' } }, async () => {
      for await (const _ of streaming.client.call(streamOperation()));
    })
    expect(streaming.seen).toMatchObject([{ isDeadlineSent: true }])
    expect(Math.ceil((streaming.seen[0]?.remainingMs ?? 0) / 1000)).toBe(10)
  })

  it('reserveMs is kept back of it; where it is over, nothing is sent, and the error says whose it was', async () => {
    const { client, seen } = forwarding({ reserveMs: 4000 })
    const error = await withIncoming({ headers: { 'grpc-timeout': '10S' } }, async () => {
      await client.call(unaryOperation())
      return withIncoming({ headers: { 'grpc-timeout': '3S' } }, () =>
        client.call(unaryOperation()).catch((each: unknown) => each as CallError),
      )
    })
    expect(seen.map(({ remainingMs }) => Math.ceil(remainingMs / 1000))).toEqual([6])
    expect(error).toMatchObject({ code: 'deadline_exceeded', sent: 'no' })
    expect((error as CallError).message).toMatch(/the deadline of the incoming request passed before the call began/)
  })

  it('passes during the call: the error says whose it was', async () => {
    const { client, clock } = forwarding(undefined, () => new Promise(() => {}))
    const call = withIncoming({ headers: { 'grpc-timeout': '10S' } }, () => client.call(unaryOperation()))
    const error = call.catch((each: unknown) => each as CallError)
    await clock.advance(10_000)
    expect(((await error) as CallError).message).toMatch(
      /the deadline of the incoming request passed in phase '\w+': its caller gave no more time/,
    )
  })

  it('a request that was answered bounds nothing any more', async () => {
    let close: () => void = () => {}
    const response = { writableFinished: true, once: (_: 'close', told: () => void) => (close = told) }
    const { client, seen } = forwarding()
    await withIncoming({ headers: { 'grpc-timeout': '10S', 'x-request-id': 'r' }, response }, async () => {
      close()
      await client.call(unaryOperation())
    })
    expect(Math.ceil((seen[0]?.remainingMs ?? 0) / 1000)).toBe(30)
    expect(seen[0]?.headers).toEqual({ 'x-request-id': 'r' })
  })
})

describe('the client of a request goes away', () => {
  it('its calls and streams end, others of the same client go on, and nothing stays behind', async () => {
    const { client, clock } = forwarding(undefined, () => new Promise(() => {}))
    const leaving = request({})
    const staying = request({})
    const calls = await withIncoming(leaving, async () => [
      client.call(unaryOperation()).catch((error: unknown) => error),
      client.call(streamOperation()).opened.catch((error: unknown) => error),
    ])
    let isOver = false
    const other = withIncoming(staying, () => client.call(unaryOperation()))
    void other.catch(() => {
      isOver = true
    })
    await clock.advance(0)
    leaving.leave()
    const gone = { code: 'canceled', message: expect.stringContaining('the client of the incoming request has gone') }
    expect(await Promise.all(calls)).toMatchObject([gone, gone])
    expect(isOver).toBe(false)
    staying.leave()
    await expect(other).rejects.toMatchObject(gone)
  })

  it('what is called afterwards is not sent; what is detached is, without the deadline', async () => {
    const { client, seen } = forwarding()
    const leaving = request({ 'grpc-timeout': '1S', 'x-request-id': 'r' })
    const [bound, free] = await withIncoming(leaving, async () => {
      leaving.leave()
      return [
        await client.call(unaryOperation()).catch((error: unknown) => error),
        await detached(() => client.call(unaryOperation())),
      ]
    })
    expect(bound).toMatchObject({ code: 'canceled', sent: 'no' })
    expect(free).toBe('ok')
    expect(seen.map(({ headers, remainingMs }) => [headers['x-request-id'], remainingMs])).toEqual([['r', 30_000]])
  })

  it('signal and onGone tell it to others, a listener that is late included', () => {
    const leaving = request({})
    withIncoming(leaving, () => {
      const current = incoming()
      const told: string[] = []
      current?.onGone(() => told.push('kept'))
      current?.onGone(() => told.push('removed'))()
      leaving.leave()
      expect(told).toEqual(['kept'])
      expect(current?.signal.aborted).toBe(true)
      expect(current?.isGone).toBe(true)
    })
  })

  it('a listener that throws harms nobody, and one that comes late is told at once', () => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue(undefined)
    const leaving = request({})
    withIncoming(leaving, () => {
      const told: string[] = []
      incoming()?.onGone(() => {
        throw new Error('boom')
      })
      incoming()?.onGone(() => told.push('next'))
      leaving.leave()
      incoming()?.onGone(() => told.push('late'))
      expect(told).toEqual(['next', 'late'])
      expect(warn).toHaveBeenCalledTimes(1)
    })
    warn.mockRestore()
  })

  it('a refresh that it began goes on, since others wait for its token', async () => {
    let answer: () => void = () => {}
    const answered = new Promise<void>((resolve) => {
      answer = resolve
    })
    let refreshing: () => void = () => {}
    const isRefreshing = new Promise<void>((resolve) => {
      refreshing = resolve
    })
    const server = createServer((incomingRequest, response) => {
      const reply = (body: unknown) => response.setHeader('content-type', 'application/json').end(JSON.stringify(body))
      if (incomingRequest.url !== '/token') return reply({ authorization: incomingRequest.headers.authorization })
      refreshing()
      return answered.then(() => reply({ token: 'fresh' }))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client: Client<'rest'> = createClient({
      transports: { rest: restTransport({ baseUrl }) },
      auth: bearerAuth(async () => ((await client.call(get('/token'))) as { token: string }).token),
      interceptors: [forwardIncoming()],
    })
    const leaving = request({})
    const first = withIncoming(leaving, () => client.call(get('/first'))).catch((error: unknown) => error)
    await isRefreshing
    const second = withIncoming(request({}), () => client.call(get('/second')))
    leaving.leave()
    expect(await first).toMatchObject({ code: 'canceled' })
    answer()
    expect(await second).toEqual({ authorization: 'Bearer fresh' })
    await client.close()
    server.close()
  })
})

describe('headers', () => {
  const headers = {
    'x-request-id': 'r',
    traceparent: trace,
    tracestate: 'a=1',
    baggage: 'b=2',
    authorization: 'Bearer canary',
  }

  it('what the call says itself stands, a removed one too; no credential is handed on', async () => {
    const { client, seen } = forwarding()
    await withIncoming({ headers }, () =>
      client.call(unaryOperation(), {}, { headers: { 'x-request-id': 'mine', baggage: undefined } }),
    )
    expect(seen[0]?.headers).toEqual({
      'x-request-id': 'mine',
      traceparent: trace,
      tracestate: 'a=1',
      baggage: undefined,
    })
  })

  it('are those that the options name, on either side', async () => {
    const { client, seen } = forwarding({ headers: ['x-request-id', 'x-tenant'] })
    await withIncoming({ headers: { ...headers, 'x-tenant': 't' } }, () => client.call(unaryOperation()), {
      headers: ['x-request-id', 'X-Tenant', 'traceparent'],
    })
    expect(seen[0]?.headers).toEqual({ 'x-request-id': 'r', 'x-tenant': 't' })
    const none = forwarding({ headers: false })
    await withIncoming({ headers }, () => none.client.call(unaryOperation()))
    expect(none.seen[0]?.headers).toEqual({})
  })

  it('that could break a request, or a trace that is none, are not taken over', () => {
    const taken = (given: Record<string, string>) => withIncoming({ headers: given }, () => incoming()?.headers)
    expect(taken({ traceparent: `${trace}\r\nx: y`, tracestate: 'a=1', 'x-request-id': 'a\r\nb: c' })).toEqual({})
    expect(taken({ traceparent: trace.replace(/^00/, 'ff'), tracestate: 'a=1' })).toEqual({})
    expect(taken({ traceparent: '00-00000000000000000000000000000000-b7ad6b7169203331-01' })).toEqual({})
    expect(
      taken({ traceparent: trace.replace(/^00/, '01').concat('-later'), 'x-request-id': 'x'.repeat(9000) }),
    ).toEqual({
      traceparent: trace.replace(/^00/, '01').concat('-later'),
    })
  })

  it('go to the origins that are named alone; the deadline goes everywhere', async () => {
    const seen: [string | undefined, boolean][] = []
    const look: Interceptor = (call, next) => {
      seen.push([call.headers['x-request-id'], call.remainingMs <= 10_000])
      return next(call)
    }
    const server = createServer((_request, response) => response.end()).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const own = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const client = createClient({
      transports: {
        rest: restTransport({ baseUrl: `${own}/v1` }),
        stranger: restTransport({ baseUrl: own.replace('127.0.0.1', 'localhost') }),
      },
      interceptors: (defaults) => [forwardIncoming({ origins: [`${own}/`] }), ...defaults, look],
    })
    await withIncoming({ headers: { ...headers, 'grpc-timeout': '10S' } }, async () => {
      await client.call(get('/a'))
      await client.call(get('/a', { via: 'stranger' })).catch(() => undefined)
    })
    expect(seen.slice(0, 2)).toEqual([
      ['r', true],
      [undefined, true],
    ])
    await client.close()
    server.close()
  })
})

it('outside of any request nothing changes, and wrong options are named', async () => {
  const { client, seen } = forwarding()
  await client.call(unaryOperation())
  expect(seen).toMatchObject([{ headers: {}, remainingMs: 30_000 }])
  expect(incoming()).toBeUndefined()
  expect(() => forwardIncoming({ orgins: [] } as never)).toThrow(/did you mean 'origins'/)
  expect(() => withIncoming({ headers: {} }, () => 1, { header: [] } as never)).toThrow(/did you mean 'headers'/)
})

it('requestIdHeader names where the id of a request stands', () => {
  const headers = { 'x-request-id': 'usual', 'x-correlation-id': 'own' }
  const idBy = (options?: IncomingOptions) => withIncoming({ headers }, () => incoming()?.requestId, options)
  expect(idBy()).toBe('usual')
  expect(idBy({ requestIdHeader: 'X-Correlation-Id' })).toBe('own')
})
