import { describe, expect, it } from 'vitest'
import type { Credential } from '../../../src/core/call/auth.ts'
import { decodeCursor, encodeCursor } from '../../../transports/socket/session/channel-history.ts'
import type { Incoming, WireCursor, WireFrames } from '../../../transports/socket/wire-adapter.ts'
import { decodeBinary, encodeBinary, plainJson } from '../../../transports/websocket/plain-json.ts'

const adapter = plainJson()
const json = (frame: WireFrames | undefined) => (frame === undefined ? undefined : JSON.parse(String(frame)))
const decode = (frame: unknown) => adapter.decode(JSON.stringify(frame)) as Incoming | undefined

describe('plain JSON, as it is written', () => {
  it('needs no more than the base members', () => {
    expect(json(adapter.subscribe({ ref: 1, topic: 'a', payload: undefined }))).toEqual({
      type: 'subscribe',
      channel: 'a',
      ref: 1,
    })
    expect(json(adapter.unsubscribe({ topic: 'a', subscription: 1 }))).toEqual({ type: 'unsubscribe', channel: 'a' })
    const publish = { topic: 'a', subscription: 1, ref: 2, key: undefined, message: { text: 'hi' }, isAcked: false }
    expect(json(adapter.publish(publish))).toEqual({ type: 'message', channel: 'a', data: { text: 'hi' } })
    expect(json(adapter.ping())).toEqual({ type: 'ping' })
    expect(json(adapter.pong('x'))).toEqual({ type: 'pong', data: 'x' })
    expect(json(adapter.cancel(7))).toEqual({ type: 'cancel', ref: 7 })
  })

  it('carries the optional ones where they are asked for', () => {
    const since = { id: 41, epoch: 'e1' }
    expect(json(adapter.subscribe({ ref: 1, topic: 'a', payload: { symbols: ['X'] }, since }))).toEqual({
      type: 'subscribe',
      channel: 'a',
      ref: 1,
      data: { symbols: ['X'] },
      since: 41,
      epoch: 'e1',
    })
    const publish = { topic: 'a', subscription: 1, ref: 2, key: 'k', message: 1, isAcked: true }
    expect(json(adapter.publish(publish))).toEqual({ type: 'message', channel: 'a', ref: 2, key: 'k', data: 1 })
    const request = { ref: 3, name: 'r', payload: 1, key: 'k', timeoutMs: 900, headers: { traceparent: 't' } }
    expect(json(adapter.request(request))).toEqual({
      type: 'message',
      channel: 'r',
      ref: 3,
      key: 'k',
      timeoutMs: 900,
      headers: { traceparent: 't' },
      data: 1,
    })
  })

  it('says hello only with a credential in the message', () => {
    const hello = (credential: Credential | undefined) => adapter.hello({ ref: 1, credential }) as string | undefined
    expect(hello(undefined)).toBeUndefined()
    expect(json(hello({ secret: 's', headers: { authorization: 'Bearer s' } }))).toEqual({
      type: 'auth',
      ref: 1,
      token: 's',
    })
    const basic = { headers: { authorization: 'Basic x' } }
    expect(json(hello(basic))).toEqual({ type: 'auth', ref: 1, ...basic })
  })

  it('does not subscribe to the socket itself, the channel without a name', () => {
    expect(adapter.subscribe({ ref: 1, topic: '', payload: undefined })).toBeUndefined()
    expect(adapter.unsubscribe({ topic: '', subscription: 1 })).toBeUndefined()
    const publish = { topic: '', subscription: 1, ref: 2, key: undefined, message: 1, isAcked: false }
    expect(json(adapter.publish(publish))).toEqual({ type: 'message', data: 1 })
  })
})

