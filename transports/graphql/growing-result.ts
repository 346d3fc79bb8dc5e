import { isObject, isRecord } from '../../src/core/tag.ts'
import { type GraphQLErrorItem, type GraphQLResult, toGraphQLResult } from './response.ts'

type Path = readonly (string | number)[]

/** What a server sends that leads nowhere: a path that does not exist, an id that nobody announced. */
export class MisplacedPart extends Error {}

/**
 * A result that comes in parts, put together: `@defer` and `@stream`, as they were written in 2020 (`path` beside `data`),
 * in 2022 (`incremental` with paths) and since 2023 (`pending`, `incremental` with ids, `completed`).
 *
 * What was given before is never changed: each part makes copies of what lies above it, and shares the rest.
 *
 * @see https://github.com/graphql/graphql-spec/pull/1110
 */
export class GrowingResult {
  #data: GraphQLResult['data']
  #errors: readonly GraphQLErrorItem[] = []
  #extensions: Readonly<Record<string, unknown>> | undefined
  #isBegun?: boolean
  /** Paths of what was announced, by id. */
  readonly #pending = new Map<unknown, Path>()
  /** More is to come. */
  hasNext = true
  /** A part has said that it is the last one: a part that says nothing of it may have others behind it. */
  isOver = false

  /** All that has come. */
  get result(): GraphQLResult {
    return {
      ...(this.#data !== undefined && { data: this.#data }),
      ...(this.#errors.length > 0 && { errors: this.#errors }),
      ...(this.#extensions && { extensions: this.#extensions }),
    }
  }

  /**
   * Takes the next part in.
   *
   * @returns whether it was a part: what says nothing (`{}`, a heartbeat) is none.
   * @throws {MisplacedPart} where it has no place in what came before.
   */
  add(part: unknown): boolean {
    if (!isRecord(part)) throw new MisplacedPart('a part is no object')
    const isFirst = !this.#isBegun
    if (isFirst && Object.keys(part).length > 0) this.#begin(part)
    else if (Object.keys(part).length === 0) return false
    this.hasNext = part.hasNext === true
    this.isOver = part.hasNext === false
    for (const { id, path } of records(part.pending)) this.#pending.set(id, toPath(path))
    const patches = records(part.incremental)
    // Before 2022 a part was itself a patch.
    if (!isFirst && part.path !== undefined) patches.push(part)
    else if (!isFirst) this.#fail(part.errors)
    for (const patch of patches) this.#patch(patch)
    for (const { id, errors } of records(part.completed)) {
      this.#pending.delete(id)
      this.#fail(errors)
    }
    if (!isFirst && isRecord(part.extensions) && !patches.includes(part)) this.#extend(part.extensions)
    return true
  }

  #begin(part: Readonly<Record<string, unknown>>): void {
    const result = toGraphQLResult(part)
    if (!result) throw new MisplacedPart('the first part holds neither data nor errors')
    this.#isBegun = true
    this.#data = result.data
    this.#errors = result.errors ?? []
    this.#extensions = result.extensions
  }

  #patch({ id, path, subPath, data, items, errors, extensions }: Readonly<Record<string, unknown>>): void {
    const announced = this.#pending.get(id)
    if (id !== undefined && !announced) throw new MisplacedPart('an id was not announced')
    this.#fail(errors)
    if (isRecord(extensions)) this.#extend(extensions)
    const place = [...(announced ?? toPath(path)), ...toPath(subPath)]
    if (Array.isArray(items)) this.#data = addItems(this.#data, place, items) as GraphQLResult['data']
    else if (data !== undefined && data !== null)
      this.#data = changed(this.#data, place, 0, (value) => {
        if (isRecord(data) && value !== undefined && typeof value !== 'object')
          throw new MisplacedPart('a path leads to no object')
        return merged(value, data)
      }) as GraphQLResult['data']
  }

  #fail(errors: unknown): void {
    const found = records(errors)
    if (found.length > 0) this.#errors = [...this.#errors, ...found]
  }

  #extend(extensions: Readonly<Record<string, unknown>>): void {
    this.#extensions = { ...this.#extensions, ...extensions }
  }
}

function records(list: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(list) ? list.filter(isRecord) : []
}

/** A parser of the user's may give numbers as objects of its own. */
function toPath(path: unknown): Path {
  return Array.isArray(path) ? path.map((key) => (typeof key === 'string' ? key : Number(key))) : []
}

/** A copy of a value that is changed at a path, and shares all that does not lie on it. */
function changed(value: unknown, path: Path, at: number, change: (value: unknown) => unknown): unknown {
  if (at === path.length) return change(value)
  const key = path[at] as string | number
  if (Array.isArray(value) && Number.isInteger(key) && value.length >= (key as number) && (key as number) >= 0) {
    const copy = value.slice()
    copy[key as number] = changed(value[key as number], path, at + 1, change)
    return copy
  }
  if (!isRecord(value) || !Object.hasOwn(value, key)) throw new MisplacedPart('a path leads nowhere')
  // A key is computed, so that `__proto__` is a name like any other.
  return { ...value, [key]: changed(value[key], path, at + 1, change) }
}

/** In 2022 the path of streamed items ended with the index of the first of them; else it is that of their list. */
function addItems(data: unknown, path: Path, items: readonly unknown[]): unknown {
  const last = path.at(-1)
  const isIndexed = typeof last === 'number' && !Array.isArray(path.reduce(memberOf, data))
  return changed(data, isIndexed ? path.slice(0, -1) : path, 0, (list) => {
    const from = !Array.isArray(list) ? -1 : isIndexed ? last : list.length
    if (!Array.isArray(list) || !Number.isInteger(from) || from < 0 || from > list.length)
      throw new MisplacedPart('items have no list there')
    return [...list.slice(0, from), ...items, ...list.slice(from + items.length)]
  })
}

function memberOf(value: unknown, key: string | number): unknown {
  return isObject(value) && Object.hasOwn(value, key) ? (value as any)[key] : undefined
}

/** Objects and lists are joined member by member: fragments of one object overlap. */
function merged(old: unknown, added: unknown): unknown {
  if (Array.isArray(old) && Array.isArray(added))
    return [
      ...added.map((each, index) => (index < old.length ? merged(old[index], each) : each)),
      ...old.slice(added.length),
    ]
  if (!isPlain(old) || !isPlain(added)) return added
  const joined: Record<string, unknown> = { ...old }
  for (const [key, value] of Object.entries(added)) {
    const now = Object.hasOwn(old, key) ? merged(old[key], value) : value
    if (key === '__proto__')
      Object.defineProperty(joined, key, { value: now, enumerable: true, configurable: true, writable: true })
    else joined[key] = now
  }
  return joined
}

/** No object of a class: what a parser of the user's makes of a number, say. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return isRecord(value) && [Object.prototype, null].includes(Object.getPrototypeOf(value))
}
