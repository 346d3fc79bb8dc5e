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

  /** Reads anything that iterates over pairs: WHATWG Headers, a Map, an array. */
  static from(pairs: Iterable<readonly [string, string]>): HeaderMap {
    const record: Record<string, string | string[]> = Object.create(null)
    for (const [name, value] of pairs) {
      const key = name.toLowerCase()
      const old = record[key]
      record[key] = old === undefined ? value : Array.isArray(old) ? [...old, value] : [old, value]
    }
    return new HeaderMap(record)
  }

  /** A copy with one value in the place of all that the name had; `name` must be in lower case. */
  with(name: string, value: string): HeaderMap {
    return new HeaderMap({ ...this.#record, [name]: value })
  }

  get(name: string): string | null {
    const value = this.#own(name)
    return value === undefined ? null : typeof value === 'string' ? value : value.join(', ')
  }

  last(name: string): string | null {
    const value = this.#own(name)
    return value === undefined ? null : typeof value === 'string' ? value : (value.at(-1) ?? null)
  }

  has(name: string): boolean {
    return this.#own(name) !== undefined
  }

  getSetCookie(): string[] {
    const value = this.#own('set-cookie')
    return value === undefined ? [] : typeof value === 'string' ? [value] : [...value]
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

  #own(name: string): string | readonly string[] | undefined {
    const key = name.toLowerCase()
    return Object.hasOwn(this.#record, key) ? this.#record[key] : undefined
  }
}
