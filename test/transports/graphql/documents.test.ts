import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { parse } from 'graphql'
import mercurius from 'mercurius'
import { type } from 'polywire'
import {
  type GraphQLFeature,
  getQueries,
  mutation,
  persistedQueries,
  query,
  type TypedDocument,
  trustedDocuments,
} from 'polywire/graphql'
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import { urlOf } from '../../../transports/graphql/get-queries.ts'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { type Exchange, FaultServer } from '../../support/servers/fault-server.ts'
import { type GraphQLServer, startApollo, startMercurius, startYoga } from '../../support/servers/graphql-servers.ts'

const text = 'query Hello($name: String!) { hello(name: $name) }'
const hash = createHash('sha256').update(text).digest('hex')
const hello = query(text, { variables: type<{ name: string }>(), output: type<{ hello: string }>() })
const createText = 'mutation Create($name: String!) { create(name: $name) { id } }'
const create = mutation(createText, {
  variables: type<{ name: string }>(),
  output: type<{ create: { id: string } }>(),
})
const good = { data: { hello: 'Hi', create: { id: '1' } } }

/** A server that keeps what it was asked, and answers the n-th request with the n-th of these, the last one for ever. */
let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())

const url = () => `${server.url}/graphql`
type Step = (exchange: Exchange) => void
const reply = (status: number, body: unknown, headers?: Record<string, string>): Step => {
  return (exchange) => exchange.reply(status, body, headers)
}
function answer(...steps: Step[]): void {
  let nth = 0
  server.on('/graphql', async (exchange) => {
    await exchange.body()
    ;(steps[nth++] ?? steps.at(-1))?.(exchange)
  })
}
const sent = () =>
  Promise.all(
    server.exchanges.map(async (exchange) => {
      const body = (await exchange.body()).toString()
      return { method: exchange.method, query: Object.fromEntries(exchange.query), body: body && JSON.parse(body) }
    }),
  )

/** What \`@graphql-yoga/plugin-apq\` does: 404 with a code, and a map of what was registered. */
function yogaApq() {
  const store = new Map<string, string>()
  return {
    onParams({ params, setParams }: { params: any; setParams(params: unknown): void }) {
      const asked = params.extensions?.persistedQuery
      if (asked?.version !== 1) return
      if (params.query) store.set(asked.sha256Hash, params.query)
      else if (store.has(asked.sha256Hash)) setParams({ ...params, query: store.get(asked.sha256Hash) })
      else
        throw Object.assign(new Error('PersistedQueryNotFound'), {
          extensions: { http: { status: 404 }, code: 'PERSISTED_QUERY_NOT_FOUND' },
          name: 'GraphQLError',
        })
    },
  }
}

