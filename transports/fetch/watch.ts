import type { Call } from '../../src/core/call/call.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { toReadable } from '../http/bytes.ts'
import { type Answer, makeResponse, unread } from '../http/responder.ts'
import { toBodyError } from './errors.ts'
import type { FetchBinding } from './operation.ts'

type Step = IteratorResult<Uint8Array, undefined>

/**
 * The same answer with a body that holds the call until it is over, where a deadline must reach it that the platform does
 * not know of, or silence is to end it: no byte for too long while somebody waits for one.
 */
export function watched(answer: Answer, call: Call): Answer {
  const { idleTimeoutMs } = call.operation.binding as FetchBinding
  const { headers, body } = answer.response
  const isBounded = idleTimeoutMs !== undefined || (call.options.deadline !== undefined && !answer.finished)
  if (!isBounded || !body) return answer
  const watch = new BodyWatch(answer, body.getReader(), call, idleTimeoutMs)
  const leave = () => watch.leave()
  const stream = toReadable(watch, leave)
  unread.register(stream, leave)
  const made = makeResponse(stream, headers, answer.response)
  const { finished } = watch
  const abort = (reason: unknown) => watch.fail(reason)
  return { ...answer, finished, response: made, discard: leave, abort }
}

class BodyWatch implements AsyncIterator<Uint8Array, undefined> {
  readonly finished: Promise<void>
  readonly #answer: Answer
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #call: Call
  readonly #idleMs: number | undefined
  #finish: () => void = () => {}
  #end: { readonly reason: unknown } | undefined
  readonly #offAbort: () => void

  constructor(answer: Answer, reader: ReadableStreamDefaultReader<Uint8Array>, call: Call, idleMs: number | undefined) {
    this.#answer = answer
    this.#reader = reader
    this.#call = call
    this.#idleMs = idleMs
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
    this.#offAbort = call.scope.onAbort((reason) => this.fail(reason))
  }

  async next(): Promise<Step> {
    const { clock, deadlines } = this.#call.scope.services
    const idleMs = this.#idleMs
    const armed =
      idleMs === undefined ? undefined : deadlines.add(clock.now() + idleMs, () => this.fail(this.#silence(idleMs)))
    try {
      const step = await this.#reader.read()
      if (step.done) this.#over(undefined)
      return step as Step
    } catch (error) {
      const reason = this.#end ? this.#end.reason : error
      this.#over(reason)
      throw toBodyError(reason)
    } finally {
      if (armed) deadlines.remove(armed)
    }
  }

  fail(reason: unknown): void {
    this.#over(reason)
    this.#answer.abort(reason)
  }

  leave(): Promise<void> {
    this.#over(undefined)
    return this.#reader.cancel()
  }

  #over(reason: unknown): void {
    this.#end ??= { reason }
    this.#offAbort()
    this.#finish()
  }

  #silence(idleMs: number): CallError {
    const message = `no byte of the body within idleTimeoutMs (${idleMs} ms); the server had begun to answer`
    return new CallError({ code: 'unavailable', message, phase: 'body', sent: 'yes', isRetryable: true }, this.#call)
  }
}
