import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { isObject } from '../../src/core/tag.ts'
import { encode, encodeQuery, jsonOf, pairs, type QueryStyle, refuseLost, scalar } from '../http/query.ts'
import { stringifyJson } from '../shared/json.ts'
import type { ParameterStyle } from './openapi-description.ts'

/** Where parameters stand. */
export type Place = 'path' | 'query' | 'header' | 'cookie' | 'form'

const styles: Readonly<Record<Place, readonly string[]>> = {
  path: ['simple', 'label', 'matrix', 'json'],
  query: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject', 'json'],
  header: ['simple', 'json'],
  cookie: ['form', 'cookie', 'json'],
  form: ['form', 'spaceDelimited', 'pipeDelimited', 'deepObject', 'json'],
}

/** A parameter of a description, read once for an operation. */
export interface Parameter {
  readonly name: string
  readonly place: Place
  readonly style: string
  readonly explode: boolean
  readonly allowReserved: boolean
  /** The style is named, so that it decides how a part of a form is written. */
  readonly isStyled: boolean
  readonly contentType: string | undefined
}

/** @throws {TypeError} for a style that the place does not have. */
export function readParameter(name: string, place: Place, of: ParameterStyle): Parameter {
  const given: Exclude<ParameterStyle, string> = typeof of === 'string' ? { style: of } : of
  const style = given?.style ?? styles[place][0]
  if (!isObject(given) || !styles[place].includes(style as string))
    throw new TypeError(`'${name}' of the ${place}: a style is one of ${styles[place].join(', ')}`)
  const { explode = style === 'form' || style === 'cookie', allowReserved = false, contentType } = given
  const isStyled = given.style !== undefined || given.explode !== undefined || given.allowReserved !== undefined
  return { name, place, style: style as string, explode, allowReserved, isStyled, contentType }
}

type Pair = readonly [key: string, text: string]
/** A value taken apart: one text, the texts of a list, or the members of an object. */
type Parts = string | readonly string[] | { readonly members: readonly Pair[] }

class Writer {
  readonly #parameter: Parameter
  readonly #origin: ErrorOrigin | undefined

  constructor(parameter: Parameter, origin: ErrorOrigin | undefined) {
    this.#parameter = parameter
    this.#origin = origin
  }

  get what(): string {
    return this.#parameter.place === 'header' ? 'the headers' : `the ${this.#parameter.place}`
  }

