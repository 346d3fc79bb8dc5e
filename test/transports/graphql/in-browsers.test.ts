import { it, vi } from 'vitest'

vi.mock('#platform', () => import('../../../transports/platform/browser.ts'))
vi.mock('#graphql-reader', () => import('../../../transports/graphql/by-hand.ts'))
vi.mock('graphql-request', () => {
  throw new Error('graphql-request is asked for')
})

/** What graphql-request reads in Node is read by hand in browsers: the same tests hold for it. */
await import('./graphql-over-http.test.ts')
await import('./faults.test.ts')

it('is read without graphql-request', async ({ expect }) => {
  const { answerReader } = await import('#graphql-reader')
  const { answerReader: byHand } = await import('../../../transports/graphql/by-hand.ts')
  expect(answerReader).toBe(byHand)
})
