import { refusal } from '../core/errors/refusal.ts'
import { guard } from '../core/guard.ts'

/** One secret, several while they are rotated, or a function that gives them, called for each delivery. */
export type Secrets =
  | string
  | readonly string[]
  | (() => string | readonly string[] | Promise<string | readonly string[]>)

/** What can verify a signature. */
export interface VerifyingKey {
  /** In constant time, which Web Crypto promises of `verify`. */
  verifies(signature: Uint8Array<ArrayBuffer>, signed: Uint8Array<ArrayBuffer>): Promise<boolean>
}

/** More signatures than any rotation has in a header are not looked at. */
const maxSignatures = 16
const encoder = new TextEncoder()

/** The bytes of a text. */
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => encoder.encode(text)

/** Several pieces as one. */
export function joined(...parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const pieces = parts.map((part) => (typeof part === 'string' ? bytesOf(part) : part))
  const all = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.byteLength
  }
  return all
}

/** The bytes of hex digits; undefined where they are none. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^(?:[\da-f]{2})+$/i.test(text)) return undefined
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

/** The bytes of base64, in either alphabet, padded or not; undefined where it is none. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[\w+/-]+={0,2}$/.test(text)) return undefined
  try {
    return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (byte) => byte.charCodeAt(0))
  } catch {
    return undefined
  }
}

/** A key of HMAC. */
export function hmacKey(secret: Uint8Array<ArrayBuffer>, hash: 'SHA-1' | 'SHA-256' | 'SHA-512'): Promise<VerifyingKey> {
  return imported(secret, { name: 'HMAC', hash }, 'HMAC')
}

/** A public key of Ed25519, raw. */
export function ed25519Key(publicKey: Uint8Array<ArrayBuffer>): Promise<VerifyingKey> {
  return imported(publicKey, { name: 'Ed25519' }, 'Ed25519')
}

async function imported(
  bytes: Uint8Array<ArrayBuffer>,
  algorithm: { readonly name: string; readonly hash?: string },
  name: string,
): Promise<VerifyingKey> {
  const key = await crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify'])
  return { verifies: (signature, signed) => crypto.subtle.verify(name, key, signature, signed) }
}

/** The keys of secrets, imported once each. */
export class KeyRing<Key> {
  readonly #secrets: Secrets
  readonly #scheme: string
  readonly #read: (secret: string) => Promise<Key>
  readonly #keys = new Map<string, Promise<Key>>()

  /** @throws {CallError} `invalid_argument` when there is no secret. */
  constructor(scheme: string, secrets: Secrets, read: (secret: string) => Promise<Key>) {
    this.#scheme = scheme
    this.#secrets = secrets
    this.#read = read
    if (typeof secrets !== 'function') this.#listOf(secrets)
  }

  /** @throws {CallError} `internal` when the function of the user fails; `invalid_argument` when a secret is none. */
  async keys(): Promise<readonly Key[]> {
    const secrets = this.#secrets
    const given = typeof secrets === 'function' ? await guard(`secrets() of ${this.#scheme}`, secrets) : secrets
    const list = this.#listOf(given)
    for (const known of this.#keys.keys()) if (!list.includes(known)) this.#keys.delete(known)
    return Promise.all(list.map((secret) => this.#keyOf(secret)))
  }

  #keyOf(secret: string): Promise<Key> {
    const key = this.#keys.get(secret) ?? this.#read(secret)
    this.#keys.set(secret, key)
    return key
  }

  #listOf(given: unknown): readonly string[] {
    const list = typeof given === 'string' ? [given] : given
    if (!Array.isArray(list) || list.length === 0 || list.some((each) => typeof each !== 'string' || each === ''))
      throw refusal(
        `${this.#scheme}: secrets takes a secret, or several while they are rotated; none may be empty`,
        undefined,
      )
    return list
  }
}

/** Whether any of the keys made any of the signatures. */
export async function isSignedBy(
  keys: readonly VerifyingKey[],
  signatures: readonly Uint8Array<ArrayBuffer>[],
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const tries = keys.flatMap((key) => signatures.slice(0, maxSignatures).map((each) => key.verifies(each, signed)))
  return (await Promise.all(tries)).includes(true)
}
