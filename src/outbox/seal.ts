/** Makes texts unreadable to whoever can read the store, and readable again. */
export interface Seal {
  /** @param about - what the text belongs to: it opens under the same words only, so that no record can pass for another. */
  seal(text: string, about: string): Promise<string>
  open(text: string, about: string): Promise<string>
}

interface Subtle {
  encrypt(algorithm: object, key: unknown, data: Uint8Array): Promise<ArrayBuffer>
  decrypt(algorithm: object, key: unknown, data: Uint8Array): Promise<ArrayBuffer>
}
const ivBytes = 12

/**
 * Encrypts what is kept of the input by a key of Web Crypto: AES-GCM, bound to its entry.
 *
 * @param key - made for AES-GCM with `encrypt` and `decrypt`; one that cannot be exported keeps scripts from reading it.
 * @example
 * const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
 * outbox(indexedDbStore(), { contract: shop, seal: sealedBy(key) })
 */
export function sealedBy(key: object): Seal {
  const subtle = crypto.subtle as unknown as Subtle
  const algorithm = (iv: Uint8Array, about: string): object => ({
    name: 'AES-GCM',
    iv,
    additionalData: new TextEncoder().encode(about),
  })
  return {
    async seal(text, about) {
      const iv = crypto.getRandomValues(new Uint8Array(ivBytes))
      const sealed = new Uint8Array(await subtle.encrypt(algorithm(iv, about), key, new TextEncoder().encode(text)))
      const whole = new Uint8Array(ivBytes + sealed.length)
      whole.set(iv)
      whole.set(sealed, ivBytes)
      return toBase64(whole)
    },
    async open(text, about) {
      const whole = fromBase64(text)
      const iv = whole.subarray(0, ivBytes)
      return new TextDecoder().decode(await subtle.decrypt(algorithm(iv, about), key, whole.subarray(ivBytes)))
    },
  }
}

/** Bytes as text. */
export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** The bytes of such a text. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}
