import { Peer } from '../shared/peer.ts'

const packages = 'graphql-request graphql@16'

/** What is used of graphql-request. */
export type GraphQLRequest = typeof import('./peer-graphql-request.ts')

/** graphql-request */
export const graphqlRequest: Peer<GraphQLRequest> = /*#__PURE__*/ new Peer(
  ['graphql', 'graphql-request', packages],
  () => import('./peer-graphql-request.ts'),
)
/** graphql */
export const graphql: Peer<typeof import('./peer-graphql.ts')> = /*#__PURE__*/ new Peer(
  ['graphql', 'graphql', packages],
  () => import('./peer-graphql.ts'),
)
