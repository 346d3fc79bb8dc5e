/** Whatever a server writes: each parser of HTTP gives what it should, or nothing, and ends (random, with fast-check, which prints its seed). */
import fc from 'fast-check'
import { CallError, HeaderMap, isCallError } from 'polywire'
import { describe, expect, it } from 'vitest'
import { CookieJar } from '../../../src/auth/session/cookie-jar.ts'
import { linkOf, parseLinks } from '../../../src/core/call/link-header.ts'
import { parseHttpDate, parseRateLimitReset, parseRetryAfter } from '../../../src/core/errors/retry-after.ts'
import { essenceOf, readMediaType } from '../../../transports/http/codecs.ts'
import { readErrorEnvelope } from '../../../transports/http/envelope.ts'
import { httpFailure } from '../../../transports/http/errors.ts'
import { followRedirect, locationOf } from '../../../transports/http/redirect.ts'
import { readPath } from '../../../transports/shared/pages.ts'
import { expectLinear, headerUnits } from '../../support/linear.ts'

/** What stands in headers, the marks of all their grammars more often than by chance. */
const marks = [
  '"',
  '\\',
  ',',
  ';',
  '=',
  '<',
  '>',
  ' ',
  '\t',
  '/',
  ':',
  '-',
  '%',
  '.',
  '0',
  '9',
  'W/',
  'GMT',
  'é',
  '\u00ff',
]
const text = fc
  .array(fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom(...marks)), { maxLength: 30 })
  .map((parts) => parts.join(''))
const runs = { numRuns: 2000 }
const now = Date.parse('2026-06-01T00:00:00Z')
const headersOf = (record: Record<string, string>) => new HeaderMap(record)

describe('dates', () => {
  const date = fc
    .date({ min: new Date('1977-01-02'), max: new Date('2075-01-01'), noInvalidDate: true })
    .map((each) => new Date(Math.floor(each.getTime() / 1000) * 1000))
  const pad = (value: number) => String(value).padStart(2, '0')
  const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

  it('each of the three forms is read as the moment that it names', () => {
    fc.assert(
      fc.property(date, (at) => {
        const [, day, month, year, time] = /^\w+, (\d\d) (\w+) (\d+) (\S+) GMT$/.exec(at.toUTCString()) ?? []
        expect(parseHttpDate(at.toUTCString(), now)).toBe(at.getTime())
        expect(
          parseHttpDate(
            `${days[at.getUTCDay()]?.slice(0, 3)} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`,
            now,
          ),
        ).toBe(at.getTime())
        const short = `${days[at.getUTCDay()]}, ${day}-${month}-${pad(at.getUTCFullYear() % 100)} ${time} GMT`
        expect(parseHttpDate(short, now)).toBe(at.getTime())
      }),
      runs,
    )
  })

  it('what is none is undefined, and a wait is never negative, nor no number', () => {
    fc.assert(
      fc.property(text, text, (value, other) => {
        const read = parseHttpDate(value, now)
        expect(read === undefined || Number.isFinite(read)).toBe(true)
        for (const name of ['retry-after', 'retry-after-ms', 'x-ms-retry-after-ms', 'x-amz-retry-after']) {
          const wait = parseRetryAfter(headersOf({ [name]: value, date: other }), now)
          expect(wait === undefined || wait >= 0).toBe(true)
          const digits = /^\s*\d+(\.\d+)?\s*$/.test(value)
          if (!digits && read === undefined) expect(wait).toBeUndefined()
        }
        for (const name of ['ratelimit-reset', 'x-ratelimit-reset', 'ratelimit']) {
          const wait = parseRateLimitReset(headersOf({ [name]: value, date: other }), now)
          expect(wait === undefined || wait >= 0).toBe(true)
        }
      }),
      runs,
    )
  })
})

describe('a Link header', () => {
  it('gives targets that stand in it, and the same ones whatever stands behind them', () => {
    fc.assert(
      fc.property(text, (header) => {
        const links = parseLinks(header)
        for (const { url } of links) expect(header).toContain(`<${url}`.slice(1))
        expect(parseLinks(`</first>; rel="next", ${header}`)[0]).toEqual({
          url: '/first',
          params: expect.objectContaining({ rel: 'next' }),
        })
        expect(linkOf(`</first>; rel=next, ${header}`, 'next')).toBe('/first')
      }),
      runs,
    )
    expectLinear(parseLinks, [...headerUnits, '<>;', '<a>;x="', '</a>; rel=next, '])
    expectLinear(parseLinks, headerUnits, ['</a>', 'x'])
  })
})

describe('a content type', () => {
  it('has an essence in lower case without parameters, and is never two kinds at once', () => {
    fc.assert(
      fc.property(text, (value) => {
        const essence = essenceOf(value)
        expect(essence).toBe(essence.toLowerCase().trim())
        expect(essence).not.toMatch(/[;,]/)
        const type = readMediaType(value)
        expect(type.essence).toBe(essence)
        expect(['json', 'text', 'bytes', 'untyped', 'contradicting']).toContain(type.kind)
        expect(type.charset).not.toBe('')
        expect(readMediaType(`application/json; charset=utf-8; x=${JSON.stringify('a,b')}`).kind).toBe('json')
      }),
      runs,
    )
    expectLinear(readMediaType, [...headerUnits, 'a/b,', '; charset'])
    expectLinear(readMediaType, headerUnits, ['a/b', 'x'])
  })
})

