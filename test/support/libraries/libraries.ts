import Anthropic from '@anthropic-ai/sdk'
import { create, toBinary } from '@bufbuild/protobuf'
import { createClient as createConnectClient } from '@connectrpc/connect'
import { createGrpcWebTransport } from '@connectrpc/connect-web'
import { createClient as createHeyClient } from '@hey-api/client-fetch'
import { PostgrestClient } from '@supabase/postgrest-js'
import { cacheExchange, fetchExchange, gql, subscriptionExchange, Client as UrqlClient } from '@urql/core'
import axios from 'axios'
import { EventSource } from 'eventsource'
import { GraphQLClient } from 'graphql-request'
import ky from 'ky'
import { createFetch as createOfetch } from 'ofetch'
import OpenAI from 'openai'
import createOpenApiClient from 'openapi-fetch'
import { ItemEventSchema, ItemSchema, ShopService } from '../proto/gen/polywire/test/v1/shop_pb.ts'
import { frame } from '../servers/grpc-server.ts'
import { addThing, getFeed, getThing } from './gen/orval.ts'
import { type Handler, json, pieces } from './library-server.ts'
import { setApiOrigin } from './origin.ts'

/** One call of a library, over a fetch that it was given; what it gives shows that the answer was understood. */
export type LibraryCall = (fetch: typeof globalThis.fetch, origin: string, signal?: AbortSignal) => Promise<unknown>

/** A library as it is, the server's side of what it does, and how it is called. */
export interface Library {
  /** Requests that are not idempotent by their method, and are by what they do. */
  readonly routes?: { readonly [route: `${string} /${string}`]: { readonly idempotent: true } }
  readonly ok: Handler
  readonly call: LibraryCall
  readonly gives: unknown
  /** An error body of its own, and what it makes of it. */
  readonly failure: Handler
  readonly shown: RegExp
  /** A body that comes piece by piece; absent where the library has none. */
  readonly stream?: { readonly answer: Handler; readonly read: LibraryCall; readonly gives: unknown }
  /** Sends a text of this length; absent where the library sends nothing. */
  readonly upload?: (fetch: typeof globalThis.fetch, origin: string, text: string) => Promise<unknown>
}

const thing = { id: 7, name: 'seven' }
const noThing = json({ code: 'polywire-test', message: 'polywire-test' }, 422)
const lines = pieces('application/x-ndjson', '{"n":1}\n', '{"n":2}\n')
const events = (...data: string[]) => pieces('text/event-stream', ...data.map((each) => `data: ${each}\n\n`))

async function textOf(stream: ReadableStream<Uint8Array> | null | undefined): Promise<string> {
  if (!stream) throw new Error('no stream came')
  return await new Response(stream).text()
}

interface paths {
  '/things/{id}': {
    get: { parameters: { path: { id: number } }; responses: { 200: { content: { 'application/json': typeof thing } } } }
  }
  '/things': {
    post: {
      requestBody: { content: { 'application/json': { name: string } } }
      responses: { 200: { content: { 'application/json': typeof thing } } }
    }
  }
  '/feed': { get: { responses: { 200: { content: { 'application/x-ndjson': string } } } } }
}

const openapiFetch: Library = {
  ok: json(thing),
  async call(fetch, baseUrl, signal) {
    const client = createOpenApiClient<paths>({ baseUrl, fetch })
    const { data, error } = await client.GET('/things/{id}', { params: { path: { id: 7 } }, ...(signal && { signal }) })
    if (error !== undefined) throw Object.assign(new Error('openapi-fetch'), { body: error })
    return data
  },
  gives: thing,
  failure: noThing,
  shown: /polywire-test/,
  stream: {
    answer: lines,
    async read(fetch, baseUrl) {
      const client = createOpenApiClient<paths>({ baseUrl, fetch })
      return textOf((await client.GET('/feed', { parseAs: 'stream' })).data as ReadableStream<Uint8Array>)
    },
    gives: '{"n":1}\n{"n":2}\n',
  },
  upload: (fetch, baseUrl, name) => createOpenApiClient<paths>({ baseUrl, fetch }).POST('/things', { body: { name } }),
}

