import type { CallOptions } from '../core/call/call-options.ts'
import type { Context } from '../core/call/context.ts'
import { HeaderMap } from '../core/call/header-map.ts'
import { CallError, isAnyCallError } from '../core/errors/error.ts'
import { guard } from '../core/guard.ts'
import { within } from '../core/time/bounded.ts'
import type { Durable } from './durable.ts'
import type { Run } from './fence.ts'
import type { Host, Kept } from './host.ts'
import type { Seen } from './ledger.ts'
import { type EntryRecord, isFinal, outcomeOf, ranBefore } from './record.ts'
import type { Settle, SettleFacts } from './settle.ts'
import * as toState from './transitions.ts'
import { writeValue } from './value-text.ts'
import { verdictOf } from './verdict.ts'
import type { Answer } from './waiters.ts'

/** An entry that was claimed, and what it is sent with. */
export interface Claim {
  readonly seen: Seen
  /** As it stood before. */
  readonly before: EntryRecord
  readonly run: Run
  readonly durable: Durable
  readonly kept: Kept
  readonly context: Context
  /** Of the caller who waits, for the first send. */
  readonly options?: CallOptions | undefined
}

/** So long a caller waits for the last write, once it is answered; ms. */
const lastWriteMs = 1000

/** Carries out what was claimed, one run of the chain a claim, and writes down what came of it. */
export class Runs {
  readonly #host: Host
  readonly #running = new Map<string, Promise<void>>()
  /** When the last run of an entry here was over: from then on nothing of its fence can leave. Monotonic ms. */
  readonly #endedAt = new Map<string, { readonly fence: number; readonly at: number }>()
  /** Tells that an entry is free again. */
  readonly #onEnd: (place: string) => void

  constructor(host: Host, onEnd: (place: string) => void) {
    this.#host = host
    this.#onEnd = onEnd
  }

  isRunning(place: string): boolean {
    return this.#running.has(place)
  }

  get size(): number {
    return this.#running.size
  }

  /** Sends what was claimed. */
  send(claim: Claim): void {
    this.#start(claim, () => this.#send(claim))
  }

  /** Asks whether it was carried out. */
  ask(claim: Claim, settle: Settle<unknown, unknown>): void {
    this.#start(claim, () => this.#ask(claim, settle))
  }

  /** An entry is at work until the promise is settled, though nothing is claimed yet. */
  hold(place: string, work: Promise<void>): void {
    const held = work.finally(() => {
      if (this.#running.get(place) !== held) return
      this.#running.delete(place)
      this.#onEnd(place)
    })
    this.#running.set(place, held)
  }

  #start({ seen: { place } }: Claim, work: () => Promise<void>): void {
    const done = work()
      .catch((cause: unknown) => this.#host.warn(`what came of a send could not be written (${nameOf(cause)})`))
      .then(() => {
        const stands = this.#host.ledger.get(place)
        if (!stands || isFinal(stands.record)) this.#endedAt.delete(place)
      })
    this.hold(place, this.#host.keep(done))
  }

  async #send(claim: Claim): Promise<void> {
    const { seen, run, durable, kept, context, options } = claim
    const host = this.#host
    const timeoutMs = Math.max(0, Math.min(options?.timeoutMs ?? host.timeoutMs, run.leftMs))
    try {
      const answer = await host.call(durable.inner).reply(
        run.around(kept.input, () => host.isOurs(seen.record, context)),
        {
          retry: options?.retry,
          onUploadProgress: options?.onUploadProgress,
          onDownloadProgress: options?.onDownloadProgress,
          headers: { ...durable.keyHeader(host.planOf(durable.inner), seen.record.key), ...kept.headers },
          context,
          timeoutMs,
          idempotencyKey: seen.record.key,
        },
      )
      await this.#confirmed(claim, 'reply', answer)
    } catch (error) {
      if (run.dispatches) this.#endedAt.set(seen.place, { fence: seen.record.fence, at: host.clock.now() })
      if (run.isAnswered) await this.#confirmed(claim, 'reply', undefined, error)
      else await this.#failed(claim, error)
    }
  }

  async #failed(claim: Claim, error: unknown): Promise<void> {
    const { seen, before, run } = claim
    const host = this.#host
    const { place, record } = seen
    const isAwaited = host.waiters.count(place) > 0
    const verdict = verdictOf(error, { dispatches: run.dispatches, ranBefore: ranBefore(before), isAwaited })
    switch (verdict.kind) {
      case 'failed': {
        const outcome = isAnyCallError(error) ? outcomeOf(error) : { code: 'unknown' as const, message: nameOf(error) }
        const next = toState.failed(record, before, 'reply', outcome)
        if (await this.#last(seen, next)) host.waiters.reject(place, error, next)
        return
      }
      case 'unsent': {
        const nextAt = host.nextAt(verdict.isCounted ? record.sends : before.sends, verdict.waitMs)
        await host.ledger.replace(seen, toState.unsent(record, before, nextAt, verdict.isCounted))
        return
      }
      case 'unclear':
        await host.ledger.replace(seen, toState.unclear(record, host.nextAt(record.sends, verdict.waitMs)))
        return
      case 'pending': {
        const unsent = !run.dispatches || verdict.reason === 'login' || verdict.reason === 'forbidden'
        const hasRun = isAnyCallError(error) && error.failures.some(({ sent }) => sent !== 'no')
        const next = toState.pending(record, verdict.reason, unsent && !hasRun ? before : undefined)
        if (await host.ledger.replace(seen, next)) host.waiters.reject(place, error, next)
      }
    }
  }

  /** Row 5: whoever knows it says it, whoever has the claim by now. */
  async #confirmed(claim: Claim, by: 'reply' | 'settle', answer: Answer | undefined, error?: unknown): Promise<void> {
    const { seen, durable } = claim
    const host = this.#host
    const { place, record } = seen
    const next = toState.confirmed(record, by, this.#keptOf(durable, answer))
    // A caller whose reply is there does not wait for a store that is away; the entry ends by the next claim.
    await this.#last(seen, next)
    if (answer) host.waiters.resolve(place, answer)
    else host.waiters.reject(place, error, next)
  }

  /** The last write of an entry, for as long as a caller may wait for it. */
  async #last(seen: Seen, next: EntryRecord): Promise<boolean | undefined> {
    const host = this.#host
    const isConfirmed = next.state === 'confirmed'
    const write = isConfirmed ? this.#confirm(seen, next) : host.ledger.replace(seen, next)
    const told = write.then(
      (done) => done !== undefined,
      (cause: unknown) => {
        host.warn(
          `the end of an entry could not be written (${nameOf(cause)}): it is sent under its key, or asked about, once more`,
        )
        return true
      },
    )
    return within(host.clock, lastWriteMs, () => host.keep(told)).catch(() => true)
  }

