import { createAsyncContext } from '#platform'
import type { RequestSigner, SignableRequest, SignedAnswer } from '../../../transports/http/signing/signer.ts'
import { wireOf } from '../../../transports/http/signing/wire.ts'
import type { Auth, Credential } from '../../core/call/auth.ts'
import type { Call } from '../../core/call/call.ts'
import { Context } from '../../core/call/context.ts'
import { makeCredential } from '../../core/call/credential.ts'
import { percentDecoded } from '../../core/call/percent.ts'
import { contextOfRun, followTokenRuns, runTokenSource, type TokenRun, tokenRunOf } from '../../core/call/token-run.ts'
import { isTransient } from '../../core/errors/transient.ts'
import { callable, checkOptions, object, oneOf, type RulesOf, text } from '../../core/options.ts'
import type { Clock } from '../../core/time/clock.ts'
import { KeptAnswer } from '../kept-answer.ts'
import { CookieJar, hasPageCookies } from './cookie-jar.ts'

/** How the server tells its own pages from those of others. */
export interface CsrfOptions {
  /** The header that it wants on what changes something. @defaultValue 'x-csrf-token' */
  readonly header?: string | undefined
  /** Double submit: the cookie whose value goes into the header. */
  readonly cookie?: string | undefined
  /** Gets a token where it is in no cookie, and another one after a refusal; kept until then. By the same client it is to be a GET. */
  readonly token?: ((request: CsrfRequest) => string | Promise<string>) | undefined
  /** Which answers say that the token was wrong: then a new one is got, and the request sent once more. @defaultValue 403 and 419 */
  readonly isRefusal?: ((answer: SignedAnswer) => boolean | Promise<boolean>) | undefined
}

/** What the functions of a session are told. */
export interface SessionRequest {
  readonly identity: string
  /** For calls by the same client, where nothing else tells that they are the session's own. */
  readonly context: Context
}

/** What asks for a CSRF token. */
export interface CsrfRequest extends SessionRequest {
  /** Where the token is for, and is sent alone, as the cookies are: `https://shop.example.com`. */
  readonly origin: string
}

/** How a session of cookies is kept. */
export interface SessionAuthOptions {
  /** Where the token comes from that the server wants beside the cookie. @defaultValue none */
  readonly csrf?: CsrfOptions | undefined
  /** Logs in again after a 401: once for all calls that were refused. @defaultValue a 401 is final */
  readonly login?: ((request: SessionRequest) => unknown) | undefined
  /** Whose session it is; each has cookies of its own. Of no use in browsers, which have one set of them. @defaultValue one */
  readonly identity?: Auth['identity']
  /** Who keeps the cookies: this source, in memory, or the browser. @defaultValue the browser, where there is one */
  readonly cookies?: 'memory' | 'platform' | undefined
}

const rules: RulesOf<SessionAuthOptions> = {
  csrf: /* @__PURE__ */ object('{ cookie } or { token }', {
    header: text,
    cookie: text,
    token: callable,
    isRefusal: callable,
  } satisfies RulesOf<CsrfOptions>),
  login: callable,
  identity: callable,
  cookies: /* @__PURE__ */ oneOf('memory', 'platform'),
}

/** An `Auth` whose session can be ended. */
export interface SessionAuth extends Auth {
  /** Forgets the cookies and tokens of one identity, which is another principal from then on. */
  clear(identity?: string): void
}

/** A login that failed is not tried again for the same session within this; ms. */
const failureHoldMs = 5000
/** Sessions remembered; the one that was used longest ago goes first. */
const maxSessions = 1000
const changes = /^(?!GET$|HEAD$|OPTIONS$|TRACE$|QUERY$)/

/**
 * A session that the server keeps in cookies, with the CSRF header that it wants on what changes something.
 *
 * Outside of browsers the cookies stay in this source's memory, one jar an origin and identity, and are sent to that
 * origin alone. In browsers they are the browser's: set `credentials: 'include'` for another origin.
 *
 * @throws {CallError} `invalid_argument` for an option that is none.
 * @example
 * createClient({ transports, auth: sessionAuth({ csrf: { cookie: 'XSRF-TOKEN', header: 'x-xsrf-token' }, login: () => api.login(me) }) })
 */
