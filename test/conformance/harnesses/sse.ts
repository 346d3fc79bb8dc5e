import { adapt, type CallOptions, type Client, type Stream, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { startSsePeer } from '../peers/sse-peer.ts'
import { type Harness, maxAnswerBytes, type Refusal } from '../support/harness.ts'

const message = type<{ text: string }>()
const read = events('/echo', { echo: message }, { query: message, resume: false })
const write = events('/echo', { echo: message }, { method: 'POST', body: message })
const numbers = { number: type<number>() }
const feed = adapt(events('/feed', numbers), { output: ({ data }) => data })
const live = adapt(events('/live', numbers, { resume: false }), { output: ({ data }) => data })

const statuses: readonly (readonly [status: number, code: Refusal['code'], isRetryable?: true])[] = [
  [400, 'invalid_argument'],
  [401, 'unauthenticated'],
  [403, 'permission_denied'],
  [404, 'not_found'],
  [405, 'unimplemented'],
  [409, 'aborted'],
  [410, 'not_found'],
  [412, 'failed_precondition'],
  [429, 'resource_exhausted', true],
  [500, 'internal', true],
  [501, 'unimplemented'],
  [502, 'unavailable', true],
  [503, 'unavailable', true],
  [504, 'unavailable', true],
]

/** The first message of a stream. */
async function first(stream: Stream<{ data: { text: string } }>): Promise<string> {
  for await (const { data } of stream) return data.text
  throw new Error('the stream ended without a message')
}

export const sse: Harness = {
  protocol: 'sse',
  has: ['write', 'feed', 'live'],
  isStreamOnly: true,
  start: startSsePeer,
  transport: (origin, options) =>
    sseTransport({
      ...(options as object),
      baseUrl: origin,
      maxEventBytes: maxAnswerBytes,
      deadlineHeader: 'grpc-timeout',
    }),
  api: (client: Client<any>) => ({
    read: (text: string, options?: CallOptions) => first(client.call(read, { text }, options)),
    write: (text: string, options?: CallOptions) => first(client.call(write, { text }, options)),
    feed: (options?: CallOptions) => client.call(feed, {}, options),
    live: (options?: CallOptions) => client.call(live, {}, options),
  }),
  refusals: [
    ...statuses.map(([status, code, isRetryable = false]) => ({ name: String(status), code, isRetryable, status })),
    { name: 'content-type', code: 'failed_precondition' },
  ],
  unavailable: '503',
  garbled: { code: 'data_loss' },
}
