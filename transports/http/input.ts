import type { EncodedBody } from './encode-body.ts'

/** What a REST call is made of, once the flat form has been taken apart: `call.input` on the way to the transport. */
export interface RestParts {
  readonly params: Readonly<Record<string, unknown>>
  readonly query: object
  readonly headers: Readonly<Record<string, unknown>> | undefined
  readonly body: unknown
}

/** The parts of one call. The body is encoded once, so that every attempt sends the same bytes whatever becomes of the object. */
export class RestInput implements RestParts {
  readonly params: RestParts['params']
  readonly query: object
  readonly headers: RestParts['headers']
  readonly body: unknown
  /** Private: a copy by spread, with another body, must not take it along. */
  #encoded: EncodedBody | undefined

  constructor(params: RestParts['params'], query: object, headers: RestParts['headers'], body: unknown) {
    this.params = params
    this.query = query
    this.headers = headers
    this.body = body
  }

  encodeOnce(encode: () => EncodedBody): EncodedBody {
    this.#encoded ??= encode()
    return this.#encoded
  }
}
