/** `openapi()` over a small description and over GitHub's. It passes when it compiles; nothing here runs. */
import type { paths as GitHub } from '@octokit/openapi-types'
import { createClient, isCallError, isGap } from 'polywire'
import type { Described } from 'polywire/openapi'
import { cursorPages, jsonLines, openapi, type ReadWriteMarkers, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import type { components, paths as Petstore } from './petstore.d.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
declare function same<A, B>(equal: Equal<A, B>): void

interface Body<T> {
  content: { 'application/json': T }
}
interface paths {
  '/repos/{owner}': {
    get: {
      parameters: { path: { owner: string }; query?: { page?: number } }
      responses: { 200: Body<{ full_name: string }>; 404: Body<{ message: string }> }
    }
    delete: { parameters: { path: { owner: string } }; responses: { 204: { content: never } } }
    put?: never
  }
  '/repos/{owner}/file': {
    delete: {
      parameters: { path: { owner: string } }
      requestBody: Body<{ sha: string }>
      responses: { 200: Body<1>; 202: Body<2> }
    }
  }
  '/bulk': {
    post: {
      parameters: { query: { page: number; size?: number } }
      requestBody: Body<{ ids: string[] }>
      responses: { 200: Body<1> }
    }
  }
  '/vars/{name}': {
    patch: {
      parameters: { path: { name: string } }
      requestBody: Body<{ name?: string }>
      responses: { 204: { content: never } }
    }
  }
  '/raw': { post: { requestBody?: { content: { 'text/plain': string } }; responses: { 200: Body<string> } } }
  '/etag': {
    get: {
      parameters: { header?: { 'if-none-match'?: string } }
      responses: { 200: Body<1>; 304: { content?: never } }
    }
  }
  '/file': { post: { requestBody: { content: { 'application/octet-stream': Blob } }; responses: { 200: Body<1> } } }
}

const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com' }) } })
const gh = openapi<paths>()
const api = client.bind({
  repo: gh.get('/repos/{owner}'),
  deleteRepo: gh.del('/repos/{owner}'),
  removeRepo: gh.delete('/repos/{owner}'),
  deleteFile: gh.del('/repos/{owner}/file', { body: '*' }),
  bulk: gh.post('/bulk', { query: ['size', 'page'] }),
  setVar: gh.patch('/vars/{name}', { shape: 'nested' }),
  raw: gh.post('/raw', { shape: 'nested' }),
  etag: gh.get('/etag', { shape: 'nested' }),
  file: gh.post('/file', { shape: 'nested' }),
})

export async function small() {
  const repo = await api.repo({ owner: 'a' })
  same<typeof repo, { full_name: string }>(true)
  await api.repo({ owner: 'a', page: 2 })
  const nothing = await api.deleteRepo({ owner: 'a' })
  same<typeof nothing, undefined>(true)
  same<typeof api.deleteRepo, typeof api.removeRepo>(true)
  const either = await api.deleteFile({ owner: 'a', sha: 's' })
  same<typeof either, 1 | 2>(true)
  const reply = await api.deleteFile.reply({ owner: 'a', sha: 's' })
  if (reply.status === 202) same<typeof reply.message, 2>(true)
  await api.bulk({ page: 1, ids: [] })
  await api.setVar({ params: { name: 'old' }, body: { name: 'new' } })
  await api.raw({ body: '# hi' })
  await api.etag({ headers: { 'if-none-match': '"e"' } })
  await api.etag()
  await api.file({ body: new Blob() })
  try {
    await api.repo({ owner: 'a' })
  } catch (error) {
    if (isCallError(error, api.repo) && error.status === 404) same<typeof error.body, { message: string }>(true)
    // Nothing is said of it.
    if (isCallError(error, api.repo) && error.status === 500) same<typeof error.body, unknown>(true)
  }
  // @ts-expect-error no such path
  gh.get('/nope')
  // @ts-expect-error no such verb on that path
  gh.put('/repos/{owner}')
  // @ts-expect-error the DELETE has a body: { body: '*' }
  gh.del('/repos/{owner}/file')
  // @ts-expect-error the POST has a query and a body: { query: ['page', 'size'] }
  gh.post('/bulk')
  // @ts-expect-error one of its query names is missing
  gh.post('/bulk', { query: ['page'] })
  // @ts-expect-error 'name' stands in the path and in the body: { shape: 'nested' }
  gh.patch('/vars/{name}')
  // @ts-expect-error a text cannot be flat: { shape: 'nested' }
  gh.post('/raw')
  // @ts-expect-error a file cannot be flat: { shape: 'nested' }
  gh.post('/file')
  // @ts-expect-error 'owner' is required
  await api.repo({})
  // @ts-expect-error another type
  await api.repo({ owner: 1 })
  // @ts-expect-error no 'elsewhere'
  client.bind({ a: gh.get('/repos/{owner}', { via: 'elsewhere' }) })
}

const store = openapi<Petstore>()
const pets = client.bind({
  list: store.get('/pets'),
  create: store.post('/pets'),
  show: store.get('/pets/{petId}'),
  showNested: store.get('/pets/{petId}', { shape: 'nested' }),
  replace: store.put('/pets/{petId}'),
  remove: store.del('/pets/{petId}'),
  head: store.head('/pets/{petId}'),
  publish: store.post('/pets/{petId}/publish'),
  patch: store.patch('/pets/{petId}', { query: ['dryRun'], contentType: 'application/merge-patch+json' }),
  login: store.post('/login', { contentType: 'application/x-www-form-urlencoded' }),
  health: store.get('/health'),
})

/** What openapi-typescript 7 generates. */
export async function petstore() {
  type Pet = components['schemas']['Pet']
  const listed = await pets.list({ limit: 10, status: 'sold' })
  same<typeof listed, Pet[]>(true)
  await pets.list()
  const created = await pets.create({ name: 'Ada' })
  same<typeof created, Pet>(true)
  const shown = await pets.show({ petId: '7' })
  same<typeof shown, Pet>(true)
  await pets.showNested({ params: { petId: '7' }, headers: { 'If-None-Match': '"e"' } })
  const replaced = await pets.replace({ petId: '7', name: 'Ada' })
  same<typeof replaced, Pet>(true)
  await pets.replace({ petId: '7' })
  const { status } = await pets.replace.reply({ petId: '7' })
  // A range: no other success is among them.
  same<200 extends typeof status ? (404 extends typeof status ? 'any' : 'success') : 'none', 'success'>(true)
  const removed = await pets.remove({ petId: '7' })
  same<typeof removed, undefined>(true)
  await pets.head({ petId: '7' })
  await pets.publish({ petId: '7' })
  await pets.patch({ petId: '7', dryRun: true, name: 'Ada' })
  same<Awaited<ReturnType<typeof pets.login>>, { token: string }>(true)
  await pets.login({ user: 'u', password: 'p' })
  same<Awaited<ReturnType<typeof pets.health>>, { ok: boolean }>(true)
  await pets.health()
  try {
    await pets.show({ petId: '7' })
  } catch (error) {
    if (isCallError(error, pets.show) && error.status === 404) same<typeof error.body.message, string>(true)
    // `default` and `4XX` tell no status apart.
    if (isCallError(error, pets.list)) same<typeof error.body, components['schemas']['Error']>(true)
    if (isCallError(error, pets.replace) && error.status === 499)
      same<typeof error.body, components['schemas']['Error']>(true)
  }
  // @ts-expect-error no such verb on that path
  store.put('/pets')
  // @ts-expect-error no such path
  store.get('/pet')
  // @ts-expect-error 'petId' is required
  await pets.show({})
  // @ts-expect-error nothing to pass beside the path
  await pets.remove({ petId: '7', name: 'x' })
  // @ts-expect-error no such status
  await pets.list({ status: 'gone' })
  // @ts-expect-error 'name' is required
  await pets.create({ tag: 'x' })
  // @ts-expect-error the form would be sent as JSON: { contentType: 'application/x-www-form-urlencoded' }
  store.post('/login')
  // @ts-expect-error another media type than the description's
  store.post('/login', { contentType: 'application/json' })
  // @ts-expect-error a query and a body, and a media type of its own
  store.patch('/pets/{petId}', { query: ['dryRun'] })
}

export async function github() {
  const github = openapi<GitHub>()
  const api = client.bind({
    repo: github.get('/repos/{owner}/{repo}'),
    issues: github.get('/repos/{owner}/{repo}/issues'),
    createIssue: github.post('/repos/{owner}/{repo}/issues'),
    deleteFile: github.del('/repos/{owner}/{repo}/contents/{path}', { body: '*' }),
    markdown: github.post('/markdown/raw', { shape: 'nested' }),
    star: github.put('/user/starred/{owner}/{repo}'),
  })
  const repo = await api.repo({ owner: 'o', repo: 'r' })
  same<typeof repo.full_name, string>(true)
  const [issue] = await api.issues({ owner: 'o', repo: 'r', state: 'open', per_page: 100 })
  same<NonNullable<typeof issue>['number'], number>(true)
  const created = await api.createIssue({ owner: 'o', repo: 'r', title: 't' })
  same<typeof created.html_url, string>(true)
  const starred = await api.star({ owner: 'o', repo: 'r' })
  same<typeof starred, undefined>(true)
  try {
    await api.repo({ owner: 'o', repo: 'r' })
  } catch (error) {
    if (isCallError(error, api.repo) && error.status === 404) same<typeof error.body.message, string | undefined>(true)
  }
  // @ts-expect-error no such state
  await api.issues({ owner: 'o', repo: 'r', state: 'ajar' })
  // @ts-expect-error 'repo' is required
  await api.repo({ owner: 'o' })
  // @ts-expect-error no such path
  github.get('/repos/{owner}')
}

interface Streams {
  '/runs/{id}/events': {
    get: {
      parameters: { path: { id: string }; query?: { after?: number } }
      responses: {
        200: {
          content: {
            'text/event-stream':
              | { event: 'token'; data: { text: string } }
              | { event: 'done'; data?: '[DONE]' }
              | { data: number }
          }
        }
        404: Body<{ message: string }>
      }
    }
  }
  '/chat': {
    post: {
      requestBody: Body<{ q: string }>
      responses: { 200: { content: { 'application/json': 1; 'text/event-stream': { delta: string } } } }
    }
  }
  '/untyped': { get: { responses: { 200: { content: { 'text/event-stream': unknown } } } } }
  '/rows': {
    get: { responses: { 200: { content: { 'application/x-ndjson': { id: number } } } } }
    post: { requestBody: Body<{ q: string }>; responses: { 200: { content: { 'application/jsonl': { id: number } } } } }
  }
  '/plain': { get: { responses: { 200: Body<1> } } }
}

export async function streams() {
  const ai = openapi<Streams>({ events, jsonLines })
  const both = createClient({
    transports: {
      rest: restTransport({ baseUrl: 'https://api.example.com' }),
      sse: sseTransport({ baseUrl: 'https://api.example.com' }),
    },
  })
  const api = both.bind({
    watch: ai.stream.get('/runs/{id}/events', { until: 'done' }),
    chat: ai.stream.post('/chat', { until: ({ data }) => data === '[DONE]' }),
    untyped: ai.stream.get('/untyped'),
    rows: ai.stream.post('/rows', { format: 'jsonl' }),
    gaps: ai.stream.get('/rows', { format: 'jsonl', gaps: 'yield' }),
  })
  for await (const event of api.watch({ id: 'a', after: 1 })) {
    if (event.type === 'token') same<typeof event.data, { text: string }>(true)
    if (event.type === 'message') same<typeof event.data, number>(true)
    // @ts-expect-error no such event
    if (event.type === 'other') return
  }
  for await (const event of api.chat({ q: 'hi' })) same<typeof event.data, { delta: string }>(true)
  for await (const event of api.untyped()) same<typeof event.data, unknown>(true)
  for await (const row of api.rows({ q: 'x' })) same<typeof row, { id: number }>(true)
  for await (const row of api.gaps()) if (!isGap(row)) same<typeof row, { id: number }>(true)
  // @ts-expect-error 'id' is required
  api.watch({})
  // @ts-expect-error this client has no 'sse'
  client.bind({ watch: ai.stream.get('/runs/{id}/events') })
  // @ts-expect-error this is a stream of JSON Lines: write format: 'jsonl'
  ai.stream.get('/rows')
  // @ts-expect-error the description has no stream there
  ai.stream.get('/plain')
  // @ts-expect-error the description has no JSON Lines there
  ai.stream.post('/chat', { format: 'jsonl' })
  // @ts-expect-error no such path for this method
  ai.stream.post('/untyped')
}

export async function describedStreams(wire: Described) {
  interface Sided {
    '/chat': {
      post: {
        parameters: { query: { model: string }; header: { 'X-Trace': string } }
        requestBody: Body<{ q: string }>
        responses: { 200: { content: { 'text/event-stream': { delta: string } } } }
      }
    }
  }
  const sse = createClient({ transports: { sse: sseTransport({ baseUrl: 'https://api.example.com' }) } })
  const chat = openapi<Sided>({ events, description: wire }).stream.post('/chat')
  for await (const event of sse.call(chat, { model: 'm', 'X-Trace': 't', q: 'hi' }))
    same<typeof event.data, { delta: string }>(true)
  // @ts-expect-error without a description its query, and its header, must be said
  openapi<Sided>({ events }).stream.post('/chat')
}

/** As `--read-write-markers` writes it. */
interface MarkedPaths {
  '/users': {
    post: {
      requestBody: Body<{
        id: { readonly $read: number }
        name: string
        password: { readonly $write: string }
        tags?: { at?: { readonly $read: string } }[]
      }>
      responses: {
        201: Body<{ id: { readonly $read: number }; name: string; password: { readonly $write: string } }>
        409: Body<{ of: { readonly $read: number } }>
      }
    }
  }
}

export async function marked() {
  const { create } = client.bind({ create: openapi<MarkedPaths, ReadWriteMarkers>().post('/users') })
  same<Parameters<typeof create>[0], { name: string; password: string; tags?: {}[] }>(true)
  const made = await create({ name: 'n', password: 'p', tags: [{}] })
  same<typeof made, { id: number; name: string }>(true)
  try {
    await create({ name: 'n', password: 'p' })
  } catch (error) {
    if (isCallError(error, create) && error.status === 409) same<typeof error.body, { of: number }>(true)
  }
  // @ts-expect-error what is only read is not sent
  await create({ id: 1, name: 'n', password: 'p' })
}

interface Styled {
  '/things/{id}': {
    get: {
      parameters: {
        path: { id: string[] }
        query?: { filter?: { a?: string }; page?: number }
        header: { 'X-Trace': string }
        cookie?: { session?: string }
      }
      responses: { 200: Body<{ id: string }>; 304: { content?: never }; '4XX': Body<{ title: string }> }
    }
    post: {
      parameters: { path: { id: string[] }; query: { dryRun: boolean } }
      requestBody?: {
        content: {
          'application/json': { name: string; size?: number }
          'multipart/form-data': { file: string; kind: 'a' }
        }
      }
      responses: {
        201: Body<{ created: true }>
        202: Body<{ job: string }>
        409: Body<{ of: string }>
        default: Body<{ code: number }>
      }
    }
  }
  '/cookie': {
    get: { parameters: { cookie: { session: string } }; responses: { 200: Body<1> } }
  }
  '/patch/{id}': {
    patch: {
      parameters: { path: { id: string } }
      requestBody: {
        content: { 'application/merge-patch+json': { a?: 1 }; 'application/json-patch+json': { op: string }[] }
      }
      responses: { 200: { content: { 'application/json': { a: 1 }; 'text/csv': string; 'application/pdf': string } } }
    }
  }
  '/form': {
    post: {
      requestBody: {
        content: { 'application/x-www-form-urlencoded': { amount: number; metadata?: { [name: string]: string } } }
      }
      responses: { 200: Body<{ data: { id: string }[]; next?: string }> }
    }
  }
  '/empty/{id}': {
    delete: {
      parameters: { path: { id: string } }
      requestBody?: { content: { 'application/x-www-form-urlencoded': Record<string, never> } }
      responses: { 200: Body<1> }
    }
    get: {
      parameters: { path: { id: string } }
      requestBody?: { content: { 'application/x-www-form-urlencoded': Record<string, never> } }
      responses: { 200: Body<1> }
    }
    patch: {
      parameters: { path: { id: string } }
      requestBody: { content: { 'application/merge-patch+json': Record<string, never> } }
      responses: { 200: Body<1> }
    }
  }
  '/any/{id}': {
    post: {
      parameters: { path: { id: string } }
      requestBody: Body<unknown>
      responses: { 200: Body<1> }
    }
  }
}

declare const description: Described

export async function describedAtRunTime() {
  const api = openapi<Styled>({ description })
  const bare = openapi<Styled>()
  const calls = client.bind({
    find: api.get('/things/{id}'),
    findNested: api.get('/things/{id}', { shape: 'nested' }),
    create: api.post('/things/{id}'),
    upload: api.post('/things/{id}', { contentType: 'multipart/form-data' }),
    cookie: api.get('/cookie'),
    merge: api.patch('/patch/{id}', { contentType: 'application/merge-patch+json' }),
    patch: api.patch('/patch/{id}', {
      shape: 'nested',
      contentType: 'application/json-patch+json',
      accept: 'text/csv',
    }),
    pdf: api.patch('/patch/{id}', { contentType: 'application/merge-patch+json', accept: 'application/pdf' }),
    text: api.patch('/patch/{id}', { contentType: 'application/merge-patch+json', response: 'text' }),
    charge: api.post('/form', { paginate: cursorPages({ items: 'data', next: 'next' }) }),
    remove: api.del('/empty/{id}'),
    patchAny: api.patch('/empty/{id}', { shape: 'nested', contentType: 'application/merge-patch+json' }),
    any: api.post('/any/{id}'),
  })
  await calls.find({ id: ['1'], filter: { a: 'b' }, 'X-Trace': 't', session: 's' })
  await calls.findNested({ params: { id: ['1'] }, headers: { 'X-Trace': 't' }, cookies: { session: 's' } })
  await calls.create({ id: ['1'], dryRun: true, name: 'n' })
  await calls.create({ id: ['1'], dryRun: true })
  await calls.patchAny({ params: { id: '1' }, body: { spec: { replicas: 2 } } })
  // @ts-expect-error a body that may be left out is there whole, or not at all
  await calls.create({ id: ['1'], dryRun: true, size: 1 })
  await calls.upload({ id: ['1'], dryRun: true, file: new Blob(), kind: 'a' })
  // @ts-expect-error a text of a few is no file
  await calls.upload({ id: ['1'], dryRun: true, file: new Blob(), kind: new Blob() })
  await calls.cookie({ session: 's' })
  same<Awaited<ReturnType<typeof calls.merge>>, { a: 1 }>(true)
  same<Awaited<ReturnType<typeof calls.patch>>, string>(true)
  same<Awaited<ReturnType<typeof calls.pdf>>, Uint8Array>(true)
  same<Awaited<ReturnType<typeof calls.text>>, string>(true)
  await calls.patch({ params: { id: '1' }, body: [{ op: 'add' }] })
  for await (const item of calls.charge.items({ amount: 1, metadata: { a: 'b' } }))
    same<typeof item, { id: string }>(true)
  await calls.remove({ id: '1' })
  await calls.any({ id: '1', whatever: 1 })
  const reply = await calls.create.reply({ id: ['1'], dryRun: true })
  if (reply.status === 201) same<typeof reply.message, { created: true }>(true)
  const found = await calls.find.reply({ id: ['1'], 'X-Trace': 't' })
  if (found.status === 304) same<typeof found.message, undefined>(true)
  else same<typeof found.message, { id: string }>(true)
  try {
    await calls.create({ id: ['1'], dryRun: true })
  } catch (error) {
    if (isCallError(error, calls.create)) {
      if (error.status === 409) same<typeof error.body, { of: string }>(true)
      if (error.status === 500) same<typeof error.body, { code: number }>(true)
    }
    if (isCallError(error, calls.find)) {
      if (error.status === 418) same<typeof error.body, { title: string }>(true)
      if (error.status === 503) same<typeof error.body, unknown>(true)
    }
  }
  // @ts-expect-error 'X-Trace' is required
  await calls.find({ id: ['1'] })
  // @ts-expect-error two media types, and none is JSON: { contentType }
  api.patch('/patch/{id}')
  // @ts-expect-error no such media type
  api.post('/things/{id}', { contentType: 'text/plain' })
  // @ts-expect-error the reply never comes as that, and its type would be a guess
  api.get('/things/{id}', { accept: 'text/csv' })
  // Here the type is known whatever comes.
  api.get('/things/{id}', { accept: 'text/csv', response: 'text' })
  bare.del('/empty/{id}', { accept: 'application/json' })
  // @ts-expect-error a body that is a list has no names: { shape: 'nested' }
  api.patch('/patch/{id}', { contentType: 'application/json-patch+json' })
  // @ts-expect-error 'items' names no list of the reply
  api.post('/form', { paginate: cursorPages({ items: 'rows', next: 'next' }) })
  // @ts-expect-error without a description a required header needs { shape: 'nested' }
  bare.get('/things/{id}')
  // @ts-expect-error without a description cookies cannot be sent
  bare.get('/cookie', { shape: 'nested' })
  // @ts-expect-error nested or not, the form would be sent as JSON
  bare.post('/form', { shape: 'nested' })
  bare.del('/empty/{id}')
  // A GET's body, which no client sends, is not there.
  same<Parameters<typeof read>[0], { id: string }>(true)
}

const { read } = client.bind({ read: openapi<Styled>().get('/empty/{id}') })
