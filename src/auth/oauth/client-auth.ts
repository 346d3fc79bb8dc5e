import type { RawClientAuth } from './peer-oauth4webapi.ts'
import type { OAuth } from './peers.ts'

/** How an app proves who it is: what {@link clientSecretBasic} and its siblings make. */
export type ClientAuth = (oauth: OAuth) => RawClientAuth

/** By a secret in the `authorization` header: what servers must understand. @param secret - of this client. */
export function clientSecretBasic(secret: string): ClientAuth {
  return (oauth) => oauth.ClientSecretBasic(secret)
}

/** By a secret in the body, where a server wants it there. @param secret - of this client. */
export function clientSecretPost(secret: string): ClientAuth {
  return (oauth) => oauth.ClientSecretPost(secret)
}

/**
 * By a signature (RFC 7523): each request carries an assertion of its own, addressed to the issuer, good for a minute.
 *
 * @param key - the private key; nothing but its signatures leaves the app.
 * @param keyId - which of the registered keys it is, where the server knows several.
 */
export function privateKeyJwt(key: CryptoKey, keyId?: string): ClientAuth {
  return (oauth) => oauth.PrivateKeyJwt(keyId === undefined ? key : { key, kid: keyId })
}
