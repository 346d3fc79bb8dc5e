import { describe, expect, it } from 'vitest'
import { decodeText, essenceOf, isJson, isText } from '../../../transports/http/codecs.ts'

describe('media types', () => {
  it.each(['application/json', 'text/json', 'application/problem+json'])('%s is JSON', (type) => {
    expect(isJson(type)).toBe(true)
  })

  it.each(['application/jsonl', 'text/plain', ''])('%s is no JSON', (type) => {
    expect(isJson(type)).toBe(false)
  })

  it.each(['text/csv', 'image/svg+xml', 'application/xml', 'application/x-www-form-urlencoded'])(
    '%s is text',
    (type) => {
      expect(isText(type)).toBe(true)
      expect(isText('application/octet-stream')).toBe(false)
    },
  )

  it('go without their parameters, and in lower case', () => {
    expect(essenceOf('Application/JSON; charset=utf-8')).toBe('application/json')
    expect(essenceOf(' text/plain , text/html')).toBe('text/plain')
    expect(essenceOf(null)).toBe('')
  })
})

describe('charsets', () => {
  const latin = Uint8Array.of(0x63, 0x61, 0x66, 0xe9)

  it('are those that the platform knows; any other is read as UTF-8', () => {
    expect(decodeText(latin, 'iso-8859-1')).toBe('café')
    expect(decodeText(new TextEncoder().encode('café'), 'UTF8')).toBe('café')
    expect(decodeText(new TextEncoder().encode('café'), 'no-such-charset')).toBe('café')
  })

  it('a name that only begins like UTF-8 is another', () => {
    const text = Uint8Array.of(0x61, 0xff)
    expect(decodeText(text, 'utf-8-mac')).toBe('a\u{fffd}')
    expect(decodeText(Uint8Array.of(0x61, 0), 'utf-16le')).toBe('a')
  })

  it('a byte order mark goes', () => {
    expect(decodeText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe('a')
  })
})
