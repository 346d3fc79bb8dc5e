import { acceptLanguage, createClient, createContextKey, isCallError } from 'polywire'
import { get, restTransport } from 'polywire/rest'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type RestServer, startRestServer } from '../support/servers/rest-server.ts'

let server: RestServer
beforeAll(async () => {
  server = await startRestServer()
})
afterAll(() => server[Symbol.asyncDispose]())
const clients: { close(): Promise<void> }[] = []
afterEach(async () => {
  server.seen.length = 0
  for (const client of clients.splice(0)) await client.close()
})
function connect(languages: Parameters<typeof acceptLanguage>[0]) {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: server.url }) },
    interceptors: [acceptLanguage(languages)],
  })
  clients.push(client)
  return client
}
const read = get('/text')

describe('acceptLanguage', () => {
  it.each([
    ['de', 'de'],
    [['de-CH', 'de', 'en'], 'de-CH, de;q=0.9, en;q=0.8'],
    [['de', 'de', '*'], 'de, *;q=0.9'],
    [
      Array.from('abcdefghijkl'),
      'a, b;q=0.9, c;q=0.8, d;q=0.7, e;q=0.6, f;q=0.5, g;q=0.4, h;q=0.3, i;q=0.2, j;q=0.1, k;q=0.1, l;q=0.1',
    ],
    [[], undefined],
    [() => undefined, undefined],
  ])('%j is written %s', async (languages, header) => {
    await connect(languages).call(read)
    // Node's own fetch and undici say nothing of languages.
    expect(server.last.headers['accept-language']).toBe(header)
  })

  it('asks for each call, which may say otherwise', async () => {
    const language = createContextKey('en')
    const client = connect(({ context }) => context.get(language))
    await client.call(read)
    await client.call(read, {}, { context: language.with('fr') })
    await client.call(read, {}, { context: language.with('fr'), headers: { 'Accept-Language': 'it' } })
    await client.call(read, {}, { headers: { 'accept-language': undefined } })
    expect(server.seen.map(({ headers }) => headers['accept-language'])).toEqual(['en', 'fr', 'it', undefined])
  })

  it('what is no language tag is refused unsent, and so is a function that throws', async () => {
    expect(() => acceptLanguage('de,en')).toThrow(/language tags/)
    expect(() => acceptLanguage(['de', ''])).toThrow(/language tags/)
    for (const languages of [
      () => 'a b',
      () => 5 as never,
      () => Promise.reject(new Error('later')) as never,
      () => {
        throw new Error('none')
      },
    ]) {
      const error = await connect(languages)
        .call(read)
        .catch((thrown: unknown) => thrown)
      expect(isCallError(error) && error.sent).toBe('no')
    }
    expect(server.seen).toEqual([])
  })
})
