import { Readable } from 'node:stream'
import { type Auth, type Credential, createClient, isCallError, type } from 'polywire'
import { get, put, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  answer,
  echo,
  type RestServer,
  resetBeforeHeaders,
  resetInBody,
  startRestServer,
} from '../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(() => {
  server.answer(echo)
  server.seen.length = 0
})

/** Large enough not to fit into one write. */
const text = 'äbc'.repeat(30_000)
const bytes = new TextEncoder().encode(text)
const half = bytes.length / 2

async function* pieces() {
  yield bytes.subarray(0, half)
  yield bytes.subarray(half)
}

function form(): FormData {
  const data = new FormData()
  data.append('text', text)
  data.append('file', new Blob([bytes], { type: 'image/png' }), 'a.png')
  return data
}

const kinds: Record<string, { readonly make: () => unknown; readonly isOnce?: true }> = {
  'a text': { make: () => text },
  bytes: { make: () => bytes },
  'a Blob': { make: () => new Blob([bytes]) },
  'a form': { make: form },
  URLSearchParams: { make: () => new URLSearchParams({ text }) },
  JSON: { make: () => ({ text }) },
  'a function that makes a stream': { make: () => pieces },
  'a ReadableStream': { make: () => Readable.toWeb(Readable.from(pieces())), isOnce: true },
  'an async iterable': { make: pieces, isOnce: true },
  'a Node stream': { make: () => Readable.from(pieces()), isOnce: true },
}

/** What goes wrong with the first request; the second is answered. */
const failures: Record<string, { readonly arrange: () => void; readonly code: string; readonly why?: string }> = {
  'a 503': { arrange: () => server.answer(answer(503), echo), code: 'unavailable', why: 'body_not_replayable' },
  'a cut while uploading': { arrange: () => server.cutNextUpload(), code: 'unavailable', why: 'body_not_replayable' },
  'a cut before the headers': {
    arrange: () => server.answer(resetBeforeHeaders, echo),
    code: 'unavailable',
    why: 'body_not_replayable',
  },
  'a cut in the body': {
    arrange: () => server.answer(resetInBody, echo),
    code: 'data_loss',
    why: 'body_not_replayable',
  },
  'a 401': { arrange: () => server.answer(answer(401), echo), code: 'unauthenticated' },
  'a 307': {
    arrange: () => server.answer(answer(307, undefined, { location: '/there' }), echo),
    code: 'failed_precondition',
  },
}

class Refreshing implements Auth {
  readonly name = 'refreshing'
  refreshes = 0
  credential(): Credential {
    return { headers: { authorization: `Bearer ${this.refreshes}` } }
  }
  async refresh(): Promise<Credential> {
    this.refreshes++
    return this.credential()
  }
}

const upload = put('/files', {
  shape: 'nested',
  body: type<unknown>(),
  output: type<{ text: string; length: string | null }>(),
})

describe.each(['undici', 'fetch'] as const)('by %s', (http) => {
  describe.each(Object.entries(failures))('after %s', (failure, { arrange, code, why }) => {
    it.each(Object.entries(kinds))('%s is sent again whole, or not at all', async (_, { make, isOnce }) => {
      const auth = new Refreshing()
      const client = createClient({
        transports: { rest: restTransport({ baseUrl: server.url, http }) },
        auth,
        retry: { baseDelayMs: 1 },
      })
      arrange()
      const outcome = await client.call(upload, { body: make() }).catch((error: unknown) => error)
      await client.close()
      if (isOnce) {
        expect(isCallError(outcome) && [outcome.code, outcome.notRetried]).toEqual([code, why])
        expect([server.seen.length, auth.refreshes]).toEqual([1, 0])
        return
      }
      expect(isCallError(outcome) ? outcome.message : undefined).toBeUndefined()
      const [first, second] = server.seen
      expect(server.seen).toHaveLength(2)
      const expected = failure === 'a cut while uploading' ? second : first
      expect(second?.body.equals(expected?.body as Buffer)).toBe(true)
      expect(second?.body.length).toBeGreaterThanOrEqual(bytes.length)
      expect(second?.headers['content-type']).toBe(expected?.headers['content-type'])
      expect(second?.headers.authorization).toBe(failure === 'a 401' ? 'Bearer 1' : 'Bearer 0')
    })
  })
})

