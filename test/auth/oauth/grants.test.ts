import { createClient, isCallError } from 'polywire'
import {
  authorizationCode,
  authorizationServer,
  clientCredentials,
  clientSecretBasic,
  clientSecretPost,
  deviceCode,
  oauthAuth,
  privateKeyJwt,
  refreshTokens,
} from 'polywire/oauth'
import { get, restTransport } from 'polywire/rest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type OidcServer, redirectUri, startOidc } from '../../support/servers/oidc.ts'

const thing = get('/things/{id}')

function clientOf(server: OidcServer, auth: ReturnType<typeof oauthAuth>) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl: server.api }) }, auth, retry: false })
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

describe('client credentials', () => {
  it('gets one token for many calls, by a secret in the header, with characters that must be encoded', async () => {
    await using server = await startOidc()
    const as = authorizationServer({
      issuer: server.issuer,
      clientId: 'basic',
      clientAuth: clientSecretBasic('s3cret:%+ &='),
    })
    const client = clientOf(server, oauthAuth(clientCredentials(as, { scope: 'orders:read' })))
    await Promise.all(Array.from({ length: 20 }, (_, id) => client.call(thing, { id })))
    expect(server.exchanges.map(({ grant, status }) => [grant, status])).toEqual([['client_credentials', 200]])
    expect(server.calls.every(({ status }) => status === 200)).toBe(true)
  })

  it('takes a secret in the body, and a signed assertion that is another one each time', async () => {
    await using server = await startOidc()
    const { issuer } = server
    const post = authorizationServer({ issuer, clientId: 'post', clientAuth: clientSecretPost('post-secret') })
    const one = clientOf(server, oauthAuth(clientCredentials(post)))
    await one.call(thing, { id: 1 })
    const signed = authorizationServer({
      issuer,
      clientId: 'signed',
      clientAuth: privateKeyJwt(server.signingKey, 'k1'),
    })
    const session = clientCredentials(signed)
    const two = clientOf(server, oauthAuth(session))
    await two.call(thing, { id: 1 })
    server.revoke(session.tokens?.accessToken as string)
    await two.call(thing, { id: 1 })
    expect(server.exchanges.map(({ status }) => status)).toEqual([200, 200, 200])
    const assertions = server.exchanges.slice(1).map(({ body }) => body.get('client_assertion'))
    expect(assertions[0]).not.toBe(assertions[1])
  })

  it('a wrong secret is one clear error a call, with the reason of the server, asked for once', async () => {
    await using server = await startOidc()
    const as = authorizationServer({ issuer: server.issuer, clientId: 'post', clientAuth: clientSecretPost('wrong') })
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.api }) },
      auth: oauthAuth(clientCredentials(as)),
    })
    const failures = await Promise.all([1, 2, 3].map((id) => failureOf(client.call(thing, { id }))))
    expect(failures.map(({ code, reason, sent }) => [code, reason, sent])).toEqual(
      Array(3).fill(['unauthenticated', 'invalid_client', 'no']),
    )
    expect(new Set(failures).size).toBe(3)
    expect(server.exchanges.length).toBe(1)
    expect(server.calls.length).toBe(0)
  })
})

describe('authorization code', () => {
  it('logs in with PKCE, renews by a rotated refresh token, and signs out', async () => {
    await using server = await startOidc()
    const as = authorizationServer({ issuer: server.issuer, clientId: 'app' })
    const login = authorizationCode(as, { redirectUri, scope: 'openid offline_access' })
    const pending = await login.start({ prompt: 'consent' })
    const back = await server.walk(pending.url)
    const session = await login.finish(back, JSON.parse(JSON.stringify(pending)))
    const first = session.tokens
    const client = clientOf(server, oauthAuth(session))
    await client.call(thing, { id: 1 })
    server.revoke(first?.accessToken as string)
    await Promise.all(Array.from({ length: 100 }, (_, id) => client.call(thing, { id })))
    expect(server.exchanges.map(({ grant }) => grant)).toEqual(['authorization_code', 'refresh_token'])
    expect(session.tokens?.refreshToken).not.toBe(first?.refreshToken)
    expect(first?.idToken).toBeTypeOf('string')
    await session.signOut()
    expect(await failureOf(client.call(thing, { id: 1 }))).toMatchObject({ code: 'unauthenticated' })
  })

  it('refuses a way back that belongs to another login, or that says no', async () => {
    await using server = await startOidc()
    const as = authorizationServer({ issuer: server.issuer, clientId: 'app' })
    const login = authorizationCode(as, { redirectUri, scope: 'openid' })
    const pending = await login.start()
    const other = await login.start()
    const back = await server.walk(pending.url)
    expect(await failureOf(login.finish(back, other))).toMatchObject({ code: 'failed_precondition' })
    const no = `${redirectUri}?error=access_denied&state=${pending.state}&iss=${encodeURIComponent(server.issuer)}`
    expect(await failureOf(login.finish(no, pending))).toMatchObject({
      code: 'unauthenticated',
      reason: 'access_denied',
    })
    const mixedUp = new URL(back)
    mixedUp.searchParams.set('iss', 'https://evil.example')
    expect(await failureOf(login.finish(mixedUp, pending))).toMatchObject({ code: 'failed_precondition' })
    expect(server.exchanges.length).toBe(0)
    expect(await failureOf(login.finish(back, { ...pending, codeVerifier: 'x'.repeat(43) }))).toMatchObject({
      code: 'unauthenticated',
      reason: 'invalid_grant',
    })
  })

  it('a refresh token that was used twice ends the login: one refusal a call, no loop', async () => {
    await using server = await startOidc()
    const as = authorizationServer({ issuer: server.issuer, clientId: 'app' })
    const login = authorizationCode(as, { redirectUri, scope: 'openid offline_access' })
    const pending = await login.start({ prompt: 'consent' })
    const session = await login.finish(await server.walk(pending.url), pending)
    const thief = refreshTokens(as, { tokens: { ...session.tokens, accessToken: 'none', expiresAt: 0 } })
    await thief.token()
    server.revoke(session.tokens?.accessToken as string)
    const client = clientOf(server, oauthAuth(session))
    const failures = await Promise.all([1, 2, 3].map((id) => failureOf(client.call(thing, { id }))))
    expect(failures.map(({ code, reason }) => [code, reason])).toEqual(
      Array(3).fill(['unauthenticated', 'invalid_grant']),
    )
    expect(await failureOf(client.call(thing, { id: 4 }))).toMatchObject({ code: 'unauthenticated' })
    // The thief's tokens are of the same family, and gone with it.
    await expect(thief.refresh()).rejects.toMatchObject({ reason: 'invalid_grant' })
    expect(server.exchanges.filter(({ status }) => status === 400).length).toBe(2)
  })
})

describe('device code', () => {
  it('shows a code, and has the token once the user has entered it elsewhere', async () => {
    await using server = await startOidc()
    const as = authorizationServer({ issuer: server.issuer, clientId: 'app' })
    const session = await deviceCode(as, {
      scope: 'openid offline_access',
      onCode: async ({ userCode, verificationUri, verificationUriComplete, expiresInMs }) => {
        expect(verificationUri).toBe(`${server.issuer}/device`)
        expect(verificationUriComplete).toContain(userCode)
        expect(expiresInMs).toBe(300_000)
        await server.walk(verificationUriComplete as string)
      },
    })
    const client = clientOf(server, oauthAuth(session))
    await client.call(thing, { id: 1 })
    expect(server.calls).toMatchObject([{ status: 200 }])
  })
})
