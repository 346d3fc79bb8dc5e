import type { ServerResponse } from 'node:http'
import { createClient, isCallError, processes } from 'polywire'
import {
  authorizationCode,
  authorizationServer,
  clientCredentials,
  clientSecretPost,
  deviceCode,
  type OAuthSession,
  oauthAuth,
  refreshTokens,
} from 'polywire/oauth'
import { get, restTransport } from 'polywire/rest'
import { memoryTransport, virtualClock } from 'polywire/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { memoryStore } from '../../../src/core/store/memory-store.ts'
import { unaryOperation } from '../../support/memory-client.ts'
import { startOidc } from '../../support/servers/oidc.ts'
import { startWireRecorder } from '../../support/servers/wire-recorder.ts'

const thing = get('/things/{id}')
type Script = (
  url: string,
  init: { body: URLSearchParams; headers: Record<string, string> },
) => Response | Promise<Response>

const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json', ...headers } })

/** An authorization server that answers as it is told. */
function scripted(script: Script, more: object = {}) {
  return authorizationServer({
    issuer: 'https://login.test',
    metadata: {
      token_endpoint: 'https://login.test/token',
      device_authorization_endpoint: 'https://login.test/device',
    },
    clientId: 'app',
    fetch: script as never,
    ...more,
  })
}

function clientOf(session: OAuthSession, baseUrl: string, options: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl }) },
    auth: oauthAuth(session),
    ...options,
  })
  onTestFinished(() => client.close())
  return client
}

async function failureOf(work: Promise<unknown>): Promise<Record<string, unknown>> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!isCallError(error)) throw new Error(`no CallError: ${error}`)
  return error as unknown as Record<string, unknown>
}

