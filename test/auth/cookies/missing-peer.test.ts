import { createClient, isCallError } from 'polywire'
import { cookieJar } from 'polywire/cookies'
import { get, restTransport } from 'polywire/rest'
import { expect, it, vi } from 'vitest'

vi.mock('tough-cookie', () => {
  throw new Error("Cannot find package 'tough-cookie'")
})

it('a jar without tough-cookie says what to install, and nothing is sent', async () => {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: 'http://127.0.0.1:1' }) },
    auth: cookieJar(),
    retry: false,
  })
  const error = await client.call(get('/me')).catch((thrown: unknown) => thrown)
  if (!isCallError(error)) throw error
  expect([error.code, error.sent]).toEqual(['failed_precondition', 'no'])
  const told = `${error.message} ${String(error.cause)}`
  expect(told).toContain('npm install tough-cookie')
  await client.close()
})
