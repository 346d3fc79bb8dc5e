import { CallError, createClient, memoryStore, processes, type Store } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { get, restTransport } from 'polywire/rest'
import { memoryTransport, virtualClock } from 'polywire/testing'
import { expect, it } from 'vitest'
import { unaryOperation } from '../../support/memory-client.ts'
import { bound } from '../../support/outbox.ts'
import { TokenServer } from '../../support/servers/token-server.ts'

const read = get('/orders/{id}')

interface Session {
  token: string
  refresh: string
}

/** A client with a session of its own, as one process has it, which has logged in as `t0`. */
function member(server: TokenServer, store: Store, options: { lostRefresh?: 'try'; timeoutMs?: number } = {}) {
  const session: Session = { token: 't0', refresh: 'r0' }
  const { timeoutMs = 10_000, ...more } = options
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url }) },
    shared: processes(store, 'shop', { refreshTimeoutMs: timeoutMs, waitMs: 1000 }),
    auth: bearerAuth(() => session.token, {
      ...more,
      async refresh() {
        const body = JSON.stringify({ refresh: session.refresh })
        const response = await fetch(`${server.url}/token`, { method: 'POST', body })
        const granted = (await response.json()) as Session
        if (!response.ok)
          throw new CallError({
            code: response.status === 503 ? 'unavailable' : 'unauthenticated',
            message: 'the token endpoint refused',
            isRetryable: response.status === 503,
          })
        Object.assign(session, granted)
        return { token: granted.token, session: granted.refresh }
      },
      adopt({ token, session: refresh }) {
        Object.assign(session, { token, refresh })
      },
    }),
  })
  return { client, session }
}

const thirty = (client: ReturnType<typeof member>['client']) =>
  Promise.allSettled(Array.from({ length: 30 }, (_, id) => client.call(read, { id })))

it('ten clients with thirty refused calls each cause one refresh, time and again', async () => {
  await using server = await TokenServer.start()
  const store = memoryStore()
  const members = Array.from({ length: 10 }, () => member(server, store))
  for (let round = 1; round <= 3; round++) {
    const settled = (await Promise.all(members.map(({ client }) => thirty(client)))).flat()
    expect(settled.filter(({ status }) => status === 'rejected')).toEqual([])
    expect(server.refreshes).toEqual(Array.from({ length: round }, (_, n) => (n === 0 ? 'r0' : `r${n}`)))
    expect(new Set(members.map(({ session }) => `${session.token} ${session.refresh}`))).toEqual(
      new Set([`t${round} r${round}`]),
    )
    server.expire()
  }
  await Promise.all(members.map(({ client }) => client.close()))
})

it('one that comes late goes all the way from its old token to the newest, and asks nobody', async () => {
  await using server = await TokenServer.start()
  const store = memoryStore()
  const [early, late] = [member(server, store), member(server, store)]
  for (let n = 0; n < 3; n++) {
    await early.client.call(read, { id: 1 })
    if (n < 2) server.expire()
  }
  const before = server.calls
  await late.client.call(read, { id: 1 })
  expect([server.calls - before, server.refreshes.length, late.session]).toEqual([2, 3, { token: 't3', refresh: 'r3' }])
  await Promise.all([early, late].map(({ client }) => client.close()))
})

it('one that has looked before another was done, and is leased the renewal behind it, looks again', async () => {
  await using server = await TokenServer.start()
  const base = memoryStore()
  let isLooked = () => {}
  const looked = new Promise<void>((resolve) => {
    isLooked = resolve
  })
  let goOn = () => {}
  const done = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const held: Store = {
    traits: base.traits,
    get: (key) => base.get(key),
    set: (key, value, write) => base.set(key, value, write),
    async add(key, value, write) {
      if (key.endsWith('/lease')) {
        isLooked()
        await done
      }
      return base.add(key, value, write)
    },
    compareAndSet: (key, expected, next, write) => base.compareAndSet(key, expected, next, write),
    delete: (key, condition) => base.delete(key, condition),
    listen: (topic, listener) => base.listen?.(topic, listener) ?? (() => {}),
    tell: (topic, text) => base.tell?.(topic, text),
  }
  const [slow, quick] = [member(server, held), member(server, base)]
  const late = slow.client.call(read, { id: 1 })
  await looked
  await quick.client.call(read, { id: 2 })
  goOn()
  await late
  expect([server.refreshes, slow.session]).toEqual([['r0'], quick.session])
  await Promise.all([slow, quick].map(({ client }) => client.close()))
})

