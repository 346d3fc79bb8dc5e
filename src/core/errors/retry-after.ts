import type { HeaderMap } from '../call/header-map.ts'

const decimal = /^\d+(?:\.\d+)?$/
const inMs = ['retry-after-ms', 'x-ms-retry-after-ms']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const time = '(\\d{2}):(\\d{2}):(\\d{2})'
/** The three forms of RFC 9110 §5.6.7; Date.parse is no help: it reads `120` as a year. */
const imfFixdate = new RegExp(`^[A-Z][a-z]{2}, (\\d{2}) ([A-Z][a-z]{2}) (\\d{4}) ${time} GMT$`)
const rfc850 = new RegExp(`^[A-Z][a-z]{5,8}, (\\d{2})-([A-Z][a-z]{2})-(\\d{2}) ${time} GMT$`)
const asctime = new RegExp(`^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \\d]\\d) ${time} (\\d{4})$`)

/**
 * The wait that a response asks for, in ms, never negative; undefined where it asks for none or in no known form.
 *
 * Reads `retry-after-ms`, `x-ms-retry-after-ms`, then `retry-after` (seconds, decimals, the three HTTP dates); a date
 * is held against the response's own `Date`, so that a server whose clock is off is understood.
 *
 * @param wallNow - ms since 1970, used for a date where the response carries no `Date`.
 */
export function parseRetryAfter(headers: HeaderMap, wallNow: number): number | undefined {
  for (const name of inMs) {
    const ms = toDecimal(headers.last(name))
    if (ms !== undefined) return ms
  }
  const value = headers.last('retry-after')?.trim()
  if (value === undefined) return undefined
  const seconds = toDecimal(value)
  if (seconds !== undefined) return seconds * 1000
  const at = parseHttpDate(value, wallNow)
  if (at === undefined) return undefined
  const serverNow = parseHttpDate(headers.last('date')?.trim() ?? '', wallNow) ?? wallNow
  return Math.max(0, at - serverNow)
}

/** Whether a response says a wait at all, in a known form or not: then its RateLimit headers say nothing more. */
export function hasRetryAfter(headers: HeaderMap): boolean {
  return [...inMs, 'retry-after'].some((name) => headers.has(name))
}

/** Milliseconds since 1970 of an HTTP date in any of the three forms of RFC 9110 §5.6.7. */
export function parseHttpDate(value: string, wallNow: number): number | undefined {
  const imf = imfFixdate.exec(value)
  if (imf) return toTime(Number(imf[3]), imf[2], imf[1], imf.slice(4))
  const old = rfc850.exec(value)
  if (old) return toTime(fullYear(Number(old[3]), wallNow), old[2], old[1], old.slice(4))
  const asc = asctime.exec(value)
  if (asc) return toTime(Number(asc[6]), asc[1], asc[2], asc.slice(3))
  return undefined
}

function toDecimal(value: string | null | undefined): number | undefined {
  const trimmed = value?.trim()
  return trimmed !== undefined && decimal.test(trimmed) ? Number(trimmed) : undefined
}

function toTime(
  year: number,
  monthName: string | undefined,
  day: string | undefined,
  clock: readonly (string | undefined)[],
): number | undefined {
  const month = months.indexOf(monthName ?? '')
  const [hour, minute, second] = clock.map(Number)
  const isValid =
    month >= 0 &&
    Number(day) >= 1 &&
    Number(day) <= 31 &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) <= 60
  return isValid ? Date.UTC(year, month, Number(day), hour, minute, second) : undefined
}

/** RFC 9110: a two-digit year more than 50 years ahead lies in the past. */
function fullYear(twoDigits: number, wallNow: number): number {
  const thisYear = new Date(wallNow).getUTCFullYear()
  const year = thisYear - (thisYear % 100) + twoDigits
  return year > thisYear + 50 ? year - 100 : year
}
