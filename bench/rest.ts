import { createClient, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, post, restTransport } from 'polywire/rest'
import { request } from 'undici'
import type { Comparison } from './support/ab.ts'
import { lanes } from './support/ab.ts'

interface User {
  readonly id: number
  readonly name: string
}

/** REST with the whole default chain on, against raw undici and the platform's fetch: calls per CPU second. */
export function rest(port: number, rounds: number): { readonly comparisons: Comparison[]; close(): Promise<void> } {
  const origin = `http://127.0.0.1:${port}`
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: origin }) },
    auth: bearerAuth(() => 'token'),
  })
  const api = client.bind({
    get: get('/users/{id}', { output: type<User>() }),
    post: post('/users', { body: type<{ name: string }>(), output: type<User>() }),
  })
  // What the chain costs a call that succeeds: the same transport and facade with and without it.
  const chainless = createClient({ transports: { rest: restTransport({ baseUrl: origin }) }, interceptors: () => [] })
  const plain = createClient({ transports: { rest: restTransport({ baseUrl: origin }) } })
  const user = get('/users/{id}', { output: type<User>() })
  const ofChainless = chainless.bind({ user })
  const ofPlain = plain.bind({ user })
  const headers = { authorization: 'Bearer token', accept: 'application/json' }
  const body = () => JSON.stringify({ name: 'Ada Lovelace' })
  const withBody = { ...headers, 'content-type': 'application/json' }
  const compared = (
    title: string,
    width: number,
    calls: number,
    variants: Record<string, () => Promise<unknown>>,
  ): Comparison => ({
    title,
    calls,
    // Short blocks, so that a slow moment of the machine spoils few of them.
    rounds: rounds * 5,
    warmUpCalls: 4_000,
    variants: Object.entries(variants).map(([name, call]) => ({ name, run: lanes(width, call) })),
  })
  const gets = {
    'undici.request': async () => (await request(`${origin}/users/42`, { headers })).body.json(),
    polywire: () => api.get({ id: 42 }),
    'global fetch': async () => (await fetch(`${origin}/users/42`, { headers })).json(),
  }
  const posts = {
    'undici.request': async () =>
      (await request(`${origin}/users`, { method: 'POST', headers: withBody, body: body() })).body.json(),
    polywire: () => api.post({ name: 'Ada Lovelace' }),
    'global fetch': async () =>
      (await fetch(`${origin}/users`, { method: 'POST', headers: withBody, body: body() })).json(),
  }
  return {
    comparisons: [
      compared('REST GET, 16 at a time', 16, 160, gets),
      compared('REST GET, 1 at a time', 1, 80, gets),
      compared('REST POST, 16 at a time', 16, 160, posts),
      compared('REST GET, 16 at a time: what the chain costs', 16, 160, {
        'no chain': () => ofChainless.user({ id: 42 }),
        'default chain': () => ofPlain.user({ id: 42 }),
        'default chain and auth': () => api.get({ id: 42 }),
      }),
    ],
    close: async () => void (await Promise.all([client.close(), chainless.close(), plain.close()])),
  }
}
