import { createHash, generateKeyPairSync, webcrypto } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'

/** One request to the token endpoint, as the server answered it. */
export interface TokenExchange {
  readonly grant: string
  readonly status: number
  readonly error?: string | undefined
  readonly authorization?: string | undefined
  readonly body: URLSearchParams
}

/** oidc-provider over real HTTP, and an API beside it that takes its tokens: `/api/…`. */
export interface OidcServer {
  readonly issuer: string
  /** Base of the API. */
  readonly api: string
  /** Every request to the token endpoint, oldest first. */
  readonly exchanges: TokenExchange[]
  /** Requests to the API: what they were answered. */
  readonly calls: { readonly url: string; readonly status: number; readonly headers: IncomingMessage['headers'] }[]
  /** Keys of the client that signs its assertions. */
  readonly signingKey: CryptoKey
  /** Answers the next requests to the token endpoint in the server's stead. */
  failToken(...answers: ((response: ServerResponse) => void)[]): void
  /** Access tokens that the API refuses from now on. */
  revoke(token: string): void
  /** What the API wants as DPoP nonce from now on. */
  wantNonce(nonce: string): void
  /** Walks a login through the server's pages, as a browser would; gives the URL that it ends at. */
  walk(url: string, login?: string): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}

export interface OidcOptions {
  /** Seconds that an access token lives. */
  readonly accessTokenS?: number
  /** The token endpoint wants proofs with its own nonce. */
  readonly wantsNonce?: boolean
}

/** Starts one on a free port. */
export async function startOidc({ accessTokenS = 60, wantsNonce = false }: OidcOptions = {}): Promise<OidcServer> {
  const exchanges: TokenExchange[] = []
  const calls: OidcServer['calls'] = []
  const revoked = new Set<string>()
  const failures: ((response: ServerResponse) => void)[] = []
  let nonce: string | undefined
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => undefined
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/api')) {
      void answerApi(provider, request, { revoked, nonce }).then(({ status, headers }) => {
        calls.push({ url: request.url ?? '', status, headers: request.headers })
        request.resume()
        response.writeHead(status, { 'content-type': 'application/json', ...headers })
        response.end(JSON.stringify({ status }))
      })
      return
    }
    if (request.url !== '/token') return handle(request, response)
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk
    })
    const record = (error?: string): void => {
      const parameters = new URLSearchParams(body)
      const { authorization } = request.headers
      const grant = parameters.get('grant_type') ?? ''
      exchanges.push({ grant, status: response.statusCode, error, authorization, body: parameters })
    }
    const fail = failures.shift()
    if (fail) {
      request.on('end', () => {
        fail(response)
        record()
      })
      return
    }
    const end = response.end.bind(response)
    response.end = ((chunk?: unknown, ...rest: never[]) => {
      record(/"error":"(\w+)"/.exec(String(chunk ?? ''))?.[1])
      return end(chunk as never, ...rest)
    }) as typeof response.end
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const provider = new Provider(issuer, configuration(publicKey.export({ format: 'jwk' }), accessTokenS, wantsNonce))
  handle = provider.callback()
  const signingKey = await crypto.subtle.importKey(
    'pkcs8',
    privateKey.export({ format: 'der', type: 'pkcs8' }),
    { name: 'ECDSA', namedCurve: 'P-256' },
    false,
    ['sign'],
  )
  return {
    issuer,
    api: `${issuer}/api`,
    exchanges,
    calls,
    signingKey,
    failToken: (...answers) => void failures.push(...answers),
    revoke: (token) => void revoked.add(token),
    wantNonce: (wanted) => {
      nonce = wanted
    },
    walk,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const redirectUri = 'http://127.0.0.1:1/back'

function configuration(publicKey: object, accessTokenS: number, wantsNonce: boolean): Record<string, unknown> {
  const grants = ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code']
  const code = { redirect_uris: [redirectUri], response_types: ['code'], grant_types: grants }
  const machine = { redirect_uris: [], response_types: [], grant_types: ['client_credentials'] }
  return {
    clients: [
      {
        client_id: 'basic',
        client_secret: 's3cret:%+ &=',
        token_endpoint_auth_method: 'client_secret_basic',
        ...machine,
      },
      { client_id: 'post', client_secret: 'post-secret', token_endpoint_auth_method: 'client_secret_post', ...machine },
      {
        client_id: 'signed',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [{ ...publicKey, kid: 'k1', use: 'sig', alg: 'ES256' }] },
        ...machine,
      },
      { client_id: 'app', token_endpoint_auth_method: 'none', application_type: 'native', ...code },
      {
        client_id: 'bound',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        ...code,
        dpop_bound_access_tokens: true,
      },
      {
        client_id: 'bound-machine',
        client_secret: 'm',
        token_endpoint_auth_method: 'client_secret_post',
        ...machine,
        dpop_bound_access_tokens: true,
      },
    ],
    scopes: ['openid', 'offline_access', 'orders:read'],
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      devInteractions: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => wantsNonce },
    },
    ttl: {
      AccessToken: accessTokenS,
      ClientCredentials: accessTokenS,
      RefreshToken: 3600,
      DeviceCode: 300,
      Session: 300,
      Grant: 3600,
      Interaction: 300,
      IdToken: 300,
    },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    cookies: { keys: ['test'] },
    findAccount: (_context: unknown, id: string) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    jwks: { keys: [signingJwk()] },
  }
}

