import type { Code } from '../../src/core/errors/code.ts'
import { type CallError, failureOf, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import { tagOf } from '../../src/core/tag.ts'
import { stringifyJson } from '../shared/json.ts'

/** The status that the client reads each code from. */
export const statuses: Readonly<Record<Code, number>> = {
  canceled: 499,
  unknown: 555,
  invalid_argument: 400,
  deadline_exceeded: 408,
  not_found: 404,
  already_exists: 409,
  permission_denied: 403,
  resource_exhausted: 429,
  failed_precondition: 412,
  aborted: 409,
  out_of_range: 416,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  data_loss: 500,
  unauthenticated: 401,
}

/** gRPC's numbers are the order of the names. */
const numbers =
  'canceled unknown invalid_argument deadline_exceeded not_found already_exists permission_denied resource_exhausted failed_precondition aborted out_of_range unimplemented internal unavailable data_loss unauthenticated'.split(
    ' ',
  )
/** The number of a code in gRPC. */
export const grpcCode = (code: Code): number => numbers.indexOf(code) + 1

/** Whether it is an answer as it stands. */
export const isResponse = (value: unknown): value is Response => tagOf(value) === 'Response'

/** Whether it is what stands for a broken connection: `HttpResponse.error()`. */
export const isNetworkError = (value: unknown): boolean => isResponse(value) && value.type === 'error'

/** What a thrown CallError was made of, with its words as they were; undefined for any other value. */
export function thrownFailure(error: unknown): Failure | undefined {
  // A code that is none has no answer: it is a mistake like any other.
  if (!isAnyCallError(error) || statuses[error.code] === undefined) return undefined
  // One by one: an error of another copy of the package, as that of the tests is, hides some of them from a spread.
  const { code, status, reason, retryAfterMs, requestId, violations, details, body, headers, trailers } =
    failureOf(error)
  const message = wordsOf(error)
  return { code, message, status, reason, retryAfterMs, requestId, violations, details, body, headers, trailers }
}

function wordsOf(error: CallError): string {
  const { serverMessage, message } = failureOf(error)
  return serverMessage ?? message.replace(/^\[\w+\] polywire: |; see violations$/g, '')
}

/** The server's own code: the error's, else the canonical one in upper case. */
export const reasonOf = ({ reason, code }: Failure): string => reason ?? code.toUpperCase()

/** Headers that an error brings, its wait among them. */
export function headersOf({ headers, retryAfterMs, requestId }: Failure, own?: Headers): Headers {
  const all = new Headers(own)
  if (headers) for (const [name, value] of headers) all.append(name, value)
  if (retryAfterMs !== undefined) all.set('retry-after-ms', String(retryAfterMs))
  if (requestId !== undefined) all.set('x-request-id', requestId)
  return all
}

/** An error as a server over HTTP answers it: its body, else an envelope that the client reads the same error from. */
export function errorResponse(failure: Failure, own: Headers): Response {
  const { code, status, body, message, details, violations } = failure
  const isStatus = Number.isInteger(status) && (status as number) >= 400 && (status as number) <= 599
  const envelope = { error: { code: reasonOf(failure), message, details, errors: violations } }
  const headers = headersOf(failure, own)
  const isText = typeof body === 'string'
  if (!headers.has('content-type')) headers.set('content-type', isText ? 'text/plain' : 'application/json')
  return new Response(isText ? body : JSON.stringify(body ?? envelope), {
    status: isStatus ? (status as number) : statuses[code],
    headers,
  })
}

/** Tells the tester of a handler that has failed by itself; the client is told as a server would tell it. */
export function tell(name: string, error: unknown): void {
  console.error(`[polywire/msw] the handler of ${name} has thrown:`, error)
}

/** What a handler gives as JSON. @throws {TypeError} where JSON would lose some of it: the handler's fault, and no answer. */
export function jsonOf(value: unknown): string {
  try {
    return stringifyJson(value, 'what the handler gives', undefined)
  } catch (cause) {
    throw new TypeError(wordsOf(cause as CallError).replace('; nothing was sent', ''), { cause })
  }
}
