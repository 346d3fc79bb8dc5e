import { HeaderMap } from '../../../src/core/call/header-map.ts'
import { requestBuffered } from '../../http/collect.ts'
import { toCallError } from '../../http/fault.ts'
import type { OpenReply } from '../operation.ts'
import { isReply, readReply, responseError } from '../response.ts'

/** An answer with what a message alone does not tell. */
export class Answer {
  /** Where it came from, after redirects. */
  declare readonly url: string
  /** Where it was asked for. */
  declare readonly requestUrl: string
  declare readonly status: number
  declare readonly headers: HeaderMap
  declare readonly body: unknown
  /** By 303, or by a redirect of which a browser tells no more. */
  declare readonly redirect: 303 | 'unknown' | undefined

  constructor(facts: Pick<Answer, 'url' | 'requestUrl' | 'status' | 'headers' | 'body' | 'redirect'>) {
    Object.assign(this, facts)
  }
}

/** Opens a reply whose message is the whole {@link Answer}. */
export const openAnswer: OpenReply = async (engine, request, call, limits) => {
  const response = await requestBuffered(engine, request, call.scope, limits).catch((error: unknown) => {
    throw toCallError(error, call)
  })
  const { status, redirected } = response
  if (!isReply(status, request)) return responseError(call, response)
  const reply = readReply(call, request.url, response, undefined)
  const by = redirected && (redirected.status ?? 'unknown')
  const message = new Answer({
    url: response.url || request.url,
    requestUrl: request.url,
    status,
    headers: reply.headers,
    body: reply.message,
    redirect: by === 303 || by === 'unknown' ? by : undefined,
  })
  return { ...reply, message }
}

/** The answer in a reply; a transport without a wire gives messages alone. */
export function answerOf(reply: {
  readonly message: unknown
  readonly status?: number
  readonly headers?: HeaderMap
}): Answer {
  const { message, status = 200, headers = HeaderMap.empty } = reply
  if (message instanceof Answer) return message
  return new Answer({ url: '', requestUrl: '', status, headers, body: message, redirect: undefined })
}
