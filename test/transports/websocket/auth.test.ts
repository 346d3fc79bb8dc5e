import { createContextKey, type } from 'polywire'
import { bearerAuth } from 'polywire/auth'
import { plainJson, request } from 'polywire/websocket'
import { afterEach, describe, expect, it } from 'vitest'
import { add, chat, closeAll, feed, passUntil, place, settle, setUp, setUpTimed, take } from '../../support/realtime.ts'

afterEach(closeAll)

/** A token that is valid for a server, and how often it was renewed. */
function makeTokens(first = 'token-0') {
  let token = first
  let renewals = 0
  const tokens = new Set([first])
  const auth = bearerAuth(() => token, {
    refresh: () => {
      renewals++
      token = `token-${renewals}`
      return token
    },
  })
  return {
    auth,
    /** What the server takes. */
    tokens,
    get renewals() {
      return renewals
    },
    /** The present one is worth nothing any more; `next` will be. */
    expire(next = `token-${renewals + 1}`) {
      tokens.clear()
      tokens.add(next)
    },
  }
}

describe('the credential of a socket', () => {
  it.each(['query', 'subprotocol'] as const)('goes into the %s', async (authIn) => {
    const { auth, tokens } = makeTokens('tökén/0')
    const { client, server } = await setUp({ server: { tokens }, transport: { authIn }, client: { auth } })
    await client.call(feed, { name: 'a' }).opened
    expect(server.client.token).toBe('tökén/0')
  })

  it('goes into a header by default in Node', async () => {
    const { auth, tokens } = makeTokens()
    const { client, server } = await setUp({ server: { tokens }, client: { auth } })
    await client.call(feed, { name: 'a' }).opened
    expect(server.upgrades[0]?.headers.authorization).toBe('Bearer token-0')
    expect(server.upgrades[0]?.url).toBe('/ws')
    expect(server.framesOf('auth')).toHaveLength(0)
  })

  it('goes into the first message where the socket takes no headers', async () => {
    const { auth, tokens } = makeTokens()
    const { client, server } = await setUp({
      server: { tokens, authIn: 'message' },
      transport: { webSocket: WebSocket },
      client: { auth },
    })
    await client.call(feed, { name: 'a' }).opened
    expect(server.frames[0]).toMatchObject({ type: 'auth', token: 'token-0' })
  })

  it('cannot go into a header where there is none to be had', async () => {
    const { auth } = makeTokens()
    const { client } = await setUp({ transport: { webSocket: WebSocket, authIn: 'header' }, client: { auth } })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({ code: 'failed_precondition' })
  })

  it('is accepted before anything else is sent, where the server answers', async () => {
    const { auth, tokens } = makeTokens()
    const held: (() => void)[] = []
    const { client, server } = await setUp({
      server: {
        tokens,
        authIn: 'message',
        intercept: ({ type, ref }, each) => {
          if (type !== 'auth') return false
          held.push(() => each.send({ type: 'ack', ref }))
          return true
        },
      },
      transport: { authIn: 'message', adapter: plainJson({ acks: true }) },
      client: { auth },
    })
    const room = client.call(chat, { room: 'a' })
    const sent = room.send({ text: 'hi' })
    await server.until(() => held.length === 1)
    await settle()
    expect(server.frames.map(({ type }) => type)).toEqual(['auth'])
    held[0]?.()
    await sent
    expect(server.frames.map(({ type }) => type)).toEqual(['auth', 'subscribe', 'message'])
  })

  it('counts into connectTimeoutMs', async () => {
    const { auth } = makeTokens()
    const { client, clock, server } = await setUpTimed({
      server: { intercept: ({ type }) => type === 'auth' },
      transport: { authIn: 'message', adapter: plainJson({ acks: true }), connectTimeoutMs: 5000 },
      client: { auth, retry: false },
    })
    const opened = client.call(feed, { name: 'a' }).opened
    opened.catch(() => {})
    await server.until(() => server.framesOf('auth').length === 1)
    await clock.advance(5000)
    await expect(opened).rejects.toMatchObject({ code: 'unavailable', phase: 'connect' })
  })

  it('is not needed by a transport with auth: false', async () => {
    const { auth } = makeTokens()
    const { client, server } = await setUp({ transport: { auth: false }, client: { auth } })
    await client.call(feed, { name: 'a' }).opened
    expect(server.upgrades[0]?.headers.authorization).toBeUndefined()
  })
})

