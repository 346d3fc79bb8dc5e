import type { CallOptions } from '../call/call-options.ts'
import type { HeaderMap } from '../call/header-map.ts'
import type { OperationInfo } from '../call/operation.ts'
import type { Route } from '../call/plan.ts'
import type { Services } from '../call/scope.ts'
import { parseHttpDate } from '../errors/retry-after.ts'

/** What a server has said of one of its limits. */
export interface RateLimit {
  /** Of the policy, or of what is limited, where the server names it. */
  readonly name: string | undefined
  /** Requests within the window. */
  readonly limit: number | undefined
  /** What is left of them; attempts that are under way are taken off. */
  readonly remaining: number
  /** Until all are there again; ms. */
  readonly resetMs: number
  /** The window; ms. */
  readonly windowMs: number | undefined
}

/** An interceptor that can say what it knows of the limits of an operation. */
export interface RateLimitSource {
  rateLimits?(services: Services, info: OperationInfo, route: Route, options: CallOptions): readonly RateLimit[]
}

/** A limit that is further away than this is a fault of the server; ms. */
const longestMs = 86_400_000
const wholeNumber = /^\d{1,15}(?:\.\d+)?$/
/** RFC 9651: members of a list, and the parameters of one; what stands in quotes is no separator. */
const members = /(?:"(?:[^"\\]|\\.)*"|[^,"])+/g
/** A quote that is open makes the whole field malformed. */
const balanced = /^(?:[^"]|"(?:[^"\\]|\\.)*")*$/s
const parts = /(?:"(?:[^"\\]|\\.)*"|[^;"])+/g

/**
 * The limits that a response tells, in all five dialects; none where it comes from a cache or is malformed.
 *
 * `RateLimit: "name";r=1;t=60` (draft 8 to 11), `limit=2, remaining=1, reset=60` (draft 7), `RateLimit-Remaining` and
 * `-Reset` (draft 6), `X-RateLimit-Reset` as epoch (s or ms) or as seconds from now. An epoch is held against the
 * response's own `Date`.
 *
 * @param wallNow - ms since 1970, where the response carries no `Date`.
 */
export function readRateLimits(headers: HeaderMap, wallNow: number): RateLimit[] {
  if (Number(headers.last('age')) > 0) return []
  const resetOf = (text: string | undefined): number => {
    const reset = toNumber(text)
    if (reset === undefined) return Number.NaN
    if (reset <= 1e9) return reset * 1000
    const serverNow = parseHttpDate(headers.last('date')?.trim() ?? '', wallNow) ?? wallNow
    return Math.max(0, (reset > 1e12 ? reset : reset * 1000) - serverNow)
  }
  const policies = policiesOf(headers.get('ratelimit-policy'))
  const limits = inOneField(headers.get('ratelimit'), policies, resetOf) ?? inManyFields(headers, policies, resetOf)
  return limits.filter(({ remaining, resetMs }) => remaining >= 0 && resetMs >= 0 && resetMs <= longestMs)
}

interface Policy {
  readonly name: string
  readonly limit: number | undefined
  readonly windowMs: number | undefined
  readonly isOfRequests: boolean
}

type ResetOf = (text: string | undefined) => number

/** `"name";q=2;w=60`, or `2;w=60` of the older drafts. */
function policiesOf(field: string | null): Policy[] {
  return membersOf(field).flatMap((member) => {
    const [value, parameters] = split(member)
    if (value === undefined) return []
    const seconds = toNumber(parameters.get('w'))
    return [
      {
        name: unquoted(value),
        limit: toNumber(parameters.get('q') ?? value),
        windowMs: seconds === undefined ? undefined : seconds * 1000,
        isOfRequests: unquoted(parameters.get('qu') ?? 'requests') === 'requests',
      },
    ]
  })
}

