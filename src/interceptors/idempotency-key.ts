import type { Call } from '../core/call/call.ts'
import { ours } from '../core/call/compose.ts'
import { type IdempotencyOption, type IdempotencyProfile, idempotencyProfiles } from '../core/call/idempotency.ts'
import type { Interceptor } from '../core/call/interceptor.ts'
import { uuid } from '../core/call/uuid.ts'

/** Which keys are sent. */
export interface IdempotencyKeyOptions {
  /** How the servers of this transport take keys; an operation's own profile wins. @defaultValue none is known to be honoured */
  readonly profile?: IdempotencyOption | undefined
}

const unnamed: IdempotencyProfile = idempotencyProfiles['idempotency-key']

/**
 * One key a call, stable over attempts, auth replays and reconnects; the caller's own wins.
 *
 * Where a profile is named, the server is known to honour it, so that the call may be sent again. Unnamed, POST and
 * PATCH carry a key all the same (it helps gateways), and are not sent again.
 * Source: draft-ietf-httpapi-idempotency-key-header-07.
 */
export function idempotencyKey({ profile }: IdempotencyKeyOptions = {}): Interceptor {
  return ours(function idempotencyKey(call, next) {
    const { operation, options } = call
    if (operation.isIdempotent && options.idempotencyKey === undefined) return next(call)
    const named = operation.idempotency ?? profile
    if (named === false || (named === undefined && !operation.isKeyedByDefault && options.idempotencyKey === undefined))
      return next(call)
    return next(keyed(call, named === undefined ? unnamed : idempotencyProfiles[named], named !== undefined))
  })
}

function keyed(call: Call, profile: IdempotencyProfile, isKeyHonoured: boolean): Call {
  const key = call.options.idempotencyKey ?? call.headers[profile.name] ?? uuid()
  call.scope.root.idempotencyKey = key
  const changes = { idempotencyKey: key, isKeyHonoured }
  if (profile.place !== 'header') return call.with(changes)
  return call.with({ ...changes, headers: { ...call.headers, [profile.name]: profile.isQuoted ? `"${key}"` : key } })
}