describe('a refused credential', () => {
  it('of a handshake is renewed once, for all who wait', async () => {
    const given = makeTokens()
    given.expire()
    const { client, server } = await setUp({ server: { tokens: given.tokens }, client: { auth: given.auth } })
    const feeds = Array.from({ length: 100 }, (_, n) => client.call(feed, { name: `${n}` }))
    await Promise.all(feeds.map((each) => each.opened))
    expect(given.renewals).toBe(1)
    expect(server.upgrades).toHaveLength(2)
  })

  it('that cannot be renewed fails the calls, without a loop', async () => {
    const { client, server } = await setUp({
      server: { tokens: new Set(['other']) },
      client: { auth: bearerAuth('static') },
    })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      code: 'unauthenticated',
      status: 401,
      sent: 'no',
    })
    await settle()
    expect(server.upgrades).toHaveLength(1)
  })

  it.each([true, 'auto'] as const)('of the first message is renewed (acks: %s)', async (acks) => {
    const given = makeTokens()
    given.expire()
    const { client, server } = await setUp({
      server: { tokens: given.tokens, authIn: 'message' },
      transport: { authIn: 'message', adapter: plainJson({ acks }) },
      client: { auth: given.auth },
    })
    await client.call(feed, { name: 'a' }).opened
    expect(given.renewals).toBe(1)
    expect(server.framesOf('auth').map(({ token }) => token)).toEqual(['token-0', 'token-1'])
  })

  it('that a live socket is closed for is renewed before the reconnect: streams go on', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({ server: { tokens: given.tokens }, client: { auth: given.auth } })
    const feeds = ['a', 'b'].map((name) => client.call(feed, { name }))
    await Promise.all(feeds.map((each) => each.opened))
    server.publish('feed:a', 1)
    given.expire()
    server.closeAll(4401)
    await server.until(() => server.closes.length === 1)
    server.publish('feed:a', 2)
    server.publish('feed:b', 3)
    expect(await take(feeds[0] as never, 2)).toEqual([1, 2])
    expect(await take(feeds[1] as never, 1)).toEqual([3])
    expect(given.renewals).toBe(1)
    expect(server.upgrades.map(({ headers }) => headers.authorization)).toEqual(['Bearer token-0', 'Bearer token-1'])
  })

  it('by a server that accepts and then closes with 4401 ends in two tries', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({
      server: {
        intercept: ({ type }, each) => {
          if (type !== 'subscribe') return false
          each.close(4401)
          return true
        },
      },
      client: { auth: given.auth },
    })
    await expect(client.call(feed, { name: 'a' }).opened).rejects.toMatchObject({
      code: 'unauthenticated',
      status: 4401,
    })
    expect(server.upgrades).toHaveLength(2)
    expect(given.renewals).toBe(1)
  })

  it('by a server that closes open streams again and again ends too', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({ client: { auth: given.auth } })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    const failed = take(room, 1).catch((error: unknown) => error)
    server.closeAll(4401)
    await server.until(() => server.framesOf('subscribe').length === 2)
    await settle()
    server.closeAll(4401)
    expect(await failed).toMatchObject({ code: 'unauthenticated' })
    expect(given.renewals).toBe(1)
  })

  it('of a request on a live socket is renewed in the protocol, and the channels stay', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({
      server: {
        tokens: given.tokens,
        reply: ({ data }, each) =>
          given.tokens.has(each.token ?? '')
            ? { type: 'data', data: data.a + data.b }
            : { type: 'error', error: { code: 'unauthenticated' } },
      },
      client: { auth: given.auth },
    })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    given.expire()
    const sums = Array.from({ length: 100 }, (_, n) => client.call(add, { a: n, b: 1 }))
    expect(await Promise.all(sums)).toEqual(sums.map((_, n) => n + 1))
    expect(given.renewals).toBe(1)
    expect(server.upgrades).toHaveLength(1)
    expect(server.framesOf('auth').map(({ token }) => token)).toEqual(['token-1'])
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
  })

  it('of a request is renewed by another socket, where the protocol has no word for it', async () => {
    const given = makeTokens()
    const { reauthenticate: _, ...adapter } = plainJson()
    const { client, server } = await setUp({
      server: {
        tokens: given.tokens,
        reply: ({ data }, each) =>
          given.tokens.has(each.token ?? '')
            ? { type: 'data', data: data.a + data.b }
            : { type: 'error', error: { code: 'unauthenticated' } },
      },
      transport: { adapter },
      client: { auth: given.auth },
    })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    server.publish('feed:a', 1)
    expect(await take(room, 1)).toEqual([1])
    given.expire()
    expect(await client.call(add, { a: 1, b: 2 })).toBe(3)
    expect(server.upgrades).toHaveLength(2)
    server.publish('feed:a', 2)
    expect(await take(room, 1)).toEqual([2])
  })

  it('of what was left before its answer came is no matter of the socket', async () => {
    const { client, server } = await setUp({ server: { intercept: ({ type }) => type === 'message' } })
    const [room, other] = ['a', 'b'].map((name) => client.call(feed, { name }))
    await Promise.all([room?.opened, other?.opened])
    const controller = new AbortController()
    const asked = client.call(add, { a: 1, b: 2 }, { signal: controller.signal })
    await server.until(() => server.framesOf('message').length === 1)
    controller.abort()
    await expect(asked).rejects.toThrow('aborted')
    const [{ ref } = {}] = server.framesOf('message')
    const error = { code: 'unauthenticated' }
    server.client.send({ type: 'error', ref, error })
    await other?.close()
    await server.until(() => server.framesOf('unsubscribe').length === 1)
    server.client.send({ type: 'error', channel: 'feed:b', error })
    server.publish('feed:a', 1)
    expect(await take(room as never, 1)).toEqual([1])
    expect(server.upgrades).toHaveLength(1)
  })

  it('does not send a request again that may have been done', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({
      server: {
        intercept: ({ type }, each) => {
          if (type !== 'message') return false
          each.close(4401)
          return true
        },
      },
      client: { auth: given.auth },
    })
    const write = client.call(chat, { room: 'x' })
    await write.opened
    await expect(client.call(place, { sku: 'tea' })).rejects.toMatchObject({ code: 'unavailable', sent: 'maybe' })
    expect(server.framesOf('message')).toHaveLength(1)
  })
})

