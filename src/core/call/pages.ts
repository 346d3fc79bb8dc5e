import { CallError } from '../errors/error.ts'
import type { CallOptions } from './call-options.ts'
import type { PageCallables, PagerInfo } from './operation.ts'

/** `pages()` and `items()`: each page is a call of its own; a cursor that comes twice is an error, not a loop. */
export const pageCallables: PagerInfo['callables'] = (pager, info, fetchPage): PageCallables => {
  async function* pages(input: unknown, options?: CallOptions): AsyncGenerator<unknown> {
    const seen = new Set<string>()
    for (let next = input; ; ) {
      const page = await fetchPage(next, options)
      yield page
      const following = pager.nextInput(next, page)
      if (!following) return
      if (seen.has(following.cursor)) {
        const message = 'the server gave the same page cursor twice: stopped instead of looping'
        throw new CallError({ code: 'internal', message, phase: 'body', sent: 'yes' }, { operation: info })
      }
      seen.add(following.cursor)
      next = following.input
    }
  }
  async function* items(input: unknown, options?: CallOptions): AsyncGenerator<unknown> {
    for await (const page of pages(input, options)) yield* pager.itemsOf(page)
  }
  return { pages, items }
}
