import {
  type CallOptions,
  type ClientOptions,
  Context,
  createClient,
  createContextKey,
  defineStream,
  memoryStore,
  type Operation,
  type OperationInfo,
  type ServerStream,
  type Store,
  type StoredCursorOptions,
  type Stream,
  storedCursor,
  type TelemetryEvent,
} from 'polywire'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { bound } from '../../support/outbox.ts'
import { broken, ScriptedStreams } from '../../support/scripted-streams.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close().catch(() => {})
})

function watch(changes: Partial<OperationInfo> = {}): Operation<'memory', ServerStream<object, any>> {
  return defineStream({
    name: 'watch',
    protocol: 'memory',
    via: 'memory',
    kind: 'server_stream',
    isIdempotent: true,
    isResumable: true,
    binding: undefined,
    ...changes,
  })
}

/** A memory store that says what was asked of it, and fails or hangs when told to. */
class Ledger implements Store {
  readonly traits = { isAtomic: true, isShared: false, isDurable: false }
  readonly #store = memoryStore()
  readonly log: string[] = []
  /** Writes under way at once, at most. */
  most = 0
  #underWay = 0
  fails = false
  /** Set: writes wait for it. */
  gate: Promise<void> | undefined

  get = (key: string) => this.#run(() => this.#store.get(key))
  set = (key: string, value: string) => this.#run(() => this.#store.set(key, value), `set ${value}`)
  add = (key: string, value: string) => this.#run(() => this.#store.add(key, value) as boolean, `add ${value}`)
  compareAndSet = (key: string, expected: string, next: string) =>
    this.#run(() => this.#store.compareAndSet(key, expected, next) as boolean, `${expected}→${next}`)
  delete = (key: string, condition?: { ifValue?: string | undefined }) =>
    this.#run(() => this.#store.delete(key, condition) as boolean, `delete ${condition?.ifValue}`)

  async #run<T>(run: () => T | Promise<T>, entry?: string): Promise<T> {
    if (entry) {
      this.log.push(entry)
      this.most = Math.max(this.most, ++this.#underWay)
      await this.gate
      this.#underWay--
    }
    if (this.fails) throw new Error('secret of the store')
    return run()
  }
}

function setup(options: Partial<ClientOptions<never>> = {}, store = new Ledger()) {
  const clock = manualClock()
  const server = new ScriptedStreams()
  const events: TelemetryEvent[] = []
  const client = createClient({
    transports: { memory: server.transport },
    clock,
    telemetry: { event: (event) => events.push(event) },
    ...options,
  })
  closers.push(() => client.close())
  const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
  const open = (
    changes: Partial<OperationInfo> = {},
    more: StoredCursorOptions & CallOptions = {},
    input: object = {},
  ) => {
    const { everyMs, ttlMs, ...callOptions } = more
    const cursor = storedCursor(store, 'me', { everyMs, ttlMs, timeoutMs: more.timeoutMs })
    return client.call(watch(changes), input, { ...callOptions, cursor }) as Stream<any>
  }
  return { clock, server, client, store, warnings, open }
}

/** The next `count` messages, and the request for one more, which makes them consumed. */
async function consume(stream: Stream<any>, count: number): Promise<unknown[]> {
  const iterator = stream[Symbol.asyncIterator]()
  const got: unknown[] = []
  while (got.length < count) got.push((await iterator.next()).value)
  iterator.next().catch(() => {})
  await Promise.resolve()
  return got
}

