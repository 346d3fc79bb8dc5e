import { HeaderMap, type HeaderRecord } from '../core/call/header-map.ts'
import { checkSchema, validating } from '../core/call/schema.ts'
import type { CallError } from '../core/errors/error.ts'
import { refusal } from '../core/errors/refusal.ts'
import { guard, notify, toGuardError } from '../core/guard.ts'
import { isObject } from '../core/tag.ts'
import { Backoff } from '../core/time/backoff.ts'
import type { Clock, Timer } from '../core/time/clock.ts'
import type { Webhook, WebhookEvent, Webhooks } from './event.ts'
import type { EventLog, LogRecord, WebhookLogEntry, WebhookState } from './event-log.ts'
import type { WebhookNotice, WebhookReceiverOptions } from './options.ts'
import { type PayloadFacts, refused, type Verified, type WebhookScheme } from './scheme.ts'
import { bytesOf, fromBase64 } from './signature.ts'

/** One delivery, as any server has it. */
export interface WebhookRequest {
  readonly method?: string | undefined
  /** Headers, a Map, pairs or a plain object, as servers give them. */
  readonly headers: Iterable<readonly [string, string]> | HeaderRecord
  /** The bytes as they came, or their text; never what a parser made of them. */
  readonly body: Uint8Array | string
}

/** What is answered. */
export interface WebhookAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

interface Parts {
  readonly options: WebhookReceiverOptions<any>
  readonly scheme: WebhookScheme
  readonly log: EventLog
  readonly clock: Clock
}

/** What a delivery is, once it is verified. */
interface Read {
  readonly record: LogRecord
  /** Nobody has defined this type. */
  readonly isUnknown: boolean
}

/**
 * Takes deliveries: verifies, writes down, answers, handles. Each event has one record and, while its handler runs, one
 * claim; whoever finds a record without a claim may take it up.
 */
export class Receiver {
  readonly #options: WebhookReceiverOptions<any>
  readonly #scheme: WebhookScheme
  readonly #log: EventLog
  readonly #clock: Clock
  readonly #hooks: ReadonlyMap<string, Webhook>
  /** Events whose handler runs or waits for its next attempt, by id. */
  readonly #running = new Map<string, Promise<WebhookState>>()

  constructor({ options, scheme, log, clock }: Parts) {
    this.#options = options
    this.#scheme = scheme
    this.#log = log
    this.#clock = clock
    this.#hooks = new Map(Object.values(options.events as Webhooks).map((hook) => [hook.type, hook]))
  }

  /** @param keepAlive - takes the promise of what goes on behind the answer: `waitUntil` of workers. */
  async receive(request: WebhookRequest, keepAlive?: (work: Promise<unknown>) => void): Promise<WebhookAnswer> {
    if (request.method !== undefined && request.method !== 'POST')
      return answer(405, 'unimplemented', 'webhooks are delivered by POST', { allow: 'POST' })
    try {
      return await this.#take(request, keepAlive)
    } catch (error) {
      const failure = toGuardError('the scheme of the webhook receiver', error)
      this.#note({ type: 'refused', error: failure })
      return refusalOf(failure)
    }
  }

  /** Runs the handlers of what was received and whose process died before its end. */
  async recover(): Promise<number> {
    return this.#runAll(({ state }) => state === 'received', false)
  }

  async replay(which: (record: LogRecord) => boolean, id?: string): Promise<number> {
    if (id === undefined) return this.#runAll(which, true)
    const record = await this.#log.get(id)
    if (!record) return 0
    await this.#run(record, true)
    return 1
  }

