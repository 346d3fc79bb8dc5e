import { CloseCode } from 'graphql-ws'
import { describe, expect, it, test } from 'vitest'
import { graphqlTransportWs } from '../../../transports/graphql/transport-ws.ts'
import type { SocketEnd } from '../../../transports/socket/driver/driver.ts'

const adapter = graphqlTransportWs()
const frame = (written: unknown) => JSON.parse(written as string)
const credential = { headers: { authorization: 'Bearer t' } }

describe('what the client says', () => {
  it('begins with the credential as payload', () => {
    expect(frame(adapter.hello({ ref: 1, credential }))).toEqual({
      type: 'connection_init',
      payload: { authorization: 'Bearer t' },
    })
    expect(adapter.hello({ ref: 1, credential: undefined })).toBe('{"type":"connection_init"}')
  })

  it('begins with params of the user’s', () => {
    const given = graphqlTransportWs({ tenant: 'acme' })
    expect(frame(given.hello({ ref: 1, credential })).payload).toEqual({ authorization: 'Bearer t', tenant: 'acme' })
    const made = graphqlTransportWs((own) => ({ headers: own?.headers }))
    expect(frame(made.hello({ ref: 1, credential })).payload).toEqual({ headers: { authorization: 'Bearer t' } })
    expect(graphqlTransportWs(() => undefined).hello({ ref: 1, credential })).toBe('{"type":"connection_init"}')
  })

  it('subscribes and leaves by id', () => {
    const payload = { json: '{"query":"subscription { a }","variables":{"n":1}}' }
    expect(adapter.subscribe({ ref: 1, topic: 'a"1', payload })).toBe(
      `{"id":"a\\"1","type":"subscribe","payload":${payload.json}}`,
    )
    expect(adapter.unsubscribe({ topic: '7', subscription: 1 })).toBe('{"id":"7","type":"complete"}')
  })

  it('pings and answers pings with their payload', () => {
    expect(adapter.ping()).toBe('{"type":"ping"}')
    expect(adapter.pong(undefined)).toBe('{"type":"pong"}')
    expect(frame(adapter.pong({ at: 1 }))).toEqual({ type: 'pong', payload: { at: 1 } })
  })

  it('asks by an id that no subscription has, and takes that back', () => {
    const payload = { json: '{"query":"{ a }"}' }
    const request = { ref: 7, name: 'query A', payload, key: undefined, timeoutMs: undefined, headers: {} }
    expect(adapter.request(request)).toBe('{"id":"q7","type":"subscribe","payload":{"query":"{ a }"}}')
    expect(adapter.cancel(7)).toBe('{"id":"q7","type":"complete"}')
  })

  it('cannot publish', () => {
    expect(() =>
      adapter.publish({ topic: '1', subscription: 1, ref: 2, key: undefined, message: {}, isAcked: false }),
    ).toThrow('subscriptions only')
  })
})

