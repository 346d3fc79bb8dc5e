import { Chaos, type Protocol } from './chaos.ts'
import { Feed } from './feed.ts'
import { startGraphQL } from './graphql.ts'
import { startGrpcWeb } from './grpc-web.ts'
import { type Hops, makeHops } from './hops.ts'
import { startRest } from './rest.ts'
import { startSse } from './sse.ts'
import { startWebSocket } from './websocket.ts'
import type { Running } from './wire.ts'

/** The five servers of the demo, and what can be done to them. */
export interface Servers {
  readonly chaos: Chaos
  readonly hops: Hops
  readonly feeds: Readonly<Record<'grpc-web' | 'websocket' | 'sse', Feed>>
  readonly running: Readonly<Record<Protocol, Running>>
  close(): Promise<void>
}

/** Starts them all, each on a free port of loopback. */
export async function startServers(options: { readonly isForgetful: boolean }): Promise<Servers> {
  const chaos = new Chaos(options)
  const feeds = { 'grpc-web': new Feed(options), websocket: new Feed(options), sse: new Feed(options) }
  const hops = makeHops(chaos, { b: () => running['grpc-web'].origin, c: () => running.graphql.origin })
  const running = {
    rest: await startRest(chaos, hops),
    graphql: await startGraphQL(chaos, hops),
    'grpc-web': await startGrpcWeb(chaos, feeds['grpc-web'], hops),
    websocket: await startWebSocket(chaos, feeds.websocket),
    sse: await startSse(chaos, feeds.sse),
  }
  return {
    chaos,
    hops,
    feeds,
    running,
    async close() {
      for (const feed of Object.values(feeds)) feed.stop()
      await hops.close()
      await Promise.all(Object.values(running).map((server) => server.close()))
    },
  }
}
