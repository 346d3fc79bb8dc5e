import { CallError, createContextKey } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

/** A server that takes one token, and counts. */
function guarded(auth: ReturnType<typeof bearerAuth>, server: { token: string }) {
  const seen: (string | undefined)[] = []
  const made = memoryClient(
    async (call) => {
      const header = call.credential?.headers?.authorization
      seen.push(header)
      await Promise.resolve()
      if (header !== `Bearer ${server.token}`)
        throw new CallError({ code: 'unauthenticated', message: 'who are you', sent: 'yes' }, call)
      return 'ok'
    },
    { auth },
  )
  return { ...made, seen }
}

describe('bearerAuth', () => {
  it('asks for the token for each attempt, so that it follows a login', async () => {
    const session = { token: 'a' }
    const { client, seen } = guarded(
      bearerAuth(() => session.token),
      session,
    )
    await client.call(unaryOperation())
    session.token = 'b'
    await client.call(unaryOperation())
    expect(seen).toEqual(['Bearer a', 'Bearer b'])
  })

  it('makes one refresh of 100 concurrent refusals, and replays each call once', async () => {
    const session = { token: 'old' }
    const server = { token: 'new' }
    let refreshes = 0
    const auth = bearerAuth(() => session.token, {
      refresh: async () => {
        refreshes++
        await new Promise((resolve) => setImmediate(resolve))
        session.token = 'new'
      },
    })
    const { client, seen } = guarded(auth, server)
    const results = await Promise.all(Array.from({ length: 100 }, () => client.call(unaryOperation())))
    expect(results.every((result) => result === 'ok')).toBe(true)
    expect(refreshes).toBe(1)
    expect(seen).toHaveLength(200)
  })

  it('without refresh asks token() again, saying what was refused', async () => {
    const server = { token: 't2' }
    const asked: unknown[] = []
    const auth = bearerAuth(({ reason, rejected }) => {
      asked.push([reason, rejected])
      return reason === 'rejected' ? 't2' : 't1'
    })
    const { client, seen } = guarded(auth, server)
    expect(await client.call(unaryOperation())).toBe('ok')
    expect(asked).toEqual([
      ['attempt', undefined],
      ['rejected', 't1'],
    ])
    expect(seen).toEqual(['Bearer t1', 'Bearer t2'])
    // The refused token is known: no second refusal, no second renewal.
    expect(await client.call(unaryOperation())).toBe('ok')
    expect(seen).toEqual(['Bearer t1', 'Bearer t2', 'Bearer t2'])
  })

  it('replays at most once, and a refusal that persists is the error', async () => {
    let refreshes = 0
    const { client, seen } = guarded(
      bearerAuth(() => 'x', { refresh: () => `x${++refreshes}` }),
      { token: 'never' },
    )
    await expect(client.call(unaryOperation())).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(seen).toEqual(['Bearer x', 'Bearer x1'])
  })

  it('a renewal that gives the same token is no renewal', async () => {
    const { client, seen } = guarded(
      bearerAuth(() => 'same'),
      { token: 'other' },
    )
    await expect(client.call(unaryOperation())).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(seen).toHaveLength(1)
  })

  it('a renewal that fails does not loop, and its error says so', async () => {
    let refreshes = 0
    const auth = bearerAuth(() => 'x', {
      refresh: () => {
        refreshes++
        throw new Error('invalid_grant')
      },
    })
    const { client } = guarded(auth, { token: 'y' })
    const errors = await Promise.all(
      Array.from({ length: 20 }, () => client.call(unaryOperation()).catch((e: CallError) => e)),
    )
    await client.call(unaryOperation()).catch((e: CallError) => e)
    expect(refreshes).toBe(1)
    expect((errors[0] as CallError).message).toContain('renewal failed')
  })

  it('a token source that throws sends nothing', async () => {
    const { client, seen } = guarded(
      bearerAuth(() => Promise.reject(new Error('no network'))),
      { token: 'y' },
    )
    await expect(client.call(unaryOperation())).rejects.toMatchObject({ code: 'unauthenticated', sent: 'no' })
    expect(seen).toHaveLength(0)
  })

  it("is not bound to the first caller's abort", async () => {
    const session = { token: 'old' }
    let release: () => void = () => {}
    const auth = bearerAuth(() => session.token, {
      refresh: () =>
        new Promise<void>((resolve) => {
          release = () => {
            session.token = 'new'
            resolve()
          }
        }),
    })
    const { client } = guarded(auth, { token: 'new' })
    const controller = new AbortController()
    const first = client.call(unaryOperation(), {}, { signal: controller.signal }).catch((e: unknown) => e)
    const second = client.call(unaryOperation())
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort('gone')
    expect(await first).toBe('gone')
    release()
    expect(await second).toBe('ok')
  })

  it('keeps a token that declares its life and renews it before the end, once', async () => {
    let given = 0
    const server = { token: 'k1' }
    const auth = bearerAuth(async () => ({ token: `k${++given}`, expiresInMs: 120_000 }))
    const { client, clock, seen } = guarded(auth, server)
    await Promise.all([client.call(unaryOperation()), client.call(unaryOperation())])
    expect(given).toBe(1)
    await clock.advance(59_000)
    await client.call(unaryOperation())
    expect(given).toBe(1)
    await clock.advance(2000)
    server.token = 'k2'
    await Promise.all([client.call(unaryOperation()), client.call(unaryOperation())])
    expect(given).toBe(2)
    expect(seen.at(-1)).toBe('Bearer k2')
  })

  it('keeps two identities apart', async () => {
    const user = createContextKey('nobody')
    const asked: string[] = []
    const auth = bearerAuth(
      async ({ identity }) => {
        asked.push(identity)
        return { token: `t-${identity}`, expiresInMs: 1_000_000 }
      },
      { identity: ({ context }) => context.get(user) },
    )
    const seen: string[] = []
    const { client } = memoryClient(
      (call) => {
        seen.push(`${call.context.get(user)} ${call.credential?.headers?.authorization}`)
        return 1
      },
      { auth },
    )
    for (const name of ['ann', 'bob', 'ann']) await client.call(unaryOperation(), {}, { context: user.with(name) })
    expect(asked).toEqual(['ann', 'bob'])
    expect(seen).toEqual(['ann Bearer t-ann', 'bob Bearer t-bob', 'ann Bearer t-ann'])
  })

  it('does not replay what cannot be sent twice', async () => {
    const { client, seen } = guarded(
      bearerAuth(() => 'a', { refresh: () => 'b' }),
      { token: 'b' },
    )
    await expect(client.call(unaryOperation({ isReplayable: () => false }))).rejects.toMatchObject({
      code: 'unauthenticated',
    })
    expect(seen).toHaveLength(1)
  })
})
