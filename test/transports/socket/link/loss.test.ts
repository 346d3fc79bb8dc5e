import { describe, expect, it } from 'vitest'
import type { Connection } from '../../../../transports/socket/link/connection.ts'
import {
  broken,
  closed,
  type LinkUser,
  type Loss,
  lossFailure,
  noFrame,
  refusedHello,
  renewed,
  staysAfter,
} from '../../../../transports/socket/link/loss.ts'
import type { CloseVerdict } from '../../../../transports/socket/wire-adapter.ts'

const lossBy = (action: CloseVerdict['action'], more: Partial<Loss> = {}, isRetryable = false): Loss => ({
  verdict: { action, failure: { code: 'unavailable', message: 'x', isRetryable } },
  isFinal: false,
  ...more,
})
const user = (secret: string | undefined, isPatient: boolean) =>
  ({ credential: secret && { secret }, isPatient }) as unknown as LinkUser
const lost = { credential: { secret: 'old' } } as unknown as Connection

describe('who waits for the socket after a loss', () => {
  it.each<[string, Loss, LinkUser, boolean]>([
    ['a stream, through a loss that passes', lossBy('retry'), user('old', true), true],
    ['a stream, not after the last attempt', lossBy('retry', { isFinal: true }), user('old', true), false],
    ['a call does not', lossBy('retry'), user('old', false), false],
    ['nobody, through a loss for good', lossBy('fatal'), user('new', true), false],
    ['who brings another credential than the refused one', lossBy('refresh-auth'), user('new', false), true],
    ['not who brings the same', lossBy('refresh-auth'), user('old', true), false],
    ['not who has none', lossBy('refresh-auth'), user(undefined, true), false],
    ['all, where the credential is renewed', { ...lossBy('retry'), verdict: renewed }, user('old', false), true],
  ])('%s', (_, loss, who, stays) => expect(staysAfter(loss, who, lost)).toBe(stays))
})

describe('what a loss means for those that were carried', () => {
  it.each<[string, Loss, 'body' | 'stream', boolean, boolean]>([
    ['a stream goes on, whatever the code says', lossBy('retry'), 'stream', true, true],
    ['but not after the last attempt', lossBy('retry', { isFinal: true }), 'stream', true, false],
    ['a call, where the code says that it passes', lossBy('retry', {}, true), 'body', false, true],
    ['else not', lossBy('retry'), 'body', false, false],
    ['an open stream, with another credential', lossBy('refresh-auth'), 'stream', true, true],
    ['an opening is refused', lossBy('refresh-auth'), 'body', true, false],
    ['so is the last one', lossBy('refresh-auth', { isFinal: true }), 'stream', true, false],
    ['nothing goes on after a loss for good', lossBy('fatal', {}, true), 'body', true, false],
  ])('%s', (_, loss, phase, isStream, isRetryable) =>
    expect(lossFailure(loss, phase, 'maybe', isStream)).toMatchObject({ phase, sent: 'maybe', isRetryable }),
  )
  it('the end of the transport cancels', () => {
    expect(lossFailure(closed, 'stream', 'yes', true)).toMatchObject({ code: 'canceled', isRetryable: false })
  })
})

describe('a refused hello', () => {
  it.each([
    ['unauthenticated', false, false, 'refresh-auth'],
    ['unavailable', true, false, 'retry'],
    ['permission_denied', false, false, 'fatal'],
    ['invalid_argument', false, true, 'fatal'],
    ['invalid_argument', false, false, undefined],
  ] as const)('%s', (code, isRetryable, isAwaited, action) =>
    expect(refusedHello({ code, message: 'x', isRetryable }, isAwaited)?.action).toBe(action),
  )
})

it('code that is not ours refreshes where it says that the credential was refused', () => {
  expect(broken('decode', new Error('x'), { code: 'unauthenticated' }).action).toBe('refresh-auth')
  expect(broken('decode', new Error('x')).action).toBe('fatal')
})

it('an encoder without a frame has sent nothing, and its promise harms nobody', () => {
  expect(noFrame(Promise.reject(new Error('late')))).toMatchObject({ code: 'internal', phase: 'send', sent: 'no' })
})
