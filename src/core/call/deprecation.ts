import { parseHttpDate } from '../errors/retry-after.ts'
import type { Call } from './call.ts'
import type { HeaderMap } from './header-map.ts'
import { linkOf } from './link-header.ts'

/** What a server says of the end of what was called. */
export interface Deprecation {
  /** It is deprecated, or will be at `deprecatedAt`. */
  readonly isDeprecated: boolean
  /** Since when, or from when on; undefined where the server does not say, or not readably. */
  readonly deprecatedAt: Date | undefined
  /** It is announced to stop answering. */
  readonly isSunset: boolean
  /** When; undefined where that cannot be read. */
  readonly sunsetAt: Date | undefined
  /** Where it is explained: the link of the relation `deprecation`, else of `sunset`; as the server wrote it. */
  readonly link: string | undefined
  /** What takes its place: the link of the relation `successor-version`; as the server wrote it. */
  readonly successor: string | undefined
}

/**
 * Reads `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and their links; undefined where a reply has neither.
 *
 * What was written before the RFC counts, too (`true`, an HTTP date), and a date that cannot be read is no date, never an
 * error. In browsers, on a page of another origin, both are seen only where the server exposes them.
 *
 * @param headers - of a reply, or of an error.
 * @example
 * const { headers } = await api.users.list.reply()
 * const { sunsetAt, successor } = readDeprecation(headers) ?? {}
 */
export function readDeprecation(headers: HeaderMap): Deprecation | undefined {
  const deprecation = headers.last('deprecation')?.trim().toLowerCase()
  const sunset = headers.last('sunset')?.trim()
  const isDeprecated = deprecation !== undefined && !['', 'false', '?0'].includes(deprecation)
  const isSunset = sunset !== undefined && sunset !== ''
  if (!isDeprecated && !isSunset) return undefined
  const links = headers.get('link') ?? ''
  return {
    isDeprecated,
    deprecatedAt: isDeprecated ? deprecationDate(headers.last('deprecation')?.trim() ?? '') : undefined,
    isSunset,
    sunsetAt: isSunset ? sunsetDate(sunset) : undefined,
    link: linkOf(links, 'deprecation') ?? linkOf(links, 'sunset'),
    successor: linkOf(links, 'successor-version'),
  }
}

/** A date of structured fields, `@1688169599`, parameters behind it; before the RFC it was an HTTP date. */
function deprecationDate(value: string): Date | undefined {
  const seconds = /^@?(-?\d{1,15})(?:\s*;.*)?$/.exec(value)?.[1]
  return seconds === undefined ? sunsetDate(value) : dateOf(Number(seconds) * 1000)
}

/** An HTTP date; some servers write ISO 8601. */
function sunsetDate(value: string): Date | undefined {
  const isIso = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/.test(value)
  return dateOf(isIso ? Date.parse(value) : parseHttpDate(value, Date.now()))
}

function dateOf(ms: number | undefined): Date | undefined {
  const date = new Date(ms ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}

/** What each client was told already. */
const told = new WeakMap<object, Set<string>>()
/** Names of operations that somebody makes at run time must not fill it. */
const maxTold = 1000

/** Tells telemetry what the headers of an answer say, once for each operation of a client; never fails a call. */
export function tellDeprecation(call: Call, headers: HeaderMap | undefined): void {
  if (!headers?.has('deprecation') && !headers?.has('sunset')) return
  const said = readDeprecation(headers)
  if (!said) return
  const { services } = call.scope
  const { name, via } = call.operation
  const known = told.get(services) ?? new Set<string>()
  told.set(services, known)
  const isNew = (what: string): boolean => {
    const key = `${what} ${via} ${name}`
    if (known.has(key) || known.size >= maxTold) return false
    known.add(key)
    return true
  }
  const { isDeprecated, deprecatedAt, isSunset, sunsetAt, link, successor } = said
  const { telemetry } = services
  if (isDeprecated && isNew('deprecation'))
    telemetry?.event?.({ type: 'deprecation', call, at: deprecatedAt, link, successor })
  if (isSunset && isNew('sunset')) telemetry?.event?.({ type: 'sunset', call, at: sunsetAt, link, successor })
}
