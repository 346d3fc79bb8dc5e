import { graphql } from 'msw/graphql'
import { HttpResponse, http } from 'msw/http'
import { setupServer } from 'msw/node'
import { ws } from 'msw/ws'

/**
 * The hosts that README and docs speak of, mocked as a user would mock them. Loaded before each program of the docs;
 * a host that is not here fails the program.
 */
const api = 'https://api.example.com/v1'
const orders = graphql.link('https://api.example.com/graphql')
const realtime = ws.link('wss://rt.example.com/ws')
const phoenix = ws.link('wss://phoenix.example.com/socket/websocket')
const encoder = new TextEncoder()

const server = setupServer(
  http.get('https://api.github.com/repos/:owner/:repo', () =>
    HttpResponse.json({ stargazers_count: 7000, full_name: 'nodejs/undici' }),
  ),
  http.get(`${api}/users/:id`, ({ params }) =>
    params.id === '404'
      ? HttpResponse.json({ error: { code: 'USER_NOT_FOUND', message: 'no such user' } }, { status: 404 })
      : HttpResponse.json({ id: Number(params.id), name: 'Ada' }),
  ),
  http.get(`${api}/users`, ({ request }) => {
    const cursor = new URL(request.url).searchParams.get('cursor')
    return HttpResponse.json(cursor ? { users: [{ name: 'Grace' }] } : { users: [{ name: 'Ada' }], next: 'p2' })
  }),
  http.post(`${api}/users`, async ({ request }) =>
    HttpResponse.json({ id: 1, ...((await request.json()) as object) }, { status: 201 }),
  ),
  http.get(`${api}/orders/:id/events`, () => events(['placed', '{"total":3}'], ['done', '{}'])),
  http.post(`${api}/completions`, () =>
    events(['message', '{"token":"h"}'], ['message', '{"token":"i"}'], ['message', '[DONE]']),
  ),
  orders.query('Order', () => HttpResponse.json({ data: { order: { total: 3 } } })),
  http.post('https://api.example.com/graphql', () => HttpResponse.json({ data: { order: { total: 3 } } })),
  http.post('https://rpc.example.com/polywire.test.v1.ShopService/GetItem', () => grpcWeb()),
  realtime.addEventListener('connection', ({ client }) => {
    client.addEventListener('message', ({ data }) => {
      const frame = JSON.parse(String(data)) as {
        type: string
        channel?: string
        ref?: string
        data?: { text?: string }
      }
      const answer = (fields: object) => client.send(JSON.stringify({ channel: frame.channel, ...fields }))
      if (frame.type === 'subscribe') answer({ type: 'subscribed', ref: frame.ref })
      if (frame.type === 'ping') client.send('{"type":"pong"}')
      if (frame.type !== 'message') return
      if (frame.ref !== undefined) answer({ type: 'ack', ref: frame.ref })
      answer({ type: 'data', data: { from: 'Ada', text: frame.data?.text } })
    })
  }),
  phoenix.addEventListener('connection', ({ client }) => {
    client.addEventListener('message', ({ data }) => {
      const [join, ref, topic, event, payload] = JSON.parse(String(data)) as [string, string, string, string, object]
      const isSecret = topic === 'room:secret'
      const reply = isSecret
        ? { status: 'error', response: { reason: 'unauthorized' } }
        : { status: 'ok', response: {} }
      client.send(JSON.stringify([join, ref, topic, 'phx_reply', reply]))
      if (event === 'new_msg') client.send(JSON.stringify([null, null, topic, event, payload]))
    })
  }),
)
server.listen({ onUnhandledFrame: 'error' })
process.once('beforeExit', () => server.close())

function events(...list: (readonly [string, string])[]): Response {
  const body = list.map(([type, data], index) => `id: ${index + 1}\nevent: ${type}\ndata: ${data}\n\n`).join('')
  return new HttpResponse(encoder.encode(body), {
    headers: { 'content-type': 'text/event-stream' },
  }) as unknown as Response
}

/** One empty message and a trailer with status 0. */
function grpcWeb(): Response {
  const trailer = encoder.encode('grpc-status: 0\r\n')
  const bytes = new Uint8Array([0, 0, 0, 0, 0, 0x80, 0, 0, 0, trailer.length, ...trailer])
  return new HttpResponse(bytes, { headers: { 'content-type': 'application/grpc-web+proto' } }) as unknown as Response
}
