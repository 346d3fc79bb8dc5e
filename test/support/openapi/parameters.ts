import { deref, type Json } from './document.ts'

// Reads parameters and forms as a server does, by the description alone: nothing of what writes them is used. Every
// value is read as texts, since only the schema tells 1 from '1'.

export type Texts = string | Texts[] | { [name: string]: Texts }
export type Kind = 'scalar' | 'array' | 'object' | 'either'

/** What may stand there; `either` is a text or a list. */
export function kindOf(document: Json, given: Json | undefined, depth = 0): Kind {
  const schema = deref(document, given)
  const type = [schema.type].flat().find((each) => each !== 'null')
  if (type === 'array' || (!type && schema.items)) return 'array'
  if (type === 'object' || (!type && (schema.properties || schema.additionalProperties))) return 'object'
  if (type) return 'scalar'
  const parts: Json[] = schema.oneOf ?? schema.anyOf ?? schema.allOf ?? []
  const kinds = new Set(depth > 6 ? [] : parts.map((part) => kindOf(document, part, depth + 1)))
  if (kinds.has('object')) return 'object'
  if (kinds.has('array')) return kinds.size > 1 ? 'either' : 'array'
  return kinds.has('either') ? 'either' : 'scalar'
}

export type RawPair = readonly [rawKey: string, rawValue: string]
export const rawPairs = (query: string): RawPair[] =>
  query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): RawPair => {
      const at = pair.indexOf('=')
      return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
    })

const decode = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '))
const membersOf = (flat: readonly string[]): Texts =>
  Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at], flat[2 * at + 1]]))
const pairsOf = (items: readonly string[], read: (text: string) => string): Texts =>
  Object.fromEntries(
    items.map((item) => {
      const at = item.indexOf('=')
      return [read(item.slice(0, at)), read(item.slice(at + 1))]
    }),
  )

/** A parameter of a query, or a field of a form that has a style; takes what it reads out of `pairs`. */
export function readStyled(document: Json, name: string, parameter: Json, pairs: Set<RawPair>): Texts | undefined {
  const { style = 'form', schema, content } = parameter
  const { explode = style === 'form' } = parameter
  const kind = kindOf(document, schema)
  const take = (fits: (key: string) => boolean): RawPair[] => {
    const found = [...pairs].filter(([key]) => fits(decode(key)))
    for (const pair of found) pairs.delete(pair)
    return found
  }
  if (style === 'deepObject')
    return deep(
      name,
      take((key) => key === name || key.startsWith(`${name}[`)),
    )
  if (kind === 'object' && explode && !content) {
    const properties = Object.keys(deref(document, schema).properties ?? {})
    const own = take((key) => properties.length === 0 || properties.includes(key))
    return own.length > 0 ? Object.fromEntries(own.map(([key, value]) => [decode(key), decode(value)])) : undefined
  }
  const found = take((key) => key === name)
  const [first] = found
  if (!first) return undefined
  if (content) return texts(JSON.parse(decode(first[1])))
  if (kind === 'scalar' || (kind === 'either' && found.length === 1 && explode)) {
    if (found.length > 1) throw new Error(`'${name}' is there ${found.length} times`)
    return decode(first[1])
  }
  if (explode) return found.map(([, value]) => decode(value))
  if (found.length > 1) throw new Error(`'${name}' is there ${found.length} times, and is not exploded`)
  const parts = first[1].split(style === 'form' ? ',' : style === 'pipeDelimited' ? /\||%7C/i : /%20|\+/).map(decode)
  return kind === 'object' ? membersOf(parts) : parts
}

/** `a[b][0]=c` */
function deep(name: string, pairs: readonly RawPair[]): Texts | undefined {
  if (pairs.length === 0) return undefined
  let root: any
  for (const [rawKey, rawValue] of pairs) {
    const path = [
      ...decode(rawKey)
        .slice(name.length)
        .matchAll(/\[([^\]]*)\]/g),
    ].map(([, key]) => key as string)
    const put = (at: any, [key, ...rest]: readonly string[]): any => {
      if (key === undefined) return decode(rawValue)
      if (key === '') return [...(at ?? []), put(undefined, rest)]
      if (/^\d+$/.test(key) && (at === undefined || Array.isArray(at))) {
        const list = at ?? []
        list[Number(key)] = put(list[Number(key)], rest)
        return list
      }
      return { ...at, [key]: put(at?.[key], rest) }
    }
    root = put(root, path)
  }
  return root
}

/** A parameter of the path, from its raw segment. */
export function readPath(
  document: Json,
  { name, style = 'simple', explode = false, schema, content }: Json,
  raw: string,
): Texts {
  const kind = kindOf(document, schema)
  if (content) return texts(JSON.parse(decodeURIComponent(raw)))
  const prefix = style === 'label' ? '.' : style === 'matrix' ? ';' : ''
  if (!raw.startsWith(prefix)) throw new Error(`'${name}' is no ${style}`)
  const written = raw.slice(prefix.length)
  const unnamed = (text: string) => {
    if (style !== 'matrix') return text
    if (text !== name && !text.startsWith(`${name}=`)) throw new Error(`'${name}' is no matrix`)
    return text.slice(name.length + 1)
  }
  if (kind === 'scalar' || kind === 'either') return decodeURIComponent(unnamed(written))
  const between = !explode || style === 'simple' ? ',' : prefix
  if (kind === 'object' && explode) return pairsOf(written.split(between), decodeURIComponent)
  const items = explode ? written.split(between).map(unnamed) : unnamed(written).split(between)
  const decoded = items.map(decodeURIComponent)
  return kind === 'object' ? membersOf(decoded) : decoded
}

/** A header parameter. */
export function readHeader(document: Json, { explode = false, schema, content }: Json, raw: string): Texts {
  if (content) return texts(JSON.parse(raw))
  const kind = kindOf(document, schema)
  if (kind === 'scalar' || kind === 'either') return raw
  const items = raw.split(',').map((item) => item.trim())
  if (kind === 'array') return items
  return explode ? pairsOf(items, (text) => text) : membersOf(items)
}

/** A cookie parameter, of the pairs of the header; takes what it reads. */
export function readCookie(document: Json, parameter: Json, pairs: Set<RawPair>): Texts | undefined {
  const { name, style = 'form', explode = true, schema, content } = parameter
  const read = style === 'cookie' ? (text: string) => text : decodeURIComponent
  const kind = kindOf(document, schema)
  const properties = Object.keys(deref(document, schema).properties ?? {})
  const isObject = kind === 'object' && explode && !content
  const own = [...pairs].filter(([key]) => (isObject ? properties.includes(read(key)) : key === name))
  for (const pair of own) pairs.delete(pair)
  const [first] = own
  if (!first) return undefined
  if (content) return texts(JSON.parse(read(first[1])))
  if (isObject) return Object.fromEntries(own.map(([key, value]) => [read(key), read(value)]))
  if (kind === 'scalar') return read(first[1])
  const items = explode ? own.map(([, value]) => read(value)) : first[1].split(',').map(read)
  return kind === 'object' ? membersOf(items) : items
}

/** The same with each leaf as a text, without what is empty: nothing of that is on the wire. */
export function texts(value: unknown): Texts {
  if (Array.isArray(value)) return value.map(texts)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, member]) => !isNothing(member))
        .map(([name, member]) => [name, texts(member)]),
    )
  return value === null ? '' : String(value)
}

/** Whether nothing of a value is written in a query or form. */
export function isNothing(value: unknown): boolean {
  if (value === undefined) return true
  return typeof value === 'object' && value !== null && Object.values(value).every(isNothing)
}
