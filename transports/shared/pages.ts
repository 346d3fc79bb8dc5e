import type { AnyPager, PagerInfo } from '../../src/core/call/operation.ts'
import { pageCallables } from '../../src/core/call/pages.ts'
import { CallError, type ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { guard } from '../../src/core/guard.ts'
import { callable, checkOptions, either, type RulesOf, text } from '../../src/core/options.ts'
import { isObject } from '../../src/core/tag.ts'

/** `items` is the key of the list in the page, or a function whose parameter is annotated; absent: the page is the list. */
export interface Pager<Items> extends AnyPager {
  readonly items: Items
}

/** What a list holds, by `items`. */
export type ItemOf<Out, I> = I extends undefined
  ? Out extends readonly (infer T)[]
    ? T
    : never
  : I extends (page: never) => readonly (infer T)[]
    ? T
    : I extends keyof Out
      ? Out[I] extends readonly (infer T)[] | null | undefined
        ? T
        : never
      : never

/** What is wrong with a pager for this output; `unknown` where nothing is. */
export type PagerCheck<Out, I> = [ItemOf<Out, I>] extends [never]
  ? `paginate: 'items' names no list in the output`
  : I extends (page: infer Page) => unknown
    ? [Out] extends [Page]
      ? unknown
      : `paginate: 'items' takes another page than the output`
    : unknown

/** Where the lists and the cursors of an API stand. */
export interface CursorPagesOptions<I> {
  /**
   * The list in a page; `null` there is an empty one, a name that is not there an error. @defaultValue the page itself
   *
   * @example
   * items: 'users'
   * items: (page: Page) => page.users ?? []
   */
  readonly items?: I | undefined
  /**
   * Where a page holds the cursor of the next one, members joined by dots (`meta.next_cursor`, `data.-1.id`); where the
   * page itself is the list, this is read of its last item. Nothing, null, false or an empty text there ends the pages.
   */
  readonly next: string
  /** Where a page says whether more follow (`has_more`): `false` there ends the pages, too. @defaultValue none */
  readonly more?: string | undefined
  /**
   * The input that takes the cursor.
   *
   * @defaultValue the last member of `next` without a leading `next`: `next_cursor` → `cursor`, `nextPageToken` →
   * `pageToken`, `cursor` → `cursor`; `next` alone → `cursor`
   */
  readonly param?: string | undefined
}

const rules: RulesOf<CursorPagesOptions<unknown>> = {
  items: /* @__PURE__ */ either(text, callable),
  next: text,
  more: text,
  param: text,
}

/**
 * Pages that hold the cursor of the next one: `pages()` and `items()` follow them until there is none.
 *
 * An empty page is not the end (AIP-158), only a missing cursor is.
 *
 * @example
 * get('/users', { output: type<{ users: User[]; next_cursor?: string }>(), paginate: cursorPages({ items: 'users', next: 'next_cursor' }) })
 */
export function cursorPages<const I extends string | undefined | ((page: never) => readonly unknown[]) = undefined>(
  options: CursorPagesOptions<I>,
): Pager<I> {
  checkOptions('cursorPages()', options, rules)
  const { items, next, more } = options
  if (next === undefined)
    throw refusal('cursorPages({ next }) names where a page holds the cursor of the next one', undefined)
  const { param = paramOf(next) } = options
  return makePager(items as I, {
    nextCursor(page, _facts, origin) {
      if (isOver(page, more)) return undefined
      const cursor = readPath(Array.isArray(page) ? page.at(-1) : page, next)
      if (cursor === undefined || cursor === null || cursor === false || cursor === '') {
        if (more !== undefined && readPath(page, more) === true)
          throw unfit(`'${more}' says that more follows, but there is nothing at '${next}'`, origin)
        return undefined
      }
      if (typeof cursor !== 'string' && typeof cursor !== 'number' && typeof cursor !== 'bigint')
        throw unfit(
          `'${next}' of the page is no cursor but ${Array.isArray(cursor) ? 'a list' : `of type ${typeof cursor}`}`,
          origin,
        )
      return exact(cursor, next, origin)
    },
    inputAt: (input, cursor) => ({ ...(input as object | undefined), [param]: cursor }),
  })
}

/** A pager of how its pages follow each other. */
export function makePager<I>(items: I, steps: Pick<PagerInfo, 'nextCursor' | 'inputAt'>): Pager<I> {
  const pager: PagerInfo & Pager<I> = {
    ...steps,
    items,
    itemsOf: (page, origin) => itemsOf(page, items, origin),
    nested: (part) => nestedPager(pager, part),
    callables: pageCallables,
  }
  return pager
}

/** The same pager where the cursor goes to one part of a nested input. */
export function nestedPager(pager: PagerInfo, part: string): PagerInfo {
  const partOf = (input: unknown): unknown => (input as Record<string, unknown> | undefined)?.[part]
  return {
    ...pager,
    nextCursor: (page, facts, origin) => pager.nextCursor(page, { ...facts, input: partOf(facts.input) }, origin),
    inputAt: (input, cursor) => ({ ...(input as object | undefined), [part]: pager.inputAt(partOf(input), cursor) }),
  }
}

/** @throws {CallError} where a cursor is a number that JSON has rounded, or that is none: it would ask for another page. */
export function exact<T>(cursor: T, place: string, origin: ErrorOrigin | undefined): T {
  if (typeof cursor !== 'number' || Math.abs(cursor) <= Number.MAX_SAFE_INTEGER) return cursor
  throw unfit(`'${place}' of the page is a number that JSON does not hold exactly`, origin)
}

/** Whether a page says that no more follow. */
export function isOver(page: unknown, more: string | undefined): boolean {
  const isMore = more === undefined ? undefined : readPath(page, more)
  return isMore === false || isMore === 0 || isMore === 'false'
}

function paramOf(next: string): string {
  const last = next.split('.').at(-1) ?? ''
  const bare = last.replace(/^next[_-]?/i, '')
  return bare === '' ? 'cursor' : bare[0]?.toLowerCase() + bare.slice(1)
}

/** The list in a page. */
export function itemsOf(page: unknown, items: unknown, origin: ErrorOrigin | undefined): readonly unknown[] {
  const list =
    typeof items === 'function'
      ? guard('items of paginate', () => items(page), origin, { phase: 'body', sent: 'yes' })
      : items === undefined
        ? page
        : readPath(page, items as string)
  if (Array.isArray(list)) return list
  // Some servers write an empty list as null; a name that is not there may just as well be the wrong one.
  if (list === null) return []
  const where = typeof items === 'string' ? `'${items}' of the page` : 'the page'
  if (list !== undefined) throw unfit(`${where} is no list`, origin)
  const how =
    typeof items === 'string'
      ? `: where the server leaves an empty list out, pass items: (page) => page.${items} ?? []`
      : ''
  throw unfit(`${where} is not there${how}`, origin)
}

/** What a page says that no pager can follow. */
export function unfit(what: string, origin: ErrorOrigin | undefined): CallError {
  return new CallError({ code: 'internal', message: `${what}; see paginate`, phase: 'body', sent: 'yes' }, origin)
}

/** A member by its own name, else by a path of names; a negative index counts from the end of a list. */
export function readPath(value: unknown, path: string): unknown {
  let found: any = value
  if (isObject(value) && Object.hasOwn(value, path)) return found[path]
  for (const key of path.split('.')) {
    if (!isObject(found as unknown)) return undefined
    found =
      Array.isArray(found) && /^-?\d+$/.test(key)
        ? found.at(Number(key))
        : Object.hasOwn(found, key)
          ? found[key]
          : undefined
  }
  return found
}