/** `RateLimit`; undefined where it is not there. */
function inOneField(field: string | null, policies: readonly Policy[], resetOf: ResetOf): RateLimit[] | undefined {
  if (field === null) return undefined
  const listed = membersOf(field)
  const entries = listed.map(split)
  // A dictionary (draft 7): one limit, a member each.
  if (entries.some(([value]) => /^\s*remaining\s*=/.test(value ?? ''))) {
    const told = new Map(listed.map(pairOf))
    return inWords(told.get('limit'), told.get('remaining'), told.get('reset'), undefined, policies, resetOf)
  }
  return entries.flatMap(([value, parameters]) => {
    const remaining = toNumber(parameters.get('r'))
    if (value === undefined || remaining === undefined) return []
    const name = unquoted(value)
    const policy = policies.find((each) => each.name === name)
    if (policy && !policy.isOfRequests) return []
    const { limit, windowMs } = policy ?? { limit: undefined, windowMs: undefined }
    const seconds = parameters.get('t')
    // Without a time it is true for now; the window says when it surely is no more.
    const resetMs = seconds === undefined ? (windowMs ?? 0) : resetOf(seconds)
    return [{ name, limit, remaining, resetMs, windowMs }]
  })
}

function inManyFields(headers: HeaderMap, policies: readonly Policy[], resetOf: ResetOf): RateLimit[] {
  for (const prefix of ['ratelimit', 'x-ratelimit', 'x-rate-limit']) {
    const text = (name: string): string | undefined => headers.last(`${prefix}-${name}`)?.trim()
    if (text('remaining') === undefined) continue
    // `100, 100;w=60` in draft 6.
    return inWords(
      text('limit')?.split(/[,;]/)[0],
      text('remaining'),
      text('reset'),
      text('resource'),
      policies,
      resetOf,
    )
  }
  return []
}

function inWords(
  limitText: string | undefined,
  remainingText: string | undefined,
  reset: string | undefined,
  name: string | undefined,
  policies: readonly Policy[],
  resetOf: ResetOf,
): RateLimit[] {
  const remaining = toNumber(remainingText)
  if (remaining === undefined) return []
  const limit = toNumber(limitText)
  const { windowMs } = policies.find((each) => each.limit === limit) ?? { windowMs: undefined }
  return [{ name, limit, remaining, resetMs: resetOf(reset), windowMs }]
}

function membersOf(field: string | null): readonly string[] {
  return (field !== null && balanced.test(field) && field.match(members)) || []
}

/** A member of a list: its value, and its parameters. */
function split(member: string): readonly [string | undefined, ReadonlyMap<string, string>] {
  const [value, ...parameters] = (member.match(parts) ?? []).map((part) => part.trim())
  return [value, new Map(parameters.map(pairOf))]
}

/** `w=60`. No pattern: one that looks for blanks before `=` takes time by the square of their number. */
function pairOf(text: string): [name: string, value: string] {
  const [name = '', ...value] = text.split('=')
  return [name.trim(), value.join('=').trim()]
}

function unquoted(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replace(/\\(["\\])/g, '$1') : text
}

function toNumber(text: string | undefined): number | undefined {
  return text !== undefined && wholeNumber.test(text.trim()) ? Number(text) : undefined
}

/** The points that Shopify's GraphQL counts: `extensions.cost`; a call costs what the last one of its operation did. */
export function readCost(extensions: unknown): { readonly limit: RateLimit; readonly cost: number } | undefined {
  const { cost } = (extensions ?? {}) as { readonly cost?: Record<string, any> }
  const { maximumAvailable: limit, currentlyAvailable: remaining, restoreRate } = cost?.throttleStatus ?? {}
  if (![limit, remaining, restoreRate].every(Number.isFinite) || restoreRate <= 0) return undefined
  const resetMs = (Math.max(0, limit - remaining) / restoreRate) * 1000
  const asked: unknown = cost?.actualQueryCost ?? cost?.requestedQueryCost
  return {
    limit: { name: 'cost', limit, remaining, resetMs, windowMs: (limit / restoreRate) * 1000 },
    cost: typeof asked === 'number' && asked > 0 ? asked : 1,
  }
}
