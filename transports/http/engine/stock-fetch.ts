/** What all versions of Node's own `fetch` say of themselves, and nobody else's: it loads undici on its first call. */
const nodeText = /\bfetchImpl\(input, init\)|\blazyUndici\(\)/
/** What functions of the other platforms say, a bound one of theirs as well. */
const nativeText = /\[native code\]/
const known = new WeakMap<object, boolean>()

/**
 * Whether Node's own `fetch` was replaced: by msw, a spy, a polyfill, a framework.
 *
 * Told by its source text, for spies keep the name, and looked up at call time, for tests replace and restore it.
 */
export function isFetchReplaced(): boolean {
  const fetch: unknown = globalThis.fetch
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
  const text = textOf(globalThis.fetch)
  return nativeText.test(text) || nodeText.test(text)
}

function textOf(fetch: unknown): string {
  return Function.prototype.toString.call(fetch)
}
