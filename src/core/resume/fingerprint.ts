/** So many values of a message are looked at. */
const maxSamples = 32
/** Of a text up to this long every character counts, of a longer one about sixteen. */
const exactLength = 32

/**
 * A small number that equal texts share and other ones hardly ever do: the length, and characters spread over the
 * text, mixed with a seed. It is kept beside a cursor, to tell a message that comes again from another one that has its cursor.
 */
export function fingerprint(text: string, seed = 0): number {
  const { length } = text
  // Whole numbers, and few: this is a tenth of what reading a small event costs.
  const stride = length > exactLength ? (length + 15) >> 4 : 1
  let mark = (length + seed) | 0
  for (let at = 0; at < length; at += stride) mark = (Math.imul(mark, 31) + text.charCodeAt(at)) | 0
  return mark & 0x3fff_ffff
}

/** The same of a message whose text on the wire nobody has kept: of its first values, in their order. */
export function fingerprintOf(message: unknown): number {
  const walk = { left: maxSamples, mark: 0 }
  visit(message, walk, 0)
  return walk.mark & 0x3fff_ffff
}

interface Walk {
  left: number
  mark: number
}

function visit(value: unknown, walk: Walk, depth: number): void {
  if (walk.left-- <= 0) return
  if (typeof value === 'object' && value !== null && depth < 8) visitMembers(value, walk, depth + 1)
  else mix(walk, typeof value === 'number' ? value : fingerprint(String(value)))
}

function visitMembers(value: object, walk: Walk, depth: number): void {
  if (ArrayBuffer.isView(value)) {
    const bytes = value as Uint8Array
    mix(walk, bytes.byteLength)
    for (let at = 0; at < bytes.length; at += Math.max(1, bytes.length / maxSamples)) mix(walk, Number(bytes[at | 0]))
  } else if (Array.isArray(value)) {
    mix(walk, value.length)
    for (let at = 0; at < value.length && walk.left > 0; at++) visit(value[at], walk, depth)
  } else {
    mix(walk, value instanceof Date ? value.getTime() : 1)
    for (const key in value) {
      if (walk.left <= 0) return
      mix(walk, key.length)
      visit((value as Record<string, unknown>)[key], walk, depth)
    }
  }
}

function mix(walk: Walk, number: number): void {
  walk.mark = (Math.imul(walk.mark, 31) + (number | 0) + (((number % 1) * 1e9) | 0)) | 0
}
