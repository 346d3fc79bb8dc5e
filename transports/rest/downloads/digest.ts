import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import { Sha256 } from './sha-256.ts'

/** An algorithm of RFC 9530 that a download is checked by. */
export type DigestAlgorithm = 'sha-256' | 'sha-512'

/** What the whole must come to; in base64. */
export interface ExpectedDigest {
  readonly algorithm: DigestAlgorithm
  readonly value: string
  /** For the message: who says so. */
  readonly by: string
}

/** Bytes piece by piece. */
export interface Hasher {
  update(bytes: Uint8Array): void
  digest(): Uint8Array
}

const lengths: Readonly<Record<DigestAlgorithm, number>> = { 'sha-256': 32, 'sha-512': 64 }

interface NodeCrypto {
  createHash(name: string): Hasher
}
type Builtins = { getBuiltinModule?(name: string): NodeCrypto | undefined }

/** Node's own (Bun, Deno and workerd have it) is ten times faster than what a page can do. Undefined where this platform cannot. */
export function hasherOf(algorithm: DigestAlgorithm): Hasher | undefined {
  const { process } = globalThis as { process?: Builtins }
  const crypto = process?.getBuiltinModule?.('node:crypto')
  if (crypto) return crypto.createHash(algorithm.replace('-', ''))
  return algorithm === 'sha-256' ? new Sha256() : undefined
}

/**
 * The digests of a `Repr-Digest` or `Content-Digest` (RFC 9530) that can be checked here: a dictionary of byte
 * sequences. Unknown algorithms, outdated ones among them, are passed over; a malformed field says nothing.
 */
export function digestsOf(headers: HeaderMap, name: 'repr-digest' | 'content-digest'): readonly ExpectedDigest[] {
  const found: ExpectedDigest[] = []
  const header = headers.get(name)
  if (header === null) return found
  for (const member of header.split(',')) {
    const parsed = /^\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):\s*(?:;.*)?$/.exec(member)
    if (!parsed) return []
    const [, algorithm = '', value = ''] = parsed
    if (!Object.hasOwn(lengths, algorithm)) continue
    const bytes = fromBase64(value)
    if (bytes?.byteLength !== lengths[algorithm as DigestAlgorithm]) return []
    found.push({
      algorithm: algorithm as DigestAlgorithm,
      // Whether it is padded or not.
      value: toBase64(bytes),
      by: name === 'repr-digest' ? 'Repr-Digest' : 'Content-Digest',
    })
  }
  return found
}

/** A digest as a caller has it: base64, or hex as most tools print it. Undefined for anything else. */
export function readDigest(algorithm: DigestAlgorithm, text: string): string | undefined {
  const length = Object.hasOwn(lengths, algorithm) ? lengths[algorithm] : -1
  if (/^[\da-f]+$/i.test(text) && text.length === length * 2)
    return toBase64(Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)))
  const bytes = fromBase64(text)
  return bytes?.byteLength === length ? toBase64(bytes) : undefined
}

/** For digests, which are short. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  } catch {
    return undefined
  }
}
