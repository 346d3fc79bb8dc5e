// What a user writes on day one, with no peers installed: runs unchanged in Node, Bun, Deno and workerd.
import { createClient, isCallError, memoryStore, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { createFetch } from 'polywire/fetch'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { standardWebhooks, webhook, webhookReceiver } from 'polywire/webhooks'
import { channel, websocketTransport } from 'polywire/websocket'

function same(what, is, expected) {
  if (JSON.stringify(is) === JSON.stringify(expected)) console.log(`ok ${what}`)
  else throw new Error(`${what}: ${JSON.stringify(is)} instead of ${JSON.stringify(expected)}`)
}

export async function smoke(port) {
  const host = `127.0.0.1:${port}`
  const client = createClient({
    transports: {
      rest: restTransport({ baseUrl: `http://${host}` }),
      sse: sseTransport({ baseUrl: `http://${host}` }),
      websocket: websocketTransport({ url: `ws://${host}` }),
    },
    auth: bearerAuth(() => 'token'),
  })
  const api = client.bind({
    user: get('/users/{id}', { output: type() }),
    flaky: get('/flaky', { output: type() }),
    missing: get('/missing', { output: type() }),
    watch: events('/orders/{id}/events', { placed: type() }, { until: 'done' }),
    chat: channel('chat:{room}', { send: type(), receive: type() }),
  })

  same('a call with auth', await api.user({ id: 42 }), { id: 42, name: 'Ada', authorization: 'Bearer token' })
  same('a retry', (await api.flaky.reply()).attempts, 2)
  same('an error', await api.missing().catch((error) => isCallError(error) && error.code), 'not_found')
  const seen = []
  for await (const event of api.watch({ id: 7 })) seen.push([event.type, event.data.n, event.id])
  same('an event stream', seen, [
    ['placed', 1, '1'],
    ['placed', 2, '2'],
    ['placed', 3, '3'],
  ])
  const room = api.chat({ room: 'lobby' })
  await room.send({ text: 'hi' })
  for await (const said of room) {
    same('a channel', said, { text: 'hi' })
    break
  }

  const fetch = createFetch(client)
  const answered = await fetch(new Request(`http://${host}/users/42`, { headers: { 'x-a': '1' } }))
  same(
    'a fetch',
    [answered.status, answered.url, await answered.json()],
    [200, `http://${host}/users/42`, { id: 42, name: 'Ada', authorization: 'Bearer token' }],
  )
  const missing = await createFetch({ retry: false })(`http://${host}/missing`)
  same(
    'an error answer',
    [missing.status, missing.headers.get('x-should-retry'), (await missing.text()).length > 0],
    [404, 'false', true],
  )
  const refused = await createFetch()('http://127.0.0.1:9/', { method: 'POST', body: 'x' }).catch((error) => error)
  same(
    'a fetch that fails',
    [refused.name, refused.message, isCallError(refused.cause)],
    ['TypeError', 'fetch failed', true],
  )
  await webhooks()
  await client.close()
}

/** A delivery that is signed here, by what every platform has, and received. */
async function webhooks() {
  const secret = new Uint8Array(32).fill(7)
  const body = '{"type":"order.shipped","data":{"n":1}}'
  const [id, timestamp] = ['evt_1', String(Math.floor(Date.now() / 1000))]
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  const signed = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(`${id}.${timestamp}.${body}`))
  const base64 = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${base64(signed)}` }
  const seen = []
  const receiver = webhookReceiver({
    scheme: standardWebhooks({ secrets: `whsec_${base64(secret)}` }),
    store: memoryStore(),
    events: { shipped: webhook('order.shipped', type()) },
    handle: ({ id, data }) => seen.push([id, data.n]),
    answerAfter: 'handled',
  })
  const deliver = (text) =>
    receiver.fetch(new Request('http://a.example/hooks', { method: 'POST', headers, body: text }))
  same(
    'a webhook',
    [(await deliver(body)).status, (await deliver(body)).status, (await deliver(`${body} `)).status],
    [200, 200, 401],
  )
  same('a webhook is handled once', seen, [['evt_1', 1]])
}
