import { createRequire } from 'node:module'
import { parse, type ValidationRule } from 'graphql'
import { type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { mutation, query } from 'polywire/graphql'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { type GraphQLServer, startApollo, startMercurius, startYoga } from '../../support/servers/graphql-servers.ts'

const text = type<string | null>()
const hello = query('query Hello($name: String!) { hello(name: $name) }', {
  variables: type<{ name: string }>(),
  output: type<{ hello: string }>(),
})

describe.each([
  ['graphql-yoga', startYoga],
  ['Apollo Server', startApollo],
])('%s', (name, start) => {
  let server: GraphQLServer
  let client: ReturnType<typeof graphqlClient>
  beforeAll(async () => {
    server = await start()
    client = graphqlClient(server.url)
  })
  afterAll(async () => {
    await client.close()
    await server[Symbol.asyncDispose]()
  })

  it('answers a query', async () => {
    const reply = await client.bind({ hello }).hello.reply({ name: 'Ada' })
    expect(reply).toMatchObject({ message: { hello: 'Hello Ada' }, status: 200, attempts: 1 })
    expect(reply.headers.get('content-type')).toContain('application/graphql-response+json')
  })

  it('answers a DocumentNode, a boxed string and a chosen operation', async () => {
    const node = parse('query Node { viewer { id } }') as never
    expect(await client.call(query(node))).toEqual({ viewer: { id: '1' } })
    const boxed = new String('query Boxed { viewer { name } }') as never
    expect(await client.call(query(boxed))).toEqual({ viewer: { name: 'Ada' } })
    const both = 'query A { viewer { id } } query B { viewer { name } }'
    expect(await client.call(query(both, { operationName: 'B', output: type<unknown>() }))).toEqual({
      viewer: { name: 'Ada' },
    })
  })

  it('keeps every character of the document and of the variables', async () => {
    const output = type<{ a: string; b: string }>()
    const literal = query('query Q($b: String!) { a: hello(name: "a,  b # c \\" é 🎉") b: hello(name: $b) }', {
      variables: type<{ b: string }>(),
      output,
    })
    expect(await client.call(literal, { b: 'x,  # "y" \u2028 🎉' })).toEqual({
      a: 'Hello a,  b # c " é 🎉',
      b: 'Hello x,  # "y" \u2028 🎉',
    })
  })

  it('executes a mutation', async () => {
    const create = mutation('mutation Create($name: String!) { create(name: $name) { id } }', {
      variables: type<{ name: string }>(),
      output: type<{ create: { id: string } }>(),
    })
    const { length } = server.ledger.created
    expect(await client.call(create, { name: 'first' })).toEqual({ create: { id: String(length + 1) } })
    expect(server.ledger.created.slice(length)).toEqual(['first'])
  })

  test.each([
    ['a syntax error', 'query Q { hello(', 'invalid_argument'],
    ['an unknown field', 'query Q { nothing }', 'invalid_argument'],
    ['a missing variable', 'query Q($name: String!) { hello(name: $name) }', 'invalid_argument'],
    ['a variable of another type', 'query Q { hello(name: 1) }', 'invalid_argument'],
  ])('refuses %s, and it is not sent again', async (_what, document, code) => {
    // The scan needs a closed bracket to see an operation; the server does not.
    const source = document.includes('}') ? document : `${document} } }`
    const error = await failureOf(client.call(query(source, { output: type<unknown>() })))
    expect(error).toMatchObject({
      code,
      sent: 'yes',
      isRetryable: false,
      protocol: 'graphql',
      operation: 'query Q',
      failures: [],
    })
    expect(error.serverMessage).toBeTruthy()
    expect(error.message).not.toContain(error.serverMessage)
  })

  it('throws a field error, with what came beside it', async () => {
    const both = query('query Both { viewer { id } fail }', { output: type<unknown>() })
    const error = await failureOf(client.call(both))
    expect(error.code).toBe(name === 'Apollo Server' ? 'internal' : 'unknown')
    expect(error.message).toContain('errors beside partial data')
    expect(error.body).toMatchObject({ data: { viewer: { id: '1' }, fail: null } })
    expect(error.serverMessage).toBe('it broke')
  })

  it('gives partial data under the other policies', async () => {
    const document = 'query Both { viewer { id } fail }'
    const output = type<{ viewer: { id: string } }>()
    const all = await client.call(query(document, { output, errorPolicy: 'all' }))
    expect(all).toMatchObject({
      data: { viewer: { id: '1' }, fail: null },
      errors: [{ message: 'it broke', path: ['fail'] }],
    })
    const lax = await client.call(query(document, { output, errorPolicy: 'ignore' }))
    expect(lax).toEqual({ viewer: { id: '1' }, fail: null })
    const fine = await client.call(query('{ viewer { id } }', { output, errorPolicy: 'all' }))
    expect(fine).toEqual({ data: { viewer: { id: '1' } }, errors: [] })
    const gone = query('query Gone { failHard }', { output: text, errorPolicy: 'all' })
    expect(await client.call(gone)).toMatchObject({ data: null, errors: [{ message: 'it broke hard' }] })
    expect(await client.call(query('query Gone { failHard }', { output: text, errorPolicy: 'ignore' }))).toBeNull()
    expect(await failureOf(client.call(query('query Gone { failHard }', { output: text })))).toMatchObject({
      sent: 'yes',
    })
  })

  it('refreshes a refused credential once and replays, for queries and mutations', async () => {
    let refreshes = 0
    const auth = bearerAuth('old', { refresh: () => `${++refreshes && 'good'}` })
    await using own = graphqlClient(server.url, { auth })
    expect(await own.call(query('{ secret }', { output: type<unknown>() }))).toEqual({ secret: 'the secret' })
    const { length } = server.ledger.created
    const created = mutation('mutation { createSecret { id } }', { output: type<unknown>() })
    expect(await own.call(created)).toEqual({ createSecret: { id: String(length + 1) } })
    expect(refreshes).toBe(1)
  })

  it('says unauthenticated where there is no other credential', async () => {
    const error = await failureOf(client.call(query('{ secret }', { output: type<unknown>() })))
    expect(error).toMatchObject({ code: 'unauthenticated', reason: 'UNAUTHENTICATED', isRetryable: false })
    const partial = await client.call(
      query('{ viewer { id secret } }', { output: type<unknown>(), errorPolicy: 'all' }),
    )
    expect(partial).toMatchObject({
      data: { viewer: { id: '1', secret: null } },
      errors: [{ path: ['viewer', 'secret'] }],
    })
  })
})

// The copy that the servers have.
const { GraphQLError, NoSchemaIntrospectionCustomRule } = createRequire(import.meta.url)(
  'graphql',
) as typeof import('graphql')
/** A limit of depth, as servers set one. */
const noDepth: ValidationRule = (context) => ({
  Field(node, _key, _parent, _path, ancestors) {
    const depth = ancestors.filter((each) => 'kind' in each && each.kind === 'Field').length
    if (depth > 1) context.reportError(new GraphQLError('it is too deep', { nodes: node }))
  },
})
const validationRules = [noDepth, NoSchemaIntrospectionCustomRule]
const limits = {
  onValidate({ addValidationRule }: { addValidationRule(rule: ValidationRule): void }) {
    for (const rule of validationRules) addValidationRule(rule)
  },
}

it.each<[string, () => Promise<GraphQLServer>]>([
  ['Apollo Server', () => startApollo({ introspection: false, validationRules: [noDepth] })],
  ['graphql-yoga', () => startYoga({ plugins: [limits] })],
  ['Mercurius', () => startMercurius({ validationRules })],
])('what %s forbids, introspection and depth, is one clear error that is not tried again', async (_name, start) => {
  await using server = await start()
  await using client = graphqlClient(server.url)
  for (const text of ['{ __schema { types { name } } }', '{ viewer { repositories { nodes { name } } } }']) {
    const error = await failureOf(client.call(query(text, { output: type<unknown>() })))
    // Mercurius says so under 200, with `data: null` and without a code: only where it stands tells it from what has run.
    expect(error).toMatchObject({ code: 'invalid_argument', isRetryable: false, attempt: 1, sent: 'yes' })
    expect(error.serverMessage).toMatch(/introspection|too deep/)
  }
})
