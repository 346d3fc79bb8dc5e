import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore, storedCursor } from 'polywire'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BundledProgram } from '../../support/bundled-program.ts'
import { closeAll, feed, lossy, onClose, setUp, take } from '../../support/realtime.ts'
import { GraphQLWsServer } from '../../support/servers/graphql-ws-server.ts'
import { GrpcServer } from '../../support/servers/grpc-server.ts'
import { SseServer } from '../../support/servers/sse-server.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'

const root = mkdtempSync(join(tmpdir(), 'polywire-cursors-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
afterEach(closeAll)

const all = Array.from({ length: 200 }, (_, index) => index + 1)

/** Each server has 200 messages, begun once the first reader is there. */
const peers: Record<string, () => Promise<{ url: string; begin?: () => Promise<void> }>> = {
  async sse() {
    const server = await SseServer.start()
    onClose(() => server.close())
    server.publish(...all.map(String), 'done')
    return { url: server.origin }
  },
  async websocket() {
    const server = await RealtimeServer.start()
    onClose(() => server.close())
    const begin = async () => {
      await server.until(() => server.framesOf('subscribe').length > 0)
      for (const n of all) server.publish('feed:a', n)
    }
    return { url: server.url, begin }
  },
  async graphql() {
    const server = await GraphQLWsServer.start()
    onClose(() => server[Symbol.asyncDispose]())
    return { url: server.url }
  },
  async grpc() {
    const server = await GrpcServer.start({
      async *watchItems({ after, count }) {
        for (let sequence = after + 1n; sequence <= BigInt(count); sequence++) yield { sequence }
      },
    })
    onClose(() => server[Symbol.asyncDispose]())
    return { url: server.url }
  },
}

let reader: BundledProgram
beforeAll(async () => {
  reader = await BundledProgram.of('durable-reader.ts')
})
afterAll(() => reader?.[Symbol.dispose]())

/** Runs a reader, or kills it at a number. Resolves with all that it has handled once it is gone. */
function read(kind: string, url: string, folder: string, killedAt?: number) {
  const args = ['--no-warnings', reader.path, kind, url, folder]
  const child = spawn(process.execPath, [...args, String(killedAt)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const numbers: number[] = []
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (text + chunk).split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      numbers.push(Number(line))
      if (Number(line) === killedAt) child.kill('SIGKILL')
    }
  })
  return new Promise<number[]>((resolve) => child.on('close', () => resolve(numbers)))
}

/** Without what a killed process may leave beside them. */
function entriesOf(folder: string): string[] {
  return readdirSync(folder).filter((name) => !name.includes('.'))
}

describe.each(Object.keys(peers))('a process that reads %s and is killed', (kind) => {
  it('is followed by another that goes on: nothing is lost, and little comes again', { timeout: 30_000 }, async () => {
    const folder = join(root, kind)
    mkdirSync(folder)
    const { url, begin } = (await peers[kind]?.()) ?? { url: '' }
    void begin?.()
    const first = await read(kind, url, folder, 100)
    const [file = ''] = entriesOf(folder)
    const kept = Number(readFileSync(join(folder, file), 'utf8'))
    const second = await read(kind, url, folder)
    expect(first).toEqual(all.slice(0, 100))
    // What was consumed after the last write comes again, and no more than that.
    expect(kept).toBeGreaterThan(0)
    expect(second).toEqual(all.slice(kept))
    expect(kept).toBeLessThanOrEqual(first.length)
    // A stream that has ended gives its place up; a channel has no end.
    expect(entriesOf(folder)).toHaveLength(kind === 'websocket' ? 1 : 0)
  })
})

describe('the place in a channel', () => {
  const store = () => storedCursor(memoryStore(), 'me')

  it.each(['offset', 'opaque'] as const)('is where another client goes on (%s ids)', async (ids) => {
    const { client, server } = await setUp({ server: { ids, epoch: 'e' } })
    const cursor = store()
    const first = client.call(feed, { name: 'a' }, { cursor })
    await first.opened
    for (const n of [1, 2, 3, 4]) server.publish('feed:a', n)
    for await (const n of first) if (n === 3) break
    const second = client.call(feed, { name: 'a' }, { cursor })
    expect(await take(second, 2)).toEqual([3, 4])
    await second.close()
  })

  it('is known before the first message: what comes until the next start is not lost', async () => {
    const { client, server } = await setUp()
    server.publish('feed:a', 1)
    const memory = memoryStore()
    const waiting = client.call(feed, { name: 'a' }, { cursor: storedCursor(memory, 'me') })
    waiting.subscribe({})
    await waiting.opened
    await new Promise(setImmediate)
    // As after a crash: nobody has closed anything.
    server.publish('feed:a', 2)
    const another = memoryStore()
    const key = 'cursor:["me","websocket","channel feed:{name}",""]{"name":"feed:a"}'
    await another.set(key, String(await memory.get(key)))
    expect(await take(client.call(feed, { name: 'a' }, { cursor: storedCursor(another, 'me') }), 1)).toEqual([2])
  })

  it('is that of each reader, though all share one subscription', async () => {
    const { client, server } = await setUp()
    const memory = memoryStore()
    const [quick, slow] = [storedCursor(memory, 'quick'), storedCursor(memory, 'slow')]
    const open = (cursor: typeof quick) => client.call(feed, { name: 'a' }, { cursor })
    const [one, other] = [open(quick), open(slow)]
    await Promise.all([one.opened, other.opened])
    expect(server.framesOf('subscribe')).toHaveLength(1)
    for (const n of [1, 2, 3, 4]) server.publish('feed:a', n)
    for await (const n of one) if (n === 4) break
    for await (const n of other) if (n === 2) break
    expect([await take(open(quick), 1), await take(open(slow), 3)]).toEqual([[4], [2, 3, 4]])
  })

  it('joins others that are further, and repeats nothing to them', async () => {
    const { client, server } = await setUp()
    const cursor = store()
    const first = client.call(feed, { name: 'a' }, { cursor })
    await first.opened
    server.publish('feed:a', 1)
    server.publish('feed:a', 2)
    for await (const n of first) if (n === 2) break
    const live = client.call(feed, { name: 'a' })
    await live.opened
    server.publish('feed:a', 3)
    expect(await take(live, 1)).toEqual([3])
    const late = client.call(feed, { name: 'a' }, { cursor })
    expect(await take(late, 2)).toEqual([2, 3])
    server.publish('feed:a', 4)
    expect([await take(late, 1), await take(live, 1)]).toEqual([[4], [4]])
  })

  it('that the server has forgotten is a gap, or the end; the next one begins anew', async () => {
    const { client, server } = await setUp()
    const cursor = store()
    const first = client.call(feed, { name: 'a' }, { cursor })
    await first.opened
    server.publish('feed:a', 1)
    server.publish('feed:a', 2)
    for await (const n of first) if (n === 2) break
    server.options.historyLimit = 1
    for (const n of [3, 4]) server.publish('feed:a', n)
    await expect(take(client.call(feed, { name: 'a' }, { cursor }), 1)).rejects.toMatchObject({ code: 'data_loss' })
    const anew = client.call(lossy, { name: 'a' }, { cursor })
    await anew.opened
    server.publish('feed:a', 5)
    expect(await take(anew, 1)).toEqual([5])
  })
})
