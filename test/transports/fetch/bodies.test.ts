import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type CreateFetchOptions, createFetch, type PolywireFetch } from 'polywire/fetch'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { virtualClock } from '../../../src/core/time/virtual-clock.ts'
import { type LibraryServer, startLibraryServer } from '../../support/libraries/library-server.ts'

let server: LibraryServer
const open: PolywireFetch[] = []
beforeEach(async () => {
  server = await startLibraryServer()
})
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
  await server[Symbol.asyncDispose]()
})

const retry = { baseDelayMs: 1, throttleDelayMs: 1 }
function make(options: CreateFetchOptions): PolywireFetch {
  const fetch = createFetch({ retry, ...options })
  open.push(fetch)
  return fetch
}

const later: HeadersInit = { 'retry-after': '0' }
const encoder = new TextEncoder()
/** A stream of chunks, each made when it is asked for. */
function streamOf(...chunks: readonly (Uint8Array | string)[]): ReadableStream<Uint8Array> {
  const left = [...chunks]
  return new ReadableStream(
    {
      async pull(controller) {
        await new Promise(setImmediate)
        const chunk = left.shift()
        if (chunk === undefined) controller.close()
        else controller.enqueue(typeof chunk === 'string' ? encoder.encode(chunk) : chunk)
      },
    },
    { highWaterMark: 0 },
  )
}
const streaming = (body: BodyInit): RequestInit => ({ method: 'PUT', body, duplex: 'half' }) as RequestInit
const kilobytes = (count: number) => Array.from({ length: count }, (_, n) => new Uint8Array(1024).fill(n))

describe.each(['undici', 'fetch'] as const)('what is sent by %s', (http) => {
  it('is sent again whole, though it was a stream', async () => {
    server.answer(
      (_seen, response) => void response.writeHead(503, later as Record<string, string>).end(),
      (_seen, response) => void response.end('done'),
    )
    const response = await make({ http })(`${server.url}/a`, streaming(streamOf('one', 'two', 'three')))
    expect(await response.text()).toBe('done')
    expect(server.seen.map(({ body }) => body.toString())).toEqual(['onetwothree', 'onetwothree'])
  })

  it('is sent once where more than replayBytes of a stream have gone, and never in part', async () => {
    server.answer((_seen, response) => void response.writeHead(503, later as Record<string, string>).end('busy'))
    const chunks = kilobytes(8)
    const response = await make({ http, replayBytes: 4096 })(`${server.url}/a`, streaming(streamOf(...chunks)))
    expect([response.status, await response.text()]).toEqual([503, 'busy'])
    expect(server.seen).toHaveLength(1)
    expect(server.seen[0]?.body).toEqual(Buffer.concat(chunks))
  })

  it('is sent once where a Request holds more than replayBytes of a stream', async () => {
    server.answer((_seen, response) => void response.writeHead(503, later as Record<string, string>).end('busy'))
    const request = new Request(`${server.url}/a`, streaming(streamOf(...kilobytes(8))))
    const response = await make({ http, replayBytes: 4096 })(request)
    expect(response.status).toBe(503)
    expect(server.seen).toHaveLength(1)
    expect(server.seen[0]?.body.byteLength).toBe(8192)
  })

  it('is refused where a part of it was read before', async () => {
    const stream = streamOf('one', 'two')
    const reader = stream.getReader()
    await reader.read()
    await expect(make({ http })(`${server.url}/a`, streaming(stream))).rejects.toThrow(TypeError)
    reader.releaseLock()
    await expect(make({ http })(`${server.url}/a`, streaming(stream))).rejects.toThrow(TypeError)
    expect(server.seen).toHaveLength(0)
  })

  it('rejects with the failure of its stream as a cause, and sends nothing again', async () => {
    const broken = new Error('the disk is gone')
    const stream = new ReadableStream({
      pull(controller) {
        controller.error(broken)
      },
    })
    const error = await make({ http })(`${server.url}/a`, streaming(stream)).catch((cause: Error) => cause)
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).cause).toMatchObject({ code: 'invalid_argument', cause: broken, attempt: 1 })
  })

  it('goes out while it is made', async () => {
    let push: (text: string) => void = () => {}
    let end = (): void => {}
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        push = (text) => controller.enqueue(encoder.encode(text))
        end = () => controller.close()
      },
    })
    server.answer((_seen, response) => void response.end('done'))
    const pending = make({ http })(`${server.url}/a`, streaming(stream))
    push('one')
    while (server.seen.length === 0) await new Promise(setImmediate)
    push('two')
    end()
    expect(await (await pending).text()).toBe('done')
    expect(server.seen[0]?.body.toString()).toBe('onetwo')
  })

  it('is what it was when the call was made', async () => {
    server.answer(
      (_seen, response) => void response.writeHead(503, later as Record<string, string>).end(),
      (_seen, response) => void response.end(),
    )
    const bytes = encoder.encode('before')
    const pending = make({ http })(`${server.url}/a`, { method: 'PUT', body: bytes })
    bytes.fill(0)
    await (await pending).text()
    expect(server.seen.map(({ body }) => body.toString())).toEqual(['before', 'before'])
  })

  it('is a form that the server can read, twice', async () => {
    server.answer(
      (_seen, response) => void response.writeHead(503, later as Record<string, string>).end(),
      (_seen, response) => void response.end(),
    )
    const form = new FormData()
    form.set('name', 'é')
    form.set('file', new Blob(['abc'], { type: 'text/x' }), 'a.txt')
    await (await make({ http })(`${server.url}/a`, { method: 'POST', body: form })).text()
    expect(server.seen).toHaveLength(2)
    for (const { headers, body } of server.seen) {
      const read = await new Response(new Uint8Array(body), {
        headers: { 'content-type': String(headers['content-type']) },
      }).formData()
      expect(read.get('name')).toBe('é')
      const file = read.get('file') as File
      expect([file.name, file.type, await file.text()]).toEqual(['a.txt', 'text/x', 'abc'])
      expect(Number(headers['content-length'])).toBe(body.byteLength)
    }
  })
})

