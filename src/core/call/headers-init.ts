import type { ErrorOrigin } from '../errors/error.ts'
import { refusal } from '../errors/refusal.ts'
import type { CallHeaders } from './call.ts'
import type { HeadersInit } from './call-options.ts'

const none: CallHeaders = Object.freeze({})
const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const forms = 'headers takes Headers, a Map, pairs of name and value, or a plain object'
const value = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Reads headers in any of their forms into a plain record with lower-case names; `undefined` stays, since it removes
 * what an outer layer says under that name (see {@link withoutRemoved}).
 *
 * @throws {CallError} `invalid_argument` when a name is no token, or a value holds CR, LF, NUL or anything beyond
 * Latin-1 (RFC 9110 §5.5); the message names the header, never its value.
 */
export function readHeaders(init: HeadersInit | undefined, origin?: ErrorOrigin): CallHeaders {
  if (init === undefined) return none
  if (typeof init !== 'object' || init === null) throw refusal(forms, origin)
  const record: Record<string, string | undefined> = {}
  for (const pair of Symbol.iterator in init ? init : Object.entries(init)) {
    if (!Array.isArray(pair) || pair.length !== 2) throw refusal(forms, origin)
    const key = String(pair[0]).toLowerCase()
    if (!token.test(key)) throw refusal(`a header's name is no token`, origin)
    const text = pair[1] === undefined ? undefined : String(pair[1])
    if (text !== undefined && !value.test(text))
      throw refusal(`the value of the header '${key}' holds characters that no header may hold`, origin)
    record[key] = text
  }
  return record
}

/** Headers as they go on the wire: the last step after all layers are merged, later ones over earlier ones. */
export function withoutRemoved(merged: Record<string, string | undefined>): Record<string, string> {
  for (const name in merged) if (merged[name] === undefined) delete merged[name]
  return merged as Record<string, string>
}
