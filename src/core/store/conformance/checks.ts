import type { Store, StoreEntry } from '../store.ts'

/** At once or later. */
export type Awaitable<T> = T | Promise<T>

/** What a case works on. */
export interface Bench {
  readonly store: Store
  /** The same entries by several connections, where the store can be shared. */
  readonly stores: readonly Store[]
  /** Begins each key. */
  readonly root: string
  readonly wait: (ms: number) => Awaitable<unknown>
  readonly interrupt: (store: any) => unknown
}

/** One thing that a store must hold. */
export interface Case {
  readonly name: string
  readonly needs?: 'list' | 'listen' | 'interrupt'
  readonly run: (bench: Bench) => Promise<void>
}

/** Until the connection is there again. */
export async function put<T>(run: () => Awaitable<T>): Promise<T> {
  for (let tries = 0; ; tries++)
    try {
      return await run()
    } catch (error) {
      if (tries === 500) throw error
      await new Promise((done) => setTimeout(done, 10))
    }
}

/** Fifty at once, of whom one is told true; says which. */
export async function race(
  stores: readonly Store[],
  what: string,
  run: (store: Store, me: string) => Awaitable<boolean>,
): Promise<string> {
  const told = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => run(stores[index % stores.length] as Store, String(index))),
  )
  equal(told.filter((answer) => answer === true).length, 1, `winners of 50 who race by ${what}`)
  equal(told.filter((answer) => answer === false).length, 49, `losers of 50 who race by ${what}`)
  return String(told.indexOf(true))
}

export async function read(store: Store, key: string): Promise<string | undefined> {
  return (await store.get(key)) ?? undefined
}

export async function pagesOf(store: Store, prefix: string, limit: number): Promise<StoreEntry[]> {
  const found: StoreEntry[] = []
  for (let after: string | undefined; ; after = found.at(-1)?.key) {
    if (found.length > 10_000) throw new Error('list() comes to no end: does it heed `after`?')
    const page = await listOf(store)(prefix, { after, limit })
    if (page.length > limit) throw new Error(`list() gave ${page.length} entries, where ${limit} were the limit`)
    found.push(...page)
    if (page.length < limit) return found
  }
}

export function listOf(store: Store): NonNullable<Store['list']> {
  if (store.list) return store.list.bind(store)
  throw new Error("the store has no list(): leave these cases out by { without: ['list'] }")
}

export function listenTo(store: Store, topic: string, listener: (words: string) => void): () => void {
  if (store.listen && store.tell) return store.listen(topic, listener)
  throw new Error("the store has not both of listen() and tell(): leave this out by { without: ['listen'] }")
}

export function equal(is: unknown, expected: unknown, what: string): void {
  if (is !== expected) throw new Error(`${what}: expected ${show(expected)}, got ${show(is)}`)
}

export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} letters)` : text
}
