import type { BlobLike } from './bytes.ts'
import { decodeUtf8 } from './collect.ts'

/** Writes and reads one media type. */
export interface Codec {
  /** A body to send. */
  readonly serialize?: ((value: any) => string | Uint8Array | BlobLike) | undefined
  /** A body that came; `charset` is the one of its content type, `utf-8` where there is none. */
  readonly parse?: ((bytes: Uint8Array, charset: string) => unknown) | undefined
}

/** By media type in lower case (`application/yaml`), or by its suffix (`+yaml`). JSON may be replaced, too. */
export type Codecs = Readonly<Record<string, Codec>>

/** The codec of a media type: the type's own, else its suffix's. */
export function findCodec(codecs: Codecs, essence: string): Codec | undefined {
  if (Object.hasOwn(codecs, essence)) return codecs[essence]
  const suffix = essence.slice(essence.lastIndexOf('+'))
  return suffix.startsWith('+') && Object.hasOwn(codecs, suffix) ? codecs[suffix] : undefined
}

/** `application/json` of `Application/JSON; charset=utf-8`; empty where there is no content type. */
export function essenceOf(contentType: string | null | undefined): string {
  if (!contentType) return ''
  const end = contentType.search(/[;,]/)
  return (end < 0 ? contentType : contentType.slice(0, end)).trim().toLowerCase()
}

/** Whether a media type is JSON: `application/json`, `text/json`, and all that ends in `+json`. */
export function isJson(essence: string): boolean {
  return essence === 'application/json' || essence.endsWith('+json') || essence === 'text/json'
}

/** Whether a media type is text that is no JSON. */
export function isText(essence: string): boolean {
  return (
    essence.startsWith('text/') ||
    essence.endsWith('+xml') ||
    essence === 'application/xml' ||
    essence === 'application/x-www-form-urlencoded'
  )
}

/** The charset that a content type names, `utf-8` where it names none. */
function charsetOf(contentType: string | null | undefined): string {
  return /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType ?? '')?.[1] ?? 'utf-8'
}

/** A content type, taken apart. */
export interface MediaType {
  readonly essence: string
  readonly charset: string
  /** How a body of it is read where nothing else is said; a body of no type may be JSON. */
  readonly kind: 'json' | 'text' | 'bytes' | 'untyped' | 'contradicting'
}

let lastSeen: string | null | undefined
let lastRead: MediaType = { essence: '', charset: 'utf-8', kind: 'untyped' }

/** Reads a content type; the one of the call before, nearly always, is not read again. */
export function readMediaType(contentType: string | null): MediaType {
  if (contentType === lastSeen) return lastRead
  const essence = essenceOf(contentType)
  lastRead = { essence, charset: charsetOf(contentType), kind: kindOf(essence, contentType) }
  lastSeen = contentType
  return lastRead
}

function kindOf(essence: string, contentType: string | null): MediaType['kind'] {
  if (essence === '') return 'untyped'
  // Several header lines are joined by commas, which also stand in quoted parameters.
  if (contentType?.includes(',')) {
    const types = contentType
      .replace(/"(?:[^"\\]|\\.)*"/g, '""')
      .split(',')
      .map(essenceOf)
    if (types.some((type) => type !== '' && type !== types[0])) return 'contradicting'
  }
  return isJson(essence) ? 'json' : isText(essence) ? 'text' : 'bytes'
}

/** Bytes as text; a charset that the platform does not know is read as UTF-8. A byte order mark goes. */
export function decodeText(bytes: Uint8Array, charset = 'utf-8'): string {
  if (charset === 'utf-8' || /^utf-?8$/i.test(charset)) return decodeUtf8(bytes)
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return decodeUtf8(bytes)
  }
}

/** A Uint8Array with a buffer of its own: that of a Node Buffer shows what other calls received. */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes)
}

/** By content type; what is no JSON, though it may be, is a text. */
export function decodeBytes(bytes: Uint8Array, { kind, charset }: MediaType): unknown {
  if (kind === 'bytes' || kind === 'contradicting') return plainBytes(bytes)
  const text = decodeText(bytes, charset)
  if (kind === 'text') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
