import { createClient, type } from 'polywire'
import { channel, websocketTransport } from 'polywire/websocket'
import { expect, it } from 'vitest'

/** Nobody listens there: what is sent waits. */
const room = channel('room', { send: type<string>(), receive: type<string>() })
const connect = () => createClient({ transports: { websocket: websocketTransport({ url: 'ws://127.0.0.1:9' }) } })

const endOf = (sending: Promise<void>) => sending.then(undefined, (error: unknown) => error)

it('a message that waits rejects with the reason of its caller who leaves', async () => {
  const client = connect()
  const controller = new AbortController()
  const sent = endOf(client.call(room, undefined, { signal: controller.signal }).send('hi'))
  const reason = new Error('the request was given up')
  controller.abort(reason)
  expect(await sent).toBe(reason)
  await client.close()
})

it('a message of a client that is closed is no trouble that passes', async () => {
  const client = connect()
  const stream = client.call(room)
  const waiting = endOf(stream.send('hi'))
  await client.close()
  expect(await waiting).toMatchObject({ code: 'canceled', sent: 'no', isRetryable: false })
  const late = endOf(client.call(room).send('hi'))
  expect(await late).toMatchObject({ code: 'failed_precondition', sent: 'no', isRetryable: false })
})
