import {
  adapt,
  createClient,
  type FailoverOptions,
  failover,
  type Gap,
  isGap,
  type TelemetryEvent,
  type,
} from 'polywire'
import { events, sseTransport } from 'polywire/sse'
import { virtualClock } from 'polywire/testing'
import { channel, plainJson, websocketTransport } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { freshSeed, seeded } from '../../support/seeded.ts'
import { SseServer } from '../../support/servers/sse-server.ts'
import { RealtimeServer } from '../../support/servers/websocket-server.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

interface Text {
  readonly text: string
}
const spec = {
  send: type<Text>(),
  receive: type<Text & { readonly seq?: number }>(),
  resume: { cursor: () => undefined },
}
const room = failover(channel('room', spec), channel('room', { ...spec, via: 'backup' }))
const scoped = { ...spec, idempotencyScope: 'room' }
const shared = failover(channel('room', scoped), channel('room', { ...scoped, via: 'backup' }))

async function world(failover: FailoverOptions = { backMs: 10_000_000 }) {
  const main = await RealtimeServer.start()
  const backup = await RealtimeServer.start()
  const clock = virtualClock()
  const told: TelemetryEvent[] = []
  const acks = { adapter: plainJson({ acks: true }) }
  const client = createClient({
    transports: {
      websocket: websocketTransport({ url: main.url, ...acks }),
      backup: websocketTransport({ url: backup.url, ...acks }),
    },
    clock,
    telemetry: { event: (event) => void told.push(event) },
    failover,
  })
  closers.push(
    () => Promise.all([main.close(), backup.close()]),
    () => client.close(),
  )
  const routes = () => told.flatMap((event) => (event.type === 'route' ? [event.from === event.to] : [])).length
  /** Main goes down, and the stream goes on by the backup. */
  const leave = async () => {
    main.options.refuse = { status: 502 }
    main.drop()
    await until(() => told.findLast((event) => event.type === 'state')?.state === 'waiting')
    await clock.advance(1100)
    await backup.until(() => backup.framesOf('subscribe').length > 0)
  }
  return { main, backup, client, clock, told, routes, leave }
}

const texts = (server: RealtimeServer) => server.framesOf('message').map(({ data }) => (data as Text).text)

async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** How each send went, by its text. */
function outcomes() {
  const seen: Record<string, string> = {}
  const note = (text: string, sent: Promise<void>) =>
    sent.then(
      () => (seen[text] = 'done'),
      (error: { code: string; sent: string }) => (seen[text] = `${error.code}, sent: ${error.sent}`),
    )
  return { seen, note }
}

/** Reads in the background, for as long as it lasts. */
function reading(stream: AsyncIterable<Text | Gap>): string[] {
  const got: string[] = []
  void (async () => {
    for await (const item of stream) if (!isGap(item)) got.push(item.text)
  })().catch(() => {})
  return got
}

