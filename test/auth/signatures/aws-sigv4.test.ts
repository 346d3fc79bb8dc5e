import { execFileSync } from 'node:child_process'
import type { ServerResponse } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createClient, isCallError, type } from 'polywire'
import { type AwsSigV4Options, awsSigV4 } from 'polywire/auth'
import { get, httpCache, post, put, restTransport, streamBody } from 'polywire/rest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startWireRecorder, type WireRequest } from '../../support/servers/wire-recorder.ts'

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' }
const at = Date.parse('2026-11-29T01:02:03Z')

function clientOf(url: string, options: Partial<AwsSigV4Options> = {}) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: url }) },
    auth: awsSigV4({ credentials, region: 'eu-central-1', service: 'execute-api', now: () => at, ...options }),
    retry: false,
  })
  onTestFinished(() => client.close())
  return client
}

const judge = fileURLToPath(new URL('../../support/aws-judge.mjs', import.meta.url))

/** What AWS's own signer makes of the request that came over the wire. */
function judged(wire: WireRequest, service = 'execute-api', own: object = credentials): string {
  const url = new URL(wire.target)
  const query: Record<string, string | string[]> = {}
  for (const name of url.searchParams.keys()) query[name] = url.searchParams.getAll(name)
  const covered = /SignedHeaders=([^,]*)/.exec(wire.headers.authorization ?? '')?.[1]?.split(';') ?? []
  const request = {
    method: wire.method,
    protocol: 'http:',
    hostname: url.hostname,
    port: Number(url.port),
    path: url.pathname,
    query,
    headers: Object.fromEntries(covered.map((name) => [name, wire.headers[name]])),
    body: wire.body.toString('base64'),
  }
  const input = JSON.stringify({ service, credentials: own, at, request })
  return execFileSync(process.execPath, [judge], { input, env: { ...process.env, NODE_OPTIONS: '' }, encoding: 'utf8' })
}

