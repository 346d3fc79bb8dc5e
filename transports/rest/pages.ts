import type { HeaderMap } from '../../src/core/call/header-map.ts'
import { isWholeLinkHeader, linkOf } from '../../src/core/call/link-header.ts'
import type { PageFacts } from '../../src/core/call/operation.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { decide } from '../../src/core/guard.ts'
import {
  callable,
  checkOptions,
  either,
  notNegative,
  type OptionRule,
  type RulesOf,
  text,
} from '../../src/core/options.ts'
import { isObject } from '../../src/core/tag.ts'
import { linked, resolveLink } from '../http/at.ts'
import { isOver, itemsOf, makePager, type Pager, readPath, unfit } from '../shared/pages.ts'

type Items = string | undefined | ((page: never) => readonly unknown[])
const itemsRule: OptionRule = /* @__PURE__ */ either(text, callable)

/** Pages that are asked for by how many items lie before them. */
export interface OffsetPagesOptions<I> {
  /** The list in a page. @defaultValue the page itself */
  readonly items?: I | undefined
  /** The input that takes the offset. @defaultValue 'offset' */
  readonly param?: string | undefined
  /**
   * Where a page says how many items there are in all; a negative number says that the server does not know.
   *
   * @defaultValue none: an empty page is the end
   */
  readonly total?: string | undefined
  /** Where a page says whether more follow. @defaultValue none */
  readonly more?: string | undefined
}

const offsetRules: RulesOf<OffsetPagesOptions<unknown>> = { items: itemsRule, param: text, total: text, more: text }

/**
 * Pages by offset: the next one begins behind as many items as have come. A page that is shorter than was asked for is
 * not the end, since servers cap sizes; an empty one is, or where `total` or `more` says so.
 *
 * A list that changes meanwhile repeats or leaves out items; where the server has cursors, use `cursorPages`.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @example
 * get('/users', { query: type<{ limit?: number }>(), output: type<{ users: User[]; total: number }>(), paginate: offsetPages({ items: 'users', total: 'total' }) })
 */
export function offsetPages<const I extends Items = undefined>(options: OffsetPagesOptions<I> = {}): Pager<I> {
  checkOptions('offsetPages()', options, offsetRules)
  const { items, param = 'offset', total, more } = options
  return makePager(items as I, {
    nextCursor(page, { input, at: here }, origin) {
      const length = itemsOf(page, items, origin).length
      const start = Number(here ?? (input as Record<string, unknown> | undefined)?.[param] ?? 0)
      const all = total === undefined ? -1 : count(page, total, origin)
      const isEnd = length === 0 || isOver(page, more) || (all >= 0 && start + length >= all)
      return isEnd ? undefined : start + length
    },
    inputAt: (input, offset) => ({ ...(input as object | undefined), [param]: offset }),
  })
}

/** Pages that are asked for by number. */
export interface NumberedPagesOptions<I> {
  /** The list in a page. @defaultValue the page itself */
  readonly items?: I | undefined
  /** The input that takes the number. @defaultValue 'page' */
  readonly param?: string | undefined
  /** The number of the first page, where the input names none. @defaultValue 1 */
  readonly first?: number | undefined
  /**
   * Where a page says the number of the last one: `total_pages`, `meta.last_page`; a negative one says that the server does
   * not know.
   *
   * @defaultValue none: an empty page is the end
   */
  readonly last?: string | undefined
  /** Where a page says whether more follow. @defaultValue none */
  readonly more?: string | undefined
}

const numberedRules: RulesOf<NumberedPagesOptions<unknown>> = {
  items: itemsRule,
  param: text,
  first: notNegative,
  last: text,
  more: text,
}

/**
 * Pages by number, until an empty one, or where `last` or `more` says so.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @example
 * get('/users', { output: type<{ data: User[]; meta: { last_page: number } }>(), paginate: numberedPages({ items: 'data', last: 'meta.last_page' }) })
 */
export function numberedPages<const I extends Items = undefined>(options: NumberedPagesOptions<I> = {}): Pager<I> {
  checkOptions('numberedPages()', options, numberedRules)
  const { items, param = 'page', first = 1, last, more } = options
  return makePager(items as I, {
    nextCursor(page, { input, at: here }, origin) {
      const number = Number(here ?? (input as Record<string, unknown> | undefined)?.[param] ?? first)
      const end = last === undefined ? -1 : count(page, last, origin)
      const isEnd = isOver(page, more) || (end < 0 ? itemsOf(page, items, origin).length === 0 : number >= end)
      return isEnd ? undefined : number + 1
    },
    inputAt: (input, number) => ({ ...(input as object | undefined), [param]: number }),
  })
}

