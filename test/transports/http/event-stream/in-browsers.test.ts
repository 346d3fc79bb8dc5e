import { it, vi } from 'vitest'

vi.mock('#platform', () => import('../../../../transports/platform/browser.ts'))

/** What reads event streams by eventsource-parser in Node has one of our own in browsers: the same tests hold for it. */
await import('./event-stream.test.ts')

it('is read by the parser of browsers', async ({ expect }) => {
  const platform = await import('#platform')
  const { EventParsers } = await import('../../../../transports/http/event-stream/by-hand.ts')
  expect(platform.EventParsers).toBe(EventParsers)
})
