import { createHash, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface DigestRules {
  readonly algorithms?: readonly string[]
  readonly qop?: string | undefined
  readonly username?: string
  readonly password?: string
  readonly userhash?: boolean
  /** Answers that a nonce is good for. */
  readonly uses?: number
  /** Gives the next nonce with each answer. */
  readonly nextnonce?: boolean
}

export interface DigestServer {
  readonly url: string
  /** What each request was answered, and the nonce count that it carried. */
  readonly seen: { readonly status: number; readonly nc: string | undefined; readonly nonce: string | undefined }[]
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A strict server by RFC 7616, written from its formulas with node:crypto: every member is checked, counts must rise by
 * one, and a nonce that was used often enough is stale.
 */
export async function startDigestServer(rules: DigestRules = {}): Promise<DigestServer> {
  const {
    algorithms = ['SHA-256'],
    username = 'Mufasa',
    password = 'Circle of Life',
    uses = 1_000,
    nextnonce,
    userhash,
  } = rules
  const qop = 'qop' in rules ? rules.qop : 'auth'
  const seen: DigestServer['seen'] = []
  const realm = 'http-auth@example.org'
  const nonces = new Map<string, number>()
  const fresh = (): string => {
    const nonce = randomUUID()
    nonces.set(nonce, 0)
    return nonce
  }
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const given = readDigest(request.headers.authorization)
    const refuse = (isStale: boolean): void => {
      seen.push({ status: 401, nc: given.nc, nonce: given.nonce })
      const more = `${qop ? `, qop="${qop}"` : ''}${isStale ? ', stale=true' : ''}${userhash ? ', userhash=true' : ''}, charset=UTF-8`
      const challenges = algorithms.map(
        (each) => `Digest realm="${realm}", nonce="${fresh()}", opaque="op,aq=ue", algorithm=${each}${more}`,
      )
      response.writeHead(401, { 'www-authenticate': ['Basic realm="other, one"', ...challenges] }).end()
    }
    const used = nonces.get(given.nonce ?? '')
    if (used === undefined) return refuse(given.nonce !== undefined)
    const isUserRight = given.username === (userhash ? hash(given.algorithm ?? '', `${username}:${realm}`) : username)
    const isRight =
      isUserRight &&
      given.realm === realm &&
      given.uri === request.url &&
      given.opaque === 'op,aq=ue' &&
      algorithms.includes(given.algorithm ?? '') &&
      given.response ===
        expected(given, { realm, username, password, method: request.method ?? '', body: Buffer.concat(chunks) }) &&
      (!qop || (qop.split(',').includes(given.qop ?? '') && Number.parseInt(given.nc ?? '', 16) === used + 1))
    if (!isRight) return refuse(false)
    if (used >= uses) return refuse(true)
    nonces.set(given.nonce as string, used + 1)
    seen.push({ status: 200, nc: given.nc, nonce: given.nonce })
    response.writeHead(200, {
      'content-type': 'application/json',
      ...(nextnonce && { 'authentication-info': `nextnonce="${fresh()}", qop=auth` }),
    })
    response.end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

type Given = Readonly<Record<string, string | undefined>>

function readDigest(header: string | undefined): Given {
  const given: Record<string, string> = {}
  for (const [, name = '', quoted, plain] of (header ?? '').matchAll(/([\w*]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))/g))
    given[name] = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? ''
  const extended = given['username*']
  if (extended) given.username = decodeURIComponent(extended.replace(/^UTF-8''/, ''))
  return given
}

function hash(algorithm: string, content: string | Buffer): string {
  return createHash(algorithm.startsWith('MD5') ? 'md5' : 'sha256')
    .update(content)
    .digest('hex')
}

interface Facts {
  readonly realm: string
  readonly username: string
  readonly password: string
  readonly method: string
  readonly body: Buffer
}

function expected(given: Given, { realm, username, password, method, body }: Facts): string {
  const algorithm = given.algorithm ?? ''
  const h = (content: string | Buffer): string => hash(algorithm, content)
  const user = h(`${username}:${realm}:${password}`)
  const a1 = algorithm.endsWith('-sess') ? h(`${user}:${given.nonce}:${given.cnonce}`) : user
  const a2 = h(`${method}:${given.uri}${given.qop === 'auth-int' ? `:${h(body)}` : ''}`)
  return given.qop
    ? h(`${a1}:${given.nonce}:${given.nc}:${given.cnonce}:${given.qop}:${a2}`)
    : h(`${a1}:${given.nonce}:${a2}`)
}