/** Pages that name the URL of the next one. */
export interface LinkPagesOptions<I> {
  /** The list in a page. @defaultValue the page itself */
  readonly items?: I | undefined
  /**
   * Where a page holds the link, a text or an object with `href`: `links.next` (JSON:API), `_links.next` (HAL),
   * `@odata.nextLink`, `next` (Django REST). @defaultValue the header `Link` with `rel="next"` (RFC 8288)
   */
  readonly next?: string | undefined
}

const linkRules: RulesOf<LinkPagesOptions<unknown>> = { items: itemsRule, next: text }

/**
 * Pages that name the URL of the next one, in the header `Link` or in their body. It is called as `at(url)` is: at the
 * transport's own origin or a listed one, and without credentials at the latter. The URL is the whole request, so this
 * is for GET.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://www.rfc-editor.org/rfc/rfc8288
 * @example
 * get('/repos/{owner}/issues', { output: type<Issue[]>(), paginate: linkPages() })
 */
export function linkPages<const I extends Items = undefined>(options: LinkPagesOptions<I> = {}): Pager<I> {
  checkOptions('linkPages()', options, linkRules)
  const { items, next } = options
  const pager: Pager<I> = makePager(items as I, {
    nextCursor: (page, { headers, url }, origin) =>
      resolveLink(
        next === undefined ? nextByHeader(headers, origin) : nextByBody(page, next, origin),
        url,
        'next',
        origin,
      ),
    inputAt: (_input, url) => linked(url as string),
  })
  // A URL holds every part of the input.
  return Object.assign(pager, { nested: () => pager })
}

/** What a function of one's own knows of a page. */
export interface CustomPageFacts<In> {
  /** What this page was asked with. */
  readonly input: In
  readonly headers: HeaderMap
}

/** Pages that follow each other as a function says. */
export interface CustomPagesOptions<I, Page, In> {
  /** The list in a page. @defaultValue the page itself */
  readonly items?: I | undefined
  /**
   * What of the input is another for the next page, or undefined behind the last. Anything that JSON holds, since
   * `token` is made of it.
   */
  readonly next: (page: Page, facts: CustomPageFacts<In>) => Partial<In> | undefined
}

const customRules: RulesOf<CustomPagesOptions<unknown, any, any>> = { items: itemsRule, next: callable }

/**
 * Pages that follow each other as a function says.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @example
 * paginate: customPages({ items: 'rows', next: (page: Page, { input }: { input: Query }) => page.rows.length > 0 ? { after: page.rows.at(-1)?.id } : undefined })
 */
export function customPages<const I extends Items = undefined, Page = any, In = any>(
  options: CustomPagesOptions<I, Page, In>,
): Pager<I> {
  checkOptions('customPages()', options, customRules)
  const { items, next } = options
  if (next === undefined) throw refusal('customPages({ next }) says how the next page is asked for', undefined)
  return makePager(items as I, {
    nextCursor(page, { input, headers }: PageFacts, origin) {
      const facts = { input: input as In, headers }
      const given = decide('next() of customPages()', () => next(page as Page, facts), origin, {
        phase: 'body',
        sent: 'yes',
      })
      if (given !== undefined && !isMembers(given))
        throw unfit('next() gives members of the input, or undefined', origin)
      return given
    },
    inputAt: (input, changes) => ({ ...(input as object | undefined), ...(changes as object) }),
  })
}

/** An object of names: what a list or a Map holds would be lost, and the same page asked for again. */
function isMembers(value: unknown): value is object {
  return isObject(value) && !(Symbol.iterator in value)
}

function count(page: unknown, path: string, origin: ErrorOrigin | undefined): number {
  const value = readPath(page, path)
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number)) throw unfit(`'${path}' of the page is no number`, origin)
  return number
}

function nextByHeader(headers: HeaderMap, origin: ErrorOrigin | undefined): string | undefined {
  const value = headers.get('link')
  if (value === null) return undefined
  const url = linkOf(value, 'next')
  // What nobody can read may have been the next page.
  if (url === undefined && !isWholeLinkHeader(value)) throw unfit('the header Link cannot be read to its end', origin)
  return url
}

function nextByBody(page: unknown, next: string, origin: ErrorOrigin | undefined): string | undefined {
  const found = readPath(page, next)
  const { href, templated } = Object(found) as { readonly href?: unknown; readonly templated?: unknown }
  const url = href ?? found
  if (url === undefined || url === null || url === '' || url === false) return undefined
  if (typeof url !== 'string') throw unfit(`'${next}' of the page is no link`, origin)
  if (templated === true) throw unfit(`'${next}' of the page is a template, whose values no page knows`, origin)
  return url
}