describe('persistedQueries', () => {
  const servers: [string, () => Promise<GraphQLServer>][] = [
    ['Apollo Server (200 and a code)', () => startApollo()],
    ['graphql-yoga (404 and a code)', () => startYoga({ plugins: [yogaApq()] })],
    [
      'Mercurius (400 and a message)',
      () => startMercurius({ persistedQueryProvider: mercurius.persistedQueryDefaults.automatic() }),
    ],
  ]
  test.each(servers)('registers a document once with %s, and asks by its hash from then on', async (_, start) => {
    await using real = await start()
    await using client = graphqlClient(real.url, { features: [persistedQueries()] })
    expect(await client.call(hello, { name: 'Ada' })).toEqual({ hello: 'Hello Ada' })
    const first = real.requests.length
    expect(await client.call(hello, { name: 'Bo' })).toEqual({ hello: 'Hello Bo' })
    expect(real.requests.length).toBe(first + 1)
    expect((await client.call(create, { name: 'once' })).create.id).toBe('1')
    expect(real.ledger.created).toEqual(['once'])
  })

  test.each<[string, () => Promise<GraphQLServer>]>([
    ['Apollo Server that has them switched off', () => startApollo({ persistedQueries: false })],
    ['graphql-yoga without its plugin', () => startYoga()],
    ['Mercurius without a provider', () => startMercurius()],
  ])('sends whole documents to %s, and remembers that', async (_, start) => {
    await using real = await start()
    await using client = graphqlClient(real.url, { features: [persistedQueries()] })
    expect(await client.call(hello, { name: 'Ada' })).toEqual({ hello: 'Hello Ada' })
    await client.call(hello, { name: 'Bo' })
    await client.call(create, { name: 'once' })
    // How often the context is made for a refused one differs: what ran is what counts.
    expect(real.ledger.created).toEqual(['once'])
  })

  it('asks by the hash alone, then with the document, in one attempt', async () => {
    const miss = { errors: [{ message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }] }
    answer(reply(200, miss), reply(200, good))
    await using client = graphqlClient(url(), { features: [persistedQueries()] })
    const { attempts } = await client.bind({ hello }).hello.reply({ name: 'Ada' })
    expect(attempts).toBe(1)
    const extensions = { persistedQuery: { version: 1, sha256Hash: hash } }
    const variables = { name: 'Ada' }
    expect((await sent()).map(({ body }) => body)).toEqual([
      { operationName: 'Hello', variables, extensions },
      { query: text, operationName: 'Hello', variables, extensions },
    ])
  })

  it('does not go round for ever where a server misses what it was just given', async () => {
    answer(reply(200, { errors: [{ message: 'PersistedQueryNotFound' }] }))
    await using client = graphqlClient(url(), { features: [persistedQueries()] })
    await failureOf(client.call(hello, { name: 'Ada' }))
    expect(server.exchanges.length).toBe(2)
  })

  it('tells a server without them from variables that it refuses', async () => {
    const refused = { errors: [{ message: 'bad input', extensions: { code: 'BAD_USER_INPUT' } }] }
    answer(reply(400, refused))
    await using client = graphqlClient(url(), { features: [persistedQueries()] })
    expect(await failureOf(client.call(hello, { name: 'Ada' }))).toMatchObject({ code: 'invalid_argument' })
    expect(server.exchanges.length).toBe(1)
  })

  it.each([
    ['says so', { errors: [{ message: 'no', extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } }] }],
    ['misses the document', { errors: [{ message: 'Must provide query string.' }] }],
  ])('asks a server that has none, and %s, by a hash once', async (_how, refusal) => {
    answer(reply(400, refusal), reply(200, good), reply(200, good))
    await using client = graphqlClient(url(), { features: [persistedQueries()] })
    for (const name of ['Ada', 'Bo']) await client.call(hello, { name })
    expect((await sent()).map(({ body }) => ['query' in body, 'extensions' in body])).toEqual([
      [false, true],
      [true, false],
      [true, false],
    ])
  })

  it.each([
    ['the server', reply(400, { errors: [{ message: 'no' }] })],
    ['the page of a proxy', reply(404, '<h1>Not found</h1>', { 'content-type': 'text/html' })],
  ])('goes on asking by hash where the whole document was refused, too, by %s', async (_who, refusal) => {
    answer(refusal, refusal, reply(200, good))
    await using client = graphqlClient(url(), { features: [persistedQueries()] })
    await failureOf(client.call(hello, { name: 'Ada' }))
    await client.call(hello, { name: 'Ada' })
    expect((await sent()).map(({ body }) => 'query' in body)).toEqual([false, true, false])
  })

  it('hashes the exact text that is sent, and an AST as it is printed', async () => {
    const odd = 'query   Hello($name: String!) {\n  # a comment with "quotes", é\n  hello(name: $name)\n}'
    answer(reply(200, good))
    await using client = graphqlClient(url(), { features: [persistedQueries()] })
    await client.call(query(odd, { variables: type<{ name: string }>(), output: type<unknown>() }), { name: '' })
    const document = parse(odd) as TypedDocument<unknown, { name: string }>
    await client.call(query(document), { name: '' })
    const [first, second] = (await sent()).map(({ body }) => body.extensions.persistedQuery.sha256Hash)
    expect(first).toBe(createHash('sha256').update(odd).digest('hex'))
    const printed = 'query Hello($name: String!) {\n  hello(name: $name)\n}'
    expect(second).toBe(createHash('sha256').update(printed).digest('hex'))
  })

  it('takes a hash function, and tells what it throws as a cause', async () => {
    answer(reply(200, good))
    await using client = graphqlClient(url(), { features: [persistedQueries({ hash: async () => 'h' })] })
    await client.call(hello, { name: 'Ada' })
    expect((await sent())[0]?.body.extensions.persistedQuery.sha256Hash).toBe('h')
    const broken = persistedQueries({
      hash: () => {
        throw new Error('no hash')
      },
    })
    await using other = graphqlClient(url(), { features: [broken] })
    expect(await failureOf(other.call(hello, { name: 'Ada' }))).toMatchObject({ code: 'internal', sent: 'no' })
  })

  it('sends whole documents where the platform has no Web Crypto, and says so', async () => {
    answer(reply(200, good))
    const warnings: unknown[] = []
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) })
    try {
      const telemetry = { event: (event: { type: string }) => void (event.type === 'warning' && warnings.push(event)) }
      await using client = graphqlClient(url(), { features: [persistedQueries()], client: { telemetry } })
      await client.call(hello, { name: 'Ada' })
    } finally {
      vi.unstubAllGlobals()
    }
    expect((await sent())[0]?.body.query).toBe(text)
    expect(warnings.length).toBe(1)
  })
})

