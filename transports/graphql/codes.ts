import type { Code } from '../../src/core/errors/code.ts'
import { statusRow } from '../shared/http-status.ts'
import { type GraphQLErrorItem, recordOf } from './response.ts'

/** What a code says of a call. */
export interface Meaning {
  readonly code: Code
  readonly isRetryable?: boolean
  readonly isThrottled?: boolean
}

/** Beside its own name in upper case; in letters: R, another attempt may help; T, the server asks for less. */
type Row = readonly [code: Code, names?: string, flags?: string]

/** Codes are conventions (Apollo, Hasura, Shopify, GitHub, NestJS), compared in upper case. */
const rows: readonly Row[] = [
  [
    'invalid_argument',
    'BAD_USER_INPUT GRAPHQL_PARSE_FAILED GRAPHQL_VALIDATION_FAILED BAD_REQUEST OPERATION_RESOLUTION_FAILURE VALIDATION_FAILED PARSE_FAILED PERSISTED_QUERY_MISMATCH',
  ],
  ['deadline_exceeded', 'OPERATION_TIMEOUT TIMEOUT'],
  ['not_found', 'PERSISTED_QUERY_NOT_FOUND'],
  ['already_exists'],
  ['aborted', 'CONFLICT'],
  ['permission_denied', 'FORBIDDEN ACCESS_DENIED'],
  ['unauthenticated', 'UNAUTHORIZED INVALID_JWT'],
  ['resource_exhausted', 'THROTTLED RATE_LIMITED RATE_LIMIT_EXCEEDED TOO_MANY_REQUESTS', 'RT'],
  ['resource_exhausted', 'PAYLOAD_TOO_LARGE MAX_COST_EXCEEDED'],
  ['failed_precondition', 'PRECONDITION_FAILED'],
  ['unimplemented', 'PERSISTED_QUERY_NOT_SUPPORTED NOT_IMPLEMENTED'],
  ['internal', 'INTERNAL_SERVER_ERROR INTERNAL_ERROR UNEXPECTED'],
  ['unavailable', 'SERVICE_UNAVAILABLE', 'R'],
]

function meaningOfCode(text: string): Meaning | undefined {
  const asked = text.toUpperCase().replaceAll('-', '_')
  const row = rows.find(([code, names]) => code.toUpperCase() === asked || names?.split(' ').includes(asked))
  if (!row) return undefined
  const [code, , flags = ''] = row
  return { code, ...(flags && { isRetryable: true }), ...(flags === 'RT' && { isThrottled: true }) }
}

/**
 * What an HTTP status means where no code says more: of the response, or where a server puts one among the extensions.
 *
 * A 500 with a GraphQL body is a resolver's fault that another attempt meets again; a gateway's has no such body.
 */
export function meaningOfStatus(status: number): Meaning | undefined {
  if (status === 500) return { code: 'internal' }
  return status >= 400 && status <= 599 ? statusRow(status) : undefined
}

/** What one error means, by its code or by an HTTP status among its extensions; undefined where it says nothing known. */
export function meaningOf(error: GraphQLErrorItem): Meaning | undefined {
  const code = codeOf(error)
  const known = code === undefined ? undefined : (meaningOfCode(code) ?? meaningOfStatus(Number(code)))
  if (known) return known
  const { status } = recordOf(recordOf(error.extensions).http)
  return typeof status === 'number' ? meaningOfStatus(status) : undefined
}

/** The code that the server gave, known or not. */
export function serverCode({ extensions, type }: GraphQLErrorItem): unknown {
  const { code = type } = recordOf(extensions)
  return code
}

function codeOf(error: GraphQLErrorItem): string | undefined {
  const code = serverCode(error)
  return typeof code === 'string' || typeof code === 'number' ? String(code) : undefined
}

/** The server's own code, only where it looks like one: it stands in logs. */
export function reasonOf(error: GraphQLErrorItem): string | undefined {
  const code = codeOf(error)
  return code !== undefined && /^\w[\w-]{0,63}$/.test(code) ? code : undefined
}
