import type { RequestSigner } from '../../transports/http/signing/signer.ts'
import { joinWire, wireOf } from '../../transports/http/signing/wire.ts'
import type { Auth, Credential, CredentialWire } from '../core/call/auth.ts'
import type { Call } from '../core/call/call.ts'
import { makeCredential } from '../core/call/credential.ts'
import { refusal } from '../core/errors/refusal.ts'
import { decide, isThenable } from '../core/guard.ts'
import { callable, checkOptions, has, type RulesOf, takes, text } from '../core/options.ts'

/** What a signature goes with. */
export interface SignedAuthOptions {
  /** Names the source in errors. @defaultValue 'signed' */
  readonly name?: string | undefined
  /** The credential that is sent beside the signature, and may be covered by it. @defaultValue none */
  readonly auth?: Auth | undefined
  /** Whose calls these are; two identities share nothing. @defaultValue as `auth` says, else one identity */
  readonly identity?: Auth['identity']
}

/** An `Auth`, whatever class it is of. */
export const authRule = /* @__PURE__ */ takes('an Auth such as bearerAuth()', /* @__PURE__ */ has('credential'))

const rules: RulesOf<SignedAuthOptions> = { name: text, auth: authRule, identity: callable }

/**
 * Signs each request where its bytes are final: body encoded, headers in place, for each attempt, each redirect inside
 * of the origin and each repetition anew. Whatever it adds goes to the transport's own origin alone. A WebSocket's
 * handshake is signed as a GET where the driver takes headers.
 *
 * @throws {CallError} `invalid_argument` for an option that is none. Calls fail with `failed_precondition`, unsent, where
 *   `sign` throws.
 * @example
 * signedAuth({ sign: async (request) => ({ 'x-signature': await hmac(key, await request.body()) }) })
 */
export function signedAuth(signer: RequestSigner, options: SignedAuthOptions = {}): Auth {
  if (typeof signer?.sign !== 'function')
    throw new TypeError('signedAuth(signer, options): signer is { sign(request) }')
  checkOptions('signedAuth()', options, rules)
  const { name = 'signed', auth, identity } = options
  const wire = wireOf(signer)
  const own = auth ?? { name, credential: () => alone }
  const alone = makeCredential({ principal: name })
  return {
    ...withWire(own, (credential) => (credential.wire ? joinWire(credential.wire, signer) : wire)),
    name,
    ...(identity && { identity }),
  }
}

/**
 * The time by which something is signed; ms since 1970.
 *
 * @param now - a clock of the user's own.
 * @throws {CallError} where it gives no time: a server would be sent `NaN`.
 */
export function timeOf(who: string, now: () => number = Date.now): number {
  const what = `now() of ${who}`
  const at: unknown = decide(what, now)
  if (Number.isFinite(at)) return at as number
  throw refusal(`${what} gives ms since 1970`, undefined)
}

/**
 * An `Auth` whose credentials stand at the wire, too.
 *
 * @param wireFor - made once for each credential of `auth`.
 */
export function withWire(
  auth: Auth,
  wireFor: (credential: Credential, call: Call) => CredentialWire | undefined,
): Auth {
  const wrapped = new WeakMap<Credential, Credential>()
  const origins = new WeakMap<Credential, Credential>()
  const wrap = (credential: Credential | undefined, call: Call): Credential | undefined => {
    if (!credential) return undefined
    let made = wrapped.get(credential)
    if (!made) {
      const wire = wireFor(credential, call)
      made = wire ? makeCredential({ ...credential, wire }) : credential
      wrapped.set(credential, made)
      origins.set(made, credential)
    }
    return made
  }
  return {
    name: auth.name,
    ...(auth.header !== undefined && { header: auth.header }),
    ...(auth.identity && { identity: (call) => auth.identity?.(call) ?? '' }),
    credential(call) {
      const credential = auth.credential(call)
      return isThenable(credential)
        ? Promise.resolve(credential).then((later) => wrap(later, call))
        : wrap(credential, call)
    },
    ...(auth.refresh && {
      refresh: async (rejected, call, error) =>
        wrap(await auth.refresh?.(origins.get(rejected) ?? rejected, call, error), call),
    }),
  }
}
