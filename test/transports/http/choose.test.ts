import { HttpResponse, http } from 'msw'
import { setupServer } from 'msw/node'
import { CallError } from 'polywire'
import { MockAgent } from 'undici'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openBody } from '../../../transports/http/body.ts'
import { fetchOptionsOf, selectEngine } from '../../../transports/http/choose.ts'
import { requestBuffered } from '../../../transports/http/collect.ts'
import type { FetchLike, HttpEngine } from '../../../transports/http/contract.ts'
import { openUpload } from '../../../transports/http/upload.ts'
import { createAutoEngine, createHttpEngine, name } from '../../../transports/platform/web.ts'
import { newScope } from '../../support/recording-sink.ts'
import { FaultServer } from '../../support/servers/fault-server.ts'

let server: FaultServer
beforeAll(async () => {
  server = await FaultServer.start()
})
afterAll(() => server.close())
afterEach(() => vi.restoreAllMocks())

async function get(engine: HttpEngine, url = `${server.url}/json`): Promise<{ headers: Record<string, string> }> {
  const response = await requestBuffered(engine, { method: 'GET', url, headers: {} }, newScope())
  await engine.close()
  return JSON.parse(response.text())
}
/** Each engine tells the server what it is. */
const agentOf = async (engine: HttpEngine) => (await get(engine, `${server.url}/echo`)).headers['user-agent']

describe('selectEngine', () => {
  it("takes undici in Node, fetch where it is asked for, and a user's function", async () => {
    expect(await agentOf(selectEngine({}))).toBe('polywire')
    expect(await agentOf(selectEngine({ http: 'auto' }))).toBe('polywire')
    expect(await agentOf(selectEngine({ http: 'undici' }))).toBe('polywire')
    expect(await agentOf(selectEngine({ http: 'fetch' }))).toBe('node')
    const mine = vi.fn<FetchLike>(async () => Response.json({ from: 'mine' }))
    expect(await get(selectEngine({ http: mine }))).toEqual({ from: 'mine' })
    expect(mine).toHaveBeenCalledWith(`${server.url}/json`, expect.objectContaining({ method: 'GET' }))
  })

  it('lets a dispatcher win, and refuses what is none', async () => {
    const dispatcher = new MockAgent()
    dispatcher.get('http://a.example').intercept({ path: '/' }).reply(200, { from: 'mock' })
    vi.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('not me'))
    expect(await get(selectEngine({ http: 'fetch', dispatcher }), 'http://a.example/')).toEqual({ from: 'mock' })
    expect(() => selectEngine({ dispatcher: {} })).toThrow(CallError)
    await dispatcher.close()
  })

  it('looks at fetch anew on each call', async () => {
    const engine = selectEngine({})
    const ask = async () =>
      (await requestBuffered(engine, { method: 'GET', url: `${server.url}/json`, headers: {} }, newScope())).text()
    expect(await ask()).toBe('{"ok":true}')
    const spy = vi.spyOn(globalThis, 'fetch').mockImplementation(async () => Response.json({ from: 'spy' }))
    expect(await ask()).toBe('{"from":"spy"}')
    expect(spy).toHaveBeenCalledOnce()
    spy.mockRestore()
    expect(await ask()).toBe('{"ok":true}')
    vi.stubGlobal(
      'fetch',
      vi.fn(async () => new Response('stub')),
    )
    expect(await ask()).toBe('stub')
    vi.unstubAllGlobals()
    await engine.close()
  })

  it('undici that was asked for by name is no fetch, replaced or not', async () => {
    const spy = vi.spyOn(globalThis, 'fetch')
    expect(await agentOf(selectEngine({ http: 'undici' }))).toBe('polywire')
    expect(spy).not.toHaveBeenCalled()
  })

  it("keeps fetch's own options, and nothing where there is none", () => {
    expect(fetchOptionsOf({})).toBeUndefined()
    expect(fetchOptionsOf({ credentials: 'include', mode: undefined } as object)).toEqual({ credentials: 'include' })
  })

  it('sees a spy that only looks on', async () => {
    const spy = vi.spyOn(globalThis, 'fetch')
    expect(await agentOf(selectEngine({}))).toBe('node')
    expect(spy).toHaveBeenCalledOnce()
  })

  it('is answered by msw, redirects and errors too', async () => {
    const msw = setupServer(
      http.get('http://api.example/x', () => HttpResponse.json({ from: 'msw' })),
      http.get('http://api.example/moved', () => HttpResponse.redirect('http://api.example/x', 302)),
      http.get('http://api.example/down', () => HttpResponse.error()),
    )
    msw.listen()
    try {
      expect(await get(selectEngine({}), 'http://api.example/x')).toEqual({ from: 'msw' })
      const moved = await requestBuffered(
        selectEngine({}),
        { method: 'GET', url: 'http://api.example/moved', headers: {} },
        newScope(),
      )
      expect([moved.url, moved.text()]).toEqual(['http://api.example/x', '{"from":"msw"}'])
      await expect(get(selectEngine({}), 'http://api.example/down')).rejects.toMatchObject({ fault: { sent: 'maybe' } })
    } finally {
      msw.close()
    }
  })
})

