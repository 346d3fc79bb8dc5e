import {
  type Auth,
  adapt,
  type ClientOptions,
  createClient,
  defineStream,
  failover,
  isGap,
  type Operation,
  type OperationInfo,
  type ServerStream,
  type TelemetryEvent,
} from 'polywire'
import { afterEach, describe, expect, it } from 'vitest'
import { manualClock } from '../../support/manual-clock.ts'
import { broken, ScriptedStreams } from '../../support/scripted-streams.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

type Way = 'a' | 'b'
function watch<V extends Way>(via: V, changes: Partial<OperationInfo> = {}): Operation<V, ServerStream<{}, any>> {
  const info = { name: `watch ${via}`, protocol: 'memory', via, kind: 'server_stream', isIdempotent: true } as const
  return defineStream({ ...info, isResumable: true, binding: undefined, ...changes })
}

/** @param gate - what an opening of `a` waits for. */
function setup(
  options: Partial<ClientOptions<never>> = {},
  auths: Partial<Record<Way, Auth>> = {},
  gate: () => Promise<void> = async () => {},
) {
  const clock = manualClock()
  const [a, b] = [new ScriptedStreams(), new ScriptedStreams()]
  const events: TelemetryEvent[] = []
  const client = createClient({
    transports: {
      a: {
        ...a.transport,
        send: (call) => gate().then(() => a.transport.send(call)),
        origin: 'https://a.example',
        ...(auths.a && { auth: auths.a }),
      },
      b: { ...b.transport, origin: 'https://b.example', ...(auths.b && { auth: auths.b }) },
    },
    clock,
    telemetry: { event: (event) => void events.push(event) },
    failover: { backMs: 1000 },
    ...options,
  })
  closers.push(() => client.close())
  return { a, b, client, clock, events }
}

function collect(stream: AsyncIterable<unknown>) {
  const seen: { got: unknown[]; error?: unknown } = { got: [] }
  const read = async () => {
    for await (const message of stream) seen.got.push(message)
  }
  read().catch((error: unknown) => {
    seen.error = error
  })
  return seen
}

const both = failover(watch('a'), watch('b'))
const gone = broken({ phase: 'connect', sent: 'no' })

