import type { ErrorOrigin } from '../errors/error.ts'
import { refusal } from '../errors/refusal.ts'
import { inspect, isObject } from '../tag.ts'

/** Header names in lower case; several values of one name stand in an array. */
export type HeaderRecord = Readonly<Record<string, string | readonly string[] | undefined>>

const none: HeaderRecord = Object.freeze({})

/**
 * Headers or trailers as received: the reading half of WHATWG Headers, without its cost.
 *
 * `get` joins several values with `, ` as WHATWG Headers does; `last` gives the last one, since a key that stands in
 * headers and trailers must not become `250, 250`.
 */
export class HeaderMap implements Iterable<[string, string]> {
  static readonly empty = new HeaderMap(none)
  readonly #record: HeaderRecord

  /** @param record - names must already be in lower case. */
  constructor(record: HeaderRecord) {
    this.#record = record
  }

  /** Reads anything that iterates over pairs (WHATWG Headers, a Map, an array), and plain objects. */
  static from(headers: Iterable<readonly [string, string]> | Readonly<Record<string, string>>): HeaderMap {
    const record: Record<string, string | string[]> = Object.create(null)
    for (const [name, value] of pairsOf(headers)) {
      const key = name.toLowerCase()
      const old = record[key]
      if (Array.isArray(old)) old.push(value)
      else record[key] = old === undefined ? value : [old, value]
    }
    return new HeaderMap(record)
  }

  /** A copy with one value in the place of all that the name had; `name` must be in lower case. */
  with(name: string, value: string): HeaderMap {
    return new HeaderMap({ ...this.#record, [name]: value })
  }

  get(name: string): string | null {
    const key = name.toLowerCase()
    const value = Object.hasOwn(this.#record, key) ? this.#record[key] : undefined
    return value === undefined ? null : typeof value === 'string' ? value : value.join(', ')
  }

  last(name: string): string | null {
    const value = this.#own(name)
    return value === undefined ? null : typeof value === 'string' ? value : (value.at(-1) ?? null)
  }

  has(name: string): boolean {
    return this.get(name) !== null
  }

  getSetCookie(): string[] {
    return [this.#own('set-cookie') ?? []].flat()
  }

  forEach(visit: (value: string, name: string) => void): void {
    for (const [name, value] of this) visit(value, name)
  }

  *keys(): IterableIterator<string> {
    for (const [name] of this) yield name
  }

  *values(): IterableIterator<string> {
    for (const [, value] of this) yield value
  }

  entries(): IterableIterator<[string, string]> {
    return this[Symbol.iterator]()
  }

  *[Symbol.iterator](): IterableIterator<[string, string]> {
    for (const name of Object.keys(this.#record)) {
      const value = this.get(name)
      if (value !== null) yield [name, value]
    }
  }

  /** Vue makes no proxy of what has a tag of its own, in a component's state: private members cannot be read through one. */
  get [Symbol.toStringTag](): string {
    return 'HeaderMap'
  }

  /** Names without values, which may be secrets: a console shows no more of an error either. */
  [inspect](): string {
    return `HeaderMap ${JSON.stringify([...this.keys()])}`
  }

  #own(name: string): string | readonly string[] | undefined {
    const key = name.toLowerCase()
    return Object.hasOwn(this.#record, key) ? this.#record[key] : undefined
  }
}

/** Request headers: names in lower case; `undefined` removes what the transport or the operation says under that name. */
export type CallHeaders = Readonly<Record<string, string | undefined>>

/** WHATWG Headers, a Map, pairs or a plain object. */
export type HeadersInit = Iterable<readonly [string, string]> | Readonly<Record<string, string | undefined>>

/** No header at all. */
export const noHeaders: CallHeaders = Object.freeze({})
/** What a name may be made of (RFC 9110 §5.6.2), in lower case. */
export const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const forms = 'headers takes Headers, a Map, pairs or a plain object'
const value = /^[\t\x20-\x7e\x80-\xff]*$/

/** What iterates over pairs as it does, a plain object by its members. */
export function pairsOf(headers: object): Iterable<readonly [string, any]> {
  return Symbol.iterator in headers ? (headers as Iterable<[string, unknown]>) : Object.entries(headers)
}

/**
 * Reads headers in any of their forms into a plain record with lower-case names; `undefined` stays, since it removes
 * what an outer layer says under that name (see {@link withoutRemoved}).
 *
 * @throws {CallError} `invalid_argument` when a name is no token, or a value holds CR, LF, NUL or anything beyond
 * Latin-1 (RFC 9110 §5.5); the message names the header, never its value.
 */
export function readHeaders(init: HeadersInit | undefined, origin?: ErrorOrigin): CallHeaders {
  if (init === undefined) return noHeaders
  if (!isObject(init)) throw refusal(forms, origin)
  const record: Record<string, string | undefined> = {}
  for (const pair of pairsOf(init)) {
    if (!Array.isArray(pair) || pair.length !== 2) throw refusal(forms, origin)
    const key = String(pair[0]).toLowerCase()
    if (!token.test(key)) throw refusal(`a header's name is no token`, origin)
    const text = pair[1] === undefined ? undefined : String(pair[1])
    if (text !== undefined && !value.test(text))
      throw refusal(`the value of the header '${key}' holds what no header may hold`, origin)
    record[key] = text
  }
  return record
}

/** Headers as they go on the wire: the last step after all layers are merged, later ones over earlier ones. */
export function withoutRemoved<T = string>(merged: Record<string, T | undefined>): Record<string, T> {
  for (const name in merged) if (merged[name] === undefined) delete merged[name]
  return merged as Record<string, T>
}
