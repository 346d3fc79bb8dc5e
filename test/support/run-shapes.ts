import { type RunEvent, type Shape, sse } from './servers/run-server.ts'

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
