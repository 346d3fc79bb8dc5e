import { afterEach, describe, expect, it } from 'vitest'
import { nodes, run } from '../../../support/nodes.ts'
import { closeAll, onClose } from '../../../support/realtime.ts'
import { RealtimeServer } from '../../../support/servers/websocket-server.ts'

afterEach(closeAll)

const load = `
  const say = (value) => console.log(JSON.stringify(value))
  const { createClient, type } = await import('polywire')
  const { channel, request, websocketTransport } = await import('polywire/websocket')
  const client = createClient({ transports: { websocket: websocketTransport({ url: process.env.URL, idleMs: 600_000, lingerMs: 600_000 }) } })
`

describe.each([...nodes])('Node %s', (_, node) => {
  it('takes ws, not its own class, unless that was replaced', async () => {
    const { lines } = await run(
      node,
      `
      const { chooseSocketDriver } = await import('./transports/socket/driver/choose.ts')
      const loadNative = async () => ({ name: 'ws' })
      const name = async () => (await chooseSocketDriver({ loadNative })).name
      console.log(JSON.stringify(await name()))
      globalThis.WebSocket = new Proxy(globalThis.WebSocket, {})
      console.log(JSON.stringify(await name()))
    `,
    )
    expect(lines).toEqual(['ws', 'web'])
  })

  it('ends by itself after the last call, with the socket still open', async () => {
    const server = await RealtimeServer.start({ reply: ({ data }) => ({ type: 'data', data: data + 1 }) })
    onClose(() => server.close())
    const { lines } = await run(
      node,
      `${load}
      const increment = request('increment', { input: type(), output: type() })
      say(await client.call(increment, 1))
      say(await client.call(increment, 2))
    `,
      { URL: server.url },
    )
    expect(lines).toEqual([2, 3])
    expect(server.upgrades).toHaveLength(1)
  })

  it('does not end while a stream waits for its server', async () => {
    const server = await RealtimeServer.start()
    onClose(() => server.close())
    const running = run(
      node,
      `${load}
      const feed = client.call(channel('feed', { receive: type() }))
      await feed.opened
      say('open')
      for await (const n of feed) {
        say(n)
        if (n === 2) break
      }
    `,
      { URL: server.url },
    )
    await server.until(() => server.framesOf('subscribe').length === 1)
    server.publish('feed', 1)
    server.options.refuse = { status: 503 }
    server.drop()
    await server.until(() => server.upgrades.length === 2)
    delete server.options.refuse
    server.publish('feed', 2)
    expect((await running).lines).toEqual(['open', 1, 2])
  })
})
