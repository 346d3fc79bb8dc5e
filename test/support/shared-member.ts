import { Redis } from 'ioredis'
import { CallError, createClient, processes, redisStore } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, restTransport } from 'polywire/rest'

/** What a process of {@link file://./shared-member.ts} is told by its environment. */
const { API = '', REDIS_PORT = '', CALLS = '1', LOST = 'login', REFRESH_TIMEOUT = '10000' } = process.env

/** One of several processes that share a login at one Redis: makes its calls at once, and says how they ended. */
const [one, two] = [new Redis({ port: Number(REDIS_PORT) }), new Redis({ port: Number(REDIS_PORT) })]
const session = { token: 't0', refresh: 'r0' }
const client = createClient({
  transports: { rest: restTransport({ baseUrl: API }) },
  shared: processes(redisStore(one, { subscriber: two }), 'shop', { refreshTimeoutMs: Number(REFRESH_TIMEOUT) }),
  auth: bearerAuth(() => session.token, {
    lostRefresh: LOST as 'login' | 'try',
    async refresh() {
      const body = JSON.stringify({ refresh: session.refresh })
      const response = await fetch(`${API}/token`, { method: 'POST', body })
      if (!response.ok) throw new CallError({ code: 'unauthenticated', message: 'refused' })
      Object.assign(session, await response.json())
      return { token: session.token, session: session.refresh }
    },
    adopt({ token, session: refresh }) {
      Object.assign(session, { token, refresh })
    },
  }),
})
await one.ping()
const outcomes: Record<string, number> = {}
const calls = Array.from({ length: Number(CALLS) }, (_, id) =>
  client.call(get('/orders/{id}'), { id }).then(
    () => 'ok',
    (error: CallError) => `${error.code} ${error.reason}`,
  ),
)
for (const outcome of await Promise.all(calls)) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
console.log(JSON.stringify({ outcomes, token: session.token }))
await client.close()
one.disconnect()
two.disconnect()
