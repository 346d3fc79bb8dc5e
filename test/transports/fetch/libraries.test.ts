import { bearerAuth } from 'polywire/auth'
import { type CreateFetchOptions, createFetch, type PolywireFetch } from 'polywire/fetch'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type VirtualClock, virtualClock } from '../../../src/core/time/virtual-clock.ts'
import { type Library, libraries } from '../../support/libraries/libraries.ts'
import { type Handler, json, type LibraryServer, startLibraryServer } from '../../support/libraries/library-server.ts'

/** Thirteen libraries as they are, over the face: what each of them must not notice, and what it must. */
let server: LibraryServer
let open: PolywireFetch[] = []
beforeAll(async () => {
  server = await startLibraryServer()
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(async () => {
  server.seen.length = 0
  server.now = () => performance.now()
  for (const each of open) await each.close()
  open = []
})

const busy: Handler = (_seen, response) => void response.writeHead(503).end('busy')
const silent: Handler = () => undefined

type Options = Extract<CreateFetchOptions, { origin: unknown }>
function over({ routes }: Library, options: Partial<Options> = {}): PolywireFetch {
  const fetch = createFetch({ origin: server.url, retry: { baseDelayMs: 1 }, ...(routes && { routes }), ...options })
  open.push(fetch)
  return fetch
}

/** Everything that an error tells, its causes included. */
function wordsOf(error: unknown, seen = new Set<unknown>()): string {
  if (typeof error !== 'object' || error === null || seen.has(error)) return String(error)
  seen.add(error)
  const names = [...Object.getOwnPropertyNames(error), 'name', 'message', 'cause', 'networkError', 'response', 'error']
  return names
    .filter((name) => !['stack', 'request', 'config', 'socket'].includes(name))
    .map((name) => wordsOf((error as Record<string, unknown>)[name], seen))
    .join(' ')
}

async function failing(call: Promise<unknown>): Promise<string> {
  try {
    return `it gave ${JSON.stringify(await call)}`
  } catch (error) {
    return wordsOf(error)
  }
}

/** Lets virtual time pass until the call has settled. */
async function passing<T>(clock: VirtualClock, call: Promise<T>): Promise<T> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  call.then(settle, settle)
  while (!isSettled) {
    await new Promise(setImmediate)
    await clock.advance(50)
  }
  return call
}

describe.each(Object.entries(libraries))('%s', (_name, library) => {
  it('does not see two 503', async () => {
    server.answer(busy, busy, library.ok)
    expect(await library.call(over(library), server.url)).toEqual(library.gives)
    expect(server.seen).toHaveLength(3)
  })

  it('waits as Retry-After says', async () => {
    const clock = virtualClock()
    server.now = clock.now
    server.answer((_seen, response) => void response.writeHead(429, { 'retry-after': '7' }).end(), library.ok)
    expect(await passing(clock, library.call(over(library, { clock }), server.url))).toEqual(library.gives)
    const [first, second] = server.seen
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(7_000)
  })

  it('gets a fresh token without knowing of tokens', async () => {
    let token = 'old'
    let refreshes = 0
    server.answer((seen, response) => {
      if (seen.headers.authorization === 'Bearer new') library.ok(seen, response)
      else response.writeHead(401).end()
    })
    const refresh = async () => {
      refreshes++
      token = 'new'
    }
    const fetch = over(library, { auth: bearerAuth(() => token, { refresh }) })
    expect(await library.call(fetch, server.url)).toEqual(library.gives)
    expect(refreshes).toBe(1)
    expect(server.seen).toHaveLength(2)
  })

  it('is told of a deadline', async () => {
    const clock = virtualClock()
    server.answer(silent)
    const fetch = over(library, { clock, timeoutMs: 5_000 })
    expect(await passing(clock, failing(library.call(fetch, server.url)))).toMatch(/deadline|TimeoutError|timed? ?out/i)
  })

  it('leaves at once when it is aborted', async () => {
    server.answer(silent)
    const abort = new AbortController()
    const call = failing(library.call(over(library), server.url, abort.signal))
    while (server.seen.length === 0) await new Promise(setImmediate)
    abort.abort()
    expect(await call).toMatch(/abort|cancel/i)
    await server.seen[0]?.left
    expect(server.seen).toHaveLength(1)
  })

  it.runIf(library.stream)('reads a stream as it comes, after a 503', async () => {
    const { answer, read, gives } = library.stream as NonNullable<Library['stream']>
    server.answer(busy, answer)
    expect(await read(over(library), server.url)).toEqual(gives)
    expect(server.seen).toHaveLength(2)
  })

  it.runIf(library.upload)('sends its body again byte for byte', async () => {
    const text = 'é'.repeat(100_000)
    server.answer((_seen, response) => void response.writeHead(503, { 'retry-after': '0' }).end(), library.ok)
    const retry = { baseDelayMs: 1, throttleDelayMs: 1 }
    await library.upload?.(over(library, { retry }), server.url, text)
    const [first, second] = server.seen
    expect(first?.body.toString().includes(text)).toBe(true)
    expect(second?.body).toEqual(first?.body)
    expect(server.seen).toHaveLength(2)
  })

  it('gets the error body as the server wrote it', async () => {
    server.answer(library.failure)
    expect(await failing(library.call(over(library), server.url))).toMatch(library.shown)
    expect(server.seen).toHaveLength(1)
  })
})

describe('layers', () => {
  it.each(['openai', '@anthropic-ai/sdk'])(
    '%s with retries of its own makes no more than three requests',
    async (name) => {
      const library = libraries[name] as Library
      server.answer(json({ error: { message: 'down' } }, 503))
      await failing(library.call(over(library), server.url))
      expect(server.seen).toHaveLength(3)
    },
  )
})
