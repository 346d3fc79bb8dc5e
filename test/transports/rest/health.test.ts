import fc from 'fast-check'
import { circuitBreaker, createClient, type Health } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, health, restTransport } from 'polywire/rest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { answer, type RestServer, resetBeforeHeaders, startRestServer } from '../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

function connect(options: object = {}) {
  server.seen.length = 0
  const client = createClient({ transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) }, ...options })
  return { client, api: client.bind({ health: health('/healthz'), user: get('/users/{id}') }) }
}

const typed = (status: number, body: string, type: string, headers = {}) =>
  answer(status, body, { 'content-type': type, ...headers })

describe('health()', () => {
  it.each([
    ['a plain 200', answer(200), 'pass'],
    ['204', answer(204), 'pass'],
    ['a text', typed(200, 'OK', 'text/plain'), 'pass'],
    ['a text that Express calls HTML', typed(200, 'OK', 'text/html'), 'pass'],
    ['health+json', typed(200, '{"status":"pass","version":"1"}', 'application/health+json'), 'pass'],
    ['a warning', typed(200, '{"status":"warn"}', 'application/health+json'), 'warn'],
    ['Spring’s UP', typed(200, '{"status":"UP"}', 'application/vnd.spring-boot.actuator.v3+json'), 'pass'],
    ['Spring’s OUT_OF_SERVICE', typed(200, '{"status":"OUT_OF_SERVICE"}', 'application/json'), 'fail'],
    ['a failure that is said by 200', typed(200, '{"status":"fail"}', 'application/health+json'), 'fail'],
    ['a failure that is said by 503 alone', typed(503, '{"status":"pass"}', 'application/health+json'), 'fail'],
    ['500', answer(500), 'fail'],
    ['another word', typed(200, '{"status":"maybe"}', 'application/health+json'), 'unknown'],
    ['404', answer(404), 'unknown'],
    ['401', answer(401), 'unknown'],
    ['429', answer(429), 'unknown'],
    ['an SPA fallback', typed(200, '<!doctype html><p>hi', 'text/html'), 'unknown'],
    ['JSON that is none', typed(200, '{"status":', 'application/health+json'), 'unknown'],
  ] as const)('takes %s for an answer', async (_what, answered, status) => {
    const { client, api } = connect()
    server.answer(answered)
    const found: Health = await api.health()
    expect(found).toMatchObject({ status, isHealthy: status === 'pass' || status === 'warn' })
    expect(found.latencyMs).toBeGreaterThan(0)
    expect(server.seen).toHaveLength(1)
    expect(server.seen[0]?.headers.accept).toMatch(/^application\/health\+json, application\/json;/)
    await client.close()
  })

  it('gives what the server says beside that, and when it wants to be asked again', async () => {
    const { client, api } = connect()
    server.answer(typed(503, '{"status":"fail","checks":{"db":[]}}', 'application/health+json', { 'retry-after': '7' }))
    expect(await api.health()).toMatchObject({
      status: 'fail',
      retryAfterMs: 7000,
      details: { status: 'fail', checks: { db: [] } },
    })
    server.answer(answer(200))
    // Its 503 holds back no other call, and costs no budget.
    expect(await api.user({ id: 1 })).toBeUndefined()
    expect(server.seen).toHaveLength(2)
    await client.close()
  })

  it('is never sent again, and says of a server that is not there that it is unreachable', async () => {
    const { client, api } = connect()
    server.answer(resetBeforeHeaders)
    const found = await api.health()
    expect(found).toMatchObject({ status: 'unreachable', isHealthy: false, error: { code: 'unavailable' } })
    expect(server.seen).toHaveLength(1)
    await client.close()
    const gone = createClient({ transports: { rest: restTransport({ baseUrl: 'http://127.0.0.1:1' }) } })
    expect((await gone.call(health())).status).toBe('unreachable')
    await gone.close()
  })

  it('waits 2 s and no longer, unless it is told otherwise', async () => {
    const clock = manualClock()
    const { client, api } = connect({ clock })
    let asked: (() => void) | undefined
    const arrived = new Promise<void>((resolve) => {
      asked = resolve
    })
    server.answer((_request, reply) => {
      reply.hijack()
      asked?.()
    })
    // Said to be nothing, as by a setting that is not there.
    const probing = api.health(undefined, { timeoutMs: undefined })
    await arrived
    await clock.advance(2000)
    expect(await probing).toMatchObject({
      status: 'unreachable',
      latencyMs: 2000,
      error: { code: 'deadline_exceeded' },
    })
    await client.close()
  })

  it('carries no credential unless it is told to, and begins where it is told to', async () => {
    const { client } = connect({ auth: bearerAuth(() => 'secret') })
    server.answer(answer(200))
    await client.call(health('/healthz', { from: 'origin' }))
    expect([server.last.url, server.last.headers.authorization]).toEqual(['/healthz', undefined])
    await client.call(health('/healthz', { auth: true }))
    expect([server.last.url, server.last.headers.authorization]).toEqual(['/v1/healthz', 'Bearer secret'])
    await client.close()
  })

  it('rejects where nothing could be asked: an abort, a closed client, a wrong option', async () => {
    const { client, api } = connect()
    const reason = new Error('enough')
    await expect(api.health({}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await expect(api.health({}, { timeoutMs: 'soon' as never })).rejects.toMatchObject({ code: 'invalid_argument' })
    await client.close()
    await expect(api.health()).rejects.toMatchObject({ code: 'failed_precondition' })
    expect(() => health('/x', { form: 'base' } as never)).toThrow("did you mean 'from'")
  })

  it('says unknown, not unreachable, where a policy of ours or the credential kept the question back', async () => {
    const { client, api } = connect({ breaker: circuitBreaker({ failures: 1, ratio: 0 }) })
    server.answer(resetBeforeHeaders)
    expect((await api.health()).status).toBe('unreachable')
    const asked = server.seen.length
    const found = await api.health()
    expect(found).toMatchObject({ status: 'unknown', isHealthy: false, error: { code: 'unavailable' } })
    expect(found.retryAfterMs).toBeGreaterThan(0)
    expect(server.seen).toHaveLength(asked)
    await client.close()
  })

  it('rejects a question that the end of its client has cut off', async () => {
    const { client, api } = connect()
    let asked: (() => void) | undefined
    const arrived = new Promise<void>((resolve) => {
      asked = resolve
    })
    server.answer((_request, reply) => {
      reply.hijack()
      asked?.()
    })
    const probing = api.health()
    await arrived
    await Promise.all([expect(probing).rejects.toMatchObject({ code: 'canceled' }), client.close()])
  })

  it('answers whatever bytes come', async () => {
    const { client, api } = connect()
    const seed = Date.now() & 0xffff
    const types = fc.constantFrom(
      'application/health+json',
      'application/json; charset=nonsense',
      'text/plain',
      'image/png',
      '',
    )
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 200, max: 599 }),
        types,
        fc.uint8Array({ maxLength: 60 }),
        async (status, type, bytes) => {
          // Their meaning is the wire's.
          fc.pre(![204, 205, 304].includes(status) && !(status >= 300 && status < 400))
          server.answer((_request, reply) => {
            reply.hijack()
            reply.raw.writeHead(status, type === '' ? {} : { 'content-type': type })
            reply.raw.end(bytes)
          })
          const { status: found } = await api.health()
          expect(['pass', 'warn', 'fail', 'unknown']).toContain(found)
          if (status >= 500) expect(found).toBe('fail')
        },
      ),
      { seed, numRuns: 100 },
    )
    await client.close()
  })
})
