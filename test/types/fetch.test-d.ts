import { createClient } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { createFetch, type FetchRequest, operationOf, type PolywireFetch } from 'polywire/fetch'
import { restTransport } from 'polywire/rest'
import { expectTypeOf, test } from 'vitest'

const client = createClient({ transports: { rest: restTransport({ baseUrl: 'https://api.example.com' }) } })
const auth = bearerAuth('t')

test('a face is a fetch, and more', () => {
  const face = createFetch({ origin: 'https://api.example.com', auth })
  expectTypeOf(face).toExtend<typeof fetch>()
  expectTypeOf(face('https://a.test')).toEqualTypeOf<Promise<Response>>()
  expectTypeOf(face.with({ timeoutMs: 5 })).toEqualTypeOf<PolywireFetch>()
  expectTypeOf(createFetch(client)).toEqualTypeOf<PolywireFetch>()
  // @ts-expect-error no such call option
  face.with({ timeout: 5 })
})

test('a credential needs an origin', () => {
  createFetch({ origins: { 'https://a.test': { auth } } })
  createFetch({ origin: ['https://a.test', 'https://b.test'], auth, idempotency: 'stripe' })
  // @ts-expect-error auth without an origin would go anywhere
  createFetch({ auth })
  const hoisted = { auth }
  // @ts-expect-error the same hoisted
  createFetch(hoisted)
  // @ts-expect-error routes are of an origin
  createFetch({ routes: { 'POST /a': { idempotent: true } } })
})

test('routes are a method and a path', () => {
  createFetch({
    origin: 'self',
    routes: { 'POST /v1/charges/{id}': { idempotency: 'stripe', timeoutMs: 5, retry: false } },
  })
  // @ts-expect-error no path
  createFetch({ origin: 'self', routes: { charges: { idempotent: true } } })
  // @ts-expect-error no such member
  createFetch({ origin: 'self', routes: { 'POST /a': { idempotant: true } } })
})

test('operationOf names a request, or says what its route is', () => {
  createFetch(client, { operationOf: (request) => request.headers.get('x-operation') ?? operationOf(request) })
  createFetch(client, {
    operationOf: (request) => {
      expectTypeOf(request).toEqualTypeOf<FetchRequest>()
      return { name: 'search', idempotent: true }
    },
  })
  // @ts-expect-error neither a name nor a route
  createFetch(client, { operationOf: () => 5 })
  // @ts-expect-error policies of a client are the client's
  createFetch(client, { retry: false })
})
