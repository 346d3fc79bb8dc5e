import { Call, HeaderMap, Scope } from 'polywire'
import { describe, expect, it } from 'vitest'
import { RetryLimits } from '../../../src/core/retry/limits.ts'
import { DeadlineList } from '../../../src/core/time/clock.ts'
import type { HttpControl, HttpScope, HttpSink } from '../../../transports/http/contract.ts'
import { SseHints } from '../../../transports/sse/hints.ts'
import { SseShare } from '../../../transports/sse/share.ts'
import { manualClock } from '../../support/manual-clock.ts'

/** Connections over an engine that the test plays. */
function play(joining: 'start' | 'live' = 'live') {
  const clock = manualClock()
  const services = { clock, deadlines: new DeadlineList(clock), limits: new RetryLimits(clock), telemetry: undefined }
  const sent: { sink: HttpSink; scope: HttpScope; did: string[] }[] = []
  const engine = {
    send: (_request: unknown, sink: HttpSink, scope: HttpScope) => void sent.push({ sink, scope, did: [] }),
  }
  const share = new SseShare(engine, { joining, crowd: new SseHints('http://x') })
  const operation = { name: 'w', protocol: 'sse', via: 'sse', kind: 'server_stream', isIdempotent: true } as const
  const read = (after?: string, canResume = true) => {
    const scope = new Scope(services)
    const call = Call.start({
      operation: { ...operation, binding: undefined },
      options: {},
      input: {},
      scope,
      headers: {},
    })
    const said: string[] = []
    let control!: HttpControl
    const sink: HttpSink = {
      onHead: ({ status }, given) => {
        control = given
        said.push(`head ${status}`)
      },
      onData: (bytes) => void said.push(new TextDecoder().decode(bytes)),
      onEnd: () => void said.push('end'),
      onError: ({ what, code }) => void said.push(`error ${code ?? what}`),
      onAbort: (reason) => void said.push(`abort ${reason}`),
    }
    const reader = { call, key: 'key', after, canResume: () => canResume }
    share.for(reader).send({ method: 'GET', url: 'http://x/', headers: {} }, sink, scope)
    return { said, scope, control: () => control }
  }
  const open = (at: number, status = 200) => {
    const { sink, did } = sent[at] as (typeof sent)[number]
    const control = {
      pause: () => did.push('pause'),
      resume: () => did.push('resume'),
      cancel: () => did.push('cancel'),
    }
    const headers = new HeaderMap({ 'content-type': 'text/event-stream' })
    sink.onHead({ status, headers, url: 'http://x/' }, control)
  }
  const write = (at: number, text: string) => sent[at]?.sink.onData(new TextEncoder().encode(text))
  return { clock, services, sent, read, open, write }
}

describe('a reader that goes on after a cursor', () => {
  it('joins the connection that another has opened after the same one, and gets what it brought before', () => {
    const { sent, read, open, write } = play()
    const first = read('5')
    open(0)
    write(0, 'id: 6\nda')
    write(0, 'ta: x\n\n')
    const second = read('5')
    write(0, 'id: 7\ndata: y\n\n')
    expect(sent).toHaveLength(1)
    expect(second.said.join('|')).toBe('head 200|id: 6\nda|ta: x\n\n|id: 7\ndata: y\n\n')
    expect(first.said).toEqual(second.said)
  })

  it.each([
    ['another cursor', '6', 'x', 0],
    ['more than 256 KB', '5', 'x'.repeat(1 << 18), 0],
    ['more than a minute', '5', 'x', 60_001],
  ])('opens one of its own: %s', async (_, after, text, ms) => {
    const { clock, sent, read, open, write } = play()
    read('5')
    open(0)
    write(0, `data: ${text}\n\n`)
    await clock.advance(ms)
    read(after)
    expect(sent).toHaveLength(2)
  })

  it('does not join one that began without', () => {
    const { sent, read, open } = play()
    read()
    open(0)
    read('5')
    expect(sent).toHaveLength(2)
  })
})

