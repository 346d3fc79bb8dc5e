import { setupServer } from 'msw/node'
import { afterAll, beforeAll } from 'vitest'
import { describeMocked, loadPolywire } from './support/describe-mocked.ts'
import { handlers } from './support/handlers.ts'

const polywire = await loadPolywire()
const server = setupServer(...handlers)
beforeAll(() => server.listen({ onUnhandledFrame: 'error' }))
afterAll(() => server.close())

describeMocked('msw listens after Polywire was imported', async () => polywire, server)
