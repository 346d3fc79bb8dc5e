import { type CallError, failureOf, isAnyCallError } from '../core/errors/error.ts'
import type { PendingReason } from './types.ts'

/** What a failed send says of its entry. */
export type Verdict =
  /** The server has refused it for good. */
  | { readonly kind: 'failed' }
  /** The server has not carried it out. */
  | { readonly kind: 'unsent'; readonly waitMs: number; readonly isCounted: boolean }
  /** Nobody knows. */
  | { readonly kind: 'unclear'; readonly waitMs: number }
  | { readonly kind: 'pending'; readonly reason: PendingReason }

/** What is known beside the error. */
export interface SendFacts {
  /** Requests that this run has handed to the transport. */
  readonly dispatches: number
  /** It may have run before. */
  readonly ranBefore: boolean
  /** Somebody waits for the outcome, and hears the refusal. */
  readonly isAwaited: boolean
}

const aboutKeys = /idempot/i
const inFlight = /in.?(use|flight|progress)|concurrent|processing|still|already being/i
/** Answers that say nothing of this very request; by any other a server refuses it. */
const noRefusals = ['canceled', 'unknown', 'deadline_exceeded', 'internal', 'unavailable', 'data_loss']

/**
 * What becomes of an entry whose run has failed. Where in doubt it is unclear: what may have run is sent again under its
 * key or asked about, never given up.
 */
export function verdictOf(error: unknown, facts: SendFacts): Verdict {
  if (!isAnyCallError(error)) return facts.dispatches ? unclear(0) : { kind: 'unsent', waitMs: 0, isCounted: true }
  const waitMs = error.retryAfterMs ?? 0
  const { isMoved, hasRun, isUnexecuted } = failureOf(error)
  // Whatever came after that: who is asked by another hop, or by a field, refuses that one alone.
  // And 407 and 511 are of the network on the way: the server has not been asked.
  if (isMoved || hasRun || error.status === 407 || error.status === 511) return unclear(waitMs)
  const { ranBefore, isAwaited } = facts
  const mayHaveRun = ranBefore || hasUnclearFailure(error)
  const isLogin = error.code === 'unauthenticated' && !error.isRetryable
  const isForbidden = error.code === 'permission_denied'
  // A refusal of who asks says nothing of what may have run; and who waits to log in wants it sent, not lost.
  if (isLogin) return !mayHaveRun && isAwaited ? { kind: 'failed' } : { kind: 'pending', reason: 'login' }
  if (isForbidden) return mayHaveRun ? { kind: 'pending', reason: 'forbidden' } : { kind: 'failed' }
  if (!facts.dispatches || error.sent === 'no') return unsent(error, waitMs, facts)
  if (isAboutKey(error)) {
    if (error.isRetryable || inFlight.test(wordsOf(error))) return unclear(waitMs)
    return { kind: 'pending', reason: 'key_conflict' }
  }
  if (error.isRetryable)
    return isUnexecuted && !hasUnclearFailure(error) ? { kind: 'unsent', waitMs, isCounted: false } : unclear(waitMs)
  // A conflict may be with the first request, which still runs.
  if (error.code === 'aborted' && mayHaveRun) return unclear(waitMs)
  return isRefusal(error) ? { kind: 'failed' } : unclear(waitMs)
}

/** Nothing has left. What no other time would mend is told, or waits for another release. */
function unsent({ code, isRetryable }: CallError, waitMs: number, { ranBefore, isAwaited }: SendFacts): Verdict {
  const isWrong = !isRetryable && ['invalid_argument', 'failed_precondition', 'unimplemented'].includes(code)
  if (isWrong) return isAwaited && !ranBefore ? { kind: 'failed' } : { kind: 'pending', reason: 'version' }
  return { kind: 'unsent', waitMs, isCounted: ['internal', 'unknown'].includes(code) }
}

function unclear(waitMs: number): Verdict {
  return { kind: 'unclear', waitMs }
}

function hasUnclearFailure({ failures }: CallError): boolean {
  return failures.some(({ sent, status }) => sent !== 'no' && status !== 429)
}

/** An HTTP status above 499 is no refusal of the request, whatever it is called; nor is an answer too large to be read here. */
function isRefusal({ code, status = 0 }: CallError): boolean {
  return (
    !noRefusals.includes(code) &&
    (status > 0 || code !== 'resource_exhausted') &&
    (status < 500 || status > 599 || status === 501)
  )
}

function isAboutKey(error: CallError): boolean {
  return (error.status ?? 0) < 500 && aboutKeys.test(wordsOf(error))
}

/** What the server says of why, wherever it says it. */
function wordsOf({ reason, serverMessage, problem }: CallError): string {
  return [reason, serverMessage, problem?.type, problem?.title].filter((word) => typeof word === 'string').join(' ')
}
