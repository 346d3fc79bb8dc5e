import type { MessageInitShape } from '@bufbuild/protobuf'
import {
  adapt,
  type Channel,
  type ClientStream,
  createClient,
  type Duplex,
  type Gap,
  type InputOf,
  type LongRunning,
  type NoInput,
  type Operation,
  type OutputOf,
  type Paged,
  type Stream,
  type Unary,
} from 'polywire'
import {
  type AnyMessage,
  connectTransport,
  cursorPages,
  type GrpcDetail,
  grpcDetail,
  grpcDetails,
  grpcWebTransport,
  longRunning,
  rpc,
  service,
  unaryRpc,
} from 'polywire/grpc-web'
import { get, restTransport } from 'polywire/rest'
import { expect, expectTypeOf, test } from 'vitest'
import { Operations } from '../support/proto/gen/google/longrunning/operations_pb.ts'
import {
  type ExportProgress,
  ExportProgressSchema,
  type ExportRequestSchema,
  type ExportResult,
  ExportResultSchema,
  JobService,
} from '../support/proto/gen/polywire/test/v1/jobs_pb.ts'
import {
  type ChatMessage,
  type ChatMessageSchema,
  type ImportItemsResponse,
  type Item,
  type ItemEvent,
  ItemSchema,
  type ListItemsResponse,
  ShopService,
} from '../support/proto/gen/polywire/test/v1/shop_pb.ts'

const client = createClient({
  transports: {
    'grpc-web': grpcWebTransport({ baseUrl: 'https://rpc.example.com', framing: 'own', credentials: 'include' }),
    billing: connectTransport({ transport: { unary: async () => ({}) as never, stream: async () => ({}) as never } }),
  },
})
const { getItem, addItem, listItems, watchItems, importItems, chat } = ShopService.method

test('kind and types come from the descriptor', () => {
  const api = client.bind({
    get: rpc(getItem),
    add: rpc(addItem, { idempotency: 'google', retry: false }),
    watch: rpc(watchItems),
    import: rpc(importItems, { idempotent: true }),
    chat: rpc(chat, { sendQueue: { maxMessages: 10 } }),
  })
  expectTypeOf(api.get({ id: 1n })).resolves.toEqualTypeOf<Item>()
  expectTypeOf(api.get()).resolves.toEqualTypeOf<Item>()
  expectTypeOf(api.add).toEqualTypeOf<Unary<MessageInitShape<typeof ItemSchema>, Item>>()
  expectTypeOf(api.watch({ after: 1n })).toEqualTypeOf<Stream<ItemEvent>>()
  expectTypeOf(api.import).toEqualTypeOf<ClientStream<MessageInitShape<typeof ItemSchema>, ImportItemsResponse>>()
  expectTypeOf(api.import([{ id: 1n }])).resolves.toEqualTypeOf<ImportItemsResponse>()
  expectTypeOf(api.chat).toEqualTypeOf<Channel<NoInput, MessageInitShape<typeof ChatMessageSchema>, ChatMessage>>()
  expectTypeOf(api.chat()).toEqualTypeOf<Duplex<MessageInitShape<typeof ChatMessageSchema>, ChatMessage>>()
  expectTypeOf(api.get.reply({ id: 1n }))
    .resolves.toHaveProperty('message')
    .toEqualTypeOf<Item>()

  // @ts-expect-error a number where an int64 is a bigint
  api.get({ id: 1 })
  // @ts-expect-error a field that the message lacks
  api.get({ ident: 1n })
  // @ts-expect-error one message where many are expected
  api.import({ id: 1n })
})

test('gaps stand among the messages where they are asked for', () => {
  const api = client.bind({ gapped: rpc(watchItems, { gaps: 'yield' }), strict: rpc(watchItems, { gaps: 'fail' }) })
  expectTypeOf(api.gapped({ after: 1n })).toEqualTypeOf<Stream<ItemEvent | Gap>>()
  expectTypeOf(api.strict()).toEqualTypeOf<Stream<ItemEvent>>()
  // @ts-expect-error a unary method has no gaps
  rpc(getItem, { gaps: 'yield' })
})

test('a whole service at once', () => {
  const { shop } = client.bind({ shop: service(ShopService) })
  expectTypeOf(shop.getItem({ id: 1n })).resolves.toEqualTypeOf<Item>()
  expectTypeOf(shop.watchItems({})).toEqualTypeOf<Stream<ItemEvent>>()
  const operations = service(ShopService, { via: 'billing' })
  expectTypeOf(operations.getItem).toExtend<Operation<'billing'>>()
  expectTypeOf<InputOf<typeof operations.getItem>>().toEqualTypeOf<Parameters<typeof shop.getItem>[0] & {}>()
  expectTypeOf<OutputOf<typeof operations.watchItems>>().toEqualTypeOf<ItemEvent>()
  // @ts-expect-error what only one method can say
  service(ShopService, { resume: {} })
})