it('an object that is changed between the attempts is sent as it was', async () => {
  const body = { n: 1 }
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url }) },
    retry: { baseDelayMs: 1 },
  })
  server.answer((_request, reply) => {
    body.n = 2
    return reply.code(503).send()
  }, echo)
  expect(await client.call(upload, { body })).toMatchObject({ text: '{"n":1}' })
  await client.close()
})

it('an interceptor that changes the input changes what is sent', async () => {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url }) },
    interceptors: [(call, next) => next(call.with({ input: { ...(call.input as object), body: { changed: true } } }))],
  })
  expect(await client.call(upload, { body: { n: 1 } })).toMatchObject({ text: '{"changed":true}' })
  await client.close()
})

describe.each(['undici', 'fetch'] as const)(
  '%s: what the caller changes after the call is not what was passed',
  (http) => {
    /** Only asked for once the caller has gone on. */
    const late: Auth = { name: 'late', credential: async () => ({ headers: { authorization: 'Bearer x' } }) }
    const passed = () => ({
      params: { name: 'a' },
      query: { tags: ['one'] },
      headers: { 'x-own': 'one' },
    })
    const anything = put('/files/{name}', {
      shape: 'nested',
      query: type<{ tags: string[] }>(),
      headers: type<Record<string, string>>(),
      body: type<unknown>(),
    })
    const buffer = () => Uint8Array.of(111, 110, 101)
    const bodies: readonly [string, () => [body: unknown, change: () => void]][] = [
      [
        'an object',
        () => {
          const body = { text: 'one', deep: [{ n: 1 }] }
          return [body, () => Object.assign(body.deep[0] as object, { n: 2 }, { text: 'two' })]
        },
      ],
      [
        'bytes',
        () => {
          const body = buffer()
          return [body, () => body.fill(120)]
        },
      ],
      [
        'an ArrayBuffer',
        () => {
          const body = buffer()
          return [body.buffer, () => body.fill(120)]
        },
      ],
      [
        'a DataView',
        () => {
          const body = buffer()
          return [new DataView(body.buffer), () => body.fill(120)]
        },
      ],
      [
        'parameters',
        () => {
          const body = new URLSearchParams({ text: 'one' })
          return [body, () => body.append('text', 'two')]
        },
      ],
      [
        'a form',
        () => {
          const body = new FormData()
          body.append('text', 'one')
          return [body, () => body.append('text', 'two')]
        },
      ],
    ]

    it.each(bodies)('%s, while a token is awaited, and between attempts', async (_, make) => {
      for (const auth of [late, undefined]) {
        const rest = restTransport({ baseUrl: server.url, http })
        const client = createClient({ transports: { rest }, ...(auth && { auth }), retry: { baseDelayMs: 0 } })
        const [body, change] = make()
        const plain = make()[0]
        await client.call(anything, { ...passed(), body: plain })
        const expected = server.last
        server.seen.length = 0
        const input = { ...passed(), body }
        server.answer((request, reply) => {
          change()
          input.query.tags.push('three')
          return answer(503)(request, reply)
        }, echo)
        const reply = client.call(anything, input)
        change()
        input.query.tags.push('two')
        input.params.name = 'b'
        input.headers['x-own'] = 'two'
        await reply
        expect(server.seen).toHaveLength(2)
        const withoutBoundary = (bytes: Buffer) => bytes.toString().replace(/polywire-[\w-]+/g, '')
        for (const seen of server.seen) {
          expect([seen.url, seen.headers['x-own']]).toEqual([expected.url, 'one'])
          expect(withoutBoundary(seen.body)).toBe(withoutBoundary(expected.body))
        }
        server.seen.length = 0
        await client.close()
      }
    })

    it('a flat input', async () => {
      const rest = restTransport({ baseUrl: server.url, http })
      const client = createClient({ transports: { rest }, auth: late })
      const list = get('/files', { query: type<{ tags: string[] }>() })
      const input = { tags: ['one'] }
      const reply = client.call(list, input)
      input.tags.push('two')
      await reply
      expect(server.last.url).toBe('/files?tags=one')
      await client.close()
    })
  },
)
