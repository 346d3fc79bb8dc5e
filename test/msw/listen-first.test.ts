import { setupServer } from 'msw/node'
import { afterAll } from 'vitest'
import { describeMocked, loadPolywire } from './support/describe-mocked.ts'
import { handlers } from './support/handlers.ts'

const server = setupServer(...handlers)
server.listen({ onUnhandledFrame: 'error' })
afterAll(() => server.close())

describeMocked('msw listens before Polywire is imported', loadPolywire, server)