describe('a credential that is renewed on a live socket', () => {
  /** A server that looks at the token that came last, and never answers `auth`. */
  const silent = (tokens: Set<string>) => ({
    tokens,
    authIn: 'handshake' as const,
    intercept({ type, token }: { type: string; token?: string }, each: { token: string | undefined }) {
      if (type !== 'auth') return false
      each.token = token
      return true
    },
    reply: ({ data }: { data?: any }, each: { token: string | undefined }) =>
      tokens.has(each.token ?? '')
        ? { type: 'data', data: data.a + data.b }
        : { type: 'error', error: { code: 'unauthenticated' } },
  })

  it.each([true, 'auto'] as const)('is not waited for: the rest follows at once (acks: %s)', async (acks) => {
    const given = makeTokens()
    const { client, server, clock } = await setUpTimed({
      server: silent(given.tokens),
      transport: { adapter: plainJson({ acks }) },
      client: { auth: given.auth },
    })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    given.expire()
    const from = clock.now()
    expect(await client.call(add, { a: 1, b: 2 })).toBe(3)
    expect(clock.now()).toBe(from)
    await passUntil(clock, () => clock.now() > from + 60_000, 5000)
    expect(server.upgrades).toHaveLength(1)
    expect(server.framesOf('auth').map(({ token }) => token)).toEqual(['token-1'])
    expect(room.state).toBe('open')
  })

  it('again and again, each time its predecessor is refused', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({ server: silent(given.tokens), client: { auth: given.auth } })
    for (let turn = 0; turn < 3; turn++) {
      expect(await client.call(add, { a: turn, b: 1 })).toBe(turn + 1)
      given.expire()
    }
    expect(server.framesOf('auth').map(({ token }) => token)).toEqual(['token-1', 'token-2'])
    expect(server.upgrades).toHaveLength(1)
  })

  it('and refused for an open stream is another try where its predecessor has lived', async () => {
    const given = makeTokens()
    const { client, server, clock } = await setUpTimed({
      server: { intercept: ({ type }) => type === 'auth' },
      transport: { heartbeat: false },
      client: { auth: given.auth, timeoutMs: Number.POSITIVE_INFINITY },
    })
    const room = client.call(feed, { name: 'a' })
    await room.opened
    for (let turn = 1; turn <= 3; turn++) {
      await clock.advance(10_001)
      server.client.send({ type: 'error', channel: 'feed:a', error: { code: 'unauthenticated' } })
      await passUntil(clock, () => server.framesOf('subscribe').length === turn + 1, 100)
      await passUntil(clock, () => room.state === 'open', 100)
      expect(given.renewals).toBe(turn)
    }
  })

  it('and refused for a stream that was open, ends that without a loop', async () => {
    const given = makeTokens()
    const { client, server } = await setUp({
      server: {
        intercept({ type, channel }, each) {
          if (type !== 'subscribe') return type === 'auth'
          queueMicrotask(() => each.send({ type: 'error', channel, error: { code: 'unauthenticated' } }))
          return false
        },
      },
      client: { auth: given.auth },
    })
    const room = client.call(feed, { name: 'a' })
    await expect(take(room, 1)).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(given.renewals).toBe(1)
    expect(server.framesOf('subscribe')).toHaveLength(2)
  })
})

