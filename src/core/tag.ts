/**
 * What a value says that it is: `Blob`, `FormData`, `Date`. The classes of jsdom, undici and Node differ, so that
 * `instanceof` knows only those of one of them.
 */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}

/** What may have members; `null` has none. */
export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** An object with names: a list is none. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && !Array.isArray(value)
}

/** How Node's console shows an object, where it is a method of this name. */
export const inspect: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never
