import type { CallOptions, Progress } from '../../../src/core/call/call-options.ts'
import type { UnaryResult } from '../../../src/core/call/call-types.ts'
import { Context } from '../../../src/core/call/context.ts'
import type { OperationInfo } from '../../../src/core/call/operation.ts'
import type { Plan } from '../../../src/core/call/plan.ts'
import type { Scope, Services } from '../../../src/core/call/scope.ts'
import { CallError, isAnyCallError } from '../../../src/core/errors/error.ts'
import { refusal } from '../../../src/core/errors/refusal.ts'
import { guard } from '../../../src/core/guard.ts'
import { bounded } from '../../../src/core/time/bounded.ts'
import { at } from '../../http/at.ts'
import { IdleWatch } from '../../http/idle-watch.ts'
import { base64, type UploadLimits } from './fields.ts'
import type { Append, Standing, UploadProtocol } from './protocol.ts'
import { onUploadUrl, type Send, type UploadRequests } from './requests.ts'
import type { Part, Source } from './source.ts'
import type { UploadOptions, UploadSpec, UploadState } from './types.ts'

/** What all uploads of one operation of one client share. */
export interface UploadPlan {
  readonly info: OperationInfo
  readonly spec: UploadSpec
  readonly names: readonly string[]
  readonly requests: UploadRequests<OperationInfo>
  readonly services: Services
}

type Reply = UnaryResult<unknown>
type Headers = Readonly<Record<string, string>>
const tookNothing = 'took nothing of what was sent'
/** So that a part can be told apart by a digest, it is held in memory: bytes. */
const digestedBytes = 8_388_608

/** The upload as it is at the server: what is known of it, and the requests that bring it further. */
export class RemoteUpload {
  url: string | undefined
  /** What the server has confirmed; bytes. */
  offset = 0
  totalBytes: number | undefined
  expiresAt: number | undefined
  input: Readonly<Record<string, unknown>> = {}
  metadata: Readonly<Record<string, string>> = {}
  isComplete = false
  /** The server was asked how far it is, and nothing was sent since that may have got lost. */
  isSure = false
  /** What the caller bounds a request to; bytes. */
  readonly chunkBytes: number
  readonly #plan: UploadPlan
  readonly #send: UploadRequests<Send>
  readonly #options: UploadOptions
  /** Of the whole. */
  readonly #scope: Scope
  readonly #onProgress: (transferredBytes: number) => void
  #limits: UploadLimits = {}
  /** The server has not been told the length of the whole. */
  #isLengthOpen = false
  /** It has answered a part, and did not say how far it is. */
  #isUntold = false

  constructor(plan: UploadPlan, options: UploadOptions, scope: Scope, onProgress: (transferredBytes: number) => void) {
    const { spec, services, requests } = plan
    this.#plan = plan
    this.#options = options
    this.#scope = scope
    this.#onProgress = onProgress
    this.chunkBytes = spec.chunkBytes ?? (spec.by.digest ? digestedBytes : Number.POSITIVE_INFINITY)
    const callable = services.callable as unknown as (info: OperationInfo) => { readonly reply: Send }
    const { create, ask, append, discard } = requests
    const send = (info: OperationInfo): Send => {
      const { reply } = callable(info)
      return (input, options) => this.#counted(() => reply(input, options))
    }
    this.#send = { create: send(create), ask: send(ask), append: send(append), discard: send(discard) }
  }

  /** What another process knew of it. */
  takeUp({ url, input, metadata = {}, totalBytes, expiresAt }: UploadState): void {
    this.url = url
    this.input = input
    this.metadata = metadata
    this.expiresAt = expiresAt
    this.#isLengthOpen = totalBytes === undefined
  }

  /** The server has lost it. */
  forget(): void {
    this.url = undefined
    this.offset = 0
  }

