/** One link of a `Link` header: its target and what is said of it; names in lower case. */
export interface Link {
  readonly url: string
  readonly params: Readonly<Record<string, string>>
}

/**
 * Reads a `Link` header (RFC 8288 §3): several links, parameters in any order, quoted or not. What is malformed ends the
 * list, and what was read before it counts.
 *
 * @example
 * parseLinks('</users?page=2>; rel="next", </users?page=9>; rel=last')
 */
export function parseLinks(header: string): readonly Link[] {
  return readLinks(header).links
}

/** Whether all of a `Link` header can be read. */
export function isWholeLinkHeader(header: string): boolean {
  return /^[\s,;]*$/.test(readLinks(header).rest)
}

function readLinks(header: string): { readonly links: readonly Link[]; readonly rest: string } {
  const links: Link[] = []
  let rest = header
  for (;;) {
    const target = /^[\s,]*<([^<>]*)>/.exec(rest)
    if (!target) return { links, rest }
    rest = rest.slice(target[0].length)
    const params: Record<string, string> = Object.create(null)
    for (;;) {
      // An empty parameter says nothing (§B.3).
      rest = rest.replace(/^(?:\s*;)+(?=\s*;)/, '')
      const param = /^\s*;\s*([^\s=;,"]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)(?:"|$)|([^\s;,"]*)))?/.exec(rest)
      if (!param) break
      rest = rest.slice(param[0].length)
      const [, name = '', quoted, bare = ''] = param
      // The first of a name counts (§3.3).
      params[name.toLowerCase()] ??= quoted?.replace(/\\(.)/g, '$1') ?? bare
    }
    links.push({ url: (target[1] as string).trim(), params })
    rest = rest.replace(/^(?:\s*;)+/, '')
    if (!/^\s*,/.test(rest)) return { links, rest }
  }
}

/** The target of the first link of a relation; relations are compared without case, and one link may have several. */
export function linkOf(header: string, relation: string): string | undefined {
  return parseLinks(header).find(
    ({ params }) => !('anchor' in params) && (params.rel ?? '').toLowerCase().split(/\s+/).includes(relation),
  )?.url
}
