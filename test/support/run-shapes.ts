import { type Run, type RunEvent, type Shape, sse } from './servers/run-server.ts'

/** `POST /responses`, `GET /responses/{id}?starting_after=n`, `POST /responses/{id}/cancel`, as OpenAI's API has them. */
export const responses: Shape = ({ method, path, query }, server) => {
  const write = ({ type, data }: RunEvent) => sse(data, type)
  if (method === 'POST' && path === '/responses') return { run: server.begin(), from: 0, write }
  const [, , id = '', action] = path.split('/')
  const run = server.runs.get(id)
  if (!run) return { status: 404, body: { error: { code: 'not_found' } } }
  if (method === 'GET') return { run, from: Number(query.get('starting_after') ?? -1) + 1, write }
  if (action !== 'cancel') return { status: 405 }
  run.isStopped = true
  return { status: 200, body: { id, status: 'cancelled' } }
}

/** The events of such a run: created, so many deltas, completed; all bear a `sequence_number`, no event has an id. */
export function responseEvents(id: string, deltas: number): RunEvent[] {
  const types = ['response.created', ...Array(deltas).fill('response.output_text.delta'), 'response.completed']
  return types.map((type: string, n) => ({
    type,
    data: {
      type,
      sequence_number: n,
      ...(type === 'response.output_text.delta' ? { delta: `${n} ` } : { response: { id } }),
    },
  }))
}

/** `POST /api/chat`, `GET /api/chat/{id}/stream`, as the AI SDK's resumable chat has them: no ids, replayed from the start, 204 once it is over. */
export const chat: Shape = ({ method, path, body }, server) => {
  const write = ({ data }: RunEvent) => sse(data)
  const headers = { 'x-vercel-ai-ui-message-stream': 'v1' }
  const tail = sse('[DONE]')
  if (method === 'POST' && path === '/api/chat') return { run: server.begin(body.id), from: 0, write, headers, tail }
  const run = server.runs.get(path.split('/')[3] ?? '')
  if (!run || run.isForgotten) return { status: 204 }
  return { run, from: 0, write, headers, tail }
}

/** The parts of such an answer: start, so many deltas of one text, finish. */
export function chatParts(deltas: number): RunEvent[] {
  const text = (type: string, delta?: string) => ({
    type: 'message',
    data: { type, id: 'text-1', ...(delta && { delta }) },
  })
  return [
    { type: 'message', data: { type: 'start', messageId: 'msg_1' } },
    text('text-start'),
    ...Array.from({ length: deltas }, (_, n) => text('text-delta', `${n} `)),
    text('text-end'),
    { type: 'message', data: { type: 'finish' } },
  ]
}

/** JSON-RPC over one path, as A2A has it: `message/stream` starts a task, `tasks/resubscribe` tells where it is and goes on; no cursors. */
export const a2a: Shape = ({ body }, server) => {
  const { id, method, params } = body
  const answer = (result: unknown) => sse({ jsonrpc: '2.0', id, result })
  const write = ({ data }: RunEvent) => answer(data)
  if (method === 'message/stream') return { run: server.begin(), from: 0, write }
  const run = server.runs.get(params.id)
  if (method !== 'tasks/resubscribe' || !run)
    return { status: 200, body: { jsonrpc: '2.0', id, error: { code: -32001, message: 'Task not found' } } }
  // What was is told by the task, what comes by updates.
  return { run, from: run.events.length, write, head: answer(taskOf(run)) }
}

interface TaskUpdate {
  readonly kind: string
  readonly artifact?: { readonly parts: readonly { readonly text: string }[] }
  readonly status?: { readonly state: string }
}

function taskOf(run: Run): object {
  const updates = run.events.map(({ data }) => data as TaskUpdate)
  const parts = updates.flatMap(({ kind, artifact }) => (kind === 'artifact-update' ? (artifact?.parts ?? []) : []))
  const status = updates.findLast((each) => each.status)?.status
  return { kind: 'task', id: run.id, status, artifacts: [{ artifactId: 'a', parts }] }
}

/** The events of such a task: the task, so many chunks of one artifact, the final status. */
export function taskUpdates(id: string, chunks: number): RunEvent[] {
  const events = [
    { kind: 'task', id, status: { state: 'working' }, artifacts: [] },
    ...Array.from({ length: chunks }, (_, n) => ({
      kind: 'artifact-update',
      taskId: id,
      append: n > 0,
      artifact: { artifactId: 'a', parts: [{ kind: 'text', text: `${n} ` }] },
    })),
    { kind: 'status-update', taskId: id, status: { state: 'completed' }, final: true },
  ]
  return events.map((data) => ({ type: 'message', data }))
}

/**
 * `POST /agents` starts a run and answers with its stream, which is a Durable Stream: `GET /streams/{id}?offset=o&live=sse`
 * gives `data` events, each followed by a `control` event with the offset behind it.
 */
export const durable: Shape = ({ method, path, query }, server) => {
  const write = ({ data, type }: RunEvent) => sse(data, type)
  if (method === 'POST') {
    const run = server.begin()
    return { run, from: 0, write, headers: { location: `/streams/${run.id}` } }
  }
  const run = server.runs.get(path.split('/')[2] ?? '')
  if (!run) return { status: 404 }
  const offset = query.get('offset') ?? '-1'
  // Offsets are opaque; this server writes them so that they sort, as the protocol asks.
  return { run, from: offset === '-1' ? 0 : Number(offset.split('_')[1]), write }
}

/** So many messages, some of them together in one `data` event, and the end. */
export function durableEvents(messages: number, random: () => number): RunEvent[] {
  const events: RunEvent[] = []
  for (let n = 0; n < messages; ) {
    // A server may write several data events before it says the offset.
    for (let group = 1 + Math.floor(random() * 3); group > 0 && n < messages; group--)
      events.push({ type: 'data', data: [{ n: n++ }] })
    const at = String(events.length + 1).padStart(16, '0')
    const control = { streamNextOffset: `0_${at}`, streamCursor: '1', upToDate: n >= messages }
    events.push({ type: 'control', data: n < messages ? control : { ...control, streamClosed: true } })
  }
  return events
}
