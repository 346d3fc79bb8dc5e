import { isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { readSocketUrl } from '../../../transports/socket/url.ts'

describe('the address of a socket', () => {
  it.each([
    ['wss://rt.example.com/ws', undefined, 'wss://rt.example.com/ws'],
    ['https://rt.example.com/ws?a=1', undefined, 'wss://rt.example.com/ws?a=1'],
    ['http://localhost:8080', undefined, 'ws://localhost:8080/'],
    ['/ws', 'https://app.example.com/page/', 'wss://app.example.com/ws'],
    ['ws', 'http://app.example.com/page/', 'ws://app.example.com/page/ws'],
  ])('%s on the page %s', (url, page, whole) => {
    expect(readSocketUrl(url, page).href).toBe(whole)
  })

  it.each([
    ['/ws', 'must be absolute'],
    ['ftp://a.example/', "must be a 'ws:' or 'wss:' URL"],
    ['wss://a.example/#x', 'must have no fragment'],
    ['wss://user@a.example/', 'must hold no credential'],
    ['wss://:pass@a.example/', 'must hold no credential'],
  ])('%s is refused', (url, message) => {
    let thrown: unknown
    try {
      readSocketUrl(url)
    } catch (error) {
      thrown = error
    }
    expect(isCallError(thrown) && [thrown.code, thrown.sent]).toEqual(['invalid_argument', 'no'])
    expect(String(thrown)).toContain(message)
  })
})
