import fc from 'fast-check'
import { createClient, isCallError, type LongRunning, type Operation, type } from 'polywire'
import {
  aipLro,
  azureLro,
  del,
  type LroDialect,
  locationLro,
  longRunning,
  patch,
  post,
  put,
  restTransport,
  statusLro,
} from 'polywire/rest'
import { memoryTransport } from 'polywire/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drive } from '../../../support/drive.ts'
import { manualClock } from '../../../support/manual-clock.ts'
import { answer, type RestServer, startRestServer } from '../../../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const starts = {
  POST: post('/vms/{name}', { body: type<{ size?: number }>() }),
  PUT: put('/vms/{name}', { body: type<{ size?: number }>() }),
  PATCH: patch('/vms/{name}', { body: type<{ size?: number }>() }),
  DELETE: del('/vms/{name}'),
}

/** Runs one long-running call against the answers; what it gave, and what the server saw. */
async function run(method: keyof typeof starts, dialect: LroDialect, ...answers: Parameters<RestServer['answer']>) {
  server.seen.length = 0
  server.answer(...answers)
  const clock = manualClock()
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) },
    clock,
    timeoutMs: 3_600_000,
  })
  const operation = longRunning(starts[method] as typeof starts.POST, { dialect }) as unknown
  const api = client.bind({ vm: operation as Operation<'rest', LongRunning<{ name: string }, unknown>> })
  const progress: unknown[] = []
  try {
    const handle = await api.vm.start({ name: 'a' })
    // Everything that a dialect notes goes with the token.
    const revived = api.vm.revive(JSON.parse(JSON.stringify(handle)))
    const waiting = drive(clock, revived.result())
    waiting.catch(() => undefined)
    for await (const each of revived.progress) progress.push(each)
    return { result: await waiting, progress, lines: server.seen.map((each) => `${each.method} ${each.url}`), handle }
  } finally {
    await client.close()
  }
}

describe('azureLro()', () => {
  const monitor = () => ({ 'operation-location': `${server.url}/v1/operations/1`, 'retry-after': '0' })

  it('reads the resource of a PUT again when its operation has succeeded', async () => {
    const { result, lines, progress } = await run(
      'PUT',
      azureLro(),
      (request, reply) =>
        answer(201, { name: 'a', properties: { provisioningState: 'Creating' } }, monitor())(request, reply),
      answer(200, { status: 'InProgress', percentComplete: 40 }),
      answer(200, { status: 'Whatever', percentComplete: 80 }),
      answer(200, { status: 'Succeeded', percentComplete: 100 }),
      answer(200, { name: 'a', properties: { provisioningState: 'Succeeded' } }),
    )
    expect(result).toEqual({ name: 'a', properties: { provisioningState: 'Succeeded' } })
    expect(progress).toEqual([40, 80, 100])
    expect(lines).toEqual(['PUT /v1/vms/a', ...Array(3).fill('GET /v1/operations/1'), 'GET /v1/vms/a'])
  })

  it('takes the result of a POST from its Location, from resourceLocation, or from the document', async () => {
    const start = (headers: object) => (request: never, reply: never) =>
      answer(202, undefined, { ...monitor(), ...headers })(request, reply)
    const located = await run(
      'POST',
      azureLro(),
      start({ location: '/v1/images/1' }) as never,
      answer(200, { status: 'Succeeded' }),
      answer(200, { image: 1 }),
    )
    expect([located.result, located.lines.at(-1)]).toEqual([{ image: 1 }, 'GET /v1/images/1'])
    const resource = await run(
      'POST',
      azureLro(),
      start({}) as never,
      answer(200, { status: 'Succeeded', resourceLocation: '/v1/images/2' }),
      answer(200, { image: 2 }),
    )
    expect([resource.result, resource.lines.at(-1)]).toEqual([{ image: 2 }, 'GET /v1/images/2'])
    const inline = await run(
      'POST',
      azureLro(),
      start({}) as never,
      answer(200, { status: 'Succeeded', result: { image: 3 } }),
    )
    expect(inline.result).toEqual({ image: 3 })
    const original = await run(
      'PATCH',
      azureLro(),
      start({}) as never,
      answer(200, { status: 'Succeeded' }),
      answer(200, { vm: 1 }),
    )
    expect(original.lines.at(-1)).toBe('GET /v1/vms/a')
    const none = await run(
      'DELETE',
      azureLro(),
      start({ location: '/v1/x' }) as never,
      answer(200, { status: 'Succeeded' }),
    )
    expect([none.result, none.lines]).toEqual([undefined, ['DELETE /v1/vms/a', 'GET /v1/operations/1']])
  })

  it('polls a Location by status alone, and a resource by its provisioningState', async () => {
    const located = await run(
      'POST',
      azureLro(),
      answer(202, undefined, { location: '/v1/results/1' }),
      answer(202),
      answer(200, { rows: 1 }),
    )
    expect([located.result, located.lines]).toEqual([
      { rows: 1 },
      ['POST /v1/vms/a', 'GET /v1/results/1', 'GET /v1/results/1'],
    ])
    const body = await run(
      'PUT',
      azureLro(),
      answer(201, { properties: { provisioningState: 'Creating' } }),
      answer(200, { properties: { provisioningState: 'Updating' } }),
      answer(200, { properties: { provisioningState: 'Succeeded', size: 2 } }),
    )
    expect(body.result).toEqual({ properties: { provisioningState: 'Succeeded', size: 2 } })
    expect(body.lines).toEqual(['PUT /v1/vms/a', 'GET /v1/vms/a', 'GET /v1/vms/a'])
  })

  it('tells failures with their code, and what is no answer of Azure as malformed', async () => {
    const start = (request: never, reply: never) => answer(202, undefined, monitor())(request, reply)
    await expect(
      run(
        'POST',
        azureLro(),
        start as never,
        answer(200, { status: 'Failed', error: { code: 'QuotaExceeded', message: 'no' } }),
      ),
    ).rejects.toMatchObject({ reason: 'QuotaExceeded', runStatus: 'failed' })
    await expect(run('POST', azureLro(), start as never, answer(200, { status: 'Canceled' }))).rejects.toMatchObject({
      code: 'canceled',
    })
    await expect(
      run('PUT', azureLro(), answer(200, { properties: { provisioningState: 'Failed' } })),
    ).rejects.toMatchObject({ runStatus: 'failed' })
    await expect(run('POST', azureLro(), answer(202))).rejects.toMatchObject({ code: 'internal' })
    await expect(run('POST', azureLro(), start as never, answer(200, 'hm'))).rejects.toMatchObject({ code: 'internal' })
    expect(() => azureLro({ result: 'there' as never })).toThrow('invalid_argument')
  })
})

