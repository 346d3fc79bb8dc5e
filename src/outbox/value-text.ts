import { ownPlan } from '../core/call/plan.ts'
import { isObject } from '../core/tag.ts'
import { fromBase64, toBase64 } from './seal.ts'

/** Marks what JSON has no word for: `{ "$": "date", "is": … }`. An object that has this name itself is marked as well. */
const mark = '$'

/** What cannot be written down: it names the place and the kind, never the value. */
export class Unwritable extends Error {}

/**
 * A value as text: JSON, and beside it dates, bigints, bytes, `undefined` and the numbers that JSON lacks.
 *
 * @throws {Unwritable} where something in it cannot be brought back: a Blob, a stream, a function, an instance of a class.
 */
export function writeValue(value: unknown): string {
  return JSON.stringify(encode(value, '', []))
}

/** The value of a text that {@link writeValue} wrote. */
export function readValue(text: string): unknown {
  return decode(JSON.parse(text))
}

const marked = (kind: string, is?: unknown) => (is === undefined ? { [mark]: kind } : { [mark]: kind, is })

function encode(value: unknown, place: string, around: readonly object[]): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'undefined':
      return marked('undefined')
    case 'bigint':
      return marked('bigint', `${value}`)
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : marked('number', Object.is(value, -0) ? '-0' : `${value}`)
    case 'object':
      return value === null ? null : encodeObject(value, place, around)
    default:
      throw unwritable(`a ${typeof value}`, place)
  }
}

function encodeObject(value: object, place: string, around: readonly object[]): unknown {
  if (around.includes(value)) throw unwritable('a circle', place)
  const inside = [...around, value]
  if (Array.isArray(value)) return value.map((item, index) => encode(item, `${place}[${index}]`, inside))
  if (value instanceof Date) return marked('date', Number.isNaN(value.getTime()) ? null : value.toISOString())
  if (value instanceof ArrayBuffer) return marked('bytes', toBase64(new Uint8Array(value)))
  if (value instanceof Uint8Array) return marked('bytes', toBase64(value))
  const prototype = Object.getPrototypeOf(value)
  // Messages of protobuf-es have a prototype of their own where fields have defaults.
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null || '$typeName' in value
  if (!isPlain || ownPlan in value) throw unwritable(nameOf(value), place)
  const members = membersOf(Object.entries(value), (member, name) =>
    encode(member, place ? `${place}.${name}` : name, inside),
  )
  return Object.hasOwn(members, mark) ? marked('object', Object.entries(members)) : members
}

function nameOf(value: object): string {
  if (ownPlan in value) return 'a URL of at()'
  return `a ${(value.constructor as { name?: string } | undefined)?.name || 'value of a class'}`
}

function unwritable(what: string, place: string): Unwritable {
  return new Unwritable(`the input holds ${what}${place ? ` at '${place}'` : ''}, which cannot be written down`)
}

function decode(value: unknown): unknown {
  if (!isObject(value)) return value
  if (Array.isArray(value)) return value.map(decode)
  if (!Object.hasOwn(value, mark)) return membersOf(Object.entries(value), decode)
  const { [mark]: kind, is } = value as { [mark]: string; is?: unknown }
  switch (kind) {
    case 'undefined':
      return undefined
    case 'bigint':
      return BigInt(is as string)
    case 'number':
      return Number(is)
    case 'date':
      return new Date(is === null ? Number.NaN : (is as string))
    case 'bytes':
      return fromBase64(is as string)
    case 'object':
      return membersOf(is as [string, unknown][], decode)
    default:
      throw new Unwritable(`an unknown mark '${kind}'`)
  }
}

/** As own members, whatever their names: to set `__proto__` would be something else. */
function membersOf(
  entries: readonly (readonly [string, unknown])[],
  change: (member: unknown, name: string) => unknown,
): Record<string, unknown> {
  return Object.fromEntries(entries.map(([name, member]) => [name, change(member, name)]))
}
