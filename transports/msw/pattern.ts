/** A URL that an operation is asked by. */
export interface UrlPattern {
  /** The names of its path, decoded; undefined for any other URL. */
  match(url: URL): Record<string, string> | undefined
}

/** A base as it is written: absolute, or a path that any origin may have. */
interface Base {
  readonly origin: string | undefined
  /** Without a slash at its end. */
  readonly prefix: string
}

/** @throws {TypeError} where it is neither a URL nor a path. */
export function readBase(baseUrl: string): Base {
  const isPath = typeof baseUrl === 'string' && baseUrl.startsWith('/')
  if (!isPath && !URL.canParse(baseUrl)) throw new TypeError(`baseUrl is a URL or a path such as '/v1'`)
  const { origin, pathname, host, protocol } = new URL(baseUrl, 'http://any')
  const own = /^ws/.test(protocol) ? `${protocol.replace('ws', 'http')}//${host}` : origin
  return { origin: isPath ? undefined : own, prefix: pathname.replace(/\/+$/, '') }
}

/** A text within a pattern, as it is. */
export const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
/** As the client writes what stands in a template. */
const encoded = (literal: string): string => literal.replace(/[^!$-;=?-[\]_a-z~]/gu, encodeURIComponent)

/** The pattern of a text with names in braces: `/users/{id}`, `room:{room}`. */
export function templatePattern(
  template: string,
  { literal, value }: { readonly literal: (text: string) => string; readonly value: (name: string) => string },
): { readonly source: string; readonly names: readonly string[] } {
  const parts = template.split(/\{([^{}]*)\}/)
  const source = parts.map((part, index) => (index % 2 ? `(${value(part)})` : escaped(literal(part)))).join('')
  return { source, names: parts.filter((_, index) => index % 2).map((name) => name.replace('+', '')) }
}

/** Of a template of the client, whose placeholders stand for segments, or parts of the query that it has of its own. */
export function urlPattern(template: string, baseUrl: string | undefined): UrlPattern {
  const [path = '', ownQuery] = template.split('?')
  const base = baseUrl === undefined ? undefined : readBase(baseUrl)
  const { source, names } = templatePattern(path, {
    literal: encoded,
    value: (name) => (name.startsWith('+') ? '.+' : '[^/]+'),
  })
  // A path that says nothing would end any URL.
  const before = base ? escaped(base.prefix) : /^\/?$/.test(path) ? '' : '(?:/.*?)??'
  const pattern = new RegExp(`^${before}${source}${path === '' ? '/?' : ''}$`)
  const asked = [...new URLSearchParams(ownQuery)]
  return {
    match(url) {
      if (base?.origin !== undefined && url.origin.replace(/^ws/, 'http') !== base.origin) return undefined
      const found = pattern.exec(url.pathname)
      if (!found) return undefined
      const params: Record<string, string> = {}
      for (const [index, name] of names.entries()) params[name] = decoded(found[index + 1] as string)
      for (const [key, value] of asked) {
        const given = url.searchParams.getAll(key)
        // A plus has become a space.
        const [, name] = /^\{ ?(.*)\}$/.exec(value) ?? []
        if (!(name === undefined ? given.includes(value) : given.length)) return undefined
        if (name !== undefined) params[name] = given[0] as string
      }
      return params
    },
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
