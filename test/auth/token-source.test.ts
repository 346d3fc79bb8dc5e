import { CallError } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'
import { memoryClient, unaryOperation } from '../support/memory-client.ts'

describe('a token source that is silent once', () => {
  it.each(['token', 'refresh'])('is asked again after 30 s: %s()', async (member) => {
    let asked = 0
    const silentOnce = (token: string) => () => (++asked === 1 ? new Promise<string>(() => {}) : Promise.resolve(token))
    const auth =
      member === 'token'
        ? bearerAuth(silentOnce('new'))
        : bearerAuth(async () => 'old', { refresh: silentOnce('new'), identity: () => 'ada' })
    const { client, clock } = memoryClient(
      (call) => {
        if (call.credential?.secret === 'new') return 'welcome'
        throw new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
      },
      { auth, retry: false, timeoutMs: 10_000 },
    )
    const ask = () => client.call(unaryOperation()).catch((error: CallError) => error.code)
    const first = ask()
    await clock.advance(10_000)
    expect(await first).toBe('deadline_exceeded')
    await clock.advance(20_000)
    expect(await ask()).toBe('welcome')
    expect(asked).toBe(2)
    await client.close()
    expect(clock.timers).toBe(0)
  })
})

describe('calls of a token source by the same client', () => {
  const login = unaryOperation({ name: 'POST /login' })
  const thing = unaryOperation()

  /** A client whose source calls it; what it sent, and with which token. */
  function selfServed(source: (made: ReturnType<typeof memoryClient>) => ReturnType<typeof bearerAuth>) {
    const sent: [string, string | undefined][] = []
    let auth: ReturnType<typeof bearerAuth>
    const made: ReturnType<typeof memoryClient> = memoryClient(
      (call) => {
        sent.push([call.operation.name, call.credential?.secret])
        if (call.operation.name !== 'POST /login' && call.credential?.secret !== 'fresh')
          throw new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
        return 'fresh'
      },
      {
        auth: {
          name: 'late',
          credential: (call) => auth.credential(call),
          refresh: (rejected, call, error) => auth.refresh?.(rejected, call, error) as never,
        },
      },
    )
    auth = source(made)
    return { ...made, sent }
  }
  const served = [
    ['GET /thing', 'stale'],
    ['POST /login', undefined],
    ['GET /thing', 'fresh'],
  ]
  const turn = () => new Promise((resolve) => setImmediate(resolve))

  it('are told by async context, whatever the source awaits before', async () => {
    const { client, sent } = selfServed(({ client }) =>
      bearerAuth(() => 'stale', {
        refresh: async () => {
          await turn()
          return (await client.call(login)) as string
        },
      }),
    )
    expect(await client.call(thing)).toBe('fresh')
    expect(sent).toEqual(served)
  })

  it('are told also where the source gave its token at once in between', async () => {
    let token: string | undefined
    const { client, sent } = selfServed(({ client }) => bearerAuth(() => token ?? renew(client)))
    const renew = async (client: ReturnType<typeof memoryClient>['client']) => {
      await turn()
      token = (await client.call(login)) as string
      return token
    }
    for (const state of [undefined, 'fresh', undefined]) {
      token = state
      expect(await client.call(thing)).toBe('fresh')
    }
    expect(sent.filter(([name]) => name === 'POST /login')).toEqual([served[1], served[1]])
  })

  it('are told by the context of the request, where async context is lost', async () => {
    const elsewhere = queue()
    const { client, sent } = selfServed(({ client }) =>
      bearerAuth(() => 'stale', {
        refresh: ({ context }) => elsewhere.run(() => client.call(login, {}, { context })) as Promise<string>,
      }),
    )
    expect(await client.call(thing)).toBe('fresh')
    expect(sent).toEqual(served)
  })

  it('are told by their operation, which says auth: false', async () => {
    const elsewhere = queue()
    const { client, sent } = selfServed(({ client }) =>
      bearerAuth(() => 'stale', {
        refresh: () =>
          elsewhere.run(() => client.call(unaryOperation({ name: 'POST /login', auth: false }))) as Promise<string>,
      }),
    )
    expect(await client.call(thing)).toBe('fresh')
    expect(sent).toEqual(served)
  })

  it('what nothing tells fails within 5 s, with words that say what does', async () => {
    const elsewhere = queue()
    const { client, clock, sent } = selfServed(({ client }) =>
      bearerAuth(() => 'stale', { refresh: () => elsewhere.run(() => client.call(login)) as Promise<string> }),
    )
    const outcome = client.call(thing).catch((error: CallError) => error)
    await elsewhere.ran()
    await clock.advance(4999)
    const error = (await outcome) as CallError
    expect(error).toMatchObject({ code: 'failed_precondition', operation: 'GET /thing' })
    expect(error.message).toContain('auth: false')
    expect(error.cause).toMatchObject({ code: 'failed_precondition', operation: 'POST /login', sent: 'no' })
    expect((error.cause as CallError).message).toMatch(/auth: false.*context of the token request/)
    expect(sent).toEqual([['GET /thing', 'stale']])
  })

  it('bring a token of their own where they want to', async () => {
    const { client, sent } = selfServed(({ client }) =>
      bearerAuth(() => 'stale', {
        refresh: async () =>
          (await client.call(login, {}, { headers: { authorization: 'Bearer one-time' } })) as string,
      }),
    )
    await client.call(thing)
    expect(sent[1]).toEqual(['POST /login', 'one-time'])
  })

  it('are not held back by what holds other calls', async () => {
    let logins = 0
    const made = memoryClient(
      (call) => {
        if (call.operation.name === 'POST /login' && ++logins === 1)
          throw new CallError(
            { code: 'unavailable', message: 'busy', status: 503, retryAfterMs: 600_000, isRetryable: true },
            call,
          )
        return 'token'
      },
      { auth: bearerAuth(() => made.client.call(login) as Promise<string>) },
    )
    await expect(made.client.call(thing, {}, { retry: false })).rejects.toMatchObject({ code: 'unavailable' })
    expect(await made.client.call(thing)).toBe('token')
    expect(logins).toBe(2)
  })

  it('an ordinary call begun beside the source, or after it, waits for as long as it takes and carries the token', async () => {
    const { client, clock, sent } = selfServed(({ clock }) =>
      bearerAuth(() => 'stale', {
        refresh: () => new Promise<string>((resolve) => clock.setTimer(() => resolve('fresh'), 8000)),
      }),
    )
    const calls = Promise.all(Array.from({ length: 20 }, () => client.call(thing)))
    await clock.advance(8001)
    await calls
    await turn()
    await client.call(thing)
    expect(sent.filter(([, token]) => token === 'fresh')).toHaveLength(21)
  })
})

