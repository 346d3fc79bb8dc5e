import type { SignableRequest } from '../../../transports/http/signing/signer.ts'
import type { Auth } from '../../core/call/auth.ts'
import { percentDecoded } from '../../core/call/percent.ts'
import { aboveZero, callable, checkOptions, list, oneOf, type RulesOf, takes, text } from '../../core/options.ts'
import { isObject } from '../../core/tag.ts'
import { type CryptoKeyLike, webCrypto } from '../crypto-key.ts'
import { authRule, signedAuth, timeOf } from '../signed.ts'
import { asCryptoKey, type Bytes, base64, digest, hmac, utf8 } from './bytes.ts'

/** What RFC 9421 leaves to the two sides. */
export interface MessageSignaturesOptions {
  /** The private key, or the shared secret of an HMAC (32 bytes or more). */
  readonly key: CryptoKeyLike | Uint8Array
  /** Which key it is, for the server. */
  readonly keyId: string
  /**
   * What is covered, in this order: `@method`, `@target-uri`, `@authority`, `@scheme`, `@path`, `@query`,
   * `@request-target`, `@query-param;name="id"`, and names of headers. A header that the request lacks is refused,
   * but for those of the default.
   *
   * @defaultValue `@method`, `@target-uri`, and `content-type`, `content-digest`, `authorization` where the request has them
   */
  readonly components?: readonly string[] | undefined
  /** Names the algorithm to the server, which should know it by the key. @defaultValue not sent */
  readonly alg?: string | undefined
  /** The signature ends this long after it was made; ms. @defaultValue the server decides */
  readonly expiresInMs?: number | undefined
  /** Words that bind the signature to one application. */
  readonly tag?: string | undefined
  /** A random value in each signature, for servers that refuse repeated ones. @defaultValue false */
  readonly nonce?: boolean | undefined
  /** The digest of the body (RFC 9530). @defaultValue 'sha-256' */
  readonly digest?: 'sha-256' | 'sha-512' | undefined
  /** A body that is a stream cannot be hashed: refuse the call, or leave the body out of the signature. @defaultValue 'refuse' */
  readonly streamed?: 'refuse' | 'unsigned' | undefined
  /** The name of the signature. @defaultValue 'sig1' */
  readonly label?: string | undefined
  /** The credential that is sent, and covered, beside it. @defaultValue none */
  readonly auth?: Auth | undefined
  /** ms since 1970. @defaultValue this machine's clock */
  readonly now?: (() => number) | undefined
}

const words = /* @__PURE__ */ oneOf
const rules: RulesOf<MessageSignaturesOptions> = {
  key: /* @__PURE__ */ takes('a CryptoKey, or the bytes of a secret', (value) => isObject(value)),
  keyId: text,
  components: list,
  alg: text,
  expiresInMs: aboveZero,
  tag: text,
  nonce: /* @__PURE__ */ words(true, false),
  digest: /* @__PURE__ */ words('sha-256', 'sha-512'),
  streamed: /* @__PURE__ */ words('refuse', 'unsigned'),
  label: text,
  auth: authRule,
  now: callable,
}

/**
 * HTTP message signatures (RFC 9421) with a Content-Digest (RFC 9530) over the bytes that are sent.
 *
 * The algorithm is the key's: Ed25519, ECDSA P-256 or P-384, RSA-PSS, RSASSA-PKCS1-v1_5, or HMAC-SHA256.
 *
 * @throws {CallError} `invalid_argument` for an option that is none. Calls fail with `failed_precondition`, unsent, where
 *   a covered header is missing, or a body is a stream and `streamed` does not say 'unsigned'.
 * @example
 * createClient({ transports, auth: messageSignatures({ key: privateKey, keyId: 'shop-1' }) })
 */
export function messageSignatures(options: MessageSignaturesOptions): Auth {
  checkOptions('messageSignatures()', options, rules)
  const { auth } = options
  return signedAuth({ sign: (request) => sign(request, options) }, { name: 'messageSignatures', ...(auth && { auth }) })
}

