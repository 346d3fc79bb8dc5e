import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { Agent } from 'undici'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Scope, type Services } from '../../../../../src/core/call/scope.ts'
import { DeadlineList } from '../../../../../src/core/time/clock.ts'
import { requestBuffered } from '../../../../../transports/http/collect.ts'
import { OwnAgent } from '../../../../../transports/http/engine/undici/agent.ts'
import { UndiciEngine } from '../../../../../transports/http/engine/undici/engine.ts'
import { manualClock } from '../../../../support/manual-clock.ts'
import { exchange, newScope, turns } from '../../../../support/recording-sink.ts'
import { freshSeed, seeded } from '../../../../support/seeded.ts'
import { FaultServer } from '../../../../support/servers/fault-server.ts'

describe('the connections of the undici engine', () => {
  let server: FaultServer
  let engine: UndiciEngine
  beforeEach(async () => {
    server = await FaultServer.start()
    engine = new UndiciEngine()
  })
  afterEach(async () => {
    await engine.close()
    await server.close()
  })
  const get = (path = '/json', headers: Record<string, string> = {}) =>
    requestBuffered(engine, { method: 'GET', url: server.url + path, headers }, newScope())

  it('one after the other, calls share one', async () => {
    for (let n = 0; n < 5; n++) await get()
    expect(server.connections).toBe(1)
  })

  it('as many as are in use at once, used again later', async () => {
    for (let n = 0; n < 3; n++) await Promise.all(Array.from({ length: 8 }, () => get()))
    expect(server.connections).toBe(8)
  })

  it('a call whose answer closes the connection harms none that follows', async () => {
    server.on('/last', (each) => each.reply(200, {}, { connection: 'close' }))
    for (let n = 0; n < 3; n++) {
      await get('/last')
      await get()
    }
    expect(server.exchanges).toHaveLength(6)
  })

  it('an idle one that the server closes is not used again', async () => {
    await Promise.all([get(), get(), get()])
    server.dropConnections('fin')
    await server.until(() => server.openSockets === 0)
    await turns(5)
    await get()
    expect(server.connections).toBe(4)
  })

  it('… nor kept', async () => {
    const agent = new OwnAgent()
    const connection = agent.lease(server.url, false)
    await new Promise<void>((resolve, reject) => {
      const handler = {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData() {},
        onResponseEnd: () => resolve(connection.release()),
        onResponseError: (_: unknown, error: Error) => reject(error),
      }
      connection.dispatch({ origin: server.url, path: '/json', method: 'GET', headers: {}, body: undefined }, handler)
    })
    expect(agent.lease(server.url, false)).toBe(connection)
    connection.release()
    server.dropConnections('fin')
    await server.until(() => server.openSockets === 0)
    await turns(5)
    expect(agent.lease(server.url, false)).not.toBe(connection)
    await agent.close()
  })

  it.each([
    ['goes on behind 64 KiB', 1 << 17, 1 << 30],
    ['announces more, and says nothing more', 10, 1 << 17],
  ])('a redirect whose body %s is left while its hop is under way', async (_what, writtenBytes, length) => {
    let isLeft = () => {}
    const left = new Promise<void>((resolve) => {
      isLeft = resolve
    })
    const slow = createHttpServer((request, response) => {
      if (request.url === '/hop') return
      response.once('close', isLeft)
      response.writeHead(302, { location: '/hop', ...(length === 1 << 30 ? {} : { 'content-length': length }) })
      response.write(Buffer.alloc(writtenBytes))
    })
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve))
    const scope = newScope()
    const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/`
    const pending = requestBuffered(engine, { method: 'GET', url, headers: {} }, scope).catch((reason) => reason)
    await left
    scope.abort('enough')
    expect(await pending).toBe('enough')
    slow.closeAllConnections()
    slow.close()
  })

  it('an aborted or failed exchange takes its connection along, the others stay', async () => {
    await Promise.all([get(), get()])
    const scope = newScope()
    const stalled = exchange(engine, { url: `${server.url}/stall` }, scope)
    await server.until(() => server.hits('/stall') === 1)
    scope.abort('enough')
    await stalled.on('abort')
    await server.until(() => server.openSockets === 1)
    await get()
    expect(server.connections).toBe(2)
  })

  it('a request that cannot be written costs none', async () => {
    await get()
    await expect(get('/json', { 'x-bad': 'a\nb' })).rejects.toMatchObject({ fault: { code: 'invalid_argument' } })
    await get()
    expect(server.connections).toBe(1)
    expect(server.exchanges).toHaveLength(2)
  })

  it('a refused connection is tried anew by each call, and harms no other origin', async () => {
    const { url } = server
    await server.close()
    for (let n = 0; n < 3; n++)
      await expect(requestBuffered(engine, { method: 'GET', url, headers: {} }, newScope())).rejects.toMatchObject({
        fault: { phase: 'connect', sent: 'no' },
      })
    server = await FaultServer.start()
    await get()
  })

  it('whatever becomes of others, each answer is that of its own request', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    server.on('/mine', async (each) => {
      const { headers } = each
      const answer = { id: headers['x-id'], size: (await each.body()).byteLength }
      for (let turn = Number(headers['x-turns']); turn > 0; turn--) await turns(1)
      const fate = headers['x-fate']
      if (fate === 'reset') each.reset()
      else if (fate === 'cut') {
        each.raw('HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{')
        each.cut()
      } else
        each.reply(200, { ...answer, pad: 'x'.repeat(answer.size) }, fate === 'close' ? { connection: 'close' } : {})
    })
    const fates = ['fine', 'fine', 'fine', 'close', 'reset', 'cut', 'abort']
    let answered = 0
    const call = async (id: number) => {
      const fate = fates[Math.floor(random() * fates.length)] as string
      const scope = newScope()
      const headers = { 'x-id': `${id}`, 'x-fate': fate, 'x-turns': `${Math.floor(random() * 4)}` }
      const body = 'y'.repeat(Math.floor(random() * 100_000))
      const request = { method: 'POST', url: `${server.url}/mine`, headers, body }
      const abortAfter = Math.floor(random() * 12)
      const answer = requestBuffered(engine, request, scope).then(
        (response) => JSON.parse(response.text()) as { id: string; size: number },
        () => undefined,
      )
      if (fate === 'abort') void turns(abortAfter).then(() => scope.abort('enough'))
      const got = await answer
      if (got) expect(got, `seed ${seed}`).toMatchObject({ id: `${id}`, size: body.length })
      if (fate === 'fine' || fate === 'close') expect(got, `seed ${seed}, call ${id}, ${fate}`).toBeDefined()
      if (got) answered++
    }
    const lane = async (from: number) => {
      for (let n = 0; n < 40; n++) await call(from + n)
    }
    await Promise.all(Array.from({ length: 12 }, (_, n) => lane(n * 1000)))
    expect(answered).toBeGreaterThan(200)
    await server.until(() => server.openSockets <= 12)
    await engine.close()
    await server.until(() => server.openSockets === 0)
  })

  it.each([false, true])(
    'write nothing once the deadline has passed, though no timer has told it; warm: %s',
    async (isWarm) => {
      if (isWarm) await get()
      const hits = server.exchanges.length
      const clock = manualClock()
      const services = { clock, deadlines: new DeadlineList(clock) } as unknown as Services
      const scope = new Scope(services)
      scope.abortAt(1000, () => 'late')
      const sink = exchange(engine, { url: `${server.url}/json` }, scope)
      // As in a process that was stopped: sockets are heard of before timers.
      Object.assign(clock, { now: () => 6000 })
      await sink.on('abort')
      await get()
      expect(server.exchanges.length - hits).toBe(1)
      expect(services.deadlines.size).toBe(0)
    },
  )

  it('close() ends what is running and leaves no socket', async () => {
    await get()
    const stalled = exchange(engine, { url: `${server.url}/stall` }, newScope())
    await server.until(() => server.hits('/stall') === 1)
    await engine.close()
    await stalled.on('error')
    await server.until(() => server.openSockets === 0)
  })
})

describe('an unasked 100 Continue', () => {
  it.each([
    [
      'in one piece with the answer',
      ['HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'],
    ],
    ['on its own', ['HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello']],
    [
      'twice, with headers',
      [
        'HTTP/1.1 100 Continue\r\nx-a: 1\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello',
      ],
    ],
    ['byte by byte', [...'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello']],
    [
      'none, but a body that looks like one',
      ['HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\nhello'],
    ],
  ])('%s', async (_, parts) => {
    const raw = createServer((socket) => {
      socket.setNoDelay(true).on('error', () => undefined)
      socket.on('data', async () => {
        for (const part of parts) {
          socket.write(part)
          await turns(2)
        }
      })
    })
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve))
    const { port } = raw.address() as { port: number }
    const engine = new UndiciEngine()
    const request = { method: 'POST', url: `http://127.0.0.1:${port}/`, headers: {}, body: 'x' }
    for (let nth = 0; nth < 2; nth++) {
      const response = await requestBuffered(engine, request, newScope())
      expect([response.status, response.text().slice(-5)]).toEqual([200, 'hello'])
      if (parts[1]?.startsWith('HTTP/1.1 100')) expect(response.text()).toHaveLength(30)
    }
    await engine.close()
    raw.close()
  })

  it('breaks a dispatcher of the user, and the words say so', async () => {
    const raw = createServer((socket) => {
      socket.on('error', () => undefined).on('data', () => socket.write('HTTP/1.1 100 Continue\r\n\r\n'))
    })
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve))
    const dispatcher = new Agent()
    const { port } = raw.address() as { port: number }
    const sink = exchange(new UndiciEngine({ dispatcher }), { url: `http://127.0.0.1:${port}/` })
    await sink.over()
    expect(sink.fault).toMatchObject({ sent: 'maybe', what: expect.stringContaining('unasked 100 Continue') })
    await dispatcher.destroy()
    raw.close()
  })
})