describe('a replaced fetch that is less than a fetch', () => {
  const response = (given: unknown) =>
    requestBuffered(
      selectEngine({ http: (async () => given) as FetchLike }),
      { method: 'GET', url: 'http://a.example/x', headers: {} },
      newScope(),
    )

  it.each<[object, number, string]>([
    [{ ok: true, json: async () => ({ a: 1 }) }, 200, '{"a":1}'],
    [{ ok: false, status: 404, text: async () => 'no' }, 404, 'no'],
    [{ ok: false }, 500, ''],
    [new Response(null, { status: 204 }), 204, ''],
    [
      { status: 200, headers: { 'X-A': '1' }, arrayBuffer: async () => new TextEncoder().encode('hi').buffer },
      200,
      'hi',
    ],
  ])('%o', async (given, status, text) => {
    const got = await response(given)
    expect([got.status, got.text(), got.url]).toEqual([status, text, 'http://a.example/x'])
    if ('headers' in given && !(given instanceof Response)) expect(got.headers.get('x-a')).toBe('1')
  })

  it.each([undefined, null, 'text', Response.error()])('%o is a fault, and no network would mend it', async (given) => {
    const code = given instanceof Response ? undefined : 'internal'
    await expect(response(given as object)).rejects.toMatchObject({
      fault: { what: 'fetch gave no unread response', code },
    })
  })

  it('one Response for all calls is a fault, since it was read before', async () => {
    const one = Response.json({ a: 1 })
    expect((await response(one)).status).toBe(200)
    await expect(response(one)).rejects.toMatchObject({
      fault: { what: 'fetch gave no unread response', hint: 'Look at what replaced fetch', code: 'internal' },
    })
  })

  it('that throws, or never settles, is a fault, or ends with the call', async () => {
    const throwing: FetchLike = () => {
      throw new Error('broken mock')
    }
    const request = { method: 'GET', url: 'http://a.example/x', headers: {} }
    await expect(requestBuffered(selectEngine({ http: throwing }), request, newScope())).rejects.toMatchObject({
      cause: { message: 'broken mock' },
    })
    const scope = newScope()
    const waiting = requestBuffered(selectEngine({ http: () => new Promise(() => undefined) }), request, scope)
    scope.abort('enough')
    await expect(waiting).rejects.toBe('enough')
  })

  it("goes on without a signal where the AbortController is jsdom's", async () => {
    await using server = await FaultServer.start()
    class Foreign {
      signal = { aborted: false, addEventListener() {}, removeEventListener() {} }
      abort() {}
    }
    vi.stubGlobal('AbortController', Foreign)
    const engine = selectEngine({ http: 'fetch' })
    const scope = newScope()
    const request = { method: 'POST', url: `${server.url}/echo`, headers: {}, body: 'hello' }
    const echo = JSON.parse((await requestBuffered(engine, request, scope)).text())
    const { body } = await openBody(engine, { ...request, url: `${server.url}/stall` }, scope)
    await body.next()
    const closed = server.exchanges.at(-1)?.closed()
    scope.abort('enough')
    vi.unstubAllGlobals()
    expect([echo.body, server.hits('/echo')]).toEqual(['hello', 1])
    await closed
  })

  it('is handed the options of fetch as they are, and none that nobody asked for', async () => {
    const mine = vi.fn<FetchLike>(async () => new Response('ok'))
    const engine = selectEngine({ http: mine })
    const fetchOptions = {
      credentials: 'include',
      mode: 'cors',
      cache: 'no-store',
      priority: 'high',
      keepalive: true,
    } as const
    await requestBuffered(
      engine,
      { method: 'GET', url: 'http://a.example/', headers: { a: '1' }, fetchOptions },
      newScope(),
    )
    await requestBuffered(engine, { method: 'GET', url: 'http://a.example/', headers: {} }, newScope())
    expect(mine.mock.calls[0]?.[1]).toMatchObject({ ...fetchOptions, headers: { a: '1' } })
    expect(Object.keys(mine.mock.calls[1]?.[1] ?? {})).toEqual(['method', 'headers', 'redirect', 'signal'])
  })
})

describe('the web platform', () => {
  it('is fetch, and nothing else', async () => {
    expect(name).toBe('web')
    expect(await agentOf(createAutoEngine())).toBe('node')
    expect(() => createHttpEngine({ dispatcher: {} })).toThrow('Node only')
  })

  it('buffers an upload where the platform cannot stream one', async () => {
    const bodies: unknown[] = []
    const mine: FetchLike = async (_url, init) => {
      bodies.push(init.body)
      return new Response('ok')
    }
    vi.resetModules()
    vi.stubGlobal(
      'Request',
      class {
        headers = new Headers({ 'content-type': 'text/plain' })
      },
    )
    const { selectEngine } = await import('../../../transports/http/choose.ts')
    const body = () => new Blob(['hel', 'lo']).stream()
    await requestBuffered(
      selectEngine({ http: mine }),
      { method: 'POST', url: 'http://a.example/', headers: {}, body, open: openUpload },
      newScope(),
    )
    vi.unstubAllGlobals()
    expect(await (bodies[0] as Blob).text()).toBe('hello')
  })
})
