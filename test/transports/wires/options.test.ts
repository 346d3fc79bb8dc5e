import { createClient } from 'polywire'
import { centrifugo } from 'polywire/centrifugo'
import { nats } from 'polywire/nats'
import { phoenix } from 'polywire/phoenix'
import { signalR } from 'polywire/signalr'
import { type SocketIoOptions, socketIo } from 'polywire/socket-io'
import { channel, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { closeAll, onClose, take } from '../../support/realtime.ts'
import { SocketIoServer } from '../../support/servers/socket-io-server.ts'

afterEach(closeAll)

describe('an option that is none is refused at once, by its name', () => {
  it.each([
    ['socketIo()', () => socketIo({ acks: 'yes' } as never), 'acks'],
    ['socketIo()', () => socketIo({ ack: true } as never), 'ack'],
    ['centrifugo()', () => centrifugo({ publications: 1 } as never), 'publications'],
    ['signalR()', () => signalR({ fetch: 'fetch' } as never), 'fetch'],
    ['phoenix()', () => phoenix({ token: 'header' } as never), 'token'],
    ['nats()', () => nats({ payloads: 'xml' } as never), 'payloads'],
  ])('%s %#', (name, make, option) => {
    const error = (() => {
      try {
        return make()
      } catch (thrown) {
        return thrown
      }
    })()
    expect(error).toMatchObject({ name: 'CallError', code: 'invalid_argument' })
    expect((error as Error).message).toContain(name)
    expect((error as Error).message).toContain(option)
  })
})

const boom = () => {
  throw new Error('boom')
}

describe("a function of the user's that fails is one clear error that names it", () => {
  const open = async (adapter: SocketIoOptions) => {
    const server = await SocketIoServer.start({ connectionStateRecovery: {} }, (socket) => socket.emit('n', 'text'))
    onClose(() => server.close())
    server.io.of('/closed').use((_, next) => next(new Error('no')))
    const client = createClient({
      transports: { websocket: websocketTransport({ url: server.url, adapter: socketIo(adapter) }) },
    })
    onClose(() => client.close())
    return client
  }

  it('auth', async () => {
    const client = await open({ auth: boom })
    await expect(client.call(channel('/')).opened).rejects.toMatchObject({
      code: 'internal',
      sent: 'no',
      message: expect.stringContaining('auth of socketIo()'),
      cause: { message: 'boom' },
    })
  })

  it('refusal', async () => {
    const client = await open({ refusal: boom })
    await expect(client.call(channel('/closed')).opened).rejects.toMatchObject({
      code: 'internal',
      cause: { message: 'boom' },
    })
  })

  it('an isOffset that is asynchronous', async () => {
    const client = await open({ isOffset: (async () => false) as never })
    await expect(take(client.call(channel('/')), 1)).rejects.toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('isOffset of socketIo() must not be async'),
    })
  })

  it('isOffset', async () => {
    const client = await open({ isOffset: boom })
    await expect(take(client.call(channel('/')), 1)).rejects.toMatchObject({
      code: 'internal',
      cause: { message: 'boom' },
    })
  })
})