describe('aipLro()', () => {
  const operation = (more: object) => answer(200, { name: 'projects/p/operations/7', ...more })

  it('asks for the operation by its name, behind baseUrl; metadata is the progress', async () => {
    const { result, progress, lines, handle } = await run(
      'POST',
      aipLro(),
      operation({ metadata: { done: 0 } }),
      operation({ metadata: { done: 5 } }),
      operation({ done: true, metadata: { done: 9 }, response: { '@type': 'x/Report', rows: 1 } }),
    )
    expect(result).toEqual({ '@type': 'x/Report', rows: 1 })
    expect(progress).toEqual([{ done: 5 }, { done: 9 }])
    expect(handle.id).toBe('projects/p/operations/7')
    expect(lines).toEqual(['POST /v1/vms/a', ...Array(2).fill('GET /v1/projects/p/operations/7')])
  })

  it('is given up by :cancel, fails by google.rpc.Status, and may be done at once', async () => {
    await expect(
      run(
        'POST',
        aipLro(),
        operation({
          done: true,
          error: {
            code: 8,
            message: 'no',
            details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'FULL' }],
          },
        }),
      ),
    ).rejects.toMatchObject({ code: 'resource_exhausted', reason: 'FULL', runStatus: 'failed' })
    await expect(run('POST', aipLro(), operation({ done: true, error: { code: 1 } }))).rejects.toMatchObject({
      code: 'canceled',
      runStatus: 'canceled',
    })
    expect((await run('POST', aipLro(), operation({ done: true, response: { rows: 2 } }))).result).toEqual({ rows: 2 })
    server.seen.length = 0
    server.answer(operation({}), answer(200, {}))
    const client = createClient({ transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) } })
    const { vm } = client.bind({ vm: longRunning(starts.POST, { dialect: aipLro() }) })
    await (await vm.start({ name: 'a' })).cancel()
    expect(server.last).toMatchObject({ method: 'POST', url: '/v1/projects/p/operations/7:cancel' })
    await client.close()
  })

  it.each([
    '../../admin',
    'operations/../x',
    '//evil.example/x',
    'https://evil.example/x',
    'a?b',
    'a b',
    '/x',
    'x/',
    '%2e%2e/x',
  ])('never follows the name %s', async (name) => {
    await expect(run('POST', aipLro(), answer(200, { name }))).rejects.toMatchObject({ code: 'internal' })
    expect(server.seen).toHaveLength(1)
  })
})

