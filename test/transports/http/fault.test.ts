import { createServer as createHttp2 } from 'node:http2'
import { createServer, type Server } from 'node:net'
import { Agent, MockAgent } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { HttpBodyReader, openBody } from '../../../transports/http/body.ts'
import { requestBuffered } from '../../../transports/http/collect.ts'
import type { HttpEngine, HttpRequest } from '../../../transports/http/contract.ts'
import { explainByCode } from '../../../transports/http/engine/fault-codes.ts'
import { FetchEngine } from '../../../transports/http/engine/fetch/engine.ts'
import { UndiciEngine } from '../../../transports/http/engine/undici/engine.ts'
import { classify, faultToFailure, HttpFaultError, toCallError } from '../../../transports/http/fault.ts'
import { followRedirect } from '../../../transports/http/redirect.ts'
import { openUpload } from '../../../transports/http/upload.ts'
import { freePort } from '../../support/free-port.ts'
import { exchange, newScope, turns } from '../../support/recording-sink.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'

let server: FaultServer
let secure: FaultServer
let noTls: Server
const engines: HttpEngine[] = []
const keep = <E extends HttpEngine>(engine: E): E => {
  engines.push(engine)
  return engine
}

beforeAll(async () => {
  server = await FaultServer.start()
  secure = await FaultServer.start({ tls: 'h1' })
  noTls = createServer((socket) => socket.on('error', () => undefined).end('no TLS here\r\n'))
  await new Promise<void>((resolve) => noTls.listen(0, '127.0.0.1', resolve))
})
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close()
})
afterAll(async () => {
  await server.close()
  await secure.close()
  noTls.close()
})

const portOf = (listening: Server) => (listening.address() as { port: number }).port

async function faultOf(engine: HttpEngine, request: Partial<HttpRequest> & { url: string }) {
  const sink = exchange(engine, request)
  await sink.over()
  expect(sink.events.at(-1)).toBe('error')
  return sink.fault
}

