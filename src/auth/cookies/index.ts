import type { RequestSigner, SignableRequest, SignedAnswer } from '../../../transports/http/signing/signer.ts'
import { joinWire, wireOf } from '../../../transports/http/signing/wire.ts'
import { Peer } from '../../../transports/shared/peer.ts'
import type { Auth, Credential } from '../../core/call/auth.ts'
import type { Call } from '../../core/call/call.ts'
import { makeCredential } from '../../core/call/credential.ts'
import { CallError } from '../../core/errors/error.ts'
import { guard, isThenable } from '../../core/guard.ts'
import { callable, checkOptions, count, type RulesOf } from '../../core/options.ts'
import { silentMs } from '../kept-answer.ts'
import { hasPageCookies } from '../session/cookie-jar.ts'
import { authRule } from '../signed.ts'

/** What a jar can do: a `CookieJar` of tough-cookie fits, and so does one of your own. */
export interface CookieJarLike {
  /** The cookies for a URL, as they stand in the header; empty where there are none. */
  getCookieString(url: string): string | Promise<string>
  /** Takes one line of `Set-Cookie`. */
  setCookie(line: string, url: string, options?: any): unknown
}

/** Whose cookies are kept, and where. */
export interface CookieJarOptions {
  /** Whose cookies these are: two identities have none in common. @defaultValue as `auth` of `with()` says, else one identity */
  readonly identity?: Auth['identity']
  /**
   * The jar of one identity at one origin, such as one that is read from a file; never give two of them the same.
   * @defaultValue a `CookieJar` of tough-cookie, in memory
   */
  readonly open?: ((identity: string, origin: string) => CookieJarLike | Promise<CookieJarLike>) | undefined
  /** Of so many identities cookies are kept; the one that has not called for longest is forgotten. @defaultValue 1000 */
  readonly maxIdentities?: number | undefined
}

/** An `Auth` that keeps cookies. */
export interface CookieAuth extends Auth {
  /** The same cookies beside a credential: `jar.with(bearerAuth(token))`. */
  with(auth: Auth): CookieAuth
  /** Forgets the cookies of one identity, which is another principal from then on. */
  clear(identity?: string): void
}

const rules: RulesOf<CookieJarOptions> = { identity: callable, open: callable, maxIdentities: count }

const toughCookie: Peer<typeof import('tough-cookie')> = /*#__PURE__*/ new Peer(
  ['cookies', 'tough-cookie', 'tough-cookie'],
  () => import('tough-cookie'),
)

/**
 * Keeps the cookies that servers set, as a browser does, and sends them again: over every protocol, on redirects, too, and in
 * a WebSocket's handshake. Needs `npm install tough-cookie`.
 *
 * There is a jar for each identity and origin. Nothing of it goes to another origin, whatever a cookie's `Domain` says, and
 * nothing of it is shown by a log. In Node and its like alone: browsers keep cookies themselves (`credentials: 'include'`).
 *
 * @throws {CallError} `invalid_argument` for an option that is none, `failed_precondition` in a browser. Calls fail with the
 *   latter, unsent, where tough-cookie is not installed.
 * @example
 * createClient({ transports, auth: cookieJar() })
 * createClient({ transports, auth: cookieJar().with(bearerAuth(() => token)) })
 */
export function cookieJar(options: CookieJarOptions = {}): CookieAuth {
  checkOptions('cookieJar()', options, rules)
  if (hasPageCookies()) {
    const message = "cookieJar(): a browser keeps cookies itself: set credentials: 'include' on the transport"
    throw new CallError({ code: 'failed_precondition', message })
  }
  return cookieAuth(new Jars(options), options.identity, undefined)
}

function cookieAuth(jars: Jars, identity: Auth['identity'] | undefined, inner: Auth | undefined): CookieAuth {
  const whose = identity ?? (inner?.identity && ((call) => inner.identity?.(call) ?? ''))
  return {
    name: inner?.name ?? 'cookies',
    header: inner ? (inner.header ?? 'authorization') : 'cookie',
    ...(whose && { identity: whose }),
    credential(call) {
      const own = jars.of(call.identity)
      const credential = inner?.credential(call)
      return isThenable(credential)
        ? Promise.resolve(credential).then((given) => own.wrap(given))
        : own.wrap(credential)
    },
    ...(inner?.refresh && {
      refresh: async (rejected: Credential, call: Call, error: CallError) => {
        const own = jars.of(call.identity)
        const newer = await inner.refresh?.(own.unwrap(rejected), call, error)
        return newer && own.wrap(newer)
      },
    }),
    with(auth) {
      if (!authRule.fits(auth)) throw new TypeError(`cookieJar().with(auth) takes ${authRule.takes}`)
      return cookieAuth(jars, identity, auth)
    },
    clear: (of = '') => jars.forget(of),
  }
}

