import OpenAI from 'openai'
import { type Client, continueWith, createClient, hold, type Stream, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { expect } from 'vitest'
import { manualClock } from './manual-clock.ts'
import { a2a, chat, chatParts, durable, durableEvents, responseEvents, responses, taskUpdates } from './run-shapes.ts'
import { seeded } from './seeded.ts'
import { type Run, type RunEvent, RunServer, type Shape } from './servers/run-server.ts'

/** One kind of server in the test: how its runs are made, called, and read. */
interface Kind {
  readonly shape: Shape
  readonly make: (run: Run, random: () => number) => RunEvent[]
  /** A connection is cut after fewer events than this. @defaultValue 40 */
  readonly within?: number
  readonly open: (client: Client<'sse'>, call: number) => Stream<any>
  /** What of a stream counts: each once, in order. */
  readonly read: (seen: unknown[], message: any) => unknown[]
  readonly expected: readonly unknown[]
}

const size = 100
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

const named = type<{ sequence_number: number; response: { id: string } }>()
const responseMap = {
  'response.created': named,
  'response.output_text.delta': type<{ sequence_number: number; delta: string }>(),
  'response.completed': named,
}
const watchResponse = events('/responses/{id}', responseMap, {
  query: type<{ starting_after?: string | undefined }>(),
  resume: false,
  until: 'response.completed',
})
const createResponse = events('/responses', responseMap, {
  method: 'POST',
  body: type<{ input: string }>(),
  until: 'response.completed',
  cursors: 'offset',
  resume: continueWith(
    watchResponse,
    // The head names the run, too: a drop before the first event loses nothing.
    ({ head, cursor }) => ({ id: head?.headers.get('x-run') ?? '', starting_after: cursor }),
    { cursor: (event) => event.data.sequence_number },
  ),
})

interface Part {
  readonly type: string
  readonly delta?: string
}
const isDone = ({ data }: { readonly data: string }) => data === '[DONE]'
const resumeChat = events('/api/chat/{id}/stream', { message: type<Part>() }, { resume: false, until: isDone })
const startChat = events(
  '/api/chat',
  { message: type<Part>() },
  {
    method: 'POST',
    body: type<{ id: string }>(),
    until: isDone,
    resume: continueWith(resumeChat, ({ input }) => ({ id: (input as { id: string }).id }), { replays: true }),
  },
)

interface Update {
  readonly result: {
    readonly kind: string
    readonly id?: string
    readonly final?: boolean
    readonly artifact?: { readonly parts: readonly { readonly text: string }[] }
    readonly artifacts?: readonly { readonly parts: readonly { readonly text: string }[] }[]
    readonly status?: { readonly state: string }
  }
}
interface Rpc {
  readonly jsonrpc: '2.0'
  readonly id: number
  readonly method: string
  readonly params: object
}
const isFinal = ({ data }: { readonly data: Update }) =>
  data.result.final === true || data.result.status?.state === 'completed'
const resubscribe = events('/', { message: type<Update>() }, { method: 'POST', body: type<Rpc>(), resume: false })
const sendMessage = events(
  '/',
  { message: type<Update>() },
  {
    method: 'POST',
    body: type<Rpc>(),
    resume: continueWith(
      resubscribe,
      ({ first, head }) => {
        const id = first?.data.result.id ?? head?.headers.get('x-run')
        return id ? { jsonrpc: '2.0' as const, id: 2, method: 'tasks/resubscribe', params: { id } } : undefined
      },
      { until: isFinal },
    ),
  },
)

const durableMap = {
  data: type<readonly { n: number }[]>(),
  control: type<{ streamNextOffset: string; streamClosed?: boolean }>(),
}
const readStream = events('/streams/{id}', durableMap, {
  query: type<{ offset: string; live: 'sse' }>(),
  resume: false,
})
const startAgent = events('/agents', durableMap, {
  method: 'POST',
  resume: continueWith(
    readStream,
    ({ head, cursor = '-1' }) => ({
      id: head?.headers.get('location')?.split('/').at(-1) ?? '',
      offset: cursor,
      live: 'sse' as const,
    }),
    {
      cursor: (event) => (event.type === 'control' ? event.data.streamNextOffset : undefined),
      until: (event) => event.type === 'control' && event.data.streamClosed === true,
      hold: hold(),
    },
  ),
})

/** The head names the run: where no event has come, nothing else does. */
const withRun =
  (shape: Shape): Shape =>
  (request, server) => {
    const answer = shape(request, server)
    return 'run' in answer ? { ...answer, headers: { ...answer.headers, 'x-run': answer.run.id } } : answer
  }

export const kinds = {
  'OpenAI Responses': {
    shape: withRun(responses),
    make: ({ id }) => responseEvents(id, size - 2),
    open: (client) => client.call(createResponse, { input: 'hi' }),
    read: (seen, { data }) => [...seen, data.sequence_number],
    expected: numbers(size),
  },
  'a resumable chat': {
    // Each connection begins with the first event.
    within: 150,
    shape: chat,
    make: () => chatParts(size - 4),
    open: (client, call) => client.call(startChat, { id: `chat_${call}` }),
    read: (seen, { data }) => [...seen, data.delta ?? data.type],
    expected: ['start', 'text-start', ...numbers(size - 4).map((n) => `${n} `), 'text-end', 'finish'],
  },
  A2A: {
    shape: withRun(a2a),
    make: ({ id }) => taskUpdates(id, size - 2),
    open: (client) =>
      client.call(sendMessage, { jsonrpc: '2.0', id: 1, method: 'message/stream', params: { message: {} } }),
    // A task stands for all before it, an update for itself.
    read: (seen, { data: { result } }: { data: Update }) => {
      const texts = (result.artifact ? [result.artifact] : (result.artifacts ?? [])).flatMap(({ parts }) =>
        parts.map(({ text }) => text),
      )
      return result.kind === 'task' ? texts : [...seen, ...texts]
    },
    expected: numbers(size - 2).map((n) => `${n} `),
  },
  'Durable Streams': {
    shape: durable,
    make: (_run, random) => durableEvents(size, random),
    open: (client) => client.call(startAgent),
    read: (seen, event) => (event.type === 'data' ? [...seen, ...event.data.map(({ n }: { n: number }) => n)] : seen),
    expected: numbers(size),
  },
} satisfies Record<string, Kind>

/** What came of it. */
export interface Outcome {
  readonly calls: number
  readonly started: number
  readonly drops: number
}

/** What becomes of the same calls with openai-node as its docs show it: a loop over the stream of `responses.create`. */
export async function soakOpenai(calls: number, seed: number) {
  const kind: Kind = kinds['OpenAI Responses']
  const random = seeded(seed)
  const server = await RunServer.start(kind.shape)
  server.make = (run) => kind.make(run, random)
  server.cut = () => ({ after: Math.floor(random() ** 2 * 40), how: random() < 0.5 ? 'reset' : 'torn' })
  const openai = new OpenAI({ baseURL: server.origin, apiKey: 'none' })
  const outcome = { whole: 0, lost: 0, failed: 0 }
  for (let call = 0; call < calls; call++) {
    let seen = 0
    try {
      for await (const _ of await openai.responses.create({ model: 'any', input: 'hi', stream: true })) seen++
    } catch {
      outcome.failed++
    }
    if (seen === kind.expected.length) outcome.whole++
    else outcome.lost += kind.expected.length - seen
  }
  const { started } = server
  await server.close()
  return { ...outcome, started }
}

/** Calls, one after the other, whose connections are cut at random until there were so many drops. */
export async function soakContinue(name: keyof typeof kinds, drops: number, seed: number): Promise<Outcome> {
  const kind: Kind = kinds[name]
  const random = seeded(seed)
  const server = await RunServer.start(kind.shape)
  server.make = (run) => kind.make(run, random)
  server.cut = () => {
    if (server.drops >= drops) return undefined
    return { after: Math.floor(random() ** 2 * (kind.within ?? 40)), how: random() < 0.5 ? 'reset' : 'torn' }
  }
  const clock = manualClock()
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl: server.origin }) },
    clock,
    telemetry: {
      event: (event) => event.type === 'resume' && setTimeout(() => void clock.advance(event.waitMs + 1), 0),
    },
  })
  let calls = 0
  for (; server.drops < drops; calls++) {
    let seen: unknown[] = []
    for await (const message of kind.open(client, calls)) seen = kind.read(seen, message)
    expect(seen, `${name}, seed ${seed}, call ${calls}`).toEqual(kind.expected)
  }
  const { started } = server
  await client.close()
  await server.close()
  return { calls, started, drops: server.drops }
}
