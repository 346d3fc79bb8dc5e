import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import { HeaderMap, type HeadersInit, readHeaders } from '../../../src/core/call/header-map.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import { parseHttpDate } from '../../../src/core/errors/retry-after.ts'
import { isRecord } from '../../../src/core/tag.ts'
import { type EntityTag, parseEntityTag, writeEntityTag } from './entity-tag.ts'
import { type Remembering, renewed } from './stored.ts'

/** What carries an entity tag or a date in its headers: what `.reply()` gives, or a CallError with headers. */
export interface Tagged {
  readonly headers?: HeaderMap | undefined
}

/** An answer that is kept, with its tag: what `.reply()` gave, or what a store of yours holds. */
export type Stored<T = unknown> =
  | Pick<UnaryResult<T>, 'message' | 'headers'>
  | { readonly message: T; readonly etag: string }

/** What is done with a weak tag where only a strong one can hold a write back. */
export interface IfMatchOptions extends CallOptions {
  /**
   * `strip`: it is sent without `W/`. For servers whose own tags are strong, behind a proxy that weakens them where it
   * compresses (nginx does). @defaultValue 'refuse': nothing is sent
   */
  readonly weak?: 'refuse' | 'strip' | undefined
}

/**
 * Options of a call that is carried out only where the resource is as it was read: `If-Match`. Where it is not, the call
 * fails with `failed_precondition` and status 412.
 *
 * @param source - what was read (`.reply()`), its tag as the server wrote it, several tags, or `*`: where there is one at all.
 * @param options - further options of the call.
 * @throws {CallError} `invalid_argument` where there is no tag, or a weak one, which no server may compare here.
 * @example
 * const user = await api.users.get.reply({ id: 42 })
 * await api.users.replace({ ...user.message, name: 'Ada' }, ifMatch(user))
 */
export function ifMatch(source: Tagged | string | readonly string[], options: IfMatchOptions = {}): CallOptions {
  const { weak = 'refuse', ...rest } = options
  return withHeaders(rest, { 'if-match': source === '*' ? '*' : tagsOf(source, weak).map(writeEntityTag).join(', ') })
}

/**
 * Options of a call that reads only what is not known yet: `If-None-Match`. Where nothing has changed (304), the call gives
 * the stored message, and `.reply()` its status and headers. `*` is for writes: only where there is nothing yet.
 *
 * @throws {CallError} `invalid_argument` where the stored answer has neither a tag nor a date.
 * @example
 * const known = await api.users.get.reply({ id: 42 })
 * const fresh = await api.users.get.reply({ id: 42 }, ifNoneMatch(known)) // status 304: fresh.message is known.message
 */
export function ifNoneMatch(stored: Stored | '*', options: CallOptions = {}): CallOptions {
  if (stored === '*') return withHeaders(options, { 'if-none-match': '*' })
  // Where the server gives no tag, it may give a date.
  const { etag } = Object(stored) as { readonly etag?: string }
  const headers = headersOf(stored)
  if (etag === undefined && !headers?.has('etag')) return ifModifiedSince(stored, options)
  const [tag] = tagsOf(etag ?? { headers }, 'keep')
  return remembering(stored, withHeaders(options, { 'if-none-match': writeEntityTag(tag as EntityTag) }))
}

/**
 * The same by date: `If-Modified-Since`, for servers without entity tags.
 *
 * @throws {CallError} `invalid_argument` where the stored answer has no `Last-Modified`.
 * @example
 * await api.files.get.reply({ name: 'a.txt' }, ifModifiedSince(known))
 */
export function ifModifiedSince(stored: Stored, options: CallOptions = {}): CallOptions {
  const value = headersOf(stored)?.last('last-modified') ?? null
  if (value === null)
    throw refusal(`ifNoneMatch(): the stored answer has no ETag and no Last-Modified${unexposed}`, undefined)
  // As it came: some servers compare it as a text (RFC 9110 §13.1.3 asks clients to).
  return remembering(stored, withHeaders(options, { 'if-modified-since': value }))
}

/**
 * Options of a call that is carried out only where nothing has changed since: `If-Unmodified-Since`, for servers without
 * entity tags. Dates of HTTP tell seconds apart: a second change within the same one goes unseen, so a reply that was
 * made in the very second of the change is refused.
 *
 * @param source - what was read, or a date.
 * @throws {CallError} `invalid_argument` where there is no date, or one that is too young to be relied on.
 * @example
 * await api.files.replace({ name: 'a.txt', text }, ifUnmodifiedSince(known))
 */