describe('plain JSON, as it is read', () => {
  it.each<[string, object, Incoming | undefined]>([
    [
      'data',
      { type: 'data', channel: 'a', data: 1 },
      { kind: 'data', topic: 'a', message: 1, at: undefined, ref: undefined },
    ],
    [
      'data with a place',
      { type: 'data', channel: 'a', data: 1, id: 5, epoch: 'e' },
      { kind: 'data', topic: 'a', message: 1, at: { id: 5, epoch: 'e' }, ref: undefined },
    ],
    [
      'data with an opaque id',
      { type: 'data', channel: 'a', data: 1, id: '5' },
      { kind: 'data', topic: 'a', message: 1, at: { id: '5' }, ref: undefined },
    ],
    [
      'message, as some servers say',
      { type: 'message', channel: 'a', data: 1 },
      { kind: 'data', topic: 'a', message: 1, at: undefined, ref: undefined },
    ],
    [
      'data without a channel: the socket itself',
      { type: 'data', data: 1 },
      { kind: 'data', topic: '', message: 1, at: undefined, ref: undefined },
    ],
    ['a reply', { type: 'data', ref: 3, data: 1 }, { kind: 'data', topic: '', message: 1, at: undefined, ref: 3 }],
    ['a ref that came back as text', { type: 'ack', ref: '3' }, { kind: 'ack', ref: 3 }],
    ['an ack', { type: 'ack', ref: 3 }, { kind: 'ack', ref: 3 }],
    [
      'subscribed',
      { type: 'subscribed', ref: 3, id: 9, epoch: 'e', recovered: true, acks: true },
      { kind: 'ack', ref: 3, at: { id: 9, epoch: 'e' }, recovered: true, acks: true },
    ],
    ['subscribed, by name', { type: 'subscribed', channel: 'a' }, { kind: 'subscribed', topic: 'a' }],
    ['the end of a channel', { type: 'end', channel: 'a' }, { kind: 'end', topic: 'a' }],
    ['an unsubscription by the server', { type: 'unsubscribed', channel: 'a' }, { kind: 'end', topic: 'a' }],
    ['the answer to ours', { type: 'unsubscribed', channel: 'a', ref: 4 }, undefined],
    ['ping', { type: 'ping', data: 'x' }, { kind: 'ping', payload: 'x' }],
    ['pong', { type: 'pong' }, { kind: 'pong' }],
    ['a type of a newer server', { type: 'presence', channel: 'a' }, undefined],
  ])('%s', (_, frame, incoming) => {
    expect(decode(frame)).toEqual(incoming)
  })

  it.each([
    ['in `error`', { type: 'error', ref: 1, error: { code: 'not_found', message: 'no such room' } }],
    ['in `data`', { type: 'error', ref: 1, data: { code: 'NOT_FOUND', message: 'no such room' } }],
    ['side by side', { type: 'error', ref: 1, code: 'not-found', message: 'no such room' }],
    ['as an HTTP status', { type: 'error', ref: 1, error: { code: 404, message: 'no such room' } }],
  ])('an error %s', (_, frame) => {
    expect(decode(frame)).toMatchObject({
      kind: 'error',
      ref: 1,
      failure: { code: 'not_found', serverMessage: 'no such room' },
    })
  })

  it('an error in a code of the server’s own', () => {
    const error = { code: 'ROOM_FULL', message: 'x', details: { max: 3 }, requestId: 'r', retryAfterMs: 50 }
    expect(decode({ type: 'error', channel: 'a', error })).toMatchObject({
      topic: 'a',
      failure: { code: 'unknown', reason: 'ROOM_FULL', details: { max: 3 }, requestId: 'r', retryAfterMs: 50 },
    })
  })

  it('keeps server text out of the message, and sentences out of the reason', () => {
    const { failure } = decode({ type: 'error', error: { code: 'secret: hunter2 !', message: 'hunter2' } }) as Extract<
      Incoming,
      { kind: 'error' }
    >
    expect(failure.message).not.toContain('hunter2')
    expect(failure.reason).toBeUndefined()
  })

  it.each([
    ['rate_limited', { code: 'resource_exhausted', isRetryable: true, isThrottled: true, isUnexecuted: true }],
    ['unavailable', { code: 'unavailable', isRetryable: true }],
    ['deadline_exceeded', { code: 'deadline_exceeded' }],
    ['internal', { code: 'internal' }],
    ['unauthorized', { code: 'unauthenticated' }],
  ])('retries what the table of codes says: %s', (code, expected) => {
    const { failure } = decode({ type: 'error', error: { code } }) as Extract<Incoming, { kind: 'error' }>
    const { isRetryable, isThrottled, isUnexecuted } = failure
    expect(JSON.parse(JSON.stringify({ code: failure.code, isRetryable, isThrottled, isUnexecuted }))).toEqual(expected)
  })

  it('the usual message as JSON.parse reads it, however it is written', () => {
    const channels = ['ticks', '', 'a"b', 'a\\nb', 'caf\u00e9', '","id":5,"data":1}', 'a\\', '\\"']
    const ids = [
      '1',
      '0',
      '17',
      '007',
      '-3',
      '1.5',
      '1e3',
      '999999999999999',
      '9007199254740993',
      '"17"',
      'null',
      '',
      ' 4',
    ]
    const datas = [
      '{"n":1}',
      '"text"',
      'null',
      '[1]',
      '1,"data":2',
      '{},"epoch":"e1"',
      '{},"ref":7',
      '1}',
      '',
      ' 5 ',
      'tru',
    ]
    const read = (text: string) => {
      try {
        return adapter.decode(text)
      } catch (error) {
        return (error as Error).name
      }
    }
    for (const channel of channels)
      for (const id of ids)
        for (const data of datas)
          for (const end of ['}', '} ', '}}', ']', '']) {
            const text = `{"type":"data","channel":${JSON.stringify(channel)},"id":${id},"data":${data}${end}`
            // A space before it makes it an unusual one.
            expect(read(text), text).toEqual(read(` ${text}`))
          }
  })

  it.each(['nonsense', '[', '"text"', '5', 'null', ''])('refuses what is no frame: %s', (text) => {
    expect(() => adapter.decode(text)).toThrow()
  })

  it('makes nothing of names that mean something to JavaScript', () => {
    const frame = adapter.decode('{"type":"data","channel":"__proto__","data":{"__proto__":{"x":1}}}') as any
    expect(frame.topic).toBe('__proto__')
    expect(({} as any).x).toBeUndefined()
  })
})

