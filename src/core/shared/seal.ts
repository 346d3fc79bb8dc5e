/** What of WebCrypto is used; it is missing on pages that are not secure. */
interface Crypto {
  readonly subtle?: {
    digest(name: string, data: Uint8Array): Promise<ArrayBuffer>
    importKey(format: 'raw', data: ArrayBuffer, name: string, canLeave: boolean, uses: string[]): Promise<object>
    encrypt(how: object, key: object, data: Uint8Array): Promise<ArrayBuffer>
    decrypt(how: object, key: object, data: Uint8Array): Promise<ArrayBuffer>
  }
  getRandomValues(array: Uint8Array): Uint8Array
}

const crypto = (globalThis as unknown as { readonly crypto?: Crypto }).crypto

/** Whether tokens can be shared here at all. */
export const canSeal = (): boolean => crypto?.subtle !== undefined

/**
 * Shares what replaced a token with those who have that token, and with nobody else: the key that seals it is made of the
 * token, and so is the name under which it stands. Who reads the store learns neither.
 */
export class Seal {
  /** Where the successor of the token stands. */
  readonly name: string
  readonly #key: object

  private constructor(name: string, key: object) {
    this.name = name
    this.#key = key
  }

  static async of(token: string, realm: string): Promise<Seal> {
    const { subtle } = crypto as Required<Crypto>
    const hash = (use: string) => subtle.digest('SHA-256', encoder.encode(`polywire ${use}\n${realm}\n${token}`))
    const [name, key] = await Promise.all([hash('name'), hash('key')])
    return new Seal(toText(name), await subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']))
  }

  async seal(text: string): Promise<string> {
    const { subtle, getRandomValues } = crypto as Required<Crypto>
    const iv = getRandomValues.call(crypto, new Uint8Array(12))
    const sealed = await subtle.encrypt({ name: 'AES-GCM', iv }, this.#key, encoder.encode(text))
    return `${toText(iv)}.${toText(sealed)}`
  }

  /** Nothing where it was sealed for another token, or changed by somebody. */
  async open(text: string): Promise<string | undefined> {
    const { subtle } = crypto as Required<Crypto>
    const [iv = '', sealed = ''] = text.split('.')
    try {
      return decoder.decode(await subtle.decrypt({ name: 'AES-GCM', iv: toBytes(iv) }, this.#key, toBytes(sealed)))
    } catch {
      return undefined
    }
  }
}

const encoder = /* @__PURE__ */ new TextEncoder()
const decoder = /* @__PURE__ */ new TextDecoder()

function toText(bytes: ArrayBuffer | Uint8Array): string {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)))
}

function toBytes(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
}