export function ifUnmodifiedSince(source: Tagged | { getTime(): number }, options: CallOptions = {}): CallOptions {
  const isDate = typeof (source as Date | null)?.getTime === 'function'
  const value = isDate ? new Date((source as Date).getTime()) : headersOf(source)?.last('last-modified')
  if (!value || (isDate && Number.isNaN((value as Date).getTime())))
    throw refusal(`ifUnmodifiedSince(): there is no date to go by${unexposed}`, undefined)
  if (!isDate && ageOf(source as Tagged) < 1000)
    throw refusal(
      'ifUnmodifiedSince(): it was changed in the second of the reply, and may change again within it: read it again later',
      undefined,
    )
  const text = isDate ? (value as Date).toUTCString() : (value as string)
  return withHeaders(options, { 'if-unmodified-since': text })
}

/** How long the resource had been as it is when it was sent, by the server's own clock; ms. */
export function ageOf(source: Tagged): number {
  const headers = headersOf(source)
  const [changed, sent] = ['last-modified', 'date'].map((name) => parseHttpDate(headers?.last(name) ?? '', 0))
  return changed === undefined || sent === undefined ? Number.POSITIVE_INFINITY : sent - changed
}

/** Those of an answer: what a store has kept of one may be no HeaderMap any more. */
function headersOf(source: unknown): HeaderMap | undefined {
  const { headers } = Object(source) as { readonly headers?: HeaderMap | HeadersInit | null }
  if (!headers || typeof (headers as Partial<HeaderMap>).last === 'function') return (headers as HeaderMap) || undefined
  return new HeaderMap(readHeaders(headers as HeadersInit) as Record<string, string>)
}

/** What a page cannot see without the server's help. */
const unexposed = ' (in a browser, across origins, the server has to expose it: Access-Control-Expose-Headers)'

/** @param weak - `keep`: for comparisons that a weak tag is good for. */
function tagsOf(source: Tagged | string | readonly string[], weak: 'refuse' | 'strip' | 'keep'): EntityTag[] {
  const isHeader = isRecord(source)
  const texts = isHeader ? [headersOf(source)?.get('etag') ?? null] : [source].flat()
  if (texts.length === 0) throw refusal('ifMatch([]) names no tag', undefined)
  return texts.map((text) => {
    if (text === null) throw refusal(`the reply has no ETag${unexposed}`, undefined)
    const tag = typeof text === 'string' ? parseEntityTag(text, isHeader) : undefined
    if (!tag)
      throw refusal(isHeader ? 'the ETag of the reply is none' : `an entity tag is a text in quotes: '"v1"'`, undefined)
    if (!tag.isWeak || weak === 'keep') return tag
    if (weak === 'strip') return { ...tag, isWeak: false }
    throw refusal(weakTag, undefined)
  })
}

const weakTag =
  "If-Match needs a strong tag, and this one is weak (W/…). A proxy that compresses weakens them: read with the header 'accept-encoding: identity', or, where the server's own tags are strong, write ifMatch(…, { weak: 'strip' })"

function withHeaders(options: CallOptions, headers: Record<string, string>): CallOptions {
  return { ...options, headers: { ...readHeaders(options.headers), ...headers } }
}

/** A 304 then gives the stored message. */
function remembering(stored: Stored, options: CallOptions): CallOptions & Remembering {
  return {
    ...options,
    [renewed]: (reply) => ({
      ...reply,
      message: stored.message,
      headers: renewedHeaders(headersOf(stored), reply.headers),
    }),
  }
}

/** What a 304 says nothing about, since it has no body. */
const ofBody = /^(?:content-(?:length|encoding|range|type)|transfer-encoding|connection|keep-alive)$/

/** Those of the stored answer, with what the 304 says anew (RFC 9111 §3.2). */
function renewedHeaders(before: HeaderMap | undefined, now: HeaderMap): HeaderMap {
  if (!before) return now
  const record: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of before) record[name] = value
  for (const [name, value] of now) if (!ofBody.test(name)) record[name] = value
  const cookies = now.getSetCookie()
  if (cookies.length > 0) record['set-cookie'] = cookies
  else delete record['set-cookie']
  return new HeaderMap(record)
}
