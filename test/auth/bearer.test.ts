import { inspect } from 'node:util'
import { type Call, CallError, createContextKey } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { createFetch } from 'polywire/fetch'
import { describe, expect, it, vi } from 'vitest'
import { memoryClient, streamOperation, unaryOperation } from '../support/memory-client.ts'

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
  it('asks for nothing random before its first call: workers refuse that at module level, where sources are made', () => {
    const random = vi.spyOn(crypto, 'randomUUID')
    bearerAuth(() => 'a')
    expect(random).not.toHaveBeenCalled()
    random.mockRestore()
  })

  it.each<[string, () => unknown]>([
    ['a promise', async () => 'ada'],
    ['a promise that fails', async () => Promise.reject(new Error('who?'))],
    ['an object', () => ({ id: 'ada' })],
  ])('refuses %s as an identity: it would be the same one for everybody', async (_, identity) => {
    const { client, seen } = guarded(
      bearerAuth(() => 't', { identity: identity as () => string }),
      { token: 't' },
    )
    const refused = { code: 'invalid_argument', sent: 'no', message: expect.stringContaining('auth.identity()') }
    await expect(client.call(unaryOperation())).rejects.toMatchObject(refused)
    const fetch = createFetch({
      origin: 'https://api.example.com',
      auth: bearerAuth(() => 't', { identity: identity as () => string }),
      http: async () => expect.unreachable(),
    })
    await expect(fetch('https://api.example.com/a')).rejects.toMatchObject({ cause: refused })
    await fetch.close()
    expect(seen).toEqual([])
  })

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

  it.each([
    { expiresInMs: Number.NaN },
    { expiresInMs: null },
    { expiresAt: new Date('no date') },
    { expiresAt: null },
    { expiresAt: Number.NaN },
  ])(
    'a life that is no number (%o), as of a server that says none, is unknown: nothing is renewed for it',
    async (life) => {
      const server = { token: 'new' }
      let refreshes = 0
      const refresh = () => {
        refreshes++
        return { token: 'new', ...life } as { token: string }
      }
      const { client } = guarded(
        bearerAuth(() => 'old', { refresh }),
        server,
      )
      for (let call = 0; call < 5; call++) await client.call(unaryOperation())
      expect(refreshes).toBe(1)
    },
  )

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
    await clock.advance(107_999)
    await client.call(unaryOperation())
    expect(given).toBe(1)
    await clock.advance(1)
    server.token = 'k2'
    await Promise.all([client.call(unaryOperation()), client.call(unaryOperation())])
    expect(given).toBe(2)
    // None was sent with the old one: the renewal came before a refusal.
    expect(seen).toEqual(['k1', 'k1', 'k1', 'k2', 'k2'].map((token) => `Bearer ${token}`))
  })

  it('renews a long-lived token a minute before its end, however long it lives', async () => {
    let given = 0
    const server = { token: 'k1' }
    const auth = bearerAuth(async () => ({ token: `k${++given}`, expiresInMs: 3_600_000 }))
    const { client, clock } = guarded(auth, server)
    await client.call(unaryOperation())
    await clock.advance(3_539_000)
    await client.call(unaryOperation())
    expect(given).toBe(1)
    await clock.advance(1001)
    server.token = 'k2'
    await client.call(unaryOperation())
    expect(given).toBe(2)
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

  it('renews a short-lived token a tenth of its life before the end, unless told otherwise', async () => {
    for (const [refreshBeforeMs, renewsAt] of [
      [undefined, 27_000],
      [5000, 25_000],
    ] as const) {
      let given = 0
      const auth = bearerAuth(() => ({ token: `t${++given}`, expiresInMs: 30_000 }), {
        ...(refreshBeforeMs && { refreshBeforeMs }),
      })
      const { client, clock } = memoryClient(() => 1, { auth })
      await client.call(unaryOperation())
      await clock.advance(renewsAt - 1)
      await client.call(unaryOperation())
      expect(given).toBe(1)
      await clock.advance(1)
      await client.call(unaryOperation())
      expect(given).toBe(2)
    }
  })

  it('uses the newer token where a refused one with a declared life still comes from token()', async () => {
    const server = { token: 'new' }
    for (const expiresInMs of [1_000_000, undefined]) {
      const old = { token: 'old', ...(expiresInMs && { expiresInMs }) }
      const { client, seen } = guarded(
        bearerAuth(() => old, { refresh: () => 'new' }),
        server,
      )
      for (let n = 0; n < 3; n++) expect(await client.call(unaryOperation())).toBe('ok')
      expect(seen).toEqual(['Bearer old', 'Bearer new', 'Bearer new', 'Bearer new'])
    }
  })

  it('keeps no token that was refused, whatever life it declares: a login is seen at once', async () => {
    const session = { token: 'old' }
    const auth = bearerAuth(() => ({ token: session.token, expiresInMs: 1_000_000 }), {
      refresh: () => Promise.reject(new Error('log in')),
    })
    const { client, seen } = guarded(auth, { token: 'new' })
    await expect(client.call(unaryOperation())).rejects.toMatchObject({ code: 'unauthenticated' })
    session.token = 'new'
    expect(await client.call(unaryOperation())).toBe('ok')
    expect(seen).toEqual(['Bearer old', 'Bearer new'])
  })

  describe.each([
    ['at once', <T>(token: T) => token],
    ['later', async <T>(token: T) => token],
  ])('where token() gives %s what has no declared life, and refresh what has one', (_, give) => {
    it.each([undefined, () => 'ann'])(
      'a logout and the next login are seen at once (identity: %o)',
      async (identity) => {
        const session: { token: string | undefined } = { token: 'a' }
        const auth = bearerAuth(() => give(session.token), {
          refresh: () => ({ token: 'a2', expiresInMs: 3_600_000 }),
          ...(identity && { identity }),
        })
        const { client, seen } = guarded(auth, { token: 'a2' })
        const call = () => client.call(unaryOperation()).catch(() => undefined)
        await call()
        await call()
        for (const token of ['a2', undefined, 'b']) {
          session.token = token
          await call()
        }
        expect(seen.slice(0, 6)).toEqual(['Bearer a', 'Bearer a2', 'Bearer a2', 'Bearer a2', undefined, 'Bearer b'])
      },
    )

    it('that is renewed by refresh before its end, whatever token() gives still', async () => {
      let given = 0
      const server = { token: 'r1' }
      const auth = bearerAuth(() => give('old'), {
        refresh: () => ({ token: `r${++given}`, expiresInMs: 100_000 }),
      })
      const { client, clock, seen } = guarded(auth, server)
      await client.call(unaryOperation())
      await clock.advance(95_000)
      server.token = 'r2'
      await Promise.all([1, 2, 3].map(() => client.call(unaryOperation())))
      expect(given).toBe(2)
      expect(seen).toEqual(['Bearer old', 'Bearer r1', 'Bearer r2', 'Bearer r2', 'Bearer r2'])
    })
  })

  it('renews a token that refresh gave by refresh', async () => {
    const reasons: string[] = []
    const server = { token: 'r1' }
    const auth = bearerAuth(() => 'old', {
      refresh: ({ reason }) => {
        reasons.push(reason)
        return { token: `r${reasons.length}`, expiresInMs: 100_000 }
      },
    })
    const { client, clock, seen } = guarded(auth, server)
    await client.call(unaryOperation())
    await clock.advance(95_000)
    server.token = 'r2'
    await client.call(unaryOperation())
    expect(reasons).toEqual(['rejected', 'expiring'])
    expect(seen).toEqual(['Bearer old', 'Bearer r1', 'Bearer r2'])
  })

  it.each([
    ['a login', 'b', 'b'],
    ['a logout', undefined, 'nobody'],
  ])(
    '%s while the token before is renewed: the calls behind it are not those of the one before',
    async (_, next, who) => {
      for (const later of [false, true]) {
        let token: string | undefined = 'a'
        let renewed: (token: string) => void = () => {}
        const begun = new Promise<(token: string) => void>((resolve) => {
          renewed = resolve as never
        })
        const refresh = () => new Promise<string>((resolve) => renewed(resolve as never))
        const auth = bearerAuth(() => (later ? Promise.resolve(token) : token), { refresh })
        const { client } = memoryClient(
          (call) => {
            const secret = call.credential?.secret ?? 'nobody'
            if (secret === 'a') throw new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
            return secret
          },
          { auth },
        )
        const first = client.call(unaryOperation())
        const give = (await begun) as unknown as (token: string) => void
        const same = client.call(unaryOperation())
        token = next
        const other = client.call(unaryOperation())
        await new Promise((resolve) => setImmediate(resolve))
        give('a2')
        expect(await Promise.all([first, other])).toEqual(['a2', who])
        // As every attempt, it has what token() gives when it is sent.
        expect(await same).toBe(who)
      }
    },
  )

  it('a refusal while a renewal is under way waits for it, and makes no other', async () => {
    let asked = 0
    let give: (token: string) => void = () => {}
    const auth = bearerAuth(
      () => {
        if (++asked === 1) return { token: 'k1', expiresInMs: 100_000 }
        return new Promise<{ token: string; expiresInMs: number }>((resolve) => {
          give = (token) => resolve({ token, expiresInMs: 100_000 })
        })
      },
      { refresh: () => Promise.reject(new Error('a second renewal')) },
    )
    const refuse: (() => void)[] = []
    const made = memoryClient(
      (call) =>
        call.credential?.secret === 'k2'
          ? 'ok'
          : new Promise((_, reject) =>
              refuse.push(() => reject(new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call))),
            ),
      { auth },
    )
    const before = made.client.call(unaryOperation(), {}, { timeoutMs: 200_000 })
    await made.clock.advance(95_000)
    const proactive = made.client.call(unaryOperation())
    refuse[0]?.()
    await new Promise((resolve) => setImmediate(resolve))
    give('k2')
    expect(await Promise.all([before, proactive])).toEqual(['ok', 'ok'])
    expect(asked).toBe(2)
  })

  it('… nor where what that renewal gives declares no life, and token() still gives the old one', async () => {
    const reasons: string[] = []
    let give: (token: string) => void = () => {}
    const auth = bearerAuth(() => 'k0', {
      refresh: ({ reason }) => {
        reasons.push(reason)
        if (reasons.length === 1) return { token: 'k1', expiresInMs: 100_000 }
        return new Promise<string>((resolve) => {
          give = resolve
        })
      },
    })
    let isTaken = true
    const refuse: (() => void)[] = []
    const { client, clock } = memoryClient(
      (call) => {
        const no = () => new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
        const { secret } = call.credential ?? {}
        if (secret === 'k2' || (secret === 'k1' && isTaken)) return 'ok'
        if (secret === 'k0') throw no()
        return new Promise((_, reject) => refuse.push(() => reject(no())))
      },
      { auth },
    )
    await client.call(unaryOperation())
    isTaken = false
    const before = client.call(unaryOperation(), {}, { timeoutMs: 200_000 })
    await clock.advance(95_000)
    const proactive = client.call(unaryOperation())
    refuse[0]?.()
    await new Promise((resolve) => setImmediate(resolve))
    give('k2')
    expect(await Promise.all([before, proactive])).toEqual(['ok', 'ok'])
    expect(reasons).toEqual(['rejected', 'expiring'])
  })

  it('a refusal of a token that was replaced meanwhile renews nothing, though token() still gives the old one', async () => {
    let renewals = 0
    const refuse: (() => void)[] = []
    const { client } = memoryClient(
      (call) => {
        if (call.credential?.secret !== 'old') return 'ok'
        const no = new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
        return new Promise((_, reject) => refuse.push(() => reject(no)))
      },
      { auth: bearerAuth(() => 'old', { refresh: () => `new ${++renewals}` }) },
    )
    const [first, late] = [client.call(unaryOperation()), client.call(unaryOperation())]
    await new Promise((resolve) => setImmediate(resolve))
    refuse[0]?.()
    expect(await first).toBe('ok')
    refuse[1]?.()
    expect(await late).toBe('ok')
    expect(renewals).toBe(1)
  })

  it('a call begun during a slow proactive renewal goes on with the token that has not ended', async () => {
    let asked = 0
    const auth = bearerAuth(() =>
      ++asked === 1 ? { token: 'k1', expiresInMs: 100_000 } : new Promise<string>(() => {}),
    )
    const { client, clock, seen } = guarded(auth, { token: 'k1' })
    await client.call(unaryOperation())
    await clock.advance(91_000)
    const first = client.call(unaryOperation()).catch((error: CallError) => error.code)
    await new Promise((resolve) => setImmediate(resolve))
    const second = client.call(unaryOperation())
    await clock.advance(5000)
    expect(await second).toBe('ok')
    expect(seen).toEqual(['Bearer k1', 'Bearer k1'])
    await clock.advance(30_000)
    expect(await first).toBe('deadline_exceeded')
  })

  it('a replacement that was refused itself is not used again', async () => {
    let renewals = 0
    const auth = bearerAuth(() => 'old', {
      refresh: () => {
        if (++renewals > 1) throw new Error('expired')
        return 'new'
      },
    })
    const server = { token: 'new' }
    const { client, clock, seen } = guarded(auth, server)
    await client.call(unaryOperation())
    server.token = 'other'
    await client.call(unaryOperation()).catch(() => {})
    await clock.advance(6000)
    seen.length = 0
    await client.call(unaryOperation()).catch(() => {})
    expect(seen).toEqual(['Bearer old'])
    expect(renewals).toBe(3)
  })

  it('… nor is one that has ended since: what renewed it is refused, and renewed', async () => {
    const session = { token: 'k0' }
    let renewals = 0
    const auth = bearerAuth(() => session.token, {
      refresh: () => {
        session.token = `k${++renewals}`
        return { token: session.token, expiresInMs: 100_000 }
      },
    })
    const server = { token: 'k1' }
    const { client, clock } = guarded(auth, server)
    await client.call(unaryOperation())
    await clock.advance(95_000)
    server.token = 'k2'
    await client.call(unaryOperation())
    server.token = 'k3'
    await client.call(unaryOperation())
    expect(renewals).toBe(3)
  })

  it('goes on with a token that has not ended yet where its renewal fails for a moment', async () => {
    let asked = 0
    const auth = bearerAuth(async () => {
      if (++asked > 1) throw new TypeError('Failed to fetch')
      return { token: 'k1', expiresInMs: 100_000 }
    })
    const { client, clock, seen } = guarded(auth, { token: 'k1' })
    await client.call(unaryOperation())
    await clock.advance(95_000)
    expect(await client.call(unaryOperation())).toBe('ok')
    expect(seen).toEqual(['Bearer k1', 'Bearer k1'])
    await clock.advance(5000)
    const late = client.call(unaryOperation(), {}, { retry: false })
    await expect(late).rejects.toMatchObject({ code: 'unavailable', isRetryable: true, sent: 'no' })
  })

  const transient: [string, unknown][] = [
    ['fetch of Node', new TypeError('fetch failed')],
    ['fetch of Firefox', new TypeError('NetworkError when attempting to fetch resource.')],
    ['fetch of Chrome', new TypeError('Failed to fetch (login.test)')],
    ['a code', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })],
    ['a cause', new Error('login failed', { cause: new TypeError('fetch failed') })],
    ['a timeout', new DOMException('too slow', 'TimeoutError')],
    ['a retryable CallError', new CallError({ code: 'unavailable', message: 'down', isRetryable: true })],
    ['a call that ran out of time', new CallError({ code: 'deadline_exceeded', message: 'late' })],
  ]
  const final: [string, unknown][] = [
    ['any TypeError', new TypeError('x is not a function')],
    ['any error', new Error('invalid_grant')],
    ['a refusal', new CallError({ code: 'permission_denied', message: 'no', status: 403 })],
    ['a text', 'no'],
    ['nothing', undefined],
  ]
  it.each(transient)('a refresh that fails by %s is tried again', async (_name, failure) => {
    let refreshes = 0
    const auth = bearerAuth(() => 'old', {
      refresh: () => {
        if (++refreshes === 1) throw failure
        return 'new'
      },
    })
    const { client, clock, seen } = guarded(auth, { token: 'new' })
    const pending = client.call(unaryOperation({ isIdempotent: false }))
    await clock.advance(1000)
    expect(await pending).toBe('ok')
    expect(seen).toEqual(['Bearer old', 'Bearer old', 'Bearer new'])
  })

  it.each(final)('a refresh that fails by %s is a refusal', async (_name, failure) => {
    const auth = bearerAuth(() => 'old', {
      refresh: () => {
        throw failure
      },
    })
    const { client, seen } = guarded(auth, { token: 'new' })
    const error = await client.call(unaryOperation()).catch((e: CallError) => e)
    expect(error).toMatchObject({ code: 'unauthenticated', isRetryable: false, sent: 'yes' })
    expect((error as CallError).cause).toBe(failure)
    expect(seen).toEqual(['Bearer old'])
  })

  it('calls that wait for one source fail with errors of their own, each naming its operation', async () => {
    const cause = new CallError({ code: 'permission_denied', message: 'no' })
    const { client } = memoryClient(() => 1, { auth: bearerAuth(() => Promise.reject(cause)) })
    const names = ['GET /users', 'GET /orders', 'GET /items']
    const errors = await Promise.all(
      names.map((name) => client.call(unaryOperation({ name })).catch((e: CallError) => e as CallError)),
    )
    expect(errors.map((error) => (error as CallError).operation)).toEqual(names)
    expect(new Set(errors).size).toBe(3)
    for (const error of errors) expect((error as CallError).cause).toBe(cause)
    expect(cause.failures).toEqual([])
  })

  it('a stream that is opened again waits for a source that fails for a moment', async () => {
    let opened = 0
    let failing = 0
    const auth = bearerAuth(async () => {
      if (opened === 1 && ++failing <= 3) throw new TypeError('fetch failed')
      return 'token'
    })
    const made = memoryClient(
      async function* (call: Call) {
        opened++
        yield { id: `${opened}`, at: call.credential?.secret }
        if (opened === 1) throw new CallError({ code: 'unavailable', message: 'dropped', isRetryable: true }, call)
      } as never,
      { auth },
    )
    const watch = streamOperation({
      resume: { cursor: (message: { id: string }) => message.id, apply: (input: object) => input },
    })
    const seen: unknown[] = []
    const reading = (async () => {
      for await (const message of made.client.call(watch)) seen.push((message as { id: string }).id)
    })()
    await made.clock.advance(200_000)
    await reading
    expect(failing).toBe(4)
    expect(seen).toEqual(['1', '2'])
  })

  it('forgets identities that nobody uses, secrets included', async () => {
    const user = createContextKey('nobody')
    let asked: string[] = []
    const auth = bearerAuth(
      ({ identity }) => {
        asked.push(identity)
        return { token: 'x'.repeat(100), expiresInMs: 10_000_000 }
      },
      { identity: ({ context }) => context.get(user) },
    )
    const { client, clock } = memoryClient(() => 1, { auth })
    const callAs = (name: string) => client.call(unaryOperation(), {}, { context: user.with(name) })
    for (const name of ['first', 'second', 'first']) await callAs(name)
    expect(asked).toEqual(['first', 'second'])
    for (let n = 0; n < 1500; n++) {
      await callAs(`user ${n}`)
      await clock.advance(1)
      if (n % 100 === 0) await callAs('second')
    }
    expect(
      asked.filter((name) => name === 'second'),
      'one that is used is kept',
    ).toHaveLength(1)
    asked = []
    await callAs('second')
    expect(asked, 'one that is used is kept').toEqual([])
    await callAs('first')
    expect(asked, 'more identities than are kept').toEqual(['first'])
    await clock.advance(3_600_000)
    await callAs('new')
    await callAs('second')
    expect(asked, 'one that nobody has used for long').toEqual(['first', 'new', 'second'])
  })

  it('refuses what is no token', async () => {
    for (const wrong of [{ token: 'x' }, undefined, null, 7] as never[])
      expect(() => bearerAuth(wrong)).toThrow(/a text, or a function/)
    for (const wrong of [{ access_token: 'x' }, 7, true] as never[]) {
      const { client, seen } = guarded(
        bearerAuth(() => wrong),
        { token: 'y' },
      )
      await expect(client.call(unaryOperation())).rejects.toMatchObject({ code: 'unauthenticated', sent: 'no' })
      expect(seen).toEqual([])
    }
  })

  it.each<[string, () => unknown]>([
    ['at once', () => 'Bearer x'],
    ['later', async () => 'bearer x'],
    ['with its life', () => ({ token: 'Bearer x', expiresInMs: 60_000 })],
  ])('a token that is given %s with its scheme is refused, and not sent with two', async (_when, token) => {
    const { client, seen } = guarded(bearerAuth(token as () => string), { token: 'y' })
    await expect(client.call(unaryOperation())).rejects.toMatchObject({
      code: 'unauthenticated',
      sent: 'no',
      cause: { message: expect.stringContaining("without 'Bearer'") },
    })
    expect(seen).toEqual([])
  })

  it('a text with its scheme is refused where it is passed; with a scheme of its own it is as it is', async () => {
    expect(() => bearerAuth('Bearer x')).toThrow("without 'Bearer'")
    const { client, seen } = guarded(bearerAuth('Bearer x', { scheme: '' }), { token: 'x' })
    await client.call(unaryOperation()).catch(() => undefined)
    expect(seen).toEqual([' Bearer x'])
  })

  it('a call that was aborted while its token was asked for is not sent', async () => {
    let give: (token: string) => void = () => {}
    const { client, seen } = guarded(
      bearerAuth(() => new Promise<string>((resolve) => (give = resolve))),
      { token: 'y' },
    )
    const controller = new AbortController()
    const pending = client.call(unaryOperation(), {}, { signal: controller.signal })
    controller.abort('gone')
    await expect(pending).rejects.toBe('gone')
    give('y')
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual([])
  })

  it('neither console nor JSON shows a credential', async () => {
    const shown: string[] = []
    const show = (value: unknown) => shown.push(inspect(value, { depth: 9, showHidden: true }), JSON.stringify(value))
    const { client } = memoryClient(
      (call) => {
        show(call)
        shown.push(inspect({ ...call, headers: {}, options: {} }, { depth: 9 }), JSON.stringify([call]))
        show({ type: 'retry', call, waitMs: 1, error: new CallError({ code: 'internal', message: 'x' }, call) })
        return 1
      },
      { auth: bearerAuth(() => 'CANARY-1') },
    )
    await client.call(unaryOperation())
    await client.call(unaryOperation(), {}, { headers: { authorization: 'Bearer CANARY-2' } })
    expect(shown[0]).toContain('GET /thing')
    expect(shown.filter((text) => text.includes('CANARY-1'))).toEqual([])
    expect(shown.filter((text) => text.includes('CANARY-2'))).toEqual([])
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
