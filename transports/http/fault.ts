import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { CallError, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { isNetworkError } from '../../src/core/errors/transient.ts'
import { isObject } from '../../src/core/tag.ts'
import type { HttpFault } from './contract.ts'
import { behindRedirects, type Progress, unsent } from './progress.ts'

/** A send after `close`. */
export const transportClosed: HttpFault = {
  ...unsent,
  what: 'the transport is closed',
  code: 'failed_precondition',
}

/** The call had ended before anything was started for it. */
export const callOver: HttpFault = { ...transportClosed, what: 'the call is over' }

/** What is known of an error: words, and where it says so itself, how far the exchange had come. */
type Known = Pick<HttpFault, 'what' | 'hint' | 'code'> & Partial<Pick<Progress, 'phase' | 'sent'>>

/** How a platform's errors read; what was written or answered is so, whatever the error is called. */
export type Explain = (error: unknown, progress: Progress) => Known

/** What an error says of itself. */
export type Explained = Known & {
  /** By its protocol, the server has not begun to work on what was written. */
  readonly isUnprocessed?: true
}

/** What went wrong, from the error of any engine. Pure. */
export function classify(error: unknown, progress: Progress, explain: Explain = explainByPhase): HttpFault {
  return faultAt(progress, { ...progress, ...explain(error, progress), cause: error })
}

/** Holds what errors say of themselves against how far the exchange had come; in browsers they say nothing. */
export const weighed =
  (explain: (error: unknown, progress: Progress) => Explained): Explain =>
  (error, progress) => {
    const { isUnprocessed = false, ...known } = read(explain, error, progress)
    const isBehindConnect = progress.phase !== 'connect' && progress.sent !== 'no' && !isUnprocessed
    const isEarly = known.phase === 'connect' || known.phase === 'resolve'
    const phase = known.phase && !(isEarly && isBehindConnect) ? known.phase : progress.phase
    return { ...known, phase, sent: sentOf(known.sent, isUnprocessed, progress) }
  }

/** What an error says of itself; one that cannot be read says nothing. */
function read(
  explain: (error: unknown, progress: Progress) => Explained,
  error: unknown,
  progress: Progress,
): Explained {
  try {
    return explain(error, progress)
  } catch {
    return { what: 'an error that cannot be read', code: 'internal' }
  }
}

/** A fault with what is known of the redirects before it, which its words tell. */
export function faultAt({ redirected }: Progress, fault: HttpFault): HttpFault {
  return redirected?.tell?.(fault) ?? fault
}

/** Nothing that an error says makes it safer than what was written. */
function sentOf(sent: Known['sent'], isUnprocessed: boolean, progress: Progress): Progress['sent'] {
  if (progress.sent !== 'maybe') return progress.sent
  if (sent === 'no' && !isUnprocessed && (progress.phase !== 'connect' || progress.isOpaque)) return 'maybe'
  return sent ?? 'maybe'
}

/** What names a mistake in code, rather than something that happened. */
const mistakes = /^(?:Type|Reference|Range|Syntax)Error$/
/** Whether `error` is a mistake in code that is not ours, rather than a network that failed. */
export function isMistake(error: unknown): boolean {
  try {
    const { name } = (error ?? {}) as Partial<Error>
    return mistakes.test(textOf(name)) && !isNetworkError(error) && textOf(rootOf(error)?.code) === ''
  } catch {
    // No network makes an error that cannot be read.
    return true
  }
}

/** Browsers say nothing of a network on purpose. */
export const explainByPhase: Explain = (_error, { phase }) =>
  phase === 'body'
    ? { what: 'connection lost' }
    : { what: 'network error', hint: 'The server is down, or forbidden to this page (CORS, CSP): see the console' }

/** What Bun, Deno and workerd tell in words. */
export const readText = (error: unknown, progress: Progress): Explained => {
  const root = rootOf<{ readonly code?: unknown; readonly message?: unknown }>(error)
  const text = textOf(root?.code) + textOf(root?.message)
  if (/refused/i.test(text)) return { what: 'connection refused', phase: 'connect', sent: 'no' }
  if (/dns|ENOTFOUND|EAI_AGAIN/i.test(text)) return { what: 'host name not found', phase: 'resolve', sent: 'no' }
  return explainByPhase(error, progress)
}

/** Bun, Deno and workerd. */
export const explainByText: Explain = /* @__PURE__ */ weighed(readText)

/** HTTP/2's RST_STREAM with CANCEL, as any engine tells it. */
export function isPeerCancel(error: unknown): boolean {
  let each = error
  for (let depth = 0; depth < 4 && each instanceof Error; depth++) {
    if (/\b(?:NGHTTP2_)?CANCEL\b/.test(each.message)) return true
    each = each.cause
  }
  return false
}

/** What really happened: fetch wraps it in `cause`, once or twice. */
export function rootOf<Root extends { readonly code?: unknown }>(error: unknown): Root | undefined {
  let root = error as (Root & { readonly cause?: unknown }) | undefined
  for (let depth = 0; depth < 4 && textOf(root?.code) === ''; depth++) {
    const cause = root?.cause
    if (!isObject(cause)) break
    root = cause as Root
  }
  return root
}

/** A text, or none. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

const sentence = {
  no: 'nothing was sent',
  maybe: 'the server may have acted on it',
  yes: 'the server had begun to answer',
} as const

/**
 * A fault as the Failure of a call: `unavailable`, or `data_loss` where a body broke off, both transient; what the
 * request itself is at fault for is not.
 *
 * @param isStream - a stream whose connection drops has lost no data that resuming could not bring: `unavailable`.
 */
export function faultToFailure(fault: HttpFault, isStream = false): Failure {
  const { phase, sent, what, hint, code, reason, redirected, cause } = fault
  const message = `${what}; ${sentence[sent]}${hint ? `. ${hint}` : ''}`
  const transient = phase === 'body' && !isStream ? 'data_loss' : 'unavailable'
  const isRetryable = code === undefined
  return behindRedirects({ code: code ?? transient, message, phase, sent, isRetryable, reason, cause }, redirected)
}

/** What `requestBuffered`, `openBody` and `liteFetch` reject with. */
export class HttpFaultError extends Error {
  override readonly name = 'HttpFaultError'
  readonly fault: HttpFault

  constructor(fault: HttpFault) {
    super(fault.what, { cause: fault.cause })
    this.fault = fault
  }
}

/** A CallError where `error` is, or was caused by, a fault of the wire; anything else, such as an abort's reason, as it is. */
export function toCallError(error: unknown, origin: ErrorOrigin, isStream = false): unknown {
  let each = error
  for (let depth = 0; depth < 4 && isObject(each); depth++) {
    // Whoever made it has looked at what caused it.
    if (isAnyCallError(each)) return each
    if (each instanceof HttpFaultError) return new CallError(faultToFailure(each.fault, isStream), origin)
    each = (each as { cause?: unknown }).cause
  }
  return error
}
