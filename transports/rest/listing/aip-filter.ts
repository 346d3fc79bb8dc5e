import { refusal } from '../../../src/core/errors/refusal.ts'
import { isObject } from '../../../src/core/tag.ts'
import type { FieldAt, FieldPath } from './fields.ts'

declare const bareValue: unique symbol
/** A value that is written without quotes; made by {@link bare}. */
export interface Bare<V> {
  readonly [bareValue]: V
}

type Item<V> = V extends readonly (infer E)[] ? E : V
type Value<V> = V | Bare<V> | (V extends string ? Date : never)
/** What is asked of one field; several of them hold together. */
export interface FieldTest<V> {
  readonly eq?: Value<V>
  readonly ne?: Value<V>
  readonly lt?: Value<V>
  readonly le?: Value<V>
  readonly gt?: Value<V>
  readonly ge?: Value<V>
  /** One of these. */
  readonly in?: readonly Value<V>[]
  /** `:`, which a list holds, or a map has as a key. */
  readonly has?: Value<Item<V>> | (V extends readonly unknown[] ? never : string)
  /** There is one, and it is not the default value. */
  readonly present?: true
  /** A text in which `*` stands for anything. */
  readonly like?: V extends string ? string : never
}

/** Conditions by field: a value, or what is asked of it. */
export type Where<T> = {
  readonly [P in FieldPath<T>]?: Value<NonNullable<FieldAt<T, P>>> | null | FieldTest<NonNullable<FieldAt<T, P>>>
}

/** How texts are written. */
export interface WhereOptions {
  /**
   * The server reads `\"` in a text as a quote. Many do not, and would end the text there. @defaultValue false: a text that
   * holds both kinds of quotes is refused
   */
  readonly isEscaping?: boolean | undefined
}

