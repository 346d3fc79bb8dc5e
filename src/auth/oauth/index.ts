export type { Signal } from '../../core/call/signal.ts'
export type { CryptoKeyLike } from '../crypto-key.ts'
export { type OAuthAuthOptions, oauthAuth } from './auth.ts'
export {
  type AuthorizationCode,
  type AuthorizationCodeOptions,
  authorizationCode,
  type PendingLogin,
} from './authorization-code.ts'
export {
  type ClientAuth,
  clientSecretBasic,
  clientSecretPost,
  privateKeyJwt,
} from './client-auth.ts'
export { type DeviceCode, type DeviceCodeOptions, deviceCode } from './device-code.ts'
export { type Dpop, type DpopKeys, dpop } from './dpop.ts'
export { clientCredentials, type GrantOptions, type RefreshOptions, refreshTokens } from './grants.ts'
export {
  type AuthorizationServer,
  type AuthorizationServerOptions,
  authorizationServer,
  type ServerMetadata,
} from './server.ts'
export type { OAuthSession, OAuthTokens } from './session.ts'
export type { KeepTokens } from './token-keeper.ts'
