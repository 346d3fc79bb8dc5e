// What a user writes on day one, with no peers installed: runs unchanged in Node, Bun, Deno and workerd.
import { createClient, isCallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { createFetch } from 'polywire/fetch'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
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
  await client.close()
}