  async entries(): Promise<readonly WebhookLogEntry[]> {
    const found: WebhookLogEntry[] = []
    for await (const { id, type, state, at, attempts, error } of this.#log.records())
      found.push({ id, type, state, receivedAt: new Date(at), attempts, ...(error !== undefined && { error }) })
    return found
  }

  /** Waits for the handlers that run. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values())
  }

  async #runAll(which: (record: LogRecord) => boolean, isForced: boolean): Promise<number> {
    let count = 0
    for await (const record of this.#log.records())
      if (which(record)) {
        await this.#run(record, isForced)
        count++
      }
    return count
  }

  async #take(request: WebhookRequest, keepAlive?: (work: Promise<unknown>) => void): Promise<WebhookAnswer> {
    const { maxBodyBytes = 1_048_576, answerAfter = 'written' } = this.#options
    const { headers, body } = readRequest(request)
    if (body.byteLength > maxBodyBytes)
      throw refused('too_large', this.#scheme.name, `the body is larger than maxBodyBytes (${maxBodyBytes})`)
    const verified = await this.#scheme.verify({ headers, body, wallNow: this.#clock.wallNow() })
    const { record, isUnknown } = this.#read(body, verified)
    if (isUnknown) {
      this.#note({ type: 'skipped', id: record.id, event: record.type })
      return done('skipped')
    }
    const isNew = await this.#log.add(record)
    const known = isNew ? record : await this.#log.read(record.id)
    this.#note({ type: isNew ? 'received' : 'duplicate', id: record.id, event: record.type })
    if (known.state === 'handled') return done('duplicate')
    // A redelivery of one that has failed is another try; of one that still runs, it finds the claim taken.
    const work = this.#run(known, false)
    if (keepAlive) notify('waitUntil() of the worker', keepAlive, undefined, work)
    if (answerAfter === 'written') return done('received')
    return answerOf(await this.#inTime(work))
  }

  /** What has become of the handler; `received` where it goes on behind the answer. */
  async #inTime(work: Promise<WebhookState>): Promise<WebhookState> {
    const { answerWithinMs = 8000 } = this.#options
    let timer: Timer | undefined
    const late = new Promise<WebhookState>((resolve) => {
      timer = this.#clock.setTimer(() => resolve('received'), answerWithinMs)
    })
    const state = await Promise.race([work, late])
    timer?.clear()
    return state
  }

  #read(body: Uint8Array, verified: Verified): Read {
    const facts = factsOf(this.#scheme, payloadOf(this.#scheme.name, body), verified)
    const id = verified.id ?? facts.id
    if (typeof id !== 'string' || id === '' || id.length > 256 || /\p{Cs}/u.test(id))
      throw refused(
        'missing_id',
        this.#scheme.name,
        'the event has no id (a text of at most 256 characters): by it repeated deliveries are told',
      )
    const type = this.#typeOf(facts)
    const record: LogRecord = {
      v: 1,
      id,
      type: type ?? (typeof facts.type === 'string' ? facts.type : 'unknown'),
      state: 'received',
      at: this.#clock.wallNow(),
      sentAt: verified.sentAt?.getTime(),
      attempts: 0,
      body: toBase64(body),
    }
    return { record, isUnknown: type === undefined }
  }

  #typeOf({ type, action }: PayloadFacts): string | undefined {
    const finer = typeof action === 'string' ? `${type}.${action}` : undefined
    return [finer, type].find((each): each is string => typeof each === 'string' && this.#hooks.has(each))
  }

  /** One run of the handler with all its attempts, whoever asks for it; those who ask meanwhile get the same. */
  #run(record: LogRecord, isForced: boolean): Promise<WebhookState> {
    const running = this.#running.get(record.id)
    if (running) return running
    const work = this.#claimAndHandle(record, isForced)
      .catch((error: CallError): WebhookState => {
        this.#note({ type: 'failed', id: record.id, event: record.type, error })
        return 'failed'
      })
      .finally(() => this.#running.delete(record.id))
    this.#running.set(record.id, work)
    return work
  }

