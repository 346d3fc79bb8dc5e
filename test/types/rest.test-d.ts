/** Usage and refusals of `polywire/rest`. It passes when it compiles; nothing here runs. */
import {
  type Api,
  adapt,
  createClient,
  type HeaderMap,
  type InputOf,
  isCallError,
  type OutputOf,
  optional,
  type Schema,
  type Transport,
  type,
} from 'polywire'
import {
  at,
  type ByteStream,
  byteStream,
  cursorPages,
  del,
  get,
  head,
  method,
  multipart,
  options,
  patch,
  post,
  put,
  query,
  delete as remove,
  restTransport,
} from 'polywire/rest'
import * as v from 'valibot'
import { z } from 'zod'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void
declare const other: Transport

interface User {
  id: number
  name: string
}
interface NewUser {
  name: string
  email?: string
}
/** Stands for a schema whose input and output differ. */
declare const newUserSchema: Schema<{ name: string; age?: number }, { name: string; age: number }>
declare const dateSchema: Schema<string, Date>

const rest = restTransport({ baseUrl: 'https://api.example.com' })
const client = createClient({ transports: { rest, billing: rest } })
const small = createClient({ transports: { rest, sse: other } })
const getUser = get('/users/{id}', {
  output: type<User>(),
  errors: { 404: type<{ gone: boolean }>(), 422: type<{ fields: string[] }>() },
})

const contract = {
  users: {
    get: getUser,
    list: get('/users', {
      query: type<{ status?: 'active' }>(),
      output: type<User[]>(),
      paginate: cursorPages({ next: 'cursor' }),
    }),
    search: get('/search', {
      output: type<{ users: User[]; next?: string }>(),
      paginate: cursorPages({ items: 'users', next: 'next' }),
    }),
    nullable: get('/search', {
      output: type<{ users: User[] | null }>(),
      paginate: cursorPages({ items: 'users', next: 'next' }),
    }),
    find: get('/find', {
      output: type<{ a: { users: User[] } }>(),
      paginate: cursorPages({ items: (page: { a: { users: User[] } }) => page.a.users, next: 'next' }),
    }),
    create: post('/users', { body: newUserSchema, output: dateSchema }),
    both: post('/users/{id}', { input: type<{ id: number; name: string; dryRun?: boolean }>(), query: ['dryRun'] }),
    nested: put('/users/{id}', { shape: 'nested', query: type<{ id?: string }>(), body: type<{ id: number }>() }),
    ping: get('/ping'),
    bill: get('/bills/{id}', { via: 'billing', output: type<User>() }),
    head: head('/users/{id}'),
    remove: remove('/users/{id}'),
    text: get('/text', { response: 'text' }),
    bytes: get('/bytes', { response: 'bytes' }),
    stream: get('/stream', { response: byteStream }),
    named: get('/stream', { response: 'stream' }),
    json: get('/json', { response: 'json' }),
    said: get('/said', { response: 'text', output: type<'yes' | 'no'>() }),
    zod: post('/zod/{id}', {
      body: z.object({ at: z.coerce.date(), n: z.number().default(1) }),
      output: z.object({ n: z.string().transform(Number) }),
    }),
    valibot: get('/valibot', {
      query: v.object({ n: v.pipe(v.number(), v.minValue(1)), q: v.optional(v.string()) }),
      output: v.pipe(v.string(), v.transform(Number)),
    }),
    upload: post('/files', { shape: 'nested', body: type<Blob | FormData | ReturnType<typeof multipart>>() }),
    tuned: post('/tuned', {
      idempotent: true,
      idempotency: 'stripe',
      retry: { maxAttempts: 5 },
      validate: 'warn',
      accept: 'application/vnd.a+json',
      contentType: 'application/vnd.a+json',
      body: type<NewUser>(),
    }),
  },
}
const api = client.bind(contract)

