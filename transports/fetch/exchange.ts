import { createResponder } from '#platform'
import type { Auth, Credential } from '../../src/core/call/auth.ts'
import type { Call } from '../../src/core/call/call.ts'
import { ownCredential } from '../../src/core/call/credential.ts'
import { withoutRemoved } from '../../src/core/call/header-map.ts'
import type { OperationInfo } from '../../src/core/call/operation.ts'
import type { Reply } from '../../src/core/call/reply.ts'
import type { Transport } from '../../src/core/call/transport.ts'
import type { HttpOptions } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { ReplayBody } from '../http/replay-body.ts'
import type { OpenRequest, Responder } from '../http/responder.ts'
import type { DeadlineWriter } from '../shared/deadline-header.ts'
import { toBodyError } from './errors.ts'
import type { FetchBinding } from './operation.ts'
import type { FetchInput } from './request.ts'
import { toAnswerError, toReply } from './response.ts'
import { watched } from './watch.ts'

const callIsOver = new Error('the call is over')

/** Sends what a face was called with; not to be had by `createClient`, since faces add it by themselves. */
export class FetchTransport implements Transport<'fetch'> {
  readonly protocol = 'fetch'
  readonly auth: Auth = authByOrigin
  readonly #responder: Responder
  readonly #deadlineWriter: DeadlineWriter | undefined

  constructor(options: Pick<HttpOptions, 'http' | 'dispatcher'>, deadlineWriter: DeadlineWriter | undefined) {
    this.#deadlineWriter = deadlineWriter
    this.#responder = createResponder(options)
  }

  async send(call: Call): Promise<Reply> {
    const input = call.input as FetchInput
    const { kept, body } = input
    if (kept) {
      kept.discard()
      // Whatever is still read away of it ends with the call.
      call.scope.root.onEnd(() => kept.abort(callIsOver))
      input.kept = undefined
    }
    const answer = await this.#responder
      .respond(requestOf(call, input, this.#deadlineWriter), call.scope, call)
      .catch((error: unknown) => {
        throw toCallError(error, call)
      })
    // What was not sent of a stream by then is not wanted any more.
    if (body instanceof ReplayBody) answer.finished?.then(() => body.cancel()).catch(() => body.cancel())
    if (answer.status < 400) return toReply(watched(answer, call))
    input.kept = answer
    throw toAnswerError(call, answer)
  }

  close(): Promise<void> {
    return this.#responder.close()
  }
}

function requestOf(call: Call, input: FetchInput, deadlineWriter: DeadlineWriter | undefined): OpenRequest {
  // A header of the caller's own crosses no origin either.
  const credential = ownOf(call) ?? call.credential
  return {
    method: input.method,
    url: credential?.query ? withQuery(input.url, credential.query) : input.url,
    headers: withoutRemoved({
      ...call.headers,
      ...credential?.headers,
      ...(call.isDeadlineSent && deadlineWriter && Object.fromEntries([deadlineWriter(call.remainingMs)])),
    }),
    credential,
    body: input.body,
    toBodyError,
    init: input.init,
    signal: input.signal as AbortSignal | undefined,
  }
}

function withQuery(href: string, more: Readonly<Record<string, string>>): string {
  const url = new URL(href)
  for (const [name, value] of Object.entries(more)) url.searchParams.append(name, value)
  return url.href
}

const bindingOf = ({ operation }: Pick<Call, 'operation'>): FetchBinding => operation.binding as FetchBinding
const ownOf = (call: Call): Credential | undefined => ownCredential(call, bindingOf(call).auth?.header)

/** Each request carries the credential of its own origin, and that of no other. */
const authByOrigin: Auth = {
  name: 'of the origin',
  identity: (call) => bindingOf(call as { operation: OperationInfo } & typeof call).auth?.identity?.(call) as string,
  // A header of the caller's own wins, and is not renewed.
  credential: (call) => (ownOf(call) ? undefined : bindingOf(call).auth?.credential(call)),
  refresh: async (rejected, call, error) => bindingOf(call).auth?.refresh?.(rejected, call, error),
}
