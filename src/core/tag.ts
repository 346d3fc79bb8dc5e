/**
 * What a value says that it is: `Blob`, `FormData`, `Date`. The classes of jsdom, undici and Node differ, so that
 * `instanceof` knows only those of one of them.
 */
export function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1)
}
