import fc from 'fast-check'
import { HeaderMap } from 'polywire'
import { describe, expect, it } from 'vitest'
import { readCost, readRateLimits } from '../../../src/core/policies/rate-limits.ts'
import { expectLinear, headerUnits } from '../../support/linear.ts'

const wallNow = Date.parse('2026-11-22T10:00:00Z')
const date = 'Sun, 22 Nov 2026 10:00:00 GMT'
const inMinute = wallNow / 1000 + 60

const read = (headers: Record<string, string | readonly string[]>) => readRateLimits(new HeaderMap(headers), wallNow)
const one = (limit: Partial<ReturnType<typeof read>[number]>) => [
  { name: undefined, limit: undefined, windowMs: undefined, remaining: 1, resetMs: 60_000, ...limit },
]

/** As servers sent them: express-rate-limit (all drafts), @fastify/rate-limit, GitHub. */
const dialects: readonly [string, Record<string, string | readonly string[]>, ReturnType<typeof read>][] = [
  [
    'draft 6',
    { 'ratelimit-policy': '2;w=60', 'ratelimit-limit': '2', 'ratelimit-remaining': '1', 'ratelimit-reset': '60' },
    one({ limit: 2, windowMs: 60_000 }),
  ],
  [
    'draft 6 with policies in the limit',
    { 'ratelimit-limit': '2, 2;w=60, 100;w=3600', 'ratelimit-remaining': '1', 'ratelimit-reset': '60' },
    one({ limit: 2 }),
  ],
  [
    'draft 7, a dictionary',
    { 'ratelimit-policy': '2;w=60', ratelimit: 'limit=2, remaining=1, reset=60' },
    one({ limit: 2, windowMs: 60_000 }),
  ],
  [
    'draft 8 to 11, a list',
    { 'ratelimit-policy': '"2-in-1min"; q=2; w=60; pk=:N2Y=:', ratelimit: '"2-in-1min"; r=1; t=60' },
    one({ name: '2-in-1min', limit: 2, windowMs: 60_000 }),
  ],
  [
    'several policies of draft 11, in several headers, with a comma and a quote in a name',
    {
      'ratelimit-policy': ['"a, \\"b\\"";q=10;w=1', '"day";q=1000;w=86400'],
      ratelimit: ['"a, \\"b\\"";r=1;t=1', '"day";r=900;t=3600'],
    },
    [
      ...one({ name: 'a, "b"', limit: 10, windowMs: 1000, resetMs: 1000 }),
      ...one({ name: 'day', limit: 1000, windowMs: 86_400_000, remaining: 900, resetMs: 3_600_000 }),
    ],
  ],
  [
    'policies of bytes and of concurrency are none of requests',
    { 'ratelimit-policy': '"b";q=9;qu="content-bytes", "r";q=2;w=60', ratelimit: '"b";r=0;t=9, "r";r=1;t=60' },
    one({ name: 'r', limit: 2, windowMs: 60_000 }),
  ],
  [
    'X-RateLimit as an epoch in seconds, held against the Date of the response',
    { date, 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': `${inMinute}` },
    one({ limit: 2 }),
  ],
  [
    'X-RateLimit as an epoch in ms',
    { 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': `${inMinute * 1000}` },
    one({}),
  ],
  ['X-RateLimit as seconds from now', { 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '60' }, one({})],
  [
    'GitHub, by resource',
    {
      'x-ratelimit-limit': '30',
      'x-ratelimit-remaining': '1',
      'x-ratelimit-reset': '60',
      'x-ratelimit-resource': 'search',
    },
    one({ name: 'search', limit: 30 }),
  ],
]

describe('rate-limit headers', () => {
  it.each(dialects)('%s', (_name, headers, expected) => {
    expect(read(headers)).toEqual(expected)
  })

  it('a server whose clock is an hour ahead is understood by its own Date', () => {
    const ahead = {
      date: 'Sun, 22 Nov 2026 11:00:00 GMT',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': `${inMinute + 3600}`,
    }
    expect(read(ahead)[0]?.resetMs).toBe(60_000)
  })

  it.each([
    ['from a cache', { age: '5', 'ratelimit-remaining': '0', 'ratelimit-reset': '60' }],
    ['no numbers', { 'x-ratelimit-remaining': 'many', 'x-ratelimit-reset': '60' }],
    ['a negative number', { 'x-ratelimit-remaining': '-1', 'x-ratelimit-reset': '60' }],
    ['an exponent', { 'x-ratelimit-remaining': '1', 'x-ratelimit-reset': '1e9' }],
    ['a reset in 300 years', { 'ratelimit-remaining': '0', 'ratelimit-reset': '999999999' }],
    ['no reset', { 'x-ratelimit-remaining': '0' }],
    ['a list without r', { ratelimit: '"a";t=60' }],
    ['rubbish', { ratelimit: '"a;r=0;t=60', 'ratelimit-policy': ';;,"' }],
    ['nothing', {}],
  ])('says nothing: %s', (_name, headers) => {
    expect(read(headers)).toEqual([])
  })
})

it("Shopify's cost is a limit in points", () => {
  const throttleStatus = { maximumAvailable: 1000, currentlyAvailable: 400, restoreRate: 50 }
  expect(readCost({ cost: { requestedQueryCost: 101, actualQueryCost: 46, throttleStatus } })).toEqual({
    limit: { name: 'cost', limit: 1000, remaining: 400, resetMs: 12_000, windowMs: 20_000 },
    cost: 46,
  })
  expect(readCost({ cost: { throttleStatus: { ...throttleStatus, restoreRate: 0 } } })).toBeUndefined()
  expect(readCost(undefined)).toBeUndefined()
})

describe('whatever a server writes (random)', () => {
  const marks = [
    '"',
    '\\',
    ',',
    ';',
    '=',
    ' ',
    'r',
    't',
    'q',
    'w',
    'remaining',
    'reset',
    'limit',
    '0',
    '9',
    '-',
    '.',
    'e',
  ]
  const text = fc
    .array(fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom(...marks)), { maxLength: 20 })
    .map((parts) => parts.join(''))
  const names = ['', '-policy', '-limit', '-remaining', '-reset'].flatMap((end) => [
    `ratelimit${end}`,
    `x-ratelimit${end}`,
    `x-rate-limit${end}`,
  ])

  it('is a list of limits, each of numbers that can be waited for', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names, 'date', 'age'), text), (headers) => {
        for (const { name, limit, remaining, resetMs, windowMs } of read(headers)) {
          expect(['string', 'undefined']).toContain(typeof name)
          expect(remaining).toBeGreaterThanOrEqual(0)
          expect(resetMs).toBeGreaterThanOrEqual(0)
          expect(resetMs).toBeLessThanOrEqual(86_400_000)
          for (const number of [limit, remaining, windowMs]) expect(number ?? 0).toBeLessThan(1e19)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('comes back as it was written, whatever the names hold', () => {
    const name = fc.stringMatching(/^[ -~]{0,12}$/)
    const limits = fc.uniqueArray(
      fc.record({ name, r: fc.nat(1000), t: fc.nat(86_400), q: fc.nat(5000), w: fc.nat(86_400) }),
      { selector: (each) => each.name, maxLength: 4 },
    )
    const quoted = (value: string) => `"${value.replace(/["\\]/g, '\\$&')}"`
    fc.assert(
      fc.property(limits, fc.constantFrom(';', ' ; ', '; '), (all, semicolon) => {
        const field = (write: (each: (typeof all)[number]) => string[]) =>
          all.map((each) => [quoted(each.name), ...write(each)].join(semicolon)).join(', ')
        const headers = {
          ratelimit: field(({ r, t }) => [`r=${r}`, `t=${t}`]),
          'ratelimit-policy': field(({ q, w }) => [`q=${q}`, `w=${w}`]),
        }
        expect(read(headers)).toEqual(
          all.map(({ name, r, t, q, w }) => ({
            name,
            limit: q,
            remaining: r,
            resetMs: t * 1000,
            windowMs: w * 1000,
          })),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('takes time by its length', () => {
    for (const name of ['ratelimit', 'ratelimit-policy', 'ratelimit-limit', 'x-ratelimit-reset'])
      for (const around of [[], ['a;b', 'c'], ['remaining', '1']])
        expectLinear((value) => read({ 'ratelimit-remaining': '1', [name]: value }), headerUnits, around)
  })

  it('in the extensions of GraphQL: a cost of finite numbers, or none', () => {
    fc.assert(
      fc.property(
        fc.object({
          key: fc.constantFrom(
            'cost',
            'throttleStatus',
            'maximumAvailable',
            'currentlyAvailable',
            'restoreRate',
            'actualQueryCost',
          ),
          values: [fc.integer(), fc.double(), fc.string(), fc.constant(null), fc.boolean()],
          maxDepth: 3,
        }),
        (extensions) => {
          const found = readCost(extensions)
          if (!found) return
          expect(found.cost).toBeGreaterThan(0)
          expect(found.limit.resetMs).toBeGreaterThanOrEqual(0)
          expect(Number.isFinite(found.limit.remaining)).toBe(true)
        },
      ),
      { numRuns: 3000 },
    )
    for (const extensions of [undefined, null, 5, 'x', []]) expect(readCost(extensions)).toBeUndefined()
  })
})
