import type { Call, CallHeaders } from '../../src/core/call/call.ts'
import { readHeaders } from '../../src/core/call/headers-init.ts'
import type { DeadlineWriter } from '../shared/deadline-header.ts'

/** What decides over the headers of a request. */
export interface GraphQLHeaderOptions {
  /** Sent with every request. */
  readonly headers: CallHeaders
  readonly deadlineWriter: DeadlineWriter | undefined
  /** A page of another origin calls: most headers force a preflight. */
  readonly isCrossOrigin: boolean
  /** What the server allows then, in lower case. */
  readonly crossOriginHeaders: readonly string[]
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

  constructor(options: GraphQLHeaderOptions) {
    this.#options = options
    this.#base = { ...protocolHeaders, ...options.headers }
  }

  make(call: Call): CallHeaders {
    const { isCrossOrigin, deadlineWriter } = this.#options
    const own = isCrossOrigin ? this.#safelisted(call) : call.headers
    const headers: Record<string, string> = { ...this.#base, ...own, ...call.credential?.headers }
    if (deadlineWriter && call.isDeadlineSent) {
      const [name, value] = deadlineWriter(call.remainingMs)
      headers[name] = value
    }
    return headers
  }

  /** What interceptors added is left out, where it would force a preflight that the server need not allow. */
  #safelisted(call: Call): CallHeaders {
    const named = readHeaders(call.options.headers, call)
    const isKept = ([name, value]: [string, string]) =>
      Object.hasOwn(named, name) ||
      this.#options.crossOriginHeaders.includes(name) ||
      (call.isKeyHonoured && value.includes(call.idempotencyKey as string))
    return Object.fromEntries(Object.entries(call.headers).filter(isKept))
  }
}
