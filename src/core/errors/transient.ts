import { isAnyCallError } from './error.ts'

/** What `fetch` throws where the network failed, as each platform words it: Chrome, Firefox, Safari, Node, Bun, workerd, React Native. */
const wordings = new Set([
  'network error',
  'NetworkError when attempting to fetch resource.',
  'The Internet connection appears to be offline.',
  'Network request failed',
  'fetch failed',
  'terminated',
  ' A network error occurred.',
  'Network connection lost',
])
/** Chrome and Safari may add the host's name in brackets; Deno goes on with the URL. */
const beginnings = /^(Failed to fetch|Load failed)( \(.*\))?$|^error sending request for url/
const codes =
  /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EAI_AGAIN|ENOTFOUND|ERR_NETWORK|UND_ERR_(SOCKET|\w+_TIMEOUT))$/

/**
 * Whether a TypeError is how a `fetch` says that the network failed; any other TypeError is a fault in code.
 *
 * Source of the list: is-network-error, which p-retry goes by. Safari's wording counts only without a stack, as Safari
 * throws it; Sentry adds one, and says so.
 */
export function isNetworkError(error: unknown): boolean {
  if (!(error instanceof Error) || error.name !== 'TypeError') return false
  const { message, stack } = error
  if (message.startsWith('Load failed') && stack !== undefined && !('__sentry_captured__' in error)) return false
  return wordings.has(message) || beginnings.test(message)
}

/** Whether what somebody else's code failed with may pass by itself: the network, a timeout, a retryable CallError. */
export function isTransient(cause: unknown): boolean {
  if (isAnyCallError(cause)) return cause.isRetryable || cause.code === 'deadline_exceeded'
  if (isNetworkError(cause)) return true
  const { name, code, cause: inner } = (cause ?? {}) as { name?: unknown; code?: unknown; cause?: unknown }
  if (name === 'TimeoutError' || (typeof code === 'string' && codes.test(code))) return true
  return inner instanceof Error && inner !== cause && isTransient(inner)
}
