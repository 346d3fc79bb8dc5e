import { CallError } from '../../src/core/errors/error.ts'

/** Where a transport sends to: scheme, host and port, and the prefix that paths are put behind. */
export interface BaseUrl {
  readonly origin: string
  /** Origin and path, without a slash at the end. */
  readonly prefix: string
}

interface Host {
  readonly location?: { readonly href?: string; readonly origin?: string }
  readonly origin?: string | undefined
  readonly document?: { readonly baseURI?: string }
  readonly Deno?: unknown
}

/** `api.example.com/v1`, `localhost:3000`: elsewhere a path of the page, or a scheme. */
const bareHost = /^(?:localhost|\[[\da-f:]+\]|\d+(?:\.\d+){3}|\w[\w.-]*\.[a-z]{2,})(?::\d+)?(?:[/?#]|$)/i

/**
 * The page or worker that runs this; undefined outside of browsers. As for fetch, relative URLs are relative to
 * `<base href>`, a frame of `srcdoc` has URL and origin of the page around it, and the origin of a sandbox is `null`.
 */
export function page(): { readonly href: string; readonly origin: string | undefined } | undefined {
  const { location, origin = location?.origin, document, Deno } = globalThis as Host
  if (Deno !== undefined || typeof location?.href !== 'string') return undefined
  return { href: document?.baseURI ?? location.href, origin }
}

/**
 * Reads a URL; a relative one is taken where there is something that it is relative to, by default the page.
 *
 * @param place - for the message: `graphqlTransport({ url })`.
 * @throws {CallError} `invalid_argument` where nothing could be sent to it; the message does not show the URL, which may hold a secret.
 */
export function readUrl(value: unknown, place: string, schemes = 'http https', base = page()?.href): URL {
  const refuse = refusalAt(place)
  if (typeof value !== 'string')
    refuse(`a URL such as 'https://api.example.com/v1', not ${value === null ? 'null' : typeof value}`)
  if (bareHost.test(value as string)) refuse("the URL must be absolute: put 'https://' or 'http://' in front")
  const url = URL.canParse(value as string, base)
    ? new URL(value as string, base)
    : refuse(base ? 'this is no URL' : 'the URL must be absolute outside of browsers')
  const scheme = url.protocol.slice(0, -1)
  if (!schemes.split(' ').includes(scheme))
    refuse(`the scheme must be ${schemes.replaceAll(' ', ' or ')}, not ${scheme.slice(0, 16)}:`)
  if (url.username || url.password) refuse('no user name or password: pass auth: basicAuth(…)')
  return url
}

/** Reads a base URL. Its path stays: `/users` goes behind it. @throws {CallError} as {@link readUrl} does. */
export function readBaseUrl(baseUrl: unknown, factory: string): BaseUrl {
  const place = `${factory}({ baseUrl })`
  // Nothing in front of a path means the page's origin, not the page.
  const url = readUrl(baseUrl === '' ? '/' : baseUrl, place)
  if (url.search || url.hash) refusalAt(place)("no query and no fragment: use the option 'query'")
  return { origin: url.origin, prefix: url.origin + url.pathname.replace(/\/+$/, '') }
}

function refusalAt(place: string): (what: string) => never {
  return (what) => {
    throw new CallError({ code: 'invalid_argument', message: `${place}: ${what}` })
  }
}

/** A URL with more query parameters, where an API wants its key there. */
export function addQuery(url: string, query: Readonly<Record<string, string>> | undefined): string {
  if (!query) return url
  const pairs = Object.entries(query).map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
  return pairs.length > 0 ? `${url}${url.includes('?') ? '&' : '?'}${pairs.join('&')}` : url
}

/** Whether this runs in a browser, on a page of another origin: then most headers force a preflight. */
export function isCrossOrigin(origin: string): boolean {
  const here = page()
  return here !== undefined && here.origin !== origin
}
