import { fastify } from 'fastify'
import { maxAnswerBytes, serverText } from '../support/harness.ts'
import { HttpGate } from '../support/http-gate.ts'

interface Message {
  readonly text: string
}

/** Fastify behind the gate. */
export async function startRestPeer(): Promise<HttpGate> {
  const gate = new HttpGate({
    contentType: 'application/json',
    encode: (text) => JSON.stringify({ text }),
    garbage: '{"text": oh no}',
  })
  const app = fastify()
  app.route<{ Querystring: Message; Body: Message }>({
    method: ['GET', 'POST'],
    url: '/echo',
    async handler(request, reply) {
      const { text } = request.body ?? request.query
      const deed = await gate.meet(request.raw, text)
      if (deed.do === 'flood') return { text: 'x'.repeat(maxAnswerBytes) }
      if (deed.do === 'throttle')
        return reply.code(429).header('retry-after-ms', deed.waitMs).send({ message: serverText })
      if (deed.do === 'busy')
        return reply.code(503).header('retry-after', deed.retryAfterS).send({ message: serverText })
      if (deed.do !== 'refuse') return { text }
      const error = {
        code: `STATUS_${deed.as}`,
        message: serverText,
        details: [{ field: 'text', message: serverText }],
      }
      return reply.code(Number(deed.as)).send({ error })
    },
  })
  await app.ready()
  return gate.listen((request, response) => app.routing(request, response))
}
