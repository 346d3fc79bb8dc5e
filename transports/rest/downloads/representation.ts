import type { HeaderMap } from '../../../src/core/call/header-map.ts'
import type { HttpHead } from '../../http/contract.ts'
import { parseContentRange } from './content-range.ts'
import { digestsOf, type ExpectedDigest } from './digest.ts'

/** What one answer says of the file that it is a part of. */
export interface Representation {
  /** Where the answer's body begins. */
  readonly first: number
  /** Of the whole; undefined where the server does not say it. */
  readonly totalBytes: number | undefined
  readonly etag: string | null
  readonly lastModified: string | null
  /** What `If-Range` takes: a strong ETag, or a date that is old enough to be one; undefined where there is neither. */
  readonly validator: string | undefined
  /** The body is compressed, so that offsets in it are none of the file. */
  readonly isEncoded: boolean
  readonly digests: readonly ExpectedDigest[]
}

/**
 * Reads the head of a 200, 206 or 416; a text says what is wrong with it.
 *
 * @param hidden - the byte that was asked for, where a server of another origin may hide its `Content-Range` from a page:
 * what the length says is held against what was known before.
 */
export function representationOf(
  { status, headers }: Pick<HttpHead, 'status' | 'headers'>,
  hidden?: number,
): Representation | string {
  const isEncoded = !/^(?:identity)?$/i.test(headers.get('content-encoding')?.trim() ?? '')
  const etag = headers.last('etag')
  const lastModified = headers.last('last-modified')
  const common = { etag, lastModified, validator: validatorOf(headers), isEncoded }
  const whole = isEncoded ? [] : digestsOf(headers, 'repr-digest')
  if (status === 200) {
    const length = lengthOf(headers)
    const ofContent = isEncoded || whole.length > 0 ? [] : digestsOf(headers, 'content-digest')
    return { ...common, first: 0, totalBytes: isEncoded ? undefined : length, digests: [...whole, ...ofContent] }
  }
  if (/^multipart\/byteranges\b/i.test(headers.get('content-type') ?? ''))
    return 'several ranges (multipart/byteranges)'
  const length = lengthOf(headers)
  if (status === 206 && hidden !== undefined && !headers.has('content-range')) {
    const totalBytes = length === undefined || isEncoded ? undefined : hidden + length
    return { ...common, first: hidden, totalBytes, digests: whole }
  }
  const parsed = parseContentRange(headers.get('content-range'))
  if (!parsed || (status === 206) !== (parsed.range !== undefined)) return 'a Content-Range that cannot be read'
  const { range, total } = parsed
  if (range && length !== undefined && !isEncoded && length !== range.last - range.first + 1)
    return 'a Content-Range that contradicts its Content-Length'
  return { ...common, first: range?.first ?? total ?? 0, totalBytes: total, digests: whole }
}

/** Whether two answers are of one file as it was: `undefined` where nothing tells. */
function isSame(one: Representation, other: Representation): boolean | undefined {
  if (one.totalBytes !== undefined && other.totalBytes !== undefined && one.totalBytes !== other.totalBytes)
    return false
  if (one.etag !== null && other.etag !== null) return one.etag === other.etag
  if (one.lastModified !== null && other.lastModified !== null)
    return one.lastModified === other.lastModified ? one.validator !== undefined || undefined : false
  return undefined
}

/**
 * Whether an answer goes on with a file behind its first `offset` bytes: a text says why it does not, and `changed` that
 * the file is another one by now.
 */
export function unfitOf(
  before: Representation,
  after: Representation,
  status: number,
  offset: number,
): string | undefined {
  const same = isSame(before, after)
  // Who was asked with If-Range gives the whole where the file is another one, or where it knows no ranges.
  if (same === false || (status === 200 && same !== true)) return 'changed'
  if (status === 416 && after.totalBytes !== offset) return 'changed'
  if (status === 206 && after.first !== offset)
    return `a range from ${after.first} where one from ${offset} was asked for`
  return after.isEncoded ? 'a compressed body where it was plain before' : undefined
}

/** RFC 9110 §8.8.2.2: within a minute before the answer, a file may have changed once more with the same date. */
const strongAgeMs = 60_000

function validatorOf(headers: HeaderMap): string | undefined {
  const etag = headers.last('etag')
  if (etag !== null) return /^"[\x21\x23-\x7e\x80-\xff]*"$/.test(etag) ? etag : undefined
  const modified = headers.last('last-modified')
  const at = Date.parse(modified ?? '')
  const date = Date.parse(headers.last('date') ?? '')
  return modified !== null && date - at >= strongAgeMs ? modified : undefined
}

function lengthOf(headers: HeaderMap): number | undefined {
  const length = /^\d{1,15}$/.exec(headers.last('content-length') ?? '')?.[0]
  return length === undefined ? undefined : Number(length)
}
