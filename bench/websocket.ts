import { createClient, type } from 'polywire'
import { channel, websocketTransport } from 'polywire/websocket'
import WebSocket from 'ws'
import type { Comparison } from './support/ab.ts'
import { startServer } from './support/start-server.ts'

const perRun = 100_000

/** A channel through the public iterator against bare `ws` with JSON.parse: messages per CPU second. */
export async function websocket(
  _port: number,
  rounds: number,
): Promise<{ readonly comparisons: Comparison[]; close(): Promise<void> }> {
  const server = await startServer('./socket-server.ts')
  const url = `ws://127.0.0.1:${server.port}`
  const bare = await openBare(url)
  const client = createClient({ transports: { websocket: websocketTransport({ url }) } })
  const ticks = client.call(channel('ticks', { send: type<number>(), receive: type<{ size: number }>() }))
  await ticks.opened
  const iterator = ticks[Symbol.asyncIterator]()
  const iterate = async (times: number) => {
    await ticks.send(times)
    let size = 0
    for (let seen = 0; seen < times; seen++) size += (await iterator.next()).value.size
    if (size !== times * 100) throw new Error('a message was lost')
  }
  return {
    comparisons: [
      {
        title: 'WebSocket, a message with its JSON parsed',
        calls: perRun,
        rounds,
        variants: [
          { name: 'ws, callback', run: bare.receive },
          { name: 'polywire, iterator', run: iterate },
        ],
      },
    ],
    close: async () => {
      bare.close()
      await client.close()
      server.stop()
    },
  }
}

/** What `ws` costs alone, with JSON.parse in its callback. */
async function openBare(url: string) {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await new Promise((resolve) => socket.once('open', resolve))
  let left = 0
  let size = 0
  let done: () => void = () => {}
  socket.on('message', (data: Buffer) => {
    size += (JSON.parse(data.toString()) as { data: { size: number } }).data.size
    if (--left === 0) done()
  })
  return {
    receive: async (times: number) => {
      left = times
      size = 0
      await new Promise<void>((resolve) => {
        done = resolve
        socket.send(JSON.stringify({ type: 'message', channel: 'ticks', data: times }))
      })
      if (size !== times * 100) throw new Error('a message was lost')
    },
    close: () => socket.terminate(),
  }
}
