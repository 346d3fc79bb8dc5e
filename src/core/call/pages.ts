import { CallError } from '../errors/error.ts'
import { refusal } from '../errors/refusal.ts'
import { guard } from '../guard.ts'
import { checkOptions, count, notNegative, type RulesOf, text } from '../options.ts'
import { type CallOptions, checkCallOptions } from './call-options.ts'
import type { Paged, PageOptions, UnaryResult } from './call-types.ts'
import { readHeaders } from './header-map.ts'
import { idempotencyProfiles } from './idempotency.ts'
import type { OperationInfo, PageCallables, PagerInfo } from './operation.ts'

type FetchPage = (input: unknown, options?: CallOptions) => Promise<UnaryResult<unknown>>
type OwnOptions = Pick<PageOptions, 'limit' | 'prefetch' | 'from'>

const rules: RulesOf<OwnOptions> = { limit: count, prefetch: notNegative, from: text }

/** `pages()` and `items()` of an operation: each page is a call of its own. */
export const pageCallables: PagerInfo['callables'] = (pager, info, fetchPage): PageCallables => {
  const walk = (input: unknown, given: PageOptions = {}): Walk => {
    const { limit, prefetch, from, ...options } = Object(given) as PageOptions
    const origin = { operation: info }
    const own = Object(given) === given ? { limit, prefetch, from } : given
    checkOptions('options of pages() and items()', own, rules, origin)
    checkCallOptions(options, origin)
    return new Walk({ pager, info, fetchPage, input, options, limit, prefetch, from })
  }
  return {
    pages: (input, options) => new PageIterator(walk(input, options)),
    items: (input, options) => new ItemIterator(walk(input, options)),
  }
}

interface Page {
  readonly message: unknown
  /** Where it stands; undefined for the first one. */
  readonly at: unknown
  /** Where the next one stands; undefined behind the last. */
  readonly next: unknown
}

interface WalkParts extends OwnOptions {
  readonly pager: PagerInfo
  readonly info: OperationInfo
  readonly fetchPage: FetchPage
  readonly input: unknown
  readonly options: CallOptions
}

/**
 * The way from page to page, some of which may be asked for ahead. A cursor that comes twice is an error, not a loop, and
 * whoever leaves ends the calls that are under way.
 */
class Walk {
  readonly parts: WalkParts
  /** Items of the first page that an earlier run had read. */
  readonly skip: number
  readonly limit: number
  readonly origin: { readonly operation: OperationInfo }
  readonly #abort = new AbortController()
  readonly #seen = new Set<string>()
  /** Pages that are asked for and not yet given; the last one tells what comes next. */
  readonly #ahead: Promise<Page | undefined>[] = []
  #last: Promise<Page | undefined> | undefined
  #begin: unknown
  #isOver?: boolean
  #hasBegun?: boolean
  readonly #leave = (): void => this.#abort.abort(this.parts.options.signal?.reason)

  constructor(parts: WalkParts) {
    this.parts = parts
    this.origin = { operation: parts.info }
    this.limit = parts.limit ?? Number.POSITIVE_INFINITY
    const [at, skip] = parts.from === undefined ? [undefined, 0] : readToken(parts.from, this.origin)
    this.#begin = at
    this.skip = skip
  }

