import type { Auth } from 'polywire'
import {
  apiKeyAuth,
  awsSigV4,
  basicAuth,
  bearerAuth,
  digestAuth,
  messageSignatures,
  sessionAuth,
  signedAuth,
} from 'polywire/auth'
import { authorizationServer, clientCredentials, clientSecretPost, dpop, oauthAuth } from 'polywire/oauth'

/** Stands in every secret of {@link authKinds}. */
export const canary = 'CANARY0451'
const b64 = Buffer.from(canary).toString('base64').replace(/=+$/, '')
const b64Inside = Buffer.from(`x:${canary}`).toString('base64').replace(/=+$/, '')
/** Every way in which one of these secrets can be written. */
export const canaries = [canary, b64, b64.slice(2, -2), b64Inside.slice(4), encodeURIComponent(`${canary} `).trim()]

const issuer = 'https://login.test'
/** A server that gives a token which is a secret, and refuses where the secret is asked for. */
function tokens(isBound: boolean, fails = false): Auth {
  const server = authorizationServer({
    issuer,
    metadata: { token_endpoint: `${issuer}/token` },
    clientId: 'app',
    clientAuth: clientSecretPost(canary),
    ...(isBound && { dpop: dpop() }),
    fetch: async () =>
      fails
        ? Response.json({ error: 'invalid_client', error_description: `secret ${canary} is wrong` }, { status: 400 })
        : Response.json({
            access_token: `t-${canary}`,
            refresh_token: `r-${canary}`,
            token_type: isBound ? 'dpop' : 'bearer',
          }),
  })
  return oauthAuth(clientCredentials(server))
}

/** Each way to prove who calls, with nothing but secrets. */
export const authKinds: Readonly<Record<string, () => Auth>> = {
  bearer: () => bearerAuth(async () => `t-${canary}`, { refresh: async () => `n-${canary}` }),
  'bearer that is refused': () =>
    bearerAuth(`t-${canary}`, {
      refresh: () => {
        throw new Error(`refresh of ${canary} failed`)
      },
    }),
  basic: () => basicAuth({ username: 'x', password: canary }),
  'API key': () => apiKeyAuth(canary, { header: 'x-my-key' }),
  'API key in the query': () => apiKeyAuth(canary, { query: 'key' }),
  digest: () => digestAuth({ username: canary, password: canary }),
  'session with CSRF': () => sessionAuth({ csrf: { token: () => canary } }),
  'message signatures': () =>
    messageSignatures({ key: new TextEncoder().encode(canary.repeat(4)), keyId: 'k', auth: bearerAuth(canary) }),
  SigV4: () =>
    awsSigV4({
      credentials: { accessKeyId: 'AK', secretAccessKey: canary, sessionToken: canary },
      region: 'r',
      service: 'execute-api',
    }),
  'a signature of its own': () => signedAuth({ sign: () => ({ 'x-signature': canary }) }),
  'a signature that fails': () =>
    signedAuth({
      sign: () => {
        throw new Error(`no key ${canary}`)
      },
    }),
  OAuth: () => tokens(false),
  'OAuth that is refused': () => tokens(false, true),
  DPoP: () => tokens(true),
}
