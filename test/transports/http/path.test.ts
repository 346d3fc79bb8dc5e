import fc from 'fast-check'
import { isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { PathTemplate } from '../../../transports/http/path.ts'

const fill = (template: string, values: Record<string, unknown>) => new PathTemplate(template).fill(values, undefined)

function refused(template: string, values: Record<string, unknown>): string {
  try {
    fill(template, values)
  } catch (error) {
    if (isCallError(error) && error.code === 'invalid_argument' && error.sent === 'no') return error.message
    throw error
  }
  throw new Error(`${template} took ${JSON.stringify(values)}`)
}

describe('what stands in a path', () => {
  it.each([
    ['/users', {}, '/users'],
    ['', {}, ''],
    ['/users/{id}', { id: 42 }, '/users/42'],
    ['/users/{id}', { id: 42n }, '/users/42'],
    ['/users/{id}', { id: 0 }, '/users/0'],
    ['/a/{b}/c/{d}', { b: 'x', d: 'y' }, '/a/x/c/y'],
    ['/a/{id}/b/{id}', { id: 1 }, '/a/1/b/1'],
    ['/files/{name}.{type}', { name: 'a', type: 'txt' }, '/files/a.txt'],
    ['/u/{id}', { id: 'a b' }, '/u/a%20b'],
    ['/u/{id}', { id: 'a/b?c#d&e=f' }, '/u/a%2Fb%3Fc%23d%26e%3Df'],
    ['/u/{id}', { id: 'ä€😀' }, '/u/%C3%A4%E2%82%AC%F0%9F%98%80'],
    ['/u/{id}', { id: '100%' }, '/u/100%25'],
    ['/u/{id}', { id: '...' }, '/u/...'],
    ['/u/{id}', { id: '%2e%2ex' }, '/u/%252e%252ex'],
    ['/u/{id}', { id: 'a\\b' }, '/u/a%5Cb'],
    ['/find?in={where}', { where: 'a&b' }, '/find?in=a%26b'],
    ['/café/{id}', { id: 1 }, '/caf%C3%A9/1'],
    ['/a%2Fb/{id}', { id: 1 }, '/a%2Fb/1'],
  ])('%s with %o', (template, values, path) => {
    expect(fill(template, values)).toBe(path)
  })

  it('tells that a template has a query of its own', () => {
    expect(new PathTemplate('/find?kind=user').hasQuery).toBe(true)
    expect(new PathTemplate('/find').hasQuery).toBe(false)
    expect(new PathTemplate('/users/{id}/find?kind=user').hasQuery).toBe(true)
    expect(new PathTemplate('/find?in={where}').hasQuery).toBe(true)
  })
})

describe('what would leave its segment is refused, by name and without its value', () => {
  it.each(['.', '..', '%2e', '%2E%2e', '.%2e', '', 'a\u0000b', 'a\r\nb', '\u007f', '\u0085', '\ud800', 'x\udc00y'])(
    '%j',
    (id) => {
      const message = refused('/users/{id}/secrets', { id })
      expect(message).toContain(`'id' of the path`)
      if (id.length > 3) expect(message).not.toContain(id)
    },
  )

  it.each([
    [undefined],
    [null],
    [{}],
    [[]],
    [['a']],
    [Number.NaN],
    [Number.POSITIVE_INFINITY],
    [() => 1],
    [Symbol('x')],
    [new Date(0)],
  ])('%o', (id) => {
    expect(refused('/users/{id}', { id })).toContain(`'id' of the path`)
  })

  it('what is missing is told apart from what has no text', () => {
    expect(refused('/users/{id}', {})).toContain('is missing')
    expect(refused('/users/{id}', { id: null })).toContain('is missing')
    expect(refused('/users/{id}', { id: {} })).toContain('is no string, number or bigint')
  })

  it('a name that objects inherit is no value', () => {
    expect(refused('/x/{constructor}', {})).toContain(`'constructor'`)
    expect(refused('/x/{toString}', {})).toContain(`'toString'`)
  })
})

describe('what is no template', () => {
  it.each([
    ['users/{id}', 'starts with'],
    ['https://evil.example/x', 'starts with'],
    ['@evil.example/x', 'starts with'],
    ['.evil.example/x', 'starts with'],
    ['/users/{id', 'stray brace'],
    ['/users/id}', 'stray brace'],
    ['/users/{{id}}', 'stray brace'],
    ['/users/{}', 'no plain name'],
    ['/users/{+}', 'no plain name'],
    ['/users/{++path}', 'no plain name'],
    ['/users/{/path}', 'no plain name'],
    ['/users/{path*}', 'no plain name'],
    ['/users/{a,b}', 'no plain name'],
    ['/users/{?q}', 'no plain name'],
    ['/users/../admin', 'dot segment'],
    ['/users/%2e%2E/admin', 'dot segment'],
    ['/users/.', 'dot segment'],
    ['/a b', 'white space'],
    ['/a\n', 'white space'],
    ['/a#b', 'white space'],
    ['/\\evil.example', 'white space'],
    [42 as never, 'must be a text'],
    [null as never, "'null' must be a text"],
    ['/users/:id', "':id'"],
    ['/users/:id/posts/:post', "':id'"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a template literal whose quotes are the wrong ones.
    ['/users/${id}', "'$'"],
  ])('%o', (template, message) => {
    expect(() => new PathTemplate(template)).toThrow(TypeError)
    expect(() => new PathTemplate(template)).toThrow(message)
  })

  it.each(['/v1/{name}:cancel', '/v1/documents:batchGet', '/$metadata', '/{id}/$value', '/at/12:30'])(
    '%s is one',
    (template) => {
      expect(new PathTemplate(template).fill({ name: 'a', id: 'a' }, undefined)).toBe(template.replace(/\{\w+\}/, 'a'))
    },
  )

  it.each([
    ['a', '/files/a/raw'],
    ['a/b c/d', '/files/a/b%20c/d/raw'],
    ['ä/?#', '/files/%C3%A4/%3F%23/raw'],
    ['a%2Fb', '/files/a%252Fb/raw'],
    ['a\\b', '/files/a%5Cb/raw'],
    [7, '/files/7/raw'],
  ])('{+path} takes several segments: %j', (path, filled) => {
    expect(new PathTemplate('/files/{+path}/raw').names).toEqual(['path'])
    expect(fill('/files/{+path}/raw', { path })).toBe(filled)
  })

  it.each(['', '/a', 'a/', 'a//b', '.', '..', 'a/../b', 'a/%2e%2e/b', 'a/./b', 'a\nb', '\ud800', undefined, {}])(
    '{+path} refuses %j, which could leave them',
    (path) => {
      expect(() => fill('/files/{+path}', { path })).toThrow(/'path' of the path/)
    },
  )

  it('{+path} leaves its place as little as {path} does (random)', () => {
    const part = fc.constantFrom('.', '..', '/', '\\', '%2e', '?', '#', '@', ':', ' ', '\n', 'ä', 'a', '%2f', ';', '')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const path = parts.join('')
        let filled: string
        try {
          filled = fill('/before/{+path}/after', { path })
        } catch (error) {
          expect(isCallError(error)).toBe(true)
          return
        }
        const url = new URL(`https://api.example.com${filled}`)
        expect([url.origin, url.search, url.hash]).toEqual(['https://api.example.com', '', ''])
        const inside = url.pathname.split('/').slice(2, -1)
        expect(inside.map(decodeURIComponent)).toEqual(path.split('/'))
      }),
      { numRuns: 3000 },
    )
  })

  it('`//` at the start stays a path: nothing is put before it but an origin', () => {
    expect(new URL(`https://api.example.com${fill('//evil.example/x', {})}`).origin).toBe('https://api.example.com')
  })
})

