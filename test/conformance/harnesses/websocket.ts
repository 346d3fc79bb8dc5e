import { adapt, type Code, type } from 'polywire'
import { channel, request, websocketTransport } from 'polywire/websocket'
import { startWebSocketPeer } from '../peers/websocket-peer.ts'
import { type Harness, maxAnswerBytes } from '../support/harness.ts'

const message = type<{ text: string }>()
const read = request('echo', { input: message, output: message, idempotent: true })
const write = request('write', { input: message, output: message })
const feed = channel('feed', { receive: type<number>() })
const live = channel('live', { receive: type<number>(), recover: false })

/** By the code of an error frame, or by the code that the socket is closed with. */
const codes: readonly (readonly [name: string, code: Code, isRetryable?: true])[] = [
  ['canceled', 'canceled'],
  ['unknown', 'unknown'],
  ['invalid_argument', 'invalid_argument'],
  ['deadline_exceeded', 'deadline_exceeded'],
  ['not_found', 'not_found'],
  ['already_exists', 'already_exists'],
  ['permission_denied', 'permission_denied'],
  ['resource_exhausted', 'resource_exhausted', true],
  ['failed_precondition', 'failed_precondition'],
  ['aborted', 'aborted'],
  ['out_of_range', 'out_of_range'],
  ['unimplemented', 'unimplemented'],
  ['internal', 'internal'],
  ['unavailable', 'unavailable', true],
  ['data_loss', 'data_loss'],
  ['unauthenticated', 'unauthenticated'],
  ['close 1003', 'invalid_argument'],
  ['close 1007', 'invalid_argument'],
  ['close 1008', 'permission_denied'],
  ['close 1009', 'resource_exhausted'],
  ['close 1011', 'internal'],
  ['close 1012', 'unavailable', true],
  ['close 1013', 'unavailable', true],
  // It may have run, so that no newer credential may send it again unasked.
  ['close 3000', 'unavailable', true],
  ['close 3003', 'permission_denied'],
  ['close 3008', 'deadline_exceeded'],
  ['close 4401', 'unavailable', true],
  ['close 4403', 'permission_denied'],
]

export const websocket: Harness = {
  protocol: 'websocket',
  has: ['write', 'feed', 'live'],
  carriesOn: true,
  start: startWebSocketPeer,
  transport: (origin, options) =>
    websocketTransport({ ...options, url: `${origin.replace('http', 'ws')}/ws`, maxFrameBytes: maxAnswerBytes }),
  api: (client) => ({
    read: async (text, options) => (await client.call(read, { text }, options)).text,
    converted: (text, convert, options) => client.call(adapt(read, { output: convert }), { text }, options),
    write: async (text, options) => (await client.call(write, { text }, options)).text,
    feed: (options) => client.call(feed, {}, options),
    live: (options) => client.call(live, {}, options),
  }),
  refusals: codes.map(([name, code, isRetryable = false]) => ({
    name,
    code,
    isRetryable,
    sent: name.startsWith('close ') ? 'maybe' : 'yes',
  })),
  isMultiplexed: true,
  graceMs: 1000,
  unavailable: 'unavailable',
  garbled: { code: 'internal' },
  cannot: ['stall', 'cut'],
  muteScheme: 'http',
  hasTokenPerRequest: false,
}
