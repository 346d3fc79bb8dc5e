import { graphql } from 'msw/graphql'
import { setupServer } from 'msw/node'
import { type } from 'polywire'
import { query, subscription } from 'polywire/graphql'
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
