import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isObject, tagOf } from '../../src/core/tag.ts'

/** What JSON makes of a Map, a Set, a Blob; of a typed array; of a File, by the name that pickers (react-dropzone, antd) give it first; and of a Node Buffer. */
const trace = /\{(\}|"(0|path|uid|type":"Buffer)")/
/** Written as they are, however few members they have. */
const written = /^(Object|Array|Arguments|Boolean|Number|String|Date)$/

/**
 * Writes a value as JSON, and refuses what JSON would lose without a word (a Map, a Set, bytes, a Blob or File, a
 * stream, at any depth), since the call would succeed with another value than the caller meant.
 *
 * Nothing is walked unless the written text shows a trace of such a value: that costs one search in the text.
 *
 * @param what - for the message: `the body`, `the variables`.
 * @throws {CallError} `invalid_argument` naming the path of what cannot be written, never its value.
 */
export function stringifyJson(value: unknown, what: string, origin: ErrorOrigin | undefined): string {
  let json: string | undefined
  let found: Unwritable | undefined
  let cause: unknown
  try {
    json = JSON.stringify(value)
  } catch (error) {
    cause = error
  }
  if (json && !trace.test(json)) return json
  try {
    found = findUnwritable(value, '', [])
  } catch {
    // It cannot be read, or is too deep: the cause says so.
  }
  if (found) {
    const where = found.path === '' ? what : `'${found.path}' of ${what}`
    throw refusal(`${where} is a ${found.kind}, which JSON cannot carry: convert it first`, origin, cause)
  }
  if (json) return json
  if (cause === undefined) throw refusal(`${what} is a ${typeof value}, which JSON cannot carry`, origin)
  throw refusal(`${what} cannot be written as application/json: see cause`, origin, cause)
}

/** What kind of value JSON and a query would lose: its name, such as `Map`; undefined for all that has a text. */
export function lostKind(value: object): string | undefined {
  const tag = tagOf(value)
  if (ArrayBuffer.isView(value)) return tag
  if (Symbol.asyncIterator in value || typeof (value as { getReader?: unknown }).getReader === 'function')
    return 'stream'
  // A class that names itself is written by its members, where it has some; those of a File are not what it holds.
  return tag !== 'File' && (written.test(tag) || Object.keys(value).length > 0) ? undefined : tag
}

interface Unwritable {
  readonly path: string
  readonly kind: string
}

/** The first value that JSON loses or refuses, in the order of writing. */
function findUnwritable(value: unknown, path: string, above: readonly object[]): Unwritable | undefined {
  if (typeof value === 'bigint') return hasToJson(value) ? undefined : { path, kind: 'BigInt' }
  if (!isObject(value)) return undefined
  if (above.includes(value)) return { path, kind: 'circle' }
  if (hasToJson(value) && !ArrayBuffer.isView(value))
    return findUnwritable(value.toJSON(path.split('.').at(-1) as string), path, [...above, value])
  const kind = lostKind(value)
  if (kind) return { path, kind }
  for (const [name, member] of Object.entries(value)) {
    const found = findUnwritable(member, path === '' ? name : `${path}.${name}`, [...above, value])
    if (found) return found
  }
  return undefined
}

function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  return typeof (value as { toJSON?: unknown }).toJSON === 'function'
}
