import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  continueWith,
  createClient,
  isCallError,
  isGap,
  type Schema,
  stopWith,
  type TelemetryEvent,
  type,
} from 'polywire'
import { jsonLines, post, restTransport } from 'polywire/rest'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { JsonLineReader } from '../../../transports/rest/line-reader.ts'
import { manualClock } from '../../support/manual-clock.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => unknown

let server: Server
let seen: { readonly method: string | undefined; readonly url: string | undefined; readonly body: string }[]
let headers: IncomingMessage['headers'][]
let answers: Answer[]
let open: Set<ServerResponse>
const closers: (() => unknown)[] = []

beforeEach(async () => {
  seen = []
  headers = []
  answers = []
  open = new Set()
  server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ method: request.method, url: request.url, body })
    headers.push(request.headers)
    open.add(response)
    response.on('close', () => open.delete(response))
    const answer = answers.length > 1 ? answers.shift() : answers[0]
    await answer?.(request, response, body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A client whose clock jumps over every wait that is announced. */
function connect() {
  const clock = manualClock()
  const event = (event: TelemetryEvent) => {
    if ('waitMs' in event) setTimeout(() => void clock.advance(event.waitMs + 1), 0)
  }
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({ transports: { rest: restTransport({ baseUrl }) }, clock, telemetry: { event } })
  closers.push(() => client.close())
  return { client, clock }
}

/** Writes chunks, each in a packet of its own, and then ends, or breaks off. */
const chunks =
  (
    parts: readonly (string | Uint8Array)[],
    after: 'end' | 'reset' | 'stay' = 'end',
    contentType = 'application/jsonl',
  ): Answer =>
  async (_request, response) => {
    response.socket?.setNoDelay(true)
    response.writeHead(200, { 'content-type': contentType })
    response.flushHeaders()
    for (const part of parts) {
      await new Promise((resolve) => response.write(part, resolve))
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (after === 'end') response.end()
    // An RST may overtake bytes that the peer has not read yet.
    else if (after === 'reset') setTimeout(() => response.socket?.resetAndDestroy(), 5)
  }

async function collect(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = []
  for await (const item of stream) items.push(item)
  return items
}

async function failed(stream: AsyncIterable<unknown>, items: unknown[] = []) {
  try {
    for await (const item of stream) items.push(item)
  } catch (error) {
    if (isCallError(error)) return error
    throw error
  }
  throw new Error('it did not fail')
}

interface Row {
  readonly n: number
}
const rows = jsonLines('/rows', type<Row>())

describe('a stream of lines', () => {
  it('gives each message as soon as its line is whole, however it was cut', async () => {
    answers = [chunks(['{"n":1}\n{"n"', ':2}\n', '\r\n', '{"n":3}\r\n\n'])]
    expect(await collect(connect().client.call(rows))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(headers[0]?.accept).toContain('application/jsonl')
  })

  it('gives a message before the next one comes', async () => {
    answers = [chunks(['{"n":1}\n'], 'stay')]
    const stream = connect().client.call(rows)
    for await (const row of stream) {
      expect(row).toEqual({ n: 1 })
      break
    }
    await new Promise<void>((resolve) => {
      const look = () => (open.size === 0 ? resolve() : setImmediate(look))
      look()
    })
  })

  it.each([
    'application/jsonl',
    'application/x-ndjson',
    'application/x-ndjson; charset=utf-8',
    'application/stream+json',
    'application/json',
    'text/plain',
    'application/octet-stream',
  ])('reads lines of %s', async (contentType) => {
    answers = [chunks(['{"n":1}\n{"n":2}'], 'end', contentType)]
    expect(await collect(connect().client.call(rows))).toEqual([{ n: 1 }, { n: 2 }])
  })

  it('reads application/json-seq: texts of several lines, each as soon as it is whole', async () => {
    const text = '\u001e{"n":\n1}\n\u001e{"n":2}\n'
    answers = [chunks([text, '\u001e{\n  "n": 3\n', '}\n'], 'stay', 'application/json-seq')]
    const items: unknown[] = []
    for await (const row of connect().client.call(rows)) if (items.push(row) === 3) break
    expect(items).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  it('takes path, query and body like every REST operation, keys a POST, and sends it once', async () => {
    const chat = jsonLines('/chat/{room}', type<Row>(), { method: 'POST', body: type<{ text: string }>() })
    answers = [chunks(['{"n":1}\n'])]
    expect(await collect(connect().client.call(chat, { room: 'a b', text: 'hi' }))).toEqual([{ n: 1 }])
    expect(seen).toEqual([{ method: 'POST', url: '/chat/a%20b', body: '{"text":"hi"}' }])
    expect(headers[0]?.['idempotency-key']).toBeDefined()
    const list = jsonLines('/rows', type<Row>(), { query: type<{ from?: number }>() })
    await collect(connect().client.call(list, { from: 3 }))
    expect(seen.at(-1)?.url).toBe('/rows?from=3')
  })

  it('validates each message by its schema', async () => {
    answers = [chunks(['{"n":1}\n{"n":"x"}\n{"n":3}\n'])]
    const items: unknown[] = []
    const checked = jsonLines('/rows', z.object({ n: z.number() }) as Schema<Row, Row>)
    expect(await failed(connect().client.call(checked), items)).toMatchObject({ code: 'internal' })
    expect(items).toEqual([{ n: 1 }])
  })

  it('ends with the message that until names, which is given, whatever comes behind it', async () => {
    const chat = jsonLines('/chat', type<Row>(), { until: ({ n }) => n === 2 })
    answers = [chunks(['{"n":1}\n{"n":2}\n{"n":3}\n'], 'stay')]
    expect(await collect(connect().client.call(chat))).toEqual([{ n: 1 }, { n: 2 }])
  })
})

describe('what breaks a stream of lines', () => {
  it.each([
    ['a reset within a line', ['{"n":1}\n{"n":'], 'reset'],
    ['the end of the body within a line', ['{"n":1}\n{"n":'], 'end'],
    ['the end of the body within a number', ['{"n":1}\n12'], 'end'],
    ['the end of the body within a character', ['{"n":1}\n', Uint8Array.of(0x22, 0xc3)], 'end'],
    ['a reset between two lines', ['{"n":1}\n'], 'reset'],
  ] as const)('%s is a drop behind what came before', async (_, parts, after) => {
    answers = [chunks(parts, after)]
    const items: unknown[] = []
    const error = await failed(connect().client.call(rows), items)
    expect(error).toMatchObject({ code: 'unavailable', phase: 'stream', sent: 'yes' })
    expect(items).toEqual([{ n: 1 }])
    expect(seen).toHaveLength(1)
  })

  it('an end before the message of until is a drop', async () => {
    const chat = jsonLines('/chat', type<Row>(), { until: ({ n }) => n === 2 })
    answers = [chunks(['{"n":1}\n'])]
    expect(await failed(connect().client.call(chat))).toMatchObject({ code: 'unavailable' })
  })

  it('a whole line that is no JSON fails it, with what came before', async () => {
    answers = [chunks(['{"n":1}\nnonsense\n{"n":2}\n'], 'stay')]
    const items: unknown[] = []
    const error = await failed(connect().client.call(rows), items)
    expect(error).toMatchObject({ code: 'data_loss', cause: expect.any(SyntaxError) })
    expect(items).toEqual([{ n: 1 }])
  })

  it('a line beyond maxLineBytes fails it, ended or not', async () => {
    for (const text of [`"${'x'.repeat(200)}"\n`, 'x'.repeat(200)]) {
      answers = [chunks(['{"n":1}\n', text], 'stay')]
      const items: unknown[] = []
      const small = jsonLines('/rows', type<Row>(), { maxLineBytes: 100 })
      expect(await failed(connect().client.call(small), items)).toMatchObject({ code: 'resource_exhausted' })
      expect(items).toEqual([{ n: 1 }])
    }
  })

  it('a page, or an event stream, is no stream of lines', async () => {
    for (const contentType of ['text/html', 'text/event-stream']) {
      answers = [chunks(['<p>'], 'end', contentType)]
      expect(await failed(connect().client.call(rows))).toMatchObject({
        code: 'failed_precondition',
        status: 200,
      })
    }
  })

  it('an error answer is told with its body, as of every REST call', async () => {
    answers = [
      (_request, response) => {
        response.writeHead(404, { 'content-type': 'application/json' })
        response.end('{"error":{"code":"NO_SUCH_RUN","message":"gone"}}')
      },
    ]
    expect(await failed(connect().client.call(rows))).toMatchObject({
      code: 'not_found',
      status: 404,
      reason: 'NO_SUCH_RUN',
    })
  })

  it('503 with Retry-After is waited out before it opens', async () => {
    answers = [(_request, response) => response.writeHead(503, { 'retry-after': '1' }).end(), chunks(['{"n":1}\n'])]
    expect(await collect(connect().client.call(rows))).toEqual([{ n: 1 }])
    expect(seen).toHaveLength(2)
  })

  it('silence longer than idleTimeoutMs is a dead connection', async () => {
    answers = [chunks(['{"n":1}\n'], 'stay')]
    const watched = jsonLines('/rows', type<Row>(), { idleTimeoutMs: 5000 })
    const { client, clock } = connect()
    const stream = client.call(watched)
    const items: unknown[] = []
    const failure = failed(stream, items)
    while (items.length === 0) await new Promise((resolve) => setImmediate(resolve))
    await clock.advance(5001)
    expect(await failure).toMatchObject({ code: 'unavailable', message: expect.stringContaining('idleTimeoutMs') })
  })

  it('what until throws is told once, as internal', async () => {
    const chat = jsonLines('/chat', type<Row>(), {
      until() {
        throw new Error('mine')
      },
    })
    answers = [chunks(['{"n":1}\n'], 'stay')]
    expect(await failed(connect().client.call(chat))).toMatchObject({
      code: 'internal',
      cause: expect.objectContaining({ message: 'mine' }),
    })
  })

  it('an until that is asynchronous is no yes: it is told', async () => {
    const chat = jsonLines('/chat', type<Row>(), { until: (async () => false) as never })
    answers = [chunks(['{"n":1}\n{"n":2}\n'], 'stay')]
    expect(await failed(connect().client.call(chat))).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('until must not be async'),
      sent: 'yes',
    })
  })

  it('an abort ends it with its reason', async () => {
    answers = [chunks(['{"n":1}\n'], 'stay')]
    const aborter = new AbortController()
    const reason = new Error('enough')
    const stream = connect().client.call(rows, undefined, { signal: aborter.signal })
    await expect(
      (async () => {
        for await (const _ of stream) aborter.abort(reason)
      })(),
    ).rejects.toBe(reason)
  })
})

describe('a stream of lines that is resumed', () => {
  const watch = jsonLines('/rows', type<Row>(), {
    query: type<{ after?: number }>(),
    cursors: 'offset',
    until: ({ n }) => n === 1000,
    resume: { cursor: ({ n }) => n, apply: (input, after) => ({ ...input, after: Number(after) }) },
  })

  it('goes on after its cursor over random cuts: nothing is lost, nothing comes twice', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    answers = [
      async (request, response) => {
        const after = Number(new URL(request.url ?? '', 'http://x').searchParams.get('after') ?? 0)
        const lines = Array.from({ length: 1000 - after }, (_, at) => `{"n":${after + at + 1}}\n`).join('')
        const end = Math.floor(random() * 1500)
        response.writeHead(200, { 'content-type': 'application/x-ndjson' })
        await new Promise((resolve) => response.write(lines.slice(0, end), resolve))
        if (random() < 0.5) response.end()
        else setTimeout(() => response.socket?.resetAndDestroy(), 2)
      },
    ]
    const items: number[] = []
    for await (const item of connect().client.call(watch)) if (!isGap(item)) items.push(item.n)
    expect(items, `seed ${seed}`).toEqual(Array.from({ length: 1000 }, (_, at) => at + 1))
    expect(seen.length).toBeGreaterThan(5)
  })
})

describe('a stream of lines that another operation continues', () => {
  it('starts its run once, goes on elsewhere, and is stopped by a third operation', async () => {
    const watch = jsonLines('/runs/{id}', type<Row>(), { query: type<{ after?: string | undefined }>() })
    const run = jsonLines('/runs', type<Row>(), {
      method: 'POST',
      body: type<{ text: string }>(),
      resume: continueWith(watch, ({ first, cursor }) => first && { id: first.n, after: cursor }, {
        cursor: ({ n }) => n,
        until: ({ n }) => n === 4,
      }),
      stop: stopWith(post('/runs/{id}/stop'), ({ first }) => first && { id: first.n }),
    })
    answers = [chunks(['{"n":1}\n{"n":2}\n{"n"'], 'reset'), chunks(['{"n":3}\n'], 'end'), chunks(['{"n":4}\n'], 'stay')]
    const { client } = connect()
    expect(await collect(client.call(run, { text: 'hi' }))).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'POST /runs',
      'GET /runs/1?after=2',
      'GET /runs/1?after=3',
    ])

    seen.length = 0
    answers = [chunks(['{"n":1}\n'], 'stay'), (_request, response) => response.writeHead(204).end()]
    const stream = client.call(run, { text: 'hi' })
    for await (const _ of stream) {
      await stream.stop()
      break
    }
    expect(seen.map(({ method, url }) => `${method} ${url}`)).toEqual(['POST /runs', 'POST /runs/1/stop'])
  })
})

