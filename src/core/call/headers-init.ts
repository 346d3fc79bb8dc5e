import type { ErrorOrigin } from '../errors/error.ts'
import { refusal } from '../errors/refusal.ts'
import type { CallHeaders } from './call.ts'
import type { HeadersInit } from './call-options.ts'

const none: CallHeaders = Object.freeze({})
const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const value = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * Reads headers in any of their forms into a plain record with lower-case names.
 *
 * @throws {CallError} `invalid_argument` when a name is no token, or a value holds CR, LF, NUL or anything beyond
 * Latin-1 (RFC 9110 §5.5); the message names the header, never its value.
 */
export function readHeaders(init: HeadersInit | undefined, origin?: ErrorOrigin): CallHeaders {
  if (init === undefined) return none
  const record: Record<string, string> = {}
  for (const [name, content] of Symbol.iterator in init ? init : Object.entries(init)) {
    if (content === undefined) continue
    const key = String(name).toLowerCase()
    const text = String(content)
    if (!token.test(key)) throw refusal(`a header's name is no token`, origin)
    if (!value.test(text))
      throw refusal(`the value of the header '${key}' holds characters that no header may hold`, origin)
    record[key] = text
  }
  return record
}