describe('the place of a stream in a store', () => {
  it('is where the next stream begins', async () => {
    const { server, open, clock, client } = setup()
    const first = open()
    await first.opened
    server.push(1, 2, 3)
    expect(await consume(first, 2)).toEqual([1, 2])
    await first.close()
    const second = open()
    await second.opened
    expect(server.cursors).toEqual([undefined, '2'])
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('that is empty is none, in a store as in a call', async () => {
    const { server, open, store, client } = setup()
    await store.set('cursor:["me","memory","watch",""]{}', '')
    const stream = open()
    await stream.opened
    server.push(1)
    expect(await consume(stream, 1)).toEqual([1])
    await stream.close()
    expect(await store.get('cursor:["me","memory","watch",""]{}')).toBe('1')
    const other = client.call(watch(), {}, { cursor: '' })
    await other.opened
    expect(server.cursors).toEqual([undefined, undefined])
  })

  it.each([{ everyMs: Number.NaN }, { ttlMs: -1 }, { timeoutMs: 0 }, { every: 1 }, null])(
    'refuses options that it does not take: %j',
    (options) => {
      expect(() => storedCursor(memoryStore(), 'me', options as never)).toThrow(/storedCursor\(\): /)
    },
  )

  it('is what was consumed, not what was received or handed out', async () => {
    const { server, open, store } = setup()
    const stream = open()
    await stream.opened
    server.push(1, 2, 3)
    for await (const message of stream) if (message === 2) break
    expect(store.log).toEqual(['add 1'])
  })

  it('is read before the stream is opened, and used on each re-open as any cursor', async () => {
    const { server, open, clock, store } = setup()
    await store.set('cursor:["me","memory","watch",""]{}', '7')
    const stream = open()
    await stream.opened
    server.drop()
    await clock.advance(1000)
    expect(server.cursors).toEqual(['7', '7'])
    await stream.close()
    expect(store.log).toEqual(['set 7'])
  })

  it('is written at once, then once for all that is consumed in everyMs', async () => {
    const { server, open, clock, store } = setup()
    const stream = open({}, { everyMs: 500 })
    const seen: number[] = []
    stream.subscribe({ next: (message) => seen.push(message) })
    await clock.advance(0)
    for (let n = 1; n <= 100; n++) {
      server.push(n)
      await clock.advance(10)
    }
    expect(seen).toHaveLength(100)
    expect(store.log).toEqual(['add 1', expect.stringMatching(/^1→5\d$/), expect.stringMatching(/^5\d→(99|100)$/)])
    await clock.advance(10_000)
    await stream.close()
    expect(store.log.at(-1)).toMatch(/→100$/)
    expect(store.log.length).toBeLessThanOrEqual(4)
  })

  it('moves on without a message, too: where the channel stands, and past what is skipped', async () => {
    const { server, open, clock, store } = setup()
    const stream = open()
    stream.subscribe({})
    await clock.advance(0)
    server.last.source.advance('5')
    server.push(6)
    await clock.advance(0)
    expect(store.log).toEqual(['add 6'])
    server.last.source.push({ message: 7 })
    await clock.advance(2000)
    server.last.source.advance('9')
    server.last.source.push({ message: 8 })
    await clock.advance(2000)
    expect(store.log).toEqual(['add 6', '6→9'])
  })

  it('has never two writes under way', async () => {
    const { server, open, clock, store } = setup()
    let release = () => {}
    store.gate = new Promise((resolve) => {
      release = resolve
    })
    const stream = open({}, { everyMs: 10 })
    stream.subscribe({})
    await clock.advance(0)
    for (let n = 1; n <= 20; n++) {
      server.push(n)
      await clock.advance(10)
    }
    expect(store.log).toEqual(['add 1'])
    const closed = stream.close()
    release()
    await closed
    expect(store.log).toEqual(['add 1', '1→20'])
    expect(store.most).toBe(1)
  })

  it('costs nothing while nothing comes', async () => {
    const { server, open, clock, store } = setup()
    const stream = open()
    stream.subscribe({})
    await clock.advance(0)
    server.push(1)
    await clock.advance(60_000)
    expect(store.log).toEqual(['add 1'])
    expect(clock.timers).toBe(0)
  })

  it('is kept by client.close(), which waits for it', async () => {
    const { server, open, clock, store, client } = setup()
    const stream = open()
    stream.subscribe({})
    await clock.advance(0)
    server.push(1)
    await clock.advance(1)
    server.push(2)
    await clock.advance(1)
    let release = () => {}
    store.gate = new Promise((resolve) => {
      release = resolve
    })
    let isClosed = false
    const closed = client.close().then(() => {
      isClosed = true
    })
    await clock.advance(0)
    expect([isClosed, store.log]).toEqual([false, ['add 1', '1→2']])
    release()
    await closed
  })

  it.each([
    ['abort', 'stop'],
    ['failure', 'permission_denied'],
  ])('is kept at %s', async (how, what) => {
    const { server, open, store } = setup()
    const controller = new AbortController()
    const stream = open({}, { signal: controller.signal })
    await stream.opened
    const iterator = stream[Symbol.asyncIterator]()
    server.push(1, 2)
    await iterator.next()
    await iterator.next()
    const failed = iterator.next().catch((error: unknown) => error)
    if (how === 'abort') controller.abort('stop')
    else server.drop({ code: 'permission_denied', isRetryable: false })
    const error = await failed
    expect(how === 'abort' ? error : (error as { code: string }).code).toBe(what)
    expect(store.log.at(-1)).toMatch(/→2$|add 2/)
  })
})

describe('the place is given up', () => {
  it('when the stream has ended, before the loop goes on', async () => {
    const { server, open, store } = setup()
    const stream = open()
    await stream.opened
    server.push(1, 2)
    server.last.source.finish()
    for await (const _ of stream) await Promise.resolve()
    expect(store.log).toEqual(['add 1', 'delete 1'])
    const again = open()
    await again.opened
    expect(server.cursors).toEqual([undefined, undefined])
  })

  it('when the server refuses it: the next one begins anew', async () => {
    const { server, open, store } = setup()
    await store.set('cursor:["me","memory","watch",""]{}', '7')
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    await expect(open().opened).rejects.toMatchObject({ code: 'data_loss' })
    await open().opened
    expect(server.cursors).toEqual(['7', undefined])
    expect(store.log).toEqual(['set 7', 'delete 7'])
  })

  it('when the server refuses it and gaps are shown', async () => {
    const { server, open, store, clock } = setup()
    await store.set('cursor:["me","memory","watch",""]{}', '7')
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    const stream = open({ gaps: 'yield' })
    const iterator = stream[Symbol.asyncIterator]()
    expect((await iterator.next()).value).toMatchObject({ kind: 'gap', reason: 'not_recovered', from: '7' })
    const waiting = iterator.next()
    await clock.advance(1000)
    server.push(20)
    expect((await waiting).value).toBe(20)
    iterator.next().catch(() => {})
    await clock.advance(1000)
    expect(store.log).toEqual(['set 7', 'delete 7', 'add 20'])
    expect(stream.cursor).toBe('20')
  })

  it('when the server refuses it and a snapshot fills the gap', async () => {
    const { server, open, store, clock } = setup()
    await store.set('cursor:["me","memory","watch",""]{}', '7')
    server.script.push(broken({ code: 'out_of_range', isRetryable: false }))
    const seen: unknown[] = []
    open({}, { resync: () => ['snapshot'] }).subscribe({ next: (message) => seen.push(message) })
    await clock.advance(1000)
    expect(store.log).toEqual(['set 7', 'delete 7'])
    server.push(20)
    await clock.advance(2000)
    expect(seen).toEqual(['snapshot', 20])
    expect(store.log).toEqual(['set 7', 'delete 7', 'add 20'])
  })

  it('when messages are lost for good', async () => {
    const { server, open, clock, store } = setup()
    const codes: string[] = []
    open({ cursors: 'offset' }).subscribe({ error: (error) => codes.push((error as { code: string }).code) })
    await clock.advance(0)
    server.push(1)
    await clock.advance(0)
    server.push(5)
    await clock.advance(0)
    expect(codes).toEqual(['data_loss'])
    expect(store.log).toEqual(['add 1', 'delete 1'])
  })

  it('but not for a message that could not be converted', async () => {
    const { server, open, store } = setup()
    const stream = open({
      adapted: {
        output: (n) => {
          if (n === 2) throw new Error('mine')
          return n
        },
      },
    })
    await stream.opened
    server.push(1, 2)
    server.last.source.finish()
    await expect(async () => {
      for await (const _ of stream) await Promise.resolve()
    }).rejects.toMatchObject({ code: 'internal' })
    expect(store.log).toEqual(['add 1'])
  })
})

describe('places are kept apart', () => {
  const user = createContextKey<string>('user')
  const auth = {
    name: 'by context',
    identity: ({ context }: { context: Context }) => context.get(user) ?? '',
    credential: () => ({ headers: {} }),
  }

  it('by identity, operation, input and key', async () => {
    const { server, client, store } = setup({ auth: auth as never })
    const as = (name: string) => Context.empty.with(user, name)
    const opens: [string, object, string, string][] = [
      ['watch', { id: 1 }, 'ann', 'me'],
      ['watch', { id: 1 }, 'bob', 'me'],
      ['watch', { id: 2 }, 'ann', 'me'],
      ['other', { id: 1 }, 'ann', 'me'],
      ['watch', { id: 1 }, 'ann', 'you'],
    ]
    for (const round of [1, 2]) {
      for (const [index, [name, input, who, key]] of opens.entries()) {
        const cursor = storedCursor(store, key)
        const stream = client.call(watch({ name }), input, { cursor, context: as(who) }) as Stream<any>
        await stream.opened
        server.push(round * 100 + index)
        await consume(stream, 1)
        await stream.close()
      }
    }
    expect(server.cursors).toEqual([...opens.map(() => undefined), '100', '101', '102', '103', '104'])
  })

  it('whatever the order of the input, and whatever is in it', async () => {
    const { server, open, store } = setup()
    const inputs = [
      { a: 1n, b: new Uint8Array([1]) },
      { b: new Uint8Array([1]), a: 1n },
      { a: 2n, b: new Uint8Array([1]) },
    ]
    for (const input of [...inputs, { a: new Map([['x', 1]]) }, { a: new Map([['x', 2]]) }]) {
      const stream = open({}, {}, input)
      await stream.opened
      server.push(server.attempts.length)
      await consume(stream, 1)
      await stream.close()
    }
    expect(server.cursors).toEqual([undefined, '1', undefined, undefined, undefined])
    expect(store.log).toHaveLength(5)
    const circle: { self?: object } = {}
    circle.self = circle
    await expect(open({}, {}, circle).opened).rejects.toMatchObject({ code: 'invalid_argument', sent: 'no' })
  })
})

describe('two processes', () => {
  async function race(cursors: 'offset' | 'opaque', mine: string[], others: string[]): Promise<string | undefined> {
    const store = new Ledger()
    const one = setup({}, store)
    const two = setup({}, store)
    const streams = [one, two].map(({ open }) => open({ cursors: cursors === 'offset' ? 'offset' : 'opaque' }))
    for (const stream of streams) await stream.opened
    two.server.push(...others)
    await consume(streams[1] as Stream<any>, others.length)
    await two.clock.advance(2000)
    one.server.push(...mine)
    await consume(streams[0] as Stream<any>, mine.length)
    await one.clock.advance(2000)
    await streams[0]?.close()
    return (await store.get('cursor:["me","memory","watch",""]{}')) ?? undefined
  }

  it('the one behind does not move the other back', async () => {
    expect(await race('offset', ['1', '2'], ['1', '2', '3', '4'])).toBe('4')
    expect(await race('offset', ['e:1', 'e:2'], ['e:1', 'e:2', 'e:3'])).toBe('e:3')
  })

  it('the one ahead goes on', async () => {
    expect(await race('offset', ['1', '2', '3'], ['1', '2'])).toBe('3')
    expect(await race('offset', ['f:1', 'f:2'], ['e:1', 'e:2', 'e:3'])).toBe('f:2')
  })

  it('of opaque cursors the last one written stands', async () => {
    expect(await race('opaque', ['a', 'b'], ['a', 'b', 'c'])).toBe('b')
  })

  it('the one that ends removes nothing that the other has written', async () => {
    const store = new Ledger()
    const one = setup({}, store)
    const two = setup({}, store)
    const streams = [one.open(), two.open()]
    for (const stream of streams) await stream.opened
    one.server.push(1)
    await consume(streams[0] as Stream<any>, 1)
    await one.clock.advance(2000)
    two.server.push(1, 2)
    await consume(streams[1] as Stream<any>, 2)
    await two.clock.advance(2000)
    one.server.last.source.finish()
    await one.clock.advance(0)
    expect(await store.get('cursor:["me","memory","watch",""]{}')).toBe('2')
  })
})

describe('a store that fails', () => {
  it('at the beginning: nothing is opened', async () => {
    const { server, open, store } = setup()
    store.fails = true
    const error = await open().opened.catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'unavailable', sent: 'no', isRetryable: true, cause: { message: /secret/ } })
    expect(String(error)).not.toMatch(/secret/)
    expect(server.attempts).toHaveLength(0)
  })

  it.each([42, { at: 1 }, true, new Uint8Array([55])])(
    'by an answer that is no text: nothing is opened (%j)',
    async (answer) => {
      const { server, client } = setup()
      const store: Store = { ...bound(memoryStore()), get: () => answer as never }
      const stream = client.call(watch(), {}, { cursor: storedCursor(store, 'me') }) as Stream<any>
      const error = await stream.opened.catch((caught: unknown) => caught)
      expect(error).toMatchObject({ sent: 'no', cause: { message: expect.stringContaining('text') } })
      expect(server.attempts).toHaveLength(0)
    },
  )

  it('later: the stream goes on, says so once, and tries again', async () => {
    const { server, open, clock, store, warnings } = setup()
    const stream = open()
    const seen: number[] = []
    stream.subscribe({ next: (message) => seen.push(message), error: () => seen.push(-1) })
    await clock.advance(0)
    store.fails = true
    for (let n = 1; n <= 5; n++) {
      server.push(n)
      await clock.advance(1000)
    }
    expect(seen).toEqual([1, 2, 3, 4, 5])
    expect(warnings()).toEqual([expect.stringMatching(/could not be stored/)])
    store.fails = false
    await clock.advance(1000)
    expect(store.log.at(-1)).toBe('add 5')
    await stream.close()
  })

  it('later, by one answer that never comes: it is told, and the next ones are written', async () => {
    const { server, open, clock, store, warnings } = setup()
    const stream = open({}, { timeoutMs: 3000 })
    stream.subscribe({})
    await clock.advance(0)
    store.gate = new Promise(() => {})
    server.push(1)
    await clock.advance(0)
    store.gate = undefined
    for (let n = 2; n <= 5; n++) {
      server.push(n)
      await clock.advance(1000)
    }
    expect(warnings()).toEqual([expect.stringMatching(/could not be stored/)])
    expect(store.log).toEqual(['add 1', 'add 4', '4→5'])
    await stream.close()
    expect(clock.timers).toBe(0)
  })

  it('at the end: close() says so, and breaking out of a loop', async () => {
    const { server, open, store, client } = setup()
    const stream = open()
    await stream.opened
    server.push(1, 2, 3)
    const loop = async () => {
      for await (const message of stream) {
        store.fails = true
        if (message === 3) break
      }
    }
    await expect(loop()).rejects.toMatchObject({ code: 'unavailable', cause: { message: /secret/ } })
    await expect(stream.close()).rejects.toMatchObject({ code: 'unavailable' })
    await client.close()
  })

  it('at the end of the client: its close() says so, once all is closed', async () => {
    const { server, open, clock, store, client } = setup()
    const stream = open()
    stream.subscribe({})
    await clock.advance(0)
    store.fails = true
    server.push(1)
    await clock.advance(0)
    await expect(client.close()).rejects.toMatchObject({ code: 'unavailable', cause: { message: /secret/ } })
    expect([stream.state, clock.timers]).toEqual(['closed', 0])
  })

  it('by never answering: nobody waits for ever', async () => {
    const { server, open, clock, store } = setup()
    const stream = open({}, { timeoutMs: 300 })
    await stream.opened
    store.gate = new Promise(() => {})
    server.push(1)
    await consume(stream, 1)
    const closed = expect(stream.close()).rejects.toMatchObject({ code: 'unavailable' })
    await clock.advance(300)
    await closed
    expect(clock.timers).toBe(0)
  })

  it.each(['add', 'compareAndSet'] as const)(
    'by not saying that %s wrote: the process is not kept busy',
    async (mute) => {
      const { server, clock, client, warnings } = setup()
      const sound = memoryStore()
      let asked = 0
      const silent = (): never => {
        // Above this it would go on for ever.
        if (++asked > 500) throw new Error('asked too often')
        return undefined as never
      }
      const store = {
        traits: sound.traits,
        get: (key: string) => sound.get(key),
        set: (key: string, value: string) => sound.set(key, value),
        add: (key: string, value: string) => (mute === 'add' ? silent() : sound.add(key, value)),
        compareAndSet: silent,
        delete: (key: string) => sound.delete(key),
      }
      const stream = client.call(watch(), {}, { cursor: storedCursor(store, 'me') }) as Stream<any>
      await stream.opened
      server.push(1, 2)
      await consume(stream, 2)
      await expect(stream.close()).rejects.toMatchObject({
        code: 'unavailable',
        cause: { message: expect.stringMatching(/add and compareAndSet must answer true/) },
      })
      expect(asked).toBeLessThan(500)
      expect(warnings()).toContainEqual(expect.stringMatching(/could not be stored/))
      await client.close().catch(() => {})
      expect(clock.timers).toBe(0)
    },
  )

  it('never answering at the beginning', async () => {
    const { clock, client } = setup()
    const hanging = { ...memoryStore(), compareAndSet: () => true, get: () => new Promise<string>(() => {}) } as never
    const { opened } = client.call(watch(), {}, { cursor: storedCursor(hanging, 'me') }) as Stream<any>
    const failed = expect(opened).rejects.toMatchObject({ code: 'unavailable', sent: 'no' })
    await clock.advance(5000)
    await failed
  })
})