it('neither token nor what belongs to it can be read in the store', async () => {
  await using server = await TokenServer.start()
  const base = memoryStore()
  const written: string[] = []
  const note =
    <A extends unknown[], R>(run: (...all: A) => R) =>
    (...all: A): R => {
      written.push(JSON.stringify(all))
      return run(...all)
    }
  const store: Store = {
    traits: base.traits,
    get: note((key) => base.get(key)),
    set: note((key, value, write) => base.set(key, value, write)),
    add: note((key, value, write) => base.add(key, value, write)),
    compareAndSet: note((key, expected, next, write) => base.compareAndSet(key, expected, next, write)),
    delete: note((key, condition) => base.delete(key, condition)),
    listen: (topic, listener) => base.listen?.(topic, listener) ?? (() => {}),
    tell: note((topic, text) => base.tell?.(topic, text)),
  }
  const { client } = member(server, store)
  await client.call(read, { id: 1 })
  expect(server.refreshes).toEqual(['r0'])
  expect(written.length).toBeGreaterThan(4)
  expect(written.join()).not.toMatch(/"[tr][01]"|\b[tr][01]\b/)
  await client.close()
})

it('a token endpoint that fails for a moment is asked once for all, and later again', async () => {
  await using server = await TokenServer.start()
  let now = 0
  const store = memoryStore({ clock: { now: () => now } })
  const members = Array.from({ length: 5 }, () => member(server, store))
  const all = () =>
    Promise.all(
      members.map(({ client }) =>
        client.call(read, { id: 1 }, { retry: false }).catch((error: CallError) => error.code),
      ),
    )
  server.failWith = 503
  expect(await all()).toEqual(Array(5).fill('unavailable'))
  expect(server.refreshes.length).toBe(1)
  server.failWith = undefined
  expect(await all()).toEqual(Array(5).fill('unavailable'))
  now = 1000
  expect(await all()).toEqual(Array(5).fill({ ok: true }))
  expect(server.refreshes).toEqual(['r0', 'r0'])
  await Promise.all(members.map(({ client }) => client.close()))
})

it('a refusal is told to all, and the token is not brought again', async () => {
  await using server = await TokenServer.start()
  const store = memoryStore()
  const members = Array.from({ length: 5 }, () => member(server, store))
  server.isRevoked = true
  const failed = await Promise.all(
    members.map(({ client }) => client.call(read, { id: 1 }).catch((error: CallError) => error.code)),
  )
  expect(failed).toEqual(Array(5).fill('unauthenticated'))
  expect(server.refreshes).toEqual(['r0'])
  await Promise.all(members.map(({ client }) => client.close()))
})

it('a store that fails lets nobody use a token that may be used once', async () => {
  await using server = await TokenServer.start()
  const fail = () => Promise.reject(new Error('away'))
  const store = { traits: memoryStore().traits, get: fail, set: fail, add: fail, compareAndSet: fail, delete: fail }
  const [once, again] = [member(server, store), member(server, store, { lostRefresh: 'try' })]
  await expect(once.client.call(read, { id: 1 }, { retry: false })).rejects.toMatchObject({ code: 'unavailable' })
  expect(server.refreshes).toEqual([])
  await again.client.call(read, { id: 1 })
  expect(server.refreshes).toEqual(['r0'])
  await Promise.all([once, again].map(({ client }) => client.close()))
})

it('what comes after its time is for the others all the same', async () => {
  await using server = await TokenServer.start()
  const store = memoryStore()
  server.delayMs = 300
  const [slow, other] = [member(server, store, { timeoutMs: 100 }), member(server, store)]
  await expect(slow.client.call(read, { id: 1 }, { retry: false })).rejects.toMatchObject({ code: 'unavailable' })
  while (slow.session.token !== 't1') await new Promise((done) => setTimeout(done, 5))
  await new Promise(setImmediate)
  await other.client.call(read, { id: 1 })
  expect(server.refreshes).toEqual(['r0'])
  await Promise.all([slow, other].map(({ client }) => client.close()))
})

/** A promise, and what settles it. */
function signal() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

