import type { TypedDocumentNode } from '@graphql-typed-document-node/core'
import { initGraphQLTada } from 'gql.tada'
import {
  adapt,
  createClient,
  type Gap,
  type NoInput,
  type Operation,
  type Paged,
  type Stream,
  type,
  type Unary,
} from 'polywire'
import {
  type GraphQLFailure,
  type GrowingPartialResult,
  graphqlTransport,
  incremental,
  mutation,
  type PartialResult,
  query,
  relayPages,
  subscription,
  type TypedDocument,
} from 'polywire/graphql'
import { expectTypeOf, test } from 'vitest'

interface Order {
  id: string
}
type Found = { order: Order | null }

// What graphql-codegen writes: documents as nodes, and as strings (documentMode: 'string').
declare const FindOrder: TypedDocumentNode<Found, { id: string }>
declare const Me: TypedDocumentNode<{ me: Order }, { [key: string]: never }>
declare const Search: TypedDocumentNode<Found, { id?: string | null }>
declare class TypedDocumentString<Result, Variables> extends String {
  __apiType?: (variables: Variables) => Result
  private value: string
  __meta__?: Record<string, unknown> | undefined
}
declare const FindString: TypedDocumentString<Found, { id: string }>

const client = createClient({
  transports: {
    graphql: graphqlTransport({ url: '/graphql' }),
    other: graphqlTransport({ url: '/other', auth: false, idempotency: 'stripe', deadlineHeader: 'grpc-timeout' }),
  },
})
const api = client.bind({
  find: query(FindOrder),
  partly: query(FindOrder, { errorPolicy: 'all' }),
  lax: query(FindOrder, { errorPolicy: 'ignore' }),
  strict: query(FindOrder, { errorPolicy: 'none' }),
  me: query(Me),
  search: query(Search),
  boxed: mutation(FindString, { idempotency: 'idempotency-key', retry: { maxAttempts: 2 } }),
  text: query('query Q($id: ID!) { order(id: $id) { id } }', {
    variables: type<{ id: string }>(),
    output: type<{ order: Order }>(),
  }),
  bare: query('{ me { id } }', { output: type<{ me: Order }>(), errorPolicy: 'all' }),
  typed: query<Found, { id: string }>('query Q($id: ID!) { order(id: $id) { id } }'),
  typedBare: mutation<{ me: Order }>('mutation { me { id } }', { idempotent: true }),
  changed: subscription(FindOrder),
  changedText: subscription('subscription { order { id } }', { output: type<Found>(), errorPolicy: 'ignore' }),
  changedGaps: subscription(FindOrder, { gaps: 'yield', overflow: 'drop-oldest', maxQueued: 10 }),
  changedTyped: subscription<Found>('subscription { order { id } }'),
  nested: { elsewhere: query(FindOrder, { via: 'other' }) },
})

test('connectionParams are an object, or made of the credential, at once or later', () => {
  graphqlTransport({ url: '/graphql', connectionParams: { tenant: 'acme' } })
  graphqlTransport({ url: '/graphql', connectionParams: (credential) => credential?.headers })
  graphqlTransport({ url: '/graphql', connectionParams: async () => ({ ticket: 't' }) })
  // @ts-expect-error a text is none
  graphqlTransport({ url: '/graphql', connectionParams: 'ticket' })
  // @ts-expect-error nor a promise of one
  graphqlTransport({ url: '/graphql', connectionParams: async () => 'ticket' })
})

