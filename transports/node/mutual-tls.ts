import { X509Certificate } from 'node:crypto'
import { promises } from 'node:fs'
import { connect as connectPlain, isIP } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import { refusal } from '../../src/core/errors/refusal.ts'
import { notify } from '../../src/core/guard.ts'
import { anything, callable, checkOptions, notNegative, type RulesOf } from '../../src/core/options.ts'
import { within } from '../../src/core/time/bounded.ts'
import { systemClock } from '../../src/core/time/clock.ts'
import type { DispatchOptions } from '../http/engine/undici/dispatcher.ts'
import type { TlsAgent } from '../http/engine/undici/tls-agent.ts'

/** A PEM text, its bytes, or where it stands: a path, or a `file:` URL. */
export type PemSource = string | Uint8Array | URL

/** What a client proves itself by, and whom it trusts. */
export interface ClientCertificate {
  /** The certificate, followed by those that lead to its authority. */
  readonly cert: PemSource
  readonly key: PemSource
  /** Authorities to trust. @defaultValue those of Node */
  readonly ca?: PemSource | undefined
  /** Of the key. */
  readonly passphrase?: string | undefined
}

/** How a certificate is renewed. */
export interface MutualTlsOptions {
  /** Where calls are made, files are read again, or the function asked, when this has passed; ms. @defaultValue 10_000 */
  readonly checkEveryMs?: number | undefined
  /** Told where a renewed certificate cannot be used: the one before stays. @defaultValue nobody */
  readonly onError?: ((error: unknown) => void) | undefined
}

/** What transports take; made by {@link mutualTls}. */
export interface MutualTls {
  /** For `restTransport`, `graphqlTransport`, `grpcWebTransport`, `sseTransport` and `createFetch`; any undici takes it. */
  readonly dispatcher: { dispatch(options: any, handler: any): boolean }
  /** For `websocketTransport`. */
  readonly wsOptions: { readonly createConnection: (options: any, callback: any) => undefined }
  /** Looks for a renewed certificate now. @throws {Error} where there is none that can be used; the one before stays. */
  reload(): Promise<void>
  /** Takes no more calls; resolves when those that run are over. */
  close(): Promise<void>
}

/** One certificate, ready to be used. */
interface Generation {
  readonly tls: { readonly cert: string; readonly key: string; readonly ca?: string; readonly passphrase?: string }
  readonly agent: TlsAgent
  /** Of sockets; made when the first is opened. */
  context?: SecureContext
  readonly check: () => Error | undefined
}

/** How long the function that gives a certificate may take: one that is silent once is asked again; ms. */
const sourceMs = 10_000

const rules: RulesOf<MutualTlsOptions> = { checkEveryMs: notNegative, onError: callable }
const certificateRules: RulesOf<ClientCertificate> = {
  cert: anything,
  key: anything,
  ca: anything,
  passphrase: anything,
}

/**
 * A client certificate that is renewed while the program runs: new connections use the new one, and what runs on older
 * ones goes on to its end. Files are read when calls are made: nothing watches, and no timer keeps the process.
 *
 * @param source - files or PEM texts, or a function that gives them.
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * const tls = mutualTls({ cert: 'client.pem', key: 'client.key', ca: 'ca.pem' })
 * restTransport({ baseUrl, dispatcher: tls.dispatcher })
 * websocketTransport({ url, wsOptions: tls.wsOptions })
 */
export function mutualTls(
  source: ClientCertificate | (() => ClientCertificate | Promise<ClientCertificate>),
  options: MutualTlsOptions = {},
): MutualTls {
  checkOptions('mutualTls()', options, rules)
  if (typeof source !== 'function') {
    checkOptions('mutualTls()', source, certificateRules)
    if (!source.cert || !source.key)
      throw refusal('mutualTls() takes { cert, key }: files or PEM texts, or a function that gives them', undefined)
  }
  return new RenewedTls(typeof source === 'function' ? source : () => source, options)
}

class RenewedTls implements MutualTls {
  readonly dispatcher: MutualTls['dispatcher']
  readonly wsOptions: MutualTls['wsOptions']
  readonly #source: () => ClientCertificate | Promise<ClientCertificate>
  readonly #options: MutualTlsOptions
  readonly #closing = new Set<Promise<void>>()
  #current: Generation | undefined
  #loading: Promise<Generation> | undefined
  #checkedAt = 0
  #isClosed = false

  constructor(source: () => ClientCertificate | Promise<ClientCertificate>, options: MutualTlsOptions) {
    this.#source = source
    this.#options = options
    this.dispatcher = { dispatch: (request, handler) => this.#dispatch(request, handler) }
    this.wsOptions = {
      createConnection: (request, callback) => {
        this.#ready().then(
          (generation) => openSocket(generation, request, callback),
          (error: unknown) => callback(error),
        )
      },
    }
  }

