export type { RequestSigner, SignableRequest, SignedAnswer } from '../../transports/http/signing/signer.ts'
export type { Auth, Credential, CredentialWire } from '../core/call/auth.ts'
export { type ApiKeyAuthOptions, apiKeyAuth } from './api-key.ts'
export { type BasicAuthOptions, basicAuth } from './basic.ts'
export { type BearerAuthOptions, type BearerToken, bearerAuth, type TokenRequest } from './bearer.ts'
export type { CryptoKeyLike } from './crypto-key.ts'
export { type DigestAuthOptions, digestAuth } from './digest/digest.ts'
export {
  type CsrfOptions,
  type CsrfRequest,
  type SessionAuth,
  type SessionAuthOptions,
  type SessionRequest,
  sessionAuth,
} from './session/session.ts'
export { type AwsCredentials, type AwsSigV4Options, awsSigV4 } from './signatures/aws-sigv4.ts'
export { type MessageSignaturesOptions, messageSignatures } from './signatures/message-signatures.ts'
export { type SignedAuthOptions, signedAuth } from './signed.ts'
