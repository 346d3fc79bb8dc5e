/** So many values of a message are looked at. */
const maxValues = 32
/** Of a text up to this long every character counts, of a longer one half as many. */
const exactLength = 64

/**
 * A small number that equal texts share and other ones hardly ever do: the length, and characters spread over the
 * text, mixed with a seed. It is kept beside a cursor, to tell a message that comes again from another one that has its cursor.
 *
 * @param seed - of a long text other characters are looked at with another one: what is the same in two histories at some
 *   places is not so for ever.
 */
export function fingerprint(text: string, seed = ''): number {
  const { length } = text
  const stride = length > exactLength ? (length + 31) >> 5 : 1
  let mark = length
  for (let at = stride > 1 ? (seed.charCodeAt(seed.length - 1) | 0) % stride : 0; at < length; at += stride)
    mark = (Math.imul(mark, 31) + text.charCodeAt(at)) | 0
  return mark & 0x3fff_ffff
}

/** Of the walk under way: how many values are left to look at, and what they made. Nothing is made for it, since there may be millions. */
let left = 0
let mixed = 0

/** The same of a message whose text on the wire nobody has kept: of its first values, in their order. */
export function fingerprintOf(message: unknown): number {
  left = maxValues
  mixed = 0
  visit(message, 8)
  return mixed & 0x3fff_ffff
}

/** Not deeper than a message is that means well: whoever writes to a channel may nest as deep as he likes. */
function visit(value: unknown, depth: number): void {
  if (left-- <= 0) return
  if (typeof value === 'number') mix((value | 0) + (((value - Math.floor(value)) * 1e9) | 0))
  else if (!value || typeof value !== 'object') mix(fingerprint(String(value)))
  else if (depth > 0) visitMembers(value, depth - 1)
}

function visitMembers(value: object, depth: number): void {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    const { length } = value as unknown[]
    mix(length)
    // Over all of it: what is new in a list stands at its end as often as at its beginning.
    for (let at = 0; at < length && left > 0; at += Math.max(1, length / maxValues))
      visit((value as unknown[])[at | 0], depth)
  } else {
    const before = left
    mix(1)
    for (const key in value) {
      if (left <= 0) return
      visit(value[key as never], depth)
    }
    if (left === before && value instanceof Date) visit(value.getTime(), depth)
  }
}

function mix(number: number): void {
  mixed = (Math.imul(mixed, 31) + number) | 0
}
