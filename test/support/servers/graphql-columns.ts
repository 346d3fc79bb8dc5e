import { createRequire } from 'node:module'
import mercurius from 'mercurius'
import { graphql } from 'msw/graphql'
import { setupServer } from 'msw/node'
import { Ledger, type TestContext, testSchema } from './graphql-schema.ts'
import { startApollo, startMercurius, startYoga } from './graphql-servers.ts'
import { GraphQLWsServer } from './graphql-ws-server.ts'
import { multipart } from './incremental-servers.ts'

/** What graphql 17 has beside: results in parts. */
interface Graphql17 {
  readonly experimentalExecuteIncrementally?: (args: object) => Promise<{
    readonly initialResult?: object
    readonly subsequentResults?: AsyncIterable<object>
  }>
}

// The copy that the schema was made with: a bundler's choice is another one.
const graphqlLibrary = createRequire(import.meta.url)('graphql') as typeof import('graphql') & Graphql17
const { parse, validate } = graphqlLibrary
const execute = graphqlLibrary.experimentalExecuteIncrementally ?? graphqlLibrary.execute

/** A column of the interop table: a server with everything switched on that it offers. */
export interface Column extends AsyncDisposable {
  readonly url: string
  /** Where its subscriptions are. */
  readonly subscriptionUrl: string
  readonly ledger: Ledger
}

/** The names of the columns. */
export const columnNames = ['graphql-yoga', 'Apollo Server', 'Mercurius', 'msw'] as const
/** Those that run on graphql 17: Mercurius, whose maker names 16 alone, refuses every variable there. */
export const columnNamesOf17: readonly ColumnName[] = columnNames.filter((name) => name !== 'Mercurius')
/** One of them. */
export type ColumnName = (typeof columnNames)[number]

/** By the yoga docs: persisted operations as a plugin, `graphql-ws` beside it. */
async function yogaColumn(): Promise<Column> {
  const store = new Map<string, string>()
  const persisted = {
    onParams({ params, setParams }: { params: any; setParams(params: unknown): void }) {
      const { sha256Hash: hash, version } = params.extensions?.persistedQuery ?? {}
      if (version !== 1) return
      if (params.query) store.set(hash, params.query)
      else if (store.has(hash)) setParams({ ...params, query: store.get(hash) })
      else
        throw Object.assign(new Error('PersistedQueryNotFound'), {
          extensions: { http: { status: 404 }, code: 'PERSISTED_QUERY_NOT_FOUND' },
          name: 'GraphQLError',
        })
    },
  }
  const server = await startYoga({ batching: { limit: 10 }, plugins: [persisted] })
  return withSocketServer(server)
}

async function apolloColumn(): Promise<Column> {
  return withSocketServer(await startApollo({ allowBatchedHttpRequests: true }))
}

/** Both leave the socket to graphql-ws. */
async function withSocketServer(server: Omit<Column, 'subscriptionUrl'>): Promise<Column> {
  const socket = await GraphQLWsServer.start()
  return {
    url: server.url,
    ledger: server.ledger,
    subscriptionUrl: socket.url,
    [Symbol.asyncDispose]: async () => {
      await socket[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/** Its own implementation of `graphql-transport-ws`, and of batches and persisted queries. */
async function mercuriusColumn(): Promise<Column> {
  const persistedQueryProvider = mercurius.persistedQueryDefaults.automatic()
  const server = await startMercurius({
    subscription: { fullWsTransport: true },
    allowBatchedQueries: true,
    persistedQueryProvider,
  })
  return {
    url: server.url,
    ledger: server.ledger,
    subscriptionUrl: server.url.replace('http', 'ws'),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** The same schema behind `graphql.operation`, as a user's tests would mock it. */
async function mswColumn(): Promise<Column> {
  const ledger = new Ledger()
  const schema = testSchema(ledger, true) as never
  const http = graphql.link('https://msw.test/graphql')
  const socket = graphql.link('wss://msw.test/graphql')
  interface Asked {
    readonly query: string
    readonly variables: object
    readonly operationName: string
    readonly request: Request
  }
  const answer = async ({ query, variables, operationName, request }: Asked) => {
    const document = parse(query)
    const errors = validate(schema, document)
    if (errors.length > 0) return Response.json({ errors }, { status: 400 })
    const contextValue: TestContext = { token: request.headers.get('authorization')?.replace('Bearer ', '') }
    const variableValues = { ...variables }
    const result = await execute({ schema, document, variableValues, operationName, contextValue })
    if (!('subsequentResults' in result)) return Response.json(result)
    const parts: unknown[] = [result.initialResult]
    for await (const part of result.subsequentResults ?? []) parts.push(part)
    return new Response(multipart(parts).join(''), { headers: { 'content-type': 'multipart/mixed; boundary="-"' } })
  }
  const server = setupServer(
    http.query(/.*/, answer),
    http.mutation(/.*/, answer),
    socket.subscription('Count', ({ subscription }) => {
      const { to } = subscription.variables as { to: number }
      for (let n = 1; n <= to; n++) subscription.publish({ data: { count: n } })
      subscription.complete()
    }),
  )
  server.listen()
  return {
    url: 'https://msw.test/graphql',
    subscriptionUrl: 'wss://msw.test/graphql',
    ledger,
    [Symbol.asyncDispose]: async () => server.close(),
  }
}

/** Starts the server of a column. */
export const startColumn: Readonly<Record<ColumnName, () => Promise<Column>>> = {
  'graphql-yoga': yogaColumn,
  'Apollo Server': apolloColumn,
  Mercurius: mercuriusColumn,
  msw: mswColumn,
}
