import type { Call } from '../../src/core/call/call.ts'
import { HeaderMap } from '../../src/core/call/header-map.ts'
import type { Failure } from '../../src/core/errors/failure.ts'
import type { HttpHead } from '../http/contract.ts'
import { onStream } from '../http/event-stream/stream-exchange.ts'
import { graphqlFailure } from './errors.ts'
import { GrowingResult, MisplacedPart } from './growing-result.ts'
import { type GraphQLBinding, messageOf } from './operation.ts'

/** Makes messages of the parts of one result, whatever brings them. */
export class GrowingReader {
  readonly #call: Call
  readonly #growing = new GrowingResult()
  #isBegun?: boolean

  constructor(call: Call) {
    this.#call = call
  }

  /** The last part has not come. */
  get hasNext(): boolean {
    return this.#growing.hasNext
  }

  /** The last part has come, and said so. */
  get isOver(): boolean {
    return this.#growing.isOver
  }

  /**
   * @param head - of the HTTP response; none on a socket.
   * @returns undefined for what is no part.
   */
  read(part: unknown, head?: HttpHead): { readonly message: unknown } | { readonly failure: Failure } | undefined {
    try {
      if (!this.#growing.add(part)) return undefined
    } catch (cause) {
      if (!(cause instanceof MisplacedPart)) throw cause
      return { failure: onStream('data_loss', `${cause.message}: see what the server sent`, cause) }
    }
    const { document, policy } = this.#call.operation.binding as GraphQLBinding
    const { result, hasNext } = this.#growing
    const { status = 200, headers = HeaderMap.empty } = head ?? {}
    const wallNow = this.#call.scope.services.clock.wallNow()
    const failure = result.errors && graphqlFailure({ result, document, policy, status, headers, wallNow })
    if (failure) return { failure: this.#isBegun ? { ...failure, phase: 'stream' } : failure }
    this.#isBegun = true
    const message = messageOf(result, policy)
    return { message: policy === 'all' ? { ...(message as object), hasNext } : message }
  }
}

/** What came until here is not all of it. */
export const cutShort = (): Failure => onStream('unavailable', 'the response ended before its last part')