describe('one connection is one principal', () => {
  /** Whose token it is may change at any time; nobody says by `identity` who calls. */
  async function session(options: object = {}) {
    const user = { token: 'a' }
    const auth = bearerAuth(() => user.token, options)
    return { user, ...(await setUp({ client: { auth } })) }
  }
  const tokensOf = (server: { upgrades: { headers: { authorization?: string | undefined } }[] }) =>
    server.upgrades.map(({ headers }) => headers.authorization)

  it('who comes while the socket of the last one idles has another', async () => {
    const { user, client, server } = await session()
    const room = client.call(feed, { name: 'a' })
    await room.opened
    await room.close()
    user.token = 'b'
    await client.call(feed, { name: 'b' }).opened
    expect(tokensOf(server)).toEqual(['Bearer a', 'Bearer b'])
  })

  it('who comes while another still reads has another', async () => {
    const { user, client, server } = await session()
    const first = client.call(feed, { name: 'a' })
    await first.opened
    user.token = 'b'
    const second = client.call(feed, { name: 'a' })
    await second.opened
    expect(tokensOf(server)).toEqual(['Bearer a', 'Bearer b'])
    server.publish('feed:a', 1)
    expect(await take(first, 1)).toEqual([1])
    expect(await take(second, 1)).toEqual([1])
    user.token = 'a'
    await client.call(feed, { name: 'c' }).opened
    expect(server.upgrades).toHaveLength(2)
  })

  it('a request goes out on the socket of who makes it', async () => {
    const { user, client, server } = await session()
    server.options.reply = (_, each) => ({ type: 'data', data: each.token })
    const whoami = request('whoami', { output: type<string>() })
    expect(await client.call(whoami)).toBe('a')
    user.token = 'b'
    expect(await client.call(whoami)).toBe('b')
    user.token = 'a'
    expect(await client.call(whoami)).toBe('a')
  })

  it('where identity says so, another token is the same principal', async () => {
    const { user, client, server } = await session({ identity: () => 'ann' })
    await client.call(feed, { name: 'a' }).opened
    user.token = 'b'
    await client.call(feed, { name: 'b' }).opened
    expect(tokensOf(server)).toEqual(['Bearer a'])
  })

  it('a call with a credential of its own has a socket of its own', async () => {
    const { client, server } = await session()
    await client.call(feed, { name: 'a' }).opened
    await client.call(feed, { name: 'a' }, { headers: { authorization: 'Bearer mine' } }).opened
    expect(tokensOf(server)).toEqual(['Bearer a', 'Bearer mine'])
    await client.call(feed, { name: 'b' }).opened
    expect(server.upgrades).toHaveLength(2)
  })
})

describe('two identities', () => {
  it('share no socket', async () => {
    const user = createContextKey('nobody')
    const auth = bearerAuth(({ identity }) => `token of ${identity}`, {
      identity: ({ context }) => context?.get(user) ?? '',
    })
    const { client, server } = await setUp({ client: { auth } })
    const ann = client.call(feed, { name: 'a' }, { context: user.with('ann') })
    const bob = client.call(feed, { name: 'a' }, { context: user.with('bob') })
    await Promise.all([ann.opened, bob.opened])
    expect(server.upgrades.map(({ headers }) => headers.authorization).sort()).toEqual([
      'Bearer token of ann',
      'Bearer token of bob',
    ])
    expect(server.framesOf('subscribe')).toHaveLength(2)
  })
})

describe('one socket is one principal', () => {
  it('the next one who logs in has a socket of his own, while that of the one before idles or lives', async () => {
    const session = { token: 'of ada' }
    const { client, server } = await setUp({ client: { auth: bearerAuth(() => session.token) } })
    const hers = client.call(feed, { name: 'hers' })
    await hers.opened
    await hers.close()
    session.token = 'of grace'
    await client.call(feed, { name: 'mine' }).opened
    session.token = 'of linus'
    await client.call(feed, { name: 'his' }).opened
    expect(server.upgrades.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer of ada',
      'Bearer of grace',
      'Bearer of linus',
    ])
  })

  it('a call that brings its own authorization has a socket of its own, with a source or without', async () => {
    for (const auth of [bearerAuth('ours'), undefined]) {
      const { client, server } = await setUp({ ...(auth && { client: { auth } }) })
      const headers = { authorization: 'Bearer mine' }
      await client.call(feed, { name: 'a' }).opened
      await client.call(feed, { name: 'b' }, { headers }).opened
      await client.call(feed, { name: 'c' }, { headers }).opened
      await client.call(feed, { name: 'd' }).opened
      expect(server.upgrades.map((upgrade) => upgrade.headers.authorization)).toEqual([
        auth ? 'Bearer ours' : undefined,
        'Bearer mine',
        'Bearer mine',
      ])
    }
  })

  it('goes into the first message, too', async () => {
    const { client, server } = await setUp({
      server: { tokens: new Set(['mine']), authIn: 'message' },
      transport: { webSocket: WebSocket },
    })
    await client.call(feed, { name: 'b' }, { headers: { authorization: 'Bearer mine' } }).opened
    expect(server.frames[0]).toMatchObject({ type: 'auth', token: 'mine' })
  })
})
