import type { Call } from '../core/call/call.ts'
import type { Context } from '../core/call/context.ts'
import { type CallHeaders, noHeaders } from '../core/call/header-map.ts'
import { idempotencyProfiles } from '../core/call/idempotency.ts'
import { inputOf, type Plan } from '../core/call/plan.ts'
import { uuid } from '../core/call/uuid.ts'
import { refusal } from '../core/errors/refusal.ts'
import { type Durable, unfit } from './durable.ts'
import type { Host, Kept } from './host.ts'
import { Unwritable, writeValue } from './value-text.ts'

/** A call that is to be written down. */
export interface Order {
  readonly durable: Durable
  readonly plan: Plan
  readonly kept: Kept
  readonly key: string
  readonly identity: string
  readonly context: Context
}

/** What is to be written of a call. @throws {CallError} where it could not be carried out, before anything is written. */
export async function orderOf(host: Host, call: Call, durable: Durable): Promise<Order> {
  const { input, options, headers, identity, context } = call
  const plan = host.planOf(durable.inner)
  refuse(durable, plan, headers)
  const { inner } = durable
  // What would be refused when it is sent is refused before it is written.
  await inputOf(plan, input)
  const nested = inner.headersOf?.(input)
  if (nested) refuseCredentials(durable, plan, Object.keys(nested))
  const profile = durable.profileOf(plan)
  const named = headers[idempotencyProfiles[profile ?? 'idempotency-key'].name]
  const key = options.idempotencyKey ?? named ?? uuid()
  const kept: Kept = { input, ...(headers !== noHeaders && { headers }) }
  try {
    writeValue(input)
  } catch (cause) {
    throw refusal(
      cause instanceof Unwritable ? cause.message : 'the input cannot be written down',
      { operation: inner },
      cause,
    )
  }
  return { durable, plan, kept, key, identity, context }
}

function refuse(durable: Durable, plan: Plan, headers: CallHeaders): void {
  const { inner, options, name } = durable
  if (!options.settle && !inner.isIdempotent && !durable.profileOf(plan))
    throw unfit(
      inner,
      `nothing tells what became of the durable '${name}': name how its server takes keys (idempotency), or how it is asked (settle)`,
    )
  refuseCredentials(durable, plan, Object.keys(headers))
}

/** They would be kept, and would be another's, or out of date, when the entry is sent. */
function refuseCredentials({ inner }: Durable, { route }: Plan, names: readonly string[]): void {
  const header = names.find((name) => secret.test(name) || name.toLowerCase() === route.auth?.header)
  if (header)
    throw unfit(
      inner,
      `the header '${header}' of a durable call is a credential, which is never kept: let 'auth' give it`,
    )
}

const secret = /^(?:authorization|proxy-authorization|cookie)$|(?:^|-)(?:api-?key|token|secret|password)$/i
