import type { ServerStream } from 'polywire'
import {
  type ClientOptions,
  createClient,
  defineOperation,
  defineStream,
  type Operation,
  type OperationInfo,
  type Unary,
} from 'polywire'
import { type MemoryHandler, memoryTransport } from 'polywire/testing'
import { manualClock } from './manual-clock.ts'

/** A unary operation of the in-memory protocol. */
export function unaryOperation(
  changes: Partial<OperationInfo> = {},
): Operation<'memory', Unary<{ n?: number }, unknown>> {
  return defineOperation({
    name: 'GET /thing',
    protocol: 'memory',
    via: 'memory',
    kind: 'unary',
    isIdempotent: true,
    binding: undefined,
    ...changes,
  })
}

/** A server stream of the in-memory protocol. */
export function streamOperation(
  changes: Partial<OperationInfo> = {},
): Operation<'memory', ServerStream<{ n?: number }, unknown>> {
  return defineStream({
    name: 'watch thing',
    protocol: 'memory',
    via: 'memory',
    kind: 'server_stream',
    isIdempotent: true,
    binding: undefined,
    ...changes,
  })
}

/** A client over the in-memory transport with a manual clock. */
export function memoryClient(
  handle: MemoryHandler,
  options: Partial<Omit<ClientOptions<never>, 'transports' | 'clock'>> = {},
  random?: () => number,
) {
  const clock = manualClock(random)
  const client = createClient({ transports: { memory: memoryTransport({ handle }) }, clock, ...options })
  return { client, clock }
}
