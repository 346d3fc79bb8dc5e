import { CallError } from '../errors/error.ts'
import type { CallOptions } from './call-options.ts'
import { readHeaders } from './header-map.ts'
import { idempotencyProfiles } from './idempotency.ts'
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
      own = withoutKey(options)
    }
  }
  async function* items(input: unknown, options?: CallOptions): AsyncGenerator<unknown> {
    for await (const page of pages(input, options)) yield* pager.itemsOf(page, origin)
  }
  return { pages, items }
}

/** The caller's key is the first page's: another page is another request, and a server would answer it with the first. */
function withoutKey(options: CallOptions | undefined): CallOptions | undefined {
  if (!options) return undefined
  const headers = { ...readHeaders(options.headers) }
  for (const { place, name } of Object.values(idempotencyProfiles)) if (place === 'header') delete headers[name]
  return { ...options, headers, idempotencyKey: undefined }
}