describe.each([
  ['undici', () => new UndiciEngine()],
  ['fetch', () => new FetchEngine(undefined, explainByCode, followRedirect)],
] as const)('%s', (name, make) => {
  const isUndici = name === 'undici'
  /** fetch cannot tell whether anything was written. */
  const early = isUndici ? { phase: 'headers', sent: 'maybe' } : { phase: 'connect', sent: 'maybe' }

  it('connection refused', async () => {
    const fault = await faultOf(keep(make()), { url: `http://127.0.0.1:${await freePort()}/` })
    expect(fault).toMatchObject({ phase: 'connect', sent: 'no', what: 'connection refused' })
    expect(fault?.code).toBeUndefined()
  })

  it('host name that does not exist', async () => {
    const fault = await faultOf(keep(make()), { url: 'http://polywire-test.invalid/' })
    expect(fault).toMatchObject({ phase: 'resolve', sent: 'no', what: expect.stringContaining('host name') })
  })

  it('certificate that nobody vouches for', async () => {
    const fault = await faultOf(keep(make()), { url: `${secure.url}/json` })
    expect(fault).toMatchObject({
      phase: 'connect',
      sent: 'no',
      code: 'failed_precondition',
      what: 'certificate not trusted',
    })
    expect(secure.exchanges).toHaveLength(0)
  })

  it('a server that speaks no TLS', async () => {
    const fault = await faultOf(keep(make()), { url: `https://127.0.0.1:${portOf(noTls)}/` })
    expect(fault).toMatchObject({
      phase: 'connect',
      sent: isUndici ? 'no' : 'maybe',
      what: expect.stringContaining('TLS'),
    })
  })

  it('http to a port that speaks TLS', async () => {
    for (const url of [`${secure.url.replace('https', 'http')}/json`]) {
      const fault = await faultOf(keep(make()), { url })
      expect(fault).toMatchObject({ sent: 'maybe', hint: expect.stringContaining('https') })
    }
    const alert = createServer((socket) =>
      socket.on('error', () => undefined).end(Buffer.from('15030100020246', 'hex')),
    )
    await new Promise<void>((resolve) => alert.listen(0, '127.0.0.1', resolve))
    const fault = await faultOf(keep(make()), { url: `http://127.0.0.1:${portOf(alert)}/` })
    expect(fault).toMatchObject({ what: 'the answer is no HTTP', hint: expect.stringContaining('https') })
    alert.close()
  })

  it('HTTP/1.1 to a server that speaks HTTP/2 alone: it did not run, and will not', async () => {
    const settings = createServer((socket) =>
      socket.on('error', () => undefined).write(Buffer.from('000006040000000000000500004000', 'hex')),
    )
    const nodes = createHttp2()
    for (const alone of [settings, nodes as unknown as typeof settings]) {
      await new Promise<void>((resolve) => alone.listen(0, '127.0.0.1', resolve))
      const fault = await faultOf(keep(make()), { url: `http://127.0.0.1:${portOf(alone)}/` })
      expect(fault).toMatchObject({
        ...{ phase: 'connect', sent: 'no', code: 'failed_precondition' },
        what: expect.stringContaining('HTTP/2 alone'),
        hint: expect.stringContaining('connectTransport()'),
      })
      alone.close()
    }
  })

  it.each(['/reset', '/cut'])('%s: no answer', async (path) => {
    expect(await faultOf(keep(make()), { url: server.url + path })).toMatchObject({ ...early, what: 'connection lost' })
  })

  it.each(['/reset-body', '/cut-body', '/cut-chunked'])('%s: half an answer', async (path) => {
    const engine = keep(make())
    expect(await faultOf(engine, { url: server.url + path })).toMatchObject({
      phase: 'body',
      sent: 'yes',
      what: 'connection lost',
    })
    const request = { method: 'GET', url: server.url + path, headers: {} }
    await expect(requestBuffered(engine, request, newScope())).rejects.toBeInstanceOf(HttpFaultError)
    const { body } = await openBody(engine, request, newScope())
    await expect(body.bytes()).rejects.toBeInstanceOf(HttpFaultError)
    await expect(body.finished).rejects.toBeInstanceOf(HttpFaultError)
  })

  it('what is no HTTP', async () => {
    expect(await faultOf(keep(make()), { url: `${server.url}/garbage` })).toMatchObject({
      ...early,
      what: 'the answer is no HTTP',
    })
  })

  it('headers too large', async () => {
    const fault = await faultOf(keep(make()), { url: `${server.url}/large-header` })
    expect(fault).toMatchObject({ phase: 'headers', sent: 'yes', code: 'resource_exhausted' })
  })

  it.each([
    ['CR and LF in a header', { headers: { 'x-a': 'secret\r\nx-b: 1' } }],
    ['a header name with a space', { headers: { 'x a': 'secret' } }],
    ['a header beyond latin1', { headers: { 'x-a': 'secret€' } }],
  ])('%s: refused unsent, its value kept out of the message', async (_name, request) => {
    const before = server.exchanges.length
    const fault = await faultOf(keep(make()), { url: `${server.url}/json`, ...request })
    expect(fault).toMatchObject({ phase: 'resolve', sent: 'no', code: 'invalid_argument' })
    expect(fault?.what).toMatch(/^invalid .*header/)
    expect(faultToFailure(fault as never).message).not.toContain('secret')
    expect(server.exchanges).toHaveLength(before)
  })

  it.each(['not a URL', 'ftp://127.0.0.1/', '/relative', 'http://user:secret@127.0.0.1/'])(
    'the URL %s',
    async (url) => {
      const fault = await faultOf(keep(make()), { url })
      expect(fault).toMatchObject({ sent: 'no', code: 'invalid_argument' })
      expect(faultToFailure(fault as never).message).not.toContain('secret')
    },
  )

  it('a body whose source fails: the fault of the caller, with its error as the cause', async () => {
    const cause = new Error('disk full')
    let isEnded = false
    server.on('/upload', (each) => {
      each.request
        .on('data', () => undefined)
        .on('end', () => {
          isEnded = true
        })
    })
    const body = async function* () {
      yield new Uint8Array(10)
      throw cause
    }
    const fault = await faultOf(keep(make()), { method: 'POST', url: `${server.url}/upload`, body, open: openUpload })
    expect(fault).toMatchObject({ sent: 'maybe', code: 'invalid_argument', cause })
    expect(isEnded).toBe(false)
    const refusing = () => {
      throw cause
    }
    expect(
      await faultOf(keep(make()), { method: 'POST', url: `${server.url}/upload`, body: refusing, open: openUpload }),
    ).toMatchObject({
      sent: 'no',
      cause,
    })
  })

  it('a body larger than allowed, announced, found out, or only after decompression', async () => {
    const engine = keep(make())
    for (const path of ['/bytes?size=5000', '/bytes?size=5000&chunked', '/encoded']) {
      const request = { method: 'GET', url: server.url + path, headers: {} }
      const error = await requestBuffered(engine, request, newScope(), { maxBodyBytes: 1000 }).catch(
        (each: unknown) => each,
      )
      expect(error).toBeInstanceOf(HttpFaultError)
      expect((error as HttpFaultError).fault).toMatchObject({ phase: 'body', sent: 'yes', code: 'resource_exhausted' })
      const opened = await openBody(engine, request, newScope())
      await expect(opened.body.bytes(1000)).rejects.toMatchObject({ fault: { code: 'resource_exhausted' } })
    }
    const request = { method: 'GET', url: `${server.url}/bytes?size=1000`, headers: {} }
    expect((await requestBuffered(engine, request, newScope(), { maxBodyBytes: 1000 })).body).toHaveLength(1000)
  })

  it('a compressed body that is cut or no such thing', async () => {
    const headers = { 'content-encoding': 'gzip' }
    server.on('/bad-gzip', (each) => each.reply(200, 'no gzip at all', headers))
    server.on('/empty-gzip', (each) => each.reply(200, '', headers))
    const engine = keep(make())
    expect(await faultOf(engine, { url: `${server.url}/bad-gzip` })).toMatchObject({ phase: 'body', sent: 'yes' })
    const empty = await requestBuffered(
      engine,
      { method: 'GET', url: `${server.url}/empty-gzip`, headers: {} },
      newScope(),
    )
    expect(empty.body).toHaveLength(0)
  })
})

