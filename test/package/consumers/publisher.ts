// A package that publishes its contract and its bound client: both can be named in declarations (no TS2742, no TS7056).

import type { Message } from '@bufbuild/protobuf'
import type { GenMessage, GenService } from '@bufbuild/protobuf/codegenv2'
import { type Api, adapt, createClient, type InputOf, type OutputOf, type } from 'polywire'
import { graphqlTransport, mutation, query, subscription } from 'polywire/graphql'
import { grpcWebTransport, rpc, service } from 'polywire/grpc-web'
import { cursorPages, del, get, openapi, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, request, websocketTransport } from 'polywire/websocket'

interface User {
  id: number
  name: string
}
interface Page {
  users: User[]
  next_cursor?: string
}
interface paths {
  '/repos/{owner}': {
    get: {
      parameters: { path: { owner: string } }
      responses: {
        200: { content: { 'application/json': User } }
        404: { content: { 'application/json': { message: string } } }
      }
    }
  }
}
type Ask = Message<'publisher.Ask'> & { id: string }
type Answer = Message<'publisher.Answer'> & { name: string }
declare const Service: GenService<{
  find: { methodKind: 'unary'; input: GenMessage<Ask>; output: GenMessage<Answer> }
  watch: { methodKind: 'server_streaming'; input: GenMessage<Ask>; output: GenMessage<Answer> }
  upload: { methodKind: 'client_streaming'; input: GenMessage<Ask>; output: GenMessage<Answer> }
  talk: { methodKind: 'bidi_streaming'; input: GenMessage<Ask>; output: GenMessage<Answer> }
}>

export const contract = {
  users: {
    get: get('/users/{id}', { output: type<User>(), errors: { 404: type<{ message: string }>() } }),
    list: get('/users', { output: type<Page>(), paginate: cursorPages({ items: 'users', next: 'next_cursor' }) }),
    create: post('/users', { shape: 'nested', body: type<{ name: string }>(), output: type<User>() }),
    remove: del('/users/{id}'),
    repo: openapi<paths>().get('/repos/{owner}'),
    named: adapt(get('/users/{id}', { output: type<User>() }), { output: (user) => user.name }),
  },
  graphql: {
    find: query<{ user: User }, { id: string }>('query Find($id: ID!) { user(id: $id) { name } }'),
    rename: mutation('mutation ($name: String!) { rename(name: $name) }', {
      variables: type<{ name: string }>(),
      output: type<{ rename: string }>(),
    }),
    changes: subscription<{ changed: User }>('subscription { changed { name } }'),
  },
  rpc: {
    find: rpc(Service.method.find),
    watch: rpc(Service.method.watch),
    upload: rpc(Service.method.upload),
    talk: rpc(Service.method.talk),
  },
  service: service(Service),
  watch: events('/orders/{id}/events', { placed: type<{ total: number }>() }),
  chat: channel('chat:{room}', { send: type<string>(), receive: type<string>() }),
  history: request('history:{room}', { input: type<{ limit: number }>(), output: type<string[]>() }),
}

export const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: 'https://example.com' }),
    graphql: graphqlTransport({ url: 'https://example.com/graphql' }),
    'grpc-web': grpcWebTransport({ baseUrl: 'https://example.com' }),
    sse: sseTransport({ baseUrl: 'https://example.com' }),
    websocket: websocketTransport({ url: 'wss://example.com' }),
  },
})

export const api = client.bind(contract)
export type PublishedApi = Api<typeof contract>
export type GetInput = InputOf<typeof contract.users.get>
export type GetOutput = OutputOf<typeof contract.users.get>
export const same: PublishedApi = api