  /**
   * The next page, or undefined behind the last. Only awaits lead from here to the call of a page, since an error's stack
   * follows those to the caller's line.
   */
  async take(): Promise<Page | undefined> {
    // Nothing is left on the caller's signal by pages that nobody has wanted.
    if (!this.#hasBegun) this.#begun()
    if (this.#isOver) return undefined
    const asked = this.#ahead.shift() ?? this.#ask()
    this.#askAhead()
    try {
      const page = await asked
      if (!page) this.end()
      return page
    } catch (error) {
      this.#ahead.length = 0
      this.end()
      throw error
    }
  }

  /** Nobody wants any more of it. */
  end(reason?: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.parts.options.signal?.removeEventListener('abort', this.#leave)
    this.#abort.abort(reason)
  }

  #begun(): void {
    const { signal } = this.parts.options
    this.#hasBegun = true
    if (signal?.aborted) this.#leave()
    if (!this.#isOver) signal?.addEventListener('abort', this.#leave)
  }

  #ask(): Promise<Page | undefined> {
    this.#last = this.#last ? this.#follow(this.#last) : this.#fetch(this.#begin)
    return this.#last
  }

  /** Asks for the next one before it is wanted, once it is known that there is one. */
  #askAhead(): void {
    const { prefetch = 0 } = this.parts
    const last = this.#last
    if (this.#ahead.length >= prefetch) return
    const goOn = (page: Page | undefined): void => {
      if (last !== this.#last || page?.next === undefined || this.#isOver || this.#ahead.length >= prefetch) return
      const asked = this.#ask()
      this.#ahead.push(asked)
      // Who takes it hears of its failure; one that nobody takes has none to tell.
      asked.catch(() => undefined)
      this.#askAhead()
    }
    last?.then(goOn, () => undefined)
  }

  async #follow(before: Promise<Page | undefined>): Promise<Page | undefined> {
    const page = await before
    return page?.next === undefined ? undefined : await this.#fetch(page.next)
  }

  async #fetch(at: unknown): Promise<Page> {
    const { pager, fetchPage, input, options } = this.parts
    const here = at === undefined ? input : pager.inputAt(input, at)
    const own = { ...(at === undefined ? options : withoutKey(options)), signal: this.#abort.signal }
    const { message, headers, url } = await fetchPage(here, own)
    const next = pager.nextCursor(message, { input: here, at, headers, url }, this.origin)
    const mark = next === undefined ? '' : this.#markOf(next)
    if (next !== undefined && this.#seen.has(mark)) {
      const repeated = 'the server gave the same page cursor twice: stopped instead of looping'
      throw new CallError({ code: 'internal', message: repeated, phase: 'body', sent: 'yes' }, this.origin)
    }
    this.#seen.add(mark)
    return { message, at, next }
  }

  /** A place is told from others, and kept, as a text. */
  #markOf(next: unknown): string {
    return guard('what next() gives, which is written down as JSON,', () => toText(next), this.origin, {
      phase: 'body',
      sent: 'yes',
    })
  }
}

/** What both iterators have in common: calls of `next()` take turns, and leaving is at once. */
abstract class Turns<T> implements Paged<T> {
  token: string | undefined
  protected readonly walk: Walk
  #turn: Promise<void> | undefined
  #left?: boolean
  #given = 0

  constructor(walk: Walk) {
    this.walk = walk
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    const before = this.#turn
    let over = (): void => undefined
    this.#turn = new Promise((resolve) => {
      over = resolve
    })
    await before
    try {
      return await this.#step()
    } finally {
      over()
    }
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    this.#left = true
    this.walk.end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #step(): Promise<IteratorResult<T, undefined>> {
    if (this.#left || this.#given >= this.walk.limit) return this.return()
    const found = await this.#found()
    if (!found || this.#left) return this.return()
    this.token = found.token
    this.#given++
    return { done: false, value: found.value }
  }

  async #found() {
    try {
      return await this.find()
    } catch (error) {
      // Its own leaving has ended the call.
      if (!this.#left) throw error
      return undefined
    }
  }

  protected abstract find(): Promise<{ readonly value: T; readonly token: string | undefined } | undefined>
}

class PageIterator extends Turns<unknown> {
  protected async find() {
    const page = await this.walk.take()
    return page && { value: page.message, token: page.next === undefined ? undefined : tokenOf(page.next, 0) }
  }
}

class ItemIterator extends Turns<unknown> {
  #page: Page | undefined
  #items: readonly unknown[] = []
  #at = 0
  #isFirst = true

  protected async find() {
    const { walk } = this
    while (this.#at >= this.#items.length) {
      const page = await walk.take()
      if (!page) return undefined
      this.#page = page
      this.#items = walk.parts.pager.itemsOf(page.message, walk.origin)
      this.#at = this.#isFirst ? walk.skip : 0
      this.#isFirst = false
    }
    const value = this.#items[this.#at++]
    const { at, next } = this.#page as Page
    const isLast = this.#at >= this.#items.length
    return { value, token: isLast ? (next === undefined ? undefined : tokenOf(next, 0)) : tokenOf(at, this.#at) }
  }
}

/** A place in the pages, as a text that outlives the process. */
function tokenOf(at: unknown, skip: number): string {
  return toText([at ?? null, skip])
}

function readToken(token: string, origin: { readonly operation: OperationInfo }): readonly [at: unknown, skip: number] {
  let read: unknown
  try {
    read = JSON.parse(token, (_key, value) => (typeof value?.$bigint === 'string' ? BigInt(value.$bigint) : value))
  } catch {
    // Said below.
  }
  if (!Array.isArray(read) || read.length !== 2 || !Number.isInteger(read[1]) || read[1] < 0)
    throw refusal('from is no token of pages() or items()', origin)
  return [read[0] ?? undefined, read[1]]
}

function toText(value: unknown): string {
  return JSON.stringify(value, (_key, each) => (typeof each === 'bigint' ? { $bigint: String(each) } : each))
}

/** The caller's key is the first page's: another page is another request, and a server would answer it with the first. */
function withoutKey(options: CallOptions): CallOptions {
  const headers = { ...readHeaders(options.headers) }
  for (const { place, name } of Object.values(idempotencyProfiles)) if (place === 'header') delete headers[name]
  return { ...options, headers, idempotencyKey: undefined }
}