  async reload(): Promise<void> {
    // What is being read may be of before.
    await this.#loading?.catch(() => undefined)
    await this.#load()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const last = await this.#loading?.catch(() => undefined)
    await Promise.all([(this.#current ?? last)?.agent.close(), ...this.#closing])
  }

  #dispatch(request: DispatchOptions, handler: Handler): boolean {
    const current = this.#current
    // One that is over may have been renewed while nobody called: then it is waited for.
    if (!current || this.#isClosed || current.check()) {
      this.#ready().then(
        ({ agent }) => agent.dispatch(request, handler),
        (error: unknown) =>
          handler.onResponseError ? handler.onResponseError(undefined, error) : handler.onError?.(error),
      )
      return true
    }
    void this.#renewed(current)
    return current.agent.dispatch(request, handler)
  }

  /** The certificate of a connection that is opened now. */
  async #ready(): Promise<Generation> {
    if (this.#isClosed) throw unusable('mutualTls() is closed')
    return this.#current ? this.#renewed(this.#current) : this.#load()
  }

  /** The present one, or its successor where it is time to look for one. */
  async #renewed(current: Generation): Promise<Generation> {
    const { checkEveryMs = 10_000, onError } = this.#options
    if (performance.now() - this.#checkedAt < checkEveryMs) return current
    return this.#load().catch((error: unknown) => {
      notify('onError of mutualTls()', () => onError?.(error), undefined)
      return current
    })
  }

  #load(): Promise<Generation> {
    this.#checkedAt = performance.now()
    this.#loading ??= this.#renew().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  /** A renewed certificate takes the place of the one before, whose connections are closed when they are idle. */
  async #renew(): Promise<Generation> {
    const before = this.#current
    const tls = await readAll(this.#source)
    if (before && JSON.stringify(before.tls) === JSON.stringify(tls)) return before
    const check = checkOf(tls.cert)
    try {
      createSecureContext(tls)
    } catch (cause) {
      throw unusable(`the client certificate cannot be used (${(cause as Error).message})`, cause)
    }
    const { makeTlsAgent } = await import('../http/engine/undici/tls-agent.ts')
    const made: Generation = { tls, check, agent: makeTlsAgent(tls, check) }
    this.#current = made
    if (before) {
      const closed: Promise<void> = before.agent.close().finally(() => this.#closing.delete(closed))
      this.#closing.add(closed)
    }
    return made
  }
}

/** A handler of undici, of either way to write one. */
interface Handler {
  onResponseError?(controller: undefined, error: unknown): void
  onError?(error: unknown): void
}

async function readAll(source: () => ClientCertificate | Promise<ClientCertificate>): Promise<Generation['tls']> {
  let place = 'the function of mutualTls()'
  try {
    const { cert, key, ca, passphrase } = await within(systemClock, sourceMs, async () => source())
    const read = async (name: string, pem: PemSource): Promise<string> => {
      place = `${name} of mutualTls()`
      const isPem = typeof pem === 'string' && pem.includes('-----BEGIN')
      if (isPem) return pem
      return pem instanceof Uint8Array ? new TextDecoder().decode(pem) : promises.readFile(pem, 'utf8')
    }
    const [certText, keyText] = [await read('cert', cert), await read('key', key)]
    return {
      cert: certText,
      key: keyText,
      ...(ca !== undefined && { ca: await read('ca', ca) }),
      ...(passphrase !== undefined && { passphrase }),
    }
  } catch (cause) {
    const { code, name = typeof cause } = Object(cause) as { readonly code?: string; readonly name?: string }
    throw unusable(`${place} cannot be read (${code ?? name})`, cause)
  }
}

/** What is wrong with a certificate by the time: a server would refuse it, some without a word. */
function checkOf(cert: string): () => Error | undefined {
  let from: number
  let to: number
  try {
    const { validFrom, validTo } = new X509Certificate(cert)
    from = Date.parse(validFrom)
    to = Date.parse(validTo)
  } catch (cause) {
    throw unusable('cert of mutualTls() holds no certificate', cause)
  }
  return () => {
    const now = Date.now()
    if (now > to) return unusable(`the client certificate expired on ${new Date(to).toISOString()}`)
    return now < from
      ? unusable(`the client certificate is not valid before ${new Date(from).toISOString()}`)
      : undefined
  }
}

/** As `ws` opens its sockets, by the certificate of today. */
function openSocket(generation: Generation, request: SocketRequest, callback: SocketCallback): void {
  const wrong = generation.check()
  if (wrong) callback(wrong)
  // A socket that is not secure has nothing to prove.
  else if (request.defaultPort === 80) callback(null, connectPlain(request as never))
  else {
    const { host, servername = isIP(host) ? '' : host } = request
    const secureContext = (generation.context ??= createSecureContext(generation.tls))
    callback(null, connectTls({ ...request, path: undefined, servername, secureContext } as never))
  }
}

interface SocketRequest {
  readonly host: string
  readonly servername?: string
  readonly defaultPort?: number
}
type SocketCallback = (error: unknown, socket?: unknown) => void

/** An error that the explanation of faults knows by its code. */
function unusable(message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { code: 'ERR_CLIENT_CERTIFICATE' })
}
