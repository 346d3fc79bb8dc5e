import { isObject } from '../tag.ts'
/** The same text for equal values, whatever the order of their members: JSON, and what JSON has no word for. */
export function canonicalText(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`
  // JSON writes NaN and the infinities as null.
  if (typeof value === 'number') return `${value}`
  if (!isObject(value)) return JSON.stringify(value) ?? 'null'
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') return canonicalText(toJSON.call(value))
  if (value instanceof ArrayBuffer) return canonicalText(new Uint8Array(value))
  if (ArrayBuffer.isView(value))
    return canonicalText(Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)))
  if (isIterable(value)) return `[${Array.from(value, canonicalText).join()}]`
  const entries = Object.entries(value).filter(([, member]) => member !== undefined && typeof member !== 'function')
  entries.sort(([one], [other]) => (one < other ? -1 : 1))
  return `{${entries.map(([name, member]) => `${JSON.stringify(name)}:${canonicalText(member)}`).join()}}`
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value
}
