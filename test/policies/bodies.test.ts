import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { type Auth, type CallError, createClient, isCallError, type } from 'polywire'
import { createFetch } from 'polywire/fetch'
import { put, restTransport } from 'polywire/rest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Exchange, FaultServer } from '../support/servers/fault-server.ts'

let server: FaultServer
beforeEach(async () => {
  server = await FaultServer.start()
})
afterEach(() => server.close())

/** Larger than a socket takes at once, and than what an engine reads ahead. */
const text = 'äbc'.repeat(40_000)
const bytes = new TextEncoder().encode(text)
const half = bytes.length / 2
async function* pieces() {
  yield bytes.subarray(0, half)
  await new Promise(setImmediate)
  yield bytes.subarray(half)
}
function form(): FormData {
  const data = new FormData()
  data.append('text', text)
  data.append('file', new Blob([bytes], { type: 'image/png' }), 'a.png')
  return data
}
const webStream = () => Readable.toWeb(Readable.from(pieces()))

interface Kind {
  readonly rest: () => unknown
  /** What a fetch takes of the same. */
  readonly fetch: () => unknown
  /** REST sends it once; a fetch keeps up to `replayBytes` of it. */
  readonly isOnce?: true
}
const kinds: Readonly<Record<string, Kind>> = {
  'a text': { rest: () => text, fetch: () => text },
  bytes: { rest: () => bytes, fetch: () => bytes },
  'a Blob': { rest: () => new Blob([bytes]), fetch: () => new Blob([bytes]) },
  'a form': { rest: form, fetch: form },
  URLSearchParams: { rest: () => new URLSearchParams({ text }), fetch: () => new URLSearchParams({ text }) },
  'an ArrayBuffer': { rest: () => bytes.slice().buffer, fetch: () => bytes.slice().buffer },
  'a web stream': { rest: webStream, fetch: webStream, isOnce: true },
  'an async iterable': { rest: pieces, fetch: pieces, isOnce: true },
}

/** An answer whose body is longer than what is read of an error, so that somebody has to let go of it. */
const long = 'x'.repeat(1 << 20)
interface Fault {
  readonly answer: (exchange: Exchange) => void | Promise<void>
  /** Of a body that cannot be sent again. */
  readonly refused: { readonly code: CallError['code']; readonly notRetried?: CallError['notRetried'] }
}
const faults: Readonly<Record<string, Fault>> = {
  '503': {
    answer: (exchange) => exchange.reply(503, long),
    refused: { code: 'unavailable', notRetried: 'body_not_replayable' },
  },
  'a reset before the headers': {
    answer: (exchange) => exchange.reset(),
    refused: { code: 'unavailable', notRetried: 'body_not_replayable' },
  },
  'a reset in mid-body': {
    answer: async (exchange) => {
      exchange.head(200, { 'content-type': 'application/json', 'content-length': '1000' })
      await exchange.write('{"half":')
      setImmediate(() => exchange.reset())
    },
    refused: { code: 'data_loss', notRetried: 'body_not_replayable' },
  },
  '401': { answer: (exchange) => exchange.reply(401, long), refused: { code: 'unauthenticated' } },
  '307': {
    answer: (exchange) => exchange.reply(307, long, { location: exchange.path }),
    refused: { code: 'failed_precondition' },
  },
}

/** Hashes of what came, odd requests answered by the fault, even ones by what they hold. */
function listen(fault: Fault): { readonly hashes: string[]; readonly tokens: (string | undefined)[] } {
  const seen = { hashes: [] as string[], tokens: [] as (string | undefined)[] }
  server.on('/files', async (exchange) => {
    const body = (await exchange.body()).toString('latin1').replace(/-{2,}[\w-]+/g, '--boundary')
    const hash = createHash('sha256').update(body).digest('hex')
    seen.hashes.push(hash)
    seen.tokens.push(exchange.headers.authorization)
    return exchange.nth % 2 === 1 ? fault.answer(exchange) : exchange.reply(200, { hash })
  })
  return seen
}

