import { bulkhead, CallError, circuitBreaker, createClient, hedging, rateLimiter } from 'polywire'
import { createEventSource } from 'polywire/event-source'
import { createFetch } from 'polywire/fetch'
import { memoryTransport } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

describe('the options that name a place in the chain', () => {
  it('stand where the design says, both limiters in their order', () => {
    let names: string[] = []
    const { client } = memoryClient(() => 'ok', {
      dedupe: async function dedupe(call, next) {
        return next(call)
      },
      hedge: hedging(),
      breaker: circuitBreaker(),
      limiter: [bulkhead(), rateLimiter()],
      telemetry: { call: () => undefined, attempt: () => undefined },
      interceptors: (defaults) => {
        names = defaults.map(({ name }) => name)
        return defaults
      },
    })
    client.bind({ get: unaryOperation() })
    expect(names).toEqual([
      'callSpan',
      'deadline',
      'idempotencyKey',
      'resume',
      'dedupe',
      'retry',
      'hedging',
      'circuitBreaker',
      'bulkhead',
      'rateLimiter',
      'attemptSpan',
    ])
  })

  it.each([
    [{ breaker: {} }, /breaker takes a function/],
    [{ limiter: {} }, /is no interceptor/],
    [{ limiter: [bulkhead(), 1] }, /is no interceptor/],
    [{ hedging: hedging() }, /did you mean 'hedge'/],
  ])('refuse what is no interceptor: %o', (options, message) => {
    const transports = { memory: memoryTransport({ handle: () => 1 }) }
    expect(() => createClient({ transports, ...(options as object) })).toThrow(message)
  })

  it('a fetch of its own takes them', async () => {
    let requests = 0
    const fetch = createFetch({
      http: async () => {
        requests++
        return new Response('', { status: 503 })
      },
      retry: false,
      breaker: circuitBreaker({ failures: 2 }),
      limiter: bulkhead(),
    })
    for (let count = 0; count < 2; count++) expect((await fetch('https://api.example.com/a')).status).toBe(503)
    const refused = await fetch('https://api.example.com/a').catch((error: { cause: unknown }) => error.cause)
    expect(refused).toBeInstanceOf(CallError)
    expect(refused).toMatchObject({ code: 'unavailable', sent: 'no' })
    expect(requests).toBe(2)
    await fetch.close()
  })

  it('a class of event sources takes them', async () => {
    let requests = 0
    const states: string[] = []
    const EventSource = createEventSource({
      http: async () => {
        requests++
        return new Response('', { status: 503 })
      },
      opening: { maxAttempts: 1 },
      breaker: circuitBreaker({ failures: 1, onEvent: ({ state }) => states.push(state) }),
    })
    const open = () =>
      new Promise((resolve) => {
        const source = new EventSource('https://api.example.com/events')
        source.onerror = (event) => {
          source.close()
          resolve((event as unknown as { error: CallError }).error.sent)
        }
      })
    expect(await open()).toBe('yes')
    expect(await open()).toBe('no')
    expect([requests, states]).toEqual([1, ['open']])
  })
})
