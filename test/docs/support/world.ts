import { create, toBinary } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { graphql } from 'msw/graphql'
import { HttpResponse, http } from 'msw/http'
import { setupServer } from 'msw/node'
import { ws } from 'msw/ws'
import { OperationSchema } from '../../support/proto/gen/google/longrunning/operations_pb.ts'
import { BadRequestSchema } from '../../support/proto/gen/google/rpc/error_details_pb.ts'
import { StatusSchema } from '../../support/proto/gen/google/rpc/status_pb.ts'
import { ExportProgressSchema, ExportResultSchema } from '../../support/proto/gen/polywire/test/v1/jobs_pb.ts'
import {
  ItemEventSchema,
  ItemSchema,
  ListItemsResponseSchema,
} from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'

/**
 * The hosts that README and docs speak of, mocked as a user would mock them. Loaded before each program of the docs;
 * a host that is not here fails the program.
 */
const api = 'https://api.example.com/v1'
const orders = graphql.link('https://api.example.com/graphql')
const realtime = ws.link('wss://rt.example.com/ws')
const phoenix = ws.link('wss://phoenix.example.com/socket/websocket')
const socketIo = ws.link(/socketio\.example\.com/)
const centrifugo = ws.link('wss://centrifugo.example.com/connection/websocket')
const signalr = ws.link(/signalr\.example\.com/)
const nats = ws.link(/nats\.example\.com/)
const encoder = new TextEncoder()
const failures = new Map<string, number>()
const note = { text: 'old', likes: 0 }

