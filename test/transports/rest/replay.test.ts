import { Readable } from 'node:stream'
import { type Auth, type Credential, createClient, isCallError, type } from 'polywire'
import { put, restTransport } from 'polywire/rest'
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
