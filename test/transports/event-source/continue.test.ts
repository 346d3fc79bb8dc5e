import { adapt, continueWith, createClient, type Place, poll, stopWith, type TelemetryEvent, type } from 'polywire'
import { createEventSource, EventSource, type EventSourceInput, type EventSourceMessage } from 'polywire/event-source'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { responseEvents, responses } from '../../support/run-shapes.ts'
import { type Cut, type Run, RunServer, type Shape } from '../../support/servers/run-server.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Numbered {
  readonly sequence_number: number
}
const map = {
  'response.created': type<Numbered>(),
  'response.output_text.delta': type<Numbered>(),
  'response.completed': type<Numbered>(),
}
const until = 'response.completed'
const query = type<{ starting_after?: string | undefined }>()
const watch = events('/responses/{id}', map, { query, resume: false, until })
const cancel = post('/responses/{id}/cancel')

/** Texts of the POST, objects of the operation that continues it. */
const numberOf = (data: any): number => (typeof data === 'string' ? JSON.parse(data) : data).sequence_number
const idOf = (data: string): string => JSON.parse(data).response.id

const resume = continueWith(
  watch,
  ({ first, cursor }: Place<EventSourceInput, EventSourceMessage>) =>
    first ? { id: idOf(first.data), starting_after: cursor } : undefined,
  { cursor: ({ data }) => numberOf(data) },
)
const stop = stopWith(cancel, ({ first }: Place<EventSourceInput, EventSourceMessage>) =>
  first ? { id: idOf(first.data) } : undefined,
)

