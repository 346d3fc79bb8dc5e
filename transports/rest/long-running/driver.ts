import type { CallOptions } from '../../../src/core/call/call-options.ts'
import type { Unary, UnaryResult } from '../../../src/core/call/call-types.ts'
import type { OperationInfo } from '../../../src/core/call/operation.ts'
import { percentDecoded } from '../../../src/core/call/percent.ts'
import type { Plan } from '../../../src/core/call/plan.ts'
import { checkSchema, type Schema } from '../../../src/core/call/schema.ts'
import type { Services } from '../../../src/core/call/scope.ts'
import type { Code } from '../../../src/core/errors/code.ts'
import { CallError, isAnyCallError } from '../../../src/core/errors/error.ts'
import { parseRetryAfter } from '../../../src/core/errors/retry-after.ts'
import { isThenable } from '../../../src/core/guard.ts'
import type { Callbacks, Cancel } from '../../../src/core/long-running/feeds.ts'
import type { RunDriver, RunState, RunStatus } from '../../../src/core/long-running/types.ts'
import { isRecord } from '../../../src/core/tag.ts'
import { linked } from '../../http/at.ts'
import type { RestBinding } from '../operation.ts'
import { type Answer, answerOf } from './answer.ts'
import { type LroAnswer, type LroDialect, type LroState, Malformed } from './dialect.ts'
import { runFailure } from './failure.ts'

/** Where a run stands, as a token holds it. */
interface Place {
  readonly url: string | undefined
  readonly cancelUrl?: string | undefined
  readonly memo?: LroAnswer['memo'] | undefined
  /** Of a run that is over: a server may have forgotten it by the time that it is asked again. */
  readonly end?: Pick<LroState, 'status' | 'result' | 'resultUrl' | 'error'> | undefined
}

/** The operations that a long-running one is made of. */
export interface LroParts {
  readonly info: OperationInfo
  readonly start: OperationInfo
  readonly status: OperationInfo
  readonly result: OperationInfo
  readonly giveUp: OperationInfo
  readonly dialect: LroDialect
  readonly progress: Schema<any, any> | undefined
  readonly cancel: Cancel | undefined
  readonly callbacks: Callbacks | undefined
  readonly callbackParam: string
  /** Runs are told of by other ways alone. */
  readonly isUrlNeeded: boolean
}

const statuses: readonly RunStatus[] = ['running', 'succeeded', 'failed', 'canceled']
const answered = { phase: 'body', sent: 'yes' } as const

/** Runs over HTTP: each step is a call of its own, through the whole chain, and to the transport's own origin. */
export class RestRuns implements RunDriver {
  readonly isResultShared: boolean
  readonly #services: Services
  readonly #parts: LroParts

  constructor(services: Services, parts: LroParts) {
    this.#services = services
    this.#parts = parts
    this.isResultShared = (parts.result.binding as RestBinding | undefined)?.open === undefined
  }

  async start(input: unknown, options: CallOptions): Promise<RunState> {
    const { start, callbacks } = this.#parts
    const reply = await this.#reply(start, callbacks ? this.#withCallback(input, callbacks.url) : input, options)
    return await this.#stateOf('start', answerOf(reply), undefined)
  }

  async poll(state: RunState, options: CallOptions): Promise<RunState> {
    const { url } = state.place as Place
    if (url === undefined)
      throw this.#unsent('failed_precondition', 'the server has not said where the status of this run stands')
    const reply = await this.#reply(this.#parts.status, linked(url), options)
    return await this.#stateOf('poll', answerOf(reply), state)
  }

  read(document: unknown, state: RunState): Promise<RunState> {
    const { url = '' } = state.place as Place
    return this.#stateOf('event', { ...answerOf({ message: document }), url, requestUrl: url }, state)
  }

  async result(state: RunState, options: CallOptions): Promise<unknown> {
    const { url, end } = state.place as Place
    const { result, resultUrl } = end ?? {}
    if (result || resultUrl === undefined) return await this.#converted(result?.value)
    // A status is no result: whoever took it for one would be given a status document.
    if (resultUrl === url) throw this.#unfit('the status document names itself as the result')
    const reply = await this.#reply(this.#parts.result, linked(resultUrl), options)
    if (reply.status === 202) throw this.#unfit('the run has succeeded, but its result answers 202')
    return reply.message
  }

