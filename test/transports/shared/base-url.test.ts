import { afterEach, describe, expect, it, vi } from 'vitest'
import { isCrossOrigin, readBaseUrl } from '../../../transports/shared/base-url.ts'

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
  it.each([
    ['/v1', 'https://app.example.com/v1'],
    ['v1', 'https://app.example.com/app/v1'],
    ['', 'https://app.example.com'],
  ])('%j is relative to <base href>, as for fetch', (url, prefix) => {
    vi.stubGlobal('location', { href: 'https://app.example.com/users/7/edit', origin: 'https://app.example.com' })
    vi.stubGlobal('document', { baseURI: 'https://app.example.com/app/' })
    expect(read(url).prefix).toBe(prefix)
  })

  it("in a frame of srcdoc is relative to the page around it, and that page's origin is the frame's", () => {
    vi.stubGlobal('location', { href: 'about:srcdoc', origin: 'null' })
    vi.stubGlobal('document', { baseURI: 'https://app.example.com/x/y' })
    vi.stubGlobal('origin', 'https://app.example.com')
    expect(read('v1').prefix).toBe('https://app.example.com/x/v1')
    expect(isCrossOrigin('https://app.example.com')).toBe(false)
  })

  it('in a sandbox is of another origin than the frame, whatever its URL says', () => {
    vi.stubGlobal('location', { href: 'https://app.example.com/frame', origin: 'https://app.example.com' })
    vi.stubGlobal('document', { baseURI: 'https://app.example.com/frame' })
    vi.stubGlobal('origin', 'null')
    expect(isCrossOrigin(read('/v1').origin)).toBe(true)
  })
})
