// Values of the public factories, exported by a library: each type that they infer has a public name (no TS4023).

import {
  attemptSpan,
  auth,
  Context,
  callSpan,
  conflate,
  createClient,
  createContextKey,
  deadline,
  defineOperation,
  defineStream,
  HeaderMap,
  idempotencyKey,
  indexedDbStore,
  makeBound,
  memoryStore,
  type Operation,
  optional,
  processes,
  redisStore,
  resume,
  retry,
  Source,
  storedCursor,
  tabs,
  type,
  type Unary,
} from 'polywire'
import {
  apiKeyAuth,
  awsSigV4,
  basicAuth,
  bearerAuth,
  digestAuth,
  messageSignatures,
  sessionAuth,
  signedAuth,
} from 'polywire/auth'
import { conflate as conflateSubscription, graphqlTransport, query, subscription } from 'polywire/graphql'
import { decodeBinaryHeader, grpcDetails, grpcWebTransport } from 'polywire/grpc-web'
import {
  authorizationCode,
  authorizationServer,
  clientCredentials,
  clientSecretPost,
  deviceCode,
  dpop,
  oauthAuth,
  privateKeyJwt,
  refreshTokens,
} from 'polywire/oauth'
import { cursorPages, del, get, head, multipart, openapi, patch, post, put, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { memoryTransport, storeConformance, virtualClock } from 'polywire/testing'
import {
  channel,
  classifyClose,
  conflate as conflateChannel,
  plainJson,
  request,
  websocketTransport,
} from 'polywire/websocket'

interface User {
  id: number
}
interface paths {
  '/users': {
    get: {
      parameters: { query?: never }
      requestBody?: never
      responses: { 200: { content: { 'application/json': User[] } } }
    }
  }
}

export const latest = conflate((user: User) => user.id)
export const latestOfSubscription = conflateSubscription((user: User) => user.id)
export const latestOfChannel = conflateChannel((user: User) => user.id)
export const bound = makeBound({ policy: latest, toError: () => new Error('full') })
export const source = new Source()
export const key = createContextKey<string>('tenant')
export const context = Context.empty
export const headers = HeaderMap.from([['a', 'b']])
export const store = memoryStore()
export const browserStore = indexedDbStore()
export const redis = redisStore({ get: async () => null, eval: async () => 1, publish: async () => 0 })
export const sharedByProcesses = processes(redis, 'shop')
export const sharedByTabs = tabs('shop')
export const storeCases = storeConformance(() => redis)
export const cursor = storedCursor(store, 'orders')
export const witness = type<User>()
export const maybe = optional(witness)
export const own = defineOperation<Operation<'mine', Unary<{ id: number }, User>>>({
  name: 'own',
  protocol: 'mine',
  via: 'mine',
  kind: 'unary',
  isIdempotent: true,
  binding: undefined,
})
export const define = defineStream
export const chain = [callSpan, attemptSpan, auth, deadline, idempotencyKey, resume, retry]
export const factories = { callSpan, attemptSpan, auth, deadline, idempotencyKey, resume, retry }

export const tokens = bearerAuth(() => 'token')
export const basic = basicAuth({ username: 'a', password: 'b' })
export const apiKey = apiKeyAuth('k', { header: 'x-api-key' })

export const rest = restTransport({ baseUrl: 'https://api.example.com' })
export const builders = { get, head, post, put, patch, del }
export const pager = cursorPages({ items: 'users', next: 'next' })
export const form = multipart({ a: 'b' })
export const api = openapi<paths>()
export const listed = api.get('/users')
export const nested = post('/users/{id}', { shape: 'nested', body: type<User>(), output: maybe })
export const flat = get('/users/{id}', { query: type<{ q?: string }>(), errors: { 404: type<{ message: string }>() } })
export const pages = get('/users', { output: type<{ users: User[] }>(), paginate: pager })

export const graphql = graphqlTransport({ url: 'https://api.example.com/graphql' })
export const find = query<{ user: User }, { id: string }>('query ($id: ID!) { user(id: $id) { id } }')
export const changes = subscription<{ user: User }>('subscription { user { id } }', { overflow: latestOfSubscription })
export const grpc = grpcWebTransport({ baseUrl: 'https://rpc.example.com' })
export const decode = decodeBinaryHeader
export const details = grpcDetails
export const sse = sseTransport({ baseUrl: 'https://api.example.com' })
export const watch = events('/users/{id}/events', { changed: type<User>() }, { query: type<{ since?: string }>() })
export const websocket = websocketTransport({ url: 'wss://rt.example.com' })
export const chat = channel('chat:{room}', { send: type<string>(), receive: type<User>(), overflow: latestOfChannel })
export const ask = request('ask', { input: type<{ a: 1 }>(), output: type<User>() })
export const wire = plainJson()
export const classify = classifyClose
export const memory = memoryTransport({ handle: () => ({ id: 1 }) } as never)
export const clock = virtualClock()
export const client = createClient({ transports: { rest, graphql, sse, websocket, 'grpc-web': grpc }, auth: tokens })
export const bindings = client.bind({ flat, nested, pages, listed, watch, chat, ask, find, changes })

export const login = authorizationServer({ issuer: 'https://login.example.com', clientId: 'app', dpop: dpop() })
export const machine = clientCredentials(login)
export const user = authorizationCode(login, { redirectUri: 'https://example.com' })
export const kept = refreshTokens(login, { tokens: { accessToken: 'a' } })
export const device = deviceCode(login, { onCode: () => undefined })
export const proofs = [clientSecretPost('s'), privateKeyJwt({} as CryptoKey)]
export const keys = dpop()
export const credentials = [
  oauthAuth(machine),
  digestAuth({ username: 'me', password: 's' }),
  signedAuth({ sign: () => ({}) }),
  messageSignatures({ key: new Uint8Array(32), keyId: 'k' }),
  awsSigV4({ credentials: { accessKeyId: 'a', secretAccessKey: 'b' }, region: 'r', service: 's3' }),
]
export const session = sessionAuth()
