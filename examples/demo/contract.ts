import { adapt, type } from 'polywire'
import { query } from 'polywire/graphql'
import { rpc } from 'polywire/grpc-web'
import { get, post } from 'polywire/rest'
import { events } from 'polywire/sse'
import { channel, request } from 'polywire/websocket'
import { ParcelService } from './gen/demo_pb.ts'
import type { Quote } from './servers/hops.ts'
import type { Parcel } from './servers/parcels.ts'

const parcel = type<Parcel>()
interface Position {
  readonly number: number
}
const position = type<Position>()

/** One contract over five protocols: whatever the protocol, a parcel is asked for and followed in the same way. */
export const contract = {
  login: post('/token', { via: 'login', output: type<{ token: string }>(), idempotent: true }),
  rest: {
    parcel: get('/parcels/{id}', { output: parcel }),
    label: get('/parcels/{id}/label', { output: type<Parcel & { pixels: string }>() }),
    quote: get('/parcels/{id}/quote', { output: type<Quote>() }),
  },
  graphql: {
    parcel: adapt(
      query('query Parcel($id: Int!) { parcel(id: $id) { id status } }', {
        variables: type<{ id: number }>(),
        output: type<{ parcel: Parcel }>(),
      }),
      { output: ({ parcel }) => parcel },
    ),
  },
  grpc: {
    parcel: adapt(rpc(ParcelService.method.getParcel), { output: ({ id, status }): Parcel => ({ id, status }) }),
    positions: rpc(ParcelService.method.trackParcel, {
      resume: {
        cursor: ({ number }) => String(number),
        apply: (input, cursor) => ({ ...input, after: Number(cursor) }),
      },
    }),
  },
  websocket: {
    parcel: request('parcels', { input: type<{ id: number }>(), output: parcel, idempotent: true }),
    positions: channel('parcels:{id}', { receive: position }),
  },
  sse: {
    status: adapt(events('/parcels/{id}/status', { parcel }, { resume: false }), { output: ({ data }) => data }),
    positions: adapt(events('/parcels/{id}/positions', { position }), { output: ({ data }) => data }),
  },
}