  async create(step: Scope, source: Source): Promise<Reply> {
    const { spec, names } = this.#plan
    const { by } = spec
    const part = by.isOptimistic ? await bounded(step, () => source.part(0, this.#partBytes())) : undefined
    if (part?.isLast && part.totalBytes !== undefined) this.totalBytes = part.totalBytes
    const { totalBytes, metadata } = this
    const own = by.create({ totalBytes, metadata, isWhole: part?.isLast })
    if (typeof own === 'string') throw refusal(own, { operation: this.#plan.info })
    const split = (isOfPath: boolean) =>
      Object.fromEntries(Object.entries(this.input).filter(([name]) => names.includes(name) === isOfPath))
    const body = part ? part.body : by.isTyped ? new Uint8Array(0) : undefined
    const headers = { ...by.headers, ...own, ...(part && (await this.#partHeaders(part, step))) }
    const input = { params: split(true), query: split(false), headers, body }
    const options = this.#requestOptions(step, true)
    const { context = Context.empty } = options
    const onUrl = (url: string): void => {
      this.url = url
    }
    const reply = part
      ? await this.#sendPart(this.#send.create, input, { ...options, context: context.with(onUploadUrl, onUrl) }, step)
      : await this.#send.create(input, options)
    const standing = this.#read(reply)
    // A server that says nothing of uploads has taken all that it was sent for a plain request.
    const isAll = totalBytes === 0 || part?.isLast === true
    this.isComplete = isAll && (standing.isComplete || !reply.headers.has('upload-complete'))
    const location = reply.headers.last('location')
    if (location === null && this.url === undefined && !this.isComplete) {
      const message = `the server answered ${reply.status} without Location: it knows no uploads by ${by.name}`
      throw this.error('failed_precondition', message)
    }
    // One that is relative leads from where it was created, whatever the status.
    if (location !== null) this.url ??= URL.canParse(location, reply.url) ? new URL(location, reply.url).href : location
    this.#isLengthOpen = totalBytes === undefined
    this.#learn(standing)
    // What it has taken of the first part it says where it is asked.
    this.isSure = !part || this.isComplete
    this.#confirm(part && this.isComplete ? (totalBytes ?? source.totalBytes ?? 0) : 0)
    return reply
  }

  async ask(step: Scope): Promise<undefined> {
    const reply = await this.#send.ask(this.#at({ headers: this.#plan.spec.by.headers }), this.#requestOptions(step))
    const standing = this.#read(reply)
    const { offset, totalBytes = this.totalBytes } = standing
    const before = this.offset
    const source = this.totalBytes ?? totalBytes
    if (offset === undefined) throw this.error('internal', 'the server does not say how far the upload is')
    if (totalBytes !== source)
      throw this.error('failed_precondition', `the server expects ${totalBytes} bytes, and the source has ${source}`)
    if (source !== undefined && offset > source)
      throw this.error('failed_precondition', `the server holds ${offset} bytes, and the source has ${source}`)
    if (standing.totalBytes !== undefined) this.#isLengthOpen = false
    this.#learn(standing)
    this.isSure = true
    this.#confirm(offset)
    this.isComplete = standing.isComplete ?? (offset === source && !this.#isLengthOpen)
    // A server that takes back what it has confirmed, or nothing of what it says that it took, would be sent the same for ever.
    if (offset < before) throw this.#stuck('holds less than it had confirmed')
    if (this.#isUntold && offset === before && !this.isComplete) throw this.#stuck(tookNothing)
  }

  async append(step: Scope, source: Source): Promise<Reply> {
    const { offset } = this
    const part = await bounded(step, () => source.part(offset, this.#partBytes()))
    const { length, isLast, totalBytes } = part
    if (isLast && totalBytes !== undefined) this.totalBytes = totalBytes
    const own = this.#appendHeaders({ length, isLast, totalBytes, isLengthOpen: this.#isLengthOpen })
    const headers: Headers = { ...own, ...(await this.#partHeaders(part, step)) }
    this.isSure = this.#isUntold = false
    const input = this.#at({ headers, body: part.body })
    const reply = await this.#sendPart(this.#send.append, input, this.#requestOptions(step), step)
    const standing = this.#read(reply)
    this.#learn(standing)
    this.totalBytes ??= source.totalBytes
    // What was read to its end has a length by now.
    const end = length === undefined ? source.totalBytes : offset + length
    const now = standing.offset ?? (standing.isComplete !== undefined ? end : undefined)
    this.#isUntold = now === undefined
    this.isSure = now !== undefined && now === end
    if (isLast && totalBytes !== undefined) this.#isLengthOpen = false
    if (now !== undefined) this.#confirm(now)
    this.isComplete = standing.isComplete ?? (isLast && this.isSure && !this.#isLengthOpen)
    if (!this.isComplete && now === offset) {
      this.isSure = false
      throw this.#stuck(isLast && end === offset ? 'has all, and does not say that it is complete' : tookNothing)
    }
    return reply
  }

  /** The last answer of an upload that is complete, where a server of the draft gives it once more. */
  async again(step: Scope): Promise<Reply | undefined> {
    const headers = this.#appendHeaders({ length: 0, isLast: true, totalBytes: undefined, isLengthOpen: false })
    const reply = await this.#send.append(this.#at({ headers, body: new Uint8Array(0) }), this.#requestOptions(step))
    return this.#read(reply).isComplete ? reply : undefined
  }

  #appendHeaders(append: Omit<Append, 'offset'>): Headers {
    const { by } = this.#plan.spec
    return { ...by.headers, ...by.append({ ...append, offset: this.offset }), 'content-type': by.contentType }
  }

  /** Has the server forget it. */
  async discard(): Promise<void> {
    const { timeoutMs, context } = this.#options
    const options = { timeoutMs, context, headers: this.#callerHeaders() }
    await this.#send.discard(this.#at({ headers: this.#plan.spec.by.headers }), options)
  }

  /** Whether an answer to a part that was too large says how large one may be. */
  fitsSmaller({ headers }: CallError): boolean {
    const before = this.#partBytes()
    if (headers) this.#limits = { ...this.#limits, ...this.#plan.spec.by.read(headers, 0).limits }
    return this.#partBytes() < before
  }

  error(code: CallError['code'], message: string, sent: CallError['sent'] = 'yes'): CallError {
    const phase = sent === 'no' ? 'resolve' : 'headers'
    return new CallError({ code, message, phase, sent }, { operation: this.#plan.info })
  }

  async #sendPart(send: Send, input: unknown, options: CallOptions, step: Scope): Promise<Reply> {
    const { offset } = this
    const { idleTimeoutMs = 60_000 } = this.#plan.spec
    const dead = (): void => {
      const message = `nothing of the source moved, and no answer came, for ${idleTimeoutMs} ms (idleTimeoutMs)`
      const failure = { code: 'unavailable', message, phase: 'send', sent: 'maybe', isRetryable: true } as const
      step.abort(new CallError(failure, { operation: this.#plan.info }))
    }
    const watch = new IdleWatch(step.services, { onIdle: dead })
    const onUploadProgress = ({ transferredBytes }: Progress): void => {
      this.#onProgress(offset + transferredBytes)
      // An engine that tells nothing before the answer is never known to be silent.
      watch.start(idleTimeoutMs)
      watch.alive()
    }
    try {
      return await send(input, { ...options, timeoutMs: Number.POSITIVE_INFINITY, onUploadProgress })
    } finally {
      watch.stop()
    }
  }

  /** The caller of the whole is told what its requests have come to, whatever ends it. */
  async #counted(send: () => Promise<Reply>): Promise<Reply> {
    const { root } = this.#scope
    const { sent } = root
    root.mark('send', 'maybe')
    try {
      const reply = await send()
      root.mark('headers', 'yes')
      return reply
    } catch (error) {
      if (isAnyCallError(error)) root.sent = sent === 'no' ? error.sent : sent
      throw error
    }
  }

  /** What a part says of itself. */
  #partHeaders(part: Part, step: Scope): Promise<Headers> {
    const { info, spec } = this.#plan
    const failure = { code: 'invalid_argument', phase: 'send', sent: step.root.sent } as const
    const read = () => partHeaders(part, spec.by)
    return bounded(step, () => guard('reading the source of the upload', read, { operation: info }, failure))
  }

  #stuck(what: string): CallError {
    const message = `the server ${what}`
    const failure = { code: 'unavailable', message, phase: 'headers', sent: 'yes', isRetryable: true } as const
    return new CallError(failure, { operation: this.#plan.info })
  }

  /** What one request carries at most. */
  #partBytes(): number {
    const { maxAppendSize = Number.POSITIVE_INFINITY, minAppendSize = 0 } = this.#limits
    return Math.min(maxAppendSize, Math.max(minAppendSize, this.chunkBytes))
  }

  #read({ headers }: Reply): Standing {
    return this.#plan.spec.by.read(headers, this.#plan.services.clock.wallNow())
  }

  #learn({ limits, expiresAt }: Standing): void {
    this.#limits = { ...this.#limits, ...limits }
    if (expiresAt !== undefined) this.expiresAt = expiresAt
    const { maxSize = Number.POSITIVE_INFINITY } = this.#limits
    const { totalBytes = 0 } = this
    if (totalBytes > maxSize)
      throw this.error(
        'invalid_argument',
        `the server takes ${maxSize} bytes at most, and the source has ${totalBytes}`,
      )
  }

  #confirm(offset: number): void {
    this.offset = offset
    this.#onProgress(offset)
  }

  /** The input of a request to the upload. */
  #at(rest: { readonly headers?: Headers; readonly body?: unknown }): unknown {
    return at<Record<string, unknown>>(this.url as string, rest)
  }

  #requestOptions(step: Scope, isHome?: boolean): CallOptions {
    const { context, deadline, timeoutMs } = this.#options
    return { signal: step.signal, context, deadline, timeoutMs, headers: this.#callerHeaders(isHome) }
  }

  /** The caller's headers, credentials among them, stay with the transport's own origin. */
  #callerHeaders(isHome = false): UploadOptions['headers'] {
    const { headers } = this.#options
    if (headers === undefined || isHome) return headers
    const { services, info } = this.#plan
    const plan = services.planOf?.(info) as Plan
    const { url = '' } = this
    return URL.canParse(url) && new URL(url).origin === plan.route.transport.origin ? headers : undefined
  }
}

async function partHeaders({ body, length }: Part, { digest }: UploadProtocol): Promise<Headers> {
  const sized = length === undefined ? undefined : { 'content-length': String(length) }
  if (!digest) return { ...sized }
  const bytes = body instanceof Blob ? await body.arrayBuffer() : (body as Uint8Array<ArrayBuffer>)
  const made = new Uint8Array(await crypto.subtle.digest(digest.algorithm, bytes))
  return { ...sized, [digest.header]: digest.write(base64(made)) }
}