describe('Set-Cookie', () => {
  const name = fc.stringMatching(/^[A-Za-z0-9_]{1,8}$/)
  const value = fc.stringMatching(/^[A-Za-z0-9%=._~-]{0,12}$/)

  it('several lines stay several, commas of their dates and all', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([each]) => each, maxLength: 6 }), (pairs) => {
        const lines = pairs.map(([key, each]) => `${key}=${each}; Path=/; Expires=Wed, 01 Jan 2100 00:00:00 GMT`)
        const headers = HeaderMap.from(lines.map((line) => ['Set-Cookie', line] as const))
        expect(headers.getSetCookie()).toEqual(lines)
        const jar = new CookieJar()
        jar.store(headers.getSetCookie(), 'https://api.example.com/', now)
        expect(jar.header('https://api.example.com/', now).split('; ').filter(Boolean).sort()).toEqual(
          pairs.map(([key, each]) => `${key}=${each}`).sort(),
        )
      }),
      runs,
    )
  })

  it('of whatever is taken or left, and never sent to where it does not belong', () => {
    fc.assert(
      fc.property(text, (line) => {
        const jar = new CookieJar()
        jar.store([line, 'ok=1; Path=/'], 'https://api.example.com/a/b', now)
        const sent = jar.header('https://api.example.com/a/b', now)
        expect(`; ${sent}`).toContain('; ok=1')
        expect(sent).not.toContain('; ;')
        if (/;\s*secure/i.test(line)) expect(jar.header('http://api.example.com/a/b', now)).toBe('ok=1')
      }),
      runs,
    )
  })
})

describe('where a redirect leads', () => {
  const request = {
    method: 'POST',
    url: 'https://api.example.com/v1/a?b=1',
    headers: { authorization: 'secret', 'x-own': '1' },
    body: 'x',
  }

  it('is an http URL, or one fault; and no credential goes along to another origin', () => {
    const targets = fc.oneof(
      text,
      fc.webUrl(),
      fc.constantFrom(
        '//evil.example/x',
        'http://api.example.com',
        'javascript:alert(1)',
        '\\\\evil.example',
        'https:evil.example',
        '/..//x',
      ),
    )
    fc.assert(
      fc.property(targets, fc.constantFrom(301, 302, 303, 307, 308), (location, status) => {
        const next = followRedirect(request, status, location, undefined)
        if ('what' in next) {
          expect(next).toMatchObject({ sent: 'yes', code: 'failed_precondition' })
          return
        }
        const { protocol, origin } = new URL(next.request.url)
        expect(protocol).toBe('https:')
        expect('authorization' in next.request.headers).toBe(origin === 'https://api.example.com')
        expect(next.request.method).toBe(status < 307 ? 'GET' : 'POST')
      }),
      runs,
    )
    fc.assert(
      fc.property(fc.string(), (name) => {
        const onTheWire = String.fromCharCode(...new TextEncoder().encode(name))
        expect(locationOf(onTheWire)).toBe(/\p{Cs}/u.test(name) ? locationOf(onTheWire) : name.replace(/^\ufeff/, ''))
      }),
      runs,
    )
  })
})

describe('bodies', () => {
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<unknown>(null, true, 5, -1, '', 'a text', 'INVALID_ARGUMENT', '400', {}, []),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          'error',
          'errors',
          'message',
          'code',
          'status',
          'details',
          'detail',
          'type',
          'title',
          '@type',
          'fieldViolations',
          'violations',
          'field',
          'request_id',
          'causes',
          'extensions',
          '__proto__',
          'toString',
          'keys',
          'validation',
          'innerError',
          'retryDelay',
        ),
        tie('tree'),
        { maxKeys: 5, noNullPrototype: true },
      ),
    ),
  }))

  it('of errors: an envelope whose members are what they are called, whatever was written', () => {
    fc.assert(
      fc.property(
        tree,
        fc.constantFrom('application/json', 'application/problem+json', 'text/plain', ''),
        fc.constantFrom(400, 404, 422, 429, 500, 503),
        (body, essence, status) => {
          const said = readErrorEnvelope(body, essence, status)
          for (const name of ['reason', 'serverMessage', 'requestId'] as const)
            expect(['string', 'undefined']).toContain(typeof said[name])
          for (const violation of said.violations ?? [])
            expect([typeof violation.field, typeof violation.message]).toEqual(['string', 'string'])
          const failure = httpFailure(
            { status, headers: headersOf({}), body, essence, redirected: undefined },
            now,
            said,
          )
          expect(failure.status).toBe(status)
          expect(failure.sent).toBe('yes')
          const error = new CallError(failure)
          for (const name of ['violations', 'serverMessage'] as const)
            if (error.message.includes(name)) expect(error[name]?.length).toBeGreaterThan(0)
        },
      ),
      runs,
    )
  })

  it('of pages: a path finds a member of its own or nothing, and throws for nothing', () => {
    fc.assert(
      fc.property(
        tree,
        fc.array(fc.constantFrom('error', 'errors', '0', '-1', '__proto__', 'constructor', 'length', ''), {
          minLength: 1,
          maxLength: 4,
        }),
        (page, path) => {
          const found = readPath(page, path.join('.'))
          expect(typeof found).not.toBe('function')
          expect(found === Object.prototype).toBe(false)
          expect(isCallError(found)).toBe(false)
        },
      ),
      runs,
    )
  })
})
