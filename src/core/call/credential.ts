import { inspect } from '../tag.ts'
import type { Credential } from './auth.ts'
import type { Call } from './call.ts'
import type { Scope } from './scope.ts'
import { uuid } from './uuid.ts'

const redacted = () => '[Credential]'

/** A credential that neither console nor JSON shows. */
export function makeCredential(fields: Credential): Credential {
  return Object.defineProperties({ ...fields }, { [inspect]: { value: redacted }, toJSON: { value: redacted } })
}

const own = /* @__PURE__ */ new WeakMap<Scope, Credential>()

/**
 * The credential that a call brings itself, as a header of its own: it wins over every source, is not renewed, and is
 * of a principal that no other call has, so that this call shares no socket and no stream.
 *
 * @param header - that the client's source would set, in lower case.
 */
export function ownCredential(call: Call, header = 'authorization'): Credential | undefined {
  const name = headerOf(call, header) === undefined ? 'authorization' : header
  const value = headerOf(call, name)
  if (value === undefined) return undefined
  const { root } = call.scope
  let credential = own.get(root)
  if (credential?.headers?.[name] !== value) {
    const secret = name === 'authorization' ? value.replace(/^\S+\s+/, '') : value
    const principal = credential?.principal ?? uuid()
    own.set(root, (credential = makeCredential({ headers: { [name]: value }, secret, principal })))
  }
  return credential
}

/** A header of the call, or of its input where the operation takes headers there; `name` is in lower case. */
export function headerOf({ headers, operation, input }: Call, name: string): string | undefined {
  const value = headers[name]
  if (value !== undefined || !operation.headersOf) return value
  const inInput = Object.entries(operation.headersOf(input) ?? {}).find(([each]) => each.toLowerCase() === name)?.[1]
  return typeof inInput === 'string' ? inInput : undefined
}

/** What goes with a call over a connection that it may share: the credential that `auth` gave it, or its own. */
export function credentialOf(call: Call): Credential | undefined {
  return call.credential ?? ownCredential(call)
}

/** The same text for all calls that may share a connection: of one identity, and one principal. */
export function principalOf(call: Call): string {
  const { identity } = call
  const credential = credentialOf(call)
  if (!credential) return JSON.stringify([identity])
  const { principal, secret, headers, query } = credential
  const proof = principal ?? (identity === '' ? (secret ?? [headers, query]) : null)
  return JSON.stringify([identity, proof])
}
