import { createClient, isCallError, type Stream } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { authorizationServer, oauthAuth, refreshTokens } from 'polywire/oauth'
import { virtualClock } from 'polywire/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fetchFace } from './harnesses/fetch.ts'
import { graphql } from './harnesses/graphql.ts'
import { grpcWeb } from './harnesses/grpc-web.ts'
import { rest } from './harnesses/rest.ts'
import { sse } from './harnesses/sse.ts'
import { websocket } from './harnesses/websocket.ts'
import { playUntil, turns } from './support/eventually.ts'
import type { Api, Peer } from './support/harness.ts'

const harnesses = [rest, graphql, grpcWeb('own'), websocket, sse]

/** One client over all protocols and the fetch face, each with a server of its own. */
async function startAll(auth: Parameters<typeof bearerAuth>[0] | object, options: object = {}) {
  const peers = await Promise.all(harnesses.map((harness) => harness.start()))
  const clock = virtualClock()
  let refreshes = 0
  const client = createClient({
    transports: Object.fromEntries(
      harnesses.map((each, at) => [each.protocol, each.transport(peers[at]?.origin as string)]),
    ) as never,
    auth: auth as never,
    clock,
    telemetry: {
      event: (event) => {
        if (event.type === 'refresh') refreshes++
      },
    },
    ...options,
  })
  onTestFinished(async () => {
    await client.close()
    await Promise.all(peers.map((peer) => peer.close()))
  })
  const [restPeer] = peers as [Peer]
  const apis: Api[] = [
    ...harnesses.map((each, at) => each.api(client as never, peers[at]?.origin)),
    fetchFace.api(client as never, restPeer.origin),
  ]
  return { peers, apis, clock, refreshCount: () => refreshes }
}

describe('one client over REST, GraphQL, gRPC-Web, WebSocket, SSE and fetch', () => {
  it('makes one refresh of 100 refusals in all of them, and every call succeeds', async () => {
    let asked = 0
    const refresh = async () => {
      asked++
      await turns()
      return 'new'
    }
    const { peers, apis, clock, refreshCount } = await startAll(bearerAuth(() => 'old', { refresh }))
    for (const peer of peers) peer.accept('new')
    const calls = Array.from({ length: 100 }, (_, n) => apis[n % apis.length]?.read(`call ${n}`))
    const texts = await playUntil(Promise.all(calls), clock)
    expect(texts).toEqual(Array.from({ length: 100 }, (_, n) => `call ${n}`))
    expect([asked, refreshCount()]).toEqual([1, 1])
    for (const peer of peers) expect(peer.seen.some(({ token }) => token === 'new')).toBe(true)
  })

  it('uses a rotating refresh token once, whoever was refused', async () => {
    const used: (string | null)[] = []
    const server = authorizationServer({
      issuer: 'https://login.test',
      metadata: { token_endpoint: 'https://login.test/token' },
      clientId: 'app',
      fetch: async (_url, { body }) => {
        used.push(body.get('refresh_token'))
        return Response.json({ access_token: 'new', refresh_token: `r${used.length}`, token_type: 'bearer' })
      },
    })
    const session = refreshTokens(server, { tokens: { accessToken: 'old', refreshToken: 'r0' } })
    const { peers, apis, clock } = await startAll(oauthAuth(session))
    for (const peer of peers) peer.accept('new')
    const calls = Array.from({ length: 100 }, (_, n) => apis[n % apis.length]?.read(`call ${n}`))
    await playUntil(Promise.all(calls), clock)
    expect(used).toEqual(['r0'])
  })

  it('a token endpoint that refuses is one clear error for each call, and is asked once', async () => {
    let asked = 0
    const server = authorizationServer({
      issuer: 'https://login.test',
      metadata: { token_endpoint: 'https://login.test/token' },
      clientId: 'app',
      fetch: async () => {
        asked++
        return Response.json({ error: 'invalid_grant' }, { status: 400 })
      },
    })
    const session = refreshTokens(server, { tokens: { accessToken: 'old', refreshToken: 'r0' } })
    const { peers, apis, clock } = await startAll(oauthAuth(session))
    for (const peer of peers) peer.accept('new')
    const calls = Array.from({ length: 60 }, (_, n) =>
      apis[n % apis.length]?.read(`call ${n}`).then(
        () => 'served',
        (error: unknown) => error,
      ),
    )
    const errors = await playUntil(Promise.all(calls), clock)
    // The face answers with the server's own 401 where the renewal is no failure of the network.
    for (const [n, error] of errors.entries())
      if (isCallError(error)) expect([error.code, error.reason, n]).toEqual(['unauthenticated', 'invalid_grant', n])
      else expect((error as Response).status).toBe(401)
    expect(errors.filter((error) => isCallError(error)).length).toBeGreaterThanOrEqual(50)
    expect(new Set(errors).size).toBe(60)
    expect(asked).toBe(1)
  })

  it('calls fail as unavailable while the token endpoint is down, and streams wait for it', async () => {
    const endpoint = { isDown: true, gives: 'new', asked: 0 }
    const server = authorizationServer({
      issuer: 'https://login.test',
      metadata: { token_endpoint: 'https://login.test/token' },
      clientId: 'app',
      fetch: async () => {
        endpoint.asked++
        if (endpoint.isDown) throw new TypeError('fetch failed')
        return Response.json({ access_token: endpoint.gives, refresh_token: 'next', token_type: 'bearer' })
      },
    })
    const session = refreshTokens(server, { tokens: { accessToken: 'old', refreshToken: 'r0', expiresAt: 0 } })
    const { peers, apis, clock } = await startAll(oauthAuth(session), { retry: { maxAttempts: 2 } })
    for (const peer of peers) peer.accept('new')
    const error = await playUntil(
      (apis[0] as Api).read('down').catch((reason: unknown) => reason),
      clock,
    )
    expect(isCallError(error) && [error.code, error.isRetryable, error.sent]).toEqual(['unavailable', true, 'no'])
    expect(endpoint.asked).toBe(2)

    endpoint.isDown = false
    const [, , , socket, events] = apis as [Api, Api, Api, Api, Api]
    const [, , , socketPeer, eventsPeer] = peers as [Peer, Peer, Peer, Peer, Peer]
    for (const peer of [socketPeer, eventsPeer]) peer.plan({ do: 'drop', after: 3 })
    const feeds = [socket, events].map((api) => (api.feed as () => Stream<number>)())
    const iterators = feeds.map((feed) => feed[Symbol.asyncIterator]())
    const read = async (count: number): Promise<number[][]> =>
      Promise.all(
        iterators.map(async (iterator) => {
          const values: number[] = []
          while (values.length < count) values.push((await iterator.next()).value as number)
          return values
        }),
      )
    const opened = read(1)
    await playUntil(opened, clock)
    // By the time they drop, their token is refused, and another one cannot be had.
    for (const peer of [socketPeer, eventsPeer]) peer.accept('newest')
    endpoint.isDown = true
    const before = endpoint.asked
    const rest = read(9)
    for (let turn = 0; turn < 60; turn++) {
      await turns()
      await clock.advance(1000)
    }
    expect(feeds.map(({ state }) => state)).not.toContain('closed')
    expect(endpoint.asked).toBeGreaterThan(before)
    // Their own backoff bounds how often it is asked: no loop.
    expect(endpoint.asked - before).toBeLessThan(60)
    Object.assign(endpoint, { isDown: false, gives: 'newest' })
    expect(await playUntil(rest, clock)).toEqual(Array(2).fill([2, 3, 4, 5, 6, 7, 8, 9, 10]))
  })
})
