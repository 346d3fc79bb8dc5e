import { createClient, isCallError } from 'polywire'
import { otel } from 'polywire/otel'
import { get, restTransport } from 'polywire/rest'
import { expect, it, vi } from 'vitest'

vi.mock('@opentelemetry/api', () => {
  throw new Error("Cannot find package '@opentelemetry/api'")
})

it('where the API is not installed, a call says which command installs it, and nothing is sent', async () => {
  const client = createClient({
    transports: { rest: restTransport({ baseUrl: 'http://127.0.0.1:9' }) },
    telemetry: otel(),
  })
  const error = await client.call(get('/x')).catch((thrown: unknown) => thrown)
  expect(isCallError(error) && [error.code, error.sent, error.operation]).toEqual([
    'failed_precondition',
    'no',
    'GET /x',
  ])
  expect(String(error)).toContain('npm install @opentelemetry/api')
  await client.close()
})