async function setup(shape: Shape = responses) {
  const server = await RunServer.start(shape)
  server.make = ({ id }) => responseEvents(id, 5)
  const clock = manualClock()
  const event = (event: TelemetryEvent) => {
    if (event.type === 'resume') setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const transports = { sse: sseTransport({ baseUrl: server.origin }), rest: restTransport({ baseUrl: server.origin }) }
  const client = createClient({ transports, clock, telemetry: { event } })
  closers.push(
    () => server.close(),
    () => client.close(),
  )
  const paths = () =>
    server.requests.map(({ method, path, query }) => `${method} ${path}${query.size > 0 ? `?${query}` : ''}`)
  return { server, clock, paths, client, EventSource: createEventSource(client), url: `${server.origin}/responses` }
}

function cutting(server: RunServer, ...plan: Cut[]): void {
  server.cut = () => plan.shift()
}

/** What a source tells, in order. */
function follow(source: EventSource) {
  const seen: string[] = []
  let wake = () => {}
  const note = (what: string) => {
    seen.push(what)
    wake()
  }
  source.addEventListener('open', () => note(`open ${source.readyState}`))
  for (const name of Object.keys(map))
    source.addEventListener(name, ({ data }) =>
      note(`${name.split('.').at(-1)} ${numberOf(data)} ${source.readyState}`),
    )
  source.onerror = ({ error }) => note(`error ${source.readyState} ${error.code}`)
  closers.push(() => source.close())
  const until = async (last: string) => {
    while (!seen.includes(last)) await new Promise<void>((resolve) => (wake = resolve))
  }
  return { seen, until }
}

describe('an EventSource that another operation continues', () => {
  it('goes on by it after each drop: each event once, in the order of openings, errors and events', async () => {
    const { server, EventSource, paths, url } = await setup()
    cutting(server, { after: 2, how: 'reset' }, { after: 3, how: 'torn' })
    const source = new EventSource(url, { method: 'POST', body: { input: 'hi' }, resume })
    const { seen, until } = follow(source)
    await until('error 2 failed_precondition')
    expect(seen).toEqual([
      'open 1',
      'created 0 1',
      'delta 1 1',
      'error 0 unavailable',
      'open 1',
      'delta 2 1',
      'delta 3 1',
      'delta 4 1',
      'error 0 unavailable',
      'open 1',
      'delta 5 1',
      'completed 6 1',
      // As the standard has it where a server ends a stream for good.
      'error 2 failed_precondition',
    ])
    expect(paths()).toEqual([
      'POST /responses',
      'GET /responses/run_1?starting_after=1',
      'GET /responses/run_1?starting_after=4',
    ])
    expect(server.started).toBe(1)
  })

  it('is told of the URL and the body of the stream', async () => {
    const { server, EventSource, url } = await setup()
    cutting(server, { after: 1, how: 'reset' })
    const inputs: unknown[] = []
    const told = continueWith(
      watch,
      ({ input }: { readonly input: { readonly url: string; readonly body?: unknown } }) => {
        inputs.push([input.url, input.body])
        return { id: 'run_1', starting_after: '0' }
      },
      { cursor: ({ data }: { readonly data: unknown }) => numberOf(data) },
    )
    const { until } = follow(new EventSource(url, { method: 'POST', body: { input: 'hi' }, resume: told }))
    await until('completed 6 1')
    expect(inputs).toEqual([[url, { input: 'hi' }]])
  })

  it('goes on by polls of a list, whose messages become events with texts', async () => {
    const list: Shape = (request, server) => {
      if (request.method !== 'GET') return responses(request, server)
      const run = server.runs.get('run_1')
      const from = Number(request.query.get('after') ?? -1) + 1
      return { status: 200, body: { items: run?.events.slice(from), done: run?.isOver } }
    }
    const { server, EventSource, url, clock } = await setup(list)
    cutting(server, { after: 2, how: 'reset' })
    interface Page {
      readonly items: readonly (Numbered & { readonly type: string })[]
      readonly done: boolean
    }
    const page = get('/responses/{id}', { query: type<{ after?: string }>(), output: type<Page>() })
    const polled = poll(page, {
      messages: ({ items }) => items,
      cursor: (event) => numberOf((event as any).data),
      apply: (input, after) => ({ ...input, after }),
      until: ({ done }) => done,
    })
    const byPolls = continueWith(
      adapt(polled, { output: (event) => ({ type: event.type, data: (event as any).data }) }),
      (_place: Place<EventSourceInput, EventSourceMessage>) => ({ id: 'run_1' }),
      { cursor: ({ data }) => numberOf(data) },
    )
    const source = new EventSource(url, { method: 'POST', body: {}, resume: byPolls })
    const texts: unknown[] = []
    source.addEventListener('response.output_text.delta', (event) => {
      expect(event).toBeInstanceOf(MessageEvent)
      texts.push(event.data)
    })
    const ticking = setInterval(() => void clock.advance(1000), 5)
    closers.push(() => clearInterval(ticking))
    const { seen, until } = follow(source)
    await until('completed 6 1')
    expect(seen.filter((each) => !each.startsWith('open') && !each.startsWith('error'))).toEqual([
      'created 0 1',
      ...[1, 2, 3, 4, 5].map((n) => `delta ${n} 1`),
      'completed 6 1',
    ])
    expect(texts.every((text) => typeof text === 'string')).toBe(true)
  })

  it('fails where its client has no transport for it, before anything is sent', async () => {
    const { server, url } = await setup()
    const error = await new Promise<any>((resolve) => {
      const source = new EventSource(url, { method: 'POST', body: {}, resume })
      closers.push(() => source.close())
      source.onerror = ({ error }) => resolve(error)
    })
    expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no' })
    expect(error.message).toContain("has no 'sse', which 'GET /responses/{id}' needs")
    expect(server.requests).toEqual([])
  })
})

describe('stop() of an EventSource', () => {
  it.each([
    ['as it is', {}],
    ['that another operation continues', { resume }],
  ])('tells the server once, and a stream %s is closed behind its last event, without an error', async (_, options) => {
    const { server, EventSource, paths, url } = await setup()
    server.isLive = false
    server.make = () => []
    const source = new EventSource(url, { method: 'POST', body: {}, stop, ...options })
    const { seen, until } = follow(source)
    await server.until(() => server.runs.size === 1)
    const run = server.runs.get('run_1') as Run
    const all = responseEvents('run_1', 5)
    server.push(run, all.slice(0, 2))
    await until('delta 1 1')
    await Promise.all([source.stop(), source.stop()])
    expect(run.isStopped).toBe(true)
    server.push(run, all.slice(-1), true)
    await until('completed 6 1')
    while (source.readyState !== 2) await new Promise((resolve) => setTimeout(resolve, 1))
    expect(seen).toEqual(['open 1', 'created 0 1', 'delta 1 1', 'completed 6 1'])
    expect(paths()).toEqual(['POST /responses', 'POST /responses/run_1/cancel'])
  })

  it('that the server refuses leaves the stream as it is', async () => {
    const { server, EventSource, url } = await setup((request, server) =>
      request.path.endsWith('/cancel') ? { status: 409 } : responses(request, server),
    )
    server.isLive = false
    server.make = () => []
    const source = new EventSource(url, { method: 'POST', body: {}, stop })
    const { seen, until } = follow(source)
    await server.until(() => server.runs.size === 1)
    const run = server.runs.get('run_1') as Run
    const all = responseEvents('run_1', 5)
    server.push(run, all.slice(0, 1))
    await until('created 0 1')
    await expect(source.stop()).rejects.toMatchObject({ status: 409 })
    server.push(run, all.slice(1, 2))
    await until('delta 1 1')
    server.push(run, [], true)
    await until('error 2 failed_precondition')
    expect(seen.at(-1)).toBe('error 2 failed_precondition')
  })

  it('is refused where nobody has said how', async () => {
    const { EventSource, url } = await setup()
    const source = new EventSource(url, { method: 'POST', body: {} })
    closers.push(() => source.close())
    await expect(source.stop()).rejects.toMatchObject({ code: 'invalid_argument' })
  })
})