describe('what is sent on a channel with several routes', () => {
  it('goes by the route that is read, and by the next one where that breaks', async () => {
    const { client, main, backup, leave, clock } = await world()
    const stream = client.call(room)
    const got = reading(stream)
    await stream.send({ text: 'a' })
    const { operation } = await stream.opened
    expect(operation).toBe('channel room')
    expect(texts(main)).toEqual(['a'])
    await until(() => got.length === 1)
    main.options.refuse = { status: 502 }
    main.drop()
    await until(() => stream.state === 'waiting')
    // What is sent in between waits for the route that comes.
    const waiting = stream.send({ text: 'b' })
    await clock.advance(1100)
    await waiting
    await stream.send({ text: 'c' })
    expect([texts(main), texts(backup)]).toEqual([['a'], ['b', 'c']])
    await until(() => got.length === 3)
    expect(got).toEqual(['a', 'b', 'c'])
    await stream.close()
    expect(leave).toBeTypeOf('function')
  })

  it('is of unknown outcome where it was written and not acknowledged: it never goes by both routes', async () => {
    const { client, main, backup, leave } = await world()
    main.options.intercept = ({ type }) => type === 'message'
    const stream = client.call(room)
    reading(stream)
    const { seen, note } = outcomes()
    void note('plain', stream.send({ text: 'plain' }))
    void note('keyed', stream.send({ text: 'keyed' }, { key: 'k1' }))
    await main.until(() => texts(main).length === 2)
    await leave()
    await until(() => Object.keys(seen).length === 2)
    expect(seen).toEqual({ plain: 'unavailable, sent: maybe', keyed: 'unavailable, sent: maybe' })
    await stream.send({ text: 'next' })
    expect(texts(backup)).toEqual(['next'])
    await stream.close()
  })

  it('goes again under its key where both routes say that they share what they remember of keys', async () => {
    const { client, main, backup, leave } = await world()
    main.options.intercept = ({ type }) => type === 'message'
    const stream = client.call(shared)
    reading(stream)
    const { seen, note } = outcomes()
    void note('plain', stream.send({ text: 'plain' }))
    void note('keyed', stream.send({ text: 'keyed' }, { key: 'k1' }))
    await main.until(() => texts(main).length === 2)
    await leave()
    await until(() => Object.keys(seen).length === 2)
    expect(seen).toEqual({ plain: 'unavailable, sent: maybe', keyed: 'done' })
    expect(backup.framesOf('message').map(({ key }) => key)).toEqual(['k1'])
    await stream.close()
  })

  it('goes again under its key by the route that it went before, which needs no word of any scope', async () => {
    const { client, main, clock, told } = await world()
    let isSwallowing = true
    main.options.intercept = ({ type }) => type === 'message' && isSwallowing
    const stream = client.call(room)
    reading(stream)
    const { seen, note } = outcomes()
    void note('keyed', stream.send({ text: 'keyed' }, { key: 'k1' }))
    await main.until(() => texts(main).length === 1)
    await clock.advance(11_000)
    isSwallowing = false
    main.drop()
    await until(() => told.findLast((event) => event.type === 'state')?.state === 'waiting')
    await clock.advance(1100)
    await until(() => seen.keyed !== undefined)
    expect(seen).toEqual({ keyed: 'done' })
    expect(texts(main)).toEqual(['keyed', 'keyed'])
    await stream.close()
  })

  describe('on the way back', () => {
    // The servers have a log each: a cursor of one is a gap to the other.
    const resume = { cursor: ({ text }: Text) => text }
    const all = { send: type<Text>(), receive: type<Text>(), resume, gaps: 'yield' } as const
    const numbered = failover(channel('room', all), channel('room', { ...all, via: 'backup' }))

    it('waits until all that was written is acknowledged, and goes by the better route then', async () => {
      const { client, main, backup, leave, clock } = await world({ backMs: 1000 })
      const stream = client.call(numbered)
      reading(stream)
      await stream.send({ text: 'a' })
      await leave()
      await stream.send({ text: 'b' })
      let held: (() => void) | undefined
      backup.options.intercept = (frame, client) => {
        if (frame.type !== 'message') return false
        held = () => client.send({ type: 'ack', ref: frame.ref })
        return true
      }
      const { seen, note } = outcomes()
      void note('c', stream.send({ text: 'c' }))
      await until(() => held !== undefined)
      main.options.refuse = undefined
      await clock.advance(3000)
      await main.until(() => main.framesOf('subscribe').length === 2)
      // It is open, once the answer has come.
      await new Promise((resolve) => setTimeout(resolve, 20))
      void note('d', stream.send({ text: 'd' }))
      await new Promise((resolve) => setTimeout(resolve, 20))
      // Written by neither: the old route writes nothing new, the new one is not the stream yet.
      expect([texts(main), texts(backup)]).toEqual([['a'], ['b', 'c']])
      held?.()
      await until(() => seen.d !== undefined)
      expect(seen).toEqual({ c: 'done', d: 'done' })
      expect([texts(main), texts(backup)]).toEqual([
        ['a', 'd'],
        ['b', 'c'],
      ])
      await stream.close()
    })

    it('stays where it is where the better route does not open, or nothing is acknowledged in time', async () => {
      const { client, main, backup, leave, clock } = await world({ backMs: 1000 })
      const stream = client.call(numbered)
      reading(stream)
      await stream.send({ text: 'a' })
      await leave()
      await stream.send({ text: 'b' })
      let isSwallowing = true
      backup.options.intercept = ({ type }) => type === 'message' && isSwallowing
      const { seen, note } = outcomes()
      void note('c', stream.send({ text: 'c' }))
      await until(() => texts(backup).length === 2)
      main.options.refuse = undefined
      await clock.advance(3000)
      await main.until(() => main.framesOf('subscribe').length === 2)
      // It is open, once the answer has come.
      await new Promise((resolve) => setTimeout(resolve, 20))
      void note('d', stream.send({ text: 'd' }))
      isSwallowing = false
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(texts(backup)).toEqual(['b', 'c'])
      // The better route has 30 s; heartbeats are answered meanwhile.
      for (let second = 0; second < 31; second++) {
        await clock.advance(1000)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await until(() => seen.d !== undefined)
      expect(seen.d).toBe('done')
      expect([texts(main), texts(backup)]).toEqual([['a'], ['b', 'c', 'd']])
      // What nobody acknowledges is waited for a second.
      await Promise.all([stream.close(), clock.advance(1100)])
    })
  })

  it('arrives once, whatever happens to the routes: no message is taken by two of them', async () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const { client, main, backup, clock } = await world({ backMs: 500 })
    const stream = client.call(room)
    reading(stream)
    const { seen, note } = outcomes()
    const servers = [main, backup]
    let sent = 0
    for (let round = 0; round < 60; round++) {
      for (let n = Math.floor(random() * 4); n > 0; n--) {
        const text = `m${sent++}`
        void note(text, stream.send({ text }, random() < 0.5 ? { key: text } : {}))
      }
      const server = servers[random() < 0.5 ? 0 : 1] as RealtimeServer
      const chance = random()
      if (chance < 0.2) server.drop()
      else if (chance < 0.3) server.options.refuse = { status: 502 }
      else if (chance < 0.7) server.options.refuse = undefined
      await new Promise((resolve) => setTimeout(resolve, 2))
      await clock.advance(random() * 800)
    }
    for (const server of servers) server.options.refuse = undefined
    for (let n = 0; Object.keys(seen).length < sent && n < 200; n++) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      await clock.advance(1000)
    }
    expect(Object.keys(seen), `seed ${seed}`).toHaveLength(sent)
    const [atMain, atBackup] = servers.map((server) => new Set(texts(server))) as [Set<string>, Set<string>]
    expect(
      [...atMain].filter((text) => atBackup.has(text)),
      `seed ${seed}`,
    ).toEqual([])
    for (const [text, outcome] of Object.entries(seen)) {
      const isThere = atMain.has(text) || atBackup.has(text)
      if (outcome === 'done') expect(isThere, `${text}, seed ${seed}`).toBe(true)
      if (outcome.endsWith('sent: no')) expect(isThere, `${text}, seed ${seed}`).toBe(false)
    }
    await stream.close()
  })
})

it('one route that only receives makes a stream that only receives, and says what to do', async () => {
  const sse = await SseServer.start()
  const main = await RealtimeServer.start()
  const client = createClient({
    transports: { websocket: websocketTransport({ url: main.url }), sse: sseTransport({ baseUrl: sse.origin }) },
  })
  closers.push(
    () => Promise.all([sse.close(), main.close()]),
    () => client.close(),
  )
  const mixed = failover(
    channel('room', { receive: type<any>() }),
    adapt(events('/room', { message: type<any>() }), { output: ({ data }) => data }),
  )
  const stream = client.call(mixed) as unknown as { send(message: unknown): Promise<void>; close(): Promise<void> }
  const error = await stream.send({ text: 'a' }).catch((each: unknown) => each)
  expect(error).toMatchObject({ code: 'failed_precondition', sent: 'no' })
  expect((error as Error).message).toContain("one of whose routes, 'GET /room', only receives")
  await stream.close()
})
