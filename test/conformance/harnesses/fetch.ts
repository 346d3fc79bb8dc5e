import { type CallOptions, isCallError } from 'polywire'
import { createFetch, deadlineHeader, type OriginPolicy } from 'polywire/fetch'
import { restTransport } from 'polywire/rest'
import { type Harness, maxAnswerBytes } from '../support/harness.ts'
import { rest } from './rest.ts'

/**
 * A fetch over a client: REST's server, asked by URL. What is no success is thrown as the Response that it is; what a
 * fetch rejects with, as the CallError that is its cause.
 */
export const fetchFace: Harness = {
  ...rest,
  isFace: true,
  transport: (origin) => restTransport({ baseUrl: origin, maxBodyBytes: maxAnswerBytes }),
  api: (client, origin = '', options = {}) => {
    const fetch = createFetch(client, {
      origins: { [origin]: options as OriginPolicy },
      deadlineHeader: deadlineHeader('grpc-timeout'),
    })
    const send = async (path: string, init: RequestInit, options: CallOptions = {}): Promise<string> => {
      const { signal, ...rest } = options as CallOptions & { readonly signal?: AbortSignal }
      try {
        const response = await fetch.with(rest)(`${origin}${path}`, { ...init, ...(signal && { signal }) })
        const body = await response.text()
        if (!response.ok) throw response
        return (JSON.parse(body) as { text: string }).text
      } catch (error) {
        throw isCallError((error as Error).cause) ? (error as Error).cause : error
      }
    }
    const headers = { 'content-type': 'application/json' }
    return {
      read: (text, options) => send(`/echo?text=${encodeURIComponent(text)}`, {}, options),
      write: (text, options) => send('/echo', { method: 'POST', headers, body: JSON.stringify({ text }) }, options),
    }
  },
}
