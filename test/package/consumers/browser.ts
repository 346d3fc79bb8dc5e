// A browser app: the DOM's own types fit where Polywire takes signals, headers and bodies.
import { createClient, type } from 'polywire'
import { createEventSource, EventSource as Source } from 'polywire/event-source'
import { createFetch } from 'polywire/fetch'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'

const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: '/v1', credentials: 'include', http: 'fetch' }),
    graphql: graphqlTransport({ url: '/graphql' }),
    'grpc-web': grpcWebTransport({ baseUrl: '/rpc' }),
  },
})

const api = client.bind({
  get: get('/users/{id}', { output: type<{ name: string }>() }),
  upload: post('/files', { shape: 'nested', body: type<Blob>(), output: type<{ id: string }>() }),
  find: query<{ user: { name: string } }, { id: string }>('query Find($id: ID!) { user(id: $id) { name } }'),
})

export async function use(controller: AbortController): Promise<string> {
  const { headers } = await api.get.reply(
    { id: 1 },
    { signal: controller.signal, headers: new Headers({ accept: '*/*' }) },
  )
  const { id } = await api.upload({ body: new Blob(['text']) })
  const { user } = await api.find({ id }, { signal: AbortSignal.timeout(1000), deadline: new Date() })
  return `${headers.get('etag')} ${user.name}`
}

// The face stands wherever the platform's fetch stands, and gives its Response.
export const face = createFetch({ origin: 'https://api.example.com' })
const asFetch: typeof fetch = face
globalThis.fetch = createFetch(client).with({ timeoutMs: 5 })
export const status = async (): Promise<number> =>
  (await asFetch('https://api.example.com/a', { method: 'POST' })).status
export const cookies = async (): Promise<string[]> => (await face(new Request('https://a.test'))).headers.getSetCookie()

// The class stands wherever the platform's stands.
globalThis.EventSource = createEventSource(client)
export const source: EventSource = new Source('/events', { withCredentials: true })
source.onmessage = (event: MessageEvent) => event.data
