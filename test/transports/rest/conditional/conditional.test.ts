import { createClient, HeaderMap, isCallError, type } from 'polywire'
import { del, get, ifMatch, ifModifiedSince, ifNoneMatch, ifUnmodifiedSince, put, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type DocumentServer, startDocumentServer, tagOf } from '../../../support/servers/document-server.ts'

let server: DocumentServer
beforeAll(async () => {
  server = await startDocumentServer()
})
afterAll(() => server[Symbol.asyncDispose]())
const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  server.documents.clear()
  server.seen.length = 0
  server.before = undefined
  server.validators = 'etag'
  for (const client of clients.splice(0)) await client.close()
})

const contract = {
  read: get('/{name}', { output: z.object({ n: z.number() }).transform(({ n }) => ({ n, isRead: true })) }),
  write: put('/{name}', { body: type<{ n: number }>(), output: type<{ n: number }>() }),
  remove: del('/{name}'),
}
function connect(http?: 'fetch') {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url, ...(http && { http }) }) },
    retry: { baseDelayMs: 1 },
  })
  clients.push(client)
  return client.bind(contract)
}
const failed = async (call: Promise<unknown>) => {
  const error = await call.then(
    (message) => expect.fail(`it succeeded: ${JSON.stringify(message)}`),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}
const headers = (record: Record<string, string>) => ({ headers: new HeaderMap(record) })

describe('If-Match', () => {
  it('writes where nothing has changed; else 412 is failed_precondition, told what to do, and never sent again', async () => {
    server.documents.set('/a', '{"n":1}')
    const api = connect()
    const known = await api.read.reply({ name: 'a' })
    expect((await api.write({ name: 'a', n: 2 }, ifMatch(known))).n).toBe(2)
    const error = await failed(api.write({ name: 'a', n: 3 }, ifMatch(known)))
    expect(error).toMatchObject({ code: 'failed_precondition', status: 412, isRetryable: false, attempt: 1 })
    expect(error.mayBeDone).toBeUndefined()
    expect(error.message).toContain('read it again')
    expect(server.documents.get('/a')).toBe('{"n":2}')
    expect(server.seen.map(({ headers }) => headers['if-match'])).toEqual([
      undefined,
      tagOf('{"n":1}'),
      tagOf('{"n":1}'),
    ])
  })

  it('takes a tag, several, any; joins the headers and options of the call', () => {
    expect(ifMatch('"a"').headers).toEqual({ 'if-match': '"a"' })
    expect(ifMatch(['"a"', '"b"']).headers).toEqual({ 'if-match': '"a", "b"' })
    expect(ifMatch('*').headers).toEqual({ 'if-match': '*' })
    expect(ifMatch('"a"', { timeoutMs: 5, headers: new Map([['X-One', '1']]) })).toEqual({
      timeoutMs: 5,
      headers: { 'x-one': '1', 'if-match': '"a"' },
    })
  })

  it('refuses what no server may compare: a weak tag, none, one without quotes, garbage', () => {
    expect(() => ifMatch('W/"a"')).toThrow(/strong tag.*identity.*strip/)
    expect(() => ifMatch(['"b"', 'W/"a"'])).toThrow(/strong/)
    expect(() => ifMatch('a')).toThrow(/in quotes/)
    expect(() => ifMatch([])).toThrow(/names no tag/)
    expect(() => ifMatch(headers({}))).toThrow(/no ETag.*Access-Control-Expose-Headers/)
    expect(() => ifMatch(headers({ etag: '"a", "b"' }))).toThrow(/is none/)
    expect(() => ifMatch(5 as never)).toThrow(/in quotes/)
    expect(ifMatch('W/"a"', { weak: 'strip' }).headers).toEqual({ 'if-match': '"a"' })
  })

  it('sends a tag that a server wrote without quotes as the server wrote it', () => {
    expect(ifMatch(headers({ etag: 'v1' })).headers).toEqual({ 'if-match': 'v1' })
  })
})

describe.each([undefined, 'fetch'] as const)('If-None-Match (http: %s)', (http) => {
  it('gives the stored message for a 304, in the type of the reply, with headers that are renewed', async () => {
    server.documents.set('/a', '{"n":1}')
    const api = connect(http)
    const known = await api.read.reply({ name: 'a' })
    expect(known.message).toEqual({ n: 1, isRead: true })
    server.now = new Date('2026-01-03T00:00:00Z')
    const fresh = await api.read.reply({ name: 'a' }, ifNoneMatch(known))
    expect(fresh.status).toBe(304)
    expect(fresh.message).toBe(known.message)
    expect(fresh.headers.get('content-type')).toBe('application/json')
    expect(fresh.headers.get('date')).toBe(server.now.toUTCString())
    expect(await api.read({ name: 'a' }, ifNoneMatch(fresh))).toBe(known.message)
    server.documents.set('/a', '{"n":2}')
    const changed = await api.read.reply({ name: 'a' }, ifNoneMatch(fresh))
    expect(changed).toMatchObject({ status: 200, message: { n: 2, isRead: true } })
  })

  it('takes the headers that a store holds, whatever they have become there', async () => {
    server.documents.set('/a', '{"n":1}')
    const api = connect(http)
    const known = await api.read.reply({ name: 'a' })
    for (const headers of [Object.fromEntries(known.headers), new Headers([...known.headers]), [...known.headers]]) {
      const kept = { message: known.message, headers } as never
      const fresh = await api.read.reply({ name: 'a' }, ifNoneMatch(kept))
      expect([fresh.status, fresh.message]).toEqual([304, known.message])
      expect(fresh.headers.get('content-type')).toBe('application/json')
      expect(ifMatch(kept).headers).toEqual({ 'if-match': known.headers.get('etag') })
    }
    for (const headers of [{}, new Map(), []])
      expect(() => ifNoneMatch({ message: 1, headers } as never)).toThrow('has no ETag and no Last-Modified')
  })

  it('takes what a store holds, and weak tags', async () => {
    server.documents.set('/a', '{"n":1}')
    server.validators = 'weak'
    const api = connect(http)
    const known = await api.read.reply({ name: 'a' })
    const stored = { message: { n: 7, isRead: true }, etag: known.headers.get('etag') ?? '' }
    expect(stored.etag).toMatch(/^W\//)
    expect(await api.read({ name: 'a' }, ifNoneMatch(stored))).toBe(stored.message)
    // As a store may give it that knows no headers.
    expect(await api.read({ name: 'a' }, ifNoneMatch({ ...stored, headers: null } as never))).toBe(stored.message)
    expect(server.seen.at(-1)?.headers['if-none-match']).toBe(stored.etag)
  })

  it('* writes only where nothing is yet', async () => {
    const api = connect(http)
    expect((await api.write.reply({ name: 'a', n: 1 }, ifNoneMatch('*'))).status).toBe(201)
    const error = await failed(api.write({ name: 'a', n: 2 }, ifNoneMatch('*')))
    expect(error).toMatchObject({ code: 'failed_precondition', status: 412 })
  })
})

describe('dates, where a server gives no tags', () => {
  it('If-None-Match falls back to If-Modified-Since; what was stored comes back', async () => {
    server.documents.set('/a', '{"n":1}')
    server.validators = 'date'
    const api = connect()
    const known = await api.read.reply({ name: 'a' })
    expect((await api.read.reply({ name: 'a' }, ifNoneMatch(known))).status).toBe(304)
    expect(await api.read({ name: 'a' }, ifModifiedSince(known))).toBe(known.message)
    expect(server.seen.at(-1)?.headers).toMatchObject({ 'if-modified-since': server.changedAt.toUTCString() })
    server.changedAt = new Date('2026-01-01T00:00:01Z')
    expect((await api.read.reply({ name: 'a' }, ifModifiedSince(known))).status).toBe(200)
  })

  it('If-Unmodified-Since writes where nothing has changed since', async () => {
    server.documents.set('/a', '{"n":1}')
    server.validators = 'date'
    const api = connect()
    const known = await api.read.reply({ name: 'a' })
    await api.write({ name: 'a', n: 2 }, ifUnmodifiedSince(known))
    server.changedAt = new Date('2026-01-01T12:00:00Z')
    expect((await failed(api.write({ name: 'a', n: 3 }, ifUnmodifiedSince(known)))).status).toBe(412)
    await api.write({ name: 'a', n: 4 }, ifUnmodifiedSince(new Date('2026-01-01T12:00:00Z')))
    expect(server.documents.get('/a')).toBe('{"n":4}')
  })

  it('a date of the very second of the reply tells two changes not apart, and is refused', () => {
    const second = 'Thu, 01 Jan 2026 00:00:00 GMT'
    expect(() => ifUnmodifiedSince(headers({ 'last-modified': second, date: second }))).toThrow(/may change again/)
    expect(() => ifUnmodifiedSince(headers({}))).toThrow(/no date/)
    expect(() => ifUnmodifiedSince(new Date(Number.NaN))).toThrow(/no date/)
    expect(() => ifModifiedSince({ message: 1, ...headers({}) })).toThrow(/no Last-Modified/)
    const later = 'Thu, 01 Jan 2026 00:00:01 GMT'
    expect(ifUnmodifiedSince(headers({ 'last-modified': second, date: later })).headers).toEqual({
      'if-unmodified-since': second,
    })
  })
})

it('what is no answer is refused by a CallError, whatever it is', () => {
  const wrongs = [undefined, null, 5, '', 'x', [], {}, { headers: null }, { etag: null }, { message: 1 }] as never[]
  for (const wrong of wrongs)
    for (const condition of [ifMatch, ifNoneMatch, ifModifiedSince, ifUnmodifiedSince] as ((it: never) => unknown)[]) {
      const error = catching(() => condition(wrong))
      expect(error, `${condition.name}(${JSON.stringify(wrong)})`).toMatchObject({
        code: 'invalid_argument',
        sent: 'no',
      })
    }
})

function catching(run: () => unknown): unknown {
  try {
    return expect.fail(`it was to fail: ${JSON.stringify(run())}`)
  } catch (error) {
    return error
  }
}

describe('an answer behind an attempt that may have been carried out', () => {
  const once = (times: number) => {
    let left = times
    server.before = ({ method }) => method !== 'GET' && left-- > 0
  }

  it('a DELETE that was done, whose answer was cut: the 404 of the next is told as such', async () => {
    server.documents.set('/a', '{"n":1}')
    once(1)
    const error = await failed(connect().remove({ name: 'a' }))
    expect(error).toMatchObject({ code: 'not_found', status: 404, sent: 'yes', mayBeDone: true, attempt: 2 })
    expect(error.failures).toMatchObject([{ attempt: 1, code: 'unavailable', sent: 'maybe' }])
    expect(JSON.parse(JSON.stringify(error)).mayBeDone).toBe(true)
    expect(server.documents.has('/a')).toBe(false)
  })

  it('a conditional PUT that was done, whose answer was cut: the 412 of the next, too', async () => {
    server.documents.set('/a', '{"n":1}')
    const api = connect()
    const known = await api.read.reply({ name: 'a' })
    once(1)
    const error = await failed(api.write({ name: 'a', n: 2 }, ifMatch(known)))
    expect(error).toMatchObject({ code: 'failed_precondition', status: 412, mayBeDone: true })
    expect(server.documents.get('/a')).toBe('{"n":2}')
  })

  it('a first answer is what it is, and a GET does nothing', async () => {
    const api = connect()
    expect((await failed(api.remove({ name: 'none' }))).mayBeDone).toBeUndefined()
    let isFirst = true
    server.before = () => {
      const isCut = isFirst
      isFirst = false
      return isCut
    }
    const error = await failed(api.read({ name: 'none' }))
    expect(error).toMatchObject({ status: 404, attempt: 2 })
    expect(error.mayBeDone).toBeUndefined()
  })
})
