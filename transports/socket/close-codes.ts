import type { CloseVerdict, WireAdapter } from './wire-adapter.ts'

/** What close codes mean to this application: reconnect, ask for another credential first, or fail for good. */
export type CloseCodes = Readonly<Record<number, CloseVerdict['action']>>

/** An adapter whose verdict on some close codes is the user's; the code of the failure stays the adapter's. */
export function withCloseCodes(adapter: WireAdapter, codes: CloseCodes | undefined): WireAdapter {
  if (!codes) return adapter
  return {
    ...adapter,
    classifyClose(end) {
      const verdict = adapter.classifyClose(end)
      const action = codes[end.code]
      if (!action || action === verdict.action) return verdict
      const code = action === 'refresh-auth' ? 'unauthenticated' : verdict.failure.code
      return { ...verdict, action, failure: { ...verdict.failure, code, isRetryable: action === 'retry' } }
    },
  }
}
