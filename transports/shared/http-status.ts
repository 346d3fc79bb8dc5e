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

/** Code, hint, and in letters: R, another attempt may help; T, the server asks for less; U, it did not run the call. */
type Row = readonly [code: Code, hint: string, flags?: string]

const again = 'transient: call again later'
const input: Row = ['invalid_argument', 'see violations and serverMessage']
const route: Row = ['unimplemented', 'check method, path and media type']
const tooLarge: Row = ['resource_exhausted', 'send less']
const gateway: Row = ['unavailable', again, 'R']
const certificate: Row = ['unavailable', 'the gateway and the server behind it agree on no TLS']

const rows: Readonly<Record<number, Row>> = {
  400: input,
  401: ['unauthenticated', 'check the credential'],
  403: ['permission_denied', 'the credential may not do this'],
  404: ['not_found', 'no such resource, or the caller may not see it'],
  405: route,
  408: ['deadline_exceeded', again, 'R'],
  409: ['aborted', 'in conflict with the state of the resource: read it again, then decide'],
  410: ['not_found', 'it is gone'],
  412: ['failed_precondition', 'it changed meanwhile: read it again, then decide'],
  413: tooLarge,
  414: ['invalid_argument', 'the query is too long'],
  415: route,
  416: ['out_of_range', 'no such range'],
  // The engine has asked once more by then, over a connection of its own.
  421: ['unavailable', 'the server behind this connection does not serve this host: check baseUrl and proxies', 'U'],
  422: input,
  425: ['unavailable', again, 'RU'],
  428: ['failed_precondition', 'send if-match with the etag last read'],
  429: ['resource_exhausted', 'call less often', 'RTU'],
  431: tooLarge,
  451: ['permission_denied', 'forbidden by law'],
  499: ['canceled', 'a proxy saw the call end'],
  500: ['internal', 'a fault of the server', 'R'],
  501: route,
  502: gateway,
  503: gateway,
  504: gateway,
  505: ['unimplemented', 'the server speaks another version of HTTP'],
  507: ['resource_exhausted', 'the server has no space left'],
  511: ['permission_denied', 'the network wants a login (a captive portal)'],
  // Gateways whose origin is down, answers badly or not in time, or cannot be reached.
  520: gateway,
  521: gateway,
  522: gateway,
  523: gateway,
  524: gateway,
  525: certificate,
  526: certificate,
  527: gateway,
  // Overloaded, by convention.
  529: ['unavailable', 'call less often', 'RT'],
  530: gateway,
  598: gateway,
}

/** The row of a status; a 4xx or 5xx that is not known says little, and no retry helps. */
export function statusRow(status: number): StatusRow {
  const isCaller = status >= 400 && status < 500
  const [code, hint, flags = ''] =
    rows[status] ??
    (isCaller ? ['failed_precondition', 'the state of the resource forbids it'] : ['unknown', 'an unexpected status'])
  return {
    code,
    hint,
    ...(flags.includes('R') && { isRetryable: true }),
    ...(flags.includes('T') && { isThrottled: true }),
    ...(flags.includes('U') && { isUnexecuted: true }),
  }
}
