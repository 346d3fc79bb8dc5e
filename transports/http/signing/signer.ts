import { type HeaderMap, type HeadersInit, readHeaders, withoutRemoved } from '../../../src/core/call/header-map.ts'
import { isAnyCallError } from '../../../src/core/errors/error.ts'
import { isTransient } from '../../../src/core/errors/transient.ts'
import type { HttpFault, HttpRequest } from '../contract.ts'
import { unsent } from '../progress.ts'

/** A request as it goes on the wire: what a signature covers. */
export interface SignableRequest {
  readonly method: string
  /** Absolute, without a fragment. */
  readonly url: string
  /** Names in lower case; what the platform adds by itself (host, length, user agent) is not among them. */
  readonly headers: Readonly<Record<string, string>>
  /** The body is a stream, or too large to be held: nobody can hash it before it is sent. */
  readonly isStreamed: boolean
  /** The bytes of the body, of which there are none without one. @throws {TypeError} where the body is a stream. */
  body(): Promise<Uint8Array>
}

/** The head of the answer to a signed request. */
export interface SignedAnswer {
  readonly status: number
  readonly headers: HeaderMap
  /** Where it came from. */
  readonly url: string
}

/** What signs requests. */
export interface RequestSigner {
  /** The headers that it adds, or replaces; asked for each attempt, each redirect inside of the origin, each repetition. */
  sign(request: SignableRequest): HeadersInit | Promise<HeadersInit>
  /**
   * Told of each answer of the own origin, redirects among them. `true` has the request signed and sent once more, which costs no retry; a second answer is
   * final, and so is a redirect, and an answer to a body that can be sent only once.
   */
  answered?(request: SignableRequest, answer: SignedAnswer): boolean | Promise<boolean>
}

/** A body above this is not held for the sake of its hash; bytes. */
export const maxHashedBytes = 64 * 1024 * 1024
const encoder = new TextEncoder()
const empty = new Uint8Array(0)

/** What a signer is shown of a request. */
export function toSignable(
  request: Pick<HttpRequest, 'method' | 'url' | 'headers' | 'blob'> & { body?: unknown },
): SignableRequest {
  const { method, headers, body } = request
  const blob = request.blob as Blob | undefined
  const url = new URL(request.url, globalThis.location?.href)
  url.hash = ''
  const isWhole = blob ? blob.size <= maxHashedBytes : body === undefined || typeof body === 'string' || isBytes(body)
  return {
    method,
    url: url.href,
    headers,
    isStreamed: !isWhole,
    async body() {
      if (!isWhole)
        throw new TypeError('the body is a stream, or larger than 64 MiB, and cannot be hashed before it is sent')
      if (blob) return new Uint8Array(await blob.arrayBuffer())
      return body === undefined ? empty : typeof body === 'string' ? encoder.encode(body) : (body as Uint8Array)
    },
  }
}

function isBytes(body: unknown): boolean {
  return body instanceof Uint8Array
}

/** The headers that it adds. */
export async function signatureOf(signer: RequestSigner, request: SignableRequest): Promise<Record<string, string>> {
  return withoutRemoved({ ...readHeaders(await signer.sign(request)) })
}

/** A signer that fails at once fails like one that fails later. */
export function judge(signer: RequestSigner, request: SignableRequest, { status, headers, url }: SignedAnswer) {
  try {
    return signer.answered?.(request, { status, headers, url })
  } catch (cause) {
    return Promise.reject(cause)
  }
}

/**
 * Nothing of this send has left. What a signer fails with for a moment (a key or token that is fetched) may be had again;
 * with anything else, sending the same again cannot help.
 */
export function signingFault(cause: unknown): HttpFault {
  const isPassing = isTransient(cause)
  const isOurs = cause instanceof TypeError || isAnyCallError(cause)
  const message = isOurs && !isPassing ? cause.message : 'see cause'
  const code = isPassing ? undefined : 'failed_precondition'
  return { ...unsent, what: `the request could not be signed: ${message}`, code, cause }
}

/** What a signer fails with once the answer is there: the request was carried out, and is not sent again for it. */
export function judgingFault(cause: unknown): HttpFault {
  return {
    phase: 'headers',
    sent: 'yes',
    what: 'what signs requests failed at the answer: see cause',
    code: 'failed_precondition',
    cause,
  }
}
