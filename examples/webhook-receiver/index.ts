/**
 * A receiver of webhooks on Fastify: `node --conditions=polywire-source examples/webhook-receiver/index.ts`. The sender
 * signs as Standard Webhooks says, delivers twice what it thinks was lost, and is imitated by somebody without the secret.
 */
import Fastify from 'fastify'
import { memoryStore, type } from 'polywire'
import { standardWebhooks, webhook, webhookReceiver } from 'polywire/webhooks'
import { Webhook } from 'standardwebhooks'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
let outages = 1

const receiver = webhookReceiver({
  scheme: standardWebhooks({ secrets: secret }),
  store: memoryStore(), // several processes, or one that may die: redisStore(redis)
  events: {
    shipped: webhook('order.shipped', type<{ orderId: string; carrier: string }>()),
    refunded: webhook('order.refunded', type<{ orderId: string; cents: number }>()),
  },
  async handle(event) {
    if (event.type === 'order.shipped') console.log(`shipped ${event.data.orderId} with ${event.data.carrier}`)
    else if (outages-- > 0) throw new Error('the database is away')
    else console.log(`refunded ${event.data.cents}`)
  },
  backoff: { baseDelayMs: 10 },
})
await receiver.recover()

const app = Fastify()
app.register(receiver.fastify, { path: '/hooks' })
// Bodies of other routes are parsed as before.
app.post('/orders', async (request) => ({ made: request.body }))
await app.listen({ port: 0, host: '127.0.0.1' })
const { port } = app.addresses()[0] as { port: number }

async function deliver(id: string, body: object, signedWith = secret): Promise<number> {
  const payload = JSON.stringify(body)
  const at = new Date()
  const headers = {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(signedWith).sign(id, at, payload),
  }
  const { status } = await fetch(`http://127.0.0.1:${port}/hooks`, { method: 'POST', headers, body: payload })
  return status
}

const shipped = { type: 'order.shipped', timestamp: '2026-11-29T10:00:00Z', data: { orderId: '7', carrier: 'DHL' } }
const twice = await Promise.all([deliver('msg_1', shipped), deliver('msg_1', shipped)])
await receiver.idle()
console.log(`delivered twice: ${twice.join(' and ')}, handled once`)

await deliver('msg_2', {
  type: 'order.refunded',
  timestamp: '2026-11-29T10:00:01Z',
  data: { orderId: '7', cents: 500 },
})
await receiver.idle()

const forged = await deliver('msg_3', shipped, 'whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')
console.log(`without the secret: ${forged}`)
const log = await receiver.entries()
console.log(log.map(({ id, state, attempts }) => `${id} ${state} ${attempts}`).join(', '))
await app.close()