test('results follow the document and the policy', () => {
  expectTypeOf(api.find({ id: '1' })).resolves.toEqualTypeOf<Found>()
  expectTypeOf(api.strict({ id: '1' })).resolves.toEqualTypeOf<Found>()
  expectTypeOf(api.partly({ id: '1' })).resolves.toEqualTypeOf<PartialResult<Found>>()
  expectTypeOf<PartialResult<Found>['data']>().toEqualTypeOf<Found | null>()
  expectTypeOf<PartialResult<Found>['errors']>().toEqualTypeOf<readonly GraphQLFailure[]>()
  expectTypeOf(api.lax({ id: '1' })).resolves.toEqualTypeOf<Found | null>()
  expectTypeOf(api.me()).resolves.toEqualTypeOf<{ me: Order }>()
  expectTypeOf(api.boxed({ id: '1' })).resolves.toEqualTypeOf<Found>()
  expectTypeOf(api.text({ id: '1' })).resolves.toEqualTypeOf<{ order: Order }>()
  expectTypeOf(api.bare()).resolves.toEqualTypeOf<PartialResult<{ me: Order }>>()
  expectTypeOf(api.typed({ id: '1' })).resolves.toEqualTypeOf<Found>()
  expectTypeOf(api.typedBare()).resolves.toEqualTypeOf<{ me: Order }>()
  expectTypeOf(api.nested.elsewhere({ id: '1' })).resolves.toEqualTypeOf<Found>()
  expectTypeOf(api.changed({ id: '1' })).toEqualTypeOf<Stream<Found>>()
  expectTypeOf(api.changedText()).toEqualTypeOf<Stream<Found | null>>()
  expectTypeOf(api.changedGaps({ id: '1' })).toEqualTypeOf<Stream<Found | Gap>>()
  expectTypeOf(api.changedTyped()).toEqualTypeOf<Stream<Found>>()
  expectTypeOf(query(FindOrder)).toEqualTypeOf<Operation<'graphql', Unary<{ id: string }, Found>>>()
  expectTypeOf(query(FindOrder, { via: 'other' })).toEqualTypeOf<Operation<'other', Unary<{ id: string }, Found>>>()
  expectTypeOf(query<Found>('{ order { id } }')).toEqualTypeOf<Operation<'graphql', Unary<NoInput, Found>>>()
})

test('variables are needed exactly where the document needs them', () => {
  api.search()
  api.search({ id: null })
  // @ts-expect-error the variables
  api.find()
  // @ts-expect-error another type
  api.find({ id: 1 })
  // @ts-expect-error no such variable
  api.find({ id: '1', other: 2 })
  // @ts-expect-error no variables at all
  api.bare({ id: '1' })
  // @ts-expect-error the variables, through call
  client.call(query(FindOrder))
})

test('a text says its types, and no policy is made up', () => {
  // @ts-expect-error a bare string says nothing of its types
  query('{ me { id } }')
  const bare = '{ me { id } }'
  // @ts-expect-error hoisted
  query(bare)
  // @ts-expect-error bound: the context must not lend it types
  client.bind({ me: query('{ me { id } }') })
  // @ts-expect-error assigned: likewise
  const assigned: Operation<'graphql', Unary<NoInput, Found>> = query('{ me { id } }')
  // @ts-expect-error called: likewise
  client.call(query('{ me { id } }'))
  // @ts-expect-error no such policy
  query(FindOrder, { errorPolicy: 'some' })
  // @ts-expect-error with type arguments the policy cannot be inferred
  query<Found>('{ order { id } }', { errorPolicy: 'all' })
  void assigned
})

test('resume knows message and variables', () => {
  subscription(FindOrder, {
    resume: {
      cursor: (data) => data.order?.id,
      apply: (variables, cursor) => ({ ...variables, id: cursor }),
    },
  })
  subscription(FindOrder, {
    errorPolicy: 'all',
    gaps: 'yield',
    resume: { cursor: (message) => message.data?.order?.id, apply: (variables) => variables },
  })
  subscription(FindOrder, {
    // @ts-expect-error no such field
    resume: { cursor: (data) => data.nothing, apply: (variables) => variables },
  })
  subscription('subscription { order { id } }', {
    variables: type<{ after?: string }>(),
    output: type<Found>(),
    errorPolicy: 'ignore',
    resume: { cursor: (data) => data?.order?.id, apply: (variables, after) => ({ ...variables, after }) },
  })
  subscription<Found, { id: string }>('subscription { order { id } }', {
    resume: { cursor: (data) => data.order?.id, apply: (variables, id) => ({ ...variables, id }) },
  })
})

