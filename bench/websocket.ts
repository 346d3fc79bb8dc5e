import { createClient, type } from 'polywire'
import { channel, websocketTransport } from 'polywire/websocket'
import WebSocket from 'ws'
import type { Comparison } from './support/ab.ts'
import { startServer } from './support/start-server.ts'

const perRun = 100_000

/** A channel, by callback and by the public iterator, against bare `ws` with JSON.parse: messages per CPU second. */
export async function websocket(
  _port: number,
  rounds: number,
): Promise<{ readonly comparisons: Comparison[]; close(): Promise<void> }> {
  const server = await startServer('./socket-server.ts')
  const url = `ws://127.0.0.1:${server.port}`
  const bare = await openBare(url)
  const open = () => createClient({ transports: { websocket: websocketTransport({ url }) } })
  const clients = [open(), open()] as const
  const spec = channel('ticks', { send: type<number>(), receive: type<Tick>() })
  const ticks = clients[0].call(spec)
  await ticks.opened
  const iterator = ticks[Symbol.asyncIterator]()
  const iterate = async (times: number) => {
    await ticks.send(times)
    let size = 0
    for (let seen = 0; seen < times; seen++) size += (await iterator.next()).value.size
    if (size !== times * 100) throw new Error('a message was lost')
  }
  const heard = clients[1].call(spec)
  const listen = await listener((next) => heard.subscribe({ next }))
  const subscribe = (times: number) => listen(times, () => heard.send(times))
  return {
    comparisons: [
      {
        title: 'WebSocket, a message with its JSON parsed',
        calls: perRun,
        rounds,
        variants: [
          { name: 'ws, callback', run: bare.receive },
          { name: 'polywire, callback', run: subscribe },
          { name: 'ws, queue and iterator', run: bare.iterate },
          { name: 'polywire, iterator', run: iterate },
        ],
      },
    ],
    close: async () => {
      bare.close()
      for (const client of clients) await client.close()
      server.stop()
    },
  }
}

interface Tick {
  readonly size: number
}

/** Counts what a callback is given. */
async function listener(subscribe: (next: (tick: Tick) => void) => unknown) {
  let left = 0
  let size = 0
  let done: () => void = () => {}
  subscribe((tick) => {
    size += tick.size
    if (--left === 0) done()
  })
  return async (times: number, ask: () => unknown) => {
    left = times
    size = 0
    await new Promise<void>((resolve) => {
      done = resolve
      void ask()
    })
    if (size !== times * 100) throw new Error('a message was lost')
  }
}

/** What `ws` costs alone, with JSON.parse in its callback; and with the shortest iterator that can be put behind it. */
async function openBare(url: string) {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  await new Promise((resolve) => socket.once('open', resolve))
  let take: (tick: Tick) => void = () => {}
  socket.on('message', (data: Buffer) => take((JSON.parse(data.toString()) as { data: Tick }).data))
  const ask = (times: number) => socket.send(JSON.stringify({ type: 'message', channel: 'ticks', data: times }))
  let count: (tick: Tick) => void = () => {}
  const listen = await listener((next) => {
    count = next
  })
  return {
    receive: (times: number) => {
      take = count
      return listen(times, () => ask(times))
    },
    iterate: async (times: number) => {
      const queue = new Queue<Tick>()
      take = (tick) => queue.push(tick)
      ask(times)
      let size = 0
      for (let seen = 0; seen < times; seen++) size += (await queue.next()).value.size
      if (size !== times * 100) throw new Error('a message was lost')
    },
    close: () => socket.terminate(),
  }
}

/** Nothing but what an async iterator over callbacks cannot do without. */
class Queue<T> {
  #items: T[] = []
  #index = 0
  #wake: () => void = () => {}

  push(item: T): void {
    this.#items.push(item)
    this.#wake()
  }

  next(): Promise<{ value: T; done: false }> {
    return this.#index < this.#items.length ? Promise.resolve(this.#take()) : this.#wait()
  }

  async #wait(): Promise<{ value: T; done: false }> {
    this.#items = []
    this.#index = 0
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    return this.#take()
  }

  #take(): { value: T; done: false } {
    return { value: this.#items[this.#index++] as T, done: false }
  }
}
