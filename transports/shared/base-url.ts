import { CallError } from '../../src/core/errors/error.ts'

/** Where a transport sends to: scheme, host and port, and the prefix that paths are put behind. */
export interface BaseUrl {
  readonly origin: string
  /** Origin and path, without a slash at the end. */
  readonly prefix: string
}

interface Page {
  readonly location?: { readonly href?: string; readonly origin?: string }
  readonly Deno?: unknown
}

/** `api.example.com/v1`, `localhost:3000`: elsewhere a path of the page, or a scheme. */
const bareHost = /^(?:localhost|\[[\da-f:]+\]|\d+(?:\.\d+){3}|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,})(?::\d+)?(?:[/?#]|$)/i

/** The page or worker that runs this; undefined outside of browsers. */
export function page(): Page['location'] | undefined {
  const { location, Deno } = globalThis as Page
  return Deno === undefined && typeof location?.href === 'string' ? location : undefined
}

/**
 * Reads a base URL; one relative to the page is taken in browsers only. Its path stays: `/users` goes behind it.
 *
 * @throws {CallError} `invalid_argument` where nothing could be sent to it; the message does not show the URL, which may hold a secret.
 */
export function readBaseUrl(baseUrl: unknown, factory: string): BaseUrl {
  const refuse = (what: string): never => {
    throw new CallError({ code: 'invalid_argument', message: `${factory}({ baseUrl }): ${what}` })
  }
  if (typeof baseUrl !== 'string')
    refuse(`a URL such as 'https://api.example.com/v1', not ${baseUrl === null ? 'null' : typeof baseUrl}`)
  const base = page()?.href
  if (bareHost.test(baseUrl as string))
    refuse("the URL must be absolute, and this looks like a host name: put 'https://' or 'http://' in front")
  // Nothing in front of a path means the page's origin, not the page.
  const given = baseUrl === '' && base !== undefined ? '/' : (baseUrl as string)
  const url = URL.canParse(given, base)
    ? new URL(given, base)
    : refuse(
        base ? 'this is no URL' : "outside of browsers the URL must be absolute, such as 'https://api.example.com/v1'",
      )
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    refuse(`the scheme must be http or https, not ${url.protocol.slice(0, 16)}`)
  if (url.username || url.password) refuse('no user name or password: pass auth: basicAuth(…)')
  if (url.search || url.hash) refuse(`no query and no fragment: parameters for every call stand in the option 'query'`)
  return { origin: url.origin, prefix: url.origin + url.pathname.replace(/\/+$/, '') }
}

/** Whether this runs in a browser, on a page of another origin: then most headers force a preflight. */
export function isCrossOrigin(origin: string): boolean {
  const location = page()
  return location !== undefined && location.origin !== origin
}
