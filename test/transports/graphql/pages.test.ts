import fc from 'fast-check'
import { parse } from 'graphql'
import { type } from 'polywire'
import { type QuerySpec, query, relayPages, type TypedDocument } from 'polywire/graphql'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { failureOf, graphqlClient } from '../../support/graphql-client.ts'
import { type GraphQLServer, startApollo, startMercurius, startYoga } from '../../support/servers/graphql-servers.ts'

interface Repository {
  readonly name: string
}
interface Connection {
  readonly nodes: readonly (Repository | null)[] | null
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
}
interface Data {
  readonly viewer: { readonly repositories: Connection | null } | null
}
const forward = 'query R($n: Int, $after: String) { viewer { repositories(first: $n, after: $after)'
const backward = 'query R($n: Int, $before: String) { viewer { repositories(last: $n, before: $before)'
const variables = type<{ n?: number; after?: string }>()
const output = type<Data>()
const all = Array.from({ length: 23 }, (_, n) => n).filter((n) => n !== 5)
const path = 'viewer.repositories'

const nodes = query(`${forward} { nodes { name } pageInfo { hasNextPage endCursor } } } }`, {
  variables,
  output,
  paginate: relayPages({ path }),
})
const edges = query(`${forward} { edges { cursor node { name } } pageInfo { hasNextPage endCursor } } } }`, {
  variables,
  output: type<{
    viewer: {
      repositories: {
        edges: ({ cursor: string; node: Repository | null } | null)[] | null
        pageInfo: Connection['pageInfo']
      }
    }
  }>(),
  paginate: relayPages({ path, items: 'edges' }),
})
const back = query(`${backward} { edges { node { name } } pageInfo { hasPreviousPage startCursor } } } }`, {
  variables: type<{ n?: number; before?: string }>(),
  output: type<{
    viewer: {
      repositories: {
        edges: { node: Repository | null }[]
        pageInfo: { hasPreviousPage: boolean; startCursor: string | null }
      }
    }
  }>(),
  paginate: relayPages({ path, direction: 'backward' }),
})

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of source) found.push(each)
  return found
}

describe.each([
  ['graphql-yoga', startYoga],
  ['Apollo Server', startApollo],
  ['Mercurius', startMercurius],
])('the pages of a connection on %s', (_name, start) => {
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

  it('are read forward, node by node; a null node is left out', async () => {
    const { repositories } = client.bind({ repositories: nodes })
    const before = server.requests.length
    const found = await collect(repositories.items({ n: 4 }))
    expect(found.map(({ name }) => name)).toEqual(all.map((n) => `r${n}`))
    expect(server.requests.length - before).toBe(6)
  })

  it('are read backward, from the last item to the first', async () => {
    const { repositories } = client.bind({ repositories: back })
    const found = await collect(repositories.items({ n: 4 }))
    expect(found.map(({ name }) => name)).toEqual(all.map((n) => `r${n}`).reverse())
    const pages = await collect(repositories.pages({ n: 10 }))
    expect(pages.map((page) => page.viewer.repositories.edges.length)).toEqual([10, 10, 3])
    expect(pages[0]?.viewer.repositories.edges.at(-1)).toEqual({ node: { name: 'r22' } })
  })

  it('give edges where they are asked for', async () => {
    const found = await collect(client.bind({ edges }).edges.items({ n: 7 }, { limit: 6 }))
    expect(found.map(({ node }) => node?.name)).toEqual(['r0', 'r1', 'r2', 'r3', 'r4', undefined])
    expect(Buffer.from(found[1]?.cursor ?? '', 'base64').toString()).toBe('at 1')
  })

  it.each([
    ['forward', nodes, all],
    ['backward', back, [...all].reverse()],
  ] as const)('go on by their token, %s, wherever a run stopped', async (_direction, operation, expected) => {
    const { list } = client.bind({ list: operation })
    for (const limit of [1, 4, 5, 6, 21]) {
      const first = list.items({ n: 5 }, { limit, prefetch: 1 })
      const begun = await collect(first as AsyncIterable<Repository>)
      const rest = await collect(list.items({ n: 5 }, { from: first.token }) as AsyncIterable<Repository>)
      expect([...begun, ...rest].map(({ name }) => name)).toEqual(expected.map((n) => `r${n}`))
    }
  })

  it('of a DocumentNode are the same', async () => {
    const text = `${forward} { nodes { name } pageInfo { hasNextPage endCursor } } } }`
    const node = parse(text) as TypedDocument<Data, { n?: number; after?: string }>
    const { list } = client.bind({ list: query(node, { paginate: relayPages({ path }) }) })
    expect(await collect(list.items({ n: 9 }))).toHaveLength(22)
  })

  it('with errors fail under none, and come with them under all', async () => {
    const document = `${forward} { nodes { name owner } pageInfo { hasNextPage endCursor } } } }`
    const declared = { variables, output, paginate: relayPages({ path }) } as const
    const strict = client.bind({ list: query(document, declared) }).list.pages({ n: 8 })
    expect((await strict.next()).value?.viewer?.repositories?.nodes).toHaveLength(8)
    expect(await failureOf(strict.next())).toMatchObject({ sent: 'yes', serverMessage: 'no owner' })
    const { list } = client.bind({ list: query(document, { ...declared, errorPolicy: 'all' }) })
    const pages = await collect(list.pages({ n: 8 }))
    expect(pages.map(({ errors }) => errors.length)).toEqual([0, 1, 0])
    expect(await collect(list.items({ n: 8 }))).toHaveLength(22)
  })
})

