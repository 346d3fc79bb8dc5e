// A Node program: @types/node and no DOM.
import { createClient, type } from 'polywire'
import { createEventSource, EventSource } from 'polywire/event-source'
import { createFetch } from 'polywire/fetch'
import { graphqlTransport } from 'polywire/graphql'
import { grpcWebTransport } from 'polywire/grpc-web'
import { get, restTransport } from 'polywire/rest'

const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: process.env.BASE_URL ?? 'http://127.0.0.1', http: 'undici' }),
    graphql: graphqlTransport({ url: 'http://127.0.0.1/graphql' }),
    'grpc-web': grpcWebTransport({ baseUrl: 'http://127.0.0.1' }),
  },
})
const api = client.bind({ get: get('/users/{id}', { output: type<{ name: string }>() }) })

export async function use(controller: AbortController): Promise<string> {
  const { name } = await api.get({ id: 1 }, { signal: controller.signal, headers: new Headers() })
  await client.close()
  return name
}

// The face stands wherever the platform's fetch stands, and gives its Response.
export const face = createFetch({ origin: 'https://api.example.com' })
const asFetch: typeof fetch = face
globalThis.fetch = createFetch(client).with({ timeoutMs: 5 })
export const status = async (): Promise<number> =>
  (await asFetch('https://api.example.com/a', { method: 'POST' })).status
export const cookies = async (): Promise<string[]> => (await face(new Request('https://a.test'))).headers.getSetCookie()

// Node has EventTarget and MessageEvent.
export const source: EventTarget = new EventSource('https://api.example.com/events')
export const latest = new Promise<MessageEvent>((resolve) => {
  ;new (createEventSource(client))('https://api.example.com/events').addEventListener('message', resolve)
})