  async #claimAndHandle({ id }: LogRecord, isForced: boolean): Promise<WebhookState> {
    const token = await this.#log.claim(id)
    // Somebody else handles it.
    if (token === undefined) return 'received'
    const timer = this.#keepClaim(id, token)
    try {
      const record = await this.#log.read(id)
      if (record.state === 'handled' && !isForced) return 'handled'
      return await this.#handle(record, token)
    } finally {
      timer.clear()
      // Its claim ends by itself, and what has become of the event stands.
      await this.#log.release(id, token).catch(() => {})
    }
  }

  #keepClaim(id: string, token: string): { clear(): void } {
    let timer = this.#clock.setTimer(keep, this.#log.leaseMs / 3)
    const log = this.#log
    const clock = this.#clock
    timer.hold(false)
    function keep(): void {
      timer = clock.setTimer(keep, log.leaseMs / 3)
      timer.hold(false)
      log.keep(id, token).catch(() => undefined)
    }
    return { clear: () => timer.clear() }
  }

  async #handle(record: LogRecord, token: string): Promise<WebhookState> {
    const { maxAttempts = 3, backoff } = this.#options
    const waits = new Backoff(this.#clock, backoff)
    for (let run = 1; ; run++) {
      const attempt = record.attempts + run
      const error = await this.#attempt(record, attempt)
      // A process that stood still for longer than its claim: somebody else handles the event, or has.
      if (error && !(await this.#log.keep(record.id, token))) return 'received'
      const isLast = run >= maxAttempts || error?.code === 'invalid_argument'
      const state = error === undefined ? 'handled' : isLast ? 'failed' : 'received'
      await this.#log.change(record.id, (each) => ({
        ...each,
        state,
        attempts: attempt,
        error: error && nameOf(error),
      }))
      this.#note({
        type: state === 'received' ? 'retried' : state,
        id: record.id,
        event: record.type,
        ...(error && { error }),
      })
      if (state !== 'received') return state
      await new Promise<void>((resolve) => this.#clock.setTimer(resolve, waits.next()))
    }
  }

  /** The handler's failure, or the payload's. */
  async #attempt(record: LogRecord, attempt: number): Promise<CallError | undefined> {
    try {
      const event = await this.#eventOf(record, attempt)
      await guard(`the handler of ${record.type}`, () => this.#options.handle(event as never))
      return undefined
    } catch (error) {
      return toGuardError(`the handler of ${record.type}`, error)
    }
  }

  async #eventOf(record: LogRecord, attempt: number): Promise<WebhookEvent> {
    const { id, type, at, sentAt } = record
    const body = fromBase64(record.body) ?? new Uint8Array()
    const payload = payloadOf(this.#scheme.name, body)
    const hook = this.#hooks.get(type)
    const raw = hook?.of === 'payload' ? payload : this.#scheme.read(payload).data
    const data = hook ? await this.#checked(hook, raw) : raw
    const times = { sentAt: sentAt === undefined ? undefined : new Date(sentAt), receivedAt: new Date(at) }
    return { type, id, data, ...times, attempt, payload, body }
  }

  async #checked(hook: Webhook, value: unknown): Promise<unknown> {
    const schema = validating(hook.schema)
    if (!schema) return value
    const checked = await guard(`the schema of ${hook.type}`, () => checkSchema(schema, value))
    if ('value' in checked) return checked.value
    const message = `what came as ${hook.type} does not fit its schema`
    throw Object.defineProperty(refused('malformed_payload', this.#scheme.name, message), 'violations', {
      value: checked.violations,
    })
  }

  #note(notice: WebhookNotice): void {
    const { onEvent } = this.#options
    if (onEvent) notify('onEvent of the webhook receiver', onEvent, undefined, notice)
  }
}

function readRequest({ headers, body }: WebhookRequest): { readonly headers: HeaderMap; readonly body: Uint8Array } {
  const bytes = typeof body === 'string' ? bytesOf(body) : body
  if (!isObject(headers) || !(bytes instanceof Uint8Array))
    throw refusal('receive() takes headers, and the body as bytes or text: no object that a parser has made', undefined)
  return { headers: HeaderMap.from(headers as Record<string, string>), body: bytes }
}

function factsOf(scheme: WebhookScheme, payload: unknown, verified: Verified): PayloadFacts {
  if (!isObject(payload)) throw refused('malformed_payload', scheme.name, 'the payload is no JSON object')
  const facts = scheme.read(payload)
  return { ...facts, type: verified.type ?? facts.type }
}

function payloadOf(scheme: string, body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    throw refused('malformed_payload', scheme, 'the payload is no JSON')
  }
}

function nameOf(error: CallError): string {
  return error.code === 'internal' && error.cause instanceof Error ? error.cause.name : error.code
}

function toBase64(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(text)
}

function done(what: string, status = 200): WebhookAnswer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ status: what }) }
}

function answerOf(state: WebhookState): WebhookAnswer {
  if (state === 'failed') return answer(500, 'internal', 'the handler failed; deliver it again')
  return state === 'handled' ? done('handled') : done('received', 202)
}

/** What a refused delivery is answered with: 4xx where another delivery would change nothing, 503 where the fault is here. */
function refusalOf({ code, reason, message }: CallError): WebhookAnswer {
  if (reason === 'too_large') return answer(413, reason, message)
  if (reason && code === 'unauthenticated') return answer(401, reason, message)
  if (reason && code === 'invalid_argument') return answer(400, reason, message)
  return answer(503, code, 'it cannot be received now; deliver it again', { 'retry-after': '5' })
}

function answer(status: number, code: string, message: string, headers?: Record<string, string>): WebhookAnswer {
  const body = JSON.stringify({ error: { code, message } })
  return { status, headers: { 'content-type': 'application/json', ...headers }, body }
}
