import { attemptSpan, callSpan, createClient, type Telemetry, type TelemetryEvent, type Transport } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { memoryTransport } from 'polywire/testing'
import { request, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { failureOf } from './conformance/support/world.ts'
import { memoryClient, unaryOperation } from './support/memory-client.ts'
import { ShopService } from './support/proto/gen/polywire/test/v1/shop_pb.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('a transport that two clients share', () => {
  it('is closed with the last of them, once', async () => {
    let closes = 0
    const memory = { ...memoryTransport({ handle: () => 1 }), close: async () => void closes++ }
    const [one, two] = [1, 2].map(() => createClient({ transports: { memory } }))
    await one?.close()
    await one?.close()
    expect(closes).toBe(0)
    expect(await two?.call(unaryOperation())).toBe(1)
    await two?.close()
    expect(closes).toBe(1)
  })

  it('is held once for each name that a client gives it', async () => {
    let closes = 0
    const memory = { ...memoryTransport({ handle: () => 1 }), close: async () => void closes++ }
    const one = createClient({ transports: { memory, other: memory } })
    await one.close()
    expect(closes).toBe(1)
  })

  const none = 'http://127.0.0.1:9'
  const shared: [string, Transport, never][] = [
    ['memory', memoryTransport({ handle: () => 1 }), unaryOperation() as never],
    ['rest', restTransport({ baseUrl: none }), get('/a') as never],
    ['sse', sseTransport({ baseUrl: none }), events('/a', {}) as never],
    ['graphql', graphqlTransport({ url: `${none}/graphql` }), query<unknown>('{ a }') as never],
    ['grpc-web', grpcWebTransport({ baseUrl: none }), rpc(ShopService.method.getItem) as never],
    ['websocket', websocketTransport({ url: 'ws://127.0.0.1:9' }), request('a') as never],
  ]
  it.each(shared)(
    'over %s, and closed, gives one clear error to whoever still uses it',
    async (via, transport, operation) => {
      const transports = { [via]: transport }
      const first = createClient({ transports })
      await first.close()
      const later = createClient({ transports })
      const result = later.call(operation) as { opened?: Promise<unknown> } & Promise<unknown>
      const error = await failureOf(result.opened ?? result)
      expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no', isRetryable: false })
      expect(error.message).toContain(`the transport '${via}' was closed with its last client: make another one`)
      await later.close()
    },
  )
})

describe('a telemetry hook that fails', () => {
  const fail = () => {
    throw new RangeError('boom')
  }
  const broken: [string, Telemetry][] = [
    ['call', { call: fail }],
    ['attempt', { attempt: fail }],
    ['call', { call: () => fail }],
    ['attempt', { attempt: () => fail }],
    ['call', { call: async () => fail() } as never],
    ['call', { call: () => async () => fail() } as never],
    ['event', { event: fail, call: fail }],
  ]

  it.each(broken)('in %s is told on the console once a client, by name, and harms no call', async (member, hook) => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const { client } = memoryClient(() => 1, { telemetry: hook })
    for (let n = 0; n < 3; n++) expect(await client.call(unaryOperation())).toBe(1)
    await new Promise(setImmediate)
    expect(warn).toHaveBeenCalledTimes(1)
    const [words, cause] = warn.mock.calls[0] as [string, unknown]
    expect(words).toMatch(
      member === 'event' ? /telemetry\.(call|event) threw/ : new RegExp(`telemetry\\.${member} threw`),
    )
    expect(cause).toBeInstanceOf(RangeError)
  })

  it('in call or attempt is a warning event for those who listen', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    const told: TelemetryEvent[] = []
    const telemetry = { call: fail, attempt: fail, event: (event: TelemetryEvent) => void told.push(event) }
    const { client } = memoryClient(() => 1, { telemetry })
    await client.call(unaryOperation())
    expect(told).toMatchObject([
      { type: 'warning', message: 'telemetry.call threw (RangeError); the call goes on' },
      { type: 'warning', message: 'telemetry.attempt threw (RangeError); the call goes on' },
    ])
  })

  it('does none where a chain of one’s own calls it', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const interceptors = () => [callSpan({ call: fail }), attemptSpan({ attempt: () => fail })]
    const { client } = memoryClient(() => 1, { interceptors })
    expect(await client.call(unaryOperation())).toBe(1)
    expect(warn).toHaveBeenCalledTimes(2)
  })

  it('is called on its own object', async () => {
    class Sink implements Telemetry {
      readonly seen: string[] = []
      call() {
        this.seen.push('call')
        return () => void this.seen.push('end')
      }
    }
    const telemetry = new Sink()
    const { client } = memoryClient(() => 1, { telemetry })
    await client.call(unaryOperation())
    expect(telemetry.seen).toEqual(['call', 'end'])
  })
})
