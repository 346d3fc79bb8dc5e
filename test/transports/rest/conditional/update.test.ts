import { getEventListeners } from 'node:events'
import { createClient, isCallError, type } from 'polywire'
import { get, put, restTransport, type UpdateFacts, update } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../../src/core/call/header-map.ts'
import { drive } from '../../../support/drive.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { type DocumentServer, startDocumentServer } from '../../../support/servers/document-server.ts'
import { describeNginx, Nginx, proxied } from '../../../support/servers/nginx.ts'

let server: DocumentServer
beforeAll(async () => {
  server = await startDocumentServer()
})
afterAll(() => server[Symbol.asyncDispose]())
const clients: { close(): Promise<void> }[] = []
beforeEach(() => {
  server.documents.set('/counter', '{"n":0}')
})
afterEach(async () => {
  server.documents.clear()
  server.seen.length = 0
  server.before = undefined
  server.validators = 'etag'
  for (const client of clients.splice(0)) await client.close()
})

const contract = {
  read: get('/{name}', { output: type<{ n: number; by?: string }>() }),
  write: put('/{name}', { body: type<{ n: number; by?: string }>(), output: type<{ n: number }>() }),
}
function connect(baseUrl = server.url) {
  const client = createClient({ transports: { rest: restTransport({ baseUrl }) }, retry: { baseDelayMs: 1 } })
  clients.push(client)
  const api = client.bind(contract)
  const read = (options: object) => api.read.reply({ name: 'counter' }, options)
  return { api, read }
}
const failed = async (call: Promise<unknown>) => {
  const error = await call.then(
    (message) => expect.fail(`it succeeded: ${JSON.stringify(message)}`),
    (thrown: unknown) => thrown,
  )
  if (!isCallError(error)) throw error
  return error
}

