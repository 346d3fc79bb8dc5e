import type { Call } from '../core/call/call.ts'
import { headerOf } from '../core/call/credential.ts'
import { type IdempotencyOption, type IdempotencyProfile, idempotencyProfiles } from '../core/call/idempotency.ts'
import type { Interceptor } from '../core/call/interceptor.ts'
import { trusted } from '../core/call/interceptor.ts'
import { uuid } from '../core/call/uuid.ts'
import { checkOptions, oneOf } from '../core/options.ts'

/** Which keys are sent. */
export interface IdempotencyKeyOptions {
  /** How the servers of this transport take keys; an operation's own profile wins. @defaultValue none is known to be honoured */
  readonly profile?: IdempotencyOption | undefined
}

/**
 * One key a call, stable over attempts, auth replays and reconnects; the caller's own wins.
 *
 * Where a profile is named, the server is known to honour it, so that the call may be sent again, for as long as the
 * server remembers the key. Unnamed, POST and PATCH carry a key all the same (it helps gateways), and are not sent again.
 * Source: draft-ietf-httpapi-idempotency-key-header-07.
 */
export function idempotencyKey(options: IdempotencyKeyOptions = {}): Interceptor {
  checkOptions('idempotencyKey()', options, { profile: oneOf(...Object.keys(idempotencyProfiles), false) })
  const { profile } = options
  return trusted(function idempotencyKey(next) {
    return (call) => {
      const { operation, options } = call
      const named = operation.idempotency ?? profile
      const isKeyed = !operation.isIdempotent && (named !== undefined || operation.isKeyedByDefault)
      if (named === false || !(isKeyed || options.idempotencyKey !== undefined)) return next(call)
      return next(keyed(call, idempotencyProfiles[named ?? 'idempotency-key'], named !== undefined))
    }
  }, 'key')
}

function keyed(call: Call, { place, name, isQuoted, maxAgeMs }: IdempotencyProfile, isKeyHonoured: boolean): Call {
  const written = headerOf(call, name)
  const key = call.options.idempotencyKey ?? (isQuoted && written ? unquoted(written) : written) ?? uuid()
  call.scope.root.idempotencyKey = key
  const keyExpiresAt = maxAgeMs === undefined ? Number.POSITIVE_INFINITY : call.scope.services.clock.now() + maxAgeMs
  const changes = { idempotencyKey: key, isKeyHonoured, keyExpiresAt }
  if (place !== 'header') return call.with(changes)
  return call.with({
    ...changes,
    headers: { ...call.headers, [name]: isQuoted ? `"${key.replace(/["\\]/g, '\\$&')}"` : key },
  })
}

/** The content of a string of RFC 8941 §3.3.3; a bare key as it is. */
function unquoted(written: string): string {
  return /^"(?:[^"\\]|\\["\\])*"$/.test(written) ? written.slice(1, -1).replace(/\\(["\\])/g, '$1') : written
}