describe('what the server says', () => {
  test.each([
    [{ type: 'connection_ack' }, { kind: 'ready' }],
    [{ type: 'connection_ack', payload: { a: 1 } }, { kind: 'ready' }],
    [
      { type: 'next', id: '1', payload: { data: { a: 1 } } },
      { kind: 'data', topic: '1', message: { data: { a: 1 } } },
    ],
    [
      { type: 'complete', id: '1' },
      { kind: 'end', topic: '1' },
    ],
    [{ type: 'ping' }, { kind: 'ping', payload: undefined }],
    [
      { type: 'ping', payload: { a: 1 } },
      { kind: 'ping', payload: { a: 1 } },
    ],
    [{ type: 'pong' }, { kind: 'pong' }],
    [{ type: 'ka' }, undefined],
    [{ type: 'something new', id: '1' }, undefined],
  ])('%j', (message, expected) => {
    expect(adapter.decode(JSON.stringify(message))).toEqual(expected)
    expect(adapter.decode(new TextEncoder().encode(JSON.stringify(message)))).toEqual(expected)
  })

  test.each([
    [[{ message: 'no', extensions: { code: 'FORBIDDEN' } }], 'permission_denied', false],
    [[{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }], 'unauthenticated', false],
    [[{ message: 'no', extensions: { code: 'THROTTLED' } }], 'resource_exhausted', true],
    [[{ message: 'Syntax Error', extensions: { code: 'GRAPHQL_PARSE_FAILED' } }], 'invalid_argument', false],
    [[{ message: 'no' }], 'invalid_argument', false],
    [{ message: 'not a list' }, 'invalid_argument', false],
    [[{ message: 'no', path: ['a'] }], 'unknown', false],
    [undefined, 'invalid_argument', false],
  ])('an error frame with %j', (payload, code, isRetryable) => {
    const read = adapter.decode(JSON.stringify({ type: 'error', id: '1', payload }))
    expect(read).toMatchObject({ kind: 'error', topic: '1', failure: { code, isRetryable, phase: 'stream' } })
  })

  it('a result that refuses the credential is an error, any other one the reader’s', () => {
    const next = (payload: unknown) => adapter.decode(JSON.stringify({ type: 'next', id: '1', payload }))
    const errors = [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }]
    expect(next({ errors })).toMatchObject({ kind: 'error', topic: '1', failure: { code: 'unauthenticated' } })
    expect(next({ errors, data: null })).toMatchObject({ kind: 'error' })
    expect(next({ errors, data: { a: 1 } })).toMatchObject({ kind: 'data' })
    expect(next({ errors: [{ message: 'no' }], data: null })).toMatchObject({ kind: 'data' })
    expect(next({ errors: 'no' })).toMatchObject({ kind: 'data' })
  })

  it('in Hasura’s dialect refuses the connection', () => {
    const read = adapter.decode(JSON.stringify({ type: 'connection_error', payload: { message: 'bad token' } }))
    const message = 'the server refused the connection_init'
    const failure = { code: 'unauthenticated', message, serverMessage: 'bad token' }
    const verdict = { action: 'refresh-auth', failure }
    expect(read).toMatchObject({ kind: 'goodbye', verdict })
  })

  test.each([
    ['', 4400],
    ['text', 4400],
    ['[]', 4400],
    ['null', 4400],
    ['7', 4400],
    ['{}', 4400],
    ['{"type":1}', 4400],
    ['{"type":"next"}', 4004],
    ['{"type":"next","id":1}', 4004],
    ['{"type":"complete"}', 4004],
    ['{"type":"error"}', 4004],
  ])('malformed: %s closes the socket with %s', (text, closeCode) => {
    const verdict = { action: 'fatal', failure: { code: 'internal' }, closeCode }
    expect(adapter.decode(text)).toMatchObject({ kind: 'goodbye', verdict })
  })
})

describe('close codes', () => {
  const classify = (code: number, rest: Partial<SocketEnd> = {}) => {
    const { action, failure, minDelayMs } = adapter.classifyClose({
      code,
      reason: '',
      wasClean: true,
      phase: 'open',
      ...rest,
    })
    return `${code} ${action} ${failure.code}${minDelayMs ? ` ≥ ${minDelayMs}` : ''}`
  }

  it('have a verdict each', () => {
    const ws = [1000, 1001, 1002, 1005, 1006, 1008, 1009, 1011, 1012, 1013, 3000, 4999]
    const graphql = Object.values(CloseCode).filter((code) => typeof code === 'number')
    expect([...ws, ...graphql.sort()].map((code) => classify(code))).toEqual([
      '1000 retry unavailable',
      '1001 retry unavailable',
      '1002 fatal internal',
      '1005 retry unknown',
      '1006 retry unavailable',
      '1008 fatal permission_denied',
      '1009 fatal resource_exhausted',
      '1011 retry internal',
      '1012 retry unavailable ≥ 1000',
      '1013 retry unavailable ≥ 5000',
      '3000 refresh-auth unauthenticated',
      '4999 fatal unknown',
      '4004 fatal internal',
      '4005 fatal internal',
      '4400 fatal invalid_argument',
      '4401 refresh-auth unauthenticated',
      '4403 refresh-auth unauthenticated',
      '4406 fatal failed_precondition',
      '4408 retry deadline_exceeded',
      '4409 fatal already_exists',
      '4429 fatal failed_precondition',
      '4500 retry internal',
      '4504 retry unavailable',
    ])
  })

  test.each([1000, 1002, 1008])('%s before connection_ack refuses the credential', (code) => {
    expect(classify(code, { phase: 'hello' })).toBe(`${code} refresh-auth unauthenticated`)
  })

  it('carry the code, and the reason only beside the message', () => {
    const { failure } = adapter.classifyClose({
      code: 4400,
      reason: 'Invalid message: secret',
      wasClean: true,
      phase: 'open',
    })
    expect(failure).toMatchObject({ status: 4400, serverMessage: 'Invalid message: secret' })
    expect(failure.message).not.toContain('secret')
  })
})
