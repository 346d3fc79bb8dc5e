import type { HttpFault, HttpRequest } from './contract.ts'
import { type Redirected, redirectedBy } from './progress.ts'

/** Hops before an exchange gives up, as in the Fetch standard. */
const maxRedirects = 20

/** Never sent to another origin, whoever set them. */
export const alwaysSecret = ['authorization', 'cookie', 'proxy-authorization', 'x-api-key']
/** Of the body, or of an intent that a GET no longer has. */
const describesBody = /^(content-.*|idempotency-key|transfer-encoding|expect)$/

/** Whether a status sends the request elsewhere; 300 and 304 do not. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308
}

/** The request that follows a redirect, and what is known of it then. */
export interface Hop {
  readonly request: HttpRequest
  readonly redirected: Redirected
}

/** Makes of a request and the redirect that answered it the next hop, or the fault that ends it. */
export type FollowRedirect = (
  request: HttpRequest,
  status: number,
  location: string,
  before: Redirected | undefined,
) => Hop | HttpFault

/**
 * The hop that follows a redirect, by the Fetch standard's rules, and stricter: no credential header crosses an origin,
 * nothing goes from https to http.
 *
 * @param before - the redirects followed so far.
 */
export const followRedirect: FollowRedirect = (request, status, location, before) => {
  const { method } = request
  if ((before?.hops ?? 0) >= maxRedirects) return refuse(`more than ${maxRedirects} redirects`)
  const from = new URL(request.url)
  const target = locationOf(location)
  const to = URL.canParse(target, from) ? new URL(target, from) : undefined
  if (!to || (to.protocol !== 'http:' && to.protocol !== 'https:')) return refuse('redirect to what is no http URL')
  if (to.username || to.password) return refuse('redirect to a URL that holds a user name')
  if (from.protocol === 'https:' && to.protocol === 'http:') return refuse('redirect from https to http')
  const isTurnedIntoGet =
    (status === 303 && method !== 'GET' && method !== 'HEAD') || (status < 303 && method === 'POST')
  if (!isTurnedIntoGet && !isReplayable(request))
    return refuse('redirect of a request whose body can be sent only once')
  const headers: Record<string, string> = {}
  const isForeign = from.origin !== to.origin
  for (const [name, value] of Object.entries(request.headers)) {
    if (isForeign && isSecret(name, request)) continue
    if (isTurnedIntoGet && describesBody.test(name)) continue
    if (name !== 'host') headers[name] = value
  }
  const next = { ...request, url: to.href, headers }
  const redirected = redirectedBy(status, method, isForeign, before)
  return {
    request: isTurnedIntoGet ? { ...next, method: 'GET', body: undefined, blob: undefined, open: undefined } : next,
    redirected: { ...redirected, tell: (fault) => behind(redirected, status, fault) },
  }
}

/** What fails behind a redirect: the request itself was answered. */
function behind(redirected: Redirected, status: number, fault: HttpFault): HttpFault {
  const isReached = fault.phase !== 'connect' && fault.phase !== 'resolve'
  const hop = isReached ? 'the exchange with the redirect target failed' : 'the redirect target could not be reached'
  const what = `${hop} (${fault.what}): the request itself was answered with ${status}`
  return { ...fault, what, sent: 'yes', redirected }
}

/** Header names that fetch, which knows only the standard ones, would carry to another origin. */
export function hasSecretUnknownToFetch(request: HttpRequest): boolean {
  return Object.keys(request.headers).some(
    (name) => isSecret(name, request) && name !== 'authorization' && name !== 'cookie',
  )
}

function isSecret(name: string, request: HttpRequest): boolean {
  return alwaysSecret.includes(name) || request.credential?.headers?.[name] !== undefined
}

/** Whether the body, where there is one, can be sent once more. */
export function isReplayable({ body, isBodyReplayable }: HttpRequest): boolean {
  return typeof body !== 'function' || isBodyReplayable !== false
}

/** A redirect that is not followed; the server has answered, but not done what was asked. */
export function refuse(what: string): HttpFault {
  const hint = 'Correct the URL, or set `redirect`'
  return { phase: 'headers', sent: 'yes', what, hint, code: 'failed_precondition' }
}

/** The text of a Location header: bytes that claim to be latin1 and are often UTF-8. */
export function locationOf(header: string): string {
  let isAscii = true
  for (let i = 0; i < header.length && isAscii; i++) isAscii = header.charCodeAt(i) < 0x80
  if (isAscii) return header
  return new TextDecoder().decode(Uint8Array.from(header, (char) => char.charCodeAt(0)))
}
