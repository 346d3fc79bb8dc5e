import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { createClient, isCallError, type } from 'polywire'
import { type DigestAuthOptions, digestAuth } from 'polywire/auth'
import { get, post, restTransport, streamBody } from 'polywire/rest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readChallenge, readParameters } from '../../src/auth/digest/challenge.ts'
import { md5 } from '../../src/auth/digest/md5.ts'
import { expectLinear, headerUnits } from '../support/linear.ts'
import { seeded } from '../support/seeded.ts'
import { type DigestRules, startDigestServer } from '../support/servers/digest-server.ts'
import { startWireRecorder } from '../support/servers/wire-recorder.ts'

const credentials = { username: 'Mufasa', password: 'Circle of Life' }

function clientOf(baseUrl: string, options: Partial<DigestAuthOptions> = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl }) },
    auth: digestAuth({ ...credentials, ...options }),
    retry: false,
  })
  onTestFinished(() => client.close())
  return client
}

describe('digestAuth()', () => {
  it.each<[string, () => unknown, string]>([
    ['rejects', async () => Promise.reject(new Error('later')), 'cnonce() of digestAuth() must not be async'],
    [
      'throws',
      () => {
        throw new Error('mine')
      },
      'cnonce() of digestAuth() threw',
    ],
  ])('a cnonce() that %s is named', async (_how, cnonce, words) => {
    await using server = await startDigestServer({ algorithms: ['SHA-256'] })
    const client = clientOf(server.url, { cnonce: cnonce as never })
    await expect(client.call(get('/'))).rejects.toMatchObject({ cause: { message: expect.stringContaining(words) } })
  })

  it('a cnonce() that gives a number is its text', async () => {
    await using server = await startDigestServer({ algorithms: ['SHA-256'] })
    const client = clientOf(server.url, { cnonce: (() => 42) as never })
    await client.call(get('/'))
  })

  it.each([
    ['SHA-256', '7HPK2E7A', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    ['MD5', '7HPK2E7A', '8ca523f5e9506fed4657c9700eebdbec'],
  ])("answers %s as the RFC's example does (3.9.1)", async (algorithm, _, response) => {
    await using server = await startWireRecorder()
    const challenge = `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
    server.answer(
      (_request, answer) => answer.writeHead(401, { 'www-authenticate': challenge }).end(),
      (_request, answer) => answer.end('{}'),
    )
    const client = clientOf(server.url, { cnonce: () => 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ' })
    await client.call(get('/dir/index.html'))
    expect(server.seen[1]?.headers.authorization).toContain(`response="${response}"`)
  })

  it.each<[DigestRules]>([
    [{ algorithms: ['SHA-256'] }],
    [{ algorithms: ['MD5'] }],
    [{ algorithms: ['MD5', 'SHA-256'] }],
    [{ algorithms: ['SHA-512-256', 'SHA-256'] }],
    [{ algorithms: ['SHA-256-sess'] }],
    [{ algorithms: ['MD5-sess'] }],
    [{ algorithms: ['MD5'], qop: undefined }],
    [{ algorithms: ['SHA-256'], qop: 'auth-int' }],
    [{ algorithms: ['SHA-256'], userhash: true }],
    [{ algorithms: ['SHA-256'], username: 'Jäsøn "Doe"', password: 'pä:ss' }],
  ])('%j: one challenge, then every call carries its answer at once', async (rules) => {
    await using server = await startDigestServer(rules)
    const { username = credentials.username, password = credentials.password } = rules
    const client = clientOf(server.url, { username, password })
    await client.call(post('/a?b=c'), { text: 'ü' } as never)
    await client.call(get('/things/{id}'), { id: 'x y' })
    await client.call(get('/b'))
    expect(server.seen.map(({ status }) => status)).toEqual([401, 200, 200, 200])
  })

  it.each([
    ['UTF-8', 'Geschützt'],
    ['Latin-1', 'Geschützt'],
  ] as const)('a realm in %s is hashed, and sent back, by the bytes in which it came', async (charset, realm) => {
    await using server = await startWireRecorder()
    const bytes = Buffer.from(realm, charset === 'UTF-8' ? 'utf8' : 'latin1')
    const hash = (...parts: (string | Buffer)[]) =>
      createHash('md5')
        .update(Buffer.concat(parts.map((part) => Buffer.from(part as string))))
        .digest('hex')
    server.answer((request, response) => {
      const sent = request.headers.authorization
      if (sent === undefined)
        return response
          .writeHead(401, { 'www-authenticate': `Digest realm="${bytes.toString('latin1')}", nonce="n"` })
          .end()
      const right = hash(`${hash('ü:', bytes, ':p')}:n:${hash('GET:/a')}`)
      expect(sent).toContain(`realm="${bytes.toString('latin1')}"`)
      return response.writeHead(sent.includes(`response="${right}"`) ? 200 : 401).end()
    })
    await clientOf(server.url, { username: 'ü', password: 'p' }).call(get('/a'))
    expect(server.seen.length).toBe(2)
  })

  it('covers the body where that is chosen', async () => {
    await using server = await startDigestServer({ qop: 'auth,auth-int' })
    const client = clientOf(server.url, { qop: 'auth-int' })
    await client.call(post('/a'), { text: 'ü' } as never)
    expect(server.seen.map(({ status }) => status)).toEqual([401, 200])
  })

  it('follows the next nonce, and a stale one costs one request', async () => {
    await using next = await startDigestServer({ nextnonce: true })
    const client = clientOf(next.url)
    for (let call = 0; call < 3; call++) await client.call(get('/a'))
    expect(next.seen.map(({ status, nc }) => [status, nc])).toEqual([
      [401, undefined],
      [200, '00000001'],
      [200, '00000001'],
      [200, '00000001'],
    ])
    expect(new Set(next.seen.map(({ nonce }) => nonce)).size).toBe(4)
    await using stale = await startDigestServer({ uses: 2 })
    const other = clientOf(stale.url)
    for (let call = 0; call < 3; call++) await other.call(get('/a'))
    expect(stale.seen.map(({ status }) => status)).toEqual([401, 200, 200, 401, 200])
  })

  it('a wrong password is refused after one answer', async () => {
    await using server = await startDigestServer()
    const client = clientOf(server.url, { password: 'wrong' })
    const error = await client.call(get('/a')).catch((reason: unknown) => reason)
    expect(isCallError(error) && error.code).toBe('unauthenticated')
    expect(server.seen.map(({ status }) => status)).toEqual([401, 401])
  })

  it('a stream is not sent twice: it needs a challenge that was met before', async () => {
    await using server = await startDigestServer()
    const client = clientOf(server.url)
    const upload = post('/a', { shape: 'nested', body: type<unknown>() })
    const once = () => client.call(upload, { body: streamBody(new Blob(['abc']).stream()) } as never)
    await expect(once()).rejects.toMatchObject({ code: 'unauthenticated' })
    await client.call(get('/a'))
    await once()
    expect(server.seen.map(({ status }) => status)).toEqual([401, 200, 200])
  })

  it('computes MD5 as node:crypto does', () => {
    const random = seeded(42)
    for (const length of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 1000]) {
      const bytes = Uint8Array.from({ length }, () => Math.floor(random() * 256))
      expect(Buffer.from(md5(bytes)).toString('hex')).toBe(createHash('md5').update(bytes).digest('hex'))
    }
  })
})

describe('a challenge (random)', () => {
  const marks = ['Digest', 'Basic', 'realm', 'nonce', 'qop', 'auth', '"', '\\', '=', ',', ' ', ';', 'SHA-256', '\t']
  const text = fc
    .array(fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom(...marks)), { maxLength: 25 })
    .map((parts) => parts.join(''))

  it('is one that can be answered, or none, whatever a server writes', () => {
    fc.assert(
      fc.property(text, fc.boolean(), (header, preferInt) => {
        const found = readChallenge(header, preferInt)
        for (const value of readParameters(header).values()) expect(typeof value).toBe('string')
        if (!found) return
        expect([typeof found.realm, typeof found.nonce]).toEqual(['string', 'string'])
        expect([undefined, 'auth', 'auth-int']).toContain(found.qop)
        expect(found.algorithm).toMatch(/^(?:SHA-256|MD5)(?:-SESS)?$/i)
      }),
      { numRuns: 3000 },
    )
  })

  it('comes back as it was written, between others, in any order', () => {
    const value = fc.stringMatching(/^[ -~]{0,12}$/)
    const quoted = (each: string) => `"${each.replace(/["\\]/g, '\\$&')}"`
    fc.assert(
      fc.property(
        value,
        value,
        fc.constantFrom(', ', ' ,', ' , ', ', ,'),
        fc.boolean(),
        (realm, nonce, comma, isFirst) => {
          const parameters = [`realm=${quoted(realm)}`, `nonce = ${quoted(nonce)}`, 'algorithm=SHA-256', 'stale=TRUE']
          const own = `digest ${(isFirst ? parameters : parameters.reverse()).join(comma)}`
          const header = `Basic realm="a, Digest nonce=\\"x\\""${comma}${own}${comma}Bearer`
          expect(readChallenge(header, false)).toMatchObject({ realm, nonce, algorithm: 'SHA-256', isStale: true })
        },
      ),
      { numRuns: 1000 },
    )
  })

  it('takes time by its length', () => {
    for (const around of [[], ['Digest ', '"'], ['Digest realm', 'x']]) {
      expectLinear((header) => readChallenge(header, false), headerUnits, around)
      expectLinear(readParameters, headerUnits, around)
    }
  })
})
