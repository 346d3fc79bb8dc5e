import { CallError } from '../../src/core/errors/error.ts'

/** Where a GraphQL server is. */
export interface GraphQLUrl {
  readonly href: string
  readonly origin: string
}

interface Page {
  readonly location?: { readonly href?: string }
  readonly Deno?: unknown
}

/**
 * Reads an endpoint; one relative to the page is taken in browsers only.
 *
 * @throws {CallError} `invalid_argument` where nothing could be sent to it; the message does not show the URL, which may hold a secret.
 */
export function readGraphQLUrl(given: unknown, option: string, schemes: readonly string[]): GraphQLUrl {
  const refuse = (what: string): never => {
    throw new CallError({ code: 'invalid_argument', message: `graphqlTransport({ ${option} }): ${what}` })
  }
  if (typeof given !== 'string') return refuse(`a URL such as '${schemes[0]}//api.example.com/graphql'`)
  const { location, Deno } = globalThis as Page
  const page = Deno === undefined ? location?.href : undefined
  if (!URL.canParse(given, page))
    return refuse(page ? 'this is no URL' : 'outside of browsers the URL must be absolute')
  const url = new URL(given, page)
  if (!schemes.includes(url.protocol)) refuse(`the scheme must be one of ${schemes.join(' ')}`)
  if (url.username || url.password) refuse('no user name or password: pass auth: basicAuth(…)')
  url.hash = ''
  return { href: url.href, origin: url.origin }
}
