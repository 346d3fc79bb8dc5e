import { type CryptoKeyLike, webCrypto } from '../crypto-key.ts'

/** Bytes as WebCrypto takes them. */
export type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()

/** A text as UTF-8. */
export function utf8(text: string): Bytes {
  return encoder.encode(text) as Bytes
}

/** The standard alphabet, padded. */
export function base64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** Lower case. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** A digest by WebCrypto. */
export async function digest(algorithm: 'SHA-256' | 'SHA-512', bytes: Uint8Array): Promise<Bytes> {
  return new Uint8Array(await webCrypto().digest(algorithm, bytes as Bytes))
}

/** HMAC-SHA256. */
export async function hmac(secret: Uint8Array, bytes: Uint8Array): Promise<Bytes> {
  const usage = { name: 'HMAC', hash: 'SHA-256' }
  const subtle = webCrypto()
  const key = await subtle.importKey('raw', secret as Bytes, usage, false, ['sign'])
  return new Uint8Array(await subtle.sign('HMAC', key, bytes as Bytes))
}

/** What WebCrypto takes for what users pass. */
export function asCryptoKey(key: CryptoKeyLike): CryptoKey {
  return key as CryptoKey
}