describe('awsSigV4()', () => {
  it.each<[string, () => unknown, string]>([
    ['rejects', async () => Promise.reject(new Error('later')), 'must not be async'],
    ['gives no number', () => 'now', 'gives ms since 1970'],
    ['gives NaN', () => Number.NaN, 'gives ms since 1970'],
  ])('a clock that %s is named, and nothing is sent', async (_how, now, words) => {
    await using server = await startWireRecorder()
    const client = clientOf(server.url, { now: now as never })
    await expect(client.call(get('/'))).rejects.toMatchObject({
      sent: 'no',
      message: expect.stringContaining(`now() of awsSigV4() ${words}`),
    })
    expect(server.seen).toEqual([])
  })

  it.each<[string, (url: string) => Promise<unknown>]>([
    ['a GET', (url) => clientOf(url).call(get('/a'))],
    ['the root', (url) => clientOf(url).call(get('/'))],
    ['a body', (url) => clientOf(url).call(post('/a/b'), { text: 'ü' } as never)],
    ['a path that is encoded', (url) => clientOf(url).call(get('/things/{id}'), { id: "a b+c*(d)!'ä" })],
    [
      'a query that must be sorted',
      (url) =>
        clientOf(url).call(get('/a', { query: type<{ b: string[]; B: string; a: string }>() }), {
          b: ['2', '1', '10'],
          B: 'x y',
          a: '~*/',
        } as never),
    ],
  ])('%s is signed as AWS signs it', async (_, call) => {
    await using server = await startWireRecorder()
    await call(server.url)
    const request = server.seen[0] as WireRequest
    expect(request.headers.authorization).toBe(judged(request))
  })

  it('temporary credentials, asked for each attempt, are signed with their token', async () => {
    await using server = await startWireRecorder()
    const own = { ...credentials, sessionToken: 'session/token==' }
    await clientOf(server.url, { credentials: async () => own }).call(get('/a'))
    const request = server.seen[0] as WireRequest
    expect(request.headers['x-amz-security-token']).toBe('session/token==')
    expect(request.headers.authorization).toBe(judged(request, 'execute-api', own))
  })

  it.each([{}, { ...credentials, accessKeyId: undefined }, { ...credentials, secretAccessKey: '' }, undefined])(
    'keys that are not there (%o) sign nothing: AWS would be asked as somebody called undefined',
    async (given) => {
      await using server = await startWireRecorder()
      const error = await clientOf(server.url, { credentials: () => given as never })
        .call(get('/a'))
        .catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no' })
      expect(String(error)).toContain('credentials of awsSigV4() are { accessKeyId, secretAccessKey }')
      expect(server.seen).toEqual([])
    },
  )

  it.each([null, ''])('a session token of %j is none', async (sessionToken) => {
    await using server = await startWireRecorder()
    await clientOf(server.url, { credentials: { ...credentials, sessionToken } as never }).call(get('/a'))
    const request = server.seen[0] as WireRequest
    expect(request.headers['x-amz-security-token']).toBeUndefined()
    expect(request.headers.authorization).toBe(judged(request))
  })

  it('where another account has the keys by now, its calls are served nothing of the one before', async () => {
    await using server = await startWireRecorder()
    server.answer((_, response) =>
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'max-age=60' }).end('{}'),
    )
    let accessKeyId = 'AKIDONE'
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url, cache: httpCache() }) },
      auth: awsSigV4({
        credentials: async () => ({ ...credentials, accessKeyId }),
        region: 'eu-central-1',
        service: 'execute-api',
      }),
    })
    for (const each of ['AKIDONE', 'AKIDONE', 'AKIDTWO']) {
      accessKeyId = each
      await client.call(get('/mine'))
    }
    const asked = server.seen.map(({ headers }) => /Credential=(\w+)/.exec(headers.authorization ?? '')?.[1])
    expect(asked).toEqual(['AKIDONE', 'AKIDTWO'])
    await client.close()
  })

  it('S3 has its path encoded once, and takes a stream unsigned', async () => {
    await using server = await startWireRecorder()
    const client = clientOf(server.url, { service: 's3' })
    await client.call(get('/bucket/{key}'), { key: 'a b' })
    await client.call(put('/bucket/{key}', { shape: 'nested', body: type<unknown>() }), {
      params: { key: 'k' },
      body: streamBody(new Blob(['abc']).stream()),
    } as never)
    const [read, written] = server.seen as [WireRequest, WireRequest]
    expect(read.headers.authorization).toBe(judged(read, 's3'))
    expect(written.headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD')
    expect(written.headers.authorization).toBe(judged(written, 's3'))
    expect(written.body.toString()).toBe('abc')
  })

  it('another service refuses a stream, unsent', async () => {
    await using server = await startWireRecorder()
    const upload = post('/a', { shape: 'nested', body: type<unknown>() })
    const error = await clientOf(server.url)
      .call(upload, { body: streamBody(new Blob(['abc']).stream()) } as never)
      .catch((reason: unknown) => reason)
    expect(isCallError(error) && [error.code, error.sent]).toEqual(['failed_precondition', 'no'])
    expect(server.seen.length).toBe(0)
  })

  it("a clock that is an hour off is set right by the server's, once, and costs no retry", async () => {
    await using server = await startWireRecorder()
    const late = (_: WireRequest, response: ServerResponse) =>
      response.writeHead(403, { date: new Date(at + 3_600_000).toUTCString() }).end('RequestTimeTooSkewed')
    server.answer(late, (_, response) => response.end('{}'))
    const client = clientOf(server.url)
    await client.call(get('/a'))
    expect(server.seen.map(({ headers }) => headers['x-amz-date'])).toEqual(['20261129T010203Z', '20261129T020203Z'])
    server.answer((_, response) => response.writeHead(403, { date: new Date(at + 3_600_000).toUTCString() }).end())
    await expect(client.call(get('/a'))).rejects.toMatchObject({ code: 'permission_denied' })
    expect(server.seen.length).toBe(3)
  })

  it('a clock that is off is set right for all calls that were signed by it, not for the first alone', async () => {
    await using server = await startWireRecorder()
    let refused: (() => void)[] = []
    server.answer(({ headers }, response) => {
      if (headers['x-amz-date'] === '20261129T020203Z') return response.end('{}')
      // All are refused before any is sent again.
      refused.push(() => response.writeHead(403, { date: new Date(at + 3_600_000).toUTCString() }).end())
      if (refused.length < 3) return undefined
      for (const each of refused) each()
      refused = []
      return undefined
    })
    const client = clientOf(server.url)
    await Promise.all(['a', 'b', 'c'].map((id) => client.call(get('/things/{id}'), { id })))
    expect(server.seen.length).toBe(6)
  })
})
