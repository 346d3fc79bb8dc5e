import type { Call } from '../core/call/call.ts'
import { type Interceptor, trusted } from '../core/call/interceptor.ts'
import { refusal } from '../core/errors/refusal.ts'
import { guard } from '../core/guard.ts'

/** Language tags, the best one first: `['de-CH', 'de', 'en']`. */
export type Languages = string | readonly string[]

/** BCP 47, or a wildcard. */
const languageTag = /^(?:\*|[a-z]{1,8}(?:-[a-z\d]{1,8})*)$/i

/**
 * Tells the server which languages the user reads, on every call: `Accept-Language: de-CH, de;q=0.9, en;q=0.8`. A call or an
 * operation that says this header itself is left as it is.
 *
 * @param languages - or a function that is asked for each call; it may read the call's `context`. Nothing, or an empty list: no header.
 * @throws {CallError} `invalid_argument`, as calls do, where something is no language tag.
 * @example
 * createClient({ transports, interceptors: [acceptLanguage(() => i18n.languages)] })
 */
export function acceptLanguage(languages: Languages | ((call: Call) => Languages | undefined)): Interceptor {
  const fixed = typeof languages === 'function' ? undefined : write(languages)
  return trusted(function acceptLanguage(next) {
    return (call) => {
      const { 'accept-language': own } = call.headers
      if (own !== undefined || 'accept-language' in call.headers) return next(call)
      let value = fixed
      if (typeof languages === 'function') {
        try {
          value = write(guard('the function of acceptLanguage()', () => languages(call), call, unsent))
        } catch (error) {
          return Promise.reject(error)
        }
      }
      return next(value === '' || value === undefined ? call : call.withHeaders({ 'accept-language': value }))
    }
  })
}

const unsent = { phase: 'resolve', sent: 'no' } as const

/** Each a tenth less wanted than the one before it. */
function write(languages: Languages | undefined): string {
  const tags = typeof languages === 'string' ? [languages] : (languages ?? [])
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string' && languageTag.test(tag)))
    throw refusal("acceptLanguage() takes language tags such as 'de-CH'", undefined)
  return [...new Set(tags)]
    .map((tag, at) => (at === 0 ? tag : `${tag};q=${Math.max(0.1, 1 - at / 10).toFixed(1)}`))
    .join(', ')
}
