import fc from 'fast-check'
import { type CallEvent, createClient, HeaderMap, logTo, onEvent, readDeprecation } from 'polywire'
import { del, get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answer, type RestServer, startRestServer } from '../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

type Announced = Extract<CallEvent, { type: 'deprecation' | 'sunset' }>

function connect() {
  const heard: Announced[] = []
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url }), sse: sseTransport({ baseUrl: server.url }) },
    telemetry: onEvent((event) => {
      if (event.type === 'deprecation' || event.type === 'sunset') heard.push(event)
    }),
    retry: false,
  })
  return { client, heard }
}

const announced = {
  deprecation: '@1688169599',
  sunset: 'Sun, 30 Jun 2030 23:59:59 GMT',
  link: '</docs/v1>; rel="deprecation"; type="text/html", </v2/users>; rel="successor-version"',
}

describe('a server that announces the end of an operation', () => {
  it('is heard once for each operation, in types, and harms no call', async () => {
    const { client, heard } = connect()
    server.answer(answer(200, { ok: true }, announced))
    const user = get('/users/{id}')
    for (const id of [1, 2, 3]) expect(await client.call(user, { id })).toEqual({ ok: true })
    expect(heard).toMatchObject([
      {
        type: 'deprecation',
        at: new Date('2023-06-30T23:59:59Z'),
        link: '/docs/v1',
        successor: '/v2/users',
        call: { operation: { name: 'GET /users/{id}' } },
      },
      { type: 'sunset', at: new Date('2030-06-30T23:59:59Z'), link: '/docs/v1' },
    ])
    await client.call(del('/users/{id}'), { id: 1 })
    expect(heard.map(({ call }) => call.operation.name)).toEqual([
      'GET /users/{id}',
      'GET /users/{id}',
      'DELETE /users/{id}',
      'DELETE /users/{id}',
    ])
    await client.close()
  })

  it('is heard in errors and in the head of a stream, too', async () => {
    const { client, heard } = connect()
    server.answer(answer(410, undefined, { sunset: 'yesterday' }))
    await expect(client.call(get('/old'))).rejects.toMatchObject({ code: 'not_found' })
    expect(heard).toMatchObject([{ type: 'sunset', at: undefined }])
    server.answer((_request, reply) => {
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'text/event-stream', deprecation: 'true' })
      reply.raw.end('data: 1\n\n')
    })
    for await (const _ of client.call(events('/feed', {}, { undeclared: 'yield', until: () => true }))) break
    expect(heard).toMatchObject([{ type: 'sunset' }, { type: 'deprecation', at: undefined }])
    await client.close()
  })

  it('is a warning in a log, without a word of the server', async () => {
    const lines: object[] = []
    const write = (fields: object, message: string) => lines.push({ ...fields, message })
    const quiet = () => undefined
    const logger = { trace: quiet, debug: quiet, info: quiet, warn: write, error: quiet }
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: server.url }) },
      telemetry: logTo(logger),
    })
    server.answer(answer(200, {}, announced))
    await client.call(get('/users'))
    expect(lines).toMatchObject([
      { event: 'deprecation', message: 'GET /users deprecation', at: new Date('2023-06-30T23:59:59Z') },
      { event: 'sunset', message: 'GET /users sunset' },
    ])
    expect(JSON.stringify(lines)).not.toContain('/docs/v1')
    await client.close()
  })
})

describe('readDeprecation()', () => {
  const read = (headers: Record<string, string>) => readDeprecation(new HeaderMap(headers))

  it.each([
    ['@1688169599', '2023-06-30T23:59:59.000Z'],
    ['@1688169599;policy="x"', '2023-06-30T23:59:59.000Z'],
    [' @0 ', '1970-01-01T00:00:00.000Z'],
    ['@-1', '1969-12-31T23:59:59.000Z'],
    ['1688169599', '2023-06-30T23:59:59.000Z'],
    ['Fri, 11 Nov 2022 23:59:59 GMT', '2022-11-11T23:59:59.000Z'],
    ['2022-11-11', '2022-11-11T00:00:00.000Z'],
    ['true', undefined],
    ['?1', undefined],
    ['@99999999999999999', undefined],
    ['@999999999999999', undefined],
    ['@1.5', undefined],
    ['version="v1"', undefined],
    ['2022-13-45', undefined],
  ])('reads a deprecation of %s', (value, date) => {
    expect(read({ deprecation: value })).toMatchObject({ isDeprecated: true, isSunset: false })
    expect(read({ deprecation: value })?.deprecatedAt?.toISOString()).toBe(date)
  })

  it.each([
    ['Sat, 31 Dec 2033 23:59:59 GMT', '2033-12-31T23:59:59.000Z'],
    ['Saturday, 31-Dec-33 23:59:59 GMT', '2033-12-31T23:59:59.000Z'],
    ['Sat Dec 31 23:59:59 2033', '2033-12-31T23:59:59.000Z'],
    ['2033-12-31T23:59:59Z', '2033-12-31T23:59:59.000Z'],
    ['2033-12-31T23:59:59+01:00', '2033-12-31T22:59:59.000Z'],
    ['on 2033-12-31', undefined],
    ['@1688169599', undefined],
    ['soon', undefined],
    ['120', undefined],
  ])('reads a sunset of %s', (value, date) => {
    expect(read({ sunset: value })).toMatchObject({ isDeprecated: false, isSunset: true })
    expect(read({ sunset: value })?.sunsetAt?.toISOString()).toBe(date)
  })

  it('says nothing where the server says nothing, or that it is not so', () => {
    expect(read({})).toBeUndefined()
    expect(read({ link: '</docs>; rel=deprecation' })).toBeUndefined()
    for (const value of ['false', '?0', '', 'FALSE']) expect(read({ deprecation: value })).toBeUndefined()
  })

  it('takes whatever stands in the headers for what it is', () => {
    const seed = Date.now() & 0xffff
    const value = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.integer().map((n) => `@${n}`),
      fc.date().map(String),
    )
    fc.assert(
      fc.property(value, value, value, (deprecation, sunset, link) => {
        const found = read({ deprecation, sunset, link })
        for (const date of [found?.deprecatedAt, found?.sunsetAt])
          if (date) expect(Number.isNaN(date.getTime())).toBe(false)
      }),
      { seed, numRuns: 500 },
    )
  })
})
