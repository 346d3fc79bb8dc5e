import type { CryptoKeyLike } from '../crypto-key.ts'
import { type DpopLibrary, dpopLibrary, origin as where } from './peers.ts'

/** A key pair of WebCrypto, which may be kept in IndexedDB without its private half ever being readable. */
export interface DpopKeys {
  readonly privateKey: CryptoKeyLike
  readonly publicKey: CryptoKeyLike
}

/** Nonces remembered, one an origin. */
const maxNonces = 100
type KeyPair = Parameters<DpopLibrary['generateProof']>[0]

/** What proves that a token is used by who it was given to; see {@link dpop}. */
export interface Dpop {
  /** The pair that proofs are signed with, to be kept where a session outlives the page or process. */
  keys(): Promise<DpopKeys>
}

/**
 * Proofs that a token is used by who it was given to (RFC 9449): one for each attempt and each hop, with the nonce that
 * the origin asked for last.
 *
 * @param keys - kept where sessions outlive the page or process. @defaultValue made when first needed, ES256, not extractable
 * @example
 * authorizationServer({ issuer, clientId, dpop: dpop() })
 */
export function dpop(keys?: DpopKeys | Promise<DpopKeys>): Dpop {
  return new DpopProver(keys)
}

/** See {@link dpop}. */
export class DpopProver implements Dpop {
  #keys: DpopKeys | Promise<DpopKeys> | undefined
  readonly #nonces = new Map<string, string>()

  constructor(keys?: DpopKeys | Promise<DpopKeys>) {
    this.#keys = keys
  }

  async keys(): Promise<DpopKeys> {
    const { generateKeyPair } = await dpopLibrary.get(where)
    this.#keys ??= generateKeyPair('ES256')
    return this.#keys
  }

  /** The proof of one request, to be sent once. */
  async prove(method: string, url: string, accessToken?: string): Promise<string> {
    const { generateProof } = await dpopLibrary.get(where)
    const { origin, pathname } = new URL(url)
    return generateProof(
      (await this.keys()) as KeyPair,
      origin + pathname,
      method,
      this.#nonces.get(origin),
      accessToken,
    )
  }

  /** Remembers the nonce that an answer carried, whatever its status; false where it is none, or the one in use. */
  learn(url: string, nonce: string | null): boolean {
    const { origin } = new URL(url)
    if (nonce === null || nonce === '' || this.#nonces.get(origin) === nonce) return false
    this.#nonces.delete(origin)
    this.#nonces.set(origin, nonce)
    if (this.#nonces.size > maxNonces) this.#nonces.delete(this.#nonces.keys().next().value as string)
    return true
  }

  /** The thumbprint of the public key, for the parameter `dpop_jkt` of an authorization request. */
  async thumbprint(): Promise<string> {
    const { calculateThumbprint } = await dpopLibrary.get(where)
    return calculateThumbprint((await this.keys()).publicKey as CryptoKey)
  }
}
