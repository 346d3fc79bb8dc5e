import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { version } from 'graphql'
import { type Code, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import {
  fileUploads,
  type GraphQLFeature,
  getQueries,
  incremental,
  jsonCodec,
  mutation,
  persistedQueries,
  query,
  relayPages,
  requestBatching,
  socketRequests,
  sseSubscriptions,
  subscription,
} from 'polywire/graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { failureOf, graphqlClient } from '../support/graphql-client.ts'
import {
  type Column,
  type ColumnName,
  columnNames,
  columnNamesOf17,
  startColumn,
} from '../support/servers/graphql-columns.ts'

type Client = ReturnType<typeof graphqlClient>
const is17 = version.startsWith('17.')
interface Ground {
  readonly column: Column
  readonly name: ColumnName
  /** A client of the server, with these options beside its addresses. */
  made(options?: Parameters<typeof graphqlClient>[1]): Client
}

/** One row: what is tried, and where it cannot be had, with what the caller is told there (`undefined`: nothing to try). */
interface Row {
  readonly name: string
  readonly run: (ground: Ground) => Promise<void>
  readonly without?: Partial<Record<ColumnName, Code | undefined>>
}

const output = type<any>()
const hello = query('query Hello($name: String!) { hello(name: $name) }', {
  variables: type<{ name: string }>(),
  output: type<{ hello: string }>(),
})
const greets = async (client: Client, name = 'Ada') =>
  expect(await client.call(hello, { name })).toEqual({ hello: `Hello ${name}` })
const count = subscription('subscription Count($to: Int!) { count(to: $to) }', {
  variables: type<{ to: number }>(),
  output: type<{ count: number }>(),
})

/** Greets with a feature. */
const greetsWith =
  (...features: GraphQLFeature[]) =>
  async ({ made }: Ground) => {
    await using client = made({ features })
    await greets(client)
    await greets(client, 'Bo')
  }
/** A fetch that counts. */
function counting() {
  let requests = 0
  const http = (url: string, init: object) => {
    requests++
    return fetch(url, init)
  }
  return { http, sent: () => requests }
}
async function counts(client: Client): Promise<void> {
  const seen: number[] = []
  for await (const message of client.call(count, { to: 3 })) seen.push(message.count)
  expect(seen).toEqual([1, 2, 3])
}

const rows: readonly Row[] = [
  { name: 'query', run: greetsWith() },
  {
    name: 'mutation',
    async run({ made, column: { ledger } }) {
      await using client = made()
      const create = mutation('mutation Create { create(name: "x") { id } }', { output })
      const before = ledger.created.length
      expect(await client.call(create)).toEqual({ create: { id: String(before + 1) } })
      expect(ledger.created.length).toBe(before + 1)
    },
  },
  {
    name: 'a document of several operations',
    async run({ made, name }) {
      const text = `query A { viewer { id } } subscription S { count(to: 1) }
        query B($text: String!) { echo(text: $text) }`
      const spec = { variables: type<{ text: string }>(), output: type<{ echo: string }>() }
      const one = query(text, { ...spec, operationName: 'B' })
      // A mock by msw sees no hashes.
      const ways = [[], [getQueries()], ...(name === 'msw' ? [] : [[persistedQueries()], [socketRequests()]])]
      for (const features of ways) {
        await using client = made({ features })
        const answers = await Promise.all(['x', 'y'].map((each) => client.call(one, { text: each })))
        expect(answers).toEqual([{ echo: 'x' }, { echo: 'y' }])
      }
      if (name === 'msw') return
      await using client = made()
      for await (const message of client.call(subscription(text, { output, operationName: 'S' })))
        expect(message).toEqual({ count: 1 })
    },
  },
  {
    name: 'partial data',
    async run({ made }) {
      await using client = made()
      const both = 'query Both { viewer { id } fail }'
      expect(await client.call(query(both, { output, errorPolicy: 'all' }))).toMatchObject({
        data: { viewer: { id: '1' }, fail: null },
        errors: [{ message: 'it broke', path: ['fail'] }],
      })
      expect(await client.call(query(both, { output, errorPolicy: 'ignore' }))).toEqual({
        viewer: { id: '1' },
        fail: null,
      })
      expect((await failureOf(client.call(query(both, { output })))).body).toMatchObject({
        data: { viewer: { id: '1' } },
      })
    },
  },
  {
    name: 'null that bubbles up',
    async run({ made }) {
      await using client = made()
      const hard = query('query Hard { failHard }', { output, errorPolicy: 'all' })
      expect(await client.call(hard)).toMatchObject({ data: null, errors: [{ path: ['failHard'] }] })
    },
  },
  {
    name: 'error codes',
    async run({ made }) {
      await using client = made({ client: { retry: false } })
      const coded = query('query Coded($code: String!) { coded(code: $code) }', {
        variables: type<{ code: string }>(),
        output,
      })
      for (const [reason, code] of Object.entries({ FORBIDDEN: 'permission_denied', NOT_FOUND: 'not_found' }))
        expect(await failureOf(client.call(coded, { code: reason }))).toMatchObject({ code, reason, sent: 'yes' })
    },
  },
  {
    name: 'parse, validation and coercion errors',
    async run({ made, name }) {
      await using client = made()
      const wrong = ['query Q { nothing }', 'query Q { hello(name: 1) }', 'query Q($n: Int!) { hello(name: $n) }']
      // msw parses before its handlers do, and gives no answer then.
      if (name !== 'msw') wrong.push('query Q { hello(name: $) }')
      for (const text of wrong) {
        const error = await failureOf(client.call(query(text, { output })))
        expect([error.code, error.isRetryable, error.attempt], text).toEqual(['invalid_argument', false, 1])
      }
      // A server's tests may coerce late: what counts is one clear error.
      const missing = await failureOf(client.call(hello, {} as never))
      expect(missing).toMatchObject({ code: 'invalid_argument', sent: 'yes' })
    },
  },
  {
    name: 'throttling',
    async run({ made }) {
      await using client = made()
      const limited = query('query Limited { limited }', { output })
      const error = await failureOf(client.call(limited, undefined, { timeoutMs: 1000 }))
      expect(error).toMatchObject({
        code: 'resource_exhausted',
        retryAfterMs: 2000,
        notRetried: 'wait_exceeds_deadline',
      })
    },
  },
  {
    name: 'auth refresh',
    async run({ made }) {
      let refreshes = 0
      const auth = bearerAuth('old', { refresh: () => `${++refreshes && 'good'}` })
      await using client = made({ auth })
      const secret = query('query Secret { secret }', { output })
      const all = await Promise.all(Array.from({ length: 10 }, () => client.call(secret)))
      expect(all).toEqual(Array.from({ length: 10 }, () => ({ secret: 'the secret' })))
      expect(refreshes).toBe(1)
    },
  },
  {
    name: 'abort',
    async run({ made }) {
      await using client = made()
      const controller = new AbortController()
      const call = client.call(hello, { name: 'Ada' }, { signal: controller.signal })
      controller.abort(new Error('enough'))
      await expect(call).rejects.toThrow('enough')
      await greets(client)
    },
  },
  {
    name: 'Relay pages',
    async run({ made }) {
      await using client = made()
      const text = `query R($after: String) { viewer { repositories(first: 10, after: $after) {
        nodes { name } pageInfo { hasNextPage endCursor } } } }`
      const paginate = relayPages({ path: 'viewer.repositories' }) as any
      const { list } = client.bind({
        list: query(text, { variables: type<{ after?: string }>(), output, paginate }),
      }) as any
      const names: string[] = []
      for await (const { name } of list.items()) names.push(name)
      expect(names).toHaveLength(22)
    },
  },
  { name: 'GET', run: greetsWith(getQueries()) },
  { name: 'persisted queries', run: greetsWith(persistedQueries()), without: { msw: undefined } },
  { name: 'persisted queries by GET', run: greetsWith(persistedQueries(), getQueries()), without: { msw: undefined } },
  {
    name: 'batches',
    async run({ made }) {
      const { http, sent } = counting()
      await using client = made({ http, features: [requestBatching()], client: { retry: false } })
      const none = query('query None { nothing }', { output })
      const [ada, wrong, bo] = await Promise.allSettled([greets(client), client.call(none), greets(client, 'Bo')])
      expect([ada.status, wrong.status, bo.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      // Of Mercurius, too, which gives it `data: null` and no status of its own.
      expect((wrong as PromiseRejectedResult).reason).toMatchObject({ code: 'invalid_argument', isRetryable: false })
      expect(sent()).toBe(1)
    },
    without: { msw: undefined },
  },
  {
    name: 'file uploads',
    async run({ made }) {
      await using client = made({ features: [fileUploads()], client: { retry: false } })
      const upload = mutation('mutation Upload($file: File!) { upload(file: $file) }', {
        variables: type<{ file: File }>(),
        output,
      })
      const file = new File(['héllo'], 'a.txt', { type: 'text/plain' })
      expect(await client.call(upload, { file })).toEqual({ upload: 'a.txt: héllo' })
    },
    without: { 'Apollo Server': 'invalid_argument', Mercurius: 'unimplemented' },
  },
  {
    name: 'queries and mutations over the socket',
    async run({ made }) {
      const { http, sent } = counting()
      await using client = made({ http, features: [socketRequests()] })
      await greets(client)
      const error = await failureOf(client.call(query('query Q { nothing }', { output })))
      expect(error).toMatchObject({ code: 'invalid_argument', isRetryable: false })
      expect(sent()).toBe(0)
    },
    without: { msw: undefined },
  },
  { name: 'a JSON parser of the user', run: greetsWith(jsonCodec({ parse: (text) => JSON.parse(text) })) },
  {
    name: 'subscriptions over a socket',
    async run({ made }) {
      await using client = made()
      await counts(client)
    },
  },
  {
    name: 'subscriptions over SSE',
    async run({ made }) {
      await using client = made({ features: [sseSubscriptions()], client: { retry: false } })
      await counts(client)
    },
    without: { 'Apollo Server': 'invalid_argument', Mercurius: 'unknown', msw: undefined },
  },
  {
    name: 'results in parts',
    async run({ made, name }) {
      await using client = made()
      const page = incremental('query Page { order(id: "1") { id ... @defer { total } } }', { output })
      const seen: unknown[] = []
      for await (const message of client.call(page)) seen.push(message)
      // Those without an executor that defers give all of it at once.
      const isDeferring = name === 'graphql-yoga' || (name === 'msw' && is17)
      expect(seen).toHaveLength(isDeferring ? 2 : 1)
      expect(seen.at(-1)).toEqual({ order: { id: '1', total: 7 } })
    },
    // Its `execute` takes no schema with `@defer`; that of 16 passes over it.
    ...(is17 && { without: { 'Apollo Server': 'invalid_argument' } }),
  },
]

/** What a cell of the table in the docs says. */
const cell = ({ without }: Row, name: ColumnName) => (without && name in without ? '–' : '✓')

describe.each(is17 ? columnNamesOf17 : columnNames)(`%s, with graphql ${version.split('.')[0]}`, (name) => {
  let ground: Ground
  beforeAll(async () => {
    const column = await startColumn[name]()
    const { url, subscriptionUrl } = column
    ground = { column, name, made: (options) => graphqlClient(url, { subscriptionUrl, ...options }) }
  })
  afterAll(() => ground.column[Symbol.asyncDispose]())

  it.each(rows.filter((row) => cell(row, name) === '✓').map((row) => [row.name, row] as const))(
    'has %s',
    (_row, { run }) => run(ground),
  )

  const missing = rows.flatMap((row) => (row.without?.[name] ? [[row.name, row, row.without[name]] as const] : []))
  it.each(missing)('is without %s, and says so', async (_row, { run }, code) => {
    expect(await failureOf(run(ground) as Promise<unknown>)).toMatchObject({ code, isRetryable: false })
  })
})

it.skipIf(is17)('the table in the docs is this one', () => {
  const docs = readFileSync(resolve(import.meta.dirname, '../../docs/transports/graphql.md'), 'utf8')
  const table = [
    `| | ${columnNames.join(' | ')} |`,
    `| --- |${' --- |'.repeat(columnNames.length)}`,
    ...rows.map((row) => `| ${row.name} | ${columnNames.map((name) => cell(row, name)).join(' | ')} |`),
  ]
  const lines = docs.slice(docs.indexOf(table[0] ?? '')).split('\n')
  expect(lines.slice(0, table.length)).toEqual(table)
})