const heyApi: Library = {
  ok: json(thing),
  async call(fetch, baseUrl, signal) {
    const client = createHeyClient({ baseUrl, fetch, throwOnError: true })
    return (await client.get({ url: '/things/{id}', path: { id: 7 }, ...(signal && { signal }) })).data
  },
  gives: thing,
  failure: noThing,
  shown: /polywire-test/,
  stream: {
    answer: lines,
    async read(fetch, baseUrl) {
      const client = createHeyClient({ baseUrl, fetch, throwOnError: true })
      return textOf((await client.get({ url: '/feed', parseAs: 'stream' })).data as ReadableStream<Uint8Array>)
    },
    gives: '{"n":1}\n{"n":2}\n',
  },
  upload: (fetch, baseUrl, name) => createHeyClient({ baseUrl, fetch }).post({ url: '/things', body: { name } }),
}

/** What orval generates calls the global fetch: the face stands in its place, as an app would do it. */
async function globally<T>(fetch: typeof globalThis.fetch, origin: string, run: () => Promise<T>): Promise<T> {
  const before = globalThis.fetch
  setApiOrigin(origin)
  globalThis.fetch = fetch
  try {
    return await run()
  } finally {
    globalThis.fetch = before
  }
}

const orval: Library = {
  ok: json(thing),
  async call(fetch, origin, signal) {
    const { data, status } = await globally(fetch, origin, () => getThing(7, signal ? { signal } : {}))
    if (status !== 200) throw Object.assign(new Error('orval'), { body: data })
    return data
  },
  gives: thing,
  failure: noThing,
  shown: /polywire-test/,
  stream: {
    answer: lines,
    read: async (fetch, origin) => textOf((await globally(fetch, origin, () => getFeed())).stream.body),
    gives: '{"n":1}\n{"n":2}\n',
  },
  upload: (fetch, origin, name) => globally(fetch, origin, () => addThing({ name })),
}

const kyLibrary: Library = {
  ok: json(thing),
  call: (fetch, origin, signal) => ky.get(`${origin}/things/7`, { fetch, ...(signal && { signal }) }).json(),
  gives: thing,
  failure: noThing,
  shown: /polywire-test/,
  stream: {
    answer: lines,
    read: async (fetch, origin) => textOf((await ky.get(`${origin}/feed`, { fetch })).body),
    gives: '{"n":1}\n{"n":2}\n',
  },
  upload: (fetch, origin, name) => ky.post(`${origin}/things`, { fetch, json: { name } }).json(),
}

const ofetchLibrary: Library = {
  ok: json(thing),
  call: (fetch, origin, signal) => createOfetch({ fetch })(`${origin}/things/7`, signal ? { signal } : {}),
  gives: thing,
  failure: noThing,
  shown: /polywire-test/,
  stream: {
    answer: lines,
    read: async (fetch, origin) => textOf(await createOfetch({ fetch })(`${origin}/feed`, { responseType: 'stream' })),
    gives: '{"n":1}\n{"n":2}\n',
  },
  upload: (fetch, origin, name) => createOfetch({ fetch })(`${origin}/things`, { method: 'POST', body: { name } }),
}

/** The fetch adapter takes what it calls from `env`. */
const axiosOver = (fetch: typeof globalThis.fetch, baseURL: string) =>
  axios.create({ adapter: 'fetch', baseURL, env: { fetch } })

const axiosLibrary: Library = {
  ok: json(thing),
  call: async (fetch, origin, signal) =>
    (await axiosOver(fetch, origin).get('/things/7', signal ? { signal } : {})).data,
  gives: thing,
  failure: noThing,
  shown: /polywire-test/,
  stream: {
    answer: lines,
    read: async (fetch, origin) =>
      textOf((await axiosOver(fetch, origin).get('/feed', { responseType: 'stream' })).data),
    gives: '{"n":1}\n{"n":2}\n',
  },
  upload: (fetch, origin, name) => axiosOver(fetch, origin).post('/things', { name }),
}

const noField = json({ data: null, errors: [{ message: 'polywire-test' }] }, 422)

const graphqlRequest: Library = {
  routes: { 'POST /graphql': { idempotent: true } },
  ok: json({ data: { thing } }),
  call: (fetch, origin, signal) =>
    new GraphQLClient(`${origin}/graphql`, { fetch }).request({
      document: '{ thing { id name } }',
      ...(signal && { signal }),
    }),
  gives: { thing },
  failure: noField,
  shown: /polywire-test/,
  upload: (fetch, origin, name) =>
    new GraphQLClient(`${origin}/graphql`, { fetch }).request('query ($name: String) { thing(name: $name) { id } }', {
      name,
    }),
}