test('a missing transport is named', () => {
  const small = createClient({ transports: { graphql: graphqlTransport({ url: '/graphql' }) } })
  // @ts-expect-error no 'billing'
  small.bind({ a: query(FindOrder, { via: 'billing' }) })
  const contract = { a: query(FindOrder, { via: 'billing' }) }
  // @ts-expect-error no 'billing', in a contract declared elsewhere
  small.bind(contract)
})

test('adapt takes the envelope away', () => {
  const order = adapt(query(FindOrder), {
    input: (input: { n: number }) => ({ id: `${input.n}` }),
    output: (data) => data.order,
  })
  expectTypeOf(client.call(order, { n: 1 })).resolves.toEqualTypeOf<Order | null>()
})

test('gql.tada documents fit', () => {
  const graphql = initGraphQLTada<{ introspection: typeof introspection; scalars: { ID: string } }>()
  const document = graphql(`query Find($id: ID!) { order(id: $id) { id total } }`)
  const operation = query(document)
  expectTypeOf(client.call(operation, { id: '1' })).resolves.toEqualTypeOf<{
    order: { id: string; total: number | null } | null
  }>()
  // @ts-expect-error the variables
  client.call(operation)
})

test('a structural document fits', () => {
  expectTypeOf(query({} as { readonly kind: 'Document' } & TypedDocument<Found, NoInput>)).toEqualTypeOf<
    Operation<'graphql', Unary<NoInput, Found>>
  >()
})

interface Page {
  readonly viewer: {
    readonly repositories: {
      readonly nodes: readonly ({ readonly name: string } | null)[] | null
      readonly edges:
        | readonly ({ readonly cursor: string; readonly node: { readonly id: number } | null } | null)[]
        | null
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null }
    } | null
    readonly starred: {
      readonly edges: readonly { readonly node: { readonly id: number } }[]
      readonly pageInfo: { readonly hasPreviousPage: boolean; readonly startCursor?: string | null }
    }
  } | null
  readonly node:
    | { readonly __typename: 'User' }
    | {
        readonly items: {
          readonly nodes: readonly number[]
          readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string }
        }
      }
  readonly orgs: readonly {
    readonly teams: {
      readonly nodes: readonly string[]
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string }
    }
  }[]
}
declare const PageDocument: TypedDocument<Page, { n: number; after?: string | null; before?: string | null }>

test('pages of a connection know what they hold', () => {
  const pages = client.bind({
    nodes: query(PageDocument, { paginate: relayPages({ path: 'viewer.repositories' }) }),
    edges: query(PageDocument, {
      paginate: relayPages({ path: 'viewer.repositories', items: 'edges' }),
      errorPolicy: 'all',
    }),
    back: query(PageDocument, {
      paginate: relayPages({ path: 'viewer.starred', direction: 'backward' }),
      errorPolicy: 'ignore',
    }),
    union: query(PageDocument, { paginate: relayPages({ path: 'node.items' }) }),
    listed: query(PageDocument, { paginate: relayPages({ path: 'orgs.0.teams' }) }),
    found: query(PageDocument, { paginate: relayPages({ path: (data: Page) => data.viewer?.repositories }) }),
    text: query('query P($cursor: String) { a }', {
      variables: type<{ cursor?: string }>(),
      output: type<Page>(),
      paginate: relayPages({ path: 'viewer.repositories', variable: 'cursor' }),
    }),
  })
  expectTypeOf(pages.nodes({ n: 1 })).resolves.toEqualTypeOf<Page>()
  expectTypeOf(pages.nodes.pages({ n: 1 })).toEqualTypeOf<Paged<Page>>()
  expectTypeOf(pages.nodes.items({ n: 1 })).toEqualTypeOf<Paged<{ readonly name: string }>>()
  expectTypeOf(pages.edges.pages({ n: 1 })).toEqualTypeOf<Paged<PartialResult<Page>>>()
  expectTypeOf(pages.edges.items({ n: 1 })).toEqualTypeOf<
    Paged<{ readonly cursor: string; readonly node: { readonly id: number } | null }>
  >()
  expectTypeOf(pages.back.pages({ n: 1 })).toEqualTypeOf<Paged<Page | null>>()
  expectTypeOf(pages.back.items({ n: 1 })).toEqualTypeOf<Paged<{ readonly id: number }>>()
  expectTypeOf(pages.union.items({ n: 1 })).toEqualTypeOf<Paged<number>>()
  expectTypeOf(pages.listed.items({ n: 1 })).toEqualTypeOf<Paged<string>>()
  expectTypeOf(pages.found.items({ n: 1 })).toEqualTypeOf<Paged<{ readonly name: string }>>()
  expectTypeOf(pages.text.items()).toEqualTypeOf<Paged<{ readonly name: string }>>()
  // @ts-expect-error the variables, for pages too
  pages.nodes.items()
})

