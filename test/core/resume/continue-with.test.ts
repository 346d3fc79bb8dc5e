import {
  type ClientOptions,
  continueWith,
  createClient,
  isGap,
  type Stream,
  stopWith,
  type TelemetryEvent,
  type,
} from 'polywire'
import { post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { responseEvents, responses } from '../../support/run-shapes.ts'
import { type Cut, RunServer, type Shape } from '../../support/servers/run-server.ts'

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
  stop: stopWith(cancel, ({ first }) =>
    first?.type === 'response.created' ? { id: first.data.response.id } : undefined,
  ),
})

const yielding = events('/responses', map, {
  method: 'POST',
  body: type<Prompt>(),
  until,
  gaps: 'yield',
  resume: continueWith(
    watch,
    ({ first, cursor }) =>
      first?.type === 'response.created' ? { id: first.data.response.id, starting_after: cursor } : undefined,
    { cursor: (event) => ('data' in event ? event.data.sequence_number : undefined) },
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

/** Cuts connections by plan: so many events each, then none is cut. */
function cutting(server: RunServer, ...plan: (number | Cut)[]): void {
  server.cut = () => {
    const cut = plan.shift()
    return typeof cut === 'number' ? { after: cut, how: 'reset' } : cut
  }
}

async function numbers(stream: Stream<any>): Promise<unknown[]> {
  const seen: unknown[] = []
  try {
    for await (const event of stream) seen.push(isGap(event) ? `gap ${event.reason}` : event.data.sequence_number)
  } catch (error) {
    seen.push(error)
  }
  return seen
}

const all = [0, 1, 2, 3, 4, 5, 6]

describe('continueWith', () => {
  it('goes on by the other operation at each drop, after the newest cursor, and starts no second run', async () => {
    const { server, client, paths, told } = await setup()
    cutting(server, 3, 2, { after: 1, how: 'torn' }, { after: 0, how: 'reset' })
    const stream = client.call(run, { input: 'hi' })
    expect(await numbers(stream)).toEqual(all)
    expect(paths()).toEqual([
      'POST /responses',
      'GET /responses/run_1?starting_after=2',
      'GET /responses/run_1?starting_after=4',
      'GET /responses/run_1?starting_after=5',
      'GET /responses/run_1?starting_after=5',
    ])
    expect(server.started).toBe(1)
    expect(stream.continuity).toBe('exact')
    const continued = told.filter((event) => event.type === 'continued')
    expect(continued.map(({ operation, cursor }) => [operation, cursor])).toEqual([
      ['GET /responses/{id}', '2'],
      ['GET /responses/{id}', '4'],
      ['GET /responses/{id}', '5'],
      ['GET /responses/{id}', '5'],
    ])
    expect(continued.every(({ waitMs }) => waitMs >= 0)).toBe(true)
  })

  it('ends with the error of a drop before the first message, where the run is named by that', async () => {
    const { server, client, paths } = await setup()
    cutting(server, 0)
    const [error] = await numbers(client.call(run, { input: 'hi' }))
    expect(error).toMatchObject({ code: 'unavailable', sent: 'yes', reason: 'not_continuable' })
    expect(paths()).toEqual(['POST /responses'])
  })

  it('goes on without a cursor where the run is named by the head of the answer, and nothing is lost', async () => {
    const { server, client, paths } = await setup((request, each) => {
      const answer = responses(request, each)
      return 'run' in answer ? { ...answer, headers: { 'x-run': answer.run.id } } : answer
    })
    cutting(server, 0, 0)
    const named = events('/responses', map, {
      method: 'POST',
      body: type<Prompt>(),
      until,
      gaps: 'yield',
      resume: continueWith(watch, ({ head, cursor }) => ({
        id: head?.headers.get('x-run') ?? '',
        starting_after: cursor,
      })),
    })
    expect(await numbers(client.call(named, { input: 'hi' }))).toEqual(all)
    expect(paths()).toEqual(['POST /responses', 'GET /responses/run_1', 'GET /responses/run_1'])
  })

  it('is not continued where nobody answered: one POST, and whether it was carried out is unknown', async () => {
    const { server, client, paths } = await setup()
    server.isSilent = true
    const [error] = await numbers(client.call(run, { input: 'hi' }))
    expect(error).toMatchObject({ sent: 'maybe', notRetried: 'not_idempotent' })
    expect(paths()).toEqual(['POST /responses'])
  })

  it('drops what a server repeats that takes no notice of the cursor', async () => {
    const { server, client } = await setup((request, each) => {
      const answer = responses(request, each)
      return 'run' in answer ? { ...answer, from: 0 } : answer
    })
    cutting(server, 3, 5)
    const stream = client.call(run, { input: 'hi' })
    expect(await numbers(stream)).toEqual(all)
    expect(stream.continuity).toBe('exact')
  })

  it.each([404, 410])('ends behind what is queued where the run is gone: %i', async (status) => {
    const { server, client, paths } = await setup()
    cutting(server, 3)
    const stream = client.call(run, { input: 'hi' })
    await stream.opened
    server.script.push({ status })
    const seen = await numbers(stream)
    expect(seen.slice(0, -1)).toEqual([0, 1, 2])
    expect(seen.at(-1)).toMatchObject({
      code: status === 404 ? 'not_found' : expect.any(String),
      status,
      sent: 'yes',
      message: expect.stringContaining('GET /responses/{id} via sse, continuing POST /responses'),
    })
    expect(stream.continuity).toBe('unknown')
    expect(paths()).toHaveLength(2)
  })

  it('tells the loss where the server has nothing more before the end', async () => {
    const { server, client } = await setup()
    cutting(server, 3)
    const stream = client.call(run, { input: 'hi' })
    await stream.opened
    server.script.push({ status: 204 })
    const seen = await numbers(stream)
    expect(seen.slice(0, -1)).toEqual([0, 1, 2])
    expect(seen.at(-1)).toMatchObject({ code: 'data_loss' })
  })

  it('shows that loss as a gap, and ends, where gaps are yielded', async () => {
    const { server, client } = await setup()
    cutting(server, 3)
    const stream = client.call(yielding, { input: 'hi' })
    await stream.opened
    server.script.push({ status: 204 })
    expect(await numbers(stream)).toEqual([0, 1, 2, 'gap not_recovered'])
    expect(stream.continuity).toBe('unknown')
  })

  it('takes a clean end before `until` for a drop', async () => {
    const { server, client } = await setup()
    cutting(server, { after: 2, how: 'end' }, { after: 2, how: 'end' })
    expect(await numbers(client.call(run, { input: 'hi' }))).toEqual(all)
  })

  it('ends by a message where continueWith says so, and takes an end before it for a drop', async () => {
    const { server, client } = await setup()
    cutting(server, 2, { after: 1, how: 'end' })
    const plain = { ...map }
    const bare = events('/responses/{id}', plain, {
      query: type<{ starting_after?: string | undefined }>(),
      resume: false,
    })
    const counted = events('/responses', plain, {
      method: 'POST',
      body: type<Prompt>(),
      resume: continueWith(
        bare,
        ({ first, cursor }) =>
          first?.type === 'response.created' ? { id: first.data.response.id, starting_after: cursor } : undefined,
        {
          cursor: (event) => event.data.sequence_number,
          until: (event) => event.type === 'response.output_text.delta' && event.data.sequence_number === 4,
        },
      ),
    })
    expect(await numbers(client.call(counted, { input: 'hi' }))).toEqual([0, 1, 2, 3, 4])
    await server.until(() => server.open === 0)
  })

  it('an until that is asynchronous is no yes: it is told', async () => {
    const { server, client } = await setup()
    cutting(server, 2)
    const plain = { ...map }
    const query = type<{ starting_after?: string | undefined }>()
    const bare = events('/responses/{id}', plain, { query, resume: false })
    const counted = events('/responses', plain, {
      method: 'POST',
      body: type<Prompt>(),
      resume: continueWith(bare, () => undefined, { until: (async () => false) as never }),
    })
    const [error] = (await numbers(client.call(counted, { input: 'hi' }))).slice(-1)
    expect(error).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('the until function of continueWith() must not be async'),
      sent: 'yes',
    })
  })

  it('asks nothing more once its reader has left while it waits, and stops nothing', async () => {
    const { server, client, clock, paths } = await setup(responses, { telemetry: {} })
    cutting(server, 2)
    const stream = client.call(run, { input: 'hi' })
    for await (const event of stream) if (event.data.sequence_number === 1) break
    expect(stream.state).toBe('closed')
    await clock.advance(60_000)
    expect(paths()).toEqual(['POST /responses'])
    expect(server.runs.get('run_1')?.isStopped).toBe(false)
  })

  it('gives the function of the place what the caller wrote, the first and the last message, and how many there were', async () => {
    const { server, client } = await setup()
    cutting(server, 3)
    const places: unknown[] = []
    const seen = events('/responses', map, {
      method: 'POST',
      body: type<Prompt>(),
      until,
      resume: continueWith(
        watch,
        (place) => {
          places.push(place)
          return { id: 'run_1', starting_after: place.cursor }
        },
        { cursor: (event) => event.data.sequence_number },
      ),
    })
    await numbers(client.call(seen, { input: 'hi' }))
    expect(places).toEqual([
      {
        input: { input: 'hi' },
        cursor: '2',
        first: expect.objectContaining({ type: 'response.created' }),
        last: expect.objectContaining({ data: expect.objectContaining({ sequence_number: 2 }) }),
        received: 3,
        head: { status: 200, headers: expect.anything() },
      },
    ])
  })

  it('ends with what the function of the place throws, as an internal error with its cause', async () => {
    const { server, client } = await setup()
    cutting(server, 1)
    const cause = new Error('mine')
    const broken = events('/responses', map, {
      method: 'POST',
      body: type<Prompt>(),
      until,
      resume: continueWith(watch, () => {
        throw cause
      }),
    })
    expect((await numbers(client.call(broken, { input: 'hi' }))).at(-1)).toMatchObject({ code: 'internal', cause })
  })

  it.each<[string, string, () => unknown]>([
    ['that is asynchronous', 'must not be async', async () => Promise.reject(new Error('later'))],
    ['whose input does not fit', 'continuing POST /responses', () => 'resp_1'],
  ])('ends by a function of the place %s, and says that the run was started', async (_how, words, input) => {
    const { server, client } = await setup()
    cutting(server, 1)
    const resume = continueWith(watch, input as never)
    const broken = events('/responses', map, { method: 'POST', body: type<Prompt>(), until, resume })
    expect((await numbers(client.call(broken, { input: 'hi' }))).at(-1)).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining(words),
      sent: 'yes',
    })
  })

  it('refuses a stored cursor, which tells no run: nothing is sent', async () => {
    const { client, paths } = await setup()
    const stream = client.call(run, { input: 'hi' }, { cursor: '3' })
    await expect(stream.opened).rejects.toMatchObject({ code: 'failed_precondition', sent: 'no' })
    expect(paths()).toEqual([])
  })

  it('sends headers of the call to the first operation only', async () => {
    const { server, client } = await setup()
    cutting(server, 2)
    await numbers(client.call(run, { input: 'hi' }, { headers: { 'x-mine': '1' } }))
    expect(server.requests.map(({ headers }) => headers['x-mine'])).toEqual(['1', undefined])
  })

  it('refuses a second operation that is continued itself, and one that does not stream', () => {
    expect(() => continueWith(run, () => ({ input: 'x' }))).toThrow(TypeError)
    expect(() => continueWith(cancel as never, () => undefined)).toThrow('it takes an operation that streams')
  })

  it('fails before anything is sent where the client lacks the transport of the second operation', async () => {
    const server = await RunServer.start(responses)
    const client = createClient({ transports: { sse: sseTransport({ baseUrl: server.origin }) } })
    closers.push(
      () => server.close(),
      () => client.close(),
    )
    const elsewhere = events('/responses/{id}', map, { via: 'other', until })
    const lost = events('/responses', map, {
      method: 'POST',
      body: type<Prompt>(),
      resume: continueWith(elsewhere, () => ({ id: 'x' })),
    })
    const call = () => client.call(lost as never, { input: 'hi' }) as Stream<unknown>
    expect(call).toThrow(expect.objectContaining({ code: 'failed_precondition', sent: 'no' }))
    expect(server.requests).toEqual([])
  })
})
