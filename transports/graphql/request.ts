import type { Call } from '../../src/core/call/call.ts'
import { type CallHeaders, type HeadersInit, readHeaders, withoutRemoved } from '../../src/core/call/header-map.ts'
import { bodyProfileOf, type IdempotencyOption } from '../../src/core/call/idempotency.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { crossOriginFilter } from '../shared/cross-origin.ts'
import { addDeadline, type DeadlineHeader, deadlineWriter } from '../shared/deadline-header.ts'
import { stringifyJson } from '../shared/json.ts'
import type { GraphQLBinding } from './operation.ts'

/**
 * What a request says beside its document, as JSON with a comma in front; empty where there is nothing.
 *
 * @throws {CallError} `invalid_argument` when JSON cannot carry the variables, naming the path; what they hold is shown
 * nowhere.
 */
export function requestRest(call: Call, profile: IdempotencyOption | undefined): string {
  return member('variables', call.input, call) + member('extensions', extensionsOf(call, profile), call)
}

/** The operation's own, and the idempotency key where that goes there. */
export function extensionsOf(call: Call, profile: IdempotencyOption | undefined): object | undefined {
  const { extensions } = call.operation.binding as GraphQLBinding
  // GraphQL allows additions among the extensions alone.
  const keyed = bodyProfileOf(call, profile)
  return keyed ? { ...extensions, [keyed.name]: call.idempotencyKey } : extensions
}

function member(name: string, value: unknown, origin: ErrorOrigin): string {
  return value === undefined ? '' : `,"${name}":${stringifyJson(value, `the ${name}`, origin)}`
}

/** GraphQL over HTTP asks for its own media type first; what answers JSON only is read all the same. */
const protocolHeaders = {
  accept: 'application/graphql-response+json, application/json;q=0.9',
  'content-type': 'application/json',
}

/** What decides over the headers of a request. */
interface HeaderOptions {
  readonly headers?: HeadersInit | undefined
  readonly deadlineHeader?: DeadlineHeader | undefined
  readonly crossOriginHeaders?: readonly string[] | undefined
}

/**
 * Makes what makes the headers of one attempt: the protocol's, the transport's, the call's, the credential, the
 * remaining time.
 *
 * @throws {CallError} `invalid_argument` for a content type of the user's, at once or for the call that names one.
 */
export function headersMaker(options: HeaderOptions, origin: string): (call: Call) => Record<string, string> {
  const factory = 'graphqlTransport'
  const place = { operation: { name: `${factory}()`, protocol: 'graphql', via: 'graphql' } }
  const base = { ...protocolHeaders, ...refuseContentType(readHeaders(options.headers, place), place) }
  const writeDeadline = deadlineWriter(options.deadlineHeader)
  const { crossOriginHeaders } = options
  const filter = crossOriginFilter({ factory, origin, always: Object.keys(base), crossOriginHeaders })
  return (call) => {
    const headers = withoutRemoved({
      ...base,
      ...refuseContentType(call.headers, call),
      ...call.credential?.headers,
    })
    addDeadline(headers, call, writeDeadline)
    return filter ? filter(call, headers) : headers
  }
}

function refuseContentType(headers: CallHeaders, origin: ErrorOrigin): CallHeaders {
  if (!('content-type' in headers)) return headers
  throw refusal("the header 'content-type' is the protocol's own: leave it out", origin)
}
