import type { HeaderMap } from '../call/header-map.ts'

const decimal = /^\d+(?:\.\d+)?$/
const inMs = ['retry-after-ms', 'x-ms-retry-after-ms', 'x-amz-retry-after']
/** C's own form of a date, which writes the year last. */
const asctime = /^([A-Z][a-z]{2}) ([A-Z][a-z]{2}) ([ \d]\d) ([\d:]{8}) (\d{4})$/
/** The two forms of RFC 9110 §5.6.7 that end in GMT; Date.parse alone is no help: it reads `120` as a year. */
const httpDate =
  /^[A-Z][a-z]{2}(?:[a-z]{3,6})?, ([ \d]\d)([ -])([A-Z][a-z]{2})\2(\d\d(?:\d\d)?) (\d\d:\d\d):([0-5]\d|60) GMT$/

/**
 * The wait that a response asks for, in ms, never negative; undefined where it asks for none or in no known form.
 *
 * Reads `retry-after-ms`, `x-ms-retry-after-ms`, `x-amz-retry-after` (ms, too), then `retry-after` (seconds, decimals, the three HTTP dates); a date
 * is held against the response's own `Date`, so that a server whose clock is off is understood.
 *
 * @param wallNow - ms since 1970, used for a date where the response carries no `Date`.
 */
export function parseRetryAfter(headers: HeaderMap, wallNow: number): number | undefined {
  for (const name of inMs) {
    const ms = toDecimal(headers.last(name))
    if (ms !== undefined) return ms
  }
  const value = headers.last('retry-after')?.trim() ?? ''
  const seconds = toDecimal(value)
  return seconds === undefined ? untilServers(parseHttpDate(value, wallNow), headers, wallNow) : seconds * 1000
}

/** A moment by the server's own clock, as a wait. */
function untilServers(at: number | undefined, headers: HeaderMap, wallNow: number): number | undefined {
  return at && Math.max(0, at - (parseHttpDate(headers.last('date')?.trim() ?? '', wallNow) ?? wallNow))
}

/**
 * The wait that a throttled answer asks for where it says no Retry-After: the reset of its RateLimit headers, in seconds,
 * or as epoch seconds or ms where the number is that large.
 *
 * @param wallNow - ms since 1970, used for an epoch where the response carries no `Date`.
 */
export function parseRateLimitReset(headers: HeaderMap, wallNow: number): number | undefined {
  // A Retry-After, known form or not, is the last word.
  if ([...inMs, 'retry-after'].some((name) => headers.has(name))) return undefined
  const value =
    headers.last('ratelimit-reset') ??
    headers.last('x-ratelimit-reset') ??
    /(?:^|[,;\s])(?:reset|t)=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1]
  const reset = toDecimal(value)
  if (reset === undefined || reset <= 1e9) return reset && reset * 1000
  return untilServers(reset > 1e12 ? reset : reset * 1000, headers, wallNow)
}

/**
 * Whether a server says that a call is not to be sent again, whatever its status means: by name, or since the failure is
 * the stored one of an earlier request with this key (Stripe's `Idempotent-Replayed`), which every other would get, too.
 */
export function forbidsRetry(headers: HeaderMap): boolean {
  return (
    ['x', 'stripe'].some((who) => headers.last(`${who}-should-retry`) === 'false') ||
    headers.last('idempotent-replayed') === 'true'
  )
}

/** Milliseconds since 1970 of an HTTP date in any of the three forms of RFC 9110 §5.6.7. */
export function parseHttpDate(value: string, wallNow: number): number | undefined {
  const found = httpDate.exec(value.replace(asctime, '$1, $3 $2 $5 $4 GMT'))
  if (!found) return undefined
  const [, day, , month, year = '', minute, second] = found
  // Date.parse knows no leap second.
  const at = Date.parse(`${month} ${day} ${fullYear(year, wallNow)} ${minute} GMT`) + Number(second) * 1000
  return Number.isNaN(at) ? undefined : at
}

/** RFC 9110: a two-digit year more than 50 years ahead lies in the past. */
function fullYear(year: string, wallNow: number): number {
  if (year.length > 2) return Number(year)
  const thisYear = new Date(wallNow).getUTCFullYear()
  const near = thisYear - (thisYear % 100) + Number(year)
  return near > thisYear + 50 ? near - 100 : near
}

function toDecimal(value: string | null | undefined): number | undefined {
  const trimmed = value?.trim()
  return trimmed !== undefined && decimal.test(trimmed) ? Number(trimmed) : undefined
}
