import type { RequestSigner, SignableRequest, SignedAnswer } from '../../../transports/http/signing/signer.ts'
import { wireOf } from '../../../transports/http/signing/wire.ts'
import type { Auth } from '../../core/call/auth.ts'
import { makeCredential } from '../../core/call/credential.ts'
import { percentDecoded } from '../../core/call/percent.ts'
import { callable, checkOptions, either, object, oneOf, type RulesOf, text } from '../../core/options.ts'
import { signedAuth, timeOf } from '../signed.ts'
import { digest, hex, hmac, utf8 } from './bytes.ts'

/** Keys of AWS, as its SDKs give them. */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  /** Of temporary ones. */
  readonly sessionToken?: string | undefined
}

/** What is signed for. */
export interface AwsSigV4Options {
  /**
   * Asked for each attempt where it is a function, which may keep what it has. Calls with other access keys share nothing:
   * no connection, no stream, no answer.
   */
  readonly credentials: AwsCredentials | (() => AwsCredentials | Promise<AwsCredentials>)
  /** Where the service stands: `eu-central-1`. */
  readonly region: string
  /** `execute-api`, `s3`, `lambda` … */
  readonly service: string
  /** A body that is a stream cannot be hashed: refuse the call, or send it as UNSIGNED-PAYLOAD. @defaultValue 'unsigned' for s3, else 'refuse' */
  readonly streamed?: 'refuse' | 'unsigned' | undefined
  /** ms since 1970. @defaultValue this machine's clock, set right by the server's where it is refused */
  readonly now?: (() => number) | undefined
}

const rules: RulesOf<AwsSigV4Options> = {
  credentials: /* @__PURE__ */ either(callable, /* @__PURE__ */ object('{ accessKeyId, secretAccessKey }')),
  region: text,
  service: text,
  streamed: /* @__PURE__ */ oneOf('refuse', 'unsigned'),
  now: callable,
}

const name = 'awsSigV4'
const algorithm = 'AWS4-HMAC-SHA256'
/** A clock that is further off is refused; AWS allows 5 minutes. */
const skewMs = 240_000

/**
 * AWS Signature Version 4 over the bytes that are sent. A clock that is off is set right by the server's own `Date`,
 * once, and the request sent again.
 *
 * @throws {CallError} `invalid_argument` for an option that is none. Calls fail with `failed_precondition`, unsent, where
 *   the credentials cannot be had, or the body is a stream that may not go unsigned.
 * @example
 * awsSigV4({ credentials: fromEnv(), region: 'eu-central-1', service: 'execute-api' })
 */
export function awsSigV4(options: AwsSigV4Options): Auth {
  checkOptions('awsSigV4()', options, rules)
  const { credentials } = options
  const signer = new AwsSigner(options)
  if (typeof credentials !== 'function') return signedAuth(signer.by(credentials), { name })
  const ask = async () => credentials()
  return {
    name,
    async credential() {
      const keys = ask()
      // Why they cannot be had, the request says that is to be signed.
      const principal = await keys.then(
        (given) => `${name} ${given?.accessKeyId}`,
        () => name,
      )
      return makeCredential({ principal, wire: wireOf(signer.by(keys)) })
    },
  }
}

/** Where an environment lacks one, AWS would be asked as somebody called `undefined`. */
function keysOf(given: unknown): AwsCredentials {
  const { accessKeyId, secretAccessKey } = (given ?? {}) as Partial<AwsCredentials>
  const isWhole = [accessKeyId, secretAccessKey].every((each) => typeof each === 'string' && each !== '')
  if (isWhole) return given as AwsCredentials
  throw new TypeError('credentials of awsSigV4() are { accessKeyId, secretAccessKey }, two texts that are not empty')
}

class AwsSigner {
  readonly #options: AwsSigV4Options
  /** How far the server's clock is ahead. */
  #aheadMs = 0
  /** How far it was taken to be ahead when a request was signed. */
  readonly #used = new WeakMap<SignableRequest, number>()
  /** The key of one day, region and service. */
  #derived: { readonly of: string; readonly key: Promise<Uint8Array> } | undefined

  constructor(options: AwsSigV4Options) {
    this.#options = options
  }

  by(keys: AwsCredentials | Promise<AwsCredentials>): RequestSigner {
    return {
      sign: async (request) => this.#sign(request, await keys),
      answered: (request, answer) => this.#answered(request, answer),
    }
  }