/** A member whose renewal takes longer than it may, and two others of the same store; `now` is the store's time. */
async function lateRenewal() {
  const server = await TokenServer.start()
  const answered = signal()
  server.until = answered.promise
  const time = { now: 0 }
  const base = memoryStore({ clock: { now: () => time.now } })
  const refused = signal()
  const told = signal()
  let holder: string | Uint8Array | undefined
  const store: Store = {
    traits: base.traits,
    get: (key) => base.get(key),
    set: (key, value, write) => base.set(key, value, write),
    async add(key, value, write) {
      const isAdded = await base.add(key, value, write)
      if (key.endsWith('/lease')) holder ??= value
      if (key.endsWith('/lease') && !isAdded) refused.resolve()
      return isAdded
    },
    compareAndSet: (key, expected, next, write) => base.compareAndSet(key, expected, next, write),
    async delete(key, condition) {
      // The slow one gives its lease up after all else.
      if (condition?.ifValue === holder) told.resolve()
      return base.delete(key, condition)
    },
    listen: (topic, listener) => base.listen?.(topic, listener) ?? (() => {}),
    tell: (topic, text) => base.tell?.(topic, text),
  }
  const [slow, other, third] = [1, 2, 3].map(() => member(server, store, { timeoutMs: 100 })) as [
    Member,
    Member,
    Member,
  ]
  await expect(slow.client.call(read, { id: 1 }, { retry: false })).rejects.toMatchObject({ code: 'unavailable' })
  return {
    server,
    answer: answered.resolve,
    settled: () => told.promise,
    refused: refused.promise,
    time,
    slow,
    other,
    third,
  }
}

type Member = ReturnType<typeof member>

it('one that is only late is waited for: nobody else is told that it is lost', async () => {
  const { server, answer, refused, slow, other } = await lateRenewal()
  await using _ = server
  const call = other.client.call(read, { id: 2 })
  await Promise.race([refused, call])
  answer()
  expect(await call).toEqual({ ok: true })
  expect(await slow.client.call(read, { id: 3 })).toEqual({ ok: true })
  expect([server.refreshes, slow.session, other.session]).toEqual([
    ['r0'],
    other.session,
    { token: 't1', refresh: 'r1' },
  ])
  await Promise.all([slow, other].map(({ client }) => client.close()))
})

it('what comes after it was held for lost is good for all after all', async () => {
  const { server, answer, settled, time, slow, other, third } = await lateRenewal()
  await using _ = server
  time.now = 60_000
  await expect(other.client.call(read, { id: 2 })).rejects.toMatchObject({ reason: 'refresh_lost' })
  answer()
  await settled()
  expect(await third.client.call(read, { id: 3 })).toEqual({ ok: true })
  expect([server.refreshes, third.session]).toEqual([['r0'], { token: 't1', refresh: 'r1' }])
  await Promise.all([slow, other, third].map(({ client }) => client.close()))
})

it('a refusal that comes late is told to all as one', async () => {
  const { server, answer, settled, slow, other, third } = await lateRenewal()
  await using _ = server
  server.failWith = 400
  answer()
  await settled()
  const error = (await third.client.call(read, { id: 3 }).catch((failure) => failure)) as CallError
  expect([error.code, error.reason]).toEqual(['unauthenticated', undefined])
  expect(server.refreshes).toEqual(['r0'])
  await Promise.all([slow, other, third].map(({ client }) => client.close()))
})

it('a life that token() declares has it asked again, and replaces no refresh for anybody', async () => {
  const clock = virtualClock()
  const server = { token: 't0' }
  const session = { token: 't0', expiresAt: clock.wallNow() + 60_000 }
  let renewals = 0
  const transports = {
    memory: memoryTransport({
      handle(call) {
        if (call.credential?.secret === server.token) return server.token
        throw new CallError({ code: 'unauthenticated', message: 'refused', sent: 'yes' }, call)
      },
    }),
  }
  const auth = bearerAuth(() => ({ ...session }), {
    refresh() {
      server.token = session.token = `t${++renewals}`
      session.expiresAt = clock.wallNow() + 60_000
      return session
    },
  })
  const client = createClient({ transports, auth, clock, retry: false, shared: processes(memoryStore(), 'shop') })
  await client.call(unaryOperation())
  // It ends soon, and is given once more all the same.
  await clock.advance(57_000)
  await client.call(unaryOperation())
  server.token = 'another'
  expect(await client.call(unaryOperation())).toBe('t1')
  await client.close()
})

