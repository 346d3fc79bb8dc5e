import { isAnyCallError } from './error.ts'

/** What platforms and their polyfills say of a network that failed: the same list as that of is-network-error. */
const wordings =
  /^(?:network error|NetworkError when attempting to fetch resource\.|The Internet connection appears to be offline\.|Network request failed|fetch failed|terminated| A network error occurred\.|Network connection lost\.?|Failed to fetch(?: \(.*\))?|error sending request for url.*)$/s
/** Safari says no more than this, and gives it no stack; Sentry adds one, and says so. */
const safari = /^Load failed(?: \(.*\))?$/
const codes =
  /^(E(CONN\w+|PIPE|TIMEDOUT|\w+UNREACH|NETDOWN|AI_AGAIN|NOTFOUND)|ERR_NETWORK|UND_ERR_(SOCKET|\w+_TIMEOUT))$/

/** Whether a TypeError is how a `fetch` says that the network failed; any other TypeError is a fault in code. */
export function isNetworkError(error: unknown): boolean {
  const { name, message, stack } = (error ?? {}) as Partial<Error>
  if (name !== 'TypeError' || typeof message !== 'string') return false
  if (safari.test(message)) return stack === undefined || '__sentry_captured__' in (error as object)
  return wordings.test(message)
}

/** Whether what somebody else's code failed with may pass by itself: the network, a timeout, a retryable CallError. */
export function isTransient(cause: unknown): boolean {
  if (isAnyCallError(cause)) return cause.isRetryable || cause.code === 'deadline_exceeded'
  if (isNetworkError(cause)) return true
  const { name, code, cause: inner } = (cause ?? {}) as { name?: unknown; code?: unknown; cause?: unknown }
  if (name === 'TimeoutError' || (typeof code === 'string' && codes.test(code))) return true
  return inner instanceof Error && inner !== cause && isTransient(inner)
}
