import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { corpus } from '../support/event-stream-corpus.ts'
import { CorsGateway } from '../support/servers/cors-gateway.ts'
import { SseServer } from '../support/servers/sse-server.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'

/** What the page offers to the tests: our class beside the browser's own. */
const program = `
  import { EventSource as Ours } from 'polywire/event-source'

  const classes = { ours: Ours, native: window.EventSource }
  Object.assign(window, {
    /** All events of one connection, until it ends. */
    follow(which, url, types, last) {
      const source = new classes[which](url)
      const seen = []
      const note = (event) => seen.push(event instanceof MessageEvent
        ? [event.type, event.data, event.origin, event.lastEventId]
        : [event.type, source.readyState, event.bubbles, event.cancelable])
      source.onopen = note
      for (const type of types) source.addEventListener(type, note)
      return new Promise((resolve) => source.addEventListener(last, (event) => {
        note(event)
        source.close()
        resolve([...seen, source.readyState, source.url, source.withCredentials])
      }))
    },
    shape: (which) => {
      const source = new classes[which]('/relative?a=b#c')
      source.close()
      return [source.url, source.CONNECTING, source.OPEN, source.CLOSED, source.readyState, source.onopen,
        source instanceof EventTarget, classes[which].CLOSED]
    },
    refuse: (which) => {
      try {
        new classes[which]('http://')
      } catch (error) {
        return [error.name, error instanceof DOMException]
      }
    },
  })
`

describe.skipIf(!chromium)(`EventSource in Chromium, beside the browser's own${why}`, () => {
  let site: BrowserSite
  let context: BrowserContext
  let page: Page
  let server: SseServer
  let gateway: CorsGateway

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
    server = await SseServer.start()
    gateway = await CorsGateway.start(server.origin)
  })
  afterAll(async () => {
    await gateway?.close()
    await server?.close()
    await site?.close()
  })
  beforeEach(async () => {
    ;({ context, page } = await site.visit())
  })
  afterEach(() => context.close())

  const ask = (expression: string) => page.evaluate(expression)
  const follow = (which: string, types: readonly string[], last = 'error') =>
    ask(`follow('${which}', '${gateway.origin}/stream', ${JSON.stringify(types)}, '${last}')`)

  it('tells the same events in the same order, for every case of the parser', async () => {
    for (const [name, text] of corpus) {
      const told: unknown[] = []
      for (const which of ['native', 'ours']) {
        server.plan({ chunks: [text] })
        told.push(await follow(which, ['message', 'test', 'x', 'a']))
      }
      expect(told[1], name).toEqual(told[0])
    }
  })

  it('ends for good on the same answers', async () => {
    for (const answer of [
      { status: 204 },
      { status: 404 },
      { headers: { 'content-type': 'text/plain' }, chunks: ['data: a\n\n'] },
    ]) {
      const told: unknown[] = []
      for (const which of ['native', 'ours']) {
        server.plan(answer)
        told.push(await follow(which, []))
      }
      expect(told[1]).toEqual(told[0])
    }
  })

  it('has the shape of the own one, resolves URLs against the page, and refuses the same', async () => {
    expect(await ask(`shape('ours')`)).toEqual(await ask(`shape('native')`))
    expect(await ask(`refuse('ours')`)).toEqual(await ask(`refuse('native')`))
  })
})
