import type { CallOptions } from './call-options.ts'
import { CallError } from './error.ts'
import type { OperationInfo, PagerInfo } from './operation.ts'

/** Page after page, each a call of its own; a server that gives one cursor twice ends it with an error, not a loop. */
export async function* pages(
  info: OperationInfo,
  fetchPage: (input: unknown, options?: CallOptions) => Promise<unknown>,
  input: unknown,
  options?: CallOptions,
): AsyncGenerator<unknown> {
  const pager = info.paginate as PagerInfo
  const seen = new Set<string>()
  for (let next: unknown = input; ; ) {
    const page = await fetchPage(next, options)
    yield page
    const following = pager.nextInput(next, page)
    if (!following) return
    if (seen.has(following.cursor)) {
      throw new CallError(
        {
          code: 'internal',
          message: 'the server gave the same page cursor twice: stopped instead of looping',
          phase: 'body',
          sent: 'yes',
        },
        { operation: info },
      )
    }
    seen.add(following.cursor)
    next = following.input
  }
}

/** What the pages hold, one by one. */
export async function* items(
  info: OperationInfo,
  fetchPage: (input: unknown, options?: CallOptions) => Promise<unknown>,
  input: unknown,
  options?: CallOptions,
): AsyncGenerator<unknown> {
  const pager = info.paginate as PagerInfo
  for await (const page of pages(info, fetchPage, input, options)) yield* pager.itemsOf(page)
}
