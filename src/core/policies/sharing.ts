import type { Call } from '../call/call.ts'
import { ownCredential, principalOf } from '../call/credential.ts'
import type { Plan } from '../call/plan.ts'
import type { Reply } from '../call/reply.ts'
import { CallError, failureOf, withHistory } from '../errors/error.ts'
import { canonicalText } from '../store/canonical-text.ts'
import { isObject } from '../tag.ts'
import { bounded } from '../time/bounded.ts'

/** Thrown inside: a value that is read once, or that only its own class can copy. */
const unknown = /* @__PURE__ */ new Error('a value that cannot be shared')

/** The same text for equal inputs; undefined where the input holds what has no text (a Blob, a stream, a function). */
export function textOfInput(input: unknown): string | undefined {
  try {
    return canonicalText(copy(input, 0))
  } catch {
    return undefined
  }
}

/** A reply with a message of its own; undefined where the message cannot be copied. */
export function copyOfReply(reply: Reply): Reply | undefined {
  if (reply.kind !== 'unary' || reply.finished) return undefined
  try {
    return { ...reply, message: copy(reply.message, 0) }
  } catch {
    return undefined
  }
}

/** A copy of plain data; what cannot be copied stays what it is. */
export function copyOf(value: unknown): unknown {
  try {
    return copy(value, 0)
  } catch {
    return value
  }
}

/**
 * The same text for calls that may share what one of them gets: of one identity, or where nothing names it, of one
 * credential; with the same headers and context. Undefined for a call that shares with nobody.
 */
export async function partitionOf(call: Call): Promise<string | undefined> {
  const { operation, headers, context, scope } = call
  const route = (scope.services.planOf?.(operation) as Plan | undefined)?.route
  const auth = operation.auth === false ? undefined : route?.auth
  if (ownCredential(call, auth?.header)) return undefined
  let principal = principalOf(call)
  if (auth && !auth.identity) {
    const credential = await bounded(scope, async () => auth.credential(call)).catch(() => null)
    // Whoever asks for it again is told why there is none.
    if (credential === null) return undefined
    principal = principalOf(call.with({ credential }))
  }
  return JSON.stringify([numberOf(context), principal, headers])
}

/** The error of a request that several calls share, as one of each: its history is nobody else's. */
export function ownError(error: CallError, { operation }: Call): CallError {
  const { attempt, failures, notRetried, idempotencyKey, phase, sent } = error
  const message = error.message.replace(/^\[\w+\] .*? via [^:]*: /, '')
  const own = new CallError({ ...failureOf(error), message, phase, sent }, { operation, attempt, idempotencyKey })
  return withHistory(own, failures, notRetried)
}

const numbers = /* @__PURE__ */ new WeakMap<object, number>()
let last = 0

/** What tells two objects apart in a text. */
export function numberOf(thing: object): number {
  let number = numbers.get(thing)
  if (number === undefined) numbers.set(thing, (number = ++last))
  return number
}

/** @throws where a value is neither plain data nor an object of plain data with a class (a message of protobuf). */
function copy(value: unknown, depth: number): unknown {
  if (typeof value === 'function' || depth > 200) throw unknown
  if (!isObject(value)) return value
  if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1))
  if (value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return structuredClone(value)
  if (value instanceof URLSearchParams) return new URLSearchParams(value)
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, copy(item, depth + 1)]))
  if (value instanceof Set) return new Set(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  const names = Object.keys(value)
  // What shows nothing of itself is no data: a Blob, a stream, a Response.
  if (names.length === 0 && prototype !== Object.prototype && prototype !== null) throw unknown
  // As own members, whatever their names: to set `__proto__` would be something else.
  const members = names.map((name) => [name, copy((value as Record<string, unknown>)[name], depth + 1)] as const)
  return Object.setPrototypeOf(Object.fromEntries(members), prototype as object | null)
}
