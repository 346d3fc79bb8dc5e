import type { AnyPager, PageFacts, PagerInfo } from '../../src/core/call/operation.ts'
import { pageCallables } from '../../src/core/call/pages.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { guard } from '../../src/core/guard.ts'
import { callable, checkOptions, either, oneOf, type RulesOf, takes, text } from '../../src/core/options.ts'
import { isRecord } from '../../src/core/tag.ts'
import { exact, unfit } from '../shared/pages.ts'
import { declaresVariable, type PreparedDocument } from './document.ts'
import { isIncomplete } from './operation.ts'
import type { ErrorPolicy } from './types.ts'

/** Where a connection stands in the data: names joined by dots, or a function whose parameter is annotated. */
export type ConnectionPath = string | ((data: never) => unknown)

/** How the pages of a connection follow each other; made by {@link relayPages}. */
export interface RelayPager<P, I, D, K> extends AnyPager {
  readonly path: P
  readonly items: I
  readonly direction: D
  readonly variable: K
}

/** Which connection is read, and how. */
export interface RelayPagesOptions<P extends ConnectionPath, I, D, K> {
  /**
   * Where the connection stands in the data, by the names of the result (aliases, where there are some), joined by dots;
   * a number is a place in a list. A function annotates its parameter.
   *
   * @example
   * path: 'viewer.repositories'
   * path: (data: ViewerQuery) => data.viewer?.repositories
   */
  readonly path: P
  /** From the first page on by `endCursor`, or from the last one back by `startCursor`. @defaultValue 'forward' */
  readonly direction?: D | undefined
  /** What `items()` gives: nodes (of `nodes`, else of `edges`), or edges with what they hold beside. @defaultValue 'nodes' */
  readonly items?: I | undefined
  /** The variable that takes the cursor. @defaultValue 'after', or 'before' where it goes backward */
  readonly variable?: K | undefined
}

type Direction = 'forward' | 'backward'
type Listed = 'nodes' | 'edges'

const rules: RulesOf<RelayPagesOptions<ConnectionPath, unknown, unknown, string>> = {
  path: /* @__PURE__ */ either(text, callable),
  direction: /* @__PURE__ */ oneOf('forward', 'backward'),
  items: /* @__PURE__ */ oneOf('nodes', 'edges'),
  variable: /* @__PURE__ */ takes("a variable's name without the $", (value) => /^[_a-z]\w*$/i.test(String(value))),
}

/** A pager that still has to know of which operation. */
export interface DocumentPager {
  /** @throws {TypeError} where the document cannot take a cursor. */
  of(document: PreparedDocument, policy: ErrorPolicy): PagerInfo
}

/**
 * Pages of a Relay connection: `pages()` and `items()` follow its cursors, forward or backward, wherever it stands.
 *
 * The document selects `pageInfo { hasNextPage endCursor }` (backward: `hasPreviousPage startCursor`) and passes the
 * cursor variable to the connection. Backward, `items()` begins with the last item.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @see https://relay.dev/graphql/connections.htm
 * @example
 * query(RepositoriesDocument, { paginate: relayPages({ path: 'viewer.repositories' }) })
 */
export function relayPages<
  const P extends ConnectionPath,
  const I extends Listed = 'nodes',
  const D extends Direction = 'forward',
  const K extends string = D extends 'backward' ? 'before' : 'after',
>(options: RelayPagesOptions<P, I, D, K>): RelayPager<P, I, D, K> {
  checkOptions('relayPages()', options, rules)
  const { path } = options
  if (path === undefined) throw refusal('relayPages({ path }) names where the connection stands in the data', undefined)
  const { direction = 'forward' as D, items = 'nodes' as I } = options
  const { variable = (direction === 'backward' ? 'before' : 'after') as K } = options
  const parts = { path, direction, items, variable }
  const pager: RelayPager<P, I, D, K> & DocumentPager = {
    ...parts,
    nextCursor: () => undefined,
    of(document, policy) {
      if (declaresVariable(document, variable) === false)
        throw new TypeError(`relayPages(): the document has no variable '$${variable}', which takes the cursor`)
      return new Connection(parts, policy)
    },
  }
  return pager
}

/** Reads the pages of one connection. */
class Connection implements PagerInfo {
  readonly callables = pageCallables
  readonly #parts: RelayPagesOptions<ConnectionPath, Listed, Direction, string> & { readonly variable: string }
  readonly #policy: ErrorPolicy
  readonly #place: string

  constructor(parts: RelayPagesOptions<ConnectionPath, any, any, string> & { variable: string }, policy: ErrorPolicy) {
    this.#parts = parts
    this.#policy = policy
    this.#place = typeof parts.path === 'string' ? `'${parts.path}'` : 'path()'
  }