describe('a stream without cursors', () => {
  it('is refused where it could not be opened again anyway', async () => {
    const { server, open, store } = setup()
    await expect(open({ isResumable: false }).opened).rejects.toMatchObject({
      code: 'failed_precondition',
      sent: 'no',
      message: /declare resume/,
    })
    expect([server.attempts.length, store.log]).toEqual([0, []])
  })

  it('is told of in the telemetry, once', async () => {
    const { server, open, clock, store, warnings } = setup()
    const stream = open()
    stream.subscribe({})
    await clock.advance(0)
    expect(warnings()).toEqual([])
    for (const message of [1, 2, 3]) {
      server.last.source.push({ message })
      await clock.advance(2000)
    }
    expect(warnings()).toEqual([expect.stringMatching(/without a cursor/)])
    await stream.close()
    expect(store.log).toEqual([])
  })
})

describe('what is no store', () => {
  it('is refused at once', () => {
    expect(() => storedCursor({} as never, 'me')).toThrow(/takes a Store/)
    expect(() => storedCursor(memoryStore(), '')).toThrow(/takes a key/)
  })

  it('nor a cursor', async () => {
    const { client } = setup()
    await expect((client.call(watch(), {}, { cursor: 7 } as never) as Stream<any>).opened).rejects.toMatchObject({
      code: 'invalid_argument',
    })
  })
})