it('a renewal of another process is waited for by calls that come later, too: none of them waits for itself', async () => {
  const clock = virtualClock()
  const base = memoryStore({ clock })
  const looked = signal()
  const store: Store = {
    ...bound(base),
    async add(key, value, write) {
      const isAdded = await base.add(key, value, write)
      if (key.endsWith('/lease') && !isAdded) looked.resolve()
      return isAdded
    },
  }
  const transports = {
    memory: memoryTransport({
      handle(call) {
        if (call.credential?.secret === 't1') return 'ok'
        throw new CallError({ code: 'unauthenticated', message: 'refused', sent: 'yes' }, call)
      },
    }),
  }
  const granted = signal()
  const asked = signal()
  const holder = createClient({
    transports,
    clock,
    auth: bearerAuth(() => 't0', {
      async refresh() {
        asked.resolve()
        await granted.promise
        return 't1'
      },
    }),
    shared: processes(store, 'shop'),
  })
  const auth = bearerAuth(() => 't0', { refresh: () => expect.unreachable('one renewal among all') })
  const other = createClient({ transports, clock, auth, shared: processes(store, 'shop') })
  const calls = [holder.call(unaryOperation())]
  await asked.promise
  calls.push(other.call(unaryOperation()))
  await looked.promise
  calls.push(other.call(unaryOperation()))
  await clock.advance(4600)
  granted.resolve()
  expect(await Promise.all(calls)).toEqual(['ok', 'ok', 'ok'])
  await Promise.all([holder, other].map((client) => client.close()))
})

it.each([
  ['what replaced the token', 'sealed', 'ok'],
  ['that it could not be renewed now', 'failed', 'unavailable'],
  ['that it is being renewed', 'using', 'unavailable'],
] as const)('a store that does not take %s is written to again: nobody takes it for lost', async (_, word, first) => {
  const clock = virtualClock()
  const base = memoryStore({ clock })
  let isFailing = true
  const failing = async <T>(next: string, write: () => T | Promise<T>): Promise<T> => {
    if (!isFailing || !next.includes(`"${word}"`)) return write()
    // The mark stands there, and the answer is lost.
    if (word === 'using') await write()
    throw new Error('away')
  }
  const store: Store = {
    ...bound(base),
    add: (key, value, write) => failing(value, () => base.add(key, value, write)),
    compareAndSet: (key, expected, next, write) => failing(next, () => base.compareAndSet(key, expected, next, write)),
    delete: (key, condition) =>
      isFailing && !key.endsWith('/lease') ? Promise.reject(new Error('away')) : base.delete(key, condition),
  }
  let isDown = word === 'failed'
  let refreshes = 0
  const transports = {
    memory: memoryTransport({
      handle(call) {
        if (call.credential?.secret === 't1') return 'ok'
        throw new CallError({ code: 'unauthenticated', message: 'refused', sent: 'yes' }, call)
      },
    }),
  }
  const member = (at: Store) => {
    let token = 't0'
    const auth = bearerAuth(() => token, {
      refresh() {
        refreshes++
        if (isDown)
          throw new CallError({ code: 'unavailable', message: 'down', status: 503, isRetryable: true, sent: 'yes' })
        token = 't1'
        return { token }
      },
      adopt: (renewed) => {
        token = renewed.token
      },
    })
    return createClient({ transports, clock, auth, retry: false, shared: processes(at, 'shop') })
  }
  const [holder, other] = [member(store), member(base)]
  const endOf = async (call: Promise<unknown>): Promise<unknown> => {
    let end: unknown
    call.then(
      (value) => {
        end = value
      },
      (error: CallError) => {
        end = error.reason ?? error.code
      },
    )
    while (end === undefined) {
      // Tokens are sealed by threads that know no fake time: it passes behind work of theirs.
      await crypto.subtle.digest('SHA-256', new Uint8Array(1))
      await new Promise((done) => setImmediate(done))
      await clock.advance(100)
    }
    return end
  }
  expect(await endOf(holder.call(unaryOperation()))).toBe(first)
  const waiting = endOf(other.call(unaryOperation()))
  isFailing = isDown = false
  expect(['ok', 'unavailable']).toContain(await waiting)
  await clock.advance(10_000)
  expect(await endOf(other.call(unaryOperation()))).toBe('ok')
  expect(refreshes).toBe(word === 'failed' ? 2 : 1)
  await Promise.all([holder, other].map((client) => client.close()))
})
