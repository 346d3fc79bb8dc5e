import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, isCallError, type } from 'polywire'
import { graphqlTransport, query } from 'polywire/graphql'
import { get, restTransport } from 'polywire/rest'
import { virtualClock } from 'polywire/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

/** What the server answers next; then 200. */
let next: { status: number; headers: Record<string, string>; body?: object } | undefined
let requests: number
let origin: string
let close: () => Promise<void>
beforeEach(async () => {
  requests = 0
  const server = createServer((request, response) => {
    request.resume()
    requests++
    const { status, headers, body } = next ?? { status: 200, headers: {}, body: { data: {} } }
    next = undefined
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  close = () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(() => resolve()))
  }
})
afterEach(() => close())

const thing = get('/things/{id}', { output: type<object>() })
const things = query('query Things { things }', { output: type<object>() })

/** A first call that the server answers so, and whether a later one is held. */
async function isLaterHeld(answer: NonNullable<typeof next>, protocol: 'rest' | 'graphql' = 'rest'): Promise<boolean> {
  const clock = virtualClock()
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: origin }), graphql: graphqlTransport({ url: `${origin}/graphql` }) },
    retry: { maxAttempts: 1 },
    timeoutMs: Number.POSITIVE_INFINITY,
    clock,
  })
  const call = (id: number) => (protocol === 'rest' ? client.call(thing, { id }) : client.call(things))
  next = answer
  const error: unknown = await call(1).catch((failure: unknown) => failure)
  expect(isCallError(error)).toBe(true)
  const later = call(2)
  later.catch(() => {})
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  const isHeld = clock.nextMs !== undefined && requests === 1
  await clock.advance(60_000)
  if (isHeld) await later
  await client.close()
  return isHeld
}

describe('a wait that a server asks for', () => {
  it.each([429, 503])('with %i holds later calls', async (status) => {
    expect(await isLaterHeld({ status, headers: { 'retry-after': '30' } })).toBe(true)
  })

  it.each([401, 403, 404, 409, 410, 413, 422, 423, 500, 502, 504])('with %i holds nobody else', async (status) => {
    expect(await isLaterHeld({ status, headers: { 'retry-after': '30' } })).toBe(false)
  })

  it.each(['1795000000', '86400', 'Fri, 31 Dec 2100 23:59:59 GMT'])('of %j holds nobody', async (value) => {
    expect(await isLaterHeld({ status: 429, headers: { 'retry-after': value } })).toBe(false)
  })

  it.each(['soon', '-1', '1e9', ''])('of %j, which is none, keeps a reset from holding anybody', async (value) => {
    const headers = { 'retry-after': value, 'x-ratelimit-reset': '30', 'ratelimit-reset': '30' }
    expect(await isLaterHeld({ status: 429, headers })).toBe(false)
  })

  it('is the reset where a throttled answer says nothing else', async () => {
    expect(await isLaterHeld({ status: 429, headers: { 'x-ratelimit-reset': '30' } })).toBe(true)
    expect(await isLaterHeld({ status: 503, headers: { 'x-ratelimit-reset': '30' } })).toBe(false)
    expect(await isLaterHeld({ status: 404, headers: { 'x-ratelimit-reset': '30' } })).toBe(false)
  })

  it.each([
    ['RATE_LIMITED', true],
    ['SERVICE_UNAVAILABLE', true],
    ['NOT_FOUND', false],
    ['FORBIDDEN', false],
    ['PAYLOAD_TOO_LARGE', false],
    ['MAX_COST_EXCEEDED', false],
  ])('by a GraphQL error %s', async (code, isHeld) => {
    const body = { errors: [{ message: 'no', extensions: { code, retryAfter: 30 } }] }
    expect(await isLaterHeld({ status: 200, headers: {}, body }, 'graphql')).toBe(isHeld)
  })
})
