import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isObject, tagOf } from '../../src/core/tag.ts'
import { lostKind } from '../shared/json.ts'

/** How lists and nulls are written in a query; nested objects are always `a[b]=c` (OpenAPI's deepObject). */
export interface QueryStyle {
  /** `a=1&a=2`, `a[]=1&a[]=2`, `a[0]=1&a[1]=2` or `a=1,2`. @defaultValue 'repeat' */
  readonly arrays?: 'repeat' | 'brackets' | 'indices' | 'comma' | undefined
  /** `a=` or nothing. Leaving a null out could widen what a call acts on, so that is not the default. @defaultValue 'empty' */
  readonly nulls?: 'empty' | 'omit' | undefined
}

const standard: QueryStyle = {}
/** Deeper than any API goes; what holds itself ends here. */
const maxDepth = 16

/**
 * Writes a query: `a=1&b=x%20y`, without the `?`.
 *
 * `undefined` is left out; dates (and all that has a `toJSON`) are written as in JSON; an empty list leaves nothing.
 *
 * @param what - for errors, where it is no query: `the form`.
 * @throws {CallError} `invalid_argument` when a value has no text: NaN, an invalid date, a function, a symbol, half a
 * surrogate pair, an object that holds itself. It names the parameter, never the value.
 */
export function encodeQuery(
  values: object,
  style: QueryStyle = standard,
  origin?: ErrorOrigin,
  what = 'the query',
): string {
  if (isSearchParams(values)) return values.toString()
  refuseLost(values, '', { what, origin })
  let query = ''
  for (const [key, value] of Object.entries(values)) {
    const place = { key, style, origin, what }
    query += pairs(encode(key, place), value, place, 0)
  }
  return query.slice(1)
}

/** Two queries or a query and none, joined. */
export function joinQuery(a: string, b: string): string {
  return a && b ? `${a}&${b}` : a || b
}

/** Where a value stands, for errors and for how lists and nulls are written. */
export interface Place {
  /** The parameter, for errors. */
  readonly key: string
  readonly what: string
  readonly style: QueryStyle
  readonly origin: ErrorOrigin | undefined
}

/** All pairs of one parameter, each after a `&`; `name` is encoded already. */
export function pairs(name: string, value: unknown, place: Place, depth: number): string {
  if (value === undefined) return ''
  if (value === null) return place.style.nulls === 'omit' ? '' : `&${name}=`
  if (typeof value !== 'object') return `&${name}=${encode(scalar(value, place), place)}`
  if (depth > maxDepth)
    throw refusal(`'${place.key}' of ${place.what} is nested too deeply, or holds itself`, place.origin)
  if (Array.isArray(value)) return list(name, value, place, depth)
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function')
    return pairs(name, jsonOf(value, place), place, depth + 1)
  refuseLost(value, pathOf(name), place)
  let all = ''
  for (const [key, member] of Object.entries(value))
    all += pairs(`${name}%5B${encode(key, place)}%5D`, member, place, depth + 1)
  return all
}

function list(name: string, values: readonly unknown[], place: Place, depth: number): string {
  const { arrays = 'repeat' } = place.style
  if (arrays === 'comma' && !values.some(isNested)) {
    const written = values
      .filter((value) => value !== undefined)
      .map((value) => pairs('', value, place, depth + 1).slice(2))
    return written.length === 0 ? '' : `&${name}=${written.join(',')}`
  }
  let all = ''
  values.forEach((value, index) => {
    const isNumbered = arrays === 'indices' || (arrays !== 'brackets' && isNested(value))
    const suffix = isNumbered || arrays === 'brackets' ? `%5B${isNumbered ? index : ''}%5D` : ''
    all += pairs(name + suffix, value, place, depth + 1)
  })
  return all
}

function isNested(value: unknown): boolean {
  return isObject(value) && typeof (value as { toJSON?: unknown }).toJSON !== 'function'
}

/** The text of a value that is neither a list nor an object. */
export function scalar(value: unknown, { key, origin, what }: Omit<Place, 'style'>): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || typeof value === 'bigint' || Number.isFinite(value)) return String(value)
  throw refusal(
    `'${key}' of ${what} has no text form (${typeof value === 'number' ? 'not a finite number' : `a ${typeof value}`})`,
    origin,
  )
}

/** A date says null where it is none. */
export function jsonOf(value: object, { key, origin, what }: Omit<Place, 'style'>): unknown {
  const json = (value as { toJSON(): unknown }).toJSON()
  if (json === null || json === undefined)
    throw refusal(`'${key}' of ${what} has no text form (an invalid date?)`, origin)
  return json
}

/** Percent-encodes a text. @throws {CallError} `invalid_argument` for half a surrogate pair. */
export function encode(text: string, { key, origin, what }: Omit<Place, 'style'>): string {
  try {
    return encodeURIComponent(text)
  } catch {
    throw refusal(`'${/\p{Cs}/u.test(key) ? '?' : key}' of ${what} holds half a surrogate pair`, origin)
  }
}

/** A Map, a Set, a Blob have no members of their own: they would leave nothing, and the call would ask for more than meant. */
export function refuseLost(value: object, path: string, { what, origin }: Pick<Place, 'what' | 'origin'>): void {
  if (Object.getPrototypeOf(value) === Object.prototype) return
  const kind = lostKind(value)
  const where = path === '' ? what : `'${path}' of ${what}`
  if (kind !== undefined) throw refusal(`${where} is a ${kind}, which has no text: convert it first`, origin)
}

/** `filter%5Btags%5D` → `filter.tags` */
function pathOf(name: string): string {
  return decodeURIComponent(name.replace(/%5B(.*?)%5D/g, '.$1'))
}

/** Whether these are the platform's own parameters. */
export function isSearchParams(values: object): boolean {
  return tagOf(values) === 'URLSearchParams'
}
