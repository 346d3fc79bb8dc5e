import { GraphQLClient } from 'graphql-request'
import { createClient, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { type Comparison, lanes } from './support/ab.ts'

const document = 'query User($id: ID!) { user(id: $id) { id name email roles active score } }'

/** A GraphQL query against graphql-request as shipped: calls per CPU second. */
export function graphql(port: number, rounds: number): { readonly comparisons: Comparison[]; close(): Promise<void> } {
  const url = `http://127.0.0.1:${port}/graphql`
  const client = createClient({ transports: { graphql: graphqlTransport({ url }) } })
  const api = client.bind({
    user: query(document, { variables: type<{ id: string }>(), output: type<{ user: { id: number } }>() }),
  })
  const shipped = new GraphQLClient(url)
  let id = 0
  return {
    comparisons: [
      {
        title: 'GraphQL query, 16 at a time',
        calls: 300,
        rounds,
        variants: [
          { name: 'graphql-request', run: lanes(16, () => shipped.request(document, { id: String(id++) })) },
          { name: 'polywire', run: lanes(16, () => api.user({ id: String(id++) })) },
        ],
      },
    ],
    close: () => client.close(),
  }
}
