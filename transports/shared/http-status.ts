import type { Code } from '../../src/core/errors/code.ts'

/** What a status says of a call. */
export interface StatusRow {
  readonly code: Code
  /** What to do about it. */
  readonly hint: string
  readonly isRetryable?: true
  readonly isThrottled?: true
  readonly isUnexecuted?: true
}

const again = 'transient: call again later'
const gateway: StatusRow = { code: 'unavailable', hint: again, isRetryable: true }
const route: StatusRow = { code: 'unimplemented', hint: 'check method, path and media type' }
const precondition: StatusRow = { code: 'failed_precondition', hint: 'the state of the resource forbids it' }
const tooLarge: StatusRow = { code: 'resource_exhausted', hint: 'send less' }

/** HTTP status → code, and whether another attempt may help. */
const rows: Readonly<Record<number, StatusRow>> = {
  400: { code: 'invalid_argument', hint: 'see violations and serverMessage' },
  401: { code: 'unauthenticated', hint: 'check the credential' },
  403: { code: 'permission_denied', hint: 'the credential may not do this' },
  404: { code: 'not_found', hint: 'no such resource, or the caller may not see it' },
  405: route,
  408: { code: 'deadline_exceeded', hint: again, isRetryable: true },
  409: { code: 'aborted', hint: 'in conflict with the state of the resource: read it again, then decide' },
  410: { code: 'not_found', hint: 'it is gone' },
  412: { code: 'failed_precondition', hint: 'it changed meanwhile: read it again, then decide' },
  413: tooLarge,
  414: { code: 'invalid_argument', hint: 'the query is too long' },
  415: route,
  416: { code: 'out_of_range', hint: 'no such range' },
  422: { code: 'invalid_argument', hint: 'see violations and serverMessage' },
  425: { code: 'unavailable', hint: again, isRetryable: true, isUnexecuted: true },
  428: { code: 'failed_precondition', hint: 'send if-match with the etag last read' },
  429: {
    code: 'resource_exhausted',
    hint: 'call less often',
    isRetryable: true,
    isThrottled: true,
    isUnexecuted: true,
  },
  431: tooLarge,
  451: { code: 'permission_denied', hint: 'forbidden by law' },
  499: { code: 'canceled', hint: 'a proxy saw the call end' },
  500: { code: 'internal', hint: 'a fault of the server', isRetryable: true },
  501: route,
  502: gateway,
  503: gateway,
  504: gateway,
  505: { code: 'unimplemented', hint: 'the server speaks another version of HTTP' },
  507: { code: 'resource_exhausted', hint: 'the server has no space left' },
  511: { code: 'permission_denied', hint: 'the network wants a login (a captive portal)' },
  // Cloudflare: its origin is down, does not answer in time, cannot be reached.
  521: gateway,
  522: gateway,
  523: gateway,
  524: gateway,
  // Overloaded, by convention.
  529: { code: 'unavailable', hint: 'call less often', isRetryable: true, isThrottled: true },
}

/** The row of a status; a 4xx or 5xx that is not known says little, and no retry helps. */
export function statusRow(status: number): StatusRow {
  const row = rows[status]
  if (row) return row
  return status >= 400 && status < 500 ? precondition : { code: 'unknown', hint: 'an unexpected status' }
}
