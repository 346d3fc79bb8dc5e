import type { FetchLike } from '../contract.ts'

/** What all versions of Node's own `fetch` say of themselves, and nobody else's: it loads undici on its first call. */
const nodeText = /\bfetchImpl\(input, init\)|\blazyUndici\(\)/
/** What functions of the other platforms say, a bound one of theirs as well. */
const nativeText = /\[native code\]/
const known = new WeakMap<object, boolean>()
/** Faces of ours, and the fetch that was there when each was made. */
const behind = new WeakMap<object, unknown>()

/** Lets a face stand in the place of the global fetch: what goes on the wire still goes by the one that was there. */
export function standInFront(face: object): void {
  behind.set(face, globalFetch())
}

/** The global fetch; where a face of ours has taken its place, what stands behind, or each would call the other for ever. */
export function globalFetch(): FetchLike {
  let fetch: unknown = globalThis.fetch
  while (behind.has(fetch as object)) fetch = behind.get(fetch as object)
  return fetch as FetchLike
}

/**
 * Whether Node's own `fetch` was replaced: by msw, a spy, a polyfill, a framework.
 *
 * Told by its source text, for spies keep the name, and looked up at call time, for tests replace and restore it.
 */
export function isFetchReplaced(): boolean {
  const fetch: unknown = globalFetch()
  if (typeof fetch !== 'function') return false
  let isReplaced = known.get(fetch)
  if (isReplaced === undefined) {
    isReplaced = !nodeText.test(textOf(fetch))
    known.set(fetch, isReplaced)
  }
  return isReplaced
}

/** Whether the global `fetch` is the platform's own: a mistake in it is none of the caller's. */
export function isFetchStock(): boolean {
  const text = textOf(globalFetch())
  return nativeText.test(text) || nodeText.test(text)
}

function textOf(fetch: unknown): string {
  return typeof fetch === 'function' ? Function.prototype.toString.call(fetch) : ''
}