describe('getQueries', () => {
  test.each<[string, () => Promise<GraphQLServer>]>([
    ['Apollo Server, CSRF prevention on', () => startApollo()],
    ['graphql-yoga', () => startYoga()],
    ['Mercurius', () => startMercurius()],
  ])('%s answers queries by GET, literals unharmed; mutations stay a POST', async (_, start) => {
    await using real = await start()
    await using client = graphqlClient(real.url, { features: [getQueries()] })
    const literal = query('{ hello(name: "a,  b # c \\" + é 😀") }', { output: type<{ hello: string }>() })
    expect(await client.call(literal)).toEqual({ hello: 'Hello a,  b # c " + é 😀' })
    expect(await client.call(hello, { name: 'a&b=c+d%#é😀' })).toEqual({ hello: 'Hello a&b=c+d%#é😀' })
    expect((await client.call(create, { name: 'x' })).create.id).toBe('1')
    expect(real.requests[0]).not.toHaveProperty('content-type')
    expect(real.requests.at(-1)).toHaveProperty('content-type', 'application/json')
  })

  it('writes one URL for equal variables, and none of what is undefined', async () => {
    answer(reply(200, good))
    await using client = graphqlClient(url(), { features: [getQueries()] })
    const order = query('query O($a: A, $b: B) { a }', { variables: type<object>(), output: type<unknown>() })
    await client.call(order, { b: { y: 1, x: [{ d: 1, c: 2 }] }, a: null })
    await client.call(order, { a: null, b: { x: [{ c: 2, d: 1 }], y: 1 } })
    await client.call(query('{ a }', { output: type<unknown>() }))
    const [one, other, bare] = (await sent()).map(({ query }) => query)
    expect(one).toEqual(other)
    expect(one).toEqual({
      query: 'query O($a: A, $b: B) { a }',
      operationName: 'O',
      variables: '{"a":null,"b":{"x":[{"c":2,"d":1}],"y":1}}',
    })
    expect(bare).toEqual({ query: '{ a }' })
  })

  it('sends a query that is too long for a URL by POST, and one within the limit by GET', async () => {
    answer(reply(200, good))
    await using client = graphqlClient(url(), { features: [getQueries({ maxUrlLength: 300 })] })
    await client.call(hello, { name: 'x'.repeat(300) })
    await client.call(hello, { name: 'x' })
    expect((await sent()).map(({ method }) => method)).toEqual(['POST', 'GET'])
  })

  it('keeps the query of the endpoint, adds a credential, and leaves the preflight header out where told', async () => {
    answer(reply(200, good))
    const credential = { query: { key: 'k 1' } }
    const auth = { name: 'key', credential: () => credential }
    const features = [getQueries({ preflightHeader: false })]
    await using client = graphqlClient(`${url()}?tenant=acme`, { auth, features })
    await client.call(hello, { name: 'x' })
    expect((await sent())[0]?.query).toMatchObject({ tenant: 'acme', key: 'k 1', operationName: 'Hello' })
    expect(server.exchanges[0]?.headers).not.toHaveProperty('apollo-require-preflight')
  })

  it('asks for a hash by GET, and registers the document by POST', async () => {
    await using real = await startApollo()
    await using client = graphqlClient(real.url, { features: [getQueries(), persistedQueries()] })
    await client.call(hello, { name: 'Ada' })
    await client.call(hello, { name: 'Bo' })
    const types = real.requests.map((headers) => headers['content-type'] ?? 'GET')
    expect(types).toEqual(['GET', 'application/json', 'GET'])
  })

  it('carries every text there is, property by property', () => {
    const call = { operation: { binding: {} } }
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.dictionary(fc.string(), fc.jsonValue()), (document, variables) => {
        const asked = { call, document: { kind: 'query' }, members: { query: document, variables } }
        const written = urlOf(asked as never, 'https://api.example.com/graphql?a=b')
        if (written === undefined) return /\p{Surrogate}/u.test(document)
        const params = new URL(written).searchParams
        expect(params.get('query')).toBe(document)
        expect(JSON.parse(params.get('variables') as string)).toEqual(JSON.parse(JSON.stringify(variables)))
        return params.get('a') === 'b'
      }),
    )
  })
})

