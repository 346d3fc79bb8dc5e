import { CallError } from '../core/errors/error.ts'

/** A key of WebCrypto, so that the published types need no DOM. */
export interface CryptoKeyLike {
  readonly type: string
  readonly extractable: boolean
  readonly algorithm: object
  readonly usages: readonly string[]
}

/**
 * Web Crypto, which pages have over https: and on localhost only.
 *
 * @throws {CallError} `failed_precondition` where there is none.
 */
export function webCrypto(): SubtleCrypto {
  const { subtle } = crypto as Partial<Crypto>
  if (subtle) return subtle
  throw new CallError({ code: 'failed_precondition', message: 'needs Web Crypto, which a page has over https: only' })
}