  async #sign(request: SignableRequest, keys: AwsCredentials): Promise<Record<string, string>> {
    const { accessKeyId, secretAccessKey, sessionToken } = keysOf(keys)
    const { region, service } = this.#options
    const date = new Date(this.#now()).toISOString().replace(/[-:]|\.\d{3}/g, '')
    this.#used.set(request, this.#aheadMs)
    const scope = `${date.slice(0, 8)}/${region}/${service}/aws4_request`
    const payload = await this.#payload(request)
    const url = new URL(request.url)
    const added = {
      'x-amz-date': date,
      'x-amz-content-sha256': payload,
      ...(sessionToken && { 'x-amz-security-token': sessionToken }),
    }
    const signed = signedHeaders({ ...request.headers, ...added, host: url.host })
    const names = Object.keys(signed).join(';')
    const canonical = [
      request.method,
      canonicalPath(url.pathname, service),
      canonicalQuery(url.search.slice(1)),
      ...Object.entries(signed).map(([name, value]) => `${name}:${value}`),
      '',
      names,
      payload,
    ].join('\n')
    const text = [algorithm, date, scope, hex(await digest('SHA-256', utf8(canonical)))].join('\n')
    const signature = hex(await hmac(await this.#key(secretAccessKey, scope), utf8(text)))
    const authorization = `${algorithm} Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`
    return { ...added, authorization }
  }

  /** Once: a request that was signed by the clock that is right is not signed again. */
  #answered(request: SignableRequest, { status, headers }: SignedAnswer): boolean {
    const at = Date.parse(headers.get('date') ?? '')
    if ((status !== 403 && status !== 401 && status !== 400) || Number.isNaN(at)) return false
    const aheadMs = at - this.#now() + this.#aheadMs
    // Another call may have set the clock right since this one was signed.
    if (Math.abs(aheadMs - (this.#used.get(request) ?? this.#aheadMs)) < skewMs) return false
    this.#aheadMs = aheadMs
    return true
  }

  #now(): number {
    return timeOf('awsSigV4()', this.#options.now) + this.#aheadMs
  }

  async #payload(request: SignableRequest): Promise<string> {
    const { service, streamed = service === 's3' ? 'unsigned' : 'refuse' } = this.#options
    if (request.isStreamed && streamed === 'unsigned') return 'UNSIGNED-PAYLOAD'
    return hex(await digest('SHA-256', await request.body()))
  }

  #key(secret: string, scope: string): Promise<Uint8Array> {
    const of = `${secret} ${scope}`
    if (this.#derived?.of !== of) {
      let key: Promise<Uint8Array> = Promise.resolve(utf8(`AWS4${secret}`))
      for (const part of scope.split('/')) key = key.then((each) => hmac(each, utf8(part)))
      this.#derived = { of, key }
    }
    return this.#derived.key
  }
}

/** Those that no proxy changes, in the order of their names. */
function signedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const names = Object.keys(headers).filter((name) => /^(?:host|content-type|content-md5|range|x-amz-.*)$/.test(name))
  return Object.fromEntries(names.sort().map((name) => [name, (headers[name] as string).trim().replace(/\s+/g, ' ')]))
}

/** Every service but S3 has what is on the wire encoded once more, and without empty segments. */
function canonicalPath(path: string, service: string): string {
  if (service === 's3')
    return path
      .split('/')
      .map((part) => encode(percentDecoded(part)))
      .join('/')
  const parts = path.split('/').filter((part) => part !== '')
  const end = path.length > 1 && path.endsWith('/') && parts.length > 0 ? '/' : ''
  return `/${parts.map((part) => encode(part)).join('/')}${end}`
}

function canonicalQuery(query: string): string {
  if (query === '') return ''
  const pairs = query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=')
      const name = at < 0 ? pair : pair.slice(0, at)
      return [encode(percentDecoded(name)), encode(percentDecoded(at < 0 ? '' : pair.slice(at + 1)))] as const
    })
  const compare = (one: string, other: string): number => (one < other ? -1 : one > other ? 1 : 0)
  pairs.sort(([name, value], [otherName, other]) => compare(name, otherName) || compare(value, other))
  return pairs.map((pair) => pair.join('=')).join('&')
}

/** RFC 3986, as AWS counts its unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
}
