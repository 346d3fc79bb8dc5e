import { Peer } from '../../../transports/shared/peer.ts'
import type { ErrorOrigin } from '../../core/errors/error.ts'

/** What is used of oauth4webapi. */
export type OAuth = typeof import('./peer-oauth4webapi.ts')
/** What is used of dpop. */
export type DpopLibrary = typeof import('dpop')

/** oauth4webapi */
export const oauth4webapi: Peer<OAuth> = /*#__PURE__*/ new Peer(
  ['oauth', 'oauth4webapi', 'oauth4webapi'],
  () => import('./peer-oauth4webapi.ts'),
)
/** dpop */
export const dpopLibrary: Peer<DpopLibrary> = /*#__PURE__*/ new Peer(['oauth', 'dpop', 'dpop'], () => import('dpop'))

/** Where a failure stands that belongs to no call. */
export const origin: ErrorOrigin = { operation: { name: 'authorizationServer()', protocol: 'oauth', via: 'oauth' } }
