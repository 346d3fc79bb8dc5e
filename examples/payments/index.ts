/** A payment is taken once, whatever happens to connections: `node --conditions=polywire-source examples/payments/index.ts`. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, isCallError, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, post, restTransport } from 'polywire/rest'

interface Payment {
  id: string
  amount: number
  status: string
}

/** What Stripe does: an answer is kept by its key, 409 while the first request runs, an error where the key comes with another body. */
const kept = new Map<string, { readonly body: string; readonly answer?: string }>()
const taken: number[] = []
let cuts = 1

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks).toString()
  const json = (status: number, value: unknown, headers: Record<string, string> = {}): void =>
    void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
  if (request.method === 'GET')
    return json(200, { data: taken.map((amount, index) => ({ id: `pi_${index + 1}`, amount })) })
  const key = String(request.headers['idempotency-key'])
  const before = kept.get(key)
  if (before && before.body !== body)
    return json(400, {
      error: { type: 'idempotency_error', message: 'Keys can only be used with the same parameters' },
    })
  if (before?.answer) return json(200, JSON.parse(before.answer), { 'idempotent-replayed': 'true' })
  const { amount, card } = JSON.parse(body) as { amount: number; card: string }
  if (card === 'declined')
    return json(402, { error: { type: 'card_error', code: 'card_declined', message: 'Your card was declined.' } })
  taken.push(amount)
  const made = { id: `pi_${taken.length}`, amount, status: 'succeeded' }
  kept.set(key, { body, answer: JSON.stringify(made) })
  // The money is taken, and nobody hears of it.
  if (cuts-- > 0) request.socket.resetAndDestroy()
  else json(200, made)
}

const server = createServer((request, response) => void answer(request, response))
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

const client = createClient({
  // Naming the profile says that the server honours keys: a POST may then be sent again, under the same one.
  transports: { rest: restTransport({ baseUrl, idempotency: 'stripe' }) },
  auth: bearerAuth('sk_test'),
  retry: { maxAttempts: 4 },
})
const api = client.bind({
  pay: post('/v1/payment_intents', {
    body: type<{ amount: number; card: string }>(),
    output: type<Payment>(),
    errors: { 402: type<{ error: { code: string; message: string } }>() },
  }),
  list: get('/v1/payment_intents', { output: type<{ data: Payment[] }>() }),
})

// The key belongs to the order: a page that is loaded anew, or another process, pays the same one once.
const idempotencyKey = 'order-1001'
const paid = await api.pay.reply({ amount: 500, card: 'visa' }, { idempotencyKey })
console.log(`paid ${paid.message.amount} as ${paid.message.id} in ${paid.attempts} attempts`)
const again = await api.pay.reply({ amount: 500, card: 'visa' }, { idempotencyKey })
console.log(`again: ${again.message.id}, replayed: ${again.headers.get('idempotent-replayed')}`)

// The same key with another amount is a mistake of ours, and no retry.
const mistake = await api.pay({ amount: 900, card: 'visa' }, { idempotencyKey }).catch((thrown: unknown) => thrown)
if (isCallError(mistake)) console.log(`another amount: ${mistake.code}, attempt ${mistake.attempt}`)

// What the bank says is final: typed, and never sent again.
const declined = await api.pay({ amount: 700, card: 'declined' }).catch((thrown: unknown) => thrown)
if (isCallError(declined, api.pay)) console.log(`declined: ${declined.body.error.code}, attempt ${declined.attempt}`)

const { data } = await api.list()
console.log(`taken in all: ${data.map(({ amount }) => amount).join(', ')}`)
await client.close()
server.close()
