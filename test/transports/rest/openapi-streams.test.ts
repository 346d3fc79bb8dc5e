import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createClient } from 'polywire'
import { described } from 'polywire/openapi'
import { at, jsonLines, openapi, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

interface paths {
  '/runs/{id}/events': {
    get: {
      parameters: { path: { id: string }; query?: { after?: number } }
      responses: {
        200: {
          content: {
            'text/event-stream': { event: 'token'; data: { text: string } } | { event: 'done'; data: '[DONE]' }
          }
        }
      }
    }
  }
  '/rows': {
    post: {
      requestBody: { content: { 'application/json': { q: string } } }
      responses: { 200: { content: { 'application/jsonl': { id: number } } } }
    }
  }
}

let server: Server
let baseUrl: string
const seen: string[] = []
const traces: unknown[] = []
beforeAll(async () => {
  server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const after = request.headers['last-event-id']
      traces.push(request.headers['x-trace'])
      seen.push(`${request.method} ${request.url} ${body}${after === undefined ? '' : `after ${after}`}`)
      if (request.url?.startsWith('/rows')) {
        response.writeHead(200, { 'content-type': 'application/jsonl' }).end('{"id":1}\n{"id":2}\n')
        return
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      if (after === '1') response.end('id: 2\nevent: token\ndata: {"text":"b"}\n\nevent: done\ndata: [DONE]\n\n')
      else
        response.write('retry: 1\nid: 1\nevent: token\ndata: {"text":"a"}\n\n', () => {
          request.socket.destroy()
        })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
beforeEach(() => {
  seen.length = 0
  traces.length = 0
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
})

const connect = () => createClient({ transports: { rest: restTransport({ baseUrl }), sse: sseTransport({ baseUrl }) } })

describe('streams of a description', () => {
  it('an event stream gives every event, resumes, and ends where it is said', async () => {
    const api = openapi<paths>({ events })
    const client = connect()
    const texts: string[] = []
    for await (const event of client.call(api.stream.get('/runs/{id}/events', { until: 'done' }), {
      id: 'a',
      after: 3,
    }))
      if (event.type === 'token') texts.push(`${event.id} ${event.data.text}`)
    expect(texts).toEqual(['1 a', '2 b'])
    expect(seen).toEqual(['GET /runs/a/events?after=3 ', 'GET /runs/a/events?after=3 after 1'])
    await client.close()
  })

  it('an event stream is opened at a URL, too', async () => {
    const client = connect()
    const watch = openapi<paths>({ events }).stream.get('/runs/{id}/events', { until: 'done' })
    for await (const event of client.call(watch, at('/runs/b/events?token=x'))) if (event.type === 'done') break
    expect(seen[0]).toBe('GET /runs/b/events?token=x ')
    await client.close()
  })

  it('JSON Lines are read by the builder of lines, the input as the body', async () => {
    const client = connect()
    const rows = openapi<paths>({ jsonLines }).stream.post('/rows', { format: 'jsonl' })
    const ids: number[] = []
    for await (const { id } of client.call(rows, { q: 'x' })) ids.push(id)
    expect([ids, seen]).toEqual([[1, 2], ['POST /rows {"q":"x"}']])
    await client.close()
  })

  it('with a description, parameters of streams are written in their styles, in their places', async () => {
    const wire = {
      'GET /runs/{id}/events': { query: { after: { style: 'form', explode: false } }, header: { 'X-Trace': 'simple' } },
      'POST /rows': { query: { dry: 'form' }, header: { 'X-Trace': 'simple' } },
    }
    const api: any = openapi<any>({ events, jsonLines, description: described(wire) })
    const client = connect()
    const input = { id: 'a', after: [1, 2], 'X-Trace': ['t', 'u'] }
    for await (const _ of client.call(api.stream.get('/runs/{id}/events', { until: 'done' }), input) as any);
    for await (const _ of client.call(api.stream.post('/rows', { format: 'jsonl' }), {
      dry: true,
      q: 'x',
      'X-Trace': ['v'],
    }) as any);
    const lines = [
      'GET /runs/a/events?after=1,2 ',
      'GET /runs/a/events?after=1,2 after 1',
      'POST /rows?dry=true {"q":"x"}',
    ]
    expect([seen, traces]).toEqual([lines, ['t,u', 't,u', 'v']])
    await client.close()
  })

  it('says which builder it was not given', () => {
    const api = openapi<paths>()
    expect(() => api.stream.get('/runs/{id}/events')).toThrow(
      "stream.get('/runs/{id}/events'): write openapi<paths>({ events }), with events of polywire/sse",
    )
    expect(() => api.stream.post('/rows', { format: 'jsonl' })).toThrow('openapi<paths>({ jsonLines })')
  })
})

it('openapi() refuses an option that it does not know, and names the nearest one', () => {
  expect(() => openapi<paths>({ desc: 1 } as never)).toThrow(
    "[invalid_argument] polywire: openapi(): unknown option 'desc': did you mean 'description'?",
  )
  expect(() => openapi<paths>({ events: 'sse' } as never)).toThrow('openapi(): events takes a function')
})
