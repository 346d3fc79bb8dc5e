import { virtualClock } from 'polywire/testing'
import { describe, expect, it } from 'vitest'
import type { Credential } from '../../../../src/core/call/auth.ts'
import type { SocketDriver } from '../../../../transports/socket/driver/driver.ts'
import { isSameCredential, placeCredential, Refusals } from '../../../../transports/socket/link/credential.ts'

const base = { url: 'wss://rt.example.com/ws?v=1', subprotocols: ['chat'], headers: { 'x-a': '1' }, maxFrameBytes: 1 }
const driver = (headers: boolean) => ({ capabilities: { headers } }) as SocketDriver
const bearer: Credential = { headers: { authorization: 'Bearer abc' }, secret: 'abc' }
const key: Credential = { query: { key: 'abc' } }

describe('where a credential goes', () => {
  it('into a header where the driver takes one, else into the first message', () => {
    expect(placeCredential(base, bearer, driver(true), undefined)).toEqual({
      request: { ...base, headers: { 'x-a': '1', authorization: 'Bearer abc' } },
      inMessage: undefined,
    })
    expect(placeCredential(base, bearer, driver(false), undefined)).toEqual({ request: base, inMessage: bearer })
    expect(placeCredential(base, undefined, driver(true), 'header')).toEqual({ request: base, inMessage: undefined })
  })

  it('into the query where it is made for that, wherever it is wanted', () => {
    for (const place of [undefined, 'message', 'header', 'subprotocol', 'query'] as const)
      expect(placeCredential(base, key, driver(false), place)).toEqual({
        request: { ...base, url: 'wss://rt.example.com/ws?v=1&key=abc' },
        inMessage: undefined,
      })
  })

  it('into the query and a header, where it has both', () => {
    const both = { ...key, headers: { 'x-key': 'abc' } }
    expect(placeCredential(base, both, driver(true), undefined).request).toMatchObject({
      url: 'wss://rt.example.com/ws?v=1&key=abc',
      headers: { 'x-a': '1', 'x-key': 'abc' },
    })
    expect(placeCredential(base, both, driver(false), undefined).inMessage).toBe(both)
    expect(placeCredential(base, { ...key, secret: 'abc' }, driver(true), 'subprotocol')).toMatchObject({
      request: { subprotocols: ['chat'] },
      inMessage: undefined,
    })
  })

  it('into the query or a sub-protocol that is asked for, beside one that the server can pick', () => {
    expect(placeCredential(base, bearer, driver(false), 'query').request.url).toBe(`${base.url}&access_token=abc`)
    expect(placeCredential(base, bearer, driver(false), 'subprotocol').request.subprotocols).toEqual([
      'chat',
      'bearer.YWJj',
    ])
    const none = { ...base, subprotocols: [] }
    expect(placeCredential(none, bearer, driver(false), 'subprotocol').request.subprotocols[0]).toBe('polywire')
  })

  it.each([
    [bearer, 'header'],
    [{ headers: { authorization: 'Bearer abc' } }, 'query'],
    [{ headers: { authorization: 'Bearer abc' } }, 'subprotocol'],
  ] as const)('%o cannot go into the %s of a driver without headers', (credential, place) => {
    expect(() => placeCredential(base, credential, driver(false), place)).toThrow(/authIn/)
  })
})

describe('two credentials', () => {
  it('are the same by their secret, or as one object', () => {
    expect(isSameCredential(bearer, { ...bearer })).toBe(true)
    expect(isSameCredential(bearer, { secret: 'other' })).toBe(false)
    expect(isSameCredential(key, key)).toBe(true)
    expect(isSameCredential(key, { ...key })).toBe(false)
    expect(isSameCredential(undefined, undefined)).toBe(true)
    expect(isSameCredential(bearer, undefined)).toBe(false)
  })
})

describe('what a server has refused', () => {
  const other = { secret: 'def' }

  it('on a live socket is renewed by another one, once', () => {
    const refusals = new Refusals(virtualClock())
    expect(refusals.mustRenew(bearer, other)).toBe(false)
    refusals.onLive(bearer)
    expect(refusals.mustRenew(bearer, other)).toBe(true)
    expect(refusals.mustRenew(bearer, { ...bearer })).toBe(false)
    expect(refusals.mustRenew(other, bearer)).toBe(false)
    expect(refusals.mustRenew(bearer, undefined)).toBe(false)
    refusals.renewed()
    expect(refusals.mustRenew(bearer, other)).toBe(false)
  })

  it('with an open stream is worth one try with another, until it is accepted or time has passed', async () => {
    const clock = virtualClock()
    const refusals = new Refusals(clock)
    expect(refusals.onOpen(undefined)).toBe(false)
    expect(refusals.onOpen(bearer)).toBe(true)
    expect(refusals.isRefused({ ...bearer })).toBe(true)
    expect(refusals.isRefused(undefined)).toBe(false)
    expect(refusals.onOpen(other)).toBe(false)
    refusals.accepted()
    expect(refusals.isRefused(other)).toBe(false)
    expect(refusals.onOpen(other)).toBe(true)
    await clock.advance(10_001)
    expect(refusals.onOpen(bearer)).toBe(true)
  })
})