export async function unary() {
  const user = await api.users.get({ id: 42 }, { timeoutMs: 100 })
  same<typeof user, User>(true)
  const { message, attempts, headers } = await api.users.get.reply({ id: 42 })
  same<typeof message, User>(true)
  same<typeof attempts, number>(true)
  same<typeof headers, HeaderMap>(true)
  const created = await api.users.create({ name: 'x' })
  same<typeof created, Date>(true)
  await api.users.both({ id: 1, name: 'x', dryRun: true })
  await api.users.nested({ params: { id: 1 }, body: { id: 2 } })
  await api.users.ping()
  await api.users.ping({}, { timeoutMs: 1 })
  const called = await client.call(getUser, { id: 42 })
  same<typeof called, User>(true)
  const nothing = await api.users.ping()
  same<typeof nothing, unknown>(true)
  same<InputOf<typeof getUser>, { id: string | number | bigint }>(true)
  same<OutputOf<typeof getUser>, User>(true)
  same<Api<typeof contract>, typeof api>(true)
  try {
    await api.users.get({ id: 1 })
  } catch (error) {
    if (isCallError(error, api.users.get)) {
      if (error.status === 404) same<typeof error.body, { gone: boolean }>(true)
      else same<typeof error.body.fields, string[]>(true)
    }
  }
  const order = post('/orders', {
    errors: { OUT_OF_STOCK: type<{ left: number }>(), PRICE_CHANGED: type<{ now: string }>() },
  })
  try {
    await client.call(order)
  } catch (error) {
    const place = client.bind({ order }).order
    if (isCallError(error, place)) {
      if (error.reason === 'OUT_OF_STOCK') same<typeof error.body, { left: number }>(true)
      else same<typeof error.body.now, string>(true)
    }
  }
  // @ts-expect-error 'id' is required
  await api.users.get({})
  // @ts-expect-error an input is required
  await api.users.get()
  // @ts-expect-error no such name
  await api.users.get({ id: 1, nope: 2 })
  // @ts-expect-error no such name, where nothing is to pass
  await api.users.ping({ nope: 1 })
  // @ts-expect-error 'id' is required through call, too
  await client.call(getUser, {})
  // @ts-expect-error no such name through call, either
  await client.call(getUser, { id: 1, nope: 2 })
  // @ts-expect-error the input type of the schema counts
  await api.users.create({ name: 1 })
  // @ts-expect-error the declared input types the path, too
  await api.users.both({ id: '1', name: 'x' })
  // @ts-expect-error no option of that name
  await api.users.get({ id: 1 }, { timeout: 1 })
}

export async function kinds() {
  same<Awaited<ReturnType<typeof api.users.text>>, string>(true)
  same<Awaited<ReturnType<typeof api.users.bytes>>, Uint8Array>(true)
  same<Awaited<ReturnType<typeof api.users.stream>>, ByteStream>(true)
  same<Awaited<ReturnType<typeof api.users.json>>, unknown>(true)
  same<Awaited<ReturnType<typeof api.users.said>>, 'yes' | 'no'>(true)
  new Response((await api.users.stream()).toReadable())
  await api.users.upload({ body: new Blob() })
  await api.users.upload({
    body: multipart({ a: 1, b: [new Blob(), 'x'], c: { content: 'x', filename: 'y' }, d: new Date() }),
  })
  await api.users.tuned({ name: 'x' })
  // @ts-expect-error no such kind
  get('/x', { response: 'xml' })
  // @ts-expect-error no such profile
  post('/x', { idempotency: 'mine' })
  // @ts-expect-error no such shape
  post('/x', { shape: 'round' })
  // @ts-expect-error no part of a form
  multipart({ a: { b: 1 } })
}

