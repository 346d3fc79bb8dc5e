import type { Credential } from './auth.ts'
import type { Call } from './call.ts'
import type { Scope } from './scope.ts'
import { uuid } from './uuid.ts'

const inspect = Symbol.for('nodejs.util.inspect.custom')
const redacted = () => '[Credential]'

/** A credential that neither console nor JSON shows. */
export function makeCredential(fields: Credential): Credential {
  return Object.defineProperties({ ...fields }, { [inspect]: { value: redacted }, toJSON: { value: redacted } })
}

const own = /* @__PURE__ */ new WeakMap<Scope, Credential>()

/**
 * The credential that a call brings itself, as a header of its own: it wins over every source, is not renewed, and is
 * a principal that no other call has, so that this call shares no socket and no stream.
 */
export function ownCredential(call: Call, header = 'authorization'): Credential | undefined {
  const { headers, scope } = call
  const name = headers[header] === undefined ? 'authorization' : header
  const value = headers[name]
  if (value === undefined) return undefined
  let credential = own.get(scope.root)
  if (credential?.headers?.[name] !== value) {
    const secret = name === 'authorization' ? value.replace(/^\S+\s+/, '') : value
    const principal = credential?.principal ?? uuid()
    own.set(scope.root, (credential = makeCredential({ headers: { [name]: value }, secret, principal })))
  }
  return credential
}

/** The same text for all calls that may share a connection: of one identity, and one principal. */
export function principalOf({ identity, credential }: Call): string {
  if (!credential) return JSON.stringify([identity])
  const { principal, secret, headers, query } = credential
  const proof = principal ?? (identity === '' ? (secret ?? [headers, query]) : null)
  return JSON.stringify([identity, proof])
}