describe.each(['undici', 'fetch'] as const)('the body of a response by %s', (http) => {
  it.each([204, 205, 304])('is null for %i', async (status) => {
    server.answer((_seen, response) => void response.writeHead(status).end())
    const response = await make({ http })(`${server.url}/a`)
    expect([response.status, response.body, await response.text()]).toEqual([status, null, ''])
  })

  it('is null for HEAD', async () => {
    server.answer((_seen, response) => void response.writeHead(200, { 'content-length': '5' }).end())
    const response = await make({ http })(`${server.url}/a`, { method: 'HEAD' })
    expect([response.headers.get('content-length'), response.body]).toEqual(['5', null])
  })

  it('closes the connection when it is cancelled', async () => {
    server.answer((_seen, response) => {
      response.writeHead(200)
      response.write('a')
    })
    const response = await make({ http })(`${server.url}/a`)
    await response.body?.cancel()
    await server.seen[0]?.left
  })

  it('breaks off as that of a fetch does', async () => {
    server.answer((_seen, response) => {
      response.writeHead(200, { 'content-length': '5' })
      response.write('a', () => response.destroy())
    })
    const error = await make({ http })(`${server.url}/a`)
      .then((response) => response.text())
      .catch((cause: Error) => cause)
    expect(error).toBeInstanceOf(TypeError)
    expect((error as Error).message).toBe('terminated')
  })

  it('frees its connection where nobody reads it, and nobody holds it', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    server.answer((_seen, response) => {
      response.writeHead(200)
      response.write('a')
    })
    const fetch = make({ http })
    await (async () => {
      expect((await fetch(`${server.url}/a`)).status).toBe(200)
    })()
    let hasLeft = false
    void server.seen[0]?.left.then(() => {
      hasLeft = true
    })
    for (let turn = 0; turn < 1_000 && !hasLeft; turn++) {
      collect()
      await new Promise(setImmediate)
    }
    expect(hasLeft).toBe(true)
  })

  it('is left on no signal of the caller', async () => {
    server.answer((_seen, response) => void response.end('fine'))
    const { signal } = new AbortController()
    let listeners = 0
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    const fetch = make({ http })
    for (let call = 0; call < 20; call++) await (await fetch(`${server.url}/a`, { signal })).text()
    expect(listeners).toBe(0)
  })
})