export function outputs() {
  type Id = string & { readonly brand: 'id' }
  // What JSON gives, and what `response` names.
  get('/x', { output: type<User>() })
  get('/x', { output: type<number>() })
  get('/x', { output: type<{ text: string } | string[]>() })
  get('/x', { output: type<any>() })
  get('/x', { output: type<unknown>() })
  get('/x', { output: type<string>(), response: 'text' })
  get('/x', { output: type<'a' | 'b'>(), response: 'json' })
  get('/x', { output: type<Uint8Array>(), response: 'bytes' })
  get('/x', { output: type<ByteStream>(), response: byteStream })
  get('/x', { output: type<ByteStream>(), response: 'stream' })
  get('/x', { output: z.object({ a: z.string() }).optional() })
  const named = { output: type<string>(), response: 'text' } as const
  get('/x', named)
  same<OutputOf<ReturnType<typeof emptied>>, User | undefined>(true)

  // @ts-expect-error a text, inline
  get('/x', { output: type<string>() })
  // @ts-expect-error a text of few values
  post('/x', { output: type<'a' | 'b'>() })
  // @ts-expect-error a text with a brand, of a body-carrying operation
  post('/x', { body: type<NewUser>(), output: type<Id>() })
  // @ts-expect-error a text by a schema
  get('/x', { output: z.string() })
  // @ts-expect-error a text, or nothing
  get('/x', { output: optional(type<string>()) })
  // @ts-expect-error bytes
  get('/x', { output: type<Uint8Array>() })
  // @ts-expect-error bytes, as they stand in memory
  put('/x', { output: type<ArrayBuffer>() })
  // @ts-expect-error a stream
  get('/x', { output: type<ByteStream>() })
  // @ts-expect-error a stream of the platform
  get('/x', { output: type<ReadableStream<Uint8Array>>() })
  const text = { output: type<string>() }
  // @ts-expect-error a text, in a spec declared elsewhere
  get('/x', text)
  const bytes = { output: type<Uint8Array>(), query: type<{ q: string }>() }
  // @ts-expect-error bytes, in a spec declared elsewhere
  get('/x', bytes)
  const witness = type<string>()
  // @ts-expect-error a text, in a schema declared elsewhere
  del('/x', { output: witness })

  // @ts-expect-error types are gone at run time: optional(type<User>()) says that nothing may come
  get('/x', { output: type<User | undefined>() })
  // @ts-expect-error nothing to declare where nothing ever comes
  del('/x', { output: type<void>() })
  const nothing = { output: type<undefined>() }
  // @ts-expect-error the same in a spec declared elsewhere
  del('/x', nothing)
}

const emptied = () => get('/x', { output: optional(type<User>()) })

export async function schemas() {
  const zod = await api.users.zod({ id: 1, at: new Date() })
  same<typeof zod, { n: number }>(true)
  const valibot = await api.users.valibot({ n: 1 })
  same<typeof valibot, number>(true)
  // @ts-expect-error the schema's input
  await api.users.zod({ id: 1, at: new Date(), n: 'x' })
  // @ts-expect-error 'n' is required
  await api.users.valibot({ q: 'x' })
}

export async function pages() {
  for await (const user of api.users.list.items({ status: 'active' })) same<typeof user, User>(true)
  for await (const page of api.users.list.pages()) same<typeof page, User[]>(true)
  for await (const user of api.users.search.items()) same<typeof user, User>(true)
  for await (const user of api.users.nullable.items()) same<typeof user, User>(true)
  for await (const user of api.users.find.items()) same<typeof user, User>(true)
  // @ts-expect-error not declared
  api.users.get.pages
  // @ts-expect-error names no list
  get('/x', { output: type<{ users: User[] }>(), paginate: cursorPages({ items: 'user', next: 'n' }) })
  // @ts-expect-error the page itself is no list
  get('/x', { output: type<{ users: User[] }>(), paginate: cursorPages({ next: 'n' }) })
  // biome-ignore format: the refusal stands in one line
  // @ts-expect-error another page
  get('/x', { output: type<{ users: User[] }>(), paginate: cursorPages({ items: (page: { other: User[] }) => page.other, next: 'n' }) })
  const hoisted = cursorPages({ items: 'user', next: 'n' })
  // @ts-expect-error names no list, in a pager declared elsewhere
  get('/x', { output: type<{ users: User[] }>(), paginate: hoisted })
}

