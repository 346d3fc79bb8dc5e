import { version } from 'graphql'
import { createSchema } from 'graphql-yoga'
import { Feed } from './graphql-feed.ts'

/** What the resolvers are given: who calls, as the server understood it. */
export interface TestContext {
  readonly token?: string | undefined
}

/** What the resolvers saw and did, for tests of what really ran. */
export class Ledger {
  /** Arguments of every mutation that ran. */
  readonly created: string[] = []
  /** Subscriptions whose source was left, by name. */
  readonly left: string[] = []
  /** What `Subscription.live` gives. */
  readonly live = new Feed<{ readonly n: number }>()
  readonly #waiting = new Set<() => void>()

  /** Resolves when `condition` holds; looked at after each change. */
  until(condition: () => boolean): Promise<void> {
    if (condition()) return Promise.resolve()
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }

  /** A source was taken up. */
  join<T>(source: T): T {
    queueMicrotask(() => this.changed())
    return source
  }

  leave(name: string): void {
    this.left.push(name)
    this.changed()
  }

  changed(): void {
    for (const look of [...this.#waiting]) look()
  }
}

/** A resolver's error with a code, as GraphQL servers know it. */
function coded(code: string | number, extensions: Record<string, unknown> = {}): Error {
  return Object.assign(new Error(`refused with ${code}`), { extensions: { code, ...extensions } })
}

const deferDirective = /* GraphQL */ `
  directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
`

const typeDefs = /* GraphQL */ `
  scalar File
  type Query {
    hello(name: String!): String!
    echo(text: String): String
    order(id: ID!): Order
    viewer: Viewer
    fail: String
    failHard: String!
    secret: String
    coded(code: String!): String
    limited: String
  }
  type Viewer {
    id: ID!
    name: String
    secret: String
    repositories(first: Int, after: String, last: Int, before: String): RepositoryConnection
  }
  type RepositoryConnection { edges: [RepositoryEdge] nodes: [Repository] pageInfo: PageInfo! }
  type RepositoryEdge { cursor: String! node: Repository }
  type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
  "Number 5 is null, and number 13 has no owner, which is an error."
  type Repository { name: String! owner: String }
  type Order { id: ID! total: Int }
  type Mutation {
    create(name: String!): Order!
    createSecret: Order!
    createThenFail(name: String!): Order!
    upload(file: File!): String
  }
  type Subscription {
    count(to: Int!, after: Int): Int!
    live: Tick!
    hanging: Int!
    failing: Int
    guarded: Int!
    partly: Partly
  }
  type Tick { n: Int! }
  type Partly { good: Int bad: Int }
`

/**
 * The schema of all GraphQL test servers.
 *
 * @param isDeferring - whether it has `@defer`: graphql 16 passes over it, and `execute` of 17 refuses such a schema.
 */
export function testSchema(ledger: Ledger, isDeferring = version.startsWith('16.')) {
  return createSchema<TestContext>({
    typeDefs: isDeferring ? [typeDefs, deferDirective] : typeDefs,
    resolvers: {
      Query: {
        hello: (_root, { name }: { name: string }) => `Hello ${name}`,
        echo: (_root, { text }: { text?: string }) => text ?? null,
        order: (_root, { id }: { id: string }) => (id === 'none' ? null : { id, total: 7 }),
        viewer: () => ({ id: '1', name: 'Ada' }),
        fail: () => Promise.reject(new Error('it broke')),
        failHard: () => Promise.reject(new Error('it broke hard')),
        secret: (_root, _args, { token }) => guard(token, 'the secret'),
        coded: (_root, { code }: { code: string }) => Promise.reject(coded(code)),
        limited: () => Promise.reject(coded('THROTTLED', { retryAfter: 2 })),
      },
      Viewer: {
        secret: (_viewer, _args, { token }) => guard(token, 'the secret'),
        repositories: (_viewer, args: ConnectionArgs) => repositoriesIn(args),
      },
      Repository: {
        owner: ({ name }: { name: string }) => (name === 'r13' ? Promise.reject(new Error('no owner')) : 'Ada'),
      },
      Mutation: {
        create: (_root, { name }: { name: string }) => record(ledger, name),
        createSecret: (_root, _args, { token }) => guard(token, record(ledger, 'secret', token)),
        upload: async (_root, { file }: { file: File }) => `${file.name}: ${await file.text()}`,
        createThenFail: (_root, { name }: { name: string }) => {
          record(ledger, name)
          throw coded('SERVICE_UNAVAILABLE')
        },
      },
      Subscription: subscriptions(ledger),
    },
  })
}

function subscriptions(ledger: Ledger) {
  const feed = (name: string, to: number, after = 0) => {
    const numbers = Array.from({ length: Math.max(0, to - after) }, (_, index) => after + index + 1)
    const source = new Feed<number>()
    const listening = source.listen(() => ledger.leave(name), numbers)
    if (name !== 'hanging') source.end()
    return listening
  }
  const resolve = (n: number) => n
  return {
    count: {
      subscribe: (_root: unknown, { to, after }: { to: number; after?: number }) => feed('count', to, after),
      resolve,
    },
    live: {
      subscribe: () => ledger.join(ledger.live.listen(() => ledger.leave('live'))),
      resolve: (tick: unknown) => tick,
    },
    hanging: { subscribe: () => feed('hanging', 0), resolve },
    failing: {
      subscribe: () => feed('failing', 3),
      resolve: (n: number) => (n === 2 ? Promise.reject(new Error('the second broke')) : n),
    },
    guarded: {
      subscribe: (_root: unknown, _args: unknown, { token }: TestContext) => guard(token, feed('guarded', 2)),
      resolve,
    },
    partly: {
      subscribe: () => feed('partly', 1),
      resolve: (n: number) => ({ good: n, bad: () => Promise.reject(new Error('bad')) }),
    },
  }
}

interface ConnectionArgs {
  readonly first?: number
  readonly after?: string
  readonly last?: number
  readonly before?: string
}

/** Of 23 repositories `r0` … `r22` those that Relay's algorithm picks; a cursor is opaque. */
function repositoriesIn({ first, after, last, before }: ConnectionArgs) {
  const all = Array.from({ length: 23 }, (_, n) => ({
    cursor: Buffer.from(`at ${n}`).toString('base64'),
    node: n === 5 ? null : { name: `r${n}` },
  }))
  const at = (cursor: string) => all.findIndex((edge) => edge.cursor === cursor)
  const from = after ? at(after) + 1 : 0
  const to = before ? at(before) : all.length
  const start = last === undefined ? from : Math.max(from, to - last)
  const end = first === undefined ? to : Math.min(to, start + first)
  const edges = all.slice(start, end)
  return {
    edges,
    nodes: edges.map(({ node }) => node),
    pageInfo: {
      hasNextPage: end < all.length,
      hasPreviousPage: start > 0,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  }
}

function guard<T>(token: string | undefined, value: T): T {
  if (token !== 'good') throw coded('UNAUTHENTICATED')
  return value
}

function record(ledger: Ledger, name: string, token: string | undefined = 'good'): { id: string } {
  if (token === 'good') ledger.created.push(name)
  ledger.changed()
  return { id: String(ledger.created.length) }
}
