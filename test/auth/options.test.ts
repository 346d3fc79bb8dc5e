import { retry } from 'polywire'
import { apiKeyAuth, bearerAuth } from 'polywire/auth'
import { describe, expect, it } from 'vitest'

describe('the options of auth and retry', () => {
  it.each<[string, () => unknown, string]>([
    ['bearerAuth', () => bearerAuth('x', { refreshs: () => 'y' } as never), "did you mean 'refresh'"],
    ['bearerAuth', () => bearerAuth('x', { refresh: 'y' } as never), 'refresh takes a function'],
    ['bearerAuth', () => bearerAuth('x', { refreshBeforeMs: Number.NaN }), 'refreshBeforeMs takes a number'],
    ['apiKeyAuth', () => apiKeyAuth('x', { headers: 'y' } as never), "did you mean 'header'"],
    ['retry', () => retry({ maxAttempts: Number.NaN }), 'maxAttempts takes a whole number'],
    ['retry', () => retry({ budget: { originToken: 1 } } as never), "did you mean 'originTokens'"],
    ['retry', () => retry(3 as never), 'the options are an object'],
  ])('%s refuses an option that is none', (name, make, words) => {
    expect(make).toThrow(name)
    expect(make).toThrow(words)
  })
})