describe('trustedDocuments', () => {
  class TypedDocumentString extends String {
    readonly __meta__: { hash: string }
    constructor(value: string, meta: { hash: string }) {
      super(value)
      this.__meta__ = meta
    }
  }
  type Hello = TypedDocument<{ hello: string }, { name: string }>
  const byCodegen = query(new TypedDocumentString(text, { hash: 'abc' }) as unknown as Hello)
  const byTada = query({ kind: 'Document', definitions: [], documentId: 'sha256:abc' } as unknown as Hello)
  const ask = async (features: GraphQLFeature[], operation = byCodegen) => {
    answer(reply(200, good))
    await using client = graphqlClient(url(), { features })
    await client.call(operation, { name: 'Ada' })
    return (await sent()).at(-1)?.body
  }
  const rest = { operationName: 'Hello', variables: { name: 'Ada' } }

  test.each<[string, Parameters<typeof trustedDocuments>[0], object]>([
    ['documentId', undefined, { documentId: 'abc', ...rest }],
    ['doc_id', { form: 'doc_id' }, { doc_id: 'abc', ...rest }],
    [
      'persistedQuery',
      { form: 'persistedQuery' },
      { ...rest, extensions: { persistedQuery: { version: 1, sha256Hash: 'abc' } } },
    ],
    ['a function', { form: (id) => ({ query: id, persisted: true }) }, { query: 'abc', persisted: true, ...rest }],
  ])('sends the id of GraphQL Codegen, never the text, as %s', async (_, options, body) => {
    expect(await ask([trustedDocuments(options)])).toEqual(body)
  })

  it('takes the id of gql.tada, whose document may hold nothing else', async () => {
    expect(await ask([trustedDocuments()], byTada)).toEqual({ documentId: 'sha256:abc', variables: { name: 'Ada' } })
    const body = await ask([trustedDocuments({ form: 'persistedQuery' })], byTada)
    expect(body.extensions.persistedQuery.sha256Hash).toBe('abc')
  })

  it('takes ids by operation name, or of a function', async () => {
    expect(await ask([trustedDocuments({ ids: { Hello: 'h1' } })], hello)).toMatchObject({ documentId: 'h1' })
    const ids = (name: string | undefined, source: string) => `${name}:${source.length}`
    expect(await ask([trustedDocuments({ ids })], hello)).toMatchObject({ documentId: `Hello:${text.length}` })
  })

  it('refuses a document without an id before anything is sent, or sends it where told', async () => {
    await using client = graphqlClient(url(), { features: [trustedDocuments({ ids: { toString: 'x' } })] })
    expect(await failureOf(client.call(hello, { name: 'Ada' }))).toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
    })
    expect(server.exchanges.length).toBe(0)
    expect(await ask([trustedDocuments({ unknown: 'send' })], hello)).toMatchObject({ query: text })
  })

  it('tells a document that the server does not know, and asks no further', async () => {
    answer(
      reply(200, {
        errors: [{ message: 'PersistedQueryNotFound', extensions: { code: 'PERSISTED_QUERY_NOT_FOUND' } }],
      }),
    )
    await using client = graphqlClient(url(), { features: [trustedDocuments()] })
    expect(await failureOf(client.call(byCodegen, { name: 'Ada' }))).toMatchObject({ code: 'not_found' })
    expect(server.exchanges.length).toBe(1)
  })

  it('is what Mercurius takes that runs prepared documents only', async () => {
    const persistedQueryProvider = mercurius.persistedQueryDefaults.preparedOnly({ abc: text })
    await using real = await startMercurius({ persistedQueryProvider })
    const form = (id: string) => ({ query: id, persisted: true })
    await using client = graphqlClient(real.url, { features: [trustedDocuments({ form })] })
    expect(await client.call(byCodegen, { name: 'Ada' })).toEqual({ hello: 'Hello Ada' })
  })
})

describe('features', () => {
  it('of an operation win over those of the transport, and an empty list means none', async () => {
    answer(reply(200, good))
    await using client = graphqlClient(url(), { features: [getQueries()] })
    const plain = query('{ a }', { output: type<unknown>(), features: [] })
    await client.call(plain)
    await client.call(query('{ a }', { output: type<unknown>() }))
    expect((await sent()).map(({ method }) => method)).toEqual(['POST', 'GET'])
  })

  it('that do one thing are refused where there are two', async () => {
    await using client = graphqlClient(url(), { features: [persistedQueries(), getQueries(), trustedDocuments()] })
    expect(await failureOf(client.call(hello, { name: 'x' }))).toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })

  it('are refused where they are none', () => {
    expect(() => graphqlClient(url(), { features: [{}] as never })).toThrow('features takes a list of features')
    expect(() => query('{ a }', { output: type<unknown>(), features: getQueries() as never })).toThrow(TypeError)
    expect(() => getQueries({ maxUrlLenght: 3 } as never)).toThrow("did you mean 'maxUrlLength'?")
  })
})
