import { type Api, createClient } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { graphqlTransport } from 'polywire/graphql'
import { grpcWebTransport } from 'polywire/grpc-web'
import { restTransport } from 'polywire/rest'
import { sseTransport } from 'polywire/sse'
import { websocketTransport } from 'polywire/websocket'
import { contract } from './contract.ts'
import type { Protocol } from './servers/chaos.ts'
import type { Servers } from './servers/index.ts'
import type { Parcel } from './servers/parcels.ts'
import type { Recorder } from './terminal/recorder.ts'

/** The one client of the demo. */
export interface Demo {
  readonly api: Api<typeof contract>
  /** The same question to each protocol: only SSE, which has no answers but streams, needs a line more. */
  readonly parcel: Readonly<Record<Protocol, (id: number) => Promise<Parcel>>>
  close(): Promise<void>
}

/** Five transports, one token, everything else by default. */
export function makeDemo({ running }: Servers, recorder: Recorder): Demo {
  const session = { token: 'token-1' }
  const { rest, graphql, 'grpc-web': grpc, websocket, sse } = running
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: rest.origin, deadlineHeader: 'grpc-timeout' }),
      graphql: graphqlTransport({ url: `${graphql.origin}/graphql` }),
      'grpc-web': grpcWebTransport({ baseUrl: grpc.origin }),
      websocket: websocketTransport({ url: `${websocket.origin.replace('http', 'ws')}/ws` }),
      sse: sseTransport({ baseUrl: sse.origin }),
      login: restTransport({ baseUrl: rest.origin, auth: false }),
    },
    auth: bearerAuth(() => session.token, {
      refresh: async () => {
        session.token = (await api.login()).token
      },
    }),
    telemetry: recorder,
  })
  const api = client.bind(contract)
  return {
    api,
    parcel: {
      rest: (id) => api.rest.parcel({ id }),
      graphql: (id) => api.graphql.parcel({ id }),
      'grpc-web': (id) => api.grpc.parcel({ id }),
      websocket: (id) => api.websocket.parcel({ id }),
      sse: async (id) => {
        for await (const parcel of api.sse.status({ id })) return parcel
        throw new Error('the stream ended without a message')
      },
    },
    close: () => client.close(),
  }
}
