import type { IncomingMessage } from 'node:http'
import { create, toBinary } from '@bufbuild/protobuf'
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import { ParcelSchema, ParcelService } from '../gen/demo_pb.ts'
import type { Chaos } from './chaos.ts'
import type { Feed } from './feed.ts'
import type { Hops } from './hops.ts'
import { parcelOf } from './parcels.ts'
import { cut, listen, type Running, remainingMs, sleep } from './wire.ts'

const requestKey = createContextKey<IncomingMessage | undefined>(undefined)

/** gRPC-Web by connect-node; it is also the second of the three services behind a quote. */
export async function startGrpcWeb(chaos: Chaos, feed: Feed, hops: Hops): Promise<Running> {
  const listener = connectNodeAdapter({
    routes: (router) => routes(router, chaos, feed, hops),
    contextValues: (request) => createContextValues().set(requestKey, request as IncomingMessage),
  })
  return listen('connect-node', (request, response) => {
    if (chaos.take('grpc-web', 'cut')) cut(response, 'application/grpc-web+proto', wholeAnswer)
    else listener(request, response)
  })
}

/** A parcel as it would go over the wire: flags and length in five bytes, then the message. */
const wholeAnswer = (() => {
  const message = toBinary(ParcelSchema, create(ParcelSchema, parcelOf(9)))
  return Uint8Array.of(0, 0, 0, 0, message.length, ...message)
})()

function routes(router: ConnectRouter, chaos: Chaos, feed: Feed, hops: Hops): void {
  const enter = ({ requestHeader, values }: HandlerContext) => {
    if (!chaos.accepts(requestHeader.get('authorization')))
      throw new ConnectError('get another token', Code.Unauthenticated)
    return values.get(requestKey) as IncomingMessage
  }
  router.service(ParcelService, {
    async getParcel({ id }, context) {
      enter(context)
      const fault = chaos.take('grpc-web')
      if (fault?.kind !== 'busy') return parcelOf(id)
      const pushback = { 'grpc-retry-pushback-ms': String(fault.retryAfterS * 1000) }
      throw new ConnectError('overloaded', Code.Unavailable, pushback)
    },
    async *trackParcel({ after }, context) {
      const request = enter(context)
      const fault = chaos.take('grpc-web')
      let left = fault?.kind === 'kill' ? fault.after : Number.POSITIVE_INFINITY
      for await (const number of numbers(feed, after, context.signal)) {
        if (left-- <= 0) continue
        yield { number }
        // A reset may overtake bytes that were not read yet, so it comes a little later.
        if (left === 0) setTimeout(() => request.socket.resetAndDestroy(), 5)
      }
    },
    async quoteShipping({ id }, context) {
      const mine = Math.round(remainingMs(enter(context)) ?? 0)
      await sleep(hops.workMs)
      const { cents, remainingMs: later } = await hops.toC(id, {
        timeoutMs: mine - hops.workMs,
        signal: context.signal,
      })
      return { cents, remainingMs: [...later, mine] }
    },
  })
}

/** The feed as an async iterable that ends with the signal. */
async function* numbers(feed: Feed, after: number, signal: AbortSignal): AsyncGenerator<number> {
  const queue: number[] = []
  let wake = () => {}
  const leave = feed.listen(after, (number) => {
    queue.push(number)
    wake()
  })
  signal.addEventListener('abort', () => wake())
  try {
    while (!signal.aborted) {
      yield* queue.splice(0)
      await new Promise<void>((resolve) => {
        wake = resolve
        if (queue.length > 0 || signal.aborted) resolve()
      })
    }
  } finally {
    leave()
  }
}