let made = 0
/** What stands in a credential with cookies, also of one whose cookies were forgotten in the middle of a call. */
const inners = /* @__PURE__ */ new WeakMap<Credential, Credential>()

/** All jars of one source, by identity. */
class Jars {
  readonly #options: CookieJarOptions
  readonly #owners = new Map<string, Owner>()

  constructor(options: CookieJarOptions) {
    this.#options = options
  }

  /** The one that was used last stands last. */
  of(identity: string): Owner {
    const owner = this.#owners.get(identity) ?? new Owner(identity, this.#options)
    this.#owners.delete(identity)
    this.#owners.set(identity, owner)
    const { maxIdentities = 1000 } = this.#options
    if (this.#owners.size > maxIdentities) this.#owners.delete(this.#owners.keys().next().value as string)
    return owner
  }

  forget(identity: string): void {
    this.#owners.delete(identity)
  }
}

/** The cookies of one identity: one jar for each origin. */
class Owner implements RequestSigner {
  readonly #identity: string
  readonly #open: CookieJarOptions['open']
  readonly #principal = `cookies ${++made}`
  /** By origin; what is not opened by `until`, or could not be, is opened anew. */
  readonly #jars = new Map<string, { readonly jar: Promise<CookieJarLike>; until: number }>()
  readonly #wire = wireOf(this)
  /** By the credential that they go with. */
  readonly #wrapped = new WeakMap<Credential, Credential>()
  readonly #alone = makeCredential({ principal: this.#principal, wire: this.#wire })

  constructor(identity: string, { open }: CookieJarOptions) {
    this.#identity = identity
    this.#open = open
  }

  /** A credential with the cookies; always the same one for the same. */
  wrap(credential: Credential | undefined): Credential {
    if (!credential) return this.#alone
    let made = this.#wrapped.get(credential)
    if (!made) {
      const wire = credential.wire ? joinWire(credential.wire, this) : this.#wire
      const { secret, headers, query } = credential
      // Without the cookies it is another one: who logs in next may have the same key of the app.
      const whose = credential.principal ?? (this.#identity === '' ? (secret ?? [headers, query]) : null)
      const principal = JSON.stringify([this.#principal, whose])
      made = makeCredential({ ...credential, wire, principal })
      this.#wrapped.set(credential, made)
      inners.set(made, credential)
    }
    return made
  }

  unwrap(credential: Credential): Credential {
    return inners.get(credential) ?? credential
  }

  async sign({ url, headers }: SignableRequest): Promise<Record<string, string>> {
    const jar = await this.#jarOf(url)
    const kept = await guard('getCookieString() of the cookie jar', () => jar.getCookieString(url))
    const cookie = [headers.cookie ?? '', kept].filter((each) => each !== '').join('; ')
    return cookie === '' ? {} : { cookie }
  }

  async answered({ url }: SignableRequest, { headers }: SignedAnswer): Promise<boolean> {
    const lines = headers.getSetCookie()
    if (lines.length === 0) return false
    const jar = await this.#jarOf(url)
    // A cookie that the jar refuses (another domain, a public suffix, garbage) is none, as in a browser.
    for (const line of lines)
      await guard('setCookie() of the cookie jar', () => jar.setCookie(line, url, { ignoreError: true }))
    return false
  }

  #jarOf(url: string): Promise<CookieJarLike> {
    const { origin } = new URL(url)
    const kept = this.#jars.get(origin)
    if (kept && Date.now() < kept.until) return kept.jar
    const jar = this.#make(origin)
    const made = { jar, until: Date.now() + silentMs }
    this.#jars.set(origin, made)
    jar.then(
      () => (made.until = Number.POSITIVE_INFINITY),
      () => (made.until = 0),
    )
    return jar
  }

  async #make(origin: string): Promise<CookieJarLike> {
    const open = this.#open
    if (open) return guard('open() of cookieJar()', () => open(this.#identity, origin))
    const { CookieJar } = await toughCookie.get(nowhere)
    return new CookieJar()
  }
}

/** The jar serves all calls, so that no one of them is named. */
const nowhere = { operation: { name: 'cookieJar()', protocol: '', via: 'auth' } }
