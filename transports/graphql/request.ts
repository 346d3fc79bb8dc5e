import type { Call } from '../../src/core/call/call.ts'
import type { CallHeaders } from '../../src/core/call/header-map.ts'
import { withoutRemoved } from '../../src/core/call/header-map.ts'
import { type IdempotencyOption, idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import type { ErrorOrigin } from '../../src/core/errors/error.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import type { DeadlineWriter } from '../shared/deadline-header.ts'
import { stringifyJson } from '../shared/json.ts'
import type { GraphQLBinding } from './operation.ts'

/**
 * What a request says beside its document, as JSON with a comma in front; empty where there is nothing.
 *
 * @throws {CallError} `invalid_argument` when JSON cannot carry the variables, naming the path; what they hold is shown
 * nowhere.
 */
export function requestRest(call: Call, profile: IdempotencyOption | undefined): string {
  const { extensions } = call.operation.binding as GraphQLBinding
  const keyed = extensionOfKey(call, call.operation.idempotency ?? profile)
  const all = keyed ? { ...extensions, ...keyed } : extensions
  return member('variables', call.input, call) + member('extensions', all, call)
}

function member(name: string, value: unknown, origin: ErrorOrigin): string {
  return value === undefined ? '' : `,"${name}":${stringifyJson(value, `the ${name}`, origin)}`
}

/** Where a profile puts the key into the body: GraphQL allows additions among the extensions alone. */
function extensionOfKey(
  { idempotencyKey }: Call,
  profile: IdempotencyOption | undefined,
): Record<string, string> | undefined {
  if (!idempotencyKey || !profile) return undefined
  const { place, name } = idempotencyProfiles[profile]
  return place === 'body' ? { [name]: idempotencyKey } : undefined
}

/** What decides over the headers of a request. */
export interface GraphQLHeaderOptions {
  /** Sent with every request. */
  readonly headers: CallHeaders
  readonly deadlineWriter: DeadlineWriter | undefined
  readonly origin: string
  /** What the server allows a page of another origin. */
  readonly crossOriginHeaders: readonly string[] | undefined
}

/** GraphQL over HTTP asks for its own media type first; what answers JSON only is read all the same. */
const protocolHeaders = {
  accept: 'application/graphql-response+json, application/json;q=0.9',
  'content-type': 'application/json',
}

/** Makes the headers of one attempt: the protocol's, the transport's, the call's, the credential, the remaining time. */
export class GraphQLHeaders {
  readonly #options: GraphQLHeaderOptions
  readonly #base: CallHeaders
  readonly #filter: CrossOriginFilter | undefined

  /** @throws {CallError} `invalid_argument` for a content type of the user's. */
  constructor(options: GraphQLHeaderOptions, origin: ErrorOrigin) {
    refuseContentType(options.headers, origin)
    this.#options = options
    this.#base = { ...protocolHeaders, ...options.headers }
    const { crossOriginHeaders } = options
    const always = Object.keys(this.#base)
    this.#filter = crossOriginFilter({
      factory: 'graphqlTransport',
      origin: options.origin,
      always,
      crossOriginHeaders,
    })
  }

  make(call: Call): Record<string, string> {
    refuseContentType(call.headers, call)
    const { deadlineWriter } = this.#options
    const headers = withoutRemoved({ ...this.#base, ...call.headers, ...call.credential?.headers })
    if (deadlineWriter && call.isDeadlineSent) {
      const [name, value] = deadlineWriter(call.remainingMs)
      headers[name] = value
    }
    return this.#filter ? this.#filter(call, headers) : headers
  }
}

function refuseContentType(headers: CallHeaders, origin: ErrorOrigin): void {
  if ('content-type' in headers)
    throw refusal("the header 'content-type' is the protocol's own (application/json): leave it out", origin)
}
