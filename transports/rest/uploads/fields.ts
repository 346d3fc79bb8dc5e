import type { HeaderMap } from '../../../src/core/call/header-map.ts'

/** What a server says of the sizes and the life of an upload: `Upload-Limit`, and their like in tus. */
export interface UploadLimits {
  readonly maxSize?: number
  readonly maxAppendSize?: number
  readonly minAppendSize?: number
  /** What is left of its life; seconds. */
  readonly maxAge?: number
}

/** A structured integer (RFC 9651) that counts bytes; undefined for anything else, which counts as not sent. */
export function byteCount(headers: HeaderMap, name: string): number | undefined {
  return countOf(headers.get(name) ?? undefined)
}

/** A structured boolean; undefined for anything else. */
export function booleanField(headers: HeaderMap, name: string): boolean | undefined {
  const value = /^\s*\?([01])\s*(?:;|$)/.exec(headers.get(name) ?? '')?.[1]
  return value === undefined ? undefined : value === '1'
}

/** `Upload-Limit`: a dictionary of integers. A known member of another type, or a malformed one, voids the whole (§4.1.4). */
export function uploadLimits(header: string | null): UploadLimits {
  const found: Record<string, number> = {}
  if (header === null || header.trim() === '') return {}
  for (const member of header.split(',')) {
    const parsed = /^\s*([a-z*][a-z0-9_.*-]*)(?:=([^;]*))?(?:;.*)?$/.exec(member)
    if (!parsed) return {}
    const [, key = '', value] = parsed
    const name = limitNames[key]
    if (name === undefined) continue
    const count = countOf(value)
    if (count === undefined) return {}
    found[name] = count
  }
  return found
}

const limitNames: Readonly<Record<string, keyof UploadLimits>> = {
  'max-size': 'maxSize',
  'max-append-size': 'maxAppendSize',
  'min-append-size': 'minAppendSize',
  'max-age': 'maxAge',
}

/** At most fifteen digits, so that it is a number that counts (RFC 9651 §3.3.1). */
function countOf(text: string | undefined): number | undefined {
  const digits = /^\s*(\d{1,15})\s*(?:;.*)?$/.exec(text ?? '')?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** `Upload-Metadata` of tus: pairs of a name and what stands behind it in base64. Undefined for a name that it cannot hold. */
export function uploadMetadata(metadata: Readonly<Record<string, string>>): string | undefined {
  const pairs: string[] = []
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(name)) return undefined
    const encoded = base64(new TextEncoder().encode(value))
    pairs.push(encoded === '' ? name : `${name} ${encoded}`)
  }
  return pairs.join(',')
}

/** Bytes as base64, of any length. */
export function base64(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** `Content-Disposition` (RFC 6266) with a name of any script. */
export function inlineDisposition(filename: string): string {
  const plain = filename.replace(/[^\x20-\x7e]|["\\%]/g, '_')
  // encodeURIComponent leaves some that RFC 8187 does not.
  const whole = encodeURIComponent(filename.replace(/\p{Surrogate}/gu, '\ufffd')).replace(
    /['()*!]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `inline; filename="${plain}"${plain === filename ? '' : `; filename*=UTF-8''${whole}`}`
}
