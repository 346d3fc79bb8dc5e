import type { Reply } from '../call/reply.ts'
import { canonicalText } from '../store/canonical-text.ts'

/** Thrown inside: a value that is read once, or that only its own class can copy. */
const unknown = new Error('a value that cannot be shared')

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

/** @throws where a value is neither plain data nor an object of plain data with a class (a message of protobuf). */
function copy(value: unknown, depth: number): unknown {
  if (typeof value === 'function' || depth > 200) throw unknown
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1))
  if (value instanceof Date || ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return structuredClone(value)
  if (value instanceof URLSearchParams) return new URLSearchParams(value)
  if (value instanceof Map) return new Map(Array.from(value, ([key, item]) => [key, copy(item, depth + 1)]))
  if (value instanceof Set) return new Set(value)
  const prototype: unknown = Object.getPrototypeOf(value)
  const names = Object.keys(value)
  // What shows nothing of itself is no data: a Blob, a stream, a Response.
  if (names.length === 0 && prototype !== Object.prototype && prototype !== null) throw unknown
  const copied = Object.create(prototype as object | null) as Record<string, unknown>
  for (const name of names) copied[name] = copy((value as Record<string, unknown>)[name], depth + 1)
  return copied
}
