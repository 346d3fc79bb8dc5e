import type { Call } from '../../src/core/call/call.ts'
import { CallError, failureOf, isAnyCallError } from '../../src/core/errors/error.ts'
import type { Phase, Sent } from '../../src/core/errors/failure.ts'
import { checkOptions, count, flag, notNegative, type RulesOf } from '../../src/core/options.ts'
import { isRecord } from '../../src/core/tag.ts'
import type { Clock } from '../../src/core/time/clock.ts'
import { type BufferedResponse, requestBuffered } from '../http/collect.ts'
import type { HttpScope } from '../http/contract.ts'
import { toCallError } from '../http/fault.ts'
import { meaningOf } from './codes.ts'
import type { HttpGraphQLTransport } from './exchange.ts'
import {
  type Answer,
  type Ask,
  type Asked,
  bodyOf,
  type Closable,
  Feature,
  type GraphQLFeature,
  type JsonWays,
} from './feature.ts'
import { parseJson, toGraphQLResult } from './response.ts'

/** How requests are gathered. */
export interface RequestBatchingOptions {
  /** Requests in one batch. @defaultValue 10 */
  readonly max?: number | undefined
  /** How long a batch is open for more; ms. @defaultValue 0: to the end of the tick in which the first one came */
  readonly delayMs?: number | undefined
  /** Whether mutations are gathered too, with each other alone: servers run a batch in no order. @defaultValue false */
  readonly mutations?: boolean | undefined
}

const rules: RulesOf<RequestBatchingOptions> = { max: count, delayMs: notNegative, mutations: flag }

/**
 * Gathers requests of one tick into one, as an array, each with a result or an error of its own. Only requests of the same
 * caller with the same headers meet in a batch; the server must take batches (Apollo Server: `allowBatchedHttpRequests`, yoga: `batching`).
 *
 * @throws {CallError} `invalid_argument` where an option is wrong.
 * @example
 * graphqlTransport({ url, features: [requestBatching({ max: 20 })] })
 */
export function requestBatching(options: RequestBatchingOptions = {}): GraphQLFeature {
  checkOptions('requestBatching()', options, rules)
  return new RequestBatching(options)
}

class RequestBatching extends Feature {
  readonly kind = 'batching'
  readonly #options: RequestBatchingOptions

  constructor(options: RequestBatchingOptions) {
    super()
    this.#options = options
  }

