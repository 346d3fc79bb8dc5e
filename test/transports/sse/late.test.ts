import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { constants, gzipSync } from 'node:zlib'
import { createClient, type TelemetryEvent, type } from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { afterEach, describe, expect, it } from 'vitest'
import { busy } from '../../support/busy.ts'

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A server that gives no ids, so that what is dropped is lost, and a client of it. */
async function open(http: 'undici' | 'fetch', options: object, call: object = {}) {
  const answers: ServerResponse[] = []
  let asked = () => {}
  const server = createServer((_, response) => {
    answers.push(response)
    asked()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => [server.closeAllConnections(), server.close()])
  const seen: TelemetryEvent[] = []
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({
    transports: { sse: sseTransport({ baseUrl, http, ...options }) },
    telemetry: { event: (event) => seen.push(event) },
  })
  closers.push(() => client.close())
  const watch = events('/stream', { message: type<string>() }, { data: 'text' })
  const request = new Promise<void>((resolve) => (asked = resolve))
  const stream = client.call(watch, undefined as never, call)
  return { answers, seen, request, stream, reader: stream[Symbol.asyncIterator]() }
}

const head = { 'content-type': 'text/event-stream' }
const written = (answer: ServerResponse, text: string) => new Promise((resolve) => answer.write(text, resolve))

describe.each(['undici', 'fetch'] as const)('a process that is late (%s)', (http) => {
  it('reads what has come before it calls a silent stream dead', async () => {
    const { answers, seen, request, reader } = await open(http, { idleTimeoutMs: 150 })
    const first = reader.next()
    await request
    answers[0]?.writeHead(200, head)
    await written(answers[0] as ServerResponse, 'data: 0\n\n')
    expect((await first).value?.data).toBe('0')
    const rest: string[] = []
    for (const part of ['1', '2', '3']) {
      await written(answers[0] as ServerResponse, `data: ${part}\n\n`)
      await busy(400)
      rest.push((await reader.next()).value?.data as string)
    }
    expect(rest).toEqual(['1', '2', '3'])
    expect(seen.filter(({ type }) => type === 'resume')).toEqual([])
    expect(answers).toHaveLength(1)
  })

  it('reads what has come compressed, too', async () => {
    const flushed = { finishFlush: constants.Z_SYNC_FLUSH }
    for (let round = 0; round < 5; round++) {
      const { answers, seen, request, reader, stream } = await open(http, { idleTimeoutMs: 100 })
      const first = reader.next()
      await request
      const answer = answers[0] as ServerResponse
      answer.writeHead(200, { ...head, 'content-encoding': 'gzip' })
      answer.write(gzipSync('data: 0\n\n', flushed))
      expect((await first).value?.data).toBe('0')
      // A block of the same stream that is not compressed: its length, the complement of that, and the bytes.
      await new Promise((resolve) => answer.write(Buffer.from('\x00\x09\x00\xf6\xffdata: 1\n\n', 'latin1'), resolve))
      await busy(200)
      expect((await reader.next()).value?.data).toBe('1')
      expect(seen.filter(({ type }) => type === 'resume')).toEqual([])
      await stream.close()
    }
  })

  it('reads the answer that has come before it calls an opening late', async () => {
    const { answers, request, reader } = await open(http, {}, { timeoutMs: 150 })
    const first = reader.next()
    await request
    answers[0]?.writeHead(200, head)
    await written(answers[0] as ServerResponse, 'data: here\n\n')
    await busy(400)
    expect((await first).value?.data).toBe('here')
  })

  it('still drops a stream that says nothing', async () => {
    const { answers, seen, request, reader, stream } = await open(http, { idleTimeoutMs: 50 })
    const first = reader.next()
    first.catch(() => {})
    await request
    answers[0]?.writeHead(200, head)
    answers[0]?.flushHeaders()
    await stream.opened
    await busy(120)
    while (!seen.some(({ type }) => type === 'resume')) await new Promise(setImmediate)
    await stream.close()
  })
})