/** A server that answers with these bodies, one after the other, the last one again and again. */
async function against(bodies: readonly unknown[], spec: Partial<QuerySpec> = {}, options: object = {}) {
  const asked: unknown[] = []
  const http = async (_url: string, init: Record<string, unknown>) => {
    asked.push(JSON.parse(String(init.body)).variables)
    return Response.json(bodies[Math.min(asked.length, bodies.length) - 1])
  }
  await using client = graphqlClient('http://127.0.0.1:9/graphql', { http, client: { retry: false } })
  const text = `${forward} { nodes { name } pageInfo { hasNextPage endCursor } } } }`
  const { list } = client.bind({ list: query(text, { variables, output, paginate: relayPages({ path }), ...spec }) })
  const outcome = await collect((list as any).items({ n: 2 }, options)).catch((error: unknown) => error)
  asked.length = 0
  const pages = await collect((list as any).pages({ n: 2 }, options)).catch((error: unknown) => error)
  return { outcome: outcome as any, pages: pages as any, asked }
}
const page = (names: readonly string[] | null, endCursor: unknown, hasNextPage: unknown = true) => ({
  data: {
    viewer: { repositories: { nodes: names?.map((name) => ({ name })) ?? null, pageInfo: { hasNextPage, endCursor } } },
  },
})
const last = page(['z'], 'end', false)