  refuse(why: string): never {
    throw refusal(`'${this.#parameter.name}' of ${this.what} ${why}`, this.#origin)
  }

  encode(text: string): string {
    const encoded = encode(text, this.#place())
    const { allowReserved, place } = this.#parameter
    if (!allowReserved) return encoded
    // What ends a segment or the path stays encoded in it, whatever the description says: a value leads nowhere else.
    return encoded.replace(place === 'path' ? /%(?:3A|40|24|2C|3B)/g : /%(?:3A|2F|3F|40|24|2C|3B)/g, decodeURIComponent)
  }

  json(value: unknown): string {
    return stringifyJson(value, `'${this.#parameter.name}' of ${this.what}`, this.#origin)
  }

  parts(value: unknown): Parts {
    if (!isObject(value)) return this.#text(value)
    if (Array.isArray(value)) return value.filter((item) => item !== undefined).map((item) => this.#text(item))
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return this.parts(jsonOf(value, this.#place()))
    refuseLost(value, this.#parameter.name, this.#place())
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]): Pair => [key, this.#text(member)])
    return { members }
  }

  /** @throws {CallError} where a text holds what would part it in two. */
  whole(texts: readonly string[], delimiters: RegExp): readonly string[] {
    for (const text of texts)
      if (delimiters.test(text)) this.refuse('has an item that holds what parts the items from each other')
    return texts
  }

  #text(value: unknown): string {
    if (value === null) return ''
    if (typeof value !== 'object') return scalar(value, this.#place())
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function' && !Array.isArray(value))
      return this.#text(jsonOf(value, this.#place()))
    return this.refuse(`is nested more deeply than the style '${this.#parameter.style}' can write`)
  }

  #place() {
    return { key: this.#parameter.name, origin: this.#origin, what: this.what }
  }
}

const isMembers = (parts: Parts): parts is { readonly members: readonly Pair[] } =>
  typeof parts === 'object' && 'members' in parts
const flat = (members: readonly Pair[]): readonly string[] => members.flat()

/** How items stand beside each other where they are not exploded, and what an item may not hold. */
const delimiters: Readonly<Record<string, readonly [written: string, unfit: RegExp]>> = {
  form: [',', /(?!)/],
  spaceDelimited: ['%20', / /],
  pipeDelimited: ['%7C', /\|/],
}

/** Writes a parameter of a query or a field of a form: its pairs, each after a `&`; empty where there is nothing. */
export function writeQueryParameter(
  parameter: Parameter,
  value: unknown,
  queryStyle: QueryStyle | undefined,
  origin: ErrorOrigin | undefined,
): string {
  if (value === undefined) return ''
  const writer = new Writer(parameter, origin)
  const { name, style, explode } = parameter
  const key = encode(name, { key: name, what: writer.what, origin })
  if (style === 'json') return `&${key}=${writer.encode(writer.json(value))}`
  if (value === null) return pairs(key, null, { key: name, what: writer.what, style: queryStyle ?? {}, origin }, 0)
  if (style === 'deepObject') {
    // A list in an object has no form of its own in OpenAPI: indices can be read back whatever the items are.
    const arrays = queryStyle?.arrays === 'brackets' ? 'brackets' : 'indices'
    const written = encodeQuery({ [name]: value }, { ...queryStyle, arrays }, origin, writer.what)
    return written && `&${written}`
  }
  const parts = writer.parts(value)
  if (typeof parts === 'string') return `&${key}=${writer.encode(parts)}`
  if (explode) {
    const all: readonly Pair[] = isMembers(parts) ? parts.members : parts.map((text): Pair => [name, text])
    return all.map(([name, text]) => `&${writer.encode(name)}=${writer.encode(text)}`).join('')
  }
  const texts = isMembers(parts) ? flat(parts.members) : parts
  if (texts.length === 0) return ''
  const [written, unfit] = delimiters[style] as readonly [string, RegExp]
  // A comma that parts items is left as it is, so that one in an item is told from it.
  const items = writer.whole(texts, unfit).map((text) => writer.encode(text).replaceAll(',', '%2C'))
  return `&${key}=${items.join(written)}`
}

/** What a URL parser takes for a step, however it is written. */
const dots = /^(?:\.|%2e){1,2}$/i

/** Writes a parameter of the path. @throws {CallError} `invalid_argument` for what leaves its segment, or is nothing. */
export function writePathParameter(parameter: Parameter, value: unknown, origin: ErrorOrigin | undefined): string {
  const writer = new Writer(parameter, origin)
  if (value === undefined || value === null) writer.refuse('is missing')
  const written = pathText(parameter, value, writer)
  if (written === '') writer.refuse('is empty')
  if (dots.test(written)) writer.refuse('is a dot segment')
  return written
}

function pathText({ name, style, explode }: Parameter, value: unknown, writer: Writer): string {
  const encoded = (text: string) => {
    if (/[\p{Cc}\p{Cs}]/u.test(text)) writer.refuse('holds a control character or half a surrogate pair')
    return writer.encode(text)
  }
  if (style === 'json') return encoded(writer.json(value))
  const parts = writer.parts(value)
  if (typeof parts === 'string') {
    if (style === 'matrix') return parts === '' ? `;${name}` : `;${name}=${encoded(parts)}`
    return (style === 'label' ? '.' : '') + encoded(parts)
  }
  const isObject = isMembers(parts)
  const texts = isObject ? flat(parts.members) : parts
  if (texts.length === 0) return ''
  if (!explode) {
    const list = texts.map(encoded).join(',')
    return style === 'matrix' ? `;${name}=${list}` : style === 'label' ? `.${list}` : list
  }
  // A dot is a dot whether it is encoded or not.
  if (style === 'label') writer.whole(texts, /\./)
  const items = isObject
    ? parts.members.map(([key, text]) => `${encoded(key)}=${encoded(text)}`)
    : parts.map((text) => (style === 'matrix' ? `${name}=${encoded(text)}` : encoded(text)))
  return style === 'simple' ? items.join(',') : items.map((item) => (style === 'label' ? '.' : ';') + item).join('')
}

/** Writes a header parameter, whose text is not percent-encoded; undefined where there is nothing. */
export function writeHeaderParameter(
  parameter: Parameter,
  value: unknown,
  origin: ErrorOrigin | undefined,
): string | undefined {
  if (value === undefined || value === null) return undefined
  const writer = new Writer(parameter, origin)
  if (parameter.style === 'json')
    return writer
      .json(value)
      .replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  // As everywhere in headers, which HTTP writes in its own form.
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toUTCString()
  const parts = writer.parts(value)
  if (typeof parts === 'string') return parts
  const isObject = isMembers(parts)
  // Servers trim what stands around a comma.
  const texts = writer.whole(
    isObject ? flat(parts.members) : parts,
    parameter.explode && isObject ? /[,=]|^\s|\s$/ : /,|^\s|\s$/,
  )
  if (texts.length === 0) return undefined
  return isObject && parameter.explode
    ? parts.members.map(([key, text]) => `${key}=${text}`).join(',')
    : texts.join(',')
}

/** RFC 6265 §4.1.1, and the comma, which parts items. */
const cookieOctets = /^[!#-+\--:<-[\]-~]*$/

/** Writes a cookie parameter: `name=value`, several joined by `; `; empty where there is nothing. */
export function writeCookieParameter(parameter: Parameter, value: unknown, origin: ErrorOrigin | undefined): string {
  if (value === undefined || value === null) return ''
  const writer = new Writer(parameter, origin)
  const { name, style, explode } = parameter
  const written = (text: string) => {
    if (style !== 'cookie') return writer.encode(text)
    return cookieOctets.test(text) ? text : writer.refuse('holds what no cookie may hold')
  }
  if (style === 'json') return `${name}=${written(writer.json(value))}`
  const parts = writer.parts(value)
  if (typeof parts === 'string') return `${name}=${written(parts)}`
  const isObject = isMembers(parts)
  if (explode)
    return (isObject ? parts.members : parts.map((text): Pair => [name, text]))
      .map(
        ([key, text]) =>
          `${style === 'cookie' && key.includes('=') ? writer.refuse('holds a name with =') : written(key)}=${written(text)}`,
      )
      .join('; ')
  const texts = isObject ? flat(parts.members) : parts
  return texts.length === 0 ? '' : `${name}=${texts.map(written).join(',')}`
}
