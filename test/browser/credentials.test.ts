import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { BrowserSite } from '../support/browser-site.ts'
import { startWireRecorder, type WireRecorder, type WireRequest } from '../support/servers/wire-recorder.ts'

const chromium = inject('chromium')
const why = chromium ? '' : ' (skipped: no Chromium here)'
const canary = 'CANARY0451'

const program = `
  import { createClient } from 'polywire'
  import { apiKeyAuth, bearerAuth, messageSignatures, sessionAuth, signedAuth } from 'polywire/auth'
  import { events, sseTransport } from 'polywire/sse'
  import { get, post, restTransport } from 'polywire/rest'

  const canary = '${canary}'
  const auths = {
    bearer: () => bearerAuth(canary),
    apiKey: () => apiKeyAuth(canary, { header: 'x-my-key' }),
    signatures: () => messageSignatures({ key: new TextEncoder().encode(canary.repeat(4)), keyId: 'k', auth: bearerAuth(canary) }),
    signed: () => signedAuth({ sign: () => ({ 'x-signature': canary }) }),
    session: () => sessionAuth({ csrf: { token: () => canary } }),
  }
  window.ask = async (kind, url, method) => {
    const client = createClient({
      transports: { rest: restTransport({ baseUrl: url }), sse: sseTransport({ baseUrl: url }) },
      auth: auths[kind](),
      retry: false,
    })
    const call = { get: () => client.call(get('/a')), post: () => client.call(post('/a'), { a: 1 }), sse: () => client.call(events('/a', {})).opened }[method]
    const outcome = await call().then(() => 'served', (error) => error.code + ' ' + error.message)
    await client.close()
    return outcome
  }
`

describe.skipIf(!chromium)(`credentials in Chromium${why}`, () => {
  let site: BrowserSite
  let page: Page

  beforeAll(async () => {
    site = await BrowserSite.open(chromium as string, program)
    // One page for all: each asks by a client of its own, and servers of its own.
    ;({ page } = await site.visit())
  })
  afterAll(() => site?.close())

  const cors = ({ headers }: WireRequest): Record<string, string> => ({
    'access-control-allow-origin': headers.origin ?? '*',
    'access-control-allow-headers': headers['access-control-request-headers'] ?? '*',
    'access-control-allow-methods': 'GET,POST',
    'content-type': 'application/json',
  })
  /** Allows everything, and redirects what is no preflight where it is told to. */
  const open = (server: WireRecorder, location?: string): void =>
    server.answer((request, response) => {
      const isMoved = location !== undefined && request.method !== 'OPTIONS'
      response.writeHead(isMoved ? 307 : 200, { ...cors(request), ...(isMoved && { location }) }).end('{}')
    })
  const ask = (kind: string, url: string, method: string): Promise<string> =>
    page.evaluate(`ask(${JSON.stringify(kind)}, ${JSON.stringify(url)}, ${JSON.stringify(method)})`)
  const sent = ({ seen }: WireRecorder): WireRequest[] => seen.filter(({ method }) => method !== 'OPTIONS')

  const kinds = ['bearer', 'apiKey', 'signatures', 'signed', 'session']
  it.each(kinds.flatMap((kind) => ['get', 'post', 'sse'].map((method) => [kind, method] as const)))(
    '%s: nothing of it crosses an origin on a redirected %s',
    async (kind, method) => {
      await using home = await startWireRecorder()
      await using foreign = await startWireRecorder()
      open(home, `${foreign.url}/elsewhere`)
      open(foreign)
      const outcome = await ask(kind, home.url, method)
      const [first] = sent(home)
      // A session adds to what changes something alone.
      const isAdded = kind !== 'session' || method === 'post'
      expect(JSON.stringify(first?.headers).includes(canary) || first?.headers.signature !== undefined).toBe(isAdded)
      for (const { url, headers, body } of foreign.seen) {
        expect(`${url} ${JSON.stringify(headers)} ${body.toString()}`).not.toContain(canary)
        expect(
          Object.keys(headers).filter((name) => /authorization|signature|content-digest|x-my-key|x-csrf/.test(name)),
        ).toEqual([])
      }
      // What only we know for a credential is not followed at all.
      if (isAdded && kind !== 'bearer') expect(outcome).toMatch(/^failed_precondition .*redirect/)
    },
  )

  it('signs the bytes that a page sends, and follows nothing that it cannot sign anew', async () => {
    await using home = await startWireRecorder()
    open(home)
    expect(await ask('signatures', home.url, 'post')).toBe('served')
    const [request] = sent(home)
    expect(request?.headers['signature-input']).toContain(
      '("@method" "@target-uri" "content-type" "content-digest" "authorization")',
    )
    const { createHash } = await import('node:crypto')
    expect(request?.headers['content-digest']).toBe(
      `sha-256=:${createHash('sha256')
        .update(request?.body ?? '')
        .digest('base64')}:`,
    )
  })
})
