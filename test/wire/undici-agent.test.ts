import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { requestBuffered } from '../../transports/wire/http-collect.ts'
import { UndiciEngine } from '../../transports/wire/undici-engine.ts'
import { exchange, newScope, turns } from '../support/recording-sink.ts'
import { FaultServer } from '../support/servers/fault-server.ts'

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

  it('close() ends what is running and leaves no socket', async () => {
    await get()
    const stalled = exchange(engine, { url: `${server.url}/stall` }, newScope())
    await server.until(() => server.hits('/stall') === 1)
    await engine.close()
    await stalled.on('error')
    await server.until(() => server.openSockets === 0)
  })
})