export function refusals() {
  small.bind({ a: { ok: getUser } })
  // @ts-expect-error no 'billing'
  small.bind({ bill: get('/x', { via: 'billing' }) })
  const bill = { bill: get('/x', { via: 'billing' }) }
  // @ts-expect-error no 'billing', in a contract declared elsewhere
  small.bind(bill)
  // @ts-expect-error no 'billing', through call
  small.call(get('/x', { via: 'billing' }))
  // @ts-expect-error no 'billing', behind adapt
  small.bind({ a: adapt(get('/x', { via: 'billing' }), {}) })
  // @ts-expect-error 'name' stands in the path and in the body
  post('/users/{name}', { body: type<NewUser>() })
  // @ts-expect-error 'id' stands in the path and in the query
  del('/users/{id}', { query: type<{ id: string }>() })
  // @ts-expect-error a query and a body: give one input and name the query keys
  patch('/users', { body: type<NewUser>(), query: type<{ dryRun?: boolean }>() })
  // @ts-expect-error 'dryRn' is no name of the input
  post('/users', { input: type<NewUser & { dryRun?: boolean }>(), query: ['dryRn'] })
  const spec = { body: type<NewUser>() }
  // @ts-expect-error 'name' stands in the path and in the body, in a spec declared elsewhere
  post('/users/{name}', spec)
  // @ts-expect-error no transport without a baseUrl
  restTransport({})
}

export async function swap() {
  const bound = client.bind({ get: get('/users/{id}', { input: type<{ id: number }>(), output: type<User>() }) })
  const wire = get('/v2/users/{key}', { output: type<{ data: User }>() })
  const swapped = client.bind({
    get: adapt(wire, { input: (input: { id: number }) => ({ key: input.id }), output: ({ data }) => data }),
  })
  const site: typeof bound = swapped
  same<Awaited<ReturnType<typeof site.get>>, User>(true)
}

export function otherMethods(verb: string) {
  const search = query('/users/{group}', { body: type<{ name: string }>(), output: type<User[]>() })
  same<InputOf<typeof search>, { group: string | number | bigint; name: string }>(true)
  same<OutputOf<typeof search>, User[]>(true)
  const whole = query('/users', { input: type<{ name: string; page: number }>(), query: ['page'] })
  same<InputOf<typeof whole>, { name: string; page: number }>(true)
  const find = method('PROPFIND', '/files/{path}', { response: 'text', idempotent: true, via: 'billing' })
  same<InputOf<typeof find>, { path: string | number | bigint }>(true)
  same<OutputOf<typeof find>, string>(true)
  client.call(find, { path: 'a' })
  client.call(options('/users'))
  method(verb, '/any')
  method('M-SEARCH', '/any')
  // @ts-expect-error a QUERY needs what it asks
  query('/users')
  // @ts-expect-error a QUERY needs what it asks: body or input
  query('/users', { output: type<User[]>() })
  // @ts-expect-error 'name' stands in the path and in the body
  query('/users/{name}', { body: type<{ name: string }>() })
  // @ts-expect-error write 'PROPFIND'
  method('propfind', '/files')
  // @ts-expect-error no client may send CONNECT
  method('CONNECT', '/files')
  // @ts-expect-error no client may send TRACE
  method('TRACE', '/files')
  // @ts-expect-error no client may send TRACK
  method('TRACK', '/files')
  // @ts-expect-error write get(path)
  method('GET', '/files')
  // @ts-expect-error write del(path)
  method('DELETE', '/files')
  // @ts-expect-error write query(path)
  method('QUERY', '/files', { body: type<{ name: string }>() })
  // @ts-expect-error 'path' is required
  client.call(find, {})
}

export function inPlaceOfTheInput(location: string | null) {
  const update = put('/users/{id}', { body: type<{ name: string }>(), output: type<User>() })
  const list = get('/users', {
    query: type<{ size?: number }>(),
    output: type<{ users: User[]; next?: string }>(),
    paginate: cursorPages({ items: 'users', next: 'next' }),
  })
  const api = client.bind({ getUser, update, list, none: get('/none', { output: type<User>() }) })
  same<Awaited<ReturnType<typeof api.getUser>>, User>(true)
  api.getUser(at('https://api.example.com/users/1'))
  api.getUser.reply(at(new URL('https://api.example.com/users/1')))
  api.update(at('/users/1', { name: 'x' }), { timeoutMs: 1 })
  api.list.pages(at('/users?after=1'))
  api.list.items(at('/users?after=1', { size: 3 }))
  api.none(at('/none'))
  const user: Promise<User> = client.call(getUser, at('/users/1'))
  // @ts-expect-error a header may be missing
  api.getUser(at(location))
  // @ts-expect-error no such name in the rest
  api.update(at('/users/1', { nam: 'x' }))
  // @ts-expect-error another type in the rest
  api.update(at('/users/1', { name: 1 }))
  return user
}
