import { createClient, isCallError } from 'polywire'
import { messageSignatures } from 'polywire/auth'
import { createFetch } from 'polywire/fetch'
import {
  type AuthorizationServerOptions,
  authorizationCode,
  authorizationServer,
  clientCredentials,
  clientSecretPost,
  dpop,
  type OAuthSession,
  oauthAuth,
} from 'polywire/oauth'
import { get, restTransport } from 'polywire/rest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type OidcServer, redirectUri, startOidc } from '../../support/servers/oidc.ts'
import { startWireRecorder } from '../../support/servers/wire-recorder.ts'

const thing = get('/things/{id}')

function machine(server: OidcServer, options: Partial<AuthorizationServerOptions> = {}): OAuthSession {
  const { issuer } = server
  const clientAuth = clientSecretPost('m')
  return clientCredentials(
    authorizationServer({ issuer, clientId: 'bound-machine', clientAuth, dpop: dpop(), ...options }),
  )
}

function clientOf(baseUrl: string, session: OAuthSession, more: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl }) },
    auth: oauthAuth(session),
    retry: false,
    ...more,
  })
  onTestFinished(() => client.close())
  return client
}

describe('DPoP', () => {
  it('binds a token to a key: each call carries a proof of its own, and the server takes it', async () => {
    await using server = await startOidc()
    const client = clientOf(server.api, machine(server))
    await Promise.all(Array.from({ length: 10 }, (_, id) => client.call(thing, { id })))
    expect(server.calls.map(({ status }) => status)).toEqual(Array(10).fill(200))
    expect(new Set(server.calls.map(({ headers }) => headers.dpop)).size).toBe(10)
    expect(server.calls[0]?.headers.authorization).toMatch(/^DPoP /)
    expect(server.exchanges.length).toBe(1)
  })

  it('answers the nonce of the token endpoint with another assertion, once', async () => {
    await using server = await startOidc({ wantsNonce: true })
    const client = clientOf(server.api, machine(server))
    await client.call(thing, { id: 1 })
    expect(server.exchanges.map(({ status, error }) => [status, error])).toEqual([
      [400, 'use_dpop_nonce'],
      [200, undefined],
    ])
  })

  it('answers the nonce of the API once, without a retry and without a renewal, and remembers it', async () => {
    await using server = await startOidc()
    server.wantNonce('n1')
    const client = clientOf(server.api, machine(server))
    await client.call(thing, { id: 1 })
    await client.call(thing, { id: 2 })
    expect(server.calls.map(({ status }) => status)).toEqual([401, 200, 200])
    server.wantNonce('n2')
    // All of them are sent with the old one, and each answers the new one by itself.
    await Promise.all(Array.from({ length: 20 }, (_, id) => client.call(thing, { id })))
    const statuses = server.calls.slice(3).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200).length).toBe(20)
    expect(statuses.length).toBeLessThanOrEqual(40)
    expect(server.exchanges.length).toBe(1)
  })

  it('a nonce that is never right ends in one error, after two requests and one renewal', async () => {
    await using server = await startOidc()
    await using api = await startWireRecorder()
    let nonce = 0
    api.answer((_, response) => {
      response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': `n${nonce++}` }).end()
    })
    const error = await clientOf(api.url, machine(server))
      .call(thing, { id: 1 })
      .catch((reason: unknown) => reason)
    expect(isCallError(error) && error.code).toBe('unauthenticated')
    expect(api.seen.length).toBe(4)
    expect(server.exchanges.length).toBe(2)
  })

  it.each([undefined, ''])(
    'a nonce that is asked for and not given (%j) is no reason to ask with the same proof',
    async (nonce) => {
      await using server = await startOidc()
      await using api = await startWireRecorder()
      const header = nonce === undefined ? {} : { 'dpop-nonce': nonce }
      api.answer((_, response) =>
        response.writeHead(401, { 'www-authenticate': 'DPoP error="use_dpop_nonce"', ...header }).end('{}'),
      )
      const client = clientOf(api.url, machine(server))
      await expect(client.call(thing, { id: 1 })).rejects.toMatchObject({ code: 'unauthenticated' })
      // Once, and once more with a renewed token.
      expect(api.seen).toHaveLength(2)
    },
  )

  it('keys that cannot be had fail those who need them, and nobody before', async () => {
    const heard: unknown[] = []
    const hear = (reason: unknown): unknown => heard.push(reason)
    process.on('unhandledRejection', hear)
    onTestFinished(() => void process.off('unhandledRejection', hear))
    const lost = dpop(Promise.reject(new Error('no IndexedDB')))
    await new Promise((resolve) => setImmediate(resolve))
    expect(heard).toEqual([])
    await expect(lost.keys()).rejects.toThrow('no IndexedDB')
  })

  it('a token that is refused is renewed and replayed with a proof of the new one', async () => {
    await using server = await startOidc()
    const session = machine(server)
    const client = clientOf(server.api, session)
    await client.call(thing, { id: 1 })
    server.revoke(session.tokens?.accessToken as string)
    await client.call(thing, { id: 2 })
    expect(server.calls.map(({ status }) => status)).toEqual([200, 401, 200])
  })

  it('a login is bound, and its rotated refresh token too', async () => {
    await using server = await startOidc()
    const as = authorizationServer({ issuer: server.issuer, clientId: 'bound', dpop: dpop() })
    const login = authorizationCode(as, { redirectUri, scope: 'openid offline_access' })
    const pending = await login.start({ prompt: 'consent' })
    expect(new URL(pending.url).searchParams.get('dpop_jkt')).toMatch(/^[\w-]{43}$/)
    const session = await login.finish(await server.walk(pending.url), pending)
    const client = clientOf(server.api, session)
    await client.call(thing, { id: 1 })
    server.revoke(session.tokens?.accessToken as string)
    await client.call(thing, { id: 2 })
    expect(server.exchanges.map(({ grant, status }) => [grant, status])).toEqual([
      ['authorization_code', 200],
      ['refresh_token', 200],
    ])
  })

  it('the fetch face carries proofs, too, and a server that binds nothing is refused', async () => {
    await using server = await startOidc()
    const fetch = createFetch({ origin: server.issuer, auth: oauthAuth(machine(server)) })
    server.wantNonce('n1')
    const response = await fetch(`${server.api}/things/1?x=1`)
    expect([response.status, server.calls.map(({ status }) => status)]).toEqual([200, [401, 200]])
    const post = { clientId: 'post', clientAuth: clientSecretPost('post-secret') }
    const unbound = authorizationServer({
      issuer: 'https://login.test',
      metadata: { token_endpoint: 'https://login.test/token' },
      ...post,
      dpop: dpop(),
      fetch: async () => Response.json({ access_token: 'a', token_type: 'bearer' }),
    })
    await expect(clientCredentials(unbound).token()).rejects.toMatchObject({ code: 'failed_precondition' })
  })

  it('goes with a signature, which covers the token, and answers its nonce all the same', async () => {
    await using server = await startOidc()
    server.wantNonce('n1')
    const auth = messageSignatures({ key: new Uint8Array(32), keyId: 'k', auth: oauthAuth(machine(server)) })
    const client = createClient({ transports: { rest: restTransport({ baseUrl: server.api }) }, auth, retry: false })
    onTestFinished(() => client.close())
    await client.call(thing, { id: 1 })
    expect(server.calls.map(({ status }) => status)).toEqual([401, 200])
    expect(server.calls[1]?.headers['signature-input']).toContain('"authorization"')
  })

  it('a redirect inside of the origin has a proof for its own URL; none goes to another origin', async () => {
    await using server = await startOidc()
    await using api = await startWireRecorder()
    await using other = await startWireRecorder()
    api.answer(
      (_, response) => response.writeHead(302, { location: '/b?secret=1' }).end(),
      (_, response) => response.writeHead(302, { location: `${other.url}/c` }).end(),
    )
    await clientOf(api.url, machine(server)).call(thing, { id: 1 })
    const claims = api.seen.map(({ headers }) =>
      JSON.parse(Buffer.from(headers.dpop?.split('.')[1] ?? '', 'base64url').toString()),
    )
    expect(claims.map(({ htu, htm }) => [htu, htm])).toEqual([
      [`${api.url}/things/1`, 'GET'],
      [`${api.url}/b`, 'GET'],
    ])
    expect(new Set(claims.map(({ jti }) => jti)).size).toBe(2)
    expect(other.seen.map(({ headers }) => [headers.dpop, headers.authorization])).toEqual([[undefined, undefined]])
  })
})
