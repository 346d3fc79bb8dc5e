import { EventSource } from 'polywire/event-source'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { corpus } from '../../support/event-stream-corpus.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'
import { SseServer } from '../../support/servers/sse-server.ts'

let server: SseServer
beforeAll(async () => {
  server = await SseServer.start()
})
afterAll(() => server.close())

interface Seen {
  readonly type: string
  readonly data: unknown
  readonly lastEventId: string
}

/** The types that stand in the corpus. */
const types = ['message', 'test', 'x', 'a']

/** What a page gets of one response, until the connection ends. */
async function seenOf(chunks: readonly Uint8Array[]): Promise<Seen[]> {
  server.plan({ chunks, after: 'end' })
  const source = new EventSource(server.origin)
  const seen: Seen[] = []
  for (const type of types)
    source.addEventListener(type, ({ data, lastEventId }) => seen.push({ type, data, lastEventId }))
  await new Promise((resolve) => source.addEventListener('error', resolve))
  source.close()
  return seen
}

/** What the standard says of the same text: the last event id stays until another one comes. */
function expectedOf(said: readonly unknown[]): Seen[] {
  let lastEventId = ''
  return said.flatMap((each) => {
    if (typeof each === 'string' && each.startsWith('cursor ')) lastEventId = each.slice(7)
    if (typeof each !== 'object' || each === null) return []
    const { type, data, cursor } = each as Seen & { readonly cursor?: string }
    if (cursor !== undefined) lastEventId = cursor
    return [{ type, data, lastEventId }]
  })
}

describe('what a page sees of an event stream', () => {
  it.each(corpus)('%s', async (_, text, said) => {
    expect(await seenOf([new TextEncoder().encode(text)])).toEqual(expectedOf(said))
  })

  it.each(corpus)('%s, in packets', async (name, text, said) => {
    const seed = freshSeed()
    const random = seeded(seed)
    const bytes = new TextEncoder().encode(text)
    const most = Math.max(9, bytes.length / 20)
    const chunks: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += chunks.at(-1)?.length ?? 0)
      chunks.push(bytes.subarray(at, at + 1 + Math.floor(random() * most)))
    expect(await seenOf(chunks), `seed ${seed}, '${name}'`).toEqual(expectedOf(said))
  })
})