const server = setupServer(
  http.get('https://api.github.com/repos/:owner/:repo/issues', ({ request }) => {
    if (request.headers.get('if-none-match') === '"i1"') return new HttpResponse(null, { status: 304 })
    const isLast = new URL(request.url).searchParams.has('page')
    const next = '<https://api.github.com/repos/nodejs/undici/issues?page=2>; rel="next", </x>; rel="last"'
    return HttpResponse.json([{ number: isLast ? 2 : 1, title: 'a title' }], {
      headers: { etag: '"i1"', ...(!isLast && { link: next }) },
    })
  }),
  http.post('https://api.github.com/repos/:owner/:repo/issues', () =>
    HttpResponse.json(
      {},
      { status: 201, headers: { location: 'https://api.github.com/repos/nodejs/undici/issues/3' } },
    ),
  ),
  http.get('https://api.github.com/repos/:owner/:repo/issues/:number', ({ request }) =>
    HttpResponse.json({ number: 3, title: 'a title', comments_url: `${request.url}/comments` }),
  ),
  http.get('https://api.github.com/repos/:owner/:repo/issues/:number/comments', () =>
    HttpResponse.json([{ body: 'yes' }]),
  ),
  http.get('https://api.github.com/repos/:owner/:repo/contents/*', () => HttpResponse.text('# Client')),
  http.post('https://api.stripe.com/v1/payment_intents', async ({ request }) =>
    (await request.text()) === 'amount=500&currency=eur' && request.headers.get('idempotency-key') === 'order-1001'
      ? HttpResponse.json({ id: 'pi_1', status: 'succeeded' })
      : new HttpResponse(null, { status: 400 }),
  ),
  http.get('https://api.github.com/repos/:owner/:repo', () =>
    HttpResponse.json({ stargazers_count: 7000, full_name: 'nodejs/undici' }),
  ),
  http.get(`${api}/users/:id`, ({ params }) =>
    params.id === '404'
      ? HttpResponse.json({ error: { code: 'USER_NOT_FOUND', message: 'no such user' } }, { status: 404 })
      : HttpResponse.json({ id: Number(params.id), name: 'Ada' }),
  ),
  http.get(`${api}/users`, ({ request }) => {
    const { searchParams } = new URL(request.url)
    const ids = searchParams.getAll('ids')
    if (ids.length > 0) return HttpResponse.json(ids.map((id) => ({ id: Number(id), name: 'Ada' })))
    const cursor = searchParams.get('cursor')
    return HttpResponse.json(cursor ? { users: [{ name: 'Grace' }] } : { users: [{ name: 'Ada' }], next: 'p2' })
  }),
  http.post(`${api}/users`, async ({ request }) =>
    HttpResponse.json(
      { id: 1, ...((await request.json()) as object) },
      { status: 201, headers: { location: '/v1/users/1' } },
    ),
  ),
  http.options(`${api}/users`, () => new HttpResponse(null, { status: 204, headers: { allow: 'GET, POST, QUERY' } })),
  http.all(`${api}/users`, ({ request }) =>
    request.method === 'QUERY' ? HttpResponse.json({ users: [{ name: 'Ada' }] }) : undefined,
  ),
  http.all(`${api}/files/:name`, ({ request }) =>
    request.method === 'PROPFIND' ? HttpResponse.text('<multistatus/>') : undefined,
  ),
  http.post(`${api}/reports`, () =>
    HttpResponse.json(
      { id: 'j1', status: 'queued' },
      { status: 202, headers: { location: '/v1/report-jobs/j1', 'retry-after': '0' } },
    ),
  ),
  http.get(`${api}/report-jobs/:id`, ({ params }) => {
    const polls = (failures.get('polls') ?? 0) + 1
    failures.set('polls', polls)
    const percent = polls % 2 === 0 ? 100 : 50
    const end = percent === 100 && { status: 'succeeded', result_url: '/v1/reports/7' }
    return HttpResponse.json(
      { id: params.id, status: 'running', progress: { percent }, ...end },
      { headers: { 'retry-after': '0' } },
    )
  }),
  http.get(`${api}/reports/:id`, () => HttpResponse.json({ rows: 12 }, { headers: { deprecation: '@1688169599' } })),
  http.get('https://api.example.com/healthz', () =>
    HttpResponse.json({ status: 'pass' }, { headers: { 'content-type': 'application/health+json' } }),
  ),
  http.post(`${api}/users/:id/export`, async ({ request }) => {
    const { headers, url } = request
    const came = [new URL(url).search, headers.get('x-trace'), headers.get('cookie'), await request.text()]
    const isRight = came.join(' ') === '?fields=name,email 1 seen=yes filter%5Brole%5D=admin'
    return HttpResponse.json({ url: '/exports/1' }, { status: isRight ? 202 : 400 })
  }),
  http.get(`${api}/orders`, () => HttpResponse.json([{ id: 1, total: 120 }])),
  http.post(`${api}/orders`, async ({ request }) =>
    HttpResponse.json({ id: 'o1', ...((await request.json()) as object) }, { status: 201 }),
  ),
  http.get(`${api}/orders/:id/events`, () => events(['placed', '{"total":3}'], ['done', '{}'])),
  http.post(`${api}/completions`, () =>
    events(['message', '{"token":"h"}'], ['message', '{"token":"i"}'], ['message', '[DONE]']),
  ),
  http.post(`${api}/chat`, () =>
    HttpResponse.text('{"token":"h","done":false}\n{"token":"i","done":false}\n{"done":true}\n', {
      headers: { 'content-type': 'application/x-ndjson' },
    }),
  ),
  http.get(`${api}/streams/orders`, () =>
    HttpResponse.json([{ n: 1 }, { n: 2 }], {
      headers: { 'stream-next-offset': '0_2', 'stream-up-to-date': 'true', 'stream-closed': 'true' },
    }),
  ),
  http.post('https://api.openai.com/v1/chat/completions', () =>
    events(
      ['message', '{"choices":[{"delta":{"content":"hel"},"finish_reason":null}]}'],
      ['message', '{"choices":[{"delta":{"content":"lo"},"finish_reason":"stop"}]}'],
      ['message', '[DONE]'],
    ),
  ),
  http.get('https://api.openai.com/v1/responses/:id', ({ request }) => {
    if (new URL(request.url).searchParams.get('starting_after') !== '1') return new HttpResponse(null, { status: 400 })
    return events(
      ['response.output_text.delta', '{"delta":"lo","sequence_number":2}'],
      ['response.completed', '{"response":{"id":"resp_1"},"sequence_number":3}'],
    )
  }),
  http.post('https://api.openai.com/v1/responses/:id/cancel', ({ params }) => HttpResponse.json({ id: params.id })),
  // A token that was renewed, or got by a login.
  http.get(`${api}/me`, ({ request }) =>
    request.headers.get('authorization') === 'Bearer fresh'
      ? HttpResponse.json({ name: 'Ada' })
      : HttpResponse.json({ error: { code: 'TOKEN_EXPIRED', message: 'expired' } }, { status: 401 }),
  ),
  http.post(`${api}/token`, () => HttpResponse.json({ token: 'fresh', expires_in: 3600 })),
  http.post(`${api}/login`, () => HttpResponse.json({ token: 'fresh' })),
  http.get('https://login.example.com/.well-known/openid-configuration', () =>
    HttpResponse.json({
      issuer: 'https://login.example.com',
      authorization_endpoint: 'https://login.example.com/authorize',
      token_endpoint: 'https://login.example.com/token',
      device_authorization_endpoint: 'https://login.example.com/device',
      revocation_endpoint: 'https://login.example.com/revoke',
      authorization_response_iss_parameter_supported: true,
    }),
  ),
  http.post('https://login.example.com/token', ({ request }) =>
    HttpResponse.json({
      access_token: 'fresh',
      refresh_token: 'r1',
      expires_in: 3600,
      token_type: request.headers.has('dpop') ? 'DPoP' : 'Bearer',
    }),
  ),
  http.post('https://login.example.com/device', () =>
    HttpResponse.json({
      device_code: 'd',
      user_code: 'WDJB-MJHT',
      verification_uri: 'https://login.example.com/tv',
      expires_in: 60,
      interval: 0.01,
    }),
  ),
  http.post('https://login.example.com/revoke', () => new HttpResponse(null, { status: 200 })),
  http.get(`${api}/bound`, ({ request }) =>
    HttpResponse.json({
      scheme: request.headers.has('dpop') ? request.headers.get('authorization')?.split(' ')[0] : '',
    }),
  ),
  http.post(`${api}/signed`, ({ request }) =>
    HttpResponse.json({ covered: /\((.*)\)/.exec(request.headers.get('signature-input') ?? '')?.[1] }),
  ),
  // Fails twice and then answers, by name.
  http.get(`${api}/flaky/:name`, ({ params }) => {
    const seen = (failures.get(String(params.name)) ?? 0) + 1
    failures.set(String(params.name), seen % 3)
    return seen < 3 ? new HttpResponse(null, { status: 503 }) : HttpResponse.json({ requests: seen })
  }),
  http.post(`${api}/files`, async ({ request }) => {
    const form = await request.formData()
    const file = form.get('file') as File
    return HttpResponse.json({ title: form.get('title'), name: file.name, bytes: file.size }, { status: 201 })
  }),
  http.put(`${api}/files/:name`, async ({ request, params }) =>
    HttpResponse.json({ name: params.name, bytes: (await request.arrayBuffer()).byteLength }),
  ),
  http.get(`${api}/files/:name`, () => HttpResponse.text('hello')),
  ...tus(`${api}/albums/:album/uploads`),
  http.get(`${api}/table`, () =>
    HttpResponse.text('name,note\r\nAda,"said ""hi"", once"', { headers: { 'content-type': 'text/csv' } }),
  ),
  http.put(`${api}/table`, () => new HttpResponse(null, { status: 204 })),
  http.put(
    `${api}/items/:id`,
    async ({ request }) =>
      new HttpResponse(await request.arrayBuffer(), { headers: { 'content-type': 'application/x-protobuf' } }),
  ),
  http.get(`${api}/notes/:id`, ({ request }) => {
    const etag = `"${note.likes}-${note.text}"`
    return request.headers.get('if-none-match') === etag
      ? new HttpResponse(null, { status: 304, headers: { etag } })
      : HttpResponse.json(note, { headers: { etag } })
  }),
  http.put(`${api}/notes/:id`, async ({ request }) => {
    if (request.headers.get('if-match') !== `"${note.likes}-${note.text}"`)
      return new HttpResponse(null, { status: 412 })
    Object.assign(note, await request.json())
    return HttpResponse.json(note)
  }),
  http.post(`${api}/session`, ({ request }) =>
    request.headers.get('x-csrf-token') === 'c5rf'
      ? HttpResponse.json({ user: 'Ada' })
      : HttpResponse.json({ error: { code: 'CSRF' } }, { status: 403 }),
  ),
  orders.query('Missing', () =>
    HttpResponse.json({ data: null, errors: [{ message: 'no such order', extensions: { code: 'NOT_FOUND' } }] }),
  ),
  orders.query('Repositories', ({ variables }) => {
    const names = variables.after ? ['two'] : ['one']
    const pageInfo = { hasNextPage: !variables.after, endCursor: names[0] }
    return HttpResponse.json({
      data: { viewer: { repositories: { nodes: names.map((name) => ({ name, stars: 3 })), pageInfo } } },
    })
  }),
  orders.query('Messages', ({ variables }) => {
    const text = variables.before ? 'first' : 'last'
    const pageInfo = { hasPreviousPage: !variables.before, startCursor: 'c1' }
    return HttpResponse.json({ data: { room: { messages: { edges: [{ sentAt: 'now', node: { text } }], pageInfo } } } })
  }),
  orders.query('Order', () => HttpResponse.json({ data: { order: { total: 3 } } })),
  orders.query('Page', () => {
    const parts = [
      { data: { product: { name: 'tea' } }, pending: [{ id: '0', path: ['product'] }], hasNext: true },
      { incremental: [{ id: '0', data: { reviews: [{ text: 'good' }] } }], completed: [{ id: '0' }], hasNext: false },
    ]
    const text = parts
      .map((part) => `\r\n---\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(part)}`)
      .join('')
    const headers = { 'content-type': 'multipart/mixed; boundary="-"' }
    return new HttpResponse(`${text}\r\n-----\r\n`, { headers }) as never
  }),
  http.post('https://api.example.com/graphql', () => HttpResponse.json({ data: { order: { total: 3 } } })),
  http.get('https://api.example.com/graphql', () => HttpResponse.json({ data: { order: { total: 3 } } })),
  http.post('https://rpc.example.com/polywire.test.v1.ShopService/GetItem', () =>
    grpcWeb(0, toBinary(ItemSchema, create(ItemSchema, { id: 7n, name: 'tea' }))),
  ),
  http.post('https://rpc.example.com/polywire.test.v1.ShopService/AddItem', () => grpcWeb(6)),
  http.get('https://rpc.example.com/polywire.test.v1.ShopService/GetItem', () => {
    const item = toBinary(ItemSchema, create(ItemSchema, { id: 7n, name: 'tea' })) as Uint8Array<ArrayBuffer>
    return new HttpResponse(item, { headers: { 'content-type': 'application/proto' } })
  }),
  http.post('https://rpc.example.com/polywire.test.v1.ShopService/PutItem', () => {
    const fields = create(BadRequestSchema, { fieldViolations: [{ field: 'name', description: 'is empty' }] })
    const status = create(StatusSchema, { code: 3, message: 'wrong', details: [anyPack(BadRequestSchema, fields)] })
    const details = Buffer.from(toBinary(StatusSchema, status)).toString('base64')
    return new HttpResponse(null, {
      headers: {
        'content-type': 'application/grpc-web+proto',
        'grpc-status': '3',
        'grpc-status-details-bin': details,
      },
    })
  }),
  http.post('https://rpc.example.com/polywire.test.v1.ShopService/ListItems', () =>
    grpcWeb(0, toBinary(ListItemsResponseSchema, create(ListItemsResponseSchema, { items: [{ id: 1n }, { id: 2n }] }))),
  ),
  http.post('https://rpc.example.com/polywire.test.v1.JobService/Export', () => {
    const metadata = anyPack(ExportProgressSchema, create(ExportProgressSchema, { percent: 40 }))
    return grpcWeb(0, toBinary(OperationSchema, create(OperationSchema, { name: 'operations/1', metadata })))
  }),
  http.post('https://rpc.example.com/google.longrunning.Operations/GetOperation', () => {
    const value = anyPack(ExportResultSchema, create(ExportResultSchema, { file: 'items.csv' }))
    const done = create(OperationSchema, { name: 'operations/1', done: true, result: { case: 'response', value } })
    return grpcWeb(0, toBinary(OperationSchema, done))
  }),
  http.post('https://rpc.example.com/grpc.health.v1.Health/Check', () => grpcWeb(0, Uint8Array.of(8, 1))),
  http.post('https://rpc.example.com/grpc.health.v1.Health/Watch', () => grpcWeb(0, Uint8Array.of(8, 1))),
  http.post('https://rpc.example.com/polywire.test.v1.ShopService/WatchItems', () =>
    grpcWeb(0, ...[1n, 2n].map((sequence) => toBinary(ItemEventSchema, create(ItemEventSchema, { sequence })))),
  ),
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
  socketIo.addEventListener('connection', ({ client }) => {
    client.send('0{"sid":"s","pingInterval":25000,"pingTimeout":20000}')
    client.addEventListener('message', ({ data }) => {
      const frame = String(data)
      if (frame.startsWith('40')) client.send('40{"sid":"a"}')
      const [, id, args] = /^42(\d*)(.*)$/.exec(frame) ?? []
      if (args === undefined) return
      const [, value] = JSON.parse(args) as [string, unknown]
      client.send(id ? `43${id}[{"id":1}]` : `42${JSON.stringify(['said', value])}`)
    })
  }),
  centrifugo.addEventListener('connection', ({ client }) => {
    client.addEventListener('message', ({ data }) => {
      const { id, subscribe, publish, rpc, ...command } = JSON.parse(String(data)) as Record<string, any>
      const reply = (fields: object) => client.send(JSON.stringify({ id, ...fields }))
      if (command.connect) reply({ connect: { client: 'c', ping: 25, pong: true } })
      if (subscribe) reply({ subscribe: { recoverable: true, positioned: true, epoch: 'e' } })
      if (publish) reply({ publish: {} })
      if (publish)
        client.send(JSON.stringify({ push: { channel: publish.channel, pub: { data: publish.data, offset: 1 } } }))
      if (rpc) reply({ rpc: { data: { hits: 2 } } })
    })
  }),
  http.post('https://signalr.example.com/hubs/chat/negotiate', () =>
    HttpResponse.json({ connectionId: 'c', connectionToken: 't', availableTransports: [{ transport: 'WebSockets' }] }),
  ),
  signalr.addEventListener('connection', ({ client }) => {
    const send = (message: object) => client.send(`${JSON.stringify(message)}\u001e`)
    client.addEventListener('message', ({ data }) => {
      for (const part of String(data).split('\u001e').slice(0, -1)) {
        const { protocol, type, invocationId, arguments: args } = JSON.parse(part) as Record<string, any>
        if (protocol) send({})
        if (type === 1) send({ type: 1, target: 'ReceiveMessage', arguments: args })
        if (type === 4) for (const item of args) send({ type: 2, invocationId, item })
        if (type === 1 || type === 4) send({ type: 3, invocationId })
      }
    })
  }),
  nats.addEventListener('connection', ({ client }) => {
    client.send('INFO {"headers":true,"max_payload":1048576}\r\n')
    client.addEventListener('message', ({ data }) => {
      const text = typeof data === 'string' ? data : new TextDecoder().decode(data as ArrayBuffer)
      if (text.includes('PING\r\n')) client.send('PONG\r\n')
      const [, subject, reply] = /^PUB (\S+) (?:(\S+) )?\d+\r\n/.exec(text) ?? []
      const answer = reply ? [reply, '0', '{"price":3}'] : [subject, '2', '{"sku":"tea"}']
      if (subject) client.send(`MSG ${answer[0]} ${answer[1]} ${answer[2]?.length}\r\n${answer[2]}\r\n`)
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

// Breaks once in the middle; what comes after the cursor comes then. msw ends a broken body as if it were whole.
const mocked = globalThis.fetch
globalThis.fetch = async function fetch(input, init) {
  const { pathname } = new URL(input instanceof Request ? input.url : input)
  // A run that is started once, and whose connection breaks.
  if (pathname === '/v1/responses')
    return cut(
      'event: response.created\ndata: {"response":{"id":"resp_1"},"sequence_number":0}\n\n' +
        'event: response.output_text.delta\ndata: {"delta":"hel","sequence_number":1}\n\n',
    )
  if (!pathname.startsWith('/v1/jobs/')) return mocked(input, init)
  const isResumed = new Headers(init?.headers).has('last-event-id')
  return isResumed
    ? events(['step', '{"done":2}', 2], ['end', '{}', 3])
    : cut('retry: 10\n\nid: 1\nevent: step\ndata: {"done":1}\n\n')
}

function events(...list: (readonly [type: string, data: string, id?: number])[]): Response {
  const body = list
    .map(([type, data, id], index) => `id: ${id ?? index + 1}\nevent: ${type}\ndata: ${data}\n\n`)
    .join('')
  return new HttpResponse(encoder.encode(body), {
    headers: { 'content-type': 'text/event-stream' },
  }) as unknown as Response
}

/** A stream of events that ends by an error. */
function cut(text: string): Response {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(encoder.encode(text))
      setTimeout(() => controller.error(new TypeError('terminated')), 20)
    },
  })
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } })
}

/** Messages in frames, and a trailer with the status. */
function grpcWeb(status: number, ...messages: Uint8Array[]): Response {
  const frame = (flag: number, bytes: Uint8Array) => [flag, 0, 0, 0, bytes.length, ...bytes]
  const trailer = frame(0x80, encoder.encode(`grpc-status: ${status}\r\n`))
  const bytes = Uint8Array.from([...messages.flatMap((message) => frame(0, message)), ...trailer])
  return new HttpResponse(bytes, { headers: { 'content-type': 'application/grpc-web+proto' } }) as unknown as Response
}

/** An upload server by tus, of which one upload is under way. */
function tus(path: string) {
  let offset = 0
  return [
    http.post(path, ({ request }) => {
      offset = 0
      return new HttpResponse(null, { status: 201, headers: { location: `${request.url}/1` } })
    }),
    http.head(`${path}/1`, () => new HttpResponse(null, { headers: { 'upload-offset': String(offset) } })),
    http.patch(`${path}/1`, async ({ request }) => {
      offset = Number(request.headers.get('upload-offset')) + (await request.arrayBuffer()).byteLength
      return new HttpResponse(null, { status: 204, headers: { 'upload-offset': String(offset) } })
    }),
  ]
}
