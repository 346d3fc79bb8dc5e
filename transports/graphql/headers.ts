import type { Call, CallHeaders } from '../../src/core/call/call.ts'
import { type CrossOriginFilter, crossOriginFilter } from '../shared/cross-origin.ts'
import type { DeadlineWriter } from '../shared/deadline-header.ts'

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

  constructor(options: GraphQLHeaderOptions) {
    this.#options = options
    this.#base = { ...protocolHeaders, ...options.headers }
    const { origin, crossOriginHeaders } = options
    const always = Object.keys(this.#base)
    this.#filter = crossOriginFilter({ factory: 'graphqlTransport', origin, always, crossOriginHeaders })
  }

  make(call: Call): CallHeaders {
    const { deadlineWriter } = this.#options
    const headers: Record<string, string> = { ...this.#base, ...call.headers, ...call.credential?.headers }
    if (deadlineWriter && call.isDeadlineSent) {
      const [name, value] = deadlineWriter(call.remainingMs)
      headers[name] = value
    }
    return this.#filter ? this.#filter(call, headers) : headers
  }
}
