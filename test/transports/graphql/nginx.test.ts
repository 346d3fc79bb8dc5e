import { type } from 'polywire'
import { mutation, query, subscription } from 'polywire/graphql'
import { expect, it } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { startYoga } from '../../support/servers/graphql-servers.ts'
import { GraphQLWsServer } from '../../support/servers/graphql-ws-server.ts'
import { describeNginx, Nginx, proxied, upgraded } from '../../support/servers/nginx.ts'

const hello = query('query Hello($name: String!) { hello(name: $name) }', {
  variables: type<{ name: string }>(),
  output: type<{ hello: string }>(),
})
const create = mutation('mutation Create($name: String!) { create(name: $name) { id } }', {
  variables: type<{ name: string }>(),
  output: type<{ create: { id: string } }>(),
})
const count = subscription('subscription Count($to: Int!) { count(to: $to) }', {
  variables: type<{ to: number }>(),
  output: type<{ count: number }>(),
})
const live = subscription('subscription Live { live { n } }', { output: type<{ live: { n: number } }>() })

describeNginx('GraphQL through nginx', () => {
  it('carries queries and mutations, compressed on the way', async () => {
    await using server = await startYoga()
    const gzip = 'gzip on; gzip_min_length 0; gzip_proxied any; gzip_types application/graphql-response+json;'
    await using nginx = await Nginx.start({ '/': proxied(new URL(server.url).origin, gzip) })
    await using client = graphqlClient(`${nginx.url}/graphql`, { headers: { 'accept-encoding': 'gzip' } })
    const { message, headers } = await client.bind({ hello }).hello.reply({ name: 'Ada' })
    expect(message).toEqual({ hello: 'Hello Ada' })
    expect(headers.get('content-encoding')).toBe('gzip')
    expect(await client.call(create, { name: 'a' })).toEqual({ create: { id: '1' } })
  })

  it('tries a query again after 502 and not a mutation, and hides the page', async () => {
    await using nginx = await Nginx.start({ '/': proxied('http://127.0.0.1:1') })
    await using client = graphqlClient(`${nginx.url}/graphql`)
    const read = await failureOf(client.call(hello, { name: 'Ada' }))
    expect(read).toMatchObject({ code: 'unavailable', status: 502, attempt: 3, isRetryable: true })
    expect(read.message).not.toMatch(/<|nginx/)
    expect(read.serverMessage).toBeUndefined()
    const write = await failureOf(client.call(create, { name: 'a' }))
    expect(write).toMatchObject({ code: 'unavailable', status: 502, attempt: 1 })
  })

  it('sends a mutation once under 503 with Retry-After, and again where its key is honoured', async () => {
    await using nginx = await Nginx.start({ '/': 'add_header Retry-After 0 always; return 503;' })
    await using client = graphqlClient(`${nginx.url}/graphql`)
    expect(await failureOf(client.call(create, { name: 'a' }))).toMatchObject({ status: 503, attempt: 1 })
    await using keyed = graphqlClient(`${nginx.url}/graphql`, { idempotency: 'idempotency-key' })
    expect(await failureOf(keyed.call(create, { name: 'a' }))).toMatchObject({ status: 503, attempt: 3 })
  })

  it('413 is not tried again', async () => {
    await using nginx = await Nginx.start({ '/': proxied('http://127.0.0.1:1', 'client_max_body_size 1k;') })
    await using client = graphqlClient(`${nginx.url}/graphql`)
    const error = await failureOf(client.call(hello, { name: 'x'.repeat(100_000) }))
    expect(error).toMatchObject({ code: 'resource_exhausted', status: 413, attempt: 1 })
  })

  it('carries subscriptions, which come back after a reload', async () => {
    await using server = await GraphQLWsServer.start()
    await using nginx = await Nginx.start({ '/': upgraded(server.url.replace('ws:', 'http:').replace('/graphql', '')) })
    const socket = { reconnect: { baseDelayMs: 1 } }
    await using client = graphqlClient(`${nginx.url}/graphql`, { socket })
    const counted: number[] = []
    for await (const message of client.call(count, { to: 3 })) counted.push(message.count)
    expect(counted).toEqual([1, 2, 3])
    const ticks: number[] = []
    const stream = client.call(live)
    await stream.opened
    await server.until(() => server.ledger.live.subscribers === 1)
    server.ledger.live.push({ n: 1 })
    for await (const message of stream) {
      ticks.push(message.live.n)
      if (ticks.length === 2) break
      await nginx.reload()
      await server.until(() => server.framesOf('subscribe').length === 3 && server.ledger.live.subscribers === 1)
      server.ledger.live.push({ n: 2 })
    }
    expect(ticks).toEqual([1, 2])
  })
})
