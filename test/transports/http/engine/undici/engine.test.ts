import { describe, expect, it } from 'vitest'
import { UrlSplitter } from '../../../../../transports/http/engine/undici/engine.ts'

const plain = [
  'http://a.example/',
  'https://a.example/x/y.z?q=1&r=a+b%20c',
  'http://127.0.0.1:8080/v1/users/42',
  'http://[::1]:8080/x',
  'https://a.example/x;y=1/@me/(1)/*!',
]
const odd = [
  'http://a.example',
  'http://a.example?x=1',
  'HTTP://A.example/x',
  'http://a.example:80/x',
  'https://a.example:443/x',
  'http://a.example/ü/x y',
  'http://a.example/a/../b',
  'http://a.example/a/./b',
  'http://a.example/a/%2E%2e/b',
  'http://a.example/x#fragment',
  'http://a.example/x?q="<>\'',
  'http://bücher.example/x',
  'http://a.example/a\\b',
  'http://a.example/a\tb',
  ' http://a.example/x',
]

function parsed(url: string) {
  const whole = new URL(url)
  whole.hash = ''
  return { origin: whole.origin, path: whole.href.slice(whole.origin.length) }
}

describe('UrlSplitter', () => {
  it.each([...plain, ...odd])('%s: as a URL parser', (url) => {
    const splitter = new UrlSplitter()
    for (let nth = 0; nth < 2; nth++) expect(splitter.split(url)).toEqual(parsed(url))
  })

  it('keeps origins apart that begin alike', () => {
    const splitter = new UrlSplitter()
    splitter.split('http://a.example/x')
    expect(splitter.split('http://a.example.evil/x').origin).toBe('http://a.example.evil')
    expect(splitter.split('http://a.example:81/x').origin).toBe('http://a.example:81')
    expect(() => splitter.split('http://a.example@evil.example/')).toThrow(TypeError)
  })

  it.each([
    '',
    '/x',
    '//a.example/x',
    'a.example',
    'ftp://a.example/',
    'file:///x',
    'http://',
    'http://u:p@a.example/',
    'http://a b/',
  ])('refuses %s', (url) => {
    const splitter = new UrlSplitter()
    splitter.split('http://a.example/')
    expect(() => splitter.split(url)).toThrow(TypeError)
  })

  it('agrees with a URL parser on random URLs', () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    let state = seed
    const random = (below: number) => {
      state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
      return state % below
    }
    const alphabet = 'ab/..%2e%41?#&=+ \\ü<>"\'`{}|^[]~!$()*,;:@-_\t'
    const splitter = new UrlSplitter()
    for (let nth = 0; nth < 5000; nth++) {
      let path = ''
      for (let at = random(20); at > 0; at--) path += alphabet[random(alphabet.length)]
      const url = `http://${['a.example', 'b.example:8080', '127.0.0.1'][random(3)]}/${path}`
      expect(splitter.split(url), `seed ${seed}: ${url}`).toEqual(parsed(url))
    }
  })
})
