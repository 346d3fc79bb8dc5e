/** A report that takes a while, on a real server: `node --conditions=polywire-source examples/long-running/index.ts`. */
import { createHmac, randomUUID } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { cancelWith, createClient, isCallError, memoryStore, type } from 'polywire'
import { del, longRunning, post, restTransport } from 'polywire/rest'
import { runCallbacks, standardWebhooks, webhook, webhookReceiver } from 'polywire/webhooks'

const secret = Buffer.from('a secret of both sides, 32 bytes')

async function listen(app: FastifyInstance): Promise<string> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** The server: a job goes on with every look at it, and calls back when it is done. */
const server = Fastify({ forceCloseConnections: true })
interface Job {
  percent: number
  status: 'running' | 'succeeded' | 'canceled'
  readonly callbackUrl: string | undefined
}
const jobs = new Map<string, Job>()
server.post<{ Body: { month: string; callback_url?: string } }>('/reports', async (request, reply) => {
  const id = `job-${jobs.size + 1}`
  jobs.set(id, { percent: 0, status: 'running', callbackUrl: request.body.callback_url })
  return reply.code(202).header('location', `/jobs/${id}`).header('retry-after', '0').send({ id, status: 'queued' })
})
server.get<{ Params: { id: string } }>('/jobs/:id', async ({ params: { id } }, reply) => {
  const job = jobs.get(id)
  if (!job) return reply.code(404).send()
  if (job.status === 'running') job.percent += 25
  if (job.percent >= 100) job.status = 'succeeded'
  const result = job.status === 'succeeded' && { result_url: `/reports/${id}` }
  return reply
    .header('retry-after', '0')
    .send({ id, status: job.status, progress: { percent: job.percent }, ...result })
})
server.delete<{ Params: { id: string } }>('/jobs/:id', async ({ params: { id } }, reply) => {
  const job = jobs.get(id)
  if (job) job.status = 'canceled'
  return reply.code(204).send()
})
server.get('/reports/:id', async () => ({ rows: 42 }))
const baseUrl = await listen(server)

/** As Standard Webhooks signs it. */
async function callBack(id: string): Promise<void> {
  const job = jobs.get(id)
  if (!job?.callbackUrl) return
  job.percent = 100
  const body = JSON.stringify({ type: 'job.done', data: { id } })
  const [messageId, timestamp] = [`msg_${randomUUID()}`, String(Math.floor(Date.now() / 1000))]
  const signature = createHmac('sha256', secret).update(`${messageId}.${timestamp}.${body}`).digest('base64')
  const headers = { 'webhook-id': messageId, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
  await fetch(job.callbackUrl, { method: 'POST', body, headers: { ...headers, 'content-type': 'application/json' } })
}

/** Our side: where webhooks come in. */
const hooks = Fastify({ forceCloseConnections: true })
const receiver = webhookReceiver({
  scheme: standardWebhooks({ secrets: `whsec_${secret.toString('base64')}` }),
  store: memoryStore(),
  events: { done: webhook('job.done', type<{ id: string }>()) },
  handle: (event) => callbacks.deliver(event),
})
hooks.register(receiver.fastify, { path: '/hooks/jobs' })
const callbacks = runCallbacks({ url: `${await listen(hooks)}/hooks/jobs` })

const start = post('/reports', { body: type<{ month: string }>() })
const shape = { result: type<{ rows: number }>(), progress: type<{ percent: number }>() }
const client = createClient({ transports: { rest: restTransport({ baseUrl }) } })
const api = client.bind({
  report: longRunning(start, { ...shape, cancel: cancelWith(del('/jobs/{id}'), ({ id }) => ({ id })) }),
  called: longRunning(start, { ...shape, callbacks, poll: { maxMs: 600_000 } }),
})

// 1. With progress.
const run = await api.report.start({ month: '2026-11' })
for await (const { percent } of run.progress) console.log(`${run.id}: ${percent} %`)
console.log(`${run.id}: ${(await run.result()).rows} rows`)

// 2. Written down, and gone on with by somebody else.
const token = JSON.stringify(await api.report.start({ month: '2026-12' }))
const revived = api.report.revive(token)
console.log(`${revived.id}, revived: ${(await revived.result()).rows} rows`)

// 3. Given up.
const wrong = await api.report.start({ month: '1926-11' })
await wrong.cancel()
const error = await wrong.result().catch((thrown: unknown) => thrown)
if (isCallError(error)) console.log(`${wrong.id}: ${error.code}`)

// 4. By a callback: nobody polls for ten minutes.
const called = await api.called.start({ month: '2027-01' })
const waiting = called.result()
await callBack(called.id)
console.log(`${called.id}, called back: ${(await waiting).rows} rows`)

await client.close()
await receiver.idle()
await Promise.all([server.close(), hooks.close()])
