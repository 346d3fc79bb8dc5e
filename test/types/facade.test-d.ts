/** The facade over all five protocols: what it refuses, and one call site whatever the protocol. */
import {
  type Api,
  adapt,
  createClient,
  type InputOf,
  type Interceptor,
  type Operation,
  type OutputOf,
  type PathValue,
  type Transport,
  type,
  type Unary,
  type UnaryResult,
} from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'
import { type Item, ShopService } from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void

interface User {
  id: number
  name: string
}

const baseUrl = 'https://api.example.com'
const client = createClient({
  transports: {
    rest: restTransport({ baseUrl }),
    billing: restTransport({ baseUrl }),
    graphql: graphqlTransport({ url: `${baseUrl}/graphql` }),
    'grpc-web': grpcWebTransport({ baseUrl }),
    sse: sseTransport({ baseUrl }),
    websocket: websocketTransport({ url: 'wss://rt.example.com' }),
  },
})
const small = createClient({ transports: { rest: restTransport({ baseUrl }), sse: sseTransport({ baseUrl }) } })
const getUser = get('/users/{id}', { output: type<User>() })

export function missingTransports() {
  small.bind({ a: { ok: getUser } })
  // @ts-expect-error no 'grpc-web'
  small.bind({ a: { place: rpc(ShopService.method.getItem) } })
  const contract = { a: { place: rpc(ShopService.method.getItem) } }
  // @ts-expect-error no 'grpc-web', in a contract declared elsewhere
  small.bind(contract)
  // @ts-expect-error no 'billing'
  small.bind({ bill: get('/x', { via: 'billing' }) })
  const bill = get('/x', { via: 'billing' })
  // @ts-expect-error no 'billing', declared elsewhere
  small.bind({ bill })
  // @ts-expect-error no 'grpc-web', through call
  small.call(rpc(ShopService.method.getItem), { id: 1n })
  // @ts-expect-error no 'websocket'
  small.bind({ chat: channel('chat:{room}', { send: type<string>(), receive: type<string>() }) })
  // @ts-expect-error no 'graphql'
  small.bind({ find: query('{ a }', { output: type<{ a: 1 }>() }) })
  // @ts-expect-error no 'grpc-web', behind adapt
  small.bind({ a: adapt(rpc(ShopService.method.getItem), {}) })
  // @ts-expect-error no 'graphql', behind adapt, declared elsewhere
  small.bind({ a: adapt(query('{ a }', { output: type<{ a: 1 }>() }), { output: (data: { a: 1 }) => data.a }) })
}

export async function calls() {
  const api = client.bind({
    users: { get: getUser },
    bill: get('/bills/{id}', { via: 'billing', output: type<number>() }),
  })
  same<typeof api.users.get, Unary<{ id: PathValue }, User>>(true)
  const user = await api.users.get({ id: 42 }, { timeoutMs: 100 })
  same<typeof user, User>(true)
  const result = await api.users.get.reply({ id: 42 })
  same<typeof result, UnaryResult<User>>(true)
  same<Awaited<ReturnType<typeof api.bill>>, number>(true)
  const called = await client.call(getUser, { id: 42 })
  same<typeof called, User>(true)
  // @ts-expect-error 'id' is required
  await api.users.get({})
  // @ts-expect-error an input is required
  await api.users.get()
  // @ts-expect-error no such name
  await api.users.get({ id: 1, nope: 2 })
  // @ts-expect-error 'id' is required through call, too
  await client.call(getUser, {})
  // @ts-expect-error no such name through call, either
  await client.call(getUser, { id: 1, nope: 2 })
  // @ts-expect-error no such option
  await api.users.get({ id: 1 }, { timeout: 5 })
}

