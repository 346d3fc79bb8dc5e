import { CallError } from '../errors/error.ts'
import type { CallOptions } from './call-options.ts'
import type { PageCallables, PagerInfo } from './operation.ts'

/**
 * `pages()` and `items()`: each page is a call of its own, with an idempotency key of its own (a server that honours keys
 * would answer the first page again); a cursor that comes twice is an error, not a loop.
 */
export const pageCallables: PagerInfo['callables'] = (pager, info, fetchPage): PageCallables => {
  const origin = { operation: info }
  async function* pages(input: unknown, options?: CallOptions): AsyncGenerator<unknown> {
    const seen = new Set<string>()
    let next = input
    let own = options
    for (;;) {
      const page = await fetchPage(next, own)
      yield page
      const following = pager.nextInput(next, page, origin)
      if (!following) return
      if (seen.has(following.cursor)) {
        const message = 'the server gave the same page cursor twice: stopped instead of looping'
        throw new CallError({ code: 'internal', message, phase: 'body', sent: 'yes' }, origin)
      }
      seen.add(following.cursor)
      next = following.input
      if (own?.idempotencyKey !== undefined) own = { ...own, idempotencyKey: undefined }
    }
  }
  async function* items(input: unknown, options?: CallOptions): AsyncGenerator<unknown> {
    for await (const page of pages(input, options)) yield* pager.itemsOf(page, origin)
  }
  return { pages, items }
}
