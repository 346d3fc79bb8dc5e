import { type ClientOptions, continueWith, createClient, type TelemetryEvent, type } from 'polywire'
import { post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { responseEvents, responses } from '../../support/run-shapes.ts'
import { RunServer, type Shape } from '../../support/servers/run-server.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Prompt {
  readonly input: string
}
interface Named {
  readonly sequence_number: number
  readonly response: { readonly id: string }
}
interface Delta {
  readonly sequence_number: number
  readonly delta: string
}

const map = {
  'response.created': type<Named>(),
  'response.output_text.delta': type<Delta>(),
  'response.completed': type<Named>(),
}
const until = 'response.completed'
const watch = events('/responses/{id}', map, {
  query: type<{ starting_after?: string | undefined }>(),
  resume: false,
  until,
})
const cancel = post('/responses/{id}/cancel')
void cancel
const run = events('/responses', map, {
  method: 'POST',
  body: type<Prompt>(),
  until,
  cursors: 'offset',
  resume: continueWith(
    watch,
    ({ first, cursor }) =>
      first?.type === 'response.created' ? { id: first.data.response.id, starting_after: cursor } : undefined,
    { cursor: (event) => event.data.sequence_number },
  ),
})

async function setup(shape: Shape = responses, options: Partial<ClientOptions<never>> = {}) {
  const server = await RunServer.start(shape)
  const clock = manualClock()
  const told: TelemetryEvent[] = []
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin }), rest: restTransport({ baseUrl: server.origin }) },
    clock,
    telemetry: {
      event: (event) => {
        told.push(event)
        // Nobody waits for a backoff here.
        if (event.type === 'resume') setTimeout(() => void clock.advance(event.waitMs + 1), 0)
      },
    },
    ...options,
  })
  closers.push(
    () => server.close(),
    () => client.close(),
  )
  server.make = (each) => responseEvents(each.id, 5)
  return {
    server,
    clock,
    client,
    told,
    paths: () =>
      server.requests.map(({ method, path, query }) => `${method} ${path}${query.size > 0 ? `?${query}` : ''}`),
  }
}

describe('continueWith', () => {
  it('goes on by the other operation where the first one was cut, and starts no second run', async () => {
    const { server, client, paths } = await setup()
    const cuts = [3, 2]
    server.cut = () => {
      const after = cuts.shift()
      return after === undefined ? undefined : { after, how: 'reset' }
    }
    const stream = client.call(run, { input: 'hi' })
    const seen: number[] = []
    for await (const event of stream) seen.push(event.data.sequence_number)
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(paths()).toEqual([
      'POST /responses',
      'GET /responses/run_1?starting_after=2',
      'GET /responses/run_1?starting_after=4',
    ])
    expect(server.started).toBe(1)
    expect(stream.continuity).toBe('exact')
  })
})
