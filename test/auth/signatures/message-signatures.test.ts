import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, webcrypto } from 'node:crypto'
import { createVerifier, httpbis } from 'http-message-signatures'
import { createClient, isCallError, type } from 'polywire'
import { bearerAuth, type MessageSignaturesOptions, messageSignatures } from 'polywire/auth'
import { createFetch } from 'polywire/fetch'
import { graphqlTransport, mutation } from 'polywire/graphql'
import { grpcWebTransport, rpc } from 'polywire/grpc-web'
import { get, post, restTransport, streamBody } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ShopService } from '../../support/proto/gen/polywire/test/v1/shop_pb.ts'
import { startWireRecorder, type WireRequest } from '../../support/servers/wire-recorder.ts'

/** Ed25519 key of RFC 9421, appendix B.1.4. */
const rfcKey = createPrivateKey({
  key: Buffer.from('MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF', 'base64'),
  format: 'der',
  type: 'pkcs8',
})

async function webKey(key: KeyObject, algorithm: object): Promise<CryptoKey> {
  const der = key.export({ format: 'der', type: 'pkcs8' })
  return (await webcrypto.subtle.importKey('pkcs8', der, algorithm as AlgorithmIdentifier, false, [
    'sign',
  ])) as CryptoKey
}

const algorithms = [
  ['ed25519', () => generateKeyPairSync('ed25519'), { name: 'Ed25519' }],
  [
    'ecdsa-p256-sha256',
    () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    { name: 'ECDSA', namedCurve: 'P-256' },
  ],
  ['rsa-pss-sha512', () => generateKeyPairSync('rsa', { modulusLength: 2048 }), { name: 'RSA-PSS', hash: 'SHA-512' }],
  [
    'rsa-v1_5-sha256',
    () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
    { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  ],
] as const

const pair = generateKeyPairSync('ed25519')
const key = await webKey(pair.privateKey, { name: 'Ed25519' })

/** What the library of the field says of a request that came over the wire. */
async function isVerified(request: WireRequest, publicKey: KeyObject | Buffer = pair.publicKey, alg = 'ed25519') {
  const digest = request.headers['content-digest']
  if (digest !== undefined)
    expect(digest).toBe(`sha-256=:${createHash('sha256').update(request.body).digest('base64')}:`)
  return httpbis.verifyMessage(
    { keyLookup: async () => ({ id: 'k', algs: [alg], verify: createVerifier(publicKey as never, alg) }) },
    { method: request.method, url: request.target, headers: request.headers },
  )
}

function restClient(url: string, options: Partial<MessageSignaturesOptions> = {}, more: object = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: url }) },
    auth: messageSignatures({ key, keyId: 'k', ...options }),
    ...more,
  })
  onTestFinished(() => client.close())
  return client
}