  nextCursor(page: unknown, { at }: PageFacts, origin?: ErrorOrigin): unknown {
    const connection = this.#find(page, origin)
    if (connection === null) {
      // What was there a page ago has not come to its end; where errors come with the page, its reader sees why.
      if (at !== undefined && this.#policy !== 'all')
        throw unfit(`the connection at ${this.#place} is null behind a page that said more follows`, origin)
      return undefined
    }
    const isForward = this.#parts.direction === 'forward'
    const [more, end] = isForward ? ['hasNextPage', 'endCursor'] : ['hasPreviousPage', 'startCursor']
    const { pageInfo } = connection
    const info = isRecord(pageInfo) ? pageInfo : {}
    const isMore = info[more as string]
    if (typeof isMore !== 'boolean')
      throw unfit(`${this.#place} has no pageInfo with ${more}: select pageInfo { ${more} ${end} }`, origin)
    if (!isMore) return undefined
    const cursor = info[end as string]
    if (typeof cursor === 'string' && cursor !== '') return cursor
    if (typeof cursor === 'number' || typeof cursor === 'bigint') return exact(cursor, end as string, origin)
    const what =
      cursor === undefined ? 'not selected' : cursor === null ? 'null' : cursor === '' ? 'empty' : 'no cursor'
    throw unfit(`${more} of ${this.#place} says that more follows, but ${end} is ${what}`, origin)
  }

  inputAt(input: unknown, cursor: unknown): unknown {
    return { ...(input as object | undefined), [this.#parts.variable]: cursor }
  }

  nested(): this {
    return this
  }

  itemsOf(page: unknown, origin?: ErrorOrigin): readonly unknown[] {
    const connection = this.#find(page, origin)
    if (connection === null) {
      if (isIncomplete(page))
        throw unfit(`the connection at ${this.#place} is null beside errors: read them by pages()`, origin)
      return []
    }
    const { direction, items } = this.#parts
    const list = items === 'nodes' && 'nodes' in connection ? connection.nodes : this.#edges(connection, origin)
    if (list !== null && !Array.isArray(list)) throw unfit(`the list in ${this.#place} is none`, origin)
    const found = (list ?? []).flatMap((each: unknown) => (each === null || each === undefined ? [] : [each]))
    return direction === 'backward' ? found.reverse() : found
  }

  #edges({ edges }: Readonly<Record<string, unknown>>, origin: ErrorOrigin | undefined): unknown {
    if (edges === undefined)
      throw unfit(`${this.#place} has neither nodes nor edges: select nodes, or edges { node }`, origin)
    if (this.#parts.items === 'edges' || !Array.isArray(edges)) return edges
    return edges.map((edge) => {
      if (edge !== null && (!isRecord(edge) || edge.node === undefined))
        throw unfit(`an edge in ${this.#place} has no node: select edges { node { … } }`, origin)
      return edge?.node
    })
  }

  /** The connection in a page; null where it, or something above it, is null. */
  #find(page: unknown, origin: ErrorOrigin | undefined): Readonly<Record<string, unknown>> | null {
    const { path } = this.#parts
    const data = this.#policy === 'all' ? (page as { readonly data: unknown }).data : page
    let found: any = data
    if (typeof path === 'function') {
      const place = { phase: 'body', sent: 'yes' } as const
      found = data === null ? null : (guard('path() of relayPages()', () => path(data as never), origin, place) ?? null)
    } else {
      for (const name of path.split('.')) {
        if (found === null) return null
        const isThere = typeof found === 'object' && Object.hasOwn(found, name)
        if (!isThere) throw unfit(`the data has nothing at ${this.#place}: '${name}' is not there`, origin)
        found = found[name]
      }
    }
    if (found !== null && !isRecord(found)) throw unfit(`what stands at ${this.#place} is no connection`, origin)
    return found
  }
}

/** One step of a path; members of a union that lack it say nothing. */
type Step<T, K extends string> = T extends readonly (infer E)[]
  ? K extends `${number}`
    ? E
    : never
  : K extends keyof T
    ? T[K]
    : never
type At<T, P> = P extends (data: never) => infer C
  ? NonNullable<C>
  : P extends `${infer Head}.${infer Rest}`
    ? At<NonNullable<Step<T, Head>>, Rest>
    : P extends string
      ? NonNullable<Step<T, P>>
      : never
type Each<L> = NonNullable<L> extends readonly (infer T)[] ? NonNullable<T> : never
type NodeOf<E> = E extends { readonly node?: infer N } ? NonNullable<N> : never
type ItemIn<C, I> = C extends object
  ? I extends 'edges'
    ? 'edges' extends keyof C
      ? Each<C['edges']>
      : never
    : 'nodes' extends keyof C
      ? Each<C['nodes']>
      : 'edges' extends keyof C
        ? NodeOf<Each<C['edges']>>
        : never
  : never
/** What `items()` of a connection gives. */
export type RelayItem<Data, P, I> = ItemIn<At<NonNullable<Data>, P>, I>

interface Ends {
  readonly forward: { readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor?: unknown } }
  readonly backward: { readonly pageInfo: { readonly hasPreviousPage: boolean; readonly startCursor?: unknown } }
}
interface Selections {
  readonly forward: 'pageInfo { hasNextPage endCursor }'
  readonly backward: 'pageInfo { hasPreviousPage startCursor }'
}
type Place<P> = P extends string ? `'${P}'` : 'path()'
/** What is wrong with a pager for this document; `unknown` where nothing is. */
export type RelayCheck<Data, V, P, I, D extends Direction, K extends string> = [At<NonNullable<Data>, P>] extends [
  never,
]
  ? `paginate: the data has nothing at ${Place<P>}`
  : [At<NonNullable<Data>, P>] extends [Ends[D]]
    ? [RelayItem<Data, P, I>] extends [never]
      ? `paginate: select nodes, or edges { node }, in ${Place<P>}`
      : K extends keyof V
        ? unknown
        : `paginate: the document has no variable '$${K}', which takes the cursor`
    : `paginate: select ${Selections[D]} in ${Place<P>}`