function signingJwk(): object {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: 'server' }
}

interface ApiRules {
  readonly revoked: ReadonlySet<string>
  readonly nonce: string | undefined
}

/** Takes what the provider has issued, bound to a key or not; a proof is checked in all its parts. */
async function answerApi(
  provider: Provider,
  request: IncomingMessage,
  { revoked, nonce }: ApiRules,
): Promise<{ status: number; headers: Record<string, string> }> {
  const [scheme = '', token = ''] = (request.headers.authorization ?? '').split(' ')
  const refuse = (challenge: string) => ({
    status: 401,
    headers: { 'www-authenticate': challenge } as Record<string, string>,
  })
  if (token === '') return refuse('Bearer')
  const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token))
  if (!found?.isValid || revoked.has(token)) return refuse(`${scheme} error="invalid_token"`)
  if (!found.jkt) return scheme === 'Bearer' ? { status: 200, headers: {} } : refuse('Bearer error="invalid_token"')
  const wrong = await wrongProof(request, token, found.jkt, nonce)
  const withNonce: Record<string, string> = nonce === undefined ? {} : { 'dpop-nonce': nonce }
  if (wrong === undefined) return { status: 200, headers: withNonce }
  return { status: 401, headers: { 'www-authenticate': `DPoP error="${wrong}", algs="ES256"`, ...withNonce } }
}

const proofs = new Set<string>()

/** What is wrong with the proof, in RFC 9449's words; undefined where nothing is. */
async function wrongProof(
  request: IncomingMessage,
  token: string,
  jkt: string,
  nonce: string | undefined,
): Promise<string | undefined> {
  const proof = request.headers.dpop
  if (typeof proof !== 'string') return 'invalid_dpop_proof'
  const [head = '', body = '', signature = ''] = proof.split('.')
  const { jwk, typ } = JSON.parse(Buffer.from(head, 'base64url').toString()) as {
    jwk: Record<string, string>
    typ: string
  }
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, string>
  const key = await webcrypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify'])
  const isSigned = await webcrypto.subtle.verify(
    { name: 'ECDSA', hash: 'SHA-256' },
    key,
    Buffer.from(signature, 'base64url'),
    Buffer.from(`${head}.${body}`),
  )
  const thumbprint = sha256(JSON.stringify({ crv: jwk.crv, kty: jwk.kty, x: jwk.x, y: jwk.y }))
  const url = `http://${request.headers.host}${request.url?.split('?')[0]}`
  const isRight =
    isSigned &&
    typ === 'dpop+jwt' &&
    thumbprint === jkt &&
    claims.htm === request.method &&
    claims.htu === url &&
    claims.ath === sha256(token) &&
    Math.abs(Number(claims.iat) - Date.now() / 1000) < 60 &&
    !proofs.has(claims.jti as string)
  if (!isRight) return 'invalid_dpop_proof'
  if (nonce !== undefined && claims.nonce !== nonce) return 'use_dpop_nonce'
  proofs.add(claims.jti as string)
  return undefined
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Follows redirects and sends forms, with the cookies of the server, until it is sent back to the app or nothing is left to send. */
async function walk(start: string, login = 'ada'): Promise<string> {
  const cookies = new Map<string, string>()
  let url = start
  let form: URLSearchParams | undefined
  for (let step = 0; step < 30; step++) {
    if (url.startsWith(redirectUri)) return url
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      ...(form && { body: form }),
      redirect: 'manual',
      headers: { cookie },
    })
    for (const set of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set) as unknown as [string, string, string]
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    const location = response.headers.get('location')
    const text = await response.text()
    form = undefined
    if (location !== null) {
      url = new URL(location, url).href
      continue
    }
    const action = /<form[^>]*action="([^"]*)"/.exec(text)?.[1]
    if (action === undefined) return url
    url = new URL(action.replaceAll('&amp;', '&'), url).href
    form = new URLSearchParams()
    for (const [, tag = ''] of text.matchAll(/<input([^>]*)>/g)) {
      const name = /name="([^"]*)"/.exec(tag)?.[1]
      if (name !== undefined) form.set(name, /value="([^"]*)"/.exec(tag)?.[1] ?? (name === 'user_code' ? '' : login))
    }
    if (/name="confirm"|op\.deviceConfirmForm/.test(text)) form.set('confirm', 'yes')
  }
  throw new Error(`the login came to no end: ${url}`)
}