describe.each(['undici', 'fetch'] as const)('how long a body may last by %s', (http) => {
  const dripping = (status: number): void =>
    server.answer((_seen, response) => {
      response.writeHead(status)
      response.write('a')
    })
  const readOn = async (response: Response) => {
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect((await reader.read()).value).toEqual(encoder.encode('a'))
    return reader.read().then(
      () => undefined,
      (error: Error) => error,
    )
  }

  it.each([200, 500])('is for ever, whatever timeoutMs says, and until a deadline (%i)', async (status) => {
    dripping(status)
    const clock = virtualClock()
    const fetch = make({ http, clock, timeoutMs: 1_000, retry: false }).with({ deadline: clock.wallNow() + 60_000 })
    const rest = readOn(await fetch(`${server.url}/a`))
    let isOver = false
    void rest.then(() => {
      isOver = true
    })
    await clock.advance(59_000)
    await new Promise(setImmediate)
    expect(isOver).toBe(false)
    await clock.advance(1_000)
    const error = await rest
    expect([error?.name, error?.cause]).toMatchObject(['TimeoutError', { code: 'deadline_exceeded' }])
    await server.seen[0]?.left
  })

  it.each([200, 500])('is until it is silent for idleTimeoutMs while somebody reads (%i)', async (status) => {
    dripping(status)
    const clock = virtualClock()
    const response = await make({ http, clock, idleTimeoutMs: 5_000, retry: false })(`${server.url}/a`)
    expect(response.url).toBe(`${server.url}/a`)
    // Nobody reads: that is no silence of the server.
    await clock.advance(60_000)
    const rest = readOn(response)
    await new Promise(setImmediate)
    while (clock.timers === 0) await new Promise(setImmediate)
    await clock.advance(5_000)
    const error = await rest
    expect(error).toBeInstanceOf(TypeError)
    expect([error?.message, error?.cause]).toMatchObject(['terminated', { code: 'unavailable', phase: 'body' }])
    await server.seen[0]?.left
    expect(clock.timers).toBe(0)
  })

  it('is that of a watched one to its end', async () => {
    server.answer((_seen, response) => void response.end('fine'))
    const clock = virtualClock()
    const fetch = make({ http, clock, idleTimeoutMs: 5_000 }).with({ deadline: clock.wallNow() + 60_000 })
    expect(await (await fetch(`${server.url}/a`)).text()).toBe('fine')
    await (await fetch(`${server.url}/a`)).body?.cancel()
    // What is left is the shared timer: it finds nothing, and is not set again.
    await clock.advance(60_000)
    expect(clock.timers).toBe(0)
  })
})

describe('a fetch that is less than a fetch', () => {
  it('may give what is hardly a Response, which stays what it is', async () => {
    const mocked = { ok: true, json: async () => ({ a: 1 }) }
    expect(await make({ http: async () => mocked })(`${server.url}/a`)).toBe(mocked)
    const headers = { 'retry-after': '0' }
    const failing = { ok: false, status: 503, headers, text: async () => 'busy' }
    let calls = 0
    const http = async () => {
      calls++
      return failing
    }
    expect(await make({ http })(`${server.url}/a`)).toBe(failing)
    expect(calls).toBe(3)
  })

  it('may give one side of a tee, whose cancel never settles: nobody waits for what nobody wants', async () => {
    let calls = 0
    const http = async () => {
      calls++
      if (calls === 3) return new Response('fine')
      const [one] = (new Response('x'.repeat(1 << 20)).body as ReadableStream).tee()
      return new Response(one, { status: 503, headers: { 'retry-after': '0' } })
    }
    expect(await (await make({ http })(`${server.url}/a`)).text()).toBe('fine')
    expect(calls).toBe(3)
  })

  it('may be missing where the face is made', async () => {
    const before = globalThis.fetch
    try {
      globalThis.fetch = undefined as never
      const face = make({ http: async () => new Response('fine') })
      expect(await (await face(`${server.url}/a`)).text()).toBe('fine')
      await expect(make({ http: 'fetch', retry: false })(`${server.url}/a`)).rejects.toThrow(TypeError)
    } finally {
      globalThis.fetch = before
    }
  })
})

it('gives what is no http by the platform, and does not show it in a name', async () => {
  expect(await (await make({})('data:text/plain,hello')).text()).toBe('hello')
  const error = await make({ retry: false })('data:secret').catch((cause: Error) => cause)
  expect((error as Error).cause).toMatchObject({ operation: 'GET data:' })
})

it('tells the source of a stream that the rest is not wanted', async () => {
  let isCanceled = false
  const stream = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
    cancel() {
      isCanceled = true
    },
  })
  await using early = await startLibraryServer({ isEarly: true })
  early.answer((_seen, response) => void response.writeHead(413, { connection: 'close' }).end('too much'))
  const response = await make({ replayBytes: 0 })(`${early.url}/a`, streaming(stream)).catch(() => undefined)
  await response?.text().catch(() => undefined)
  while (!isCanceled) await new Promise(setImmediate)
})

it('rejects what runs, and what comes later, when it is closed', async () => {
  server.answer(() => undefined)
  const fetch = make({})
  const pending = fetch(`${server.url}/a`).catch((cause: Error) => cause)
  while (server.seen.length === 0) await new Promise(setImmediate)
  await fetch.close()
  expect(await pending).toBeInstanceOf(TypeError)
  expect(((await pending) as Error).cause).toMatchObject({ code: 'canceled', sent: 'maybe' })
  await expect(fetch(`${server.url}/a`)).rejects.toThrow(TypeError)
  await server.seen[0]?.left
})