describe('undici, its dispatchers', () => {
  it('a stale connection: sent perhaps, for it was written to', async () => {
    const engine = keep(new UndiciEngine())
    const request = { url: `${server.url}/stale` }
    const first = exchange(engine, request)
    await first.on('end')
    // undici uses a connection again only in the next turn of the event loop.
    await turns(2)
    expect(await faultOf(engine, request)).toMatchObject({ phase: 'headers', sent: 'maybe', what: 'connection lost' })
  })

  it('a connection that the server closed while it was idle is not used again', async () => {
    const engine = keep(new UndiciEngine())
    await exchange(engine, { url: `${server.url}/json` }).on('end')
    server.dropConnections('fin')
    await server.until(() => server.openSockets === 0)
    const sink = exchange(engine, { url: `${server.url}/json` })
    await sink.over()
    expect(sink.events.at(-1)).toBe('end')
  })

  it("a dispatcher's own limits", async () => {
    const dispatcher = new Agent({ headersTimeout: 20, bodyTimeout: 20, maxResponseSize: 100 })
    const engine = keep(new UndiciEngine({ dispatcher }))
    expect(await faultOf(engine, { url: `${server.url}/never` })).toMatchObject({
      phase: 'headers',
      sent: 'maybe',
      what: expect.stringContaining('headersTimeout'),
    })
    expect(await faultOf(engine, { url: `${server.url}/stall` })).toMatchObject({
      phase: 'body',
      sent: 'yes',
      what: expect.stringContaining('bodyTimeout'),
    })
    expect(await faultOf(engine, { url: `${server.url}/bytes` })).toMatchObject({ code: 'resource_exhausted' })
    await dispatcher.close()
    expect(await faultOf(engine, { url: `${server.url}/json` })).toMatchObject({
      sent: 'no',
      code: 'failed_precondition',
    })
  })

  it('a MockAgent that has no such mock', async () => {
    const dispatcher = new MockAgent()
    dispatcher.disableNetConnect()
    const engine = keep(new UndiciEngine({ dispatcher }))
    expect(await faultOf(engine, { url: 'http://api.example/x' })).toMatchObject({
      sent: 'no',
      code: 'failed_precondition',
      what: expect.stringContaining('mock'),
    })
    await dispatcher.close()
  })
})