test('pages are checked against the reply', () => {
  const list = rpc(listItems, { paginate: cursorPages({ items: 'items', next: 'nextPageToken' }) })
  const api = client.bind({ list })
  expectTypeOf(api.list.items({ pageSize: 10 })).toEqualTypeOf<Paged<Item>>()
  expectTypeOf(api.list.pages()).toEqualTypeOf<Paged<ListItemsResponse>>()
  // @ts-expect-error 'things' names no list in the output
  rpc(listItems, { paginate: cursorPages({ items: 'things', next: 'nextPageToken' }) })
  const hoisted = cursorPages({ items: 'things', next: 'nextPageToken' })
  // @ts-expect-error the same, declared elsewhere
  rpc(listItems, { paginate: hoisted })
  // @ts-expect-error a stream has no pages
  rpc(watchItems, { paginate: cursorPages({ items: 'items', next: 'nextPageToken' }) })
  const plain = client.bind({ list: rpc(listItems) })
  // @ts-expect-error no pages where none are declared
  plain.list.pages
})

test('what a stream resumes by knows its message and its input', () => {
  rpc(watchItems, {
    gaps: 'yield',
    resume: {
      cursor: (event) => expectTypeOf(event).toEqualTypeOf<ItemEvent>() && String(event.sequence),
      apply: (input, cursor) => ({ ...input, after: BigInt(cursor) }),
    },
  })
  rpc(watchItems, {
    // @ts-expect-error the message has no such field
    resume: { cursor: (event) => event.offset, apply: (input) => input },
  })
  // @ts-expect-error a unary method has nothing to resume
  rpc(getItem, { resume: { cursor: () => '1', apply: (input) => input } })
  // @ts-expect-error no such option
  rpc(getItem, { timeout: 5 })
  // @ts-expect-error a service is no method
  rpc(ShopService)
})

test('a transport that is not there is refused', () => {
  const rest = createClient({ transports: { rest: restTransport({ baseUrl: 'https://example.com' }) } })
  // @ts-expect-error no 'grpc-web'
  rest.bind({ get: rpc(getItem) })
  const contract = { shop: service(ShopService) }
  // @ts-expect-error no 'grpc-web', in a contract declared elsewhere
  rest.bind(contract)
  // @ts-expect-error no 'grpc-web', through call
  rest.call(rpc(getItem), { id: 1n })
  // @ts-expect-error no 'shipping'
  client.bind({ get: rpc(getItem, { via: 'shipping' }) })
  client.bind({ get: rpc(getItem, { via: 'billing' }) })
})

test('one call site, whatever the protocol', async () => {
  const site = async (api: { get: (input: { id: number }) => Promise<{ name: string }> }) =>
    (await api.get({ id: 1 })).name
  const other = createClient({ transports: { rest: restTransport({ baseUrl: 'https://example.com' }) } })
  await site(
    other.bind({
      get: get('/items/{id}', {
        output: { '~standard': {} } as { '~standard': { types?: { input: unknown; output: { name: string } } } },
      }),
    }),
  )
  const byRpc = adapt(rpc(getItem), {
    input: ({ id }: { id: number }) => ({ id: BigInt(id) }),
    output: ({ name }) => ({ name }),
  })
  await site(client.bind({ get: byRpc }))
})

test('details of an error', () => {
  expectTypeOf(grpcDetails(new Error('x'))).toEqualTypeOf<readonly GrpcDetail[]>()
})

test('unaryRpc takes unary methods alone', () => {
  const add = unaryRpc(ShopService.method.addItem)
  expectTypeOf<OutputOf<typeof add>>().toEqualTypeOf<Item>()
  // @ts-expect-error a server stream is declared by rpc()
  expect(() => unaryRpc(ShopService.method.watchItems)).toThrow(TypeError)
})

test('a long-running operation is typed by its messages', () => {
  const start = rpc(JobService.method.export)
  const operations = Operations
  const full = longRunning(start, { operations, result: ExportResultSchema, progress: ExportProgressSchema })
  type Input = MessageInitShape<typeof ExportRequestSchema>
  expectTypeOf(client.bind({ full }).full).toEqualTypeOf<LongRunning<Input, ExportResult, ExportProgress>>()
  expectTypeOf(client.bind({ run: longRunning(start, { operations }) }).run).toEqualTypeOf<
    LongRunning<Input, AnyMessage, AnyMessage>
  >()
  expectTypeOf(client.call(full, { shop: 's' })).resolves.toEqualTypeOf<ExportResult>()
  // @ts-expect-error it gives an Item
  longRunning(rpc(getItem), { operations })
  const item = rpc(getItem)
  // @ts-expect-error it gives an Item
  longRunning(item, { operations })
  // @ts-expect-error the service is needed
  longRunning(start, {})
})

test('a detail is typed by its name or its schema', () => {
  const error: unknown = undefined
  expectTypeOf(grpcDetail(error, ItemSchema)).toEqualTypeOf<Item | undefined>()
  expectTypeOf(grpcDetail(error, 'google.rpc.RetryInfo')?.retryDelayMs).toEqualTypeOf<number | undefined>()
  expectTypeOf(grpcDetail(error, 'google.rpc.BadRequest')?.fieldViolations?.[0]?.field).toEqualTypeOf<
    string | undefined
  >()
  // @ts-expect-error none of google's
  grpcDetail(error, 'acme.Other')
})