describe('failover of streams of one protocol', () => {
  it('goes on after the last cursor on the other route, and comes back after the last one there', async () => {
    const { a, b, client, clock } = setup()
    a.script.push('open', gone)
    const seen = collect(client.call(both))
    await clock.advance(0)
    a.push(1, 2)
    await clock.advance(11_000)
    a.drop()
    await clock.advance(1000)
    expect(b.cursors).toEqual(['2'])
    b.push(3, 4)
    await clock.advance(1200)
    expect(a.cursors).toEqual([undefined, '2', '4'])
    expect(b.last.closed).toBe(true)
    a.push(5)
    await clock.advance(0)
    expect(seen.got).toEqual([1, 2, 3, 4, 5])
    expect([a.listeners, b.listeners]).toEqual([1, 0])
  })

  it('a better route that breaks in the middle of its replay loses nothing, and repeats nothing', async () => {
    const { a, b, client, clock } = setup()
    a.script.push(gone)
    const seen = collect(client.call(both))
    await clock.advance(0)
    b.push(1, 2, 3)
    await clock.advance(1125)
    // The messages up to 5 come by the old one while the better one opens: here it has opened after 3, and 4 and 5 were late.
    a.push(2)
    a.push(3)
    await clock.advance(0)
    a.drop()
    await clock.advance(1100)
    expect(b.cursors.length).toBe(2)
    b.push(3, 4, 5)
    await clock.advance(0)
    expect(seen.got).toEqual([1, 2, 3, 4, 5])
  })

  it('what comes by the old route while the better one opens is given once, in order', async () => {
    const { a, b, client, clock } = setup()
    a.script.push(gone)
    const seen = collect(client.call(both))
    await clock.advance(0)
    b.push(1)
    await clock.advance(1124)
    b.push(2, 3)
    await clock.advance(1)
    a.push(2, 3, 4)
    await clock.advance(0)
    expect(seen.got).toEqual([1, 2, 3, 4])
  })

  it('a better route that ends the stream ends it: its word is as good', async () => {
    const { a, client, clock, b } = setup()
    a.script.push(gone)
    const stream = client.call(both)
    const seen = collect(stream)
    await clock.advance(0)
    b.push(1)
    await clock.advance(1125)
    a.last.source.finish()
    await clock.advance(0)
    expect(stream.state).toBe('closed')
    expect(seen).toEqual({ got: [1] })
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('a try that hangs is closed after its timeout, and the next one comes after twice the time', async () => {
    const { a, b, client, clock } = setup()
    a.script.push(gone, 'hang')
    const seen = collect(client.call(both, {}, { timeoutMs: 500 }))
    await clock.advance(1125)
    expect(a.attempts).toHaveLength(2)
    b.push(1)
    await clock.advance(500)
    expect([a.last.closed, b.last.closed]).toEqual([true, false])
    await clock.advance(2249)
    expect(a.attempts).toHaveLength(2)
    await clock.advance(1)
    expect([a.attempts.length, b.last.closed]).toEqual([3, true])
    a.push(2)
    await clock.advance(0)
    expect(seen.got).toEqual([1, 2])
  })

  it('more messages than are remembered while the better one opens: it is left, and tried again later', async () => {
    const gate = { open: () => {}, wait: Promise.resolve() }
    const { a, b, client, clock } = setup({}, {}, () => gate.wait)
    a.script.push(gone)
    const seen = collect(client.call(both))
    await clock.advance(0)
    gate.wait = new Promise((resolve) => {
      gate.open = resolve
    })
    await clock.advance(1125)
    const all = Array.from({ length: 1000 }, (_, n) => n + 1)
    b.push(...all)
    for (let turn = 0; turn < 100 && seen.got.length < 1000; turn++) await clock.advance(0)
    gate.open()
    await clock.advance(0)
    expect([a.last.closed, b.last.closed]).toEqual([true, false])
    await clock.advance(2250)
    expect([a.last.closed, b.last.closed]).toEqual([false, true])
    a.push(1001)
    await clock.advance(0)
    expect(seen.got).toEqual([...all, 1001])
  })

  it('a cursor of an earlier run goes to the route that is opened', async () => {
    const { a, b, client, clock } = setup()
    a.script.push(gone)
    collect(client.call(both, {}, { cursor: '7' }))
    await clock.advance(0)
    expect([a.cursors, b.cursors]).toEqual([['7'], ['7']])
  })

  it('an opening policy of its own tries all routes each time', async () => {
    const { a, b, client, clock } = setup()
    a.script.push(gone, gone)
    b.script.push(gone)
    const seen = collect(client.call(both, {}, { opening: { maxAttempts: 3 } }))
    await clock.advance(600)
    expect([a.attempts.length, b.attempts.length]).toEqual([2, 2])
    b.push(1)
    await clock.advance(0)
    expect(seen.got).toEqual([1])
  })

  it('an error that is an answer ends it, on whatever route', async () => {
    const { a, b, client, clock } = setup()
    const seen = collect(client.call(both))
    await clock.advance(0)
    a.push(1)
    a.script.push(gone)
    b.script.push(broken({ code: 'permission_denied', isRetryable: false }))
    await clock.advance(11_000)
    a.drop()
    await clock.advance(1000)
    expect(seen).toMatchObject({ got: [1], error: { code: 'permission_denied' } })
    await client.close()
    expect(clock.timers).toBe(0)
  })

  it('while all are gone it waits, as any stream does', async () => {
    const { a, b, client, clock } = setup({ failover: {} })
    const stream = client.call(both)
    const seen = collect(stream)
    await clock.advance(11_000)
    a.script.push(gone, gone, gone)
    b.script.push(gone, gone)
    a.drop()
    await clock.advance(1000)
    expect(stream.state).toBe('waiting')
    await clock.advance(5000)
    b.push(1)
    await clock.advance(0)
    expect(seen.got).toEqual([1])
  })

  it('each route has its own conversion; one that takes its time is refused', async () => {
    const { a, b, client, clock } = setup()
    const adapted = failover(
      watch('a'),
      adapt(watch('b', { decodeOutput: (message) => ({ n: message }) }), { output: ({ n }) => n * 10 }),
    )
    a.script.push(gone)
    const seen = collect(client.call(adapted))
    await clock.advance(0)
    b.push(1, 2)
    await clock.advance(0)
    expect(seen.got).toEqual([10, 20])
    const late = setup()
    const slow = collect(late.client.call(failover(watch('a', { decodeOutput: async (each) => each }), watch('b'))))
    await late.clock.advance(0)
    late.a.push(1)
    await late.clock.advance(0)
    expect(slow.error).toMatchObject({ code: 'failed_precondition' })
  })

  it('another person is refused', async () => {
    const auth = (who: string): Auth => ({ name: who, identity: () => who, credential: () => ({ secret: who }) })
    const { a, client, clock } = setup({}, { a: auth('ann'), b: auth('bob') })
    a.script.push(gone)
    const seen = collect(client.call(both))
    await clock.advance(0)
    expect(seen.error).toMatchObject({ code: 'failed_precondition', operation: 'watch b' })
  })

  it('a route that does not resume is a gap, told once', async () => {
    const { a, b, client, clock } = setup()
    const stream = client.call(failover(watch('a', { gaps: 'yield' }), watch('b', { isResumable: false })))
    const seen = collect(stream)
    await clock.advance(0)
    a.push(1)
    a.script.push(gone)
    await clock.advance(11_000)
    a.drop()
    await clock.advance(1000)
    expect(b.cursors).toEqual([undefined])
    b.push(2)
    await clock.advance(0)
    expect(seen.got.map((each) => (isGap(each) ? each.reason : each))).toEqual([1, 'no_cursor', 2])
    expect(stream.continuity).toBe('unknown')
  })
})
