import { receiving, type Streaming } from '../../src/core/stream/streaming.ts'
import { sendFramedStream } from './framed.ts'
import type { Duplexing, GrpcStreams } from './operation.ts'

/** Sends by what the transport brings; where it brings nothing, a send is refused as the opening is. */
const bidi = (): Streaming => ({
  handle(plan, scope, prepare) {
    const { duplexing } = plan.route.transport as Duplexing
    const handle = (duplexing ?? receiving).handle(plan, scope, prepare)
    return duplexing
      ? handle
      : Object.assign(handle, { send: async () => void (await handle.opened), end: async () => {} })
  },
  resume: receiving.resume,
})

/** What `rpc` and `service` bring for the methods that stream; a function, so that a program without them has none of it. */
export const grpcStreams = (): GrpcStreams => ({
  server_stream: receiving,
  bidi_stream: bidi(),
  sendFramed: sendFramedStream,
})
