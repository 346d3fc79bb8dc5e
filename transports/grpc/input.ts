import type { Call } from '../../src/core/call/call.ts'
import { type IdempotencyOption, idempotencyProfiles } from '../../src/core/call/idempotency.ts'
import { CallError } from '../../src/core/errors/error.ts'
import { methodOf } from './attempt.ts'

/**
 * The message of one attempt: the caller's, with the idempotency key where its profile puts it into the message
 * (AIP-155: `request_id`).
 *
 * @throws {CallError} `invalid_argument` when the input is no object; `failed_precondition` when the message has no such field: sent again, it would do things twice.
 */
export function inputOf(call: Call, profile: IdempotencyOption | undefined): unknown {
  if (call.operation.kind === 'client_stream' || call.operation.kind === 'bidi_stream') return call.input
  if (call.input !== undefined && (typeof call.input !== 'object' || call.input === null)) throw noMessage(call)
  const named = call.operation.idempotency ?? profile
  if (call.idempotencyKey === undefined || !named) return call.input ?? {}
  const { place, name } = idempotencyProfiles[named]
  if (place !== 'body') return call.input ?? {}
  const { input } = methodOf(call)
  const field = input.fields.find((each) => each.name === name || each.jsonName === name)
  if (!field) throw keyless(call, input.typeName, name)
  return { ...(call.input as object | undefined), [field.localName]: call.idempotencyKey }
}

function noMessage(call: Call): CallError {
  const message = `the input is an object with the fields of ${methodOf(call).input.typeName}; nothing was sent`
  return new CallError({ code: 'invalid_argument', message, phase: 'resolve', sent: 'no' }, call)
}

function keyless(call: Call, typeName: string, name: string): CallError {
  const message = `${typeName} has no field '${name}' to carry the idempotency key: set idempotency: false for this method; nothing was sent`
  return new CallError({ code: 'failed_precondition', message, phase: 'resolve', sent: 'no' }, call)
}
