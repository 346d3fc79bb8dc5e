import { afterEach, describe, expect, it, vi } from 'vitest'
import { readBaseUrl } from '../../../transports/shared/base-url.ts'

const read = (url: unknown) => readBaseUrl(url, 'restTransport')
afterEach(() => vi.unstubAllGlobals())

describe('a base URL', () => {
  const bare = ['api.example.com/v1', 'api.example.com', 'api.example.com:8080/v1', 'localhost:3000', '127.0.0.1:80/v1']

  it.each(bare)('%s says what to put in front, on a page too', (url) => {
    expect(() => read(url)).toThrow("put 'https://' or 'http://' in front")
    vi.stubGlobal('location', { href: 'https://app.example.com/x/y', origin: 'https://app.example.com' })
    expect(() => read(url)).toThrow("put 'https://' or 'http://' in front")
  })

  it.each([
    ['/v1', 'https://app.example.com/v1'],
    ['', 'https://app.example.com'],
    ['v1', 'https://app.example.com/x/v1'],
    ['v2.1', 'https://app.example.com/x/v2.1'],
    ['./api.example/v1', 'https://app.example.com/x/api.example/v1'],
    ['https://api.example.com/v1/', 'https://api.example.com/v1'],
  ])('%s on a page', (url, prefix) => {
    vi.stubGlobal('location', { href: 'https://app.example.com/x/y', origin: 'https://app.example.com' })
    expect(read(url).prefix).toBe(prefix)
  })
})
