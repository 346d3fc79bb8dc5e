import {
  type CallHeaders,
  HeaderMap,
  type HeadersInit,
  noHeaders,
  readHeaders,
  token,
} from '../../src/core/call/header-map.ts'
import type { Signal } from '../../src/core/call/signal.ts'
import { isObject } from '../../src/core/tag.ts'
import { type BodyKind, bodyKind, isUsed, toBytes } from '../http/bytes.ts'
import { ReplayBody } from '../http/replay-body.ts'
import type { Answer } from '../http/responder.ts'
import { page } from '../shared/base-url.ts'
import type { FetchRequest } from './types.ts'

/** What a fetch was called with, read once: the input of a call, over all its attempts. */
export class FetchInput implements FetchRequest {
  declare readonly method: string
  readonly url: string
  readonly origin: string
  readonly path: string
  /** Names in lower case. */
  declare readonly record: CallHeaders
  /** A text, bytes, a form, a Blob, or a {@link ReplayBody}. */
  declare readonly body: unknown
  declare readonly signal: Signal | undefined
  declare readonly init: Readonly<Record<string, unknown>>
  /** An error that the server has answered with: its body is handed out, if no attempt follows. */
  kept: Answer | undefined

  constructor(url: URL, parts: Pick<FetchInput, 'method' | 'record' | 'body' | 'signal' | 'init'>) {
    this.url = url.href
    this.origin = url.origin
    // Of `data:` and `blob:` the path is the thing itself.
    this.path = /^https?:$/.test(url.protocol) ? url.pathname : url.protocol
    Object.assign(this, parts)
  }

  get headers(): HeaderMap {
    return new HeaderMap(this.record)
  }

  get isReplayable(): boolean {
    return !(this.body instanceof ReplayBody) || this.body.isReplayable
  }
}

type Init = Readonly<Record<string, unknown>>

/** The members of a Request that a fetch takes over, with what says nothing: workerd refuses some that it does not know. */
const copied: Init = {
  redirect: 'follow',
  credentials: 'same-origin',
  mode: 'cors',
  cache: 'default',
  referrer: 'about:client',
  referrerPolicy: '',
  integrity: '',
  keepalive: false,
}
const normalized = /^(?:get|head|post|put|delete|options)$/i

/**
 * Reads the arguments of a fetch, by the rules of the Fetch standard.
 *
 * @throws {TypeError} exactly where fetch does.
 */
export async function readArguments(input: unknown, init: unknown, replayBytes: number): Promise<FetchInput> {
  const given = (init ?? {}) as Init
  const request = isRequest(input) ? input : undefined
  const url = readUrl(request ? request.url : input)
  const { method: asked, headers: own, body: named, signal, ...rest } = given
  const method = readMethod(asked ?? request?.method ?? 'GET')
  const body =
    named ?? (request && !('body' in given && named === null) ? await bodyOf(request, replayBytes) : undefined)
  if (body !== undefined && body !== null && (method === 'GET' || method === 'HEAD'))
    throw new TypeError('Request with GET/HEAD method cannot have body.')
  const signalOf = signal === undefined ? request?.signal : signal
  return new FetchInput(url, {
    method,
    record: readRecord(own ?? request?.headers),
    body: readBody(body, replayBytes),
    signal: (signalOf ?? undefined) as Signal | undefined,
    init: request ? { ...taken(request), ...rest } : rest,
  })
}

/** A Request of any platform's class. */
function isRequest(input: unknown): input is Request {
  return isObject(input) && 'url' in input && 'method' in input && 'headers' in input
}

function readUrl(input: unknown): URL {
  try {
    return new URL(String(input), page()?.href)
  } catch (cause) {
    throw new TypeError('Failed to parse URL', { cause })
  }
}

function readMethod(method: unknown): string {
  const text = String(method)
  if (!token.test(text.toLowerCase()) || /^(?:connect|trace|track)$/i.test(text))
    throw new TypeError(`'${text}' is no method for fetch.`)
  return normalized.test(text) ? text.toUpperCase() : text
}

/** Headers, pairs, of which several may have one name, or a plain object. */
function readRecord(headers: unknown): CallHeaders {
  if (headers === undefined || headers === null) return noHeaders
  const isPairs = typeof headers === 'object' && Symbol.iterator in headers
  try {
    return readHeaders(isPairs ? HeaderMap.from(headers as Iterable<[string, string]>) : (headers as HeadersInit))
  } catch (cause) {
    throw new TypeError('Invalid headers', { cause })
  }
}

/**
 * The body of a Request, whole where that is at hand: a length is sent then, and a browser sends no streams over
 * HTTP/1.1; else its stream.
 */
async function bodyOf(request: Request, replayBytes: number): Promise<unknown> {
  if (request.bodyUsed) throw new TypeError('Cannot use the body of a Request twice.')
  if (request.method === 'GET' || request.method === 'HEAD' || request.body === null) return undefined
  if (request.body === undefined || page()) {
    const blob = await request.blob()
    return blob.size > 0 ? blob.slice(0, blob.size, '') : undefined
  }
  const body = new ReplayBody(request.body, replayBytes)
  return (await body.wholeSoon()) ?? body
}

/** A copy of what the caller may change, and of a stream what is needed to send it again. */
function readBody(body: unknown, replayBytes: number): unknown {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string' || body instanceof ReplayBody) return body
  const kind = bodyKind(body)
  if (kind === undefined || kind === 'factory') return String(body)
  if (kind !== 'stream') return copyOf(body, kind)
  if (isUsed(body as object)) throw new TypeError('The body was read, or is locked.')
  return new ReplayBody(body as ReadableStream, replayBytes)
}

/** A Blob cannot change. */
function copyOf(body: unknown, kind: BodyKind): unknown {
  if (kind === 'bytes') return toBytes(body as ArrayBuffer).slice()
  if (kind === 'params') return new URLSearchParams(String(body))
  if (kind !== 'form') return body
  const form = new FormData()
  for (const [name, value] of body as FormData) form.append(name, value)
  return form
}

function taken(request: Request): Init {
  const init: Record<string, unknown> = {}
  for (const name in copied) {
    const value = request[name as keyof Request]
    if (value !== undefined && value !== copied[name]) init[name] = value
  }
  return init
}
