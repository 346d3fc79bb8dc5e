import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient, type } from 'polywire'
import { awsSigV4, basicAuth, bearerAuth, messageSignatures } from 'polywire/auth'
import { authorizationCode, authorizationServer, clientCredentials, dpop, oauthAuth } from 'polywire/oauth'
import { post, restTransport } from 'polywire/rest'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { uuid } from '../../../src/core/call/uuid.ts'

const version4 = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/

describe('an insecure page (http:, not localhost) has no crypto.randomUUID and no crypto.subtle', () => {
  beforeEach(() => {
    const { crypto } = globalThis
    vi.stubGlobal('crypto', { getRandomValues: (bytes: Uint8Array<ArrayBuffer>) => crypto.getRandomValues(bytes) })
  })
  afterEach(() => void vi.unstubAllGlobals())

  async function echo() {
    const seen: (string | undefined)[] = []
    const server = createServer((request, response) => {
      seen.push(request.headers['idempotency-key']?.toString())
      response.writeHead(request.headers['x-asks'] ? 401 : 200, { 'content-type': 'application/json' }).end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return { seen, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  }
  const create = post('/orders', { body: type<{ sku: string }>() })

  it('has UUIDs of version 4 all the same, no two alike', () => {
    const all = Array.from({ length: 1000 }, () => uuid())
    for (const one of all) expect(one).toMatch(version4)
    expect(new Set(all).size).toBe(1000)
    // Every variant and every digit comes up: random bits fill all places that RFC 9562 leaves open.
    expect(new Set(all.map((one) => one[19])).size).toBe(4)
    expect(new Set(all.map((one) => one[0])).size).toBe(16)
  })

  it('sends idempotency keys and credentials', async () => {
    const { seen, url } = await echo()
    for (const auth of [bearerAuth('t'), basicAuth({ username: 'u', password: 'p' })]) {
      const client = createClient({ transports: { rest: restTransport({ baseUrl: url, auth }) } })
      onTestFinished(() => client.close())
      await client.call(create, { sku: 'tea' })
    }
    expect(seen).toEqual([expect.stringMatching(version4), expect.stringMatching(version4)])
  })

  it.each([
    ['messageSignatures()', () => messageSignatures({ key: new Uint8Array(32), keyId: 'k' })],
    [
      'awsSigV4()',
      () => awsSigV4({ region: 'r', service: 's', credentials: { accessKeyId: 'a', secretAccessKey: 's' } }),
    ],
  ])('%s says what it lacks, and sends nothing', async (_name, make) => {
    const { seen, url } = await echo()
    const client = createClient({ transports: { rest: restTransport({ baseUrl: url, auth: make() }) } })
    onTestFinished(() => client.close())
    await expect(client.call(create, { sku: 'tea' })).rejects.toMatchObject({
      sent: 'no',
      message: expect.stringContaining('needs Web Crypto, which a page has over https: only'),
    })
    expect(seen).toEqual([])
  })

  it('a login and a proof of possession say what they lack', async () => {
    const issuer = 'https://as.test'
    const metadata = { issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` }
    const lack = { code: 'failed_precondition', message: expect.stringContaining('needs Web Crypto') }
    const server = authorizationServer({ issuer, metadata, clientId: 'c' })
    await expect(authorizationCode(server, { redirectUri: 'http://app.test/' }).start()).rejects.toMatchObject(lack)
    const proving = authorizationServer({ issuer, metadata, clientId: 'c', dpop: dpop() })
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: issuer }) },
      auth: oauthAuth(clientCredentials(proving)),
    })
    onTestFinished(() => client.close())
    const refused = { code: 'unauthenticated', sent: 'no', cause: lack }
    await expect(client.call(create, { sku: 'tea' })).rejects.toMatchObject(refused)
  })
})