describe('binary frames', () => {
  it('carry bytes behind a header', () => {
    const bytes = new Uint8Array([0, 255, 7])
    const frame = adapter.publish({
      topic: 'a',
      subscription: 1,
      ref: 2,
      key: undefined,
      message: bytes,
      isAcked: true,
    }) as Uint8Array
    expect(decodeBinary(frame)).toEqual({ type: 'message', channel: 'a', ref: 2, data: bytes })
    expect(adapter.decode(encodeBinary({ type: 'data', channel: 'a', id: 4 }, bytes))).toMatchObject({
      kind: 'data',
      topic: 'a',
      message: bytes,
      at: { id: 4 },
    })
  })

  it('take an ArrayBuffer and an empty payload', () => {
    const frame = adapter.request({
      ref: 1,
      name: 'r',
      payload: new ArrayBuffer(2),
      key: undefined,
      timeoutMs: undefined,
      headers: {},
    }) as Uint8Array
    expect(decodeBinary(frame)).toMatchObject({ data: new Uint8Array(2) })
    expect(decodeBinary(encodeBinary({ type: 'data' }, new Uint8Array()))).toEqual({
      type: 'data',
      data: new Uint8Array(),
    })
  })

  it('are read from a view into a larger buffer, and their payload is a copy', () => {
    const inner = encodeBinary({ type: 'data' }, new Uint8Array([1, 2, 3]))
    const whole = new Uint8Array(100)
    whole.set(inner, 50)
    const { data } = decodeBinary(whole.subarray(50, 50 + inner.length)) as { data: Uint8Array }
    whole.fill(9)
    expect(data).toEqual(new Uint8Array([1, 2, 3]))
  })

  it.each([
    ['too short', new Uint8Array([0, 0])],
    ['a header longer than the frame', new Uint8Array([0, 0, 0, 9, 123])],
    ['a header that is no object', encodeBinary([] as object, new Uint8Array()).subarray(0, 5)],
  ])('are refused where they are none: %s', (_, frame) => {
    expect(() => decodeBinary(frame)).toThrow()
  })
})

describe('cursors', () => {
  it.each<[WireCursor, string]>([
    [{ id: 42 }, '42'],
    [{ id: 42, epoch: 'e1' }, 'e1:42'],
    [{ id: 'abc-1' }, 'abc-1'],
    [{ id: '42' }, ':42'],
    [{ id: 'a:b' }, ':a:b'],
    [{ id: ':a' }, '::a'],
    [{ id: '' }, ':'],
    [{ id: 'abc', epoch: 'e' }, 'e:abc'],
    [{ id: '42', epoch: 'e' }, 'e::42'],
    [{ id: 'a:b', epoch: 'e:f%' }, 'e%3Af%25:a:b'],
    [{ id: 1, epoch: '' }, '%:1'],
  ])('%j ⇄ %s', (cursor, text) => {
    expect(encodeCursor(cursor)).toBe(text)
    expect(decodeCursor(text)).toEqual(cursor)
  })
})
