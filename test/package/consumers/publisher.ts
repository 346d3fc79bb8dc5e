// A package that publishes its contract and its bound client: both can be named in declarations (no TS2742, no TS7056).
import { type Api, createClient, type InputOf, type OutputOf, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'

export const contract = {
  users: {
    get: get('/users/{id}', { output: type<{ name: string }>() }),
    find: query<{ user: { name: string } }, { id: string }>('query Find($id: ID!) { user(id: $id) { name } }'),
  },
  watch: events('/orders/{id}/events', { placed: type<{ total: number }>() }),
  chat: channel('chat:{room}', { send: type<string>(), receive: type<string>() }),
}

export const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: 'https://example.com' }),
    graphql: graphqlTransport({ url: 'https://example.com/graphql' }),
    sse: sseTransport({ baseUrl: 'https://example.com' }),
    websocket: websocketTransport({ url: 'wss://example.com' }),
  },
})

export const api = client.bind(contract)
export type PublishedApi = Api<typeof contract>
export type GetInput = InputOf<typeof contract.users.get>
export type GetOutput = OutputOf<typeof contract.users.get>
export const same: PublishedApi = api