describe('a token endpoint that fails', () => {
  const answers: [string, (response: ServerResponse) => void][] = [
    ['503', (response) => response.writeHead(503, { 'retry-after': '7' }).end('down')],
    ['a gateway page', (response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<html>')],
    ['a reset connection', (response) => response.socket?.destroy()],
    ['429', (response) => response.writeHead(429).end()],
  ]
  it.each(answers)('%s is unavailable, one error a call, and asked for once where retry is off', async (_, answer) => {
    await using server = await startOidc()
    const as = authorizationServer({
      issuer: server.issuer,
      clientId: 'post',
      clientAuth: clientSecretPost('post-secret'),
    })
    const client = clientOf(clientCredentials(as), server.api, { retry: false })
    server.failToken(answer)
    const failures = await Promise.all([1, 2, 3].map((id) => failureOf(client.call(thing, { id }))))
    expect(failures.map(({ code, isRetryable, sent }) => [code, isRetryable, sent])).toEqual(
      Array(3).fill(['unavailable', true, 'no']),
    )
    expect(server.exchanges.length).toBe(1)
    expect(server.calls.length).toBe(0)
    // What has passed by is over: nothing of the failure is kept.
    if (_ !== '503') await client.call(thing, { id: 4 })
  })

  it('is left alone for as long as it asks, however often a token is asked for', async () => {
    const clock = virtualClock()
    let asked = 0
    const as = scripted(
      () =>
        asked++ === 0
          ? new Response('down', { status: 503, headers: { 'retry-after': '7' } })
          : json({ access_token: 'a', token_type: 'bearer' }),
      { clock },
    )
    const session = clientCredentials(as)
    expect(await failureOf(session.token())).toMatchObject({ code: 'unavailable', retryAfterMs: 7000 })
    await clock.advance(6999)
    expect(await failureOf(session.token())).toMatchObject({ code: 'unavailable' })
    expect(asked).toBe(1)
    await clock.advance(1)
    expect(await session.token()).toEqual({ token: 'a' })
  })

  it('that never answers is bounded, and its request is aborted', async () => {
    const clock = virtualClock()
    let signal: AbortSignal | undefined
    const as = scripted(
      (_url, init) => {
        signal = (init as unknown as RequestInit).signal as AbortSignal
        return new Promise(() => undefined)
      },
      { clock, timeoutMs: 3000 },
    )
    const failed = failureOf(clientCredentials(as).token())
    await clock.advance(2999)
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    expect(await failed).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(signal?.aborted).toBe(true)
  })

  it.each([
    ['HTML for JSON', () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
    ['a token of an unknown type', () => json({ access_token: 'canary-token', token_type: 'mac' })],
    ['no token', () => json({ token_type: 'bearer' })],
    [
      'a life that is no number',
      () => json({ access_token: 'canary-token', token_type: 'bearer', expires_in: 'soon' }),
    ],
    ['a redirect', () => new Response(null, { status: 302, headers: { location: 'https://evil.test/' } })],
  ])('%s is a failure that nobody retries, and that shows no token', async (_, answer) => {
    let asked = 0
    const as = scripted(() => {
      asked++
      return answer()
    })
    const error = await failureOf(clientCredentials(as).token())
    expect(error).toMatchObject({ isRetryable: false })
    expect(asked).toBe(1)
    for (let each: unknown = error; each instanceof Error; each = each.cause) {
      expect(JSON.stringify(each) + each.stack + JSON.stringify(Object.entries(each))).not.toContain('canary')
    }
  })

  it('sends nothing to an issuer over http that is not this machine', async () => {
    let asked = 0
    const fetch = async () => {
      asked++
      return json({})
    }
    const as = authorizationServer({ issuer: 'http://login.test', clientId: 'app', fetch: fetch as never })
    expect(await failureOf(clientCredentials(as).token())).toMatchObject({ code: 'failed_precondition' })
    expect(asked).toBe(0)
  })

  it('of a server on this machine that lies elsewhere gets nothing over http', async () => {
    const asked: string[] = []
    const as = scripted(
      (url) => {
        asked.push(url)
        return json({ access_token: 'a', token_type: 'bearer' })
      },
      { issuer: 'http://localhost:1', metadata: { token_endpoint: 'http://elsewhere.test/token' } },
    )
    expect(await failureOf(clientCredentials(as).token())).toMatchObject({ code: 'failed_precondition' })
    expect(asked).toEqual([])
  })

  it('that binds a token to a key that the app has none of is refused, with words that name the option', async () => {
    const as = scripted(() => json({ access_token: 'a', token_type: 'DPoP' }))
    const error = await failureOf(clientCredentials(as).token())
    expect(error).toMatchObject({ code: 'failed_precondition' })
    expect(error.message).toContain('authorizationServer() takes dpop')
  })

  it('whose metadata does not come fails for now, for whoever waited for it with somebody else', async () => {
    const clock = virtualClock()
    const fetch = (_url: string, { signal }: RequestInit) =>
      new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    const as = authorizationServer({ issuer: 'https://login.test', clientId: 'app', timeoutMs: 1000, clock, fetch })
    const first = failureOf(clientCredentials(as).token())
    await clock.advance(600)
    const second = failureOf(clientCredentials(as).token())
    await clock.advance(1000)
    for (const error of [await first, await second])
      expect(error).toMatchObject({ code: 'unavailable', isRetryable: true })
  })

  it('a fetch that goes by the same client carries no token and waits for none', async () => {
    await using server = await startOidc()
    const { createFetch } = await import('polywire/fetch')
    const late: { fetch?: typeof globalThis.fetch } = {}
    const as = authorizationServer({
      issuer: server.issuer,
      clientId: 'post',
      clientAuth: clientSecretPost('post-secret'),
      fetch: ((...args: Parameters<typeof fetch>) => late.fetch?.(...args)) as never,
    })
    const client = clientOf(clientCredentials(as), server.api)
    late.fetch = createFetch(client, { origins: { [server.issuer]: {} } }) as never
    await client.call(thing, { id: 1 })
    expect(server.exchanges).toMatchObject([{ status: 200, authorization: undefined }])
  })
})

describe('a refresh token', () => {
  it('is renewed once for two clients that share a session, and kept before anybody has the access token', async () => {
    const store = memoryStore()
    let asked = 0
    const as = scripted(async (_url, { body }) => {
      asked++
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(body.get('refresh_token')).toBe('r0')
      return json({ access_token: 'a1', token_type: 'bearer', refresh_token: 'r1', expires_in: 60 })
    })
    const session = refreshTokens(as, {
      tokens: { accessToken: 'a0', refreshToken: 'r0', expiresAt: 0 },
      keep: { store, key: 'login' },
    })
    const got = await Promise.all([
      session.token(),
      session.token(),
      session.refresh({ reason: 'rejected', rejected: 'a0' }),
    ])
    expect(got.map(({ token }) => token)).toEqual(['a1', 'a1', 'a1'])
    expect(asked).toBe(1)
    expect(JSON.parse((await store.get('login')) as string)).toMatchObject({ accessToken: 'a1', refreshToken: 'r1' })
  })

  it('is used once by two sessions over one store: the second adopts what the first has got', async () => {
    const store = memoryStore()
    let asked = 0
    const as = scripted((_url, { body }) => {
      asked++
      expect(body.get('refresh_token')).toBe('r0')
      return json({ access_token: 'a1', token_type: 'bearer', refresh_token: 'r1', expires_in: 60 })
    })
    const keep = { store, key: 'login' }
    await store.set('login', JSON.stringify({ accessToken: 'a0', refreshToken: 'r0', expiresAt: 0 }))
    const sessions = Array.from({ length: 20 }, () => refreshTokens(as, { keep }))
    const tokens = await Promise.all(sessions.map((session) => session.token()))
    expect(new Set(tokens.map(({ token }) => token))).toEqual(new Set(['a1']))
    expect(asked).toBe(1)
  })

  it('is used once by two processes that share, and the second goes on with the rotated one', async () => {
    await using api = await startWireRecorder()
    let good = 'a1'
    api.answer((request, response) =>
      response.writeHead(request.headers.authorization === `Bearer ${good}` ? 200 : 401).end('{}'),
    )
    const used: (string | null)[] = []
    const script: Script = (_url, { body }) => {
      used.push(body.get('refresh_token'))
      return json({ access_token: good, token_type: 'bearer', refresh_token: `r${used.length}`, expires_in: 600 })
    }
    const store = memoryStore()
    const clients = [0, 1].map(() => {
      const session = refreshTokens(scripted(script), { tokens: { accessToken: 'a0', refreshToken: 'r0' } })
      return clientOf(session, api.url, { shared: processes(store, 'shop') })
    })
    await Promise.all(clients.flatMap((client) => [1, 2, 3].map((id) => client.call(thing, { id }))))
    expect(used).toEqual(['r0'])
    good = 'a2'
    // Whoever comes first, it has what the other one was given.
    for (const client of clients.reverse()) await client.call(thing, { id: 4 })
    expect(used).toEqual(['r0', 'r1'])
  })

  it.each([0, 60_000])('that ends in %i ms is used once by two that share, whoever comes first', async (lifeMs) => {
    const clock = virtualClock()
    const store = memoryStore()
    const used: (string | null)[] = []
    const as = scripted(
      (_url, { body }) => {
        const n = used.push(body.get('refresh_token'))
        return json({ access_token: `a${n}`, token_type: 'bearer', refresh_token: `r${n}`, expires_in: 60 })
      },
      { clock },
    )
    const clients = [0, 1].map(() => {
      const tokens = { accessToken: 'a0', refreshToken: 'r0', expiresAt: clock.wallNow() + lifeMs }
      const auth = oauthAuth(refreshTokens(as, { tokens }))
      const transports = { memory: memoryTransport({ handle: (call) => call.credential?.secret }) }
      const client = createClient({ transports, auth, clock, retry: false, shared: processes(store, 'shop') })
      onTestFinished(() => client.close())
      return client
    })
    for (let round = lifeMs ? 0 : 1; round < 4; round++) {
      const seen = await Promise.all(clients.reverse().map((client) => client.call(unaryOperation())))
      expect(seen).toEqual([`a${round}`, `a${round}`])
      await clock.advance(61_000)
    }
    expect(used).toEqual(['r0', 'r1', 'r2'])
  })

  const over = { accessToken: 'a0', refreshToken: 'r0', expiresAt: 0 }

  /** A server that answers when it is told to. */
  function slow(more: object = {}) {
    const asked: { url: string; token: string | null; answer: (response: Response) => void }[] = []
    const as = scripted(
      (url, { body }) =>
        new Promise((answer) => asked.push({ url, token: body.get('refresh_token') ?? body.get('token'), answer })),
      {
        metadata: { token_endpoint: 'https://login.test/token', revocation_endpoint: 'https://login.test/revoke' },
        ...more,
      },
    )
    return { as, asked }
  }
  const renewed = (token: string, refresh: string) =>
    json({ access_token: token, token_type: 'bearer', refresh_token: refresh, expires_in: 60 })

  it('that is renewed while the user signs out is revoked, and brings the login not back', async () => {
    const store = memoryStore()
    const { as, asked } = slow()
    const session = refreshTokens(as, { tokens: over, keep: { store, key: 'login' } })
    const failed = failureOf(session.token())
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    const out = session.signOut()
    await new Promise((resolve) => setImmediate(resolve))
    expect(session.tokens).toBeUndefined()
    asked[0]?.answer(renewed('a1', 'r1'))
    await vi.waitFor(() => expect(asked).toHaveLength(2))
    asked[1]?.answer(new Response(null))
    await out
    expect(await failed).toMatchObject({ code: 'unauthenticated', reason: 'login_required' })
    expect(asked.map(({ url, token }) => [url.slice(19), token])).toEqual([
      ['token', 'r0'],
      ['revoke', 'r1'],
    ])
    expect([session.tokens, await store.get('login')]).toEqual([undefined, undefined])
  })

  it('is forgotten and revoked though the store cannot be read, or written', async () => {
    const away = () => Promise.reject(new Error('away'))
    for (const failing of [{ get: away }, { get: away, delete: away }]) {
      const { as, asked } = slow()
      // Its own delete() reads by get(), and waits for no promise of it.
      const store = Object.assign(memoryStore(), { delete: () => true }, failing)
      const session = refreshTokens(as, { tokens: over, keep: { store, key: 'login' } })
      const out = session.signOut().catch(({ code }) => code)
      await vi.waitFor(() => expect(asked).toHaveLength(1))
      expect([asked[0]?.token, session.tokens]).toEqual(['r0', undefined])
      asked[0]?.answer(new Response(null))
      expect(await out).toBe('delete' in failing ? 'unavailable' : undefined)
    }
  })

  it('that is renewed while somebody else logs in gives nobody the old tokens', async () => {
    const store = memoryStore()
    const { as, asked } = slow()
    const session = refreshTokens(as, { tokens: over, keep: { store, key: 'login' } })
    const waiting = session.token()
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    await session.set({ accessToken: 'other', refreshToken: 'other-r' })
    asked[0]?.answer(renewed('a1', 'r1'))
    expect(await waiting).toEqual({ token: 'other' })
    expect(session.tokens?.refreshToken).toBe('other-r')
    expect(await store.get('login')).toContain('other-r')
  })

  it('is of no use in the other tab once one has signed out, before or while it renews', async () => {
    const store = memoryStore()
    const clock = virtualClock()
    const kept = { ...over, expiresAt: clock.wallNow() + 10 }
    await store.set('login', JSON.stringify(kept))
    const { as, asked } = slow({ clock, metadata: { token_endpoint: 'https://login.test/token' } })
    const [one, two, three] = Array.from({ length: 3 }, () => refreshTokens(as, { keep: { store, key: 'login' } }))
    await Promise.all([one?.token(), two?.token(), three?.token()])
    await clock.advance(20)
    const during = failureOf((two as OAuthSession).token())
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    await one?.signOut()
    asked[0]?.answer(renewed('a1', 'r1'))
    expect(await during).toMatchObject({ reason: 'login_required' })
    expect(await failureOf((three as OAuthSession).token())).toMatchObject({ reason: 'login_required' })
    expect(asked).toHaveLength(1)
    expect(await store.get('login')).toBeUndefined()
  })

  it('that another tab has used meanwhile ends no login: what it got is taken', async () => {
    const store = memoryStore()
    const { as, asked } = slow()
    const session = refreshTokens(as, { tokens: over, keep: { store, key: 'login' } })
    const waiting = session.token()
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    // A tab that slept has lost the lease meanwhile.
    await store.set('login', JSON.stringify({ accessToken: 'a1', refreshToken: 'r1' }))
    asked[0]?.answer(json({ error: 'invalid_grant' }, 400))
    expect(await waiting).toEqual({ token: 'a1' })
    expect(await store.get('login')).toContain('r1')
  })

  it('that the server gives slowly is waited for by every call, and none is taken for one of its own', async () => {
    const clock = virtualClock()
    const { as, asked } = slow({ clock })
    const session = refreshTokens(as, { tokens: over })
    const transports = { memory: memoryTransport({ handle: (call) => call.credential?.secret }) }
    const client = createClient({ transports, clock, auth: oauthAuth(session) })
    const calls = [client.call(unaryOperation())]
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    calls.push(client.call(unaryOperation()))
    await clock.advance(6000)
    asked[0]?.answer(renewed('a1', 'r1'))
    expect(await Promise.all(calls)).toEqual(['a1', 'a1'])
    await client.close()
  })

  it('that is rotated is written once more where the store fails for a moment: nobody brings the old one', async () => {
    const lost = [false, true]
    for (const isApplied of lost) {
      const store = memoryStore()
      const { as, asked } = slow()
      await store.set('login', JSON.stringify(over))
      const write = store.compareAndSet.bind(store)
      let writes = 0
      vi.spyOn(store, 'compareAndSet').mockImplementation(async (...all) => {
        if (all[0] !== 'login' || ++writes > 1) return write(...all)
        if (isApplied) await write(...all)
        throw new Error('the connection was reset')
      })
      const [one, two] = [0, 1].map(() => refreshTokens(as, { keep: { store, key: 'login' } })) as [
        OAuthSession,
        OAuthSession,
      ]
      const first = one.token()
      await vi.waitFor(() => expect(asked).toHaveLength(1))
      asked[0]?.answer(renewed('a1', 'r1'))
      expect(await first).toMatchObject({ token: 'a1' })
      expect(await two.token()).toMatchObject({ token: 'a1' })
      expect(asked).toHaveLength(1)
    }
  })

  it('is not brought by who was so slow that his turn has passed: another one may bring it', async () => {
    const store = memoryStore()
    const { as, asked } = slow()
    await store.set('login', JSON.stringify(over))
    const session = refreshTokens(as, { keep: { store, key: 'login' } })
    const read = store.get.bind(store)
    let reads = 0
    // The second look is behind the lease, which ends meanwhile: a laptop that sleeps, a store that takes seconds.
    vi.spyOn(store, 'get').mockImplementation((key) => {
      if (key === 'login' && ++reads === 2) void store.delete('login lease')
      return read(key)
    })
    expect(await failureOf(session.token())).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(asked).toHaveLength(0)
    const again = session.token()
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    asked[0]?.answer(renewed('a1', 'r1'))
    expect(await again).toMatchObject({ token: 'a1' })
  })

  it('is held for longer than one request to the server may take', async () => {
    const clock = virtualClock()
    const store = memoryStore()
    const { as, asked } = slow({ clock, timeoutMs: 60_000 })
    await store.set('login', JSON.stringify(over))
    const sessions = [0, 1].map(() => refreshTokens(as, { keep: { store, key: 'login' } }))
    const waiting = Promise.all(sessions.map((session) => session.token()))
    await vi.waitFor(() => expect(asked).toHaveLength(1))
    await clock.advance(50_000)
    asked[0]?.answer(json({ access_token: 'a1', token_type: 'bearer', refresh_token: 'r1' }))
    await clock.advance(100)
    expect((await waiting).map(({ token }) => token)).toEqual(['a1', 'a1'])
    expect(asked).toHaveLength(1)
  })

  it('is not lost with a store that hangs, fails or holds what is none', async () => {
    const clock = virtualClock()
    const server = () => scripted(() => renewed('a1', 'r1'), { clock })
    const never = () => new Promise<never>(() => undefined)
    for (const hanging of [{ get: never }, { add: never }]) {
      const store = Object.assign(memoryStore(), hanging)
      const keep = { store, key: 'login' }
      const session = refreshTokens(server(), 'get' in hanging ? { keep } : { tokens: over, keep })
      const failed = failureOf(session.token())
      await clock.advance(5000)
      expect(await failed).toMatchObject({ code: 'unavailable', isRetryable: true })
    }
    const full = Object.assign(memoryStore(), {
      add: () => true,
      compareAndSet: () => true,
      set() {
        throw new DOMException('full', 'QuotaExceededError')
      },
    })
    const session = refreshTokens(server(), { tokens: over, keep: { store: full, key: 'login' } })
    expect(await failureOf(session.token())).toMatchObject({ code: 'unavailable', isRetryable: true })
    expect(await session.token()).toMatchObject({ token: 'a1' })
    const stuck = Object.assign(memoryStore(), {
      delete() {
        throw new Error('no')
      },
    })
    const other = refreshTokens(server(), { tokens: over, keep: { store: stuck, key: 'login' } })
    expect(await other.token()).toMatchObject({ token: 'a1' })
    const odd = memoryStore()
    await odd.set('login', JSON.stringify({ accessToken: 'a0', refreshToken: 7, expiresAt: null }))
    expect(await refreshTokens(server(), { keep: { store: odd, key: 'login' } }).token()).toEqual({ token: 'a0' })
  })

  it('that could not be written is the one that is used next, not the one before it in the store', async () => {
    const store = memoryStore()
    await store.set('login', JSON.stringify(over))
    const used: (string | null)[] = []
    const as = scripted((_url, { body }) => {
      const n = used.push(body.get('refresh_token'))
      return renewed(`a${n}`, `r${n}`)
    })
    const { compareAndSet } = store
    store.compareAndSet = (key, ...words) =>
      key === 'login' ? Promise.reject(new Error('away')) : compareAndSet.call(store, key, ...words)
    const session = refreshTokens(as, { keep: { store, key: 'login' } })
    expect(await failureOf(session.token())).toMatchObject({ code: 'unavailable', isRetryable: true })
    store.compareAndSet = compareAndSet
    expect(await session.refresh({ reason: 'rejected', rejected: 'a1' })).toMatchObject({ token: 'a2' })
    expect(used).toEqual(['r0', 'r1'])
    expect(await store.get('login')).toContain('r2')
  })

  it('stays where the server gives no other one, and outlives a failure that passes', async () => {
    const answers = [
      () => json({}, 503),
      () => json({ access_token: 'a1', token_type: 'bearer' }),
      () => json({ access_token: 'a2', token_type: 'bearer' }),
    ]
    const used: (string | null)[] = []
    const as = scripted((_url, { body }) => {
      used.push(body.get('refresh_token'))
      return (answers.shift() as () => Response)()
    })
    const session = refreshTokens(as, { tokens: { accessToken: 'a0', refreshToken: 'r0', expiresAt: 0 } })
    expect(await failureOf(session.token())).toMatchObject({ code: 'unavailable' })
    expect(await session.token()).toEqual({ token: 'a1' })
    expect(await session.refresh({ reason: 'rejected', rejected: 'a1' })).toMatchObject({ token: 'a2' })
    expect(used).toEqual(['r0', 'r0', 'r0'])
  })
})

describe('a device code', () => {
  const begun = {
    device_code: 'd',
    user_code: 'U-1',
    verification_uri: 'https://login.test/d',
    expires_in: 60,
    interval: 1,
  }
  const pending = () => json({ error: 'authorization_pending' }, 400)
  const granted = () => json({ access_token: 'a1', token_type: 'bearer' })

  function started(answers: (() => Response | Promise<Response>)[], more: object = {}, interval = 1) {
    const clock = virtualClock()
    const polls: number[] = []
    const as = scripted(
      (url) => {
        if (url.endsWith('/device')) return json({ ...begun, interval })
        polls.push(clock.now())
        return (answers.shift() ?? pending)()
      },
      { clock },
    )
    const shown: string[] = []
    const done = deviceCode(as, { onCode: ({ userCode }) => shown.push(userCode), ...more })
    done.catch(() => undefined)
    return { clock, polls, done, shown }
  }

  it("asks at the server's pace, and more slowly once it is told to", async () => {
    const { clock, polls, done, shown } = started([pending, () => json({ error: 'slow_down' }, 400), pending, granted])
    const from = clock.now()
    await clock.advance(30_000)
    expect(polls.map((at) => at - from)).toEqual([1000, 2000, 8000, 14_000])
    expect(shown).toEqual(['U-1'])
    expect((await done).tokens?.accessToken).toBe('a1')
  })

  it('asks no more than once a second, however short the pause that the server names', async () => {
    const { clock, polls } = started([], {}, 0.0001)
    const from = clock.now()
    await clock.advance(3500)
    expect(polls.map((at) => at - from)).toEqual([1000, 2000, 3000])
  })

  it('asks less often where it gets no answer', async () => {
    const down = () => json({}, 503)
    const { clock, polls, done } = started([down, () => Promise.reject(new TypeError('fetch failed')), granted])
    const from = clock.now()
    await clock.advance(30_000)
    expect(polls.map((at) => at - from)).toEqual([1000, 3000, 7000])
    await done
  })

  it('is over when the server says so, or when its time has passed', async () => {
    const declined = started([() => json({ error: 'access_denied' }, 400)])
    await declined.clock.advance(2000)
    await expect(declined.done).rejects.toMatchObject({ code: 'unauthenticated', reason: 'access_denied' })
    const late = started([])
    await late.clock.advance(61_000)
    await expect(late.done).rejects.toMatchObject({ code: 'unauthenticated', reason: 'expired_token' })
    expect(late.polls.length).toBe(59)
  })

  it.each([{ verification_uri: 'javascript:alert(1)' }, { verification_uri_complete: 'data:text/html,x' }])(
    'with %j is not shown',
    async (odd) => {
      const shown: unknown[] = []
      const as = scripted(() => json({ ...begun, ...odd }))
      const failed = failureOf(deviceCode(as, { onCode: (code) => shown.push(code) }))
      expect(await failed).toMatchObject({ code: 'failed_precondition' })
      expect(shown).toEqual([])
    },
  )

  it('is asked for while it is shown, however long that is; who cannot show it ends the login', async () => {
    const { clock, done } = started([granted], { onCode: () => new Promise(() => undefined) })
    await clock.advance(1000)
    expect((await done).tokens?.accessToken).toBe('a1')
    const failed = started([], { onCode: () => Promise.reject(new Error('no display')) })
    await expect(failed.done).rejects.toMatchObject({ code: 'internal' })
  })

  it('is given up at once, whatever the server is being asked', async () => {
    const abort = new AbortController()
    let answer: (response: Response) => void = () => undefined
    let asked = 0
    const shown: unknown[] = []
    const as = scripted(() => {
      asked++
      return new Promise((resolve) => (answer = resolve))
    })
    const done = deviceCode(as, { onCode: (code) => shown.push(code), signal: abort.signal })
    await vi.waitFor(() => expect(asked).toBe(1))
    abort.abort(new Error('enough'))
    await expect(done).rejects.toThrow('enough')
    answer(json(begun))
    await new Promise((resolve) => setImmediate(resolve))
    expect([shown, asked]).toEqual([[], 1])
  })

  it('is given up with the signal, and nothing is left', async () => {
    const abort = new AbortController()
    const { clock, done, polls } = started([], { signal: abort.signal })
    await clock.advance(1500)
    abort.abort(new Error('enough'))
    await expect(done).rejects.toThrow('enough')
    await clock.advance(10_000)
    expect(polls.length).toBe(1)
  })
})

describe('a login', () => {
  const login = (endpoint: unknown) =>
    authorizationCode(
      scripted(() => json({}), {
        metadata: { token_endpoint: 'https://login.test/token', authorization_endpoint: endpoint },
      }),
      { redirectUri: 'https://shop.test/back' },
    )

  it.each(['javascript:alert(1)', 'http://login.test/a', 'ftp://login.test', '/a', 5, ['https://login.test/a'], null])(
    'sends the user to no %j',
    async (endpoint) => {
      expect(await failureOf(login(endpoint).start())).toMatchObject({ code: 'failed_precondition' })
    },
  )

  it('says what is wrong with parameters that are no texts, and with what was not kept', async () => {
    const { start, finish } = login('https://login.test/a')
    await expect(start({ prompt: undefined as never })).rejects.toMatchObject({ code: 'invalid_argument' })
    const back = 'https://shop.test/back?code=c&state=s'
    for (const lost of [null, undefined, {}, { state: 's' }, { state: 's', codeVerifier: 5 }])
      expect(await failureOf(finish(back, lost as never))).toMatchObject({ code: 'invalid_argument' })
    for (const url of ['/back?code=c', undefined, {}])
      expect(await failureOf(finish(url as never, await start()))).toMatchObject({ code: 'invalid_argument' })
  })
})

describe('a token that ends', () => {
  it('is renewed before its end by the refresh token, once, and used to its end where the server is down', async () => {
    await using api = await startWireRecorder()
    const clock = virtualClock()
    const used: (string | null)[] = []
    let isDown = false
    const as = scripted(
      (_url, { body }) => {
        used.push(body.get('refresh_token'))
        if (isDown) throw new TypeError('fetch failed')
        return json({
          access_token: `a${used.length}`,
          token_type: 'bearer',
          refresh_token: `r${used.length}`,
          expires_in: 100,
        })
      },
      { clock },
    )
    const session = refreshTokens(as, { tokens: { accessToken: 'a0', refreshToken: 'r0', expiresAt: 0 } })
    const client = clientOf(session, api.url, { clock })
    const tokens = () => api.seen.map(({ headers }) => headers.authorization?.split(' ')[1])
    await client.call(thing, { id: 1 })
    await clock.advance(89_000)
    await client.call(thing, { id: 2 })
    expect([used, tokens()]).toEqual([['r0'], ['a1', 'a1']])
    await clock.advance(2000)
    await Promise.all([3, 4, 5].map((id) => client.call(thing, { id })))
    expect(used).toEqual(['r0', 'r1'])
    expect(tokens().slice(2)).toEqual(['a2', 'a2', 'a2'])
    isDown = true
    await clock.advance(95_000)
    await client.call(thing, { id: 6 })
    expect(tokens().at(-1)).toBe('a2')
    await clock.advance(6000)
    expect(await failureOf(client.call(thing, { id: 7 }, { retry: false }))).toMatchObject({ code: 'unavailable' })
    isDown = false
    await client.call(thing, { id: 8 })
    expect(tokens().at(-1)).toBe(`a${used.length}`)
    // The same one as long as nothing came of it.
    expect(new Set(used.slice(2))).toEqual(new Set(['r2']))
  })
})

it.each([
  [undefined, '/.well-known/openid-configuration'],
  ['oidc', '/.well-known/openid-configuration'],
  ['oauth2', '/.well-known/oauth-authorization-server'],
] as const)('discovery: %s asks for the metadata at %s', async (discovery, path) => {
  const urls: string[] = []
  const metadata = { issuer: 'https://login.test', token_endpoint: 'https://login.test/token' }
  const server = scripted(
    (url) => {
      urls.push(url)
      return json(url.endsWith('/token') ? { access_token: 't', token_type: 'Bearer' } : metadata)
    },
    { metadata: undefined, discovery },
  )
  await using recorder = await startWireRecorder()
  await clientOf(clientCredentials(server), recorder.url).call(thing, { id: 1 })
  expect(urls).toEqual([`https://login.test${path}`, 'https://login.test/token'])
})
