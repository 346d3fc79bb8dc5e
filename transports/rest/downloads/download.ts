import type { Call } from '../../../src/core/call/call.ts'
import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import { HeaderMap, readHeaders } from '../../../src/core/call/header-map.ts'
import type { OperationInfo } from '../../../src/core/call/operation.ts'
import { CallError } from '../../../src/core/errors/error.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import { aboveZero, checkOptions, count, notNegative, object, oneOf, type RulesOf } from '../../../src/core/options.ts'
import { type OpenResponse, openBody } from '../../http/body.ts'
import type { HttpRequest } from '../../http/contract.ts'
import { toCallError } from '../../http/fault.ts'
import type { OpenReply, RestBinding } from '../operation.ts'
import { isReply, responseError } from '../response.ts'
import { firstByteOf } from './content-range.ts'
import { type Representation, representationOf } from './representation.ts'
import { changed, ResumableDownload } from './resumable.ts'
import type { DownloadOptions, DownloadResponse } from './types.ts'

const rules: RulesOf<DownloadOptions> = {
  digest: /* @__PURE__ */ oneOf('check', 'require', false),
  onChange: /* @__PURE__ */ oneOf('restart', 'fail'),
  resume: /* @__PURE__ */ object('an object such as { maxAttempts: 20 }', {
    baseDelayMs: notNegative,
    maxDelayMs: notNegative,
    maxAttempts: count,
    stableMs: notNegative,
  }),
  idleTimeoutMs: aboveZero,
}

/**
 * `response: download()`: the reply as a stream that goes on after whatever breaks it, by ranges of the same file as it
 * was (`If-Range`), and is held against the digest that the server names. `timeoutMs` bounds each opening, `deadline` the
 * whole.
 *
 * @throws {CallError} `invalid_argument` when an option is wrong.
 * @example
 * const fetchFile = get('/files/{name}', { response: download() })
 * for await (const chunk of await client.call(fetchFile, { name: 'a.iso' })) size += chunk.byteLength
 */
export function download(options: DownloadOptions = {}): DownloadResponse {
  checkOptions('download()', options, rules)
  const open: OpenReply = async (engine, made, call, limits) => {
    const asked = made.headers.range === undefined ? 0 : firstByteOf(made.headers.range)
    if (asked === undefined) throw refusal("a download begins by range: 'bytes=100-', and by no other form", call)
    const request = { ...made, headers: downloadHeaders(made, options, engine.name === 'fetch') }
    try {
      const response = await openBody(engine, request, call.scope)
      const { status, headers } = response
      const isFile = status === 200 || status === 206 || status === 416
      if (!isFile && !isReply(status, request)) return await refuse(call, response, limits.maxBodyBytes)
      if (status === 304) {
        response.body.cancel()
        return { kind: 'unary', message: undefined, status, headers, trailers: HeaderMap.empty }
      }
      const isFetch = engine.name === 'fetch'
      const read = representationOf(isFile ? response : { status: 200, headers }, isFetch ? asked : undefined)
      if (typeof read !== 'string' && status !== 200 && isOther(read, request.headers['if-range']))
        throw unfitAnswer(call, response, 'a part of another file than is gone on with: begin anew', changed)
      // It says that nothing is behind what the caller has, or that the file is another one.
      if (status === 416 && (typeof read === 'string' || read.totalBytes !== asked))
        return await refuse(call, response, limits.maxBodyBytes)
      const unfit =
        typeof read === 'string'
          ? read
          : status === 206 && read.first !== asked && `a range from ${read.first} where one from ${asked} was asked for`
      if (unfit) throw unfitAnswer(call, response, unfit)
      // Of what follows: who leaves the download ends that, too.
      const rest = call.with({ scope: call.scope.fork() })
      const reopen = reopener(rest)
      const stream = new ResumableDownload(rest, options, {
        response,
        representation: read as Representation,
        reopen,
        isFetch,
      })
      const { finished } = stream
      const discard = () => void stream.cancel()
      return { kind: 'unary', message: stream, status, headers, trailers: HeaderMap.empty, finished, discard }
    } catch (error) {
      throw toCallError(error, call)
    }
  }
  return { kind: 'byte stream', isResumable: true, open } as DownloadResponse
}

/** Offsets count in what is not compressed: where only fetch says so, a range says it for us. */
function downloadHeaders(
  { headers }: HttpRequest,
  { digest }: DownloadOptions,
  isFetch: boolean,
): Readonly<Record<string, string>> {
  const plain: Readonly<Record<string, string>> = isFetch
    ? { range: 'bytes=0-' }
    : { 'accept-encoding': 'identity', ...(digest !== false && { 'want-repr-digest': 'sha-256=10' }) }
  return { ...plain, ...headers }
}

/** Some servers pass `If-Range` over, and give a part of whatever stands there now. */
function isOther({ etag, lastModified }: Representation, ifRange: string | undefined): boolean {
  const now = ifRange?.startsWith('"') ? etag : lastModified
  return ifRange !== undefined && now !== null && now !== ifRange
}

/** @param reason - where it is no fault of the server. */
function unfitAnswer(call: Call, { status, headers, body }: OpenResponse, unfit: string, reason?: string): CallError {
  body.cancel()
  const message = `the server answered with ${unfit}`
  const code = reason === undefined ? 'internal' : 'aborted'
  return new CallError({ code, message, phase: 'headers', sent: 'yes', status, headers, reason }, call)
}

async function refuse(call: Call, response: OpenResponse, maxBodyBytes: number): Promise<never> {
  const read = await response.body.errorBody(maxBodyBytes)
  return responseError(call, { ...response, ...read, trailers: HeaderMap.empty })
}

/** Asks for the file from a byte on, or for the whole, through the chain of the call. */
export type Reopen = (headers: Readonly<Record<string, string>> | undefined) => Promise<OpenResponse>

/** The operation by which one is opened again: the same, whose message is the open response. */
const again = new WeakMap<OperationInfo, OperationInfo>()

function reopener(call: Call): Reopen {
  const { operation, options, scope, input } = call
  return async (headers) => {
    let info = again.get(operation)
    if (!info) again.set(operation, (info = reopening(operation)))
    const callable = scope.services.callable as unknown as (info: OperationInfo) => {
      reply(input: unknown, options: CallOptions): Promise<UnaryResult<OpenResponse>>
    }
    const { onDownloadProgress: _, signal: __, ...kept } = options
    const own = { ...readHeaders(options.headers), range: undefined, 'if-range': undefined, ...headers }
    const { message } = await callable(info).reply(input, { ...kept, headers: own, signal: scope.signal })
    return message
  }
}

function reopening({ encodeInput: _, decodeOutput: __, adapted: ___, ...operation }: OperationInfo): OperationInfo {
  const open: OpenReply = async (engine, made, call, limits) => {
    const plain = engine.name === 'fetch' ? { range: 'bytes=0-' } : { 'accept-encoding': 'identity' }
    try {
      const response = await openBody(engine, { ...made, headers: { ...plain, ...made.headers } }, call.scope)
      const { status, headers, body } = response
      if (status !== 200 && status !== 206 && status !== 416) return await refuse(call, response, limits.maxBodyBytes)
      const finished = body.finished.then(() => undefined)
      finished.catch(() => undefined)
      const discard = () => body.cancel()
      return { kind: 'unary', message: response, status, headers, trailers: HeaderMap.empty, finished, discard }
    } catch (error) {
      throw toCallError(error, call)
    }
  }
  return { ...operation, binding: { ...(operation.binding as RestBinding), open }, paginate: undefined }
}
