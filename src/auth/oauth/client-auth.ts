import type { CryptoKeyLike } from '../crypto-key.ts'
import type { RawClientAuth } from './peer-oauth4webapi.ts'
import type { OAuth } from './peers.ts'

declare const proof: unique symbol
/** How an app proves who it is: what {@link clientSecretBasic} and its siblings make. */
export interface ClientAuth {
  readonly [proof]: 'clientSecretBasic() or its siblings'
}
/** What they make, for the library. */
export type MakeClientAuth = (oauth: OAuth) => RawClientAuth
/** Users need not have the library's types. */
const opaque = (make: MakeClientAuth): ClientAuth => make as unknown as ClientAuth

/** By a secret in the `authorization` header: what servers must understand. @param secret - of this client. */
export function clientSecretBasic(secret: string): ClientAuth {
  return opaque((oauth) => oauth.ClientSecretBasic(secret))
}

/** By a secret in the body, where a server wants it there. @param secret - of this client. */
export function clientSecretPost(secret: string): ClientAuth {
  return opaque((oauth) => oauth.ClientSecretPost(secret))
}

/**
 * By a signature (RFC 7523): each request carries an assertion of its own, addressed to the issuer, good for a minute.
 *
 * @param key - the private key; nothing but its signatures leaves the app.
 * @param keyId - which of the registered keys it is, where the server knows several.
 */
export function privateKeyJwt(key: CryptoKeyLike, keyId?: string): ClientAuth {
  const own = key as CryptoKey
  return opaque((oauth) => oauth.PrivateKeyJwt(keyId === undefined ? own : { key: own, kid: keyId }))
}
