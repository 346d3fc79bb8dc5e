import type { RequestSigner, SignableRequest, SignedAnswer } from '../../../transports/http/signing/signer.ts'
import type { Auth } from '../../core/call/auth.ts'
import { decide } from '../../core/guard.ts'
import { callable, checkOptions, oneOf, type RulesOf, text } from '../../core/options.ts'
import { base64, digest, hex, utf8 } from '../signatures/bytes.ts'
import { signedAuth } from '../signed.ts'
import { type Challenge, readChallenge, readParameters } from './challenge.ts'
import { md5 } from './md5.ts'

/** Who logs in. */
export interface DigestAuthOptions {
  /** Who logs in, as the server knows him. */
  readonly username: string
  /** Never sent: hashed with what the server gives. */
  readonly password: string
  /** Which protection is chosen where the server offers both: `auth-int` covers the body. @defaultValue 'auth' */
  readonly qop?: 'auth' | 'auth-int' | undefined
  /** The client's own nonce, for tests. @defaultValue random */
  readonly cnonce?: (() => string) | undefined
}

const rules: RulesOf<DigestAuthOptions> = {
  username: text,
  password: text,
  qop: /* @__PURE__ */ oneOf('auth', 'auth-int'),
  cnonce: callable,
}

/**
 * Proves a password without sending it (RFC 7616): SHA-256 and MD5, with their session variants, `auth` and `auth-int`.
 *
 * The first request of an origin is answered with a challenge, and sent again with the answer, which costs no retry; the
 * ones after it carry the answer at once. `nextnonce` and a stale nonce are followed. A body that can be sent only once
 * needs a challenge that an earlier call has met.
 *
 * @throws {CallError} `invalid_argument` for an option that is none.
 * @example
 * createClient({ transports, auth: digestAuth({ username: 'me', password: secret }) })
 */
export function digestAuth(options: DigestAuthOptions): Auth {
  checkOptions('digestAuth()', options, rules)
  if (typeof options.username !== 'string' || typeof options.password !== 'string')
    throw new TypeError('digestAuth({ username, password }): both are texts')
  return { ...signedAuth(new DigestSigner(options), { name: 'digest' }), header: 'authorization' }
}

/** A challenge, and how often it was answered. */
interface Met {
  challenge: Challenge
  count: number
  /** Of a session variant: once for all answers to one challenge. */
  readonly session: string
}

class DigestSigner implements RequestSigner {
  readonly #options: DigestAuthOptions
  /** By origin. */
  readonly #met = new Map<string, Met>()
  /** The nonce that a request was sent with. */
  readonly #used = new WeakMap<SignableRequest, string>()

  constructor(options: DigestAuthOptions) {
    this.#options = options
  }

  async sign(request: SignableRequest): Promise<Record<string, string>> {
    const met = this.#met.get(new URL(request.url).origin)
    if (!met) return {}
    this.#used.set(request, met.challenge.nonce)
    return { authorization: await this.#answer(request, met, ++met.count) }
  }

  answered(request: SignableRequest, { status, headers }: SignedAnswer): boolean {
    const { origin } = new URL(request.url)
    const met = this.#met.get(origin)
    const next = readParameters(headers.get('authentication-info') ?? '').get('nextnonce')
    if (met && next !== undefined && next !== met.challenge.nonce) this.#meet(origin, { ...met.challenge, nonce: next })
    if (status !== 401) return false
    const challenge = readChallenge(headers.get('www-authenticate') ?? '', this.#options.qop === 'auth-int')
    if (!challenge) return false
    const used = this.#used.get(request)
    if (met?.challenge.nonce !== challenge.nonce) this.#meet(origin, challenge)
    // An answer that was refused is a wrong password, unless its nonce was merely old.
    return used === undefined || (challenge.isStale && used !== challenge.nonce)
  }

  #meet(origin: string, challenge: Challenge): void {
    this.#met.set(origin, { challenge, count: 0, session: this.#cnonce() })
  }

  #cnonce(): string {
    const { cnonce } = this.#options
    const given: unknown = cnonce && decide('cnonce() of digestAuth()', cnonce)
    return given === undefined ? base64(crypto.getRandomValues(new Uint8Array(18))) : String(given)
  }

  async #answer(request: SignableRequest, { challenge, session }: Met, count: number): Promise<string> {
    const { username, password } = this.#options
    const { realm, nonce, opaque, algorithm, qop, isUserHashed } = challenge
    const isSession = /-sess$/i.test(algorithm)
    const hash = algorithm.toUpperCase().startsWith('MD5') ? hashMd5 : hashSha256
    const { pathname, search } = new URL(request.url)
    const uri = pathname + search
    const cnonce = isSession ? session : this.#cnonce()
    const nc = count.toString(16).padStart(8, '0')
    const user = await hash(joined(`${username}:`, bytesOf(realm), `:${password}`))
    const a1 = isSession ? await hash(`${user}:${nonce}:${cnonce}`) : user
    const body = qop === 'auth-int' ? `:${await hash(await request.body())}` : ''
    const a2 = await hash(`${request.method}:${uri}${body}`)
    const response = await hash(qop ? `${a1}:${nonce}:${nc}:${cnonce}:${qop}:${a2}` : `${a1}:${nonce}:${a2}`)
    const name = isUserHashed ? await hash(joined(`${username}:`, bytesOf(realm))) : username
    const isPlain = /^[\x20-\x7e]*$/.test(name)
    return [
      `Digest ${isPlain ? `username=${quoted(name)}` : `username*=UTF-8''${encodeURIComponent(name)}`}`,
      `realm=${quoted(realm)}`,
      `uri=${quoted(uri)}`,
      `algorithm=${algorithm}`,
      `nonce=${quoted(nonce)}`,
      ...(qop ? [`nc=${nc}`, `cnonce=${quoted(cnonce)}`, `qop=${qop}`] : isSession ? [`cnonce=${quoted(cnonce)}`] : []),
      `response=${quoted(response)}`,
      ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
      ...(isUserHashed ? ['userhash=true'] : []),
    ].join(', ')
  }
}

/** The bytes that a header came with: it is read as Latin-1, whatever the server wrote. */
function bytesOf(header: string): Uint8Array {
  return Uint8Array.from(header, (each) => each.charCodeAt(0))
}

function joined(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? utf8(part) : part)]))
}

async function hashMd5(content: string | Uint8Array): Promise<string> {
  return hex(md5(typeof content === 'string' ? utf8(content) : content))
}

async function hashSha256(content: string | Uint8Array): Promise<string> {
  return hex(await digest('SHA-256', typeof content === 'string' ? utf8(content) : content))
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
