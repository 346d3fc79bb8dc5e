/** Reads a Relay connection of a real server, forward and backward: `node --conditions=polywire-source examples/relay-paging/index.ts`. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSchema, createYoga } from 'graphql-yoga'
import { createClient, type } from 'polywire'
import { graphqlTransport, query, relayPages } from 'polywire/graphql'

interface Connection {
  readonly edges: readonly { readonly node: { readonly name: string } }[]
  readonly pageInfo: {
    readonly hasNextPage: boolean
    readonly endCursor: string | null
    readonly hasPreviousPage: boolean
    readonly startCursor: string | null
  }
}

const typeDefs = /* GraphQL */ `
  type Query { viewer: Viewer! }
  type Viewer { books(first: Int, after: String, last: Int, before: String): Books! }
  type Books { edges: [Edge!]! pageInfo: PageInfo! }
  type Edge { cursor: String! node: Book! }
  type Book { name: String! }
  type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
`
const all = Array.from({ length: 12 }, (_, n) => ({ cursor: String(n), node: { name: `book ${n}` } }))

/** The pagination algorithm of the specification. */
function books(_viewer: unknown, args: { first?: number; after?: string; last?: number; before?: string }) {
  const from = args.after ? Number(args.after) + 1 : 0
  const to = args.before ? Number(args.before) : all.length
  const end = args.first === undefined ? to : Math.min(to, from + args.first)
  const start = args.last === undefined ? from : Math.max(from, to - args.last)
  const edges = all.slice(start, end)
  const pageInfo = {
    hasNextPage: end < all.length,
    hasPreviousPage: start > 0,
    startCursor: edges[0]?.cursor,
    endCursor: edges.at(-1)?.cursor,
  }
  return { edges, pageInfo }
}

const schema = createSchema({ typeDefs, resolvers: { Query: { viewer: () => ({}) }, Viewer: { books } } })
const server = createServer(createYoga({ schema, logging: false }))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`

const client = createClient({ transports: { graphql: graphqlTransport({ url }) } })
const selection = 'edges { node { name } } pageInfo { hasNextPage endCursor hasPreviousPage startCursor }'
const output = type<{ readonly viewer: { readonly books: Connection } }>()
const api = client.bind({
  forward: query(`query Forward($after: String) { viewer { books(first: 5, after: $after) { ${selection} } } }`, {
    variables: type<{ after?: string }>(),
    output,
    paginate: relayPages({ path: 'viewer.books' }),
  }),
  backward: query(`query Backward($before: String) { viewer { books(last: 5, before: $before) { ${selection} } } }`, {
    variables: type<{ before?: string }>(),
    output,
    paginate: relayPages({ path: 'viewer.books', direction: 'backward' }),
  }),
})

for await (const page of api.forward.pages()) console.log(`a page of ${page.viewer.books.edges.length}`)

const first = api.forward.items({}, { limit: 7, prefetch: 1 })
for await (const book of first) console.log(book.name)
console.log(`and from ${first.token} on:`)
for await (const book of api.forward.items({}, { from: first.token })) console.log(book.name)

const last: string[] = []
for await (const book of api.backward.items({}, { limit: 3 })) last.push(book.name)
console.log(`the last ones: ${last.join(', ')}`)

await client.close()
server.closeAllConnections()
server.close()
