import { fastify } from 'fastify'
import { isCallError } from 'polywire'
import type { Chaos } from './chaos.ts'
import type { Hops } from './hops.ts'
import { parcelOf } from './parcels.ts'
import { cut, listen, type Running, remainingMs, sleep } from './wire.ts'

interface ById {
  readonly Params: { readonly id: string }
}

/** REST by Fastify; it also gives out tokens, and is the first of the three services behind a quote. */
export async function startRest(chaos: Chaos, hops: Hops): Promise<Running> {
  const app = fastify()
  app.addHook('onRequest', async (request, reply) => {
    if (request.url === '/token' || chaos.accepts(request.headers.authorization)) return
    await reply.code(401).send({ error: { code: 'TOKEN_EXPIRED', message: 'get another one' } })
  })
  app.post('/token', async () => {
    await sleep(30)
    return { token: chaos.token }
  })
  app.get<ById>('/parcels/:id', async ({ params }, reply) => {
    const fault = chaos.take('rest')
    if (fault?.kind !== 'busy') return parcelOf(Number(params.id))
    return reply
      .code(503)
      .header('retry-after', fault.retryAfterS)
      .send({ error: { code: 'OVERLOADED' } })
  })
  app.get<ById>('/parcels/:id/label', ({ params }, reply) => {
    const label = JSON.stringify({ ...parcelOf(Number(params.id)), pixels: 'x'.repeat(200_000) })
    if (chaos.take('rest')?.kind === 'cut') {
      reply.hijack()
      return cut(reply.raw, 'application/json', label)
    }
    return reply.type('application/json').send(label)
  })
  app.get<ById>('/parcels/:id/quote', async ({ params, raw }, reply) => {
    const mine = Math.round(remainingMs(raw) ?? 0)
    await sleep(hops.workMs)
    try {
      const quote = await hops.toB(Number(params.id), { timeoutMs: mine - hops.workMs })
      return { cents: quote.cents, remainingMs: [...quote.remainingMs, mine] }
    } catch (error) {
      if (!isCallError(error)) throw error
      return reply.code(504).send({ error: { code: 'NO_QUOTE', message: error.message } })
    }
  })
  await app.ready()
  return listen('Fastify', (request, response) => app.routing(request, response))
}
