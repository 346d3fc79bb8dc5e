import type { FetchOptions } from './contract.ts'

const names = ['credentials', 'mode', 'cache', 'redirect', 'priority', 'keepalive'] as const

/** Fetch's own among the options of a transport; undefined where there is none. */
export function fetchOptionsOf(options: FetchOptions): FetchOptions | undefined {
  const given = names.filter((name) => options[name] !== undefined)
  return given.length === 0 ? undefined : Object.fromEntries(given.map((name) => [name, options[name]]))
}