async function sign(request: SignableRequest, options: MessageSignaturesOptions): Promise<Record<string, string>> {
  const { label = 'sig1', streamed = 'refuse' } = options
  const named = options.components
  const headers: Record<string, string> = { ...request.headers }
  const added: Record<string, string> = {}
  const wantsDigest = named === undefined || named.includes('content-digest')
  if (wantsDigest && headers['content-digest'] === undefined) {
    const isLeftOut = request.isStreamed && streamed === 'unsigned'
    const value = isLeftOut ? undefined : await contentDigest(await request.body(), options.digest ?? 'sha-256', named)
    if (value !== undefined) headers['content-digest'] = added['content-digest'] = value
  }
  const isUnsigned = (name: string): boolean =>
    name === 'content-digest' && request.isStreamed && streamed === 'unsigned'
  const components = named?.filter((name) => !isUnsigned(name)) ?? [
    '@method',
    '@target-uri',
    ...['content-type', 'content-digest', 'authorization'].filter((name) => headers[name] !== undefined),
  ]
  const { base, parameters } = signatureBase({ ...request, headers }, components, options)
  const signature = await rawSignature(options.key, utf8(base))
  return { ...added, 'signature-input': `${label}=${parameters}`, signature: `${label}=:${base64(signature)}:` }
}

/** `sha-256=:…:`; of no body only where it was asked for. */
async function contentDigest(
  body: Uint8Array,
  algorithm: 'sha-256' | 'sha-512',
  named: readonly string[] | undefined,
): Promise<string | undefined> {
  if (body.byteLength === 0 && named === undefined) return undefined
  return `${algorithm}=:${base64(await digest(algorithm === 'sha-256' ? 'SHA-256' : 'SHA-512', body))}:`
}

/** The text that is signed (RFC 9421 §2.5), and its parameters. */
function signatureBase(
  request: Pick<SignableRequest, 'method' | 'url' | 'headers'>,
  components: readonly string[],
  { keyId, alg, tag, expiresInMs, nonce, now }: MessageSignaturesOptions,
): { base: string; parameters: string } {
  const created = Math.floor(timeOf('messageSignatures()', now) / 1000)
  const identifiers = components.map(identifierOf)
  const parameters = [
    `(${identifiers.join(' ')})`,
    `created=${created}`,
    ...(expiresInMs === undefined ? [] : [`expires=${created + Math.ceil(expiresInMs / 1000)}`]),
    `keyid=${quoted(keyId)}`,
    ...(alg === undefined ? [] : [`alg=${quoted(alg)}`]),
    ...(nonce ? [`nonce=${quoted(base64(crypto.getRandomValues(new Uint8Array(18))))}`] : []),
    ...(tag === undefined ? [] : [`tag=${quoted(tag)}`]),
  ].join(';')
  const lines = components.map((component, at) => `${identifiers[at]}: ${componentOf(request, component)}`)
  return { base: [...lines, `"@signature-params": ${parameters}`].join('\n'), parameters }
}

/** `@query-param;name="id"` has a parameter that stands outside of the quotes. */
function identifierOf(component: string): string {
  const at = component.indexOf(';')
  return at < 0 ? quoted(component.toLowerCase()) : quoted(component.slice(0, at)) + component.slice(at)
}

function componentOf(
  { method, url, headers }: Pick<SignableRequest, 'method' | 'url' | 'headers'>,
  component: string,
): string {
  const target = new URL(url)
  const { pathname, search, host, protocol } = target
  switch (component.split(';')[0]) {
    case '@method':
      return method
    case '@target-uri':
      return target.href
    case '@authority':
      return host
    case '@scheme':
      return protocol.slice(0, -1)
    case '@path':
      return pathname
    case '@query':
      return search || '?'
    case '@request-target':
      return pathname + search
    case '@query-param':
      return queryParameter(target, component)
  }
  const value = headers[component.toLowerCase()]
  if (value === undefined) throw new TypeError(`the signature covers '${component}', which the request does not have`)
  return value.trim().replace(/\s*\r?\n\s*/g, ' ')
}

function queryParameter({ searchParams }: URL, component: string): string {
  const name = /;name="([^"]*)"/.exec(component)?.[1] ?? ''
  const values = searchParams.getAll(percentDecoded(name))
  if (values.length !== 1)
    throw new TypeError(`the signature covers ${component}, which the URL has ${values.length} times`)
  return encodeURIComponent(values[0] as string).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}

/** What WebCrypto is told beside the key's own algorithm. */
async function rawSignature(key: CryptoKeyLike | Uint8Array, base: Bytes): Promise<Uint8Array> {
  if (key instanceof Uint8Array) return hmac(key, base)
  const { name, namedCurve } = key.algorithm as { name: string; namedCurve?: string }
  const more = {
    ECDSA: { hash: namedCurve === 'P-384' ? 'SHA-384' : 'SHA-256' },
    'RSA-PSS': { saltLength: 64 },
  }[name]
  return new Uint8Array(await webCrypto().sign({ name, ...more } as AlgorithmIdentifier, asCryptoKey(key), base))
}
