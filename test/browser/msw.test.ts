import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'

declare global {
  /** In the page; the program below puts it there. */
  interface Window {
    mocked(): Promise<unknown[]>
  }
}

const program = `
import { HttpResponse } from 'msw/http'
import { setupWorker } from 'msw/browser'
import { createClient, type } from 'polywire'
import { mock, mockChannel, mockStream } from 'polywire/msw'
import { get, restTransport } from 'polywire/rest'
import { events, sseTransport } from 'polywire/sse'
import { channel, websocketTransport } from 'polywire/websocket'

const user = get('/users/{id}')
const ticks = events('/ticks', { tick: type() })
const chat = channel('chat:{room}', { send: type(), receive: type() })
const base = location.origin
const client = createClient({
  transports: {
    rest: restTransport({ baseUrl: base }),
    sse: sseTransport({ baseUrl: base }),
    websocket: websocketTransport({ url: base + '/ws' }),
  },
})
window.mocked = async () => {
  const seen = []
  let leave
  const left = new Promise((resolve) => { leave = resolve })
  const worker = setupWorker(
    mock(user, ({ input }) => ({ id: input.id })),
    mockStream(ticks, async function* ({ lastEventId, signal }) {
      const next = Number(lastEventId ?? 0) + 1
      yield { type: 'tick', id: String(next), data: next, retry: 1 }
      if (next === 1) throw HttpResponse.error()
      try {
        for (;;) yield { type: 'tick', data: 3 }
      } finally {
        leave(signal.aborted)
      }
    }),
    mockChannel(chat, async ({ input, messages, send }) => {
      for await (const text of messages) send(input.room + ': ' + text)
    }),
  )
  await worker.start({ onUnhandledFrame: 'bypass', serviceWorker: { url: '/worker.js' } })
  seen.push(await client.call(user, { id: 42 }))
  for await (const { data } of client.call(ticks, {})) {
    seen.push(data)
    if (data === 3) break
  }
  seen.push(await left)
  const room = client.call(chat, { room: 'lobby' })
  await room.send('hi')
  for await (const said of room) {
    seen.push(said)
    break
  }
  await client.close()
  return seen
}`

const executablePath = inject('chromium')
describe.skipIf(executablePath === undefined)('mocks of operations in a page', () => {
  let site: BrowserSite
  beforeAll(async () => {
    const worker = readFileSync(fileURLToPath(import.meta.resolve('msw/mockServiceWorker.js')), 'utf8')
    site = await BrowserSite.open(executablePath as string, program, { '/worker.js': worker })
  })
  afterAll(() => site.close())

  it('answer calls, streams that break and are left, and channels', async () => {
    const { context, page } = await site.visit()
    expect(await page.evaluate(() => window.mocked())).toEqual([{ id: '42' }, 1, 2, 3, true, 'lobby: hi'])
    await context.close()
  })
})