/** Runs work in a turn of its own that was begun long ago: async context does not reach there. */
function queue() {
  const waiting: (() => void)[] = []
  const ran: (() => void)[] = []
  const timer = setInterval(() => {
    for (const run of waiting.splice(0)) {
      run()
      for (const tell of ran.splice(0)) tell()
    }
  }, 1)
  timer.unref()
  return {
    /** Resolves when the next piece of work has been begun. */
    ran: () => new Promise<void>((resolve) => ran.push(resolve)),
    run: <T>(work: () => Promise<T>) =>
      new Promise<T>((resolve, reject) => waiting.push(() => void work().then(resolve, reject))),
  }
}

describe('the principal of a credential', () => {
  /** What the credentials of calls say, one after the other. */
  function principals(auth: ReturnType<typeof bearerAuth>, accepts: () => string = () => '') {
    const seen: (string | undefined)[] = []
    const made = memoryClient(
      (call) => {
        if (accepts() && call.credential?.secret !== accepts())
          throw new CallError({ code: 'unauthenticated', message: 'no', sent: 'yes' }, call)
        seen.push(call.credential?.principal)
        return 1
      },
      { auth },
    )
    return { ...made, seen, call: () => made.client.call(unaryOperation()) }
  }

  it('changes with the token, and comes back with it', async () => {
    let token = 'a'
    const { seen, call } = principals(bearerAuth(() => token))
    for (token of ['a', 'a', 'b', 'a']) await call()
    const [first, second, other, again] = seen
    expect(first).toBeDefined()
    expect(second).toBe(first)
    expect(other).not.toBe(first)
    expect(again).toBe(first)
    expect(seen.join()).not.toContain('a,')
  })

  it('stays with a token that refresh gave, or that token() gives after it', async () => {
    for (const gives of [true, false]) {
      let token = 'a'
      let accepted = 'a'
      const refresh = () => {
        token = accepted
        return gives ? token : undefined
      }
      const { seen, call } = principals(
        bearerAuth(() => token, { refresh }),
        () => accepted,
      )
      await call()
      accepted = 'b'
      await call()
      await call()
      expect(new Set(seen).size).toBe(1)
    }
  })

  it('stays with a token that renews one with a declared life', async () => {
    let n = 0
    const { seen, call, clock } = principals(bearerAuth(() => ({ token: `t${++n}`, expiresInMs: 10_000 })))
    await call()
    await clock.advance(9500)
    await call()
    expect(n).toBe(2)
    expect(new Set(seen).size).toBe(1)
  })

  it('is another one where a new token came from token() after a refusal: it may be the next one who logged in', async () => {
    let accepted = 'a'
    const { seen, call } = principals(
      bearerAuth(() => accepted),
      () => accepted,
    )
    await call()
    accepted = 'b'
    await call()
    expect(new Set(seen).size).toBe(2)
  })

  it('is the identity where there is one', async () => {
    let token = 'a'
    const { seen, call } = principals(bearerAuth(() => token, { identity: () => 'ada' }))
    await call()
    token = 'b'
    await call()
    expect(new Set(seen).size).toBe(1)
  })
})
