import { createClient, type OpeningOptions, type TelemetryEvent, type } from 'polywire'
import { graphqlTransport, subscription } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import { describe, expect, it } from 'vitest'
import { ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

/** Nothing listens there: each dial is refused at once. */
const nowhere = '127.0.0.1:1'

type Said = { readonly opening?: OpeningOptions }
const document = 'subscription { ticks }'
const output = { output: type<{ ticks: number }>() }

/** A stream of each protocol, whose opening is spoken of by its transport, its operation or its call. */
const streams = {
  sse: (transport: Said, operation: Said) => ({
    transports: { sse: sseTransport({ baseUrl: `http://${nowhere}`, ...transport }) },
    operation: events('/events', { message: type<number>() }, operation),
  }),
  websocket: (transport: Said, operation: Said) => ({
    transports: { websocket: websocketTransport({ url: `ws://${nowhere}`, ...transport }) },
    operation: channel('ticks', { receive: type<number>(), ...operation }),
  }),
  graphql: (transport: Said, operation: Said) => ({
    transports: { graphql: graphqlTransport({ url: `http://${nowhere}/graphql`, ...transport }) },
    operation: subscription(document, { ...output, ...operation }),
  }),
  'grpc-web': (transport: Said, operation: Said) => ({
    transports: { 'grpc-web': grpcWebTransport({ baseUrl: `http://${nowhere}`, ...transport }) },
    operation: rpc(ShopService.method.watchItems, operation),
  }),
}

describe.each(Object.entries(streams))('the first opening over %s', (_, make) => {
  // One less than where nobody says anything.
  const opening = { maxAttempts: 2, baseDelayMs: 1 }

  it.each([
    ['transport', { opening }, {}, {}],
    ['operation', { opening: { maxAttempts: 1 } }, { opening }, {}],
    ['call', { opening: { maxAttempts: 1 } }, {}, { opening }],
  ])('is tried as often as its %s says', async (_, transport, operation, call) => {
    const { transports, operation: stream } = make(transport, operation)
    const retries: TelemetryEvent[] = []
    const telemetry = { event: (event: TelemetryEvent) => void (event.type === 'retry' && retries.push(event)) }
    const client = createClient({ transports, telemetry } as Parameters<typeof createClient>[0])
    const open = client.call as (...args: unknown[]) => { readonly opened: Promise<unknown> }
    await expect(open(stream, {}, call).opened).rejects.toMatchObject({ code: 'unavailable', sent: 'no' })
    expect(retries).toHaveLength(1)
    await client.close()
  })

  it('refuses a policy that is none, by name', () => {
    const wrong = { opening: { maxAttempt: 3 } } as Said
    expect(() => make(wrong, {})).toThrow(/opening\.maxAttempt.*maxAttempts/)
    expect(() => make({}, wrong)).toThrow(/opening\.maxAttempt.*maxAttempts/)
  })
})
