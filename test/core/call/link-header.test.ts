import { describe, expect, it } from 'vitest'
import { linkOf, parseLinks } from '../../../src/core/call/link-header.ts'
import { freshSeed, seeded } from '../../support/seeded.ts'

describe('a Link header', () => {
  it.each([
    ['</a>; rel=next', [['/a', { rel: 'next' }]]],
    ['</a>; rel="next"; title="b, c; d"', [['/a', { rel: 'next', title: 'b, c; d' }]]],
    [
      '</a> ; REL = "next" , </b>;rel=prev',
      [
        ['/a', { rel: 'next' }],
        ['/b', { rel: 'prev' }],
      ],
    ],
    ['<https://a.example/?x=1,2;3>; rel=next', [['https://a.example/?x=1,2;3', { rel: 'next' }]]],
    ['</a>; title="say \\"hi\\""; rel=next', [['/a', { title: 'say "hi"', rel: 'next' }]]],
    ['</a>; rel=next; rel=prev', [['/a', { rel: 'next' }]]],
    ['</a>; crossorigin; rel=next', [['/a', { crossorigin: '', rel: 'next' }]]],
    ['</a>;; ; rel=next', [['/a', { rel: 'next' }]]],
    [', ,</a>; rel=next', [['/a', { rel: 'next' }]]],
    [
      '</a>; rel=next ;  ; , </b>; rel=prev',
      [
        ['/a', { rel: 'next' }],
        ['/b', { rel: 'prev' }],
      ],
    ],
    ['</a>; rel=next </b>; rel=prev', [['/a', { rel: 'next' }]]],
    ['</a>', [['/a', {}]]],
    ['<>; rel=next', [['', { rel: 'next' }]]],
    ['', []],
    ['/a; rel=next', []],
    ['</a; rel=next', []],
    ['</a>; rel=next garbage, </b>; rel=prev', [['/a', { rel: 'next' }]]],
  ])('%s', (header, links) => {
    expect(parseLinks(header).map(({ url, params }) => [url, { ...params }])).toEqual(links)
  })

  it('of one relation: whatever its case, among several, and of this page', () => {
    expect(linkOf('</a>; rel="prev NEXT"', 'next')).toBe('/a')
    expect(linkOf('</a>; rel=nextish, </b>; rel=next, </c>; rel=next', 'next')).toBe('/b')
    expect(linkOf('</a>; rel=next; anchor="#x", </b>; rel=next', 'next')).toBe('/b')
    expect(linkOf('</a>; rel=last', 'next')).toBeUndefined()
    expect(linkOf('</a>; __proto__=next', 'next')).toBeUndefined()
  })

  it('is read in linear time, whatever stands in it (random)', () => {
    const seed = freshSeed()
    const random = seeded(seed)
    const parts = ['<', '>', ';', ',', '"', '\\', '=', ' ', 'rel', 'next', '/a', '</a>; rel=next', '\t']
    for (let round = 0; round < 2000; round++) {
      let header = ''
      for (let left = Math.floor(random() * 30); left > 0; left--) header += parts[Math.floor(random() * parts.length)]
      const links = parseLinks(header)
      expect(links.length, `seed ${seed}`).toBeLessThanOrEqual(header.length)
    }
    expect(parseLinks('</a>; x="'.repeat(5000)).length).toBeLessThan(5001)
    expect(parseLinks(`</a>${' ;'.repeat(50_000)}`)).toHaveLength(1)
    expect(parseLinks(`</a>${' '.repeat(100_000)}x`)).toHaveLength(1)
  })
})
