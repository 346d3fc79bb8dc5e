/** What the tests use of oidc-provider and jose, which the first brings: neither is typed here. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface StoredToken {
    readonly isValid: boolean
    readonly isExpired: boolean
    readonly jkt?: string
    readonly scope?: string
    readonly accountId?: string
    readonly clientId?: string
    destroy(): Promise<void>
  }
  export default class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    on(event: string, listener: (...args: unknown[]) => void): this
    readonly AccessToken: { find(token: string): Promise<StoredToken | undefined> }
    readonly ClientCredentials: { find(token: string): Promise<StoredToken | undefined> }
  }
}