/** Each refresh gives another token. */
function refreshing(): Auth {
  let n = 0
  const credential = () => ({ headers: { authorization: `Bearer ${n}` } })
  return {
    name: 'refreshing',
    credential,
    refresh: async () => {
      n++
      return credential()
    },
  }
}

const upload = put('/files', { shape: 'nested', body: type<unknown>(), output: type<{ hash: string }>() })
const retry = { baseDelayMs: 1, budget: false } as const
/** How often each is done: a connection that stays pinned shows. */
const rounds = 4

/** Of a raw body of the kind that makes no boundary: what the server must have got. */
function expectedHash(kind: string): string | undefined {
  const isRaw = kind !== 'a form' && kind !== 'URLSearchParams'
  const body =
    kind === 'URLSearchParams' ? new URLSearchParams({ text }).toString() : Buffer.from(bytes).toString('latin1')
  return isRaw || kind === 'URLSearchParams' ? createHash('sha256').update(body).digest('hex') : undefined
}

function checkBodies(kind: string, seen: ReturnType<typeof listen>, requests: number): void {
  expect(seen.hashes).toHaveLength(requests)
  expect(new Set(seen.hashes).size).toBe(1)
  const expected = expectedHash(kind)
  if (expected !== undefined) expect(seen.hashes[0]).toBe(expected)
}

describe.each(['undici', 'fetch'] as const)('by %s', (http) => {
  describe.each(Object.entries(faults))('%s', (name, fault) => {
    it.each(Object.entries(kinds))(
      'REST sends %s again whole, or says why not, and holds no connection',
      async (kind, each) => {
        const seen = listen(fault)
        const client = createClient({
          transports: { rest: restTransport({ baseUrl: server.url, http }) },
          auth: refreshing(),
          retry,
        })
        for (let round = 0; round < rounds; round++) {
          const outcome = await client.call(upload, { body: each.rest() }).catch((error: unknown) => error)
          if (each.isOnce && round % 2 === 0) expect(outcome).toMatchObject(fault.refused)
          else expect(isCallError(outcome) ? outcome : undefined).toBeUndefined()
        }
        checkBodies(kind, seen, each.isOnce ? rounds : rounds * 2)
        if (name === '401' && !each.isOnce) expect(seen.tokens.slice(0, 2)).toEqual(['Bearer 0', 'Bearer 1'])
        // What the client has closed, the server hears of a moment later.
        await server.until(() => server.openSockets <= 2)
        await client.close()
        if (http === 'undici') await server.until(() => server.openSockets === 0)
      },
    )

    it.each(Object.entries(kinds))('a fetch sends %s again whole, and holds no connection', async (kind, each) => {
      const seen = listen(fault)
      const fetch = createFetch({ origin: server.url, http, retry, auth: refreshing() })
      // Whoever has the head of an answer reads its body: nothing is sent again for that.
      const isOfBody = name === 'a reset in mid-body'
      for (let round = 0; round < rounds; round++) {
        const init = { method: 'PUT', body: each.fetch(), duplex: 'half' } as RequestInit
        const response = await fetch(`${server.url}/files`, init)
        expect(response.status).toBe(200)
        const answer = await response.json().catch((error: unknown) => error)
        // Of the platform's own fetch the Response is the platform's, and so is what reading it fails with.
        const cause = http === 'undici' ? { sent: 'yes' } : { code: 'ECONNRESET' }
        if (isOfBody && round % 2 === 0) expect((answer as TypeError).cause).toMatchObject(cause)
        else expect(answer).toEqual({ hash: seen.hashes.at(-1) })
      }
      checkBodies(kind, seen, isOfBody ? rounds : rounds * 2)
      // Node's fetch follows redirects by itself here, and never reads what the first answer still has to say.
      if (http === 'undici' || name !== '307') await server.until(() => server.openSockets <= 2)
      await fetch.close()
      if (http === 'undici') await server.until(() => server.openSockets === 0)
    })
  })
})
