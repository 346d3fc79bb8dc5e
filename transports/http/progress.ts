import type { Call } from '../../src/core/call/call.ts'
import type { Failure, Phase, Sent } from '../../src/core/errors/failure.ts'
import { notify } from '../../src/core/guard.ts'
import type { HttpFault } from './contract.ts'

/** What the redirects have told that an exchange has followed so far. */
export interface Redirected {
  readonly hops: number
  /** Of the last redirect; undefined where fetch has followed it by itself. */
  readonly status: number | undefined
  /** Tells of a fault that it stands behind the redirect; none where fetch has followed it by itself, and sees no fault. */
  readonly tell?: (fault: HttpFault) => HttpFault
  /** A request that changes something was answered by 301, 302 or 303: it was carried out, and is never sent again. */
  readonly isMoved: boolean
  /** The hop is sent no credential of ours, since the origin was left on the way. */
  readonly isForeign: boolean
}

/** How far an exchange has come, over all its hops: the only source of `sent`. */
export interface Progress {
  readonly phase: Phase
  readonly sent: Sent
  readonly redirected?: Redirected | undefined
  /** fetch follows redirects by itself, and nothing is seen of them: a connection that fails need not be the first. */
  readonly isOpaque?: true
}

/** Nothing was written yet: the request waits for a connection. */
export const unsent: Progress = { phase: 'connect', sent: 'no' }
/** The connection stands, and the body is being written to it. */
export const uploading: Progress = { phase: 'send', sent: 'maybe' }
/** The whole request is written: anything may have happened. */
export const written: Progress = { phase: 'headers', sent: 'maybe' }
/** The head of the answer has come. */
export const answered: Progress = { phase: 'body', sent: 'yes' }
/** Handed to a fetch, which does not say how far it comes. */
export const handedOver: Progress = { phase: 'connect', sent: 'maybe' }
/** The same where fetch follows redirects by itself. */
export const handedOverToFollow: Progress = { ...handedOver, isOpaque: true }

/** A step of a hop; behind a redirect the request itself has been answered, whatever becomes of the hop. */
export function stepOf(step: Progress, redirected: Redirected | undefined): Progress {
  return redirected ? { phase: step.phase, sent: 'yes', redirected } : step
}

/** Methods that only read: what a redirect has answered may be asked again as a whole. */
const safe = /^(?:GET|HEAD|OPTIONS|QUERY)$/

/** A redirect that an exchange follows, added to those before it. */
export function redirectedBy(
  status: number | undefined,
  method: string,
  isForeign: boolean,
  before: Redirected | undefined,
): Redirected {
  const isChange = !safe.test(method)
  return {
    hops: (before?.hops ?? 0) + 1,
    status,
    // Of a redirect that fetch has followed, only that there was one is known.
    isMoved: before?.isMoved === true || (isChange && (status === undefined || status <= 303)),
    isForeign: before?.isForeign === true || isForeign,
  }
}

/**
 * A failure with what the redirects before it have told: whatever a later hop answers, it cannot say that the request
 * itself was not carried out.
 */
export function behindRedirects(failure: Failure, redirected: Redirected | undefined): Failure {
  if (!redirected) return failure
  return {
    ...failure,
    isUnexecuted: false,
    ...(redirected.isMoved && { isMoved: true }),
    ...(redirected.isForeign && { isForeignRefusal: true }),
  }
}

/** Tells the caller's listener in bytes as they move; what it throws must not break the exchange. */
export function reportProgress(
  call: Call,
  name: 'onUploadProgress' | 'onDownloadProgress',
  transferredBytes: number,
  totalBytes: number | undefined,
): void {
  const { telemetry } = call.scope.services
  const progress = totalBytes === undefined ? { transferredBytes } : { transferredBytes, totalBytes }
  notify(`${call.operation.name}: ${name}`, () => call.options[name]?.(progress), telemetry)
}
