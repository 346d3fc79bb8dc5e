import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf'
import { graphql } from 'msw/graphql'
import { HttpResponse, http } from 'msw/http'
import { ws } from 'msw/ws'
import {
  type GetItemRequest,
  GetItemRequestSchema,
  ItemEventSchema,
  ItemSchema,
  WatchItemsRequestSchema,
} from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'

// msw makes no handler for server-sent events where there is no EventSource, and Node has none by default.
const scope = globalThis as { EventSource?: unknown }
scope.EventSource ??= class {}
const { sse } = await import('msw/sse')

/** One host for all five: nobody listens there, so that only a mock can answer. */
export const host = 'api.polywire.test'
const api = graphql.link(`https://${host}/graphql`)
const realtime = ws.link(`wss://${host}/ws`)
/** Requests so far by handler: what retries and resumes are told by. */
export const hits = new Map<string, number>()

const hit = (name: string): number => {
  const count = (hits.get(name) ?? 0) + 1
  hits.set(name, count)
  return count
}

/** Plain msw handlers, as users write them: nothing here knows Polywire. */
export const handlers = [
  http.get(`https://${host}/users/:id`, ({ params, request }) => {
    if (params.id === '404') return HttpResponse.json({ error: { code: 'NO_SUCH_USER' } }, { status: 404 })
    return HttpResponse.json({ id: Number(params.id), token: request.headers.get('authorization') })
  }),
  http.post(`https://${host}/users`, async ({ request }) =>
    HttpResponse.json({ id: 1, ...((await request.json()) as object) }, { status: 201 }),
  ),
  http.get(`https://${host}/busy`, () =>
    hit('busy') === 1
      ? new HttpResponse(null, { status: 503, headers: { 'retry-after': '0' } })
      : HttpResponse.json({ ok: true }),
  ),
  http.get(`https://${host}/broken`, () =>
    hit('broken') === 1 ? HttpResponse.error() : HttpResponse.json({ ok: true }),
  ),
  http.get(`https://${host}/never`, () => new Promise<never>(() => {})),
  api.query('Order', ({ variables }) => HttpResponse.json({ data: { order: { id: variables.id, total: 3 } } })),
  api.mutation('Place', () => HttpResponse.json({ errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }] })),
  sse<{ tick: string }>(`https://${host}/ticks`, ({ client, request }) => {
    const after = Number(request.headers.get('last-event-id') ?? 0)
    for (let n = after + 1; n <= after + 3; n++) client.send({ event: 'tick', id: String(n), data: JSON.stringify(n) })
    if (hit('ticks') === 1) queueMicrotask(() => setTimeout(() => client.error()))
  }),
  grpcWeb('GetItem', GetItemRequestSchema, ({ id }: GetItemRequest) => {
    if (id === 404n) return status(5, 'no such item')
    return messages(ItemSchema, { id, name: 'tea' })
  }),
  grpcWeb('WatchItems', WatchItemsRequestSchema, ({ count }) =>
    messages(ItemEventSchema, ...Array.from({ length: count }, (_, n) => ({ sequence: BigInt(n + 1) }))),
  ),
  realtime.addEventListener('connection', ({ client }) => {
    hit('socket')
    client.addEventListener('message', ({ data }) => {
      const frame = JSON.parse(String(data))
      const answer = (fields: object) => client.send(JSON.stringify({ channel: frame.channel, ...fields }))
      if (frame.type === 'ping') client.send('{"type":"pong"}')
      if (frame.type === 'subscribe') answer({ type: 'subscribed', ref: frame.ref })
      if (frame.type === 'message') answer({ type: 'data', ref: frame.ref, data: { said: frame.data.text } })
    })
  }),
]

/** A gRPC-Web method: the message is the first frame of the body. */
function grpcWeb<D extends DescMessage>(method: string, input: D, answer: (message: MessageShape<D>) => Uint8Array[]) {
  return http.post(`https://${host}/polywire.test.v1.ShopService/${method}`, async ({ request }) => {
    const body = new Uint8Array(await request.arrayBuffer())
    const frames = answer(fromBinary(input, body.subarray(5)))
    const headers = { 'content-type': 'application/grpc-web+proto' }
    return new HttpResponse(new Blob(frames as never), { headers })
  })
}

function messages<D extends DescMessage>(schema: D, ...list: MessageInitShape<D>[]): Uint8Array[] {
  return [...list.map((each) => frame(0, toBinary(schema, create(schema, each)))), ...status(0)]
}

function status(code: number, message = ''): Uint8Array[] {
  return [frame(0x80, new TextEncoder().encode(`grpc-status: ${code}\r\ngrpc-message: ${message}\r\n`))]
}

function frame(flags: number, content: Uint8Array): Uint8Array {
  const framed = new Uint8Array(5 + content.length)
  framed.set(content, 5)
  const view = new DataView(framed.buffer)
  view.setUint8(0, flags)
  view.setUint32(1, content.length)
  return framed
}
