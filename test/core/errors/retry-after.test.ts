import { describe, expect, it } from 'vitest'
import { HeaderMap } from '../../../src/core/call/header-map.ts'
import { parseHttpDate, parseRateLimitReset, parseRetryAfter } from '../../../src/core/errors/retry-after.ts'

const now = Date.UTC(2026, 10, 22, 12, 0, 0)
const read = (headers: Record<string, string>) => parseRetryAfter(new HeaderMap(headers), now)

describe('parseRetryAfter', () => {
  const table: [string, number | undefined][] = [
    ['0', 0],
    ['120', 120_000],
    ['1.5', 1500],
    [' 7 ', 7000],
    ['99999999999', 99_999_999_999_000],
    ['-5', undefined],
    ['1e3', undefined],
    ['abc', undefined],
    ['', undefined],
    ['1, 2', undefined],
    ['0x10', undefined],
    ['Sun, 22 Nov 2026 12:00:30 GMT', 30_000],
    ['Sunday, 22-Nov-26 12:00:30 GMT', 30_000],
    ['Sun Nov 22 12:00:30 2026', 30_000],
    ['Sun Nov  1 12:00:30 2026', 0],
    ['Sun Nov 22 12:00:30 2026 GMT', undefined],
    ['Sun, 22 Nov 2026 11:00:00 GMT', 0],
    ['Sun, 22 Nov 2026 12:00:30 UTC', undefined],
    ['2026-11-22T12:00:30Z', undefined],
    ['Sun, 32 Nov 2026 12:00:30 GMT', undefined],
    ['Sun, 22 Nov 2026 25:00:30 GMT', undefined],
  ]
  it.each(table)('%j is %s ms', (value, ms) => {
    expect(read({ 'retry-after': value })).toBe(ms)
  })

  it('prefers the headers in milliseconds', () => {
    expect(read({ 'retry-after-ms': '250', 'retry-after': '3' })).toBe(250)
    expect(read({ 'x-ms-retry-after-ms': '300', 'retry-after': '3' })).toBe(300)
    expect(read({ 'x-amz-retry-after': '350', 'retry-after': '3' })).toBe(350)
    expect(read({ 'retry-after-ms': 'soon', 'retry-after': '3' })).toBe(3000)
  })

  it("holds a date against the response's own Date, so that a clock that is off is understood", () => {
    for (const skew of [-3_600_000, 3_600_000]) {
      const date = new Date(now + skew).toUTCString()
      const at = new Date(now + skew + 1500 + 500).toUTCString()
      expect(read({ 'retry-after': at, date })).toBe(2000)
    }
  })

  it('is undefined without any', () => {
    expect(read({})).toBeUndefined()
  })
})

describe('parseRateLimitReset', () => {
  const epoch = now / 1000 + 30
  const table: [Record<string, string>, number | undefined][] = [
    [{ 'ratelimit-reset': '30' }, 30_000],
    [{ 'ratelimit-reset': '0' }, 0],
    [{ 'x-ratelimit-reset': '30' }, 30_000],
    [{ 'ratelimit-reset': '5', 'x-ratelimit-reset': '30' }, 5000],
    [{ 'x-ratelimit-reset': String(epoch) }, 30_000],
    [{ 'x-ratelimit-reset': String(epoch * 1000) }, 30_000],
    [{ 'x-ratelimit-reset': String(epoch - 60) }, 0],
    [{ ratelimit: 'limit=10, remaining=0, reset=7' }, 7000],
    [{ ratelimit: '"default";r=0;t=9' }, 9000],
    [{ ratelimit: '"at=4";r=0' }, undefined],
    [{ 'x-ratelimit-reset': 'soon' }, undefined],
    [{ 'x-ratelimit-reset': '-5' }, undefined],
    [{ 'x-ratelimit-reset': '30', 'retry-after': 'in a while' }, undefined],
    [{ 'x-ratelimit-reset': '30', 'retry-after-ms': '1' }, undefined],
    [{ 'x-ratelimit-reset': '30', 'x-ms-retry-after-ms': '1' }, undefined],
    [{}, undefined],
  ]
  it.each(table)('%j is %s ms', (headers, ms) => {
    expect(parseRateLimitReset(new HeaderMap(headers), now)).toBe(ms)
  })

  it("holds an epoch against the response's own Date", () => {
    const headers = { 'x-ratelimit-reset': String(epoch), date: new Date(now + 10_000).toUTCString() }
    expect(parseRateLimitReset(new HeaderMap(headers), now)).toBe(20_000)
  })
})

describe('parseHttpDate', () => {
  it('puts a two-digit year more than 50 years ahead into the past (RFC 9110 §5.6.7)', () => {
    expect(new Date(parseHttpDate('Friday, 31-Dec-99 23:59:59 GMT', now) as number).getUTCFullYear()).toBe(1999)
    expect(new Date(parseHttpDate('Friday, 31-Dec-27 23:59:59 GMT', now) as number).getUTCFullYear()).toBe(2027)
    expect(new Date(parseHttpDate('Friday, 31-Dec-70 23:59:59 GMT', now) as number).getUTCFullYear()).toBe(2070)
  })

  it('takes a leap second', () => {
    expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT', now)).toBe(Date.UTC(2017, 0, 1))
  })
})