it('never leaves its segment, whatever stands in it (random)', () => {
  const seed = Math.floor(Math.random() * 2 ** 31)
  console.log(`seed ${seed}`)
  let state = seed
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff
    return state % below
  }
  const alphabet = [
    '.',
    '/',
    '\\',
    '%',
    '2',
    'e',
    'E',
    'f',
    '?',
    '#',
    '@',
    ':',
    ' ',
    '\t',
    '\n',
    '\0',
    'ä',
    '\ud800',
    '😀',
    'a',
    '..',
    '%2e',
    '%2f',
    ';',
    '&',
  ]
  const template = new PathTemplate('/before/{id}/after')
  for (let i = 0; i < 5_000; i++) {
    const id = Array.from({ length: random(6) }, () => alphabet[random(alphabet.length)]).join('')
    let path: string
    try {
      path = template.fill({ id }, undefined)
    } catch (error) {
      expect(isCallError(error), JSON.stringify(id)).toBe(true)
      continue
    }
    const url = new URL(`https://api.example.com${path}`)
    const segments = url.pathname.split('/')
    expect([url.origin, segments.length, segments[1], segments[3], url.search, url.hash], JSON.stringify(id)).toEqual([
      'https://api.example.com',
      4,
      'before',
      'after',
      '',
      '',
    ])
    expect(decodeURIComponent(segments[2] as string)).toBe(id)
  }
})
