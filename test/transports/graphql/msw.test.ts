import { http as anyHttp } from 'msw'
import { graphql } from 'msw/graphql'
import { setupServer } from 'msw/node'
import { type } from 'polywire'
import {
  type GraphQLFeature,
  persistedQueries,
  query,
  requestBatching,
  subscription,
  trustedDocuments,
} from 'polywire/graphql'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { graphqlClient } from '../../support/graphql-client.ts'

const http = graphql.link('https://api.test/graphql')
const socket = graphql.link('wss://api.test/graphql')
const left: string[] = []
const server = setupServer(
  http.query('Find', ({ variables }) => Response.json({ data: { found: variables.id } })),
  socket.subscription('Ticks', ({ subscription: ticks, finalize }) => {
    const { from } = ticks.variables as { from: number }
    finalize(() => void left.push(ticks.id))
    ticks.publish({ data: { tick: from } })
    ticks.publish({ data: { tick: from + 1 } })
    if (from === 1) ticks.complete()
  }),
)
beforeAll(() => server.listen())
afterAll(() => server.close())

it('a GraphQL server mocked by msw answers queries and subscriptions', async () => {
  await using client = graphqlClient('https://api.test/graphql')
  const find = query('query Find($id: ID!) { found(id: $id) }', {
    variables: type<{ id: string }>(),
    output: type<{ found: string }>(),
  })
  expect(await client.call(find, { id: '7' })).toEqual({ found: '7' })
  const ticks = subscription('subscription Ticks($from: Int!) { tick(from: $from) }', {
    variables: type<{ from: number }>(),
    output: type<{ tick: number }>(),
  })
  const seen: number[] = []
  for await (const { tick } of client.call(ticks, { from: 1 })) seen.push(tick)
  expect(seen).toEqual([1, 2])
  for await (const { tick } of client.call(ticks, { from: 5 })) if (tick === 6) break
  await expect.poll(() => left.length).toBe(2)
})

it('what msw knows no operation of is answered by a handler of HTTP: anonymous, in batches, by a hash, by an id', async () => {
  const bodies: any[] = []
  const answer = (body: any) =>
    body.extensions && !body.query
      ? { errors: [{ message: 'PersistedQueryNotFound' }] }
      : { data: { found: body.variables?.id ?? 'none' } }
  server.use(
    anyHttp.post('https://api.test/graphql', async ({ request }) => {
      const body: any = await request.json()
      bodies.push(body)
      return Response.json(Array.isArray(body) ? body.map(answer) : answer(body))
    }),
  )
  const text = 'query Other($id: ID!) { found(id: $id) }'
  const spec = { variables: type<{ id: string }>(), output: type<{ found: string }>() }
  const by = async (features: readonly GraphQLFeature[], times = 1) => {
    await using client = graphqlClient('https://api.test/graphql', { features })
    return await Promise.all(Array.from({ length: times }, (_, n) => client.call(query(text, spec), { id: `${n}` })))
  }
  await using client = graphqlClient('https://api.test/graphql')
  expect(await client.call(query('{ found }', { output: spec.output }))).toEqual({ found: 'none' })
  expect(await by([requestBatching()], 2)).toEqual([{ found: '0' }, { found: '1' }])
  expect(await by([persistedQueries()])).toEqual([{ found: '0' }])
  expect(await by([trustedDocuments({ ids: { Other: 'o7' } })])).toEqual([{ found: '0' }])
  expect(bodies.map((body) => (Array.isArray(body) ? body.length : Object.keys(body).join()))).toEqual([
    'query',
    2,
    'operationName,variables,extensions',
    'query,operationName,variables,extensions',
    'documentId,operationName,variables',
  ])
})
