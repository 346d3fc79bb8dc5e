import type { Call } from '../../src/core/call/call.ts'
import { type IdempotencyOption, idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import { refusal } from '../../src/core/errors/refusal.ts'
import { bodyKind } from '../http/body-kind.ts'
import type { GraphQLBinding } from './operation.ts'

/**
 * What a request says beside its document, as JSON with a comma in front; empty where there is nothing.
 *
 * @throws {CallError} `invalid_argument` when the variables are no JSON; what they hold is shown nowhere.
 */
export function requestRest(call: Call, profile: IdempotencyOption | undefined): string {
  const { extensions } = call.operation.binding as GraphQLBinding
  const keyed = extensionOfKey(call, call.operation.idempotency ?? profile)
  const variables = call.input
  if (typeof variables === 'object' && variables !== null) refuseFiles(variables as Record<string, unknown>, call)
  const json = stringify({ variables, extensions: keyed ? { ...extensions, ...keyed } : extensions }, call)
  return json === '{}' ? '' : `,${json.slice(1, -1)}`
}

function stringify(value: unknown, call: Call): string {
  try {
    return JSON.stringify(value)
  } catch (cause) {
    throw refusal('the variables cannot be written as JSON (a bigint, or a cycle): convert them first', call, cause)
  }
}

/** JSON makes `{}` of a file, which would be lost without a word. */
function refuseFiles(variables: Record<string, unknown>, call: Call): void {
  for (const name in variables) {
    const value = variables[name]
    if (typeof value !== 'object' || value === null) continue
    const isBinary = Array.isArray(value) ? value.some(isFile) : isFile(value)
    if (isBinary) throw refusal(`the variable '${name}' holds bytes or a file, which JSON cannot carry`, call)
  }
}

function isFile(value: unknown): boolean {
  return typeof value === 'object' && bodyKind(value) !== undefined
}

/** Where a profile puts the key into the body: GraphQL allows additions among the extensions alone. */
function extensionOfKey(
  { idempotencyKey }: Call,
  profile: IdempotencyOption | undefined,
): Record<string, string> | undefined {
  if (!idempotencyKey || !profile) return undefined
  const { place, name } = idempotencyProfiles[profile]
  return place === 'body' ? { [name]: idempotencyKey } : undefined
}
