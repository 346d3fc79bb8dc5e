export type { Auth, Credential } from '../core/call/auth.ts'
export { type ApiKeyAuthOptions, apiKeyAuth } from './api-key.ts'
export { type BasicAuthOptions, basicAuth } from './basic.ts'
export { type BearerAuthOptions, type BearerToken, bearerAuth, type TokenRequest } from './bearer.ts'
