import type { HeaderMap } from '../../src/core/call/header-map.ts'
import { parseRetryAfter } from '../../src/core/errors/retry-after.ts'
import { type GraphQLResult, isRecord } from './result.ts'

/** The wait that was asked for: Retry-After, then `extensions.retryAfter` (seconds), then Shopify's cost. */
export function askedWaitMs(result: GraphQLResult, headers: HeaderMap, wallNow: number): number | undefined {
  const ofHeader = parseRetryAfter(headers, wallNow)
  if (ofHeader !== undefined) return ofHeader
  const asked = [...(result.errors ?? []).map(({ extensions }) => extensions), result.extensions].flatMap(askedMs)
  return asked.length > 0 ? Math.max(...asked) : costWaitMs(result)
}

function askedMs(extensions: unknown): number[] {
  if (!isRecord(extensions)) return []
  const seconds = toNumber(extensions.retryAfter)
  return seconds !== undefined && seconds >= 0 ? [seconds * 1000] : []
}

/** Seconds until the bucket holds what the query costs; a bucket that does not refill gives none. */
function costWaitMs(result: GraphQLResult): number | undefined {
  const { requested, available, restoreRate } = costOf(result)
  if (requested === undefined || available === undefined || restoreRate === undefined || restoreRate <= 0)
    return undefined
  return Math.max(0, Math.ceil((requested - available) / restoreRate)) * 1000
}

/** It costs more than the bucket can ever hold. */
export function isTooCostly(result: GraphQLResult): boolean {
  const { requested, maximum } = costOf(result)
  return requested !== undefined && maximum !== undefined && requested > maximum
}

/** Shopify: https://shopify.dev/docs/api/usage/limits#graphql-admin-api-rate-limits */
function costOf({
  extensions,
}: GraphQLResult): Partial<Record<'requested' | 'available' | 'maximum' | 'restoreRate', number | undefined>> {
  const cost = extensions?.cost
  const status = isRecord(cost) ? cost.throttleStatus : undefined
  if (!isRecord(cost) || !isRecord(status)) return {}
  return {
    requested: toNumber(cost.requestedQueryCost),
    available: toNumber(status.currentlyAvailable),
    maximum: toNumber(status.maximumAvailable),
    restoreRate: toNumber(status.restoreRate),
  }
}

function toNumber(value: unknown): number | undefined {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}