const urql: Library = {
  routes: { 'POST /graphql': { idempotent: true } },
  ok: json({ data: { thing } }),
  async call(fetch, origin, signal) {
    const exchanges = [cacheExchange, fetchExchange]
    const client = new UrqlClient({ url: `${origin}/graphql`, exchanges, fetch, preferGetMethod: false })
    return new Promise((resolve, reject) => {
      const { unsubscribe } = client.query(gql`{ thing { id name } }`, {}).subscribe(({ data, error }) => {
        if (error) reject(error)
        else resolve(data)
      })
      // It aborts when nobody listens any more, and says nothing then.
      signal?.addEventListener('abort', () => {
        unsubscribe()
        reject(signal.reason)
      })
    })
  },
  gives: { thing },
  failure: noField,
  shown: /polywire-test/,
  stream: {
    answer: pieces(
      'text/event-stream',
      'event: next\ndata: {"data":{"n":1}}\n\n',
      'event: next\ndata: {"data":{"n":2}}\n\n',
      'event: complete\n\n',
    ),
    async read(fetch, origin) {
      const exchanges = [
        fetchExchange,
        subscriptionExchange({ forwardSubscription: () => ({ subscribe: () => ({ unsubscribe() {} }) }) }),
      ]
      const client = new UrqlClient({
        url: `${origin}/graphql`,
        exchanges,
        fetch,
        fetchSubscriptions: true,
        preferGetMethod: false,
      })
      const seen: unknown[] = []
      await new Promise<void>((resolve, reject) => {
        client.subscription(gql`subscription { n }`, {}).subscribe(({ data, error, hasNext }) => {
          if (error) reject(error)
          if (data) seen.push(data.n)
          if (!hasNext || seen.length === 2) resolve()
        })
      })
      return seen
    },
    gives: [1, 2],
  },
  upload: (fetch, origin, name) =>
    new UrqlClient({ url: `${origin}/graphql`, exchanges: [fetchExchange], fetch, preferGetMethod: false })
      .query(gql`query ($name: String) { thing(name: $name) { id } }`, { name })
      .toPromise(),
}

const item = create(ItemSchema, { id: 7n, name: 'seven' })
const grpcWeb = (...frames: Uint8Array[]): Handler => pieces('application/grpc-web+proto', ...frames)
const ended = (status: number, message = '') => frame(`grpc-status: ${status}\r\ngrpc-message: ${message}\r\n`, 0x80)
const shop = (fetch: typeof globalThis.fetch, baseUrl: string) =>
  createConnectClient(ShopService, createGrpcWebTransport({ baseUrl, fetch }))

const connectWeb: Library = {
  routes: { 'POST /polywire.test.v1.ShopService/{method}': { idempotent: true } },
  ok: grpcWeb(frame(toBinary(ItemSchema, item)), ended(0)),
  call: async (fetch, origin, signal) => (await shop(fetch, origin).getItem({ id: 7n }, signal ? { signal } : {})).name,
  gives: 'seven',
  failure: grpcWeb(ended(3, 'polywire-test')),
  shown: /polywire-test/,
  stream: {
    answer: grpcWeb(
      ...['a', 'b'].map((name) => frame(toBinary(ItemEventSchema, create(ItemEventSchema, { item: { name } })))),
      ended(0),
    ),
    async read(fetch, origin) {
      const names: unknown[] = []
      for await (const event of shop(fetch, origin).watchItems({})) names.push(event.item?.name)
      return names
    },
    gives: ['a', 'b'],
  },
  upload: (fetch, origin, name) => shop(fetch, origin).putItem({ name }),
}

const completion = {
  id: 'c',
  object: 'chat.completion',
  choices: [{ message: { role: 'assistant', content: 'seven' } }],
}
const chat = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

/** It names no credential: that is the face's. */
const openaiOver = (fetch: typeof globalThis.fetch, origin: string) =>
  new OpenAI({ apiKey: 'unused', defaultHeaders: { Authorization: null }, baseURL: `${origin}/v1`, fetch })

const openai: Library = {
  routes: { 'POST /v1/chat/completions': { idempotent: true } },
  ok: json(completion),
  async call(fetch, origin, signal) {
    const client = openaiOver(fetch, origin)
    return (await client.chat.completions.create(chat, signal ? { signal } : {})).choices[0]?.message.content
  },
  gives: 'seven',
  failure: json({ error: { message: 'polywire-test', type: 'invalid_request_error' } }, 422),
  shown: /polywire-test/,
  stream: {
    answer: events(
      ...['se', 'ven'].map((content) => JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content } }] })),
      '[DONE]',
    ),
    async read(fetch, origin) {
      const client = openaiOver(fetch, origin)
      let text = ''
      for await (const part of await client.chat.completions.create({ ...chat, stream: true }))
        text += part.choices[0]?.delta.content ?? ''
      return text
    },
    gives: 'seven',
  },
  upload: (fetch, origin, content) =>
    openaiOver(fetch, origin).chat.completions.create({
      model: 'm',
      messages: [{ role: 'user', content }],
    }),
}