export function sessionAuth(options: SessionAuthOptions = {}): SessionAuth {
  checkOptions('sessionAuth()', options, rules)
  const source = new SessionSource(options)
  return {
    name: 'session',
    header: 'cookie',
    ...(options.identity && { identity: options.identity }),
    credential: (call) => source.credential(call),
    ...(options.login && { refresh: (rejected, call) => source.renew(rejected, call) }),
    clear: (identity = '') => source.clear(identity),
  }
}

class SessionSource {
  readonly #options: SessionAuthOptions
  readonly #sessions = new Map<string, Session>()

  constructor(options: SessionAuthOptions) {
    this.#options = options
    followTokenRuns(createAsyncContext)
  }

  credential(call: Call): Credential {
    const session = this.#of(call)
    // What its own functions call has cookies, and waits for no token.
    return tokenRunOf(call.context, this) ? session.bare : session.credential
  }

  async renew(rejected: Credential, call: Call): Promise<Credential | undefined> {
    if (tokenRunOf(call.context, this)) return undefined
    const session = this.#of(call)
    if (session.credential !== rejected) return session.credential
    const { clock } = call.scope.services
    const { failed } = session
    if (failed && clock.now() - failed.at < failureHoldMs) throw failed.cause
    const login = session.login.get(() =>
      session
        .run(call.context, async (request) => this.#options.login?.(request))
        .then(
          () => session.renewed(),
          (cause: unknown) => {
            if (!isTransient(cause)) session.failed = { cause, at: clock.now() }
            throw cause
          },
        ),
    )
    return login.finally(() => session.login.forget(login))
  }

  clear(identity: string): void {
    this.#sessions.delete(identity)
  }

  #of(call: Call): Session {
    const { identity } = call
    let session = this.#sessions.get(identity)
    if (session) this.#sessions.delete(identity)
    else session = new Session(this.#options, identity, this, call.scope.services.clock)
    this.#sessions.set(identity, session)
    if (this.#sessions.size > maxSessions) this.#sessions.delete(this.#sessions.keys().next().value as string)
    return session
  }
}

type Work<T> = (request: SessionRequest) => Promise<T>

let count = 0

/** The cookies, the token and the credential of one identity. */
class Session {
  readonly #identity: string
  readonly #source: object
  readonly #principal = `session ${++count}`
  readonly bare: Credential
  credential: Credential
  readonly login: KeptAnswer<Credential>
  failed: { readonly cause: unknown; readonly at: number } | undefined
  readonly #wire: Credential['wire']

  constructor(options: SessionAuthOptions, identity: string, source: object, clock: Clock) {
    this.#identity = identity
    this.#source = source
    this.login = new KeptAnswer(clock)
    const jars = new Map<string, CookieJar>()
    const needs = isPlatforms(options) ? (method: string) => changes.test(method) : undefined
    const getToken = options.csrf?.token
    const token: GetToken | undefined =
      getToken &&
      ((origin) => this.run(Context.empty, async (request) => textOf(await getToken({ ...request, origin }))))
    this.#wire = wireOf(new SessionSigner(options, jars, clock, token), needs)
    this.bare = this.#make(wireOf(new SessionSigner({ ...options, csrf: undefined } as never, jars, clock), needs))
    this.credential = this.#make(this.#wire)
  }

  renewed(): Credential {
    this.failed = undefined
    this.credential = this.#make(this.#wire)
    return this.credential
  }

  /** Runs a function of the user's: what it calls by the same client is told by its context. */
  async run<T>(context: Context, work: Work<T>): Promise<T> {
    const run: TokenRun = { source: this.#source, outer: tokenRunOf(context), isOver: false, calls: 0, turn: 0 }
    try {
      const request = { identity: this.#identity, context: contextOfRun(context, run) }
      return await runTokenSource(run, () => work(request))
    } finally {
      run.isOver = true
    }
  }

  #make(wire: Credential['wire']): Credential {
    return makeCredential({ principal: this.#principal, ...(wire && { wire }) })
  }
}

function isPlatforms({ cookies }: SessionAuthOptions): boolean {
  if (cookies !== undefined) return cookies === 'platform'
  return hasPageCookies()
}

type GetToken = (origin: string) => Promise<string | undefined>

/** What a function of the user's gives as a token; an object would be sent as `[object Object]`. */
function textOf(token: unknown): string | undefined {
  if (token === undefined || token === null || typeof token === 'string') return token ?? undefined
  throw new TypeError('csrf.token() of sessionAuth() gives a text')
}

class SessionSigner implements RequestSigner {
  readonly #csrf: CsrfOptions | undefined
  /** By origin; none where the browser keeps them. */
  readonly #jars: Map<string, CookieJar> | undefined
  readonly #getToken: GetToken | undefined
  readonly #clock: Clock
  /** By origin: what proves a request to one is nothing for another. */
  readonly #tokens = new Map<string, KeptAnswer<string | undefined>>()
  /** The token that a request was sent with. */
  readonly #used = new WeakMap<SignableRequest, string>()

  constructor(options: SessionAuthOptions, jars: Map<string, CookieJar>, clock: Clock, getToken?: GetToken) {
    this.#clock = clock
    this.#csrf = options.csrf
    this.#jars = isPlatforms(options) ? undefined : jars
    this.#getToken = getToken
  }

  async sign(request: SignableRequest): Promise<Record<string, string>> {
    const { url, headers } = request
    const kept = this.#jar(url)?.header(url, Date.now()) ?? ''
    const cookie = [headers.cookie ?? '', kept].filter((each) => each !== '').join('; ')
    const token = this.#csrf && changes.test(request.method) ? await this.#tokenFor(url) : undefined
    if (token !== undefined) this.#used.set(request, token)
    return {
      ...(cookie !== '' && { cookie }),
      ...(token !== undefined && { [this.#csrf?.header ?? 'x-csrf-token']: token }),
    }
  }

  async answered(request: SignableRequest, answer: SignedAnswer): Promise<boolean> {
    const { url } = request
    const lines = answer.headers.getSetCookie()
    if (lines.length > 0) this.#jar(url)?.store(lines, url, Date.now())
    const csrf = this.#csrf
    if (!csrf || !changes.test(request.method)) return false
    const isRefused = (await csrf.isRefusal?.(answer)) ?? (answer.status === 403 || answer.status === 419)
    if (!isRefused) return false
    const used = this.#used.get(request)
    const kept = this.#tokens.get(new URL(url).origin)
    const token = kept?.answer
    if (used !== undefined && (await token?.catch(() => undefined)) === used) kept?.forget(token)
    // The same token again would be refused again.
    return (await this.#tokenFor(url)) !== used
  }

  #tokenFor(url: string): Promise<string | undefined> {
    const getToken = this.#getToken
    if (getToken) {
      const { origin } = new URL(url)
      let token = this.#tokens.get(origin)
      if (!token) this.#tokens.set(origin, (token = new KeptAnswer(this.#clock)))
      return token.get(() => getToken(origin))
    }
    const { cookie } = this.#csrf ?? {}
    return Promise.resolve(
      cookie === undefined ? undefined : (this.#jar(url)?.get(cookie, url, Date.now()) ?? ofPage(cookie)),
    )
  }

  #jar(url: string): CookieJar | undefined {
    if (!this.#jars) return undefined
    const { origin } = new URL(url)
    let jar = this.#jars.get(origin)
    if (!jar) this.#jars.set(origin, (jar = new CookieJar()))
    return jar
  }
}

/** A cookie that the page may read: a frame in a sandbox may read none, and throws where it asks. */
function ofPage(name: string): string | undefined {
  const { document } = globalThis as { document?: { cookie?: string } }
  let cookies: string | undefined
  try {
    cookies = document?.cookie
  } catch {
    return undefined
  }
  const found = cookies?.split(/;\s*/).find((pair) => pair.startsWith(`${name}=`))
  return found === undefined ? undefined : percentDecoded(found.slice(name.length + 1))
}