describe('update', () => {
  it('loses no change of twenty at once, each of which adds one', async () => {
    const { api, read } = connect()
    const add = () =>
      update(read, ({ n }, options) => api.write({ name: 'counter', n: n + 1 }, options), { maxAttempts: 200 })
    await Promise.all(Array.from({ length: 20 }, add))
    expect(server.documents.get('/counter')).toBe('{"n":20}')
    expect(server.seen.filter(({ method }) => method === 'PUT').every(({ headers }) => headers['if-match'])).toBe(true)
  })

  it('gives what change gives, and may leave everything as it is', async () => {
    const { read } = connect()
    expect(await update(read, ({ n }) => `it is ${n}`)).toBe('it is 0')
    expect(server.seen).toHaveLength(1)
  })

  it('a conflict that comes each time is final behind maxAttempts, with full jitter between them', async () => {
    const { api, read } = connect()
    server.before = ({ method }) => {
      if (method === 'PUT') server.documents.set('/counter', `{"n":${server.seen.length}}`)
      return false
    }
    const clock = manualClock()
    const waits: number[] = []
    const { setTimer } = clock
    clock.setTimer = (run, ms) => {
      waits.push(ms)
      const timer = setTimer.call(clock, run, ms)
      queueMicrotask(() => void clock.advance(ms))
      return timer
    }
    const attempts: UpdateFacts[] = []
    const error = await failed(
      update(
        read,
        ({ n }, options, facts) => {
          attempts.push(facts)
          return api.write({ name: 'counter', n: n + 1 }, options)
        },
        { maxAttempts: 4, clock },
      ),
    )
    expect(error).toMatchObject({ code: 'failed_precondition', status: 412 })
    expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4])
    expect(waits).toHaveLength(3)
    for (const [at, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(100 * 2 ** at)
  })

  it('what change throws is one error with its cause; what a call fails with passes', async () => {
    const { api, read } = connect()
    const cause = new Error('a mistake')
    const error = await failed(
      update(read, () => {
        throw cause
      }),
    )
    expect(error).toMatchObject({ code: 'internal', cause })
    expect(error.message).toContain('change() of update()')
    const other = await failed(update(read, () => api.read({ name: 'none' })))
    expect(other).toMatchObject({ code: 'not_found', operation: 'GET /{name}' })
    expect(server.seen.filter(({ method }) => method === 'GET')).toHaveLength(3)
    expect(await failed(update((() => ({ n: 1 })) as never, () => 1))).toMatchObject({ code: 'invalid_argument' })
    expect(await failed(update(read, () => 1, { maxAttempt: 3 } as never))).toMatchObject({ code: 'invalid_argument' })
  })

  it('an abort ends it with its reason: in a call, and in the wait between attempts', async () => {
    const { api, read } = connect()
    const aborter = new AbortController()
    const reason = new Error('enough')
    server.before = ({ method }) => {
      if (method === 'PUT') server.documents.set('/counter', `{"n":${server.seen.length}}`)
      return false
    }
    const clock = manualClock()
    const { setTimer } = clock
    clock.setTimer = (run, ms) => {
      queueMicrotask(() => aborter.abort(reason))
      return setTimer.call(clock, run, ms)
    }
    const change = ({ n }: { n: number }, options: object) => api.write({ name: 'counter', n: n + 1 }, options)
    await expect(update(read, change, { signal: aborter.signal, clock })).rejects.toBe(reason)
    await expect(update(read, change, { signal: aborter.signal })).rejects.toBe(reason)
    const during = new AbortController()
    server.before = () => {
      during.abort(reason)
      return false
    }
    await expect(update(read, change, { signal: during.signal })).rejects.toBe(reason)
  })

  it('an abort ends it at once, though read and change do not heed it, or it comes between two steps', async () => {
    const { api } = connect()
    const never = () => new Promise<never>(() => {})
    const reading = new AbortController()
    const stuckIn = (controller: AbortController) => () => {
      queueMicrotask(() => controller.abort('left'))
      return never()
    }
    const stuckRead = update(stuckIn(reading), never, reading)
    await expect(stuckRead).rejects.toBe('left')
    const changing = new AbortController()
    const read = () => api.read.reply({ name: 'counter' })
    const stuckChange = update(read, stuckIn(changing), changing)
    await expect(stuckChange).rejects.toBe('left')
    // A date that is too young is waited for: by nobody who has left.
    const clock = manualClock()
    server.validators = 'date'
    const between = new AbortController()
    const young = async () => {
      const reply = await api.read.reply({ name: 'counter' })
      const changed = new HeaderMap({
        'last-modified': reply.headers.last('date') ?? '',
        date: reply.headers.last('date') ?? '',
      })
      between.abort('between')
      return { ...reply, headers: changed }
    }
    const { signal } = between
    await expect(update(young, () => expect.fail('nothing is written'), { signal, clock })).rejects.toBe('between')
    expect(clock.timers).toBe(0)
    expect(getEventListeners(changing.signal, 'abort')).toEqual([])
  })

  it('a conflict with one’s own write, whose answer was lost, is told and not written twice', async () => {
    const { api, read } = connect()
    let cuts = 1
    server.before = ({ method }) => method === 'PUT' && cuts-- > 0
    const add = ({ n }: { n: number }, options: object) => api.write({ name: 'counter', n: n + 1 }, options)
    expect(await failed(update(read, add))).toMatchObject({ status: 412, mayBeDone: true })
    expect(server.documents.get('/counter')).toBe('{"n":1}')
    // A change that knows its own work goes on.
    cuts = 1
    const done = await update(
      read,
      ({ n, by }, options, { mayBeDone }) =>
        mayBeDone && by === 'me' ? { n } : api.write({ name: 'counter', n: n + 1, by: 'me' }, options),
      { ambiguous: 'reapply' },
    )
    expect(done).toEqual({ n: 2 })
    expect(server.documents.get('/counter')).toBe('{"n":2,"by":"me"}')
  })

  it('goes by dates where the server gives no tags, and waits until one can be relied on', async () => {
    const { api, read } = connect()
    server.validators = 'date'
    server.changedAt = new Date('2026-01-02T00:00:00Z')
    server.now = new Date('2026-01-02T00:00:00Z')
    const clock = manualClock()
    const { setTimer } = clock
    clock.setTimer = (run, ms) => {
      server.now = new Date(server.now.getTime() + ms)
      const timer = setTimer.call(clock, run, ms)
      queueMicrotask(() => void clock.advance(ms))
      return timer
    }
    await update(read, ({ n }, options) => api.write({ name: 'counter', n: n + 1 }, options), { clock })
    expect(server.seen.map(({ method }) => method)).toEqual(['GET', 'GET', 'PUT'])
    expect(server.seen.at(-1)?.headers['if-unmodified-since']).toBe(server.changedAt.toUTCString())
  })

  it('does not wait for a date of the future, which a skewed clock has set: it is refused', async () => {
    const clock = manualClock()
    const headers = new HeaderMap({
      date: 'Sun, 29 Nov 2026 12:00:00 GMT',
      'last-modified': 'Fri, 31 Dec 2100 23:59:59 GMT',
    })
    let reads = 0
    const read = async () => ({ message: ++reads, headers, status: 200 }) as never
    const error = failed(update(read, () => expect.fail('it was written'), { clock }))
    expect(await drive(clock, error)).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    expect([reads, clock.now() <= 2000]).toEqual([2, true])
  })

  it('refuses a server that tells no versions, before anything is written', async () => {
    const { api, read } = connect()
    server.validators = 'none'
    const error = await failed(update(read, (_, options) => api.write({ name: 'counter', n: 1 }, options)))
    expect(error).toMatchObject({ code: 'invalid_argument', sent: 'no' })
    server.validators = 'weak'
    const weak = await failed(update(read, (_, options) => api.write({ name: 'counter', n: 1 }, options)))
    expect(weak.message).toContain('strong tag')
    expect(server.seen.filter(({ method }) => method === 'PUT')).toEqual([])
    await update(read, (_, options) => api.write({ name: 'counter', n: 1 }, options), { weak: 'strip' })
    expect(server.documents.get('/counter')).toBe('{"n":1}')
  })

  it('a version in the body needs no header, and 409 is a conflict', async () => {
    let version = 1
    const tried: number[] = []
    const { api, read } = connect()
    server.validators = 'none'
    const done = await update(
      read,
      async (_, options, { attempt }) => {
        tried.push(attempt)
        expect(options.headers).toBeUndefined()
        if (version++ > 1) return 'written'
        return api.read({ name: 'counter' }, { headers: { 'if-match': '"none"' } })
      },
      { version: 'body' },
    )
    expect(done).toBe('written')
    expect(tried).toEqual([1, 2])
  })
})

describeNginx('update behind an nginx that compresses', () => {
  it('reads once more without compression, since nginx has weakened the tag', async () => {
    server.documents.set('/counter', JSON.stringify({ n: 0, by: 'x'.repeat(2000) }))
    await using nginx = await Nginx.start({
      '/': proxied(server.url, 'gzip on;', 'gzip_types application/json;', 'gzip_proxied any;', 'gzip_min_length 1;'),
    })
    const { api, read } = connect(nginx.url)
    const reply = await api.read.reply({ name: 'counter' })
    expect(reply.headers.get('etag')).toMatch(/^W\/"/)
    await update(read, ({ n }, options) => api.write({ name: 'counter', n: n + 1 }, options))
    expect(server.documents.get('/counter')).toBe('{"n":1}')
    const put = server.seen.at(-1)
    expect(put?.method).toBe('PUT')
    expect(put?.headers['if-match']).toMatch(/^"/)
  })
})
