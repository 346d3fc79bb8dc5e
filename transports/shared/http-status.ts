import type { Code } from '../../src/core/errors/code.ts'

/** What a status says of a call. */
export interface StatusRow {
  readonly code: Code
  /** What to do about it. */
  readonly hint: string
  readonly isRetryable?: boolean
  readonly isThrottled?: boolean
  readonly isUnexecuted?: boolean
}

/** Statuses of one meaning; in letters: R, another attempt may help; T, the server asks for less; U, it did not run the call. */
type Row = readonly [statuses: string, code: Code, hint: string, flags?: string]

const again = 'transient: call again later'
const rows: readonly Row[] = [
  ['304', 'internal', 'no condition was sent'],
  ['400 422', 'invalid_argument', 'it refused the input'],
  ['401', 'unauthenticated', 'check the credential'],
  ['403', 'permission_denied', 'the credential may not do this'],
  ['404', 'not_found', 'no such resource, or it may not be seen'],
  ['405 415 501 505', 'unimplemented', 'check method, path, media type'],
  ['408', 'deadline_exceeded', again, 'R'],
  ['409', 'aborted', 'in conflict: read it again, then decide'],
  ['410', 'not_found', 'it is gone'],
  ['412', 'failed_precondition', 'it changed meanwhile: read it again, then decide'],
  ['413 431', 'resource_exhausted', 'send less'],
  ['414', 'invalid_argument', 'the URL is too long'],
  ['416', 'out_of_range', 'no such range'],
  // The engine has asked once more by then, over a connection of its own.
  ['421', 'unavailable', 'this server does not serve this host: check baseUrl and proxies', 'U'],
  ['425', 'unavailable', again, 'RU'],
  ['428', 'failed_precondition', 'send if-match with the etag last read'],
  ['429', 'resource_exhausted', 'call less often', 'RTU'],
  ['451', 'permission_denied', 'forbidden by law'],
  ['499', 'canceled', 'the call ended'],
  ['500', 'internal', 'a fault of the server', 'R'],
  // The last seven: of gateways whose origin is down, answers badly or not in time, or cannot be reached.
  ['502 503 504 520 521 522 523 524 527 530 598', 'unavailable', again, 'R'],
  ['507', 'resource_exhausted', 'no space left'],
  ['511', 'permission_denied', 'the network wants a login'],
  ['525 526', 'unavailable', 'a gateway whose TLS fails'],
  // Overloaded, by convention.
  ['529', 'unavailable', 'call less often', 'RT'],
]

/** The row of a status; a 4xx or 5xx that is not known says little, and no retry helps. */
export function statusRow(status: number): StatusRow {
  const isOfCaller = status >= 400 && status < 500
  const unknown: Row = isOfCaller
    ? ['', 'failed_precondition', 'its state forbids it']
    : ['', 'unknown', 'an unexpected status']
  const [, code, hint, flags = ''] = rows.find(([statuses]) => statuses.split(' ').includes(`${status}`)) ?? unknown
  return {
    code,
    hint,
    isRetryable: flags.includes('R'),
    isThrottled: flags.includes('T'),
    isUnexecuted: flags.includes('U'),
  }
}