describe('a connection', () => {
  it('with an empty page in between goes on, with null for its list too', async () => {
    const { outcome } = await against([page(['a'], 'c1'), page([], 'c2'), page(null, 'c3'), last])
    expect(outcome).toEqual([{ name: 'a' }, { name: 'z' }])
  })

  it('that is null, or whose parent is, holds nothing', async () => {
    for (const data of [{ viewer: null }, { viewer: { repositories: null } }]) {
      const { outcome, pages } = await against([{ data }])
      expect(outcome).toEqual([])
      expect(pages).toEqual([data])
    }
  })

  it('that turns null behind a page that said more follows is an error, never the end', async () => {
    for (const errorPolicy of ['none', 'ignore'] as const) {
      const { outcome, pages } = await against([page(['a'], 'c1'), { data: { viewer: null } }], { errorPolicy })
      expect(outcome).toMatchObject({ code: 'internal', sent: 'yes' })
      expect(outcome.message).toContain("the connection at 'viewer.repositories' is null behind a page")
      expect(pages).toMatchObject({ code: 'internal' })
    }
  })

  it('that is null beside errors is no empty list under all and ignore; pages() shows it', async () => {
    const body = { data: { viewer: { repositories: null } }, errors: [{ message: 'x', path: ['viewer'] }] }
    const seen = await against([body], { errorPolicy: 'all' })
    expect(seen.outcome).toMatchObject({ code: 'internal' })
    expect(seen.outcome.message).toContain('null beside errors: read them by pages()')
    expect(seen.pages).toEqual([{ data: body.data, errors: body.errors }])
    for (const each of [body, { data: null, errors: body.errors }]) {
      const ignored = await against([each], { errorPolicy: 'ignore' })
      expect(ignored.outcome).toMatchObject({ code: 'internal' })
      expect(ignored.pages).toEqual([each.data])
    }
  })

  it.each([
    ['the same cursor twice', [page(['a'], 'c1'), page(['b'], 'c1')], 'the same page cursor twice'],
    [
      'cursors that go round',
      [page(['a'], 'c1'), page(['b'], 'c2'), page(['c'], 'c3'), page(['d'], 'c1')],
      'the same page cursor twice',
    ],
    [
      'hasNextPage without a cursor',
      [page(['a'], null)],
      "hasNextPage of 'viewer.repositories' says that more follows, but endCursor is null",
    ],
    ['an empty cursor', [page(['a'], '')], 'endCursor is empty'],
    ['a cursor that is not selected', [page(['a'], undefined)], 'endCursor is not selected'],
    ['a cursor that is none', [page(['a'], { c: 1 })], 'endCursor is no cursor'],
    ['hasNextPage that is no boolean', [page(['a'], 'c', 'true')], 'select pageInfo { hasNextPage endCursor }'],
    ['no pageInfo', [{ data: { viewer: { repositories: { nodes: [] } } } }], 'select pageInfo'],
    ['pageInfo null', [{ data: { viewer: { repositories: { nodes: [], pageInfo: null } } } }], 'select pageInfo'],
    ['nothing at the path', [{ data: { viewer: {} } }], "'repositories' is not there"],
    ['a prototype at the path', [{ data: { viewer: 1 } }], "'repositories' is not there"],
    ['a list at the path', [{ data: { viewer: { repositories: [] } } }], 'is no connection'],
    [
      'a text for its list',
      [{ data: { viewer: { repositories: { nodes: 'x', pageInfo: { hasNextPage: false } } } } }],
      'is none',
    ],
    [
      'neither nodes nor edges',
      [{ data: { viewer: { repositories: { pageInfo: { hasNextPage: false } } } } }],
      'neither nodes nor edges',
    ],
    [
      'edges without nodes',
      [{ data: { viewer: { repositories: { edges: [{ cursor: 'c' }], pageInfo: { hasNextPage: false } } } } }],
      'has no node',
    ],
  ])('that answers with %s is one clear error', async (_what, bodies, words) => {
    const { outcome } = await against(bodies)
    expect(outcome).toMatchObject({ code: 'internal', sent: 'yes', isRetryable: false, phase: 'body' })
    expect(outcome.message).toContain(words)
  })

  it('is found by a function, in a list, and under aliases', async () => {
    const paths = [(data: Data) => data.viewer?.repositories, (data: Data) => Object.values(data)[0].repositories]
    for (const path of paths) {
      const { outcome } = await against([page(['a'], 'c'), last], { paginate: relayPages({ path }) })
      expect(outcome).toHaveLength(2)
    }
    const listed = { data: { orgs: [{ mine: { nodes: [1], pageInfo: { hasNextPage: false } } }] } }
    const { outcome } = await against([listed], { paginate: relayPages({ path: 'orgs.0.mine' }) })
    expect(outcome).toEqual([1])
  })

  it('whose path() throws is told with its cause, and nothing is read', async () => {
    const cause = new Error('mine')
    const { outcome } = await against([last], {
      paginate: relayPages({
        path: () => {
          throw cause
        },
      }),
    })
    expect(outcome).toMatchObject({ code: 'internal', cause })
    expect(outcome.message).toContain('path() of relayPages()')
  })

  it('takes other variables than after and before', async () => {
    const text = 'query R($cursor: String) { viewer { repositories(after: $cursor) { nodes { name } } } }'
    const asked: unknown[] = []
    const http = async (_url: string, init: Record<string, unknown>) => {
      asked.push(JSON.parse(String(init.body)).variables)
      return Response.json(asked.length === 1 ? page(['a'], 'c1') : last)
    }
    await using client = graphqlClient('http://127.0.0.1:9/graphql', { http })
    const paginate = relayPages({ path, variable: 'cursor' })
    const operation = query(text, { variables: type<{ cursor?: string; n: number }>(), output, paginate })
    await collect(client.bind({ list: operation }).list.items({ n: 1 }))
    expect(asked).toEqual([{ n: 1 }, { n: 1, cursor: 'c1' }])
  })

  it('of any size and any page size gives each item once, however far it reads ahead', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.nat(9), { maxLength: 4 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 3 }),
        async (lists, prefetch) => {
          const bodies = lists.map((names, n) => page(names.map(String), `c${n}`, n < lists.length - 1))
          const { outcome } = await against(bodies, {}, { prefetch })
          expect(outcome.map(({ name }: Repository) => Number(name))).toEqual(lists.flat())
        },
      ),
      { numRuns: 40 },
    )
  })
})

describe('where it is declared', () => {
  const text = 'query R($after: String) { viewer { repositories(after: $after) { nodes { name } } } }'
  it.each([
    ['no path', {}, 'relayPages({ path })'],
    ['a wrong direction', { path, direction: 'up' }, "direction takes 'forward', 'backward'"],
    ['wrong items', { path, items: 'node' }, "items takes 'nodes', 'edges'"],
    ['a variable with its $', { path, variable: '$after' }, "variable takes a variable's name without the $"],
    ['an unknown option', { pth: path }, "did you mean 'path'?"],
  ])('%s is refused', (_what, options, words) => {
    expect(() => relayPages(options as never)).toThrow(words)
  })

  it('a document without the variable is refused, since it would loop', () => {
    const words = "relayPages(): the document has no variable '$before', which takes the cursor"
    const paginate = relayPages({ path, direction: 'backward' }) as never
    expect(() => query(text, { variables, output, paginate })).toThrow(words)
    expect(() => query(parse(text) as never, { paginate })).toThrow(words)
    expect(() => query(text.replaceAll('after', 'beforehand'), { output, paginate })).toThrow(words)
  })

  it('only a query has pages, by relayPages', async () => {
    const { mutation } = await import('polywire/graphql')
    const { cursorPages } = await import('polywire/rest')
    const paginate = relayPages({ path })
    expect(() => mutation('mutation M { a }', { output, paginate } as never)).toThrow("'paginate' is for query()")
    expect(() => query(text, { variables, output, paginate: cursorPages({ next: 'c' }) as never })).toThrow(
      'paginate takes what relayPages({ … }) makes',
    )
  })
})
