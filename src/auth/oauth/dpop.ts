import type { RequestSigner, SignableRequest } from '../../../transports/http/signing/signer.ts'
import { wireOf } from '../../../transports/http/signing/wire.ts'
import type { CredentialWire } from '../../core/call/auth.ts'
import { type CryptoKeyLike, webCrypto } from '../crypto-key.ts'
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
    // That they cannot be had is told to whoever needs them; before that nobody hears it, and the process would end.
    Promise.resolve(keys).catch(() => undefined)
  }

  async keys(): Promise<DpopKeys> {
    const { generateKeyPair } = await dpopLibrary.get(where)
    if (!this.#keys) {
      webCrypto()
      this.#keys = generateKeyPair('ES256')
    }
    return this.#keys
  }

  /** The proof of one request, to be sent once. */
  async prove(method: string, url: string, nonce = this.nonceOf(url), accessToken?: string): Promise<string> {
    const { generateProof } = await dpopLibrary.get(where)
    const { origin, pathname } = new URL(url)
    return generateProof((await this.keys()) as KeyPair, origin + pathname, method, nonce, accessToken)
  }

  /** What the origin has asked for last. */
  nonceOf(url: string): string | undefined {
    return this.#nonces.get(new URL(url).origin)
  }

  /** What stands at the wire for one token. */
  wireFor(accessToken: string): CredentialWire {
    return wireOf(proofOf(this, accessToken))
  }

  /** Remembers the nonce that an answer carried, whatever its status. */
  learn(url: string, nonce: string | null): void {
    const { origin } = new URL(url)
    if (!nonce) return
    this.#nonces.delete(origin)
    this.#nonces.set(origin, nonce)
    if (this.#nonces.size > maxNonces) this.#nonces.delete(this.#nonces.keys().next().value as string)
  }

  /** The thumbprint of the public key, for the parameter `dpop_jkt` of an authorization request. */
  async thumbprint(): Promise<string> {
    const { calculateThumbprint } = await dpopLibrary.get(where)
    return calculateThumbprint((await this.keys()).publicKey as CryptoKey)
  }
}

/** Proves each request that carries `accessToken`; a nonce that the server asks for is answered once, by itself. */
function proofOf(prover: DpopProver, accessToken: string): RequestSigner {
  const used = new WeakMap<SignableRequest, string>()
  return {
    async sign(request) {
      const { method, url } = request
      const nonce = prover.nonceOf(url)
      if (nonce !== undefined) used.set(request, nonce)
      return { dpop: await prover.prove(method, url, nonce, accessToken) }
    },
    answered(request, { status, headers }) {
      const nonce = headers.get('dpop-nonce')
      prover.learn(request.url, nonce)
      // Held against the one that this request was sent with: others may have learned the new one in between.
      const isAsked = status === 401 && /\buse_dpop_nonce\b/.test(headers.get('www-authenticate') ?? '')
      return isAsked && Boolean(nonce) && nonce !== used.get(request)
    },
  }
}