/** One call site, four protocols. */
export async function swap() {
  const rest = client.bind({
    get: get('/items/{id}', { input: type<{ id: bigint }>(), output: type<{ name: string }>() }),
  })
  const site = async (bound: typeof rest) => {
    const item: { name: string } = await bound.get({ id: 42n })
    return item.name + (await bound.get.reply({ id: 42n })).message.name
  }
  await site(client.bind({ get: rpc(ShopService.method.getItem) }))
  const find = query('query ($id: ID!) { item(id: $id) { name } }', {
    variables: type<{ id: string }>(),
    output: type<{ item: { name: string } }>(),
  })
  const adapted = adapt(find, {
    input: (input: { id: bigint }) => ({ id: String(input.id) }),
    output: (data) => data.item,
  })
  await site(client.bind({ get: adapted }))
  const watch = adapt(events('/users/{id}/events', { user: type<User>() }), { output: (event) => event.data })
  for await (const user of client.bind({ watch }).watch({ id: 1 })) same<typeof user, User>(true)
}

/** As TanStack Query 5 declares them. */
interface MutationFunctionContext {
  client: { getQueryData(key: readonly unknown[]): unknown; clear(): void }
  meta: Record<string, unknown> | undefined
  mutationKey?: readonly unknown[]
}
interface QueryFunctionContext {
  client: MutationFunctionContext['client']
  queryKey: readonly unknown[]
  signal: AbortSignal
  meta: Record<string, unknown> | undefined
}
declare function useMutation<TData = unknown, TError = Error, TVariables = void>(options: {
  mutationFn?: (variables: TVariables, context: MutationFunctionContext) => Promise<TData>
  onError?: (error: TError) => unknown
}): { data: TData | undefined; mutate: (variables: TVariables) => void }
declare function useQuery<TData = unknown>(options: {
  queryKey: readonly unknown[]
  queryFn?: (context: QueryFunctionContext) => TData | Promise<TData>
}): { data: TData | undefined }

export function tanstack() {
  const api = client.bind({
    create: post('/users', { body: type<{ name: string }>(), output: type<User>() }),
    touch: post('/touch'),
    getUser,
    item: rpc(ShopService.method.getItem),
  })
  const create = useMutation({ mutationFn: api.create })
  same<typeof create.data, User | undefined>(true)
  create.mutate({ name: 'Ada' })
  // @ts-expect-error another type
  create.mutate({ name: 7 })
  useMutation({ mutationFn: api.touch }).mutate(undefined)
  useMutation({ mutationFn: api.item }).mutate({ id: 7n })
  useMutation({ mutationFn: api.create.reply }).data?.message.name
  const user = useQuery({ queryKey: ['user', 7], queryFn: ({ signal }) => api.getUser({ id: 7 }, { signal }) })
  same<typeof user.data, User | undefined>(true)
  useQuery({ queryKey: ['user', 7], queryFn: () => api.getUser({ id: 7 }) })
  // @ts-expect-error the context of a query is no input
  useQuery({ queryKey: ['user'], queryFn: api.getUser })
}

export function publishers() {
  const contract = { users: { get: getUser }, item: rpc(ShopService.method.getItem) }
  same<Api<typeof contract>['users']['get'], Unary<{ id: PathValue }, User>>(true)
  same<InputOf<typeof getUser>, { id: PathValue }>(true)
  same<OutputOf<typeof getUser>, User>(true)
  same<OutputOf<typeof contract.item>, Item>(true)
  const explicit: Operation<'rest', Unary<{ id: PathValue }, User>> = getUser
  void explicit
}

export function parts() {
  const passing: Interceptor = async (call, next) => {
    const reply = await next(call.withHeaders({ 'x-a': 'b' }))
    if (reply.kind === 'stream') reply.messages.tap((item) => item)
    return reply
  }
  createClient({ transports: {}, interceptors: [passing] })
  createClient({ transports: {}, interceptors: (defaults) => [passing, ...defaults] })
  // @ts-expect-error no Reply
  createClient({ transports: {}, interceptors: [async () => 5] })
  const custom: Transport<'mine'> = { protocol: 'mine', send: () => Promise.reject(), close: async () => {} }
  createClient({ transports: { custom } })
  // @ts-expect-error no transport
  createClient({ transports: { custom: {} } })
}
