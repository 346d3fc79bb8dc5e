import { AsyncLocalStorage } from 'node:async_hooks'
import { notify } from '../../src/core/guard.ts'
import { checkOptions, either, list, oneOf, type RulesOf, text } from '../../src/core/options.ts'
import { type DeadlineReader, deadlineReader, type IncomingDeadlineHeader } from './deadline.ts'

/** What is read of the requests that a server gets. */
export interface IncomingOptions {
  /**
   * The headers that may say how long the caller waits; the shortest counts, `false` for none.
   *
   * @defaultValue `grpc-timeout`, `connect-timeout-ms`, both of Envoy's, `x-server-timeout`, `x-stainless-timeout`
   */
  readonly deadlineHeaders?: readonly IncomingDeadlineHeader[] | false | undefined
  /**
   * What calls take over, names in lower case. Leave `baggage` out where requests come from strangers.
   *
   * @defaultValue `['x-request-id', 'traceparent', 'tracestate', 'baggage']`
   */
  readonly headers?: readonly string[] | undefined
  /** Which of them is {@link Incoming.requestId}. @defaultValue 'x-request-id' */
  readonly requestIdHeader?: string | undefined
}

/** The headers of a request as Node has them, or as a `Headers` object. */
export type IncomingHeaders =
  | { get(name: string): string | null }
  | { readonly [name: string]: string | readonly string[] | undefined }

/** A request as a server has it, in what is read of it: a `Request`, or Node's with its response. */
export interface IncomingRequest {
  readonly headers: IncomingHeaders
  /** Aborts when its client has gone. */
  readonly signal?: AbortSignalLike | undefined
  /** Node's, or HTTP/2's: closed before it was finished, its client has gone. */
  readonly response?: ResponseLike | undefined
}

/** The part of an AbortSignal that is used. */
export interface AbortSignalLike {
  readonly aborted: boolean
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void
}

/** The part of Node's responses that is used. */
export interface ResponseLike {
  readonly writableFinished: boolean
  readonly destroyed?: boolean
  once(event: 'close', listener: () => void): unknown
}

const rules: RulesOf<IncomingOptions> = {
  deadlineHeaders: /* @__PURE__ */ either(list, /* @__PURE__ */ oneOf(false)),
  headers: list,
  requestIdHeader: text,
}

/** Reads requests by options that were checked once. */
export interface IncomingReader {
  readonly deadlineOf: DeadlineReader
  readonly headers: readonly string[]
  readonly requestIdHeader: string
}

/** @throws {CallError} `invalid_argument` naming the option. */
export function incomingReader(options: IncomingOptions, place: string): IncomingReader {
  checkOptions(place, options, rules)
  const { headers = ['x-request-id', 'traceparent', 'tracestate', 'baggage'], requestIdHeader = 'x-request-id' } =
    options
  return {
    deadlineOf: deadlineReader(options.deadlineHeaders),
    headers: headers.map((name) => name.toLowerCase()),
    requestIdHeader: requestIdHeader.toLowerCase(),
  }
}

/**
 * A request that is being handled: what calls made meanwhile take over from it.
 *
 * It ends in one of two ways: it was answered, and then nothing bounds what still runs; or its client has gone, and then
 * nobody waits for what still runs.
 */
export class Incoming {
  /** What is handed on, names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly requestId: string | undefined
  readonly #expiresAt: number
  #isGone = false
  #isAnswered = false
  #whenGone: Set<() => void> | undefined
  #controller: AbortController | undefined

  constructor(request: IncomingRequest, reader: IncomingReader) {
    const header = headerOf(request.headers)
    const remainingMs = reader.deadlineOf(header)
    this.#expiresAt = remainingMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + remainingMs
    this.headers = pickHeaders(header, reader.headers)
    this.requestId = usable(header(reader.requestIdHeader))
    const { response, signal } = request
    if (response?.destroyed || signal?.aborted) this.leave()
    else if (response) response.once('close', () => (response.writableFinished ? this.answered() : this.leave()))
    else signal?.addEventListener('abort', () => this.leave(), { once: true })
  }

  /** How long its caller still waits; ms, never negative, Infinity where nothing is known. */
  get remainingMs(): number {
    return this.#isAnswered ? Number.POSITIVE_INFINITY : Math.max(0, this.#expiresAt - performance.now())
  }