describe('a reader that begins', () => {
  it.each([
    ['live', 1],
    ['start', 2],
  ] as const)('in the middle, where %s is allowed', (joining, connections) => {
    const { sent, read, open, write } = play(joining)
    read()
    open(0)
    write(0, 'data: a\n\ndat')
    const late = read()
    write(0, 'a: b\n\ndata: c\n\n')
    expect(sent).toHaveLength(connections)
    expect(late.said).toEqual(joining === 'live' ? ['head 200', 'data: c\n\n'] : [])
  })

  it('joins neither what was refused, nor what another has resumed and has no answer yet', () => {
    const { sent, read, open } = play()
    read()
    open(0, 503)
    read()
    expect(sent).toHaveLength(2)
    const other = play()
    other.read('5')
    other.read()
    expect(other.sent).toHaveLength(2)
  })
})

describe('a queue that is full', () => {
  it('stops the wire for as long as everybody waits', async () => {
    const { clock, services, sent, read, open, write } = play()
    const readers = [read(), read()]
    open(0)
    for (const { control } of readers) control().pause()
    write(0, 'data: a\n\n')
    await clock.advance(10_000)
    expect(sent[0]?.did).toEqual(['pause'])
    for (const { control } of readers) control().resume()
    expect(sent[0]?.did).toEqual(['pause', 'resume'])
    expect(services.deadlines.size).toBe(0)
  })

  it.each([
    [true, 'error the reader is slower than others of the same stream: it goes on alone'],
    [false, 'error resource_exhausted'],
  ])('beside others, stops it for 100 ms; with ids to go on after: %s', async (canResume, said) => {
    const { clock, services, sent, read, open, write } = play()
    const slow = read(undefined, canResume)
    const fast = read()
    open(0)
    slow.control().pause()
    write(0, 'data: a\n\n')
    await clock.advance(99)
    expect(sent[0]?.did).toEqual(['pause'])
    await clock.advance(1)
    expect(sent[0]?.did).toEqual(['pause', 'resume'])
    write(0, 'data: b\n\n')
    expect(slow.said).toEqual(['head 200', 'data: a\n\n', said])
    expect(fast.said).toEqual(['head 200', 'data: a\n\n', 'data: b\n\n'])
    expect(services.deadlines.size).toBe(0)
  })

  it('that has room again in time leaves all as it was', async () => {
    const { clock, services, sent, read, open, write } = play()
    const slow = read()
    read()
    open(0)
    slow.control().pause()
    write(0, 'data: a\n\n')
    await clock.advance(50)
    slow.control().resume()
    await clock.advance(1000)
    expect(sent[0]?.did).toEqual(['pause', 'resume'])
    expect(slow.said).toEqual(['head 200', 'data: a\n\n'])
    expect(services.deadlines.size).toBe(0)
  })
})

describe('who leaves', () => {
  it('by an abort is told once; the wire goes with the last one, by cancel or by whatever leaves first', () => {
    const { sent, read, open } = play()
    const [one, two] = [read(), read()]
    open(0)
    one.scope.abort('enough')
    expect(one.said).toEqual(['head 200', 'abort enough'])
    expect(sent[0]?.did).toEqual([])
    two.control().cancel()
    two.scope.abort('late')
    expect(two.said).toEqual(['head 200'])
    expect(sent[0]?.did).toEqual(['cancel'])
    read()
    expect(sent).toHaveLength(2)
  })

  it('before the answer takes the request along', () => {
    const { sent, read } = play()
    const { scope } = read()
    const reasons: unknown[] = []
    sent[0]?.scope.onAbort((reason) => reasons.push(reason))
    scope.abort('enough')
    expect(reasons).toEqual(['enough'])
    expect(sent[0]?.scope.isOver).toBe(true)
  })
})