describe('the reader of lines', () => {
  it('says the same however the bytes are cut', () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const values = Array.from({ length: 200 }, (_, n) => ({ n, text: 'ä😀\u2028\\n"'.repeat(n % 7), list: [n, null] }))
    for (const isSequence of [false, true]) {
      const [before, after] = isSequence ? ['\u001e', '\n'] : ['', '\r\n']
      const written = (value: unknown) => JSON.stringify(value, null, isSequence ? 2 : undefined)
      const bytes = new TextEncoder().encode(values.map((value) => before + written(value) + after).join(''))
      const read: unknown[] = []
      const reader = new JsonLineReader(isSequence, 1 << 20)
      for (let at = 0; at < bytes.length; ) {
        const to = at + 1 + Math.floor(random() * 50)
        reader.feed(bytes.subarray(at, to), (value) => read.push(value))
        at = to
      }
      expect(
        reader.end((value) => read.push(value)),
        `seed ${seed}`,
      ).toBe(true)
      expect(read, `seed ${seed}`).toEqual(values)
    }
  })

  it('reads one line of many packets in linear time', () => {
    const reader = new JsonLineReader(false, Number.POSITIVE_INFINITY)
    const read: unknown[] = []
    const chunk = new TextEncoder().encode('x'.repeat(1024))
    reader.feed(new TextEncoder().encode('"'), (value) => read.push(value))
    for (let n = 0; n < 8192; n++) reader.feed(chunk, (value) => read.push(value))
    reader.feed(new TextEncoder().encode('"\n'), (value) => read.push(value))
    expect(read).toHaveLength(1)
    expect(read[0]).toHaveLength(1 << 23)
  })
})

describe('a declaration that is wrong', () => {
  it.each([
    [() => jsonLines('/rows', {} as never), /type<T>\(\)/],
    [() => jsonLines('/rows', type<Row>(), { resume: true } as never), /cursor, apply/],
    [() => jsonLines('/rows', type<Row>(), { resume: { cursor: () => 1 } } as never), /apply/],
    [() => jsonLines('/rows', type<Row>(), { body: type<Row>() }), /GET carries no body/],
    [() => jsonLines('/rows', type<Row>(), { untill: () => true } as never), /did you mean 'until'/],
  ])('is refused where it is written: %#', (declare, words) => {
    expect(declare).toThrow(words)
  })
})