  /** Its client has gone before it was answered. */
  get isGone(): boolean {
    return this.#isGone
  }

  /** Aborts when its client has gone: for libraries that take a signal. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#isGone) this.#controller.abort(goneReason())
    }
    return this.#controller.signal
  }

  /** Calls `listener` when its client has gone, at once if it has; returns what removes it. What it throws harms nobody. */
  onGone(listener: () => void): () => void {
    if (this.#isGone) told(listener)
    const listeners = (this.#whenGone ??= new Set())
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  /** It was answered: deadline and client are those of nothing that is begun from now on. */
  answered(): void {
    this.#isAnswered = true
    this.#whenGone = undefined
  }

  /** Its client has gone. */
  leave(): void {
    if (this.#isGone || this.#isAnswered) return
    this.#isGone = true
    const listeners = this.#whenGone
    this.#whenGone = undefined
    this.#controller?.abort(goneReason())
    for (const listener of listeners ?? []) told(listener)
  }
}

interface Current {
  readonly incoming: Incoming
  /** Work that outlives the request. */
  readonly isDetached: boolean
}

const storage = new AsyncLocalStorage<Current>()

/**
 * The request that is being handled where this is called; undefined outside of any.
 *
 * @example
 * logger.info({ requestId: incoming()?.requestId })
 */
export function incoming(): Incoming | undefined {
  return storage.getStore()?.incoming
}

/** What calls ask: the request, and whether they are bound by it. */
export function currentIncoming(): Current | undefined {
  return storage.getStore()
}

/** Runs `work` within a request. */
export function runWithin<A extends unknown[], R>(within: Incoming, work: (...args: A) => R, ...args: A): R {
  return storage.run({ incoming: within, isDetached: false }, work, ...args)
}

/**
 * Handles a request: calls that `work` makes, at once or later, belong to it. For servers that have no adapter here.
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * export const GET = (request: Request) => withIncoming(request, async () => Response.json(await api.users.list()))
 */
export function withIncoming<R>(request: IncomingRequest, work: () => R, options: IncomingOptions = {}): R {
  return runWithin(new Incoming(request, incomingReader(options, 'withIncoming()')), work)
}

/**
 * Runs work that outlives the request which starts it: its calls keep trace and request id, but neither the deadline nor
 * the client's going away ends them. Streams that all requests share are opened so, too.
 *
 * @example
 * void detached(() => api.audit.write({ event: 'login' }))
 */
export function detached<R>(work: () => R): R {
  const current = storage.getStore()
  return current ? storage.run({ ...current, isDetached: true }, work) : work()
}

function told(listener: () => void): void {
  notify('a listener of onGone()', listener, onConsole)
}

/** Nobody else is there to hear of it: the request is over. */
const onConsole = {
  event: ({ message }: { readonly message: string }, cause: unknown) => console.warn(`[polywire] ${message}`, cause),
}

const goneReason = (): DOMException => new DOMException('the client of the incoming request has gone', 'AbortError')

function headerOf(headers: IncomingHeaders): (name: string) => string | undefined {
  if (typeof headers.get === 'function')
    return (name) => (headers as { get(name: string): string | null }).get(name) ?? undefined
  return (name) => {
    const value = (headers as Readonly<Record<string, string | readonly string[] | undefined>>)[name]
    return typeof value === 'object' ? value.join(',') : value
  }
}

const visible = /^[\x20-\x7e]{1,8192}$/
/** Version, trace, parent and flags. Source: https://www.w3.org/TR/trace-context/#traceparent-header */
const traceparent = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:$|-)/

const usable = (value: string | undefined): string | undefined =>
  value !== undefined && visible.test(value) ? value : undefined

/** What may be handed on; a trace that cannot be read is none, nor is the state that belongs to it. */
function pickHeaders(header: (name: string) => string | undefined, names: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {}
  const isTraced = traceparent.test(header('traceparent') ?? '')
  for (const name of names) {
    const value = usable(header(name))
    if (value === undefined || (!isTraced && (name === 'traceparent' || name === 'tracestate'))) continue
    picked[name] = value
  }
  return picked
}