describe('classify', () => {
  const coded = (code: string, message = '') => Object.assign(new Error(message), { code })
  const unknown = { phase: 'connect', sent: 'maybe' } as const

  it.each([
    [coded('EAI_AGAIN'), { phase: 'resolve', sent: 'no' }],
    [coded('EHOSTUNREACH'), { sent: 'maybe' }],
    [coded('UND_ERR_CONNECT_TIMEOUT'), { phase: 'connect', sent: 'no' }],
    [coded('ConnectionRefused'), { phase: 'connect', sent: 'no', what: 'connection refused' }],
    [coded('ERR_TLS_CERT_ALTNAME_INVALID'), { phase: 'connect', sent: 'no', code: 'failed_precondition' }],
    [coded('ERR_TLS_HANDSHAKE_TIMEOUT'), { what: 'TLS error' }],
    [coded('EPIPE'), { phase: 'connect', sent: 'maybe', what: 'connection lost' }],
    [coded('ERR_HTTP2_STREAM_ERROR', 'Stream closed with error code NGHTTP2_REFUSED_STREAM'), { sent: 'no' }],
    [coded('ERR_HTTP2_STREAM_ERROR', 'Stream closed with error code NGHTTP2_INTERNAL_ERROR'), { sent: 'maybe' }],
    [new TypeError('Failed to fetch'), { phase: 'connect', sent: 'maybe', what: 'network error' }],
    [new TypeError('error sending request: tcp connect error: Connection refused (os error 111)'), { sent: 'no' }],
    [new TypeError('fetch failed', { cause: coded('ENOTFOUND') }), { phase: 'resolve', sent: 'no' }],
    [undefined, { phase: 'connect', sent: 'maybe' }],
    ['text', { phase: 'connect', sent: 'maybe' }],
  ])('%s', (error, fault) => {
    expect(classify(error, unknown, explainByCode)).toMatchObject({ ...fault, cause: error })
  })

  it('never says sent of what was not', () => {
    for (const code of ['ECONNRESET', 'UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_EXCEEDED_MAX_SIZE', 'nonsense']) {
      expect(classify(coded(code), { phase: 'connect', sent: 'no' }, explainByCode).sent).toBe('no')
    }
  })

  it('TLS that broke before anything was sent is a handshake that failed', () => {
    const { what } = classify(coded('ERR_SSL_WRONG_VERSION_NUMBER'), { phase: 'connect', sent: 'no' }, explainByCode)
    expect(what).toBe('TLS handshake failed')
  })

  it('a port that answers TLS with plain HTTP is named so', () => {
    const error = Object.assign(new Error('SSL routines:tls_validate_record_header:wrong version number'), {
      code: 'ERR_SSL_WRONG_VERSION_NUMBER',
    })
    const { hint } = classify(error, { phase: 'connect', sent: 'no' }, explainByCode)
    expect(hint).toBe('This port speaks no TLS: does it want http?')
  })

  it.each(['querySrv', 'queryA', 'getaddrinfo', 'connect'])(
    'what failed in %s was before anything was sent',
    (syscall) => {
      const error = Object.assign(coded('ETIMEDOUT'), { syscall })
      expect(classify(error, unknown, explainByCode).sent).toBe('no')
    },
  )
})

describe('faultToFailure', () => {
  const fault = { phase: 'headers', sent: 'maybe', what: 'connection lost', cause: undefined } as const

  it('is transient unless the request is at fault', () => {
    expect(faultToFailure(fault)).toMatchObject({
      code: 'unavailable',
      isRetryable: true,
      phase: 'headers',
      sent: 'maybe',
    })
    expect(faultToFailure({ ...fault, code: 'invalid_argument' })).toMatchObject({
      code: 'invalid_argument',
      isRetryable: false,
    })
  })

  it('calls a truncated body data_loss, but a dropped stream unavailable', () => {
    const cut = { ...fault, phase: 'body', sent: 'yes' } as const
    expect(faultToFailure(cut)).toMatchObject({ code: 'data_loss', isRetryable: true })
    expect(faultToFailure(cut, true)).toMatchObject({ code: 'unavailable', isRetryable: true })
  })

  it('says what happened and what to do', () => {
    const message = faultToFailure({ ...fault, hint: 'Check the address' }).message
    expect(message).toBe('connection lost; the server may have acted on it. Check the address')
  })

  it('finds the fault below what libraries wrap around it', () => {
    const origin = { operation: { name: 'GET /x', protocol: 'rest', via: 'rest' } }
    const wrapped = new Error('library', { cause: new HttpFaultError(fault) })
    expect(toCallError(wrapped, origin)).toMatchObject({ code: 'unavailable', sent: 'maybe', operation: 'GET /x' })
    expect(toCallError('the abort reason', origin)).toBe('the abort reason')
  })
})

it('a body that was given up is over for whoever waits', async () => {
  const sink = new HttpBodyReader(
    () => undefined,
    () => undefined,
  )
  sink.onHead({ status: 200, headers: undefined as never, url: '' }, { pause() {}, resume() {}, cancel() {} })
  const next = sink.next()
  sink.cancel()
  expect(await next).toEqual({ done: true, value: undefined })
  await expect(sink.finished).rejects.toThrow('given up')
})