  async cancel({ id, url = '', document, place }: RunState, options: CallOptions): Promise<void> {
    const { cancel, giveUp, info } = this.#parts
    const { cancelUrl } = place as Place
    if (cancel) await this.#reply(cancel.operation, cancel.input({ id, url, document }, info), options)
    else if (cancelUrl !== undefined) await this.#reply(giveUp, linked(cancelUrl), options)
    else
      throw this.#unsent(
        'unimplemented',
        'the server says no way to cancel a run: name one by cancel: cancelWith(…); nothing was sent',
      )
  }

  revive(id: string, place: unknown): RunState | undefined {
    if (!isRecord(place)) return undefined
    const { url, cancelUrl, memo, end } = place
    const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'
    const isEnd = isRecord(end) && statuses.includes(end.status as RunStatus) && isText(end.resultUrl)
    const isKnown = typeof url === 'string' || isEnd || !this.#parts.isUrlNeeded
    const isWhole = isText(url) && isText(cancelUrl) && (memo === undefined || isMemo(memo))
    return isKnown && isWhole && (isEnd || end === undefined) ? stateAt(id, place as unknown as Place) : undefined
  }

  #reply(info: OperationInfo, input: unknown, options: CallOptions): Promise<UnaryResult<unknown>> {
    const callable = this.#services.callable?.(info) as unknown as Unary<any, unknown>
    return callable.reply(input, options)
  }

  /** The server's address of ours, among what it is told. */
  #withCallback(input: unknown, url: string): unknown {
    const { start, callbackParam } = this.#parts
    const told = { [callbackParam]: url }
    if (!start.headersOf) return { ...told, ...(input as object | undefined) }
    const nested = input as { readonly body?: object } | undefined
    return { ...nested, body: { ...told, ...nested?.body } }
  }

  async #stateOf(step: LroAnswer['step'], answer: Answer, before: RunState | undefined): Promise<RunState> {
    const { dialect, start } = this.#parts
    const known = before?.place as Place | undefined
    const memo = known?.memo ?? {}
    const { method } = start.binding as RestBinding
    const { headers, url, body } = answer
    const facts: LroAnswer = {
      ...answer,
      step,
      method: before ? (memo.method ?? '') : method,
      baseUrl: this.#baseUrl(),
      memo,
    }
    const said = this.#read(dialect, facts)
    const progress = said.progress === undefined ? undefined : await this.#progress(said.progress)
    const resolve = (name: 'url' | 'resultUrl' | 'cancelUrl'): string | undefined => {
      const link = said[name] ?? undefined
      if (link !== undefined && typeof link !== 'string') throw this.#unfit(`'${name}' is no text`)
      return link !== undefined && URL.canParse(link, url) ? new URL(link, url).href : link
    }
    const { error, result } = said
    const end = { status: said.status, result, resultUrl: resolve('resultUrl'), error }
    const place: Place = {
      url: resolve('url') ?? known?.url,
      cancelUrl: resolve('cancelUrl') ?? known?.cancelUrl,
      memo: said.memo ?? known?.memo,
      ...(said.status !== 'running' && { end }),
    }
    if (said.status === 'running' && place.url === undefined && this.#parts.isUrlNeeded)
      throw this.#unfit(
        'the run has begun, and the answer does not say where its status stands: Location, which a server of another origin must expose to a page',
      )
    const retryAfterMs = said.retryAfterMs ?? parseRetryAfter(headers, this.#services.clock.wallNow())
    return { ...stateAt(said.id ?? before?.id ?? nameIn(place.url), place), document: body, progress, retryAfterMs }
  }

  #read(dialect: LroDialect, facts: LroAnswer): LroState {
    let said: LroState
    try {
      said = dialect.read(facts)
      if (isThenable(said)) {
        said.then(undefined, () => undefined)
        throw new Malformed('its dialect gives a promise')
      }
    } catch (cause) {
      if (isAnyCallError(cause)) throw cause
      const what = cause instanceof Malformed ? cause.message : 'its dialect threw: see cause'
      throw this.#unfit(`the answer says nothing of a run: ${what}`, cause)
    }
    if (!statuses.includes(said?.status)) throw this.#unfit('its dialect gives no status of a run')
    return said
  }

  /** Progress that does not fit its schema is left out: a run does not fail of it. */
  async #progress(value: unknown): Promise<unknown> {
    const { progress, info } = this.#parts
    if (!progress) return value
    let unfit = ' does not fit its schema'
    try {
      const checked = await checkSchema(progress, value)
      if ('value' in checked) return checked.value
    } catch {
      unfit = ': its schema threw'
    }
    const message = `${info.name}: what the server says of the progress of a run${unfit}`
    this.#services.telemetry?.event?.({ type: 'warning', call: undefined, message })
    return undefined
  }

  /** A result that came along, as if it had been fetched. */
  async #converted(value: unknown): Promise<unknown> {
    const { result } = this.#parts
    const { isContentNeeded } = result.binding as RestBinding
    if (value === undefined && isContentNeeded)
      throw this.#unfit('the run has succeeded, and the server names no result where one is declared')
    const { convert } = this.#plan(result)
    return convert ? await convert(value) : value
  }

  #baseUrl(): string {
    return (this.#plan(this.#parts.status).route.transport as { readonly url?: string }).url ?? ''
  }

  #plan(info: OperationInfo): Plan {
    return (this.#services.planOf as NonNullable<Services['planOf']>)(info) as Plan
  }

  #unfit(message: string, cause?: unknown): CallError {
    return new CallError({ code: 'internal', message, ...answered, cause }, { operation: this.#parts.info })
  }

  #unsent(code: Code, message: string): CallError {
    return new CallError({ code, message, phase: 'resolve', sent: 'no' }, { operation: this.#parts.info })
  }
}

/** `j1` of `https://api.example.com/jobs/j1?v=1`. */
function nameIn(url = ''): string {
  // No pattern that looks for the last segment: it takes time by the square of the length.
  const [path = ''] = url.split(/[?#]/, 1)
  return percentDecoded(path.replace(/\/$/, '').split('/').at(-1) as string)
}

function isMemo(memo: unknown): boolean {
  return isRecord(memo) && Object.values(memo).every((each) => each === undefined || typeof each === 'string')
}

/** A run as its place tells of it. */
function stateAt(id: string, place: Place): RunState {
  const { url, end } = place
  const { status = 'running', error } = end ?? {}
  const isFailed = status === 'failed' || status === 'canceled'
  return { status, id, place, url, ...(isFailed && { failure: runFailure(status, error) }) }
}