describe('locationLro() and dialects of one’s own', () => {
  it('take 202 for running, and anything else for the result', async () => {
    const { result } = await run(
      'POST',
      locationLro(),
      answer(202, undefined, { location: '/v1/r/1' }),
      answer(202),
      answer(200, { rows: 4 }),
    )
    expect(result).toEqual({ rows: 4 })
    await expect(run('POST', locationLro(), answer(202))).rejects.toThrow('does not say where its status stands')
  })

  it('are functions of an answer; what they throw, or get wrong, is one clear error', async () => {
    const dialect: LroDialect = {
      read: ({ body, step }) => ({
        status: body.ready ? 'succeeded' : 'running',
        url: step === 'start' ? `/v1/tasks/${body.task}` : undefined,
        id: body.task,
        result: body.ready && { value: body.data },
      }),
    }
    const { result, lines } = await run(
      'POST',
      dialect,
      answer(200, { task: 't1' }),
      answer(200, { ready: true, data: { rows: 6 } }),
    )
    expect([result, lines]).toEqual([{ rows: 6 }, ['POST /v1/vms/a', 'GET /v1/tasks/t1']])
    await expect(run('POST', dialect, answer(204))).rejects.toThrow('its dialect threw: see cause')
    await expect(run('POST', { read: () => ({}) as never }, answer(200, {}))).rejects.toThrow('no status of a run')
    // Neither a promise nor what it fails with is lost: an asynchronous dialect is told, and ends no process.
    const later = async () => Promise.reject(new Error('later')) as never
    await expect(run('POST', { read: later as never }, answer(200, {}))).rejects.toThrow('gives a promise')
    const statusUrl = later as never
    const started = answer(202, { status: 'queued' })
    await expect(run('POST', statusLro({ statusUrl }), started)).rejects.toThrow("'url' is no text")
    await new Promise((resolve) => setImmediate(resolve))
  })

  it('give links that are texts: null is none, and anything else is one clear error', async () => {
    const dialect = (more: object): LroDialect => ({
      read: ({ step, url }) => ({ status: step === 'start' ? 'running' : 'succeeded', url, ...more }),
    })
    const none = dialect({ cancelUrl: null, resultUrl: null, result: { value: 1 } })
    const { result, handle } = await run('POST', none, answer(202, {}), answer(200, {}))
    expect([result, JSON.stringify(handle).includes('null')]).toEqual([1, false])
    for (const name of ['url', 'resultUrl', 'cancelUrl'])
      await expect(run('POST', dialect({ [name]: { href: '/a' } }), answer(202, {}))).rejects.toThrow(
        `'${name}' is no text`,
      )
  })

  it('work without a wire', async () => {
    const messages = [
      { id: 'j', status: 'queued', status_url: '/jobs/j' },
      { status: 'done', result: 5 },
    ]
    const client = createClient({
      transports: { rest: memoryTransport({ protocol: 'rest', handle: () => messages.shift() }) },
    })
    const { vm } = client.bind({ vm: longRunning(starts.POST, { result: type<number>(), poll: { minMs: 1 } }) })
    expect(await vm({ name: 'a' })).toBe(5)
    await client.close()
  })
})

describe('whatever a server says', () => {
  const json = fc.oneof(
    fc.jsonValue(),
    fc.record(
      {
        id: fc.oneof(fc.string(), fc.integer(), fc.jsonValue()),
        name: fc.oneof(fc.string(), fc.webUrl()),
        status: fc.oneof(fc.constantFrom('queued', 'succeeded', 'failed', 'Canceled', 'DONE', ''), fc.jsonValue()),
        done: fc.oneof(fc.boolean(), fc.jsonValue()),
        response: fc.jsonValue(),
        error: fc.jsonValue(),
        progress: fc.jsonValue(),
        result: fc.jsonValue(),
        result_url: fc.oneof(fc.webUrl(), fc.string(), fc.jsonValue()),
        status_url: fc.oneof(fc.webUrl(), fc.string(), fc.jsonValue()),
        cancel_url: fc.oneof(fc.webUrl(), fc.string(), fc.jsonValue()),
        properties: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
  )
  const dialects = { status: statusLro(), azure: azureLro(), aip: aipLro(), location: locationLro() }
  const seed = Date.now() & 0xffff

  it.each(Object.keys(dialects) as (keyof typeof dialects)[])(
    `%s: a run, or one CallError; never a crash (seed ${seed})`,
    async (name) => {
      const client = createClient({
        transports: { rest: restTransport({ baseUrl: `${server.url}/v1` }) },
        retry: false,
      })
      const { vm } = client.bind({ vm: longRunning(starts.POST, { dialect: dialects[name], poll: false }) })
      const property = fc.asyncProperty(
        fc.constantFrom(200, 201, 202),
        json,
        json,
        fc.option(fc.oneof(fc.webUrl(), fc.constant('/jobs/1'), fc.stringMatching(/^[\x21-\x7e]{0,20}$/)), {
          nil: undefined,
        }),
        async (status, first, second, location) => {
          server.answer(
            answer(status, JSON.stringify(first), {
              'content-type': 'application/json',
              ...(location && { location }),
            }),
          )
          try {
            const handle = await vm.start({ name: 'a' })
            vm.revive(JSON.stringify(handle))
            await handle.update(second)
            if (handle.status !== 'running') await handle.result({ timeoutMs: 1000 })
          } catch (error) {
            if (!isCallError(error)) throw error
            if (error.message.includes('its dialect threw')) throw error
          }
        },
      )
      await fc.assert(property, { seed, numRuns: 150 })
      await client.close()
    },
  )
})
