import { CallError, memoryStore } from 'polywire'
import { authorizationServer, type OAuthTokens, oauthAuth, refreshTokens } from 'polywire/oauth'
import { describe, expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../../support/memory-client.ts'

const hour = 3_600_000
const tokensOf = (who: string): OAuthTokens => ({
  accessToken: who,
  refreshToken: `${who}-refresh`,
  expiresAt: Date.now() + hour,
})

/** An authorization server that renews: `ann` becomes `ann+`. */
const server = authorizationServer({
  issuer: 'https://login.test',
  metadata: { token_endpoint: 'https://login.test/token' },
  clientId: 'app',
  fetch: async (_url, { body }) => {
    const access_token = `${(body as URLSearchParams).get('refresh_token')?.replace('-refresh', '')}+`
    return Response.json({ access_token, refresh_token: 'next', token_type: 'bearer', expires_in: 3600 })
  },
})
const sessionOf = (who: string) => refreshTokens(server, { tokens: tokensOf(who) })

/** Who each call was, and whose connections it shared. */
function watched(auth: ReturnType<typeof oauthAuth>, refuses: (secret: string) => boolean = () => false) {
  const principals: (string | undefined)[] = []
  const { client } = memoryClient(
    (call) => {
      const { secret = 'nobody', principal } = call.credential ?? {}
      if (refuses(secret)) throw new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
      principals.push(principal)
      return secret
    },
    { auth, retry: false },
  )
  const ask = () => client.call(unaryOperation()).catch((error: CallError) => error.reason)
  return { ask, principals }
}

describe('logins and logouts of OAuth sessions, while the access token lives', () => {
  it('signOut() is the end of the access token, too', async () => {
    const session = sessionOf('ann')
    const { ask } = watched(oauthAuth(session))
    expect(await ask()).toBe('ann')
    await session.signOut()
    expect(await ask()).toBe('login_required')
  })

  it('set() has the next call be of the next login, which shares no connection with the one before', async () => {
    const session = sessionOf('ann')
    const { ask, principals } = watched(oauthAuth(session))
    expect(await ask()).toBe('ann')
    await session.set(tokensOf('ben'))
    expect(await ask()).toBe('ben')
    expect(principals[1]).not.toBe(principals[0])
  })

  it('a session that a function finds in the place of another one is another login, and none is a logout', async () => {
    let session: ReturnType<typeof sessionOf> | undefined = sessionOf('ann')
    const { ask, principals } = watched(oauthAuth(() => session))
    expect(await ask()).toBe('ann')
    session = undefined
    expect(await ask()).toBe('login_required')
    session = sessionOf('ben')
    expect(await ask()).toBe('ben')
    expect(principals[1]).not.toBe(principals[0])
  })

  it('a renewal is of the same login: its connections go on', async () => {
    const { ask, principals } = watched(oauthAuth(sessionOf('ann')), (secret) => secret === 'ann')
    expect(await ask()).toBe('ann+')
    expect(await ask()).toBe('ann+')
    expect(new Set(principals).size).toBe(1)
  })

  it('sessions that are made anew for each call of a named identity are of one login', async () => {
    let made = 0
    const find = (who: string) => {
      made++
      return sessionOf(who)
    }
    const { ask, principals } = watched(oauthAuth(find, { identity: () => 'ann' }))
    expect(await ask()).toBe('ann')
    expect(await ask()).toBe('ann')
    expect(made).toBeGreaterThan(1)
    expect(new Set(principals).size).toBe(1)
  })

  it.each(['who is asked again has been logged out first', 'the next login comes before anybody asks'])(
    'kept in a store: who signs in after somebody else, in another tab, is another login: %s',
    async (how) => {
      const keep = { store: memoryStore(), key: 'login' }
      const [here, there] = [refreshTokens(server, { keep }), refreshTokens(server, { keep })]
      await there.set(tokensOf('ann'))
      let refused = 'ann'
      const { ask, principals } = watched(oauthAuth(here), (secret) => secret === refused)
      // A renewal, here or there, is of the same login.
      expect(await ask()).toBe('ann+')
      await there.refresh()
      refused = 'ann+'
      expect(await ask()).toBe('next+')
      expect(new Set(principals).size).toBe(1)
      refused = 'next+'
      await there.signOut()
      if (how.startsWith('who')) expect(await ask()).toBe('login_required')
      await there.set(tokensOf('ben'))
      await ask()
      expect(await ask()).toBe('ben')
      expect(principals.at(-1)).not.toBe(principals[0])
    },
  )

  it('a renewal that names neither scope nor id token leaves both as they were', async () => {
    const session = refreshTokens(server, { tokens: { ...tokensOf('ann'), scope: 'orders', idToken: 'jwt' } })
    await session.refresh()
    expect(session.tokens).toMatchObject({ accessToken: 'ann+', refreshToken: 'next', scope: 'orders', idToken: 'jwt' })
  })
})
