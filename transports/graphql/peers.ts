import { Peer } from '../shared/peer.ts'

/** What `npm install` is told where a peer of `polywire/graphql` is missing. */
export const packages = 'graphql-request graphql@16'

/** graphql */
export const graphql: Peer<typeof import('./peer-graphql.ts')> = /*#__PURE__*/ new Peer(
  ['graphql', 'graphql', packages],
  () => import('./peer-graphql.ts'),
)