  wrap(next: Ask, http: HttpGraphQLTransport): Ask {
    return (asked) => {
      const { document, call } = asked
      const isBatched = document.kind === 'query' || this.#options.mutations === true
      // What signs a request signs its body, which would be another one.
      if (!isBatched || call.credential?.wire) return next(asked)
      return http.part(this, () => new Batches(http, this.#options)).ask(asked, next)
    }
  }
}

/** The batches of one transport that are open for more, by who may meet in them. */
class Batches implements Closable {
  readonly #http: HttpGraphQLTransport
  readonly #options: RequestBatchingOptions
  readonly #open = new Map<string, Batch>()

  constructor(http: HttpGraphQLTransport, options: RequestBatchingOptions) {
    this.#http = http
    this.#options = options
  }

  async ask(asked: Asked, next: Ask): Promise<Answer> {
    // Refused here, what cannot be written fails alone.
    const body = bodyOf(asked)
    const { call } = asked
    const key = keyOf(asked, this.#http)
    let batch = this.#open.get(key)
    if (!batch) {
      const made = new Batch(this.#http)
      batch = made
      this.#open.set(key, made)
      schedule(() => this.#send(key, made), this.#options.delayMs, call.scope.services.clock)
    }
    const answer = batch.join({ asked, body, next })
    if (batch.size >= (this.#options.max ?? 10)) this.#send(key, batch)
    return answer
  }

  close(): void {
    this.#open.clear()
  }

  #send(key: string, batch: Batch): void {
    if (this.#open.get(key) === batch) this.#open.delete(key)
    batch.send()
  }
}

/** Traces are of one call each; the first one's stand for the batch. */
const personal = new Set(['traceparent', 'tracestate', 'baggage', 'x-request-id'])

/** Who may meet: calls of one identity, with one credential and equal headers; queries among themselves. */
function keyOf({ call, document }: Asked, http: HttpGraphQLTransport): string {
  // The remaining time differs from call to call.
  const headers = Object.entries(http.makeHeaders(call.with({ wireDeadline: Number.POSITIVE_INFINITY })))
  const same = headers.filter(([name]) => !personal.has(name)).sort(([one], [other]) => (one < other ? -1 : 1))
  return JSON.stringify([call.identity, call.credential?.query, document.kind, same])
}

/** At once behind what is under way: where Node has a word for that, else by a timer. */
function schedule(run: () => void, delayMs = 0, clock: Clock): void {
  const { nextTick } = (globalThis as { process?: { nextTick?(run: () => void): void } }).process ?? {}
  if (delayMs > 0 || !nextTick) clock.setTimer(run, delayMs)
  else void Promise.resolve().then(() => nextTick(run))
}

interface Member {
  readonly asked: Asked
  readonly body: string
  readonly next: Ask
}

interface Waiting extends Member {
  resolve(answer: Answer): void
  reject(error: unknown): void
  offAbort(): void
}

/** One request for several: it lives as long as one of them. */
class Batch implements HttpScope {
  readonly #http: HttpGraphQLTransport
  #members: Waiting[] = []
  #isSent = false
  #listeners: ((reason: unknown) => void)[] = []

  constructor(http: HttpGraphQLTransport) {
    this.#http = http
  }

  get size(): number {
    return this.#members.length
  }

  get isOver(): boolean {
    return this.#members.length === 0
  }

  join(member: Member): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { ...member, resolve, reject, offAbort: () => {} }
      this.#members.push(waiting)
      waiting.offAbort = member.asked.call.scope.onAbort((reason) => this.#left(waiting, reason))
    })
  }

  /** Once: it is full, or its time has come. */
  send(): void {
    if (this.#isSent) return
    this.#isSent = true
    const [first, second] = this.#members
    if (!first) return
    if (second) void this.#sendAll([...this.#members])
    else first.next(first.asked).then(first.resolve, first.reject).finally(first.offAbort)
  }

  onAbort(listener: (reason: unknown) => void): () => void {
    if (this.isOver) listener(undefined)
    this.#listeners.push(listener)
    return () => {
      this.#listeners = this.#listeners.filter((each) => each !== listener)
    }
  }

  endIfLate(): boolean {
    for (const { asked } of [...this.#members]) asked.call.scope.endIfLate()
    return this.isOver
  }

  mark(phase: Phase, sent: Sent): void {
    for (const { asked } of this.#members) asked.call.scope.mark(phase, sent)
  }

  /** @param members - as they were sent: answers come in their order, whoever has left since. */
  async #sendAll(members: readonly Waiting[]): Promise<void> {
    const { maxBodyBytes, engine } = this.#http
    try {
      const body = `[${members.map((member) => member.body).join(',')}]`
      const request = this.#http.requestOf(longest(members), { body })
      const response = await requestBuffered(engine, request, this, { maxBodyBytes })
      const answers = answersOf(response, members)
      for (const [index, member] of members.entries()) this.#settle(member, () => answers(index))
    } catch (error) {
      // One failed connection, however many calls it carried.
      const connection = {}
      for (const member of members)
        this.#settle(member, () => {
          throw shared(toCallError(error, member.asked.call), connection, member.asked.call)
        })
    }
  }

  #settle(member: Waiting, answer: () => Answer): void {
    member.offAbort()
    try {
      member.resolve(answer())
    } catch (error) {
      member.reject(error)
    }
  }

  #left(member: Waiting, reason: unknown): void {
    this.#members = this.#members.filter((each) => each !== member)
    member.reject(reason)
    if (this.isOver) for (const listener of [...this.#listeners]) listener(reason)
  }
}

function shared(error: unknown, connection: object, call: Call): unknown {
  return isAnyCallError(error) ? new CallError({ ...failureOf(error), connection }, call) : error
}

/** Whose deadline the server is told. */
function longest(members: readonly Waiting[]): Call {
  const calls = members.map(({ asked }) => asked.call)
  return calls.reduce((one, other) => (other.wireDeadline > one.wireDeadline ? other : one))
}

/** Each one's part of a response. What is no list is an answer to all, where it can be. */
function answersOf(response: BufferedResponse, members: readonly Waiting[]): (index: number) => Answer {
  const { status, headers, redirected } = response
  const text = response.text()
  const list = parseJson(text)?.value
  const refuse = (code: 'internal' | 'failed_precondition', message: string) => (index: number) => {
    const { call } = (members[index] as Waiting).asked
    throw new CallError({ code, message, phase: 'body', sent: 'yes', status, headers }, call)
  }
  if (!Array.isArray(list)) {
    const result = toGraphQLResult(list)
    const isVague = (result?.errors ?? []).every(
      (error) => !meaningOf(error) || /BAD_REQUEST/.test(String(codeIn(error))),
    )
    if (
      result?.data ||
      (result?.errors && isVague && status < 500 && status !== 401 && status !== 403 && status !== 429)
    )
      return refuse(
        'failed_precondition',
        'the server answered a batch with one result: it does not take batches. Switch them on there, or leave requestBatching() out',
      )
    return () => response
  }
  // A server that refuses the whole says so once.
  if (list.length !== members.length && status >= 400) return () => response
  if (list.length !== members.length)
    return refuse('internal', `the server answered a batch of ${members.length} with ${list.length} results`)
  const none = () => ''
  const value = itemReader(list, text)
  return (index) => {
    const { asked } = members[index] as Waiting
    return { status, headers, redirected, parsed: { value: value(index, asked) }, text: none }
  }
}

/** Each result as its own operation reads JSON; errors and extensions decide over retries, so that they are read plainly. */
function itemReader(list: readonly unknown[], text: string): (index: number, asked: Asked) => unknown {
  const known = new Map<JsonWays, readonly unknown[]>()
  return (index, { json, call }) => {
    const plain = list[index]
    if (!json || !isRecord(plain)) return plain
    const own = known.get(json) ?? (json.read(text, call)?.value as readonly unknown[])
    known.set(json, own)
    const { errors, extensions } = plain
    return { ...(own[index] as object), errors, extensions }
  }
}

function codeIn({ extensions }: { readonly extensions?: unknown }): unknown {
  return (extensions as { readonly code?: unknown } | undefined)?.code
}