describe('messageSignatures()', () => {
  it.each<[string, () => unknown, string]>([
    ['rejects', async () => Promise.reject(new Error('later')), 'must not be async'],
    ['gives no number', () => 'now', 'gives ms since 1970'],
    ['gives NaN', () => Number.NaN, 'gives ms since 1970'],
  ])('a clock that %s is named, and nothing is sent', async (_how, now, words) => {
    await using server = await startWireRecorder()
    const client = restClient(server.url, { now: now as never })
    await expect(client.call(get('/'))).rejects.toMatchObject({
      sent: 'no',
      message: expect.stringContaining(`now() of messageSignatures() ${words}`),
    })
    expect(server.seen).toEqual([])
  })

  it('signs as the RFC does (B.2.6)', async () => {
    const auth = messageSignatures({
      key: await webKey(rfcKey, { name: 'Ed25519' }),
      keyId: 'test-key-ed25519',
      components: ['date', '@method', '@path', '@authority', 'content-type', 'content-length'],
      label: 'sig-b26',
      now: () => 1618884473000,
    })
    const credential = await auth.credential(undefined as never)
    const wire = credential?.wire as unknown as {
      send(engine: object, request: object, sink: object, scope: object): void
    }
    const sent = await new Promise<{ headers: Record<string, string> }>((resolve) => {
      const headers = {
        date: 'Tue, 20 Apr 2021 02:07:55 GMT',
        'content-type': 'application/json',
        'content-length': '18',
      }
      const request = {
        method: 'POST',
        url: 'https://example.com/foo?param=Value&Pet=dog',
        headers,
        body: '{"hello": "world"}',
      }
      wire.send({ send: resolve }, request, {}, { isOver: false, onAbort: () => () => undefined })
    })
    expect(sent.headers['signature-input']).toBe(
      'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
    )
    expect(sent.headers.signature).toBe(
      'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:',
    )
  })

  it.each(algorithms)('%s is verified by the library of the field', async (alg, generate, algorithm) => {
    await using server = await startWireRecorder()
    const { privateKey, publicKey } = generate()
    const client = restClient(server.url, { key: await webKey(privateKey, algorithm), alg })
    await client.call(post('/things/{id}'), { id: 'a b', n: 1 } as never)
    expect(await isVerified(server.seen[0] as WireRequest, publicKey, alg)).toBe(true)
  })

  it('a shared secret is verified, and so are all derived components', async () => {
    await using server = await startWireRecorder()
    const secret = Buffer.alloc(32, 3)
    const components = [
      '@method',
      '@target-uri',
      '@authority',
      '@scheme',
      '@path',
      '@query',
      '@request-target',
      'accept',
    ]
    const client = restClient(server.url, {
      key: secret,
      alg: 'hmac-sha256',
      components,
      tag: 'shop',
      nonce: true,
      expiresInMs: 60_000,
    })
    await client.call(get('/things/{id}', { query: type<{ q: string }>() }), { id: 'ä', q: 'x y' } as never)
    expect(await isVerified(server.seen[0] as WireRequest, secret, 'hmac-sha256')).toBe(true)
  })

  it.each<[string, (url: string) => Promise<unknown>]>([
    ['REST', (url) => restClient(url).call(post('/a'), { a: 'ü' } as never)],
    [
      'REST with a form',
      (url) => {
        const form = new FormData()
        form.append('file', new Blob(['bytes']), 'a.txt')
        return restClient(url).call(post('/a', { shape: 'nested', body: type<unknown>() }), { body: form } as never)
      },
    ],
    [
      'REST by fetch',
      (url) => {
        const client = createClient({
          transports: { rest: restTransport({ baseUrl: url, http: 'fetch' }) },
          auth: messageSignatures({ key, keyId: 'k' }),
        })
        onTestFinished(() => client.close())
        return client.call(post('/a'), { a: 1 } as never)
      },
    ],
    [
      'GraphQL',
      (url) => {
        const client = createClient({
          transports: { graphql: graphqlTransport({ url }) },
          auth: messageSignatures({ key, keyId: 'k' }),
        })
        onTestFinished(() => client.close())
        return client.call(mutation('mutation Add { add }', { output: type<unknown>() }))
      },
    ],
    ...(['undici', 'fetch'] as const).map((http): [string, (url: string) => Promise<unknown>] => [
      `gRPC-Web by ${http}`,
      (url) => {
        const client = createClient({
          transports: { 'grpc-web': grpcWebTransport({ baseUrl: url, http }) },
          auth: messageSignatures({ key, keyId: 'k' }),
          retry: false,
        })
        onTestFinished(() => client.close())
        return client.call(rpc(ShopService.method.addItem), { name: 'tea' } as never).catch(() => undefined)
      },
    ]),
    [
      'the fetch face by fetch',
      (url) => {
        const fetch = createFetch({ origin: url, auth: messageSignatures({ key, keyId: 'k' }), http: 'fetch' })
        return fetch(`${url}/a`, { method: 'POST', body: new Blob(['abc'], { type: 'text/plain' }) })
      },
    ],
    [
      'the fetch face',
      (url) => {
        const fetch = createFetch({ origin: url, auth: messageSignatures({ key, keyId: 'k' }) })
        return fetch(`${url}/a`, { method: 'POST', body: new URLSearchParams({ a: '1' }) })
      },
    ],
    [
      'the fetch face with a form',
      (url) => {
        const form = new FormData()
        form.append('a', 'b')
        const fetch = createFetch({ origin: url, auth: messageSignatures({ key, keyId: 'k' }) })
        return fetch(`${url}/a`, { method: 'POST', body: form })
      },
    ],
    [
      'SSE',
      async (url) => {
        const client = createClient({
          transports: { sse: sseTransport({ baseUrl: url }) },
          auth: messageSignatures({ key, keyId: 'k' }),
          retry: false,
        })
        onTestFinished(() => client.close())
        await client
          .call(events('/a', {} as never), {} as never)
          [Symbol.asyncIterator]()
          .next()
          .catch(() => undefined)
      },
    ],
  ])('%s is signed over the bytes that are sent', async (_, call) => {
    await using server = await startWireRecorder()
    await call(server.url)
    expect(server.seen.length).toBeGreaterThan(0)
    expect(await isVerified(server.seen[0] as WireRequest)).toBe(true)
  })

  it('covers a bearer token that goes with it, and signs each attempt anew', async () => {
    await using server = await startWireRecorder()
    server.answer(
      (_, response) => response.writeHead(503).end(),
      (_, response) => response.end('{}'),
    )
    const client = restClient(server.url, { auth: bearerAuth('t0ken'), nonce: true }, { retry: { maxAttempts: 2 } })
    await client.call(get('/a'))
    expect(server.seen.length).toBe(2)
    for (const request of server.seen) {
      expect(request.headers['signature-input']).toContain('"authorization"')
      expect(await isVerified(request)).toBe(true)
    }
    expect(new Set(server.seen.map(({ headers }) => headers.signature)).size).toBe(2)
  })

  it('a redirect inside of the origin is signed anew; across it goes nothing that was added', async () => {
    await using server = await startWireRecorder()
    await using other = await startWireRecorder()
    server.answer(
      (_, response) => response.writeHead(307, { location: '/b?x=1' }).end(),
      (_, response) => response.writeHead(307, { location: `${other.url}/c` }).end(),
    )
    const client = restClient(server.url, { auth: bearerAuth('t0ken') })
    await client.call(post('/a'), { a: 1 } as never)
    expect(server.seen.map(({ url }) => url)).toEqual(['/a', '/b?x=1'])
    for (const request of server.seen) expect(await isVerified(request)).toBe(true)
    expect(Object.keys(other.seen[0]?.headers ?? {})).not.toEqual(expect.arrayContaining(['authorization']))
    expect(
      Object.keys(other.seen[0]?.headers ?? {}).filter((name) => /signature|digest|authorization/.test(name)),
    ).toEqual([])
    expect(other.seen[0]?.body.toString()).toBe('{"a":1}')
  })

  it('a stream is refused unsent, or left out where that is declared', async () => {
    await using server = await startWireRecorder()
    const upload = post('/a', { shape: 'nested', body: type<unknown>() })
    const stream = () => streamBody(new Blob(['abc']).stream())
    const error = await restClient(server.url)
      .call(upload, { body: stream() } as never)
      .catch((reason: unknown) => reason)
    expect(isCallError(error) && [error.code, error.sent]).toEqual(['failed_precondition', 'no'])
    expect(server.seen.length).toBe(0)
    await restClient(server.url, { streamed: 'unsigned' }).call(upload, { body: stream() } as never)
    expect(server.seen[0]?.headers['signature-input']).not.toContain('content-digest')
    expect(await isVerified(server.seen[0] as WireRequest)).toBe(true)
  })

  it('a component that the request lacks is refused in words', async () => {
    await using server = await startWireRecorder()
    const error = await restClient(server.url, { components: ['x-missing'] })
      .call(get('/a'))
      .catch((reason: unknown) => reason)
    expect(String(error)).toContain("covers 'x-missing'")
    expect(server.seen.length).toBe(0)
  })

  it('an abort while it signs settles the call, and nothing is sent', async () => {
    await using server = await startWireRecorder()
    const { signedAuth } = await import('polywire/auth')
    let release: (headers: Record<string, string>) => void = () => undefined
    const signing = new Promise<Record<string, string>>((resolve) => {
      release = resolve
    })
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      auth: signedAuth({ sign: () => signing }),
    })
    onTestFinished(() => client.close())
    const abort = new AbortController()
    const call = client.call(get('/a'), {}, { signal: abort.signal })
    await new Promise((resolve) => setImmediate(resolve))
    abort.abort(new Error('enough'))
    await expect(call).rejects.toThrow('enough')
    release({})
    await new Promise((resolve) => setImmediate(resolve))
    expect(server.seen.length).toBe(0)
  })
})
