import { format, inspect } from 'node:util'
import { type Call, CallError, createClient, type Reply, type TelemetryEvent } from 'polywire'
import { apiKeyAuth, basicAuth, bearerAuth } from 'polywire/auth'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { streamOperation, unaryOperation } from '../../support/memory-client.ts'

const canaries = ['CANARY-token', 'CANARY-header', 'CANARY-input', 'CANARY-key', 'CANARY-user', 'CANARY-cookie']

/** Every way in which people put a value into a log. */
function written(value: unknown): string {
  return [
    JSON.stringify(value),
    JSON.stringify({ nested: [value] }),
    inspect(value),
    inspect(value, { depth: 9, showHidden: false }),
    inspect({ nested: { deeper: [value] } }, { depth: 9 }),
    format('%s %o %j', value, value, value),
    `${String(value)}`,
  ].join('\n')
}

const auths = [
  bearerAuth(() => 'CANARY-token', { identity: () => 'CANARY-user' }),
  basicAuth({ username: 'CANARY-user', password: 'CANARY-token' }),
  apiKeyAuth('CANARY-token', { header: 'x-api-key' }),
]

describe('what is logged of a call', () => {
  it.each(auths.map((auth) => [auth.name, auth] as const))(
    'shows no credential, header, input or key of a call with %s',
    async (_name, auth) => {
      const calls: Call[] = []
      const events: TelemetryEvent[] = []
      const replies: Reply[] = []
      const clock = manualClock()
      let sends = 0
      const client = createClient({
        auth,
        clock,
        transports: {
          memory: memoryTransport({
            handle: (call) => {
              calls.push(call)
              if (++sends === 1)
                throw new CallError(
                  { code: 'unavailable', message: 'down', isRetryable: true, serverMessage: 'CANARY-header' },
                  call,
                )
              return call.operation.kind === 'unary' ? 1 : (async function* () {})()
            },
          }),
        },
        interceptors: (defaults) => [
          ...defaults,
          async (call, next) => {
            calls.push(call)
            const reply = await next(call)
            replies.push(reply)
            return reply
          },
        ],
        telemetry: {
          call: (call) => void calls.push(call),
          attempt: (call) => void calls.push(call),
          event: (event) => void events.push(event),
        },
      })
      const options = {
        headers: { 'x-secret': 'CANARY-header', cookie: 'CANARY-cookie' },
        idempotencyKey: 'CANARY-key',
      }
      const input = { n: 1, secret: 'CANARY-input' }
      const answer = client.call(unaryOperation(), input, options)
      await clock.advance(100)
      expect(await answer).toBe(1)
      await client.call(streamOperation(), input, options).opened
      const things = [...calls, ...events, ...replies, ...calls.map((call) => call.scope)]
      expect(events.map((event) => event.type)).toContain('retry')
      expect(calls.some((call) => call.credential !== undefined)).toBe(true)
      for (const thing of things) {
        const text = written(thing)
        for (const canary of canaries) expect(text).not.toContain(canary)
        if ('attempt' in thing) expect(text).toMatch(/GET \/thing|watch thing/)
      }
    },
  )
})