  async #confirm(seen: Seen, next: EntryRecord): Promise<Seen | undefined> {
    const { ledger } = this.#host
    for (let at = seen; ; ) {
      const { fence, sends, sentFence } = at.record
      const done = await ledger.replace(at, { ...next, fence, sends, sentFence })
      const now = ledger.get(seen.place)
      // A store that says no where nothing has changed would be asked for ever.
      if (done || !now || now === at || isSettled(now.record)) return done
      at = now
    }
  }

  #keptOf({ options: { keep } }: Durable, answer: Answer | undefined): string | undefined {
    if (!keep || !answer) return undefined
    try {
      return writeValue(guard('keep()', () => keep(answer.message)))
    } catch (cause) {
      this.#host.warn(`keep() failed (${nameOf(cause)}): nothing of the reply is kept`)
      return undefined
    }
  }

  async #ask(claim: Claim, settle: Settle<unknown, unknown>): Promise<void> {
    const { seen, run, context, before } = claim
    const host = this.#host
    const { record } = seen
    const askedAt = host.clock.now()
    let answer: Answer | undefined
    try {
      answer = await this.found(claim, settle, {
        context,
        timeoutMs: Math.min(host.timeoutMs, Math.max(0, run.leftMs)),
      })
    } catch (error) {
      return this.#untold(claim, error)
    }
    if (answer) return this.#confirmed(claim, 'settle', answer)
    const absentAt = this.absentAt(seen.place, before, settle)
    const wallNow = host.clock.wallNow()
    await host.ledger.replace(
      seen,
      askedAt >= absentAt
        ? toState.absent(record)
        : // It may lie in a buffer still: asked again when it cannot.
          toState.unclear(record, Math.ceil(wallNow + absentAt - host.clock.now())),
    )
  }

  /** From when on "not there" is believed: the last moment at which a request can have left, and what the server promises. */
  absentAt(place: string, { sentFence }: EntryRecord, settle: Settle<unknown, unknown>): number {
    const host = this.#host
    const ended = this.#endedAt.get(place)
    const sentSeenAt = host.ledger.get(place)?.sentSeenAt ?? host.clock.now()
    const lastAt = ended?.fence === sentFence ? ended.at : sentSeenAt + host.settings.fenceMs
    return lastAt + settle.absentAfterMs
  }

  /** Nothing could be told. */
  async #untold({ seen, before }: Claim, error: unknown): Promise<void> {
    const host = this.#host
    const { record, place } = seen
    const asks = record.asks + 1
    const isLogin = isAnyCallError(error) && error.code === 'unauthenticated' && !error.isRetryable
    if (!isLogin && asks < host.settings.maxSends) {
      const waitMs = isAnyCallError(error) ? (error.retryAfterMs ?? 0) : 0
      await host.ledger.replace(seen, toState.unclear(record, host.nextAt(asks, waitMs), asks))
      return
    }
    const next = toState.pending(record, isLogin ? 'login' : 'unsettled', before)
    if (await host.ledger.replace(seen, next)) host.waiters.reject(place, error, next)
  }

  /** What the declared read says of an entry; undefined where it is not there. */
  async found(
    { durable, kept, seen }: Pick<Claim, 'durable' | 'kept' | 'seen'>,
    settle: Settle<unknown, unknown>,
    options: { readonly context: Context; readonly timeoutMs: number },
  ): Promise<Answer | undefined> {
    const origin = { operation: durable.inner }
    const facts: SettleFacts<unknown> = { input: kept.input, key: seen.record.key }
    const input = guard('settledBy(input)', () => settle.input(facts), origin)
    let reply: unknown
    try {
      reply = await this.#host.call(settle.read)(input, options)
    } catch (error) {
      if (isAnyCallError(error) && error.code === 'not_found') return undefined
      throw error
    }
    const message = await guard('settledBy(found)', () => settle.found(reply, facts), origin)
    if (message === undefined) return undefined
    return { message, status: 200, headers: HeaderMap.empty, trailers: HeaderMap.empty, attempts: 1 }
  }
}

/** Known for good: nothing that anybody else finds out changes it. */
function isSettled(record: EntryRecord): boolean {
  return isFinal(record) && !(record.state === 'failed' && record.outcome?.by !== 'user')
}

/** What may be logged of a failure. */
export function nameOf(cause: unknown): string {
  return cause instanceof CallError ? cause.code : cause instanceof Error ? cause.name : typeof cause
}