test('a result that grows is a stream of what has come', () => {
  const { grown, all, lax, text } = client.bind({
    grown: incremental(FindOrder),
    all: incremental(FindOrder, { errorPolicy: 'all' }),
    lax: incremental(FindOrder, { errorPolicy: 'ignore', via: 'other' }),
    text: incremental('query Q($a: Int) { a }', { variables: type<{ a?: number }>(), output: type<Found>() }),
  })
  expectTypeOf(grown({ id: '1' })).toEqualTypeOf<Stream<Found>>()
  expectTypeOf(all({ id: '1' })).toEqualTypeOf<Stream<GrowingPartialResult<Found>>>()
  expectTypeOf(lax({ id: '1' })).toEqualTypeOf<Stream<Found | null>>()
  expectTypeOf(text()).toEqualTypeOf<Stream<Found>>()
  // @ts-expect-error the variables
  grown()
  // @ts-expect-error a bare string says nothing of its types
  incremental('{ me { id } }')
  // @ts-expect-error no such option
  incremental(FindOrder, { resume: { cursor: () => 1, apply: (input: unknown) => input } })
})

test('pages that cannot be followed are refused where they are declared', () => {
  // @ts-expect-error no such connection
  query(PageDocument, { paginate: relayPages({ path: 'viewer.repos' }) })
  // @ts-expect-error pageInfo of the other direction
  query(PageDocument, { paginate: relayPages({ path: 'viewer.starred' }) })
  // @ts-expect-error no nodes are selected
  query(PageDocument, { paginate: relayPages({ path: 'viewer' }) })
  // @ts-expect-error no such variable
  query(PageDocument, { paginate: relayPages({ path: 'viewer.repositories', variable: 'cursor' }) })
  const paginate = relayPages({ path: 'viewer.repositories', variable: 'cursor' })
  // @ts-expect-error hoisted
  query(PageDocument, { paginate })
  // @ts-expect-error a text without variables
  query('{ a }', { output: type<Page>(), paginate: relayPages({ path: 'viewer.repositories' }) })
  // @ts-expect-error another pager
  query(PageDocument, { paginate: 5 })
  // @ts-expect-error no pages of a mutation
  mutation(PageDocument, { paginate: relayPages({ path: 'viewer.repositories' }) })
})

declare const introspection: {
  __schema: {
    queryType: { name: 'Query' }
    mutationType: null
    subscriptionType: null
    types: [
      {
        kind: 'OBJECT'
        name: 'Query'
        fields: [
          {
            name: 'order'
            args: [{ name: 'id'; type: { kind: 'NON_NULL'; ofType: { kind: 'SCALAR'; name: 'ID' } } }]
            type: { kind: 'OBJECT'; name: 'Order' }
          },
        ]
        interfaces: []
      },
      {
        kind: 'OBJECT'
        name: 'Order'
        fields: [
          { name: 'id'; args: []; type: { kind: 'NON_NULL'; ofType: { kind: 'SCALAR'; name: 'ID' } } },
          { name: 'total'; args: []; type: { kind: 'SCALAR'; name: 'Int' } },
        ]
        interfaces: []
      },
      { kind: 'SCALAR'; name: 'ID' },
      { kind: 'SCALAR'; name: 'Int' },
      { kind: 'SCALAR'; name: 'String' },
      { kind: 'SCALAR'; name: 'Boolean' },
    ]
  }
}
