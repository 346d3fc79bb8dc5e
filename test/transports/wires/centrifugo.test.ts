import fc from 'fast-check'
import { centrifugo } from 'polywire/centrifugo'
import type { Incoming } from 'polywire/websocket'
import { describe, expect, it } from 'vitest'
import { describeCentrifugo } from '../../support/centrifugo-suite.ts'
import { isCentrifugoBuilt } from '../../support/servers/centrifugo-server.ts'

if (isCentrifugoBuilt()) describeCentrifugo()
else describe.skip('Centrifugo (skipped: the server is not built yet: npm run test:soak builds it with Go)')

const decode = (frame: string | Uint8Array) => centrifugo()().decode(frame) as Incoming[]

describe('a connect that the server calls a bad request', () => {
  const end = { code: 3501, reason: 'bad request', wasClean: true, phase: 'hello' } as const
  const judged = (secret: string | undefined, phase: 'hello' | 'open') => {
    const adapter = centrifugo()()
    void adapter.hello({ ref: 1, credential: secret === undefined ? undefined : { secret } })
    return adapter.classifyClose({ ...end, phase })
  }

  it('lacks a token, where it had none', () => {
    expect(judged(undefined, 'hello')).toMatchObject({ action: 'refresh-auth', failure: { code: 'unauthenticated' } })
    expect(judged('a', 'hello')).toMatchObject({ action: 'fatal', failure: { code: 'invalid_argument' } })
    expect(judged(undefined, 'open')).toMatchObject({ action: 'fatal', failure: { code: 'invalid_argument' } })
  })
})

describe('a place that is none of the protocol', () => {
  const subscribed = (subscribe: object) => {
    const adapter = centrifugo()()
    adapter.subscribe({ ref: 1, topic: 'a', payload: undefined })
    return adapter.decode(JSON.stringify({ id: 1, subscribe })) as Incoming[]
  }

  it.each([
    [
      { recoverable: true, epoch: 5, offset: 2 },
      { id: 2, epoch: '5' },
    ],
    [{ recoverable: true, epoch: 'e', offset: 'x' }, undefined],
    [{ recoverable: true, offset: 2, publications: null }, { id: 2 }],
  ])('%j is read as far as it is one', (reply, at) => {
    expect(subscribed(reply)).toEqual([expect.objectContaining({ kind: 'ack', ref: 1, at })])
  })

  it.each(['constructor', null, {}, undefined])('an error with the code %j is one nobody knows', (code) => {
    expect(decode(JSON.stringify({ id: 1, error: { code } }))).toMatchObject([
      { kind: 'error', failure: { code: 'unknown' } },
    ])
  })
})

describe('what is no frame of Centrifugo', () => {
  it.each([
    '{',
    '5',
    'null',
    '[]',
    '{"push":5}',
    '{"id":"1","error":{}}',
    '{"id":1,"subscribe":3}',
    '{"id":1,"error":[]}',
  ])('%s is refused', (frame) => expect(() => decode(frame)).toThrow())

  it('bytes are the other protocol of the server', () => {
    expect(() => decode(Uint8Array.of(1))).toThrow('binary')
  })

  it('any text, and any JSON: frames, or a TypeError or SyntaxError', () => {
    const reply = fc.record(
      {
        id: fc.oneof(fc.nat(), fc.anything()),
        push: fc.option(fc.anything(), { nil: undefined }),
        error: fc.option(fc.anything(), { nil: undefined }),
        subscribe: fc.option(fc.record({ publications: fc.anything(), offset: fc.anything() }), { nil: undefined }),
        connect: fc.option(fc.anything(), { nil: undefined }),
      },
      { requiredKeys: [] },
    )
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      reply.map((value) => JSON.stringify(value, (_, each) => (typeof each === 'bigint' ? 1 : each)) ?? ''),
    )
    fc.assert(
      fc.property(text, (frame) => {
        try {
          for (const each of decode(frame)) expect(typeof each.kind).toBe('string')
        } catch (error) {
          expect(error instanceof TypeError || error instanceof SyntaxError).toBe(true)
        }
      }),
    )
  })
})

describe('what close codes of Centrifugo mean', () => {
  it.each([
    [3001, 'retry', 'unavailable'],
    [3005, 'refresh-auth', 'unauthenticated'],
    [3500, 'refresh-auth', 'unauthenticated'],
    [3503, 'fatal', 'permission_denied'],
    [3507, 'fatal', 'permission_denied'],
    [4100, 'retry', 'unavailable'],
    // Elsewhere a refused credential: here, codes have bands.
    [4401, 'retry', 'unavailable'],
    [1000, 'retry', 'unavailable'],
    [1009, 'fatal', 'resource_exhausted'],
    [4600, 'fatal', 'permission_denied'],
    [1006, 'retry', 'unavailable'],
  ] as const)('%d', (code, action, meaning) => {
    const verdict = centrifugo()().classifyClose({ code, reason: '', wasClean: true, phase: 'open' })
    expect([verdict.action, verdict.failure.code]).toEqual([action, meaning])
  })
})