const message = { id: 'm', type: 'message', role: 'assistant', content: [{ type: 'text', text: 'seven' }], usage: {} }
const prompt = { model: 'm', max_tokens: 9, messages: [{ role: 'user' as const, content: 'hi' }] }

const anthropicOver = (fetch: typeof globalThis.fetch, baseURL: string) =>
  new Anthropic({ apiKey: 'unused', defaultHeaders: { Authorization: null, 'X-Api-Key': null }, baseURL, fetch })

const anthropic: Library = {
  routes: { 'POST /v1/messages': { idempotent: true } },
  ok: json(message),
  async call(fetch, baseURL, signal) {
    const client = anthropicOver(fetch, baseURL)
    return (await client.messages.create(prompt, signal ? { signal } : {})).content.map(
      (each) => 'text' in each && each.text,
    )
  },
  gives: ['seven'],
  failure: json({ type: 'error', error: { type: 'invalid_request_error', message: 'polywire-test' } }, 422),
  shown: /polywire-test/,
  stream: {
    answer: pieces(
      'text/event-stream',
      ...['se', 'ven'].map(
        (text) =>
          `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })}\n\n`,
      ),
      'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ),
    async read(fetch, baseURL) {
      const client = anthropicOver(fetch, baseURL)
      let text = ''
      for await (const part of await client.messages.create({ ...prompt, stream: true }))
        if (part.type === 'content_block_delta' && part.delta.type === 'text_delta') text += part.delta.text
      return text
    },
    gives: 'seven',
  },
  upload: (fetch, baseURL, content) =>
    anthropicOver(fetch, baseURL).messages.create({
      ...prompt,
      messages: [{ role: 'user', content }],
    }),
}

/** The events of a stream, up to the second. */
function twoEvents(fetch: typeof globalThis.fetch, origin: string, signal?: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const seen: unknown[] = []
    const source = new EventSource(`${origin}/events`, { fetch })
    signal?.addEventListener('abort', () => {
      source.close()
      reject(signal.reason)
    })
    source.onerror = (event) => {
      source.close()
      reject(Object.assign(new Error(`${event.code} ${event.message}`), { code: event.code }))
    }
    source.onmessage = ({ data }) => {
      seen.push(data)
      if (seen.length < 2) return
      source.close()
      resolve(seen)
    }
  })
}

const eventsource: Library = {
  ok: events('one', 'two', 'three'),
  call: twoEvents,
  gives: ['one', 'two'],
  failure: json({ code: 'polywire-test' }, 422),
  // The library reads no error bodies: it tells the status.
  shown: /422/,
  stream: { answer: events('one', 'two', 'three'), read: twoEvents, gives: ['one', 'two'] },
}

/** Its own retries are off: they wait for seconds, and know no sign that another layer has tried. */
const postgrestOver = (fetch: typeof globalThis.fetch, origin: string) =>
  new PostgrestClient(origin, { fetch, retry: false })

const postgrest: Library = {
  ok: json([thing]),
  async call(fetch, origin, signal) {
    const query = postgrestOver(fetch, origin).from('things').select('id, name')
    const { data, error } = await (signal ? query.abortSignal(signal) : query).throwOnError()
    if (error) throw error
    return data
  },
  gives: [thing],
  failure: noThing,
  shown: /polywire-test/,
  upload: (fetch, origin, name) =>
    Promise.resolve(postgrestOver(fetch, origin).from('things').insert({ name }).throwOnError()),
}

/** All of them, by name. */
export const libraries: Readonly<Record<string, Library>> = {
  'openapi-fetch': openapiFetch,
  '@hey-api/client-fetch': heyApi,
  'orval (generated)': orval,
  ky: kyLibrary,
  ofetch: ofetchLibrary,
  'axios (fetch adapter)': axiosLibrary,
  'graphql-request': graphqlRequest,
  '@urql/core': urql,
  '@connectrpc/connect-web': connectWeb,
  openai,
  '@anthropic-ai/sdk': anthropic,
  eventsource,
  '@supabase/postgrest-js': postgrest,
}
