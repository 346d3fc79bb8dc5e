import type { Credential } from 'polywire'
import { expect, it } from 'vitest'
import type { Call } from '../../../src/core/call/call.ts'
import { principalOf } from '../../../src/core/call/credential.ts'

const principal = (identity: string, credential?: Partial<Credential>): string =>
  principalOf({ identity, credential, headers: {}, operation: {}, scope: { root: {} } } as unknown as Call)

it('calls with other credentials share no connection, however the credential travels', () => {
  const credentials: Partial<Credential>[] = [
    { secret: 'a' },
    { secret: 'b' },
    { headers: { cookie: 'a' } },
    { headers: { cookie: 'b' } },
    { query: { key: 'a' } },
    { query: { key: 'b' } },
    { secret: 'a', principal: 'somebody' },
  ]
  const all = [principal(''), ...credentials.map((each) => principal('', each))]
  expect(new Set(all).size).toBe(all.length)
})

it('calls of one identity share theirs, though its token is renewed', () => {
  expect(principal('u1', { secret: 'a' })).toBe(principal('u1', { secret: 'b' }))
  expect(principal('u1', { secret: 'a' })).not.toBe(principal('u2', { secret: 'a' }))
})
