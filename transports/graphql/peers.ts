import { Peer } from '../shared/peer.ts'

const packages = 'graphql-request graphql@16'

/** graphql-request, which only Node asks for */
export const graphqlRequest: Peer<typeof import('graphql-request')> = /*#__PURE__*/ new Peer(
  ['graphql', 'graphql-request', packages],
  () => import('graphql-request'),
)
/** graphql */
export const graphql: Peer<typeof import('./peer-graphql.ts')> = /*#__PURE__*/ new Peer(
  ['graphql', 'graphql', packages],
  () => import('./peer-graphql.ts'),
)
