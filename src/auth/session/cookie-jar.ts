import { parseHttpDate } from '../../core/errors/retry-after.ts'

interface Cookie {
  readonly name: string
  readonly value: string
  readonly path: string
  readonly isSecure: boolean
  /** ms since 1970. */
  readonly endsAt: number
}

/** As many as a browser keeps of one site; those that were set longest ago go first. */
const maxCookies = 180

/** Cookies of one origin: nothing of them is ever sent anywhere else, whatever their Domain says. */
export class CookieJar {
  readonly #cookies = new Map<string, Cookie>()

  get size(): number {
    return this.#cookies.size
  }

  /** Takes the `set-cookie` lines of one answer. */
  store(lines: readonly string[], url: string, now: number): void {
    const { pathname, hostname } = new URL(url)
    for (const line of lines) {
      const cookie = readCookie(line, pathname, hostname, now)
      if (!cookie) continue
      const key = `${cookie.name};${cookie.path}`
      this.#cookies.delete(key)
      if (cookie.endsAt > now) this.#cookies.set(key, cookie)
    }
    // Some servers name a cookie anew for each login: what is over must not pile up, nor what never ends.
    for (const [key, { endsAt }] of this.#cookies)
      if (endsAt <= now || this.#cookies.size > maxCookies) this.#cookies.delete(key)
  }

  /** The cookies for one URL, those of longer paths first; empty where there are none. */
  header(url: string, now: number): string {
    return this.#for(url, now)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  }

  /** The value of one cookie. */
  get(name: string, url: string, now: number): string | undefined {
    return this.#for(url, now).find((cookie) => cookie.name === name)?.value
  }

  #for(url: string, now: number): Cookie[] {
    const { pathname, protocol, hostname } = new URL(url)
    const isSafe = protocol === 'https:' || /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)
    return [...this.#cookies.values()]
      .filter(({ endsAt, isSecure, path }) => endsAt > now && (isSafe || !isSecure) && isUnder(pathname, path))
      .sort((one, other) => other.path.length - one.path.length)
  }
}

/** RFC 6265 §5.2, with what this jar needs of it. */
function readCookie(line: string, pathname: string, hostname: string, now: number): Cookie | undefined {
  const [pair = '', ...attributes] = line.split(';')
  const at = pair.indexOf('=')
  const name = pair.slice(0, at).trim()
  if (at <= 0 || name === '') return undefined
  let path = pathname.replace(/\/[^/]*$/, '') || '/'
  let endsAt = Number.POSITIVE_INFINITY
  let isSecure = false
  let hasMaxAge = false
  for (const attribute of attributes) {
    const [key = '', ...rest] = attribute.split('=')
    const value = rest.join('=').trim()
    const word = key.trim().toLowerCase()
    if (word === 'path' && value.startsWith('/')) path = value
    else if (word === 'secure') isSecure = true
    else if (word === 'max-age' && /^-?\d+$/.test(value)) {
      hasMaxAge = true
      endsAt = now + Number(value) * 1000
    } else if (word === 'expires' && !hasMaxAge) endsAt = parseHttpDate(value.replaceAll('-', ' '), now) ?? endsAt
    else if (word === 'domain' && value !== '' && !isUnderHost(hostname, value.replace(/^\./, '').toLowerCase()))
      return undefined
  }
  return { name, value: pair.slice(at + 1).trim(), path, isSecure, endsAt }
}

function isUnder(pathname: string, path: string): boolean {
  return pathname === path || (pathname.startsWith(path) && (path.endsWith('/') || pathname[path.length] === '/'))
}

function isUnderHost(hostname: string, domain: string): boolean {
  return hostname === domain || hostname.endsWith(`.${domain}`)
}

/** Whether a browser keeps the cookies here; in a frame whose sandbox forbids to read them, too. */
export function hasPageCookies(): boolean {
  return 'cookie' in ((globalThis as { document?: object }).document ?? {})
}
