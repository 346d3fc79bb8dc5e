import { adapt, type Code } from 'polywire'
import { type Framing, type GrpcWebTransportOptions, grpcWebTransport, rpc } from 'polywire/grpc-web'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { startGrpcWebPeer } from '../peers/grpc-web-peer.ts'
import { type Harness, maxAnswerBytes } from '../support/harness.ts'

const { putItem, addItem, watchItems } = ShopService.method
const echo = { input: (name: string) => ({ name }), output: ({ name }: { name: string }) => name }
const read = adapt(rpc(putItem), echo)
const write = adapt(rpc(addItem), echo)
const number = { output: ({ sequence }: { sequence: bigint }) => Number(sequence) }
const resume = {
  cursor: ({ sequence }: { sequence: bigint }) => String(sequence),
  apply: (input: object, cursor: string) => ({ ...input, after: BigInt(cursor) }),
}
const feed = adapt(rpc(watchItems, { resume }), number)
const live = adapt(rpc(watchItems), number)

/** By the names of Connect's enum; the number is the status. */
const statuses: readonly (readonly [name: string, status: number, code: Code, isRetryable?: true])[] = [
  ['Canceled', 1, 'canceled'],
  ['Unknown', 2, 'unknown'],
  ['InvalidArgument', 3, 'invalid_argument'],
  ['DeadlineExceeded', 4, 'deadline_exceeded'],
  ['NotFound', 5, 'not_found'],
  ['AlreadyExists', 6, 'already_exists'],
  ['PermissionDenied', 7, 'permission_denied'],
  ['ResourceExhausted', 8, 'resource_exhausted', true],
  ['FailedPrecondition', 9, 'failed_precondition'],
  ['Aborted', 10, 'aborted'],
  ['OutOfRange', 11, 'out_of_range'],
  ['Unimplemented', 12, 'unimplemented'],
  ['Internal', 13, 'internal'],
  ['Unavailable', 14, 'unavailable', true],
  ['DataLoss', 15, 'data_loss'],
  ['Unauthenticated', 16, 'unauthenticated'],
  ['HTTP 400', 400, 'internal'],
  ['HTTP 401', 401, 'unauthenticated'],
  ['HTTP 403', 403, 'permission_denied'],
  ['HTTP 404', 404, 'unimplemented'],
  ['HTTP 429', 429, 'unavailable', true],
  ['HTTP 502', 502, 'unavailable', true],
  ['HTTP 503', 503, 'unavailable', true],
  ['HTTP 504', 504, 'unavailable', true],
  ['HTTP 500', 500, 'unknown'],
]

/** Framing by Polywire itself, or by connect-web. */
export const grpcWeb = (framing: Framing, more: Partial<GrpcWebTransportOptions> = {}): Harness => ({
  protocol: 'grpc-web',
  has: ['write', 'feed', 'live'],
  start: startGrpcWebPeer,
  transport: (origin, options) =>
    grpcWebTransport({ ...options, baseUrl: origin, maxMessageBytes: maxAnswerBytes, framing, ...more }),
  api: (client) => ({
    read: (text, options) => client.call(read, text, options),
    converted: (text, convert, options) => client.call(adapt(read, { output: convert }), text, options),
    write: (text, options) => client.call(write, text, options),
    feed: (options) => client.call(feed, {}, options),
    live: (options) => client.call(live, {}, options),
  }),
  refusals: statuses.map(([name, status, code, isRetryable = false]) => ({ name, status, code, isRetryable })),
  unavailable: 'Unavailable',
  garbled: { code: 'internal' },
})
