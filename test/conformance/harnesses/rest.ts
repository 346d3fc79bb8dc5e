import { adapt, type } from 'polywire'
import { get, post, restTransport } from 'polywire/rest'
import { startRestPeer } from '../peers/rest-peer.ts'
import { type Harness, maxAnswerBytes, type Refusal } from '../support/harness.ts'

const message = type<{ text: string }>()
const read = get('/echo', { query: message, output: message })
const write = post('/echo', { body: message, output: message })

const statuses: readonly (readonly [status: number, code: Refusal['code'], isRetryable?: true])[] = [
  [400, 'invalid_argument'],
  [401, 'unauthenticated'],
  [403, 'permission_denied'],
  [404, 'not_found'],
  [405, 'unimplemented'],
  [408, 'deadline_exceeded', true],
  [409, 'aborted'],
  [410, 'not_found'],
  [412, 'failed_precondition'],
  [413, 'resource_exhausted'],
  [415, 'unimplemented'],
  [416, 'out_of_range'],
  [422, 'invalid_argument'],
  [425, 'unavailable', true],
  [428, 'failed_precondition'],
  [429, 'resource_exhausted', true],
  [431, 'resource_exhausted'],
  [499, 'canceled'],
  [500, 'internal', true],
  [501, 'unimplemented'],
  [502, 'unavailable', true],
  [503, 'unavailable', true],
  [504, 'unavailable', true],
  [520, 'unavailable', true],
  [599, 'unknown'],
]

export const rest: Harness = {
  protocol: 'rest',
  has: ['write'],
  start: startRestPeer,
  transport: (origin, options) =>
    restTransport({ ...options, baseUrl: origin, maxBodyBytes: maxAnswerBytes, deadlineHeader: 'grpc-timeout' }),
  api: (client) => ({
    read: async (text, options) => (await client.call(read, { text }, options)).text,
    converted: (text, convert, options) => client.call(adapt(read, { output: convert }), { text }, options),
    write: async (text, options) => (await client.call(write, { text }, options)).text,
  }),
  refusals: statuses.map(([status, code, isRetryable = false]) => ({
    name: String(status),
    code,
    isRetryable,
    status,
  })),
  unavailable: '503',
  garbled: { code: 'internal' },
}

/** The same over the platform's fetch. */
export const restOverFetch: Harness = {
  ...rest,
  isFetch: true,
  waitingPhase: 'connect',
  transport: (origin, options) =>
    restTransport({ ...options, baseUrl: origin, maxBodyBytes: maxAnswerBytes, http: 'fetch' }),
}