const operators = { eq: '=', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=', has: ':', like: '=' } as const

/**
 * A filter of AIP-160, as Google's APIs and many others take it, with names that the compiler knows and values that stay values.
 *
 * Texts are quoted, with the quote that they do not hold, so that no value becomes a part of the filter. `undefined` is refused:
 * a condition that is left out finds more than was meant.
 *
 * @throws {CallError} `invalid_argument` where a condition is undefined, or a value cannot be written so that every server reads
 *   the same.
 * @example
 * where<Order>({ state: bare('OPEN'), total: { gt: 100 }, 'customer.name': 'Ada', tags: { has: 'new' } })
 * // state = OPEN AND total > 100 AND customer.name = "Ada" AND tags:"new"
 */
export function where<T>(conditions: Where<T>, { isEscaping = false }: WhereOptions = {}): string {
  if (Object(conditions) !== conditions || Symbol.iterator in conditions)
    throw refusal('where() takes an object of conditions', undefined)
  return Object.entries(conditions)
    .flatMap(([path, test]) => {
      if (!isTests(test)) return [`${writePath(path)} = ${write(test, path, isEscaping)}`]
      const asked = Object.entries(test)
      // So says a Map, too, or a date of another kind.
      if (asked.length === 0)
        throw refusal(`'${path}' of the filter asks for nothing, and would find more than was meant`, undefined)
      return asked.map(([name, value]) => writeTest(path, name, value, isEscaping))
    })
    .join(' AND ')
}

/** All of these hold. Empty ones ask for nothing. @throws {CallError} `invalid_argument` where one is no text: it would find more than was meant. */
export function allOf(...filters: readonly string[]): string {
  if (!filters.every(isText)) throw refusal('allOf() takes filters, which are texts', undefined)
  const said = filters.filter((filter) => filter !== '')
  return said.length < 2 ? said.join('') : said.map((filter) => `(${filter})`).join(' AND ')
}

/** One of these holds. @throws {CallError} `invalid_argument` where one is empty, or there is none: it would find all, or nothing. */
export function anyOf(...filters: readonly string[]): string {
  if (filters.length === 0 || filters.includes('') || !filters.every(isText))
    throw refusal('anyOf() takes filters, none of them empty', undefined)
  return filters.length === 1 ? (filters[0] as string) : filters.map((filter) => `(${filter})`).join(' OR ')
}

/** This does not hold. @throws {CallError} `invalid_argument` where it is empty. */
export function not(filter: string): string {
  if (filter === '' || !isText(filter)) throw refusal('not() takes a filter that is not empty', undefined)
  return `NOT (${filter})`
}

function isText(filter: unknown): boolean {
  return typeof filter === 'string'
}

const bares = new WeakMap<object, string>()

/**
 * A value of a filter without quotes: the name of an enum, a duration (`20s`), a timestamp.
 *
 * @throws {CallError} `invalid_argument` where it is more than one word.
 * @example
 * where<Order>({ state: bare('OPEN') })
 */
export function bare<const V extends string>(text: V): Bare<V> {
  if (typeof text !== 'string' || !/^\w[\w.:+/-]*$/.test(text) || reserved.test(text))
    throw refusal('bare() takes one word, such as the name of an enum', undefined)
  const made = Object.freeze({}) as Bare<V>
  bares.set(made, text)
  return made
}

const reserved = /^(?:AND|OR|NOT)$/

/** An object that asks, and is no value. */
function isTests(test: unknown): test is Record<string, unknown> {
  return isObject(test) && !(test instanceof Date) && !bares.has(test)
}

function writeTest(path: string, name: string, value: unknown, isEscaping: boolean): string {
  const field = writePath(path)
  if (name === 'present' && value === true) return `${field}:*`
  if (name === 'in' && Array.isArray(value) && value.length > 0) {
    const each = value.map((one) => `${field} = ${write(one, path, isEscaping)}`)
    return each.length === 1 ? (each[0] as string) : `(${each.join(' OR ')})`
  }
  if (!Object.hasOwn(operators, name))
    throw refusal(
      `'${path}' of the filter asks for '${name}', which takes another value or is none of AIP-160`,
      undefined,
    )
  const operator = operators[name as keyof typeof operators]
  const written = write(value, path, isEscaping, name === 'like')
  return name === 'has' ? `${field}:${written}` : `${field} ${operator} ${written}`
}

/** A name that is no word is quoted: a key of a map. */
function writePath(path: string): string {
  return path
    .split('.')
    .map((name) => (/^[A-Za-z_]\w*$/.test(name) && !reserved.test(name) ? name : quote(name, path, false)))
    .join('.')
}

function write(value: unknown, path: string, isEscaping: boolean, isPattern = false): string {
  const refuse = (what: string): never => {
    throw refusal(`'${path}' of the filter ${what}`, undefined)
  }
  if (isObject(value) && bares.has(value)) return bares.get(value) as string
  if (value instanceof Date)
    return Number.isNaN(value.getTime()) ? refuse('is no valid date') : `"${value.toISOString()}"`
  switch (typeof value) {
    case 'string':
      if (value.includes('*') && !isPattern)
        refuse("holds '*', which stands for anything: write { like: … } where that is meant")
      return quote(value, path, isEscaping)
    case 'number':
      return Number.isFinite(value) ? String(value) : refuse('is no finite number')
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      return value === null
        ? 'null'
        : refuse(value === undefined ? 'is undefined, and would find more than was meant' : 'is no value')
  }
}

/** A backslash is doubled: who reads escapes gets one, and who does not finds nothing, rather than something else. */
function quote(text: string, path: string, isEscaping: boolean): string {
  if (/[\p{Cs}\0]/u.test(text)) throw refusal(`'${path}' of the filter holds half a surrogate pair or NUL`, undefined)
  const safe = text.replaceAll('\\', '\\\\')
  if (!safe.includes('"')) return `"${safe}"`
  if (!safe.includes("'")) return `'${safe}'`
  if (isEscaping) return `"${safe.replaceAll('"', '\\"')}"`
  throw refusal(
    `'${path}' of the filter holds both kinds of quotes, which not every server reads: where yours knows \\", write { isEscaping: true }`,
    undefined,
  )
}
